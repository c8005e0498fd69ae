"""What the mass-delete guard holds, for how long, and what lets it go."""

from __future__ import annotations

from collections import Counter

import pytest

from srv6kv.sync.guard import SILENT, MassDeleteGuard, Verdict, warning_of
from srv6kv.sync.losses import ENDPOINTS, KINDS, LOCALSIDS, POLICIES, Loss

GO, ASK, ASK_OVER_NEW_CONNECTION, WAIT = (
    Verdict.GO,
    Verdict.ASK,
    Verdict.ASK_OVER_NEW_CONNECTION,
    Verdict.WAIT,
)


def loss(lost: int, held: int = 20, kind: str = POLICIES, first: int = 0, gained: int = 0) -> Loss:
    """So many of a kind go, numbered from ``first``, of those that etcd holds."""
    gone = Counter({(kind, str(number)): 1 for number in range(first, first + lost)})
    left = Counter({kind: held - lost + gained})
    return Loss(gone, Counter({kind: held}), left, takes=lost > 0)


def started() -> MassDeleteGuard:
    """The guard of a process that has done its first plan."""
    guard = MassDeleteGuard()
    assert guard.judge(Loss(), 1, 0.0) is GO
    return guard


def held(found: Loss, now: float = 100.0) -> MassDeleteGuard:
    """A guard that holds a plan and has asked for list 2."""
    guard = started()
    assert guard.judge(found, 1, now) is ASK
    guard.asked = 2
    return guard


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("lost", "number", "is_held"),
    [(9, 9, False), (5, 10, False), (6, 10, True), (50, 100, False), (51, 100, True)],
)
def test_limit(kind: str, lost: int, number: int, is_held: bool) -> None:
    """More than half of at least ten policies, endpoints or localsids is much."""
    verdict = started().judge(loss(lost, number, kind), 1, 100.0)

    assert (verdict is ASK) == is_held
    assert (warning_of(loss(lost, number, kind)) is not None) == is_held


def test_a_heavy_list_counts_for_its_weight() -> None:
    """Endpoints are counted, not policies: one service may have most of them."""
    one = Loss(Counter({(ENDPOINTS, "a"): 9}), Counter({ENDPOINTS: 14}), Counter({ENDPOINTS: 5}))

    assert started().judge(one, 1, 100.0) is ASK


@pytest.mark.parametrize(
    ("first", "expected"),
    [(Loss(), GO), (loss(1), ASK), (Loss(takes=True), ASK)],
    ids=["adds", "deletes", "shrinks"],
)
def test_first_plan(first: Loss, expected: Verdict) -> None:
    """The first plan may add, but takes nothing away before a second list agrees."""
    guard = MassDeleteGuard()

    assert guard.judge(first, 1, 0.0) is expected

    if expected is ASK:
        guard.asked = 2

        assert guard.judge(first, 1, 0.1) is WAIT
        assert guard.judge(first, 2, 0.2) is GO

    assert guard.judge(loss(1), 2, 0.3) is GO


def test_the_third_list_agrees() -> None:
    """A plan that takes much waits for a second list at once and for a third ten seconds later,
    over new connections; then it goes, also if it has to be tried again, and another one does
    not."""
    much = loss(14)
    guard = held(much)

    assert guard.judge(much, 1, 100.5) is WAIT
    assert guard.judge(much, 2, 101.0) is WAIT
    assert guard.due == 111.0
    assert guard.judge(much, 2, 110.9) is WAIT
    assert guard.judge(much, 2, 111.0) is ASK_OVER_NEW_CONNECTION

    guard.asked = 3

    assert guard.due is None
    assert guard.judge(much, 2, 140.0) is WAIT
    assert guard.judge(much, 3, 141.0) is GO
    assert guard.note is None
    assert guard.judge(much, 3, 141.1) is GO
    assert guard.judge(loss(7, first=7), 3, 141.2) is GO
    assert guard.judge(loss(14, first=40), 3, 141.3) is ASK


