"""A plan that would delete much, or that is the first, waits for a second list."""

from __future__ import annotations

from collections import Counter

import pytest

from srv6kv.brake import Brake, note
from srv6kv.plan import Ledger, Plan
from srv6kv.transaction import Operation, Transaction


def plan(removed: int, **effects: int) -> Plan:
    """A plan that removes so many policies, each one operation, and does something else."""
    gone = tuple(Operation(f"/policy/{number}", None, 7) for number in range(removed))
    transactions = (Transaction((Operation("/put", b"{}", 0), *gone)),)
    return Plan(transactions, (), Ledger(), Counter(effects) + Counter(remove=removed), {})


def started() -> Brake:
    """A brake of a process that has done its first plan."""
    brake = Brake()
    assert not brake.holds(plan(0), lambda: 0, 1)
    return brake


@pytest.mark.parametrize(
    ("removed", "policies", "is_held"),
    [(9, 9, False), (5, 10, False), (6, 10, True), (50, 100, False), (51, 100, True)],
)
def test_limit(removed: int, policies: int, is_held: bool) -> None:
    """More than half of at least ten policies is much."""
    assert started().holds(plan(removed), lambda: policies, 1) == is_held


@pytest.mark.parametrize(
    ("first", "is_held"),
    [
        (plan(0, create=3, grow=1), False),
        (plan(1), True),
        (plan(0, shrink=1), True),
        (plan(0, replace=1), True),
    ],
)
def test_first_plan(first: Plan, is_held: bool) -> None:
    """The first plan may add, but takes nothing away before a second list agrees."""
    brake = Brake()

    assert brake.holds(first, lambda: 3, 1) == is_held

    brake.asked = 2

    assert not brake.holds(first, lambda: 3, 2)
    assert not brake.holds(plan(1), lambda: 3, 2)


def test_second_list_agrees() -> None:
    """A plan is held until the list that was asked for is there; then it may go, also if it has to
    be tried again; the next one is held again."""
    brake, much = started(), plan(8)

    assert brake.holds(much, lambda: 10, 4)

    brake.asked = 5

    assert brake.holds(much, lambda: 10, 4)
    assert not brake.holds(much, lambda: 10, 5)
    assert not brake.holds(plan(7), lambda: 10, 5)
    assert brake.holds(plan(9), lambda: 10, 5)


def test_second_list_disagrees() -> None:
    """If nothing is to be deleted after all, nothing is waited for any longer."""
    brake = started()

    assert brake.holds(plan(8), lambda: 10, 4)

    brake.asked = 5

    assert not brake.holds(plan(0), lambda: 10, 5)
    assert brake.asked == 0
    assert brake.holds(plan(8), lambda: 10, 5)


def test_note() -> None:
    """The note says how much is held and what for."""
    assert "8 policies would be deleted" in str(note(plan(8)))
    assert "lose endpoints" in str(note(plan(0, shrink=1)))
