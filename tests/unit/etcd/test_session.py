"""The session of a writer: how long it waits between tries, and whose key it takes."""

from __future__ import annotations

import pytest

from srv6kv.errors import Conflict
from srv6kv.etcd.backoff import LONGEST_SECONDS, MOST_FAILURES, Backoff
from srv6kv.etcd.session import WriterSession
from srv6kv.etcd.store import Etcd3Store


def test_the_wait_doubles_and_has_an_end() -> None:
    """Each failure in a row waits longer, up to a second; progress begins again."""
    backoff = Backoff()
    waits = [backoff.failed() for _ in range(8)]

    assert all(0.1 <= one <= LONGEST_SECONDS for one in waits)
    assert waits[0] <= 0.2
    assert min(waits[4:]) >= LONGEST_SECONDS / 2
    assert backoff.failed(has_progressed=True) <= 0.2


def test_a_command_gives_up_after_some_failures_in_a_row() -> None:
    """Those before progress do not count."""
    backoff = Backoff()
    found = []
    for number in range(1, MOST_FAILURES + 3):
        backoff.failed(has_progressed=number == 3)
        found.append(backoff.is_exhausted)

    assert found == [False] * (MOST_FAILURES + 1) + [True]


def test_one_session_holds_the_key(store: Etcd3Store, label: str) -> None:
    """Another one is told who does; it may take over, and then the first has lost it."""
    with WriterSession(store, label, "one") as one, WriterSession(store, label, "two") as two:
        first = one.require()

        assert one.acquire() is first
        assert (two.acquire(), two.is_taken()) == (None, True)
        with pytest.raises(Conflict, match=f"one writes for {label}; stop it first"):
            two.require()
        assert two.require(takes_over=True).identity == "two"
    assert store.holder(label) is None


def test_an_old_lease_of_its_own_is_ended(store: Etcd3Store, label: str) -> None:
    """A key that was given up for lost, and is there still, is acquired again."""
    one = WriterSession(store, label, "one")
    one.require().abandon()

    assert one.is_lost
    with one:
        assert not one.require().lost.is_set()