def test_a_list_disagrees() -> None:
    """If a list has all after all, nothing is waited for any longer; what goes next is new."""
    guard = held(loss(14))

    assert guard.judge(loss(0), 2, 101.0) is GO
    assert (guard.asked, guard.due, guard.note) == (0, None, None)
    assert guard.judge(loss(14), 2, 102.0) is ASK


def test_lists_that_lack_different_things_agree_on_nothing() -> None:
    """A third list that lacks other things than the second is as good as a first one."""
    guard = held(loss(16, 30))
    guard.judge(loss(16, 30), 2, 101.0)
    guard.judge(loss(16, 30), 2, 111.0)
    guard.asked = 3

    assert guard.judge(loss(16, 30, first=16), 3, 112.0) is ASK
    assert guard.judge(loss(16, 30), 3, 112.1) is not GO


def test_a_deletion_that_goes_on_is_not_held_for_ever() -> None:
    """What is deleted while the lists are awaited goes with the rest, unless it is much itself."""
    guard = held(loss(14))
    guard.judge(loss(15), 2, 101.0)
    guard.judge(loss(16), 2, 111.0)
    guard.asked = 3

    assert guard.judge(loss(18), 3, 112.0) is GO


def test_many_small_losses_are_a_large_one() -> None:
    """What several plans take within ten seconds counts together."""
    guard = started()

    assert guard.judge(loss(8, 20), 1, 100.0) is GO
    assert guard.judge(loss(8, 12, first=8), 1, 100.2) is ASK

    guard.asked = 2

    assert guard.judge(loss(8, 12, first=8), 1, 115.0) is WAIT
    assert guard.judge(loss(8, 12, first=8), 2, 115.0) is WAIT


def test_small_losses_far_apart_are_small() -> None:
    """After ten seconds what went earlier is forgotten."""
    guard = started()

    assert guard.judge(loss(8, 20), 1, 100.0) is GO
    assert guard.judge(loss(5, 12, first=8), 1, 111.0) is GO


def test_what_is_replaced_is_no_loss() -> None:
    """Endpoints that go while others come, a few at a time, are not added up."""
    guard = started()
    for step in range(20):
        found = loss(2, 20, ENDPOINTS, first=2 * step, gained=2)

        assert guard.judge(found, 1, 100.0 + step / 4) is GO


def test_a_list_without_anything_of_a_kind() -> None:
    """What goes after it needs the third list, however little it is; once."""
    guard = started()
    guard.suspect()

    assert guard.judge(loss(1), 1, 100.0) is ASK

    guard.asked = 2

    assert guard.judge(loss(1), 2, 101.0) is WAIT
    assert guard.judge(loss(1), 2, 111.0) is ASK_OVER_NEW_CONNECTION

    guard.asked = 3

    assert guard.judge(loss(1), 3, 112.0) is GO
    assert guard.judge(loss(1), 3, 112.1) is GO


def test_begin_again() -> None:
    """After a source that told of nothing at all the next plan is as the first."""
    guard = started()
    guard.begin_again()

    assert guard.judge(loss(1), 1, 100.0) is ASK
    assert "no Service, EndpointSlice or Node at all" in SILENT.text


def test_note() -> None:
    """The note says how much is held and what for, and stays as it is while it is held."""
    much = Loss(
        Counter({(POLICIES, "a"): 12, (ENDPOINTS, "a"): 40, (LOCALSIDS, "a"): 3}),
        Counter({POLICIES: 20, ENDPOINTS: 60, LOCALSIDS: 9}),
        Counter({POLICIES: 8, ENDPOINTS: 20, LOCALSIDS: 6}),
    )
    guard = held(much)
    note = guard.note
    guard.judge(loss(14), 2, 101.0)

    assert guard.note is note
    assert note == warning_of(much)
    assert str(note) == (
        "Cluster: 12 of 20 policies, 40 of 60 endpoints and 3 of 9 localsids would go; nothing is"
        " written until two more lists of the cluster agree, the last one 10 s later over a new"
        " connection (MassDeleteHeld)"
    )
