"""Which chain of a pod may be put now; time is passed in."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from podchains import chain_keys

from srv6kv.agent.status import State, ValueStatus
from srv6kv.agent.view import Reported
from srv6kv.plan.actual import Actual
from srv6kv.plan.copies import Order
from srv6kv.sync.turns import COPY_SECONDS, LONGEST_SECONDS, Turns

A, B, _, _, _, BUILTIN = chain_keys("x")
BOTH = Order({A: frozenset({B})}, {A: B, B: A})
ONLY_A = Order({A: frozenset({B})}, {A: B})
SWITCH = Order({BUILTIN: frozenset({A, B})}, {})


class Pod:
    """What etcd has of two copies, and what the agent says of them."""

    def __init__(self, *, has_states: bool = True) -> None:
        self.turns = Turns()
        self.actual = Actual()
        self.revision = 0
        self.said: dict[str, Reported] = {}
        self.has_states = has_states
        for key in (A, B, BUILTIN):
            self.revision += 1
            self.actual.apply(key, b"old", self.revision)

    def say(self, key: str, state: State, *, is_published: bool = True) -> None:
        """The agent reports a state, by a key of etcd or over REST."""
        self.revision += is_published
        status = ValueStatus(key, state, "UPDATE")
        self.said[key] = Reported(status, self.revision if is_published else 0)

    def waiting(self, order: Order, going: Collection[str], now: float) -> set[str]:
        """What of a plan waits."""
        report = self.said.get if self.has_states else None
        return set(self.turns.waiting(order, going, self.actual, report, now))

    def commit(self, key: str, now: float) -> None:
        """A chain is in etcd."""
        was_there = key in self.actual.entries
        self.revision += 1
        self.actual.apply(key, b"new", self.revision)
        self.turns.committed(key, self.revision, now, was_there=was_there)


def test_one_after_the_other() -> None:
    """The second goes when the agent has made the first; until then nothing is free."""
    pod = Pod()
    assert pod.waiting(BOTH, [A, B], 0.0) == {A}
    assert not pod.turns.is_free
    pod.commit(B, 0.0)
    assert set(pod.turns.awaited) == {B}
    pod.say(B, State.RETRYING)
    assert pod.waiting(ONLY_A, [A], 0.5) == {A}
    pod.say(B, State.CONFIGURED)
    pod.turns.update(B, pod.said[B], 1.2)
    assert pod.turns.is_free
    assert pod.turns.due(1.2) == 1.2
    assert pod.waiting(ONLY_A, [A], 1.2) == set()
    assert not pod.turns.is_begun


def test_the_first_waits_for_what_was_put_into_the_second_before() -> None:
    """A change while the agent makes the second copy of the change before."""
    pod = Pod()
    pod.waiting(BOTH, [A, B], 0.0)
    pod.commit(B, 0.0)
    pod.say(B, State.CONFIGURED)
    pod.waiting(ONLY_A, [A], 1.0)
    pod.commit(A, 1.0)
    assert pod.waiting(Order(), [], 1.0) == set()
    pod.say(A, State.RETRYING)
    assert pod.waiting(BOTH, [A, B], 1.2) == {A, B}
    assert not pod.turns.is_free
    pod.say(A, State.CONFIGURED)
    assert pod.waiting(BOTH, [A, B], 2.1) == {A}
    pod.commit(B, 2.1)
    assert pod.waiting(ONLY_A, [A], 2.1) == {A}


def test_a_state_from_before_is_of_the_value_before() -> None:
    """Published before the put, or answered without the failed deletion in between: it counts only
    when the agent must have been through."""
    pod = Pod()
    for is_published in (True, False):
        pod.say(B, State.CONFIGURED, is_published=is_published)
        pod.waiting(BOTH, [A, B], 0.0)
        pod.commit(B, 0.0)
        assert pod.waiting(ONLY_A, [A], COPY_SECONDS - 0.1) == {A}
        assert pod.turns.due(1.0) == COPY_SECONDS
        assert pod.waiting(ONLY_A, [A], COPY_SECONDS) == set()


def test_an_answer_after_the_failed_deletion_counts() -> None:
    """Over REST, which has no revisions."""
    pod = Pod()
    pod.waiting(BOTH, [A, B], 0.0)
    pod.commit(B, 0.0)
    for state in (State.RETRYING, State.CONFIGURED):
        pod.say(B, state, is_published=False)
        pod.turns.update(B, pod.said[B], 0.5)

    assert pod.waiting(ONLY_A, [A], 0.6) == set()


def test_a_copy_that_was_not_there_has_nothing_to_fail() -> None:
    """As all that is put beside a chain of an earlier version."""
    pod = Pod()
    for key in (A, B):
        pod.actual.apply(key, None, pod.revision)
    assert pod.waiting(SWITCH, [A, B, BUILTIN], 0.0) == {BUILTIN}
    for key in (A, B):
        pod.commit(key, 0.0)
        pod.say(key, State.CONFIGURED, is_published=False)

    assert pod.waiting(SWITCH, [BUILTIN], 0.1) == set()


@pytest.mark.parametrize("has_states", [False, True])
def test_without_states_time_decides(has_states: bool) -> None:
    """No longer and no shorter; the same where it has none of this chain."""
    pod = Pod(has_states=has_states)
    pod.waiting(BOTH, [A, B], 0.0)
    pod.commit(B, 0.0)

    assert pod.waiting(ONLY_A, [A], COPY_SECONDS - 0.1) == {A}
    assert pod.waiting(ONLY_A, [A], COPY_SECONDS) == set()


def test_an_agent_that_is_at_it_is_waited_for() -> None:
    """As long as it tries again, but not for ever."""
    pod = Pod()
    pod.waiting(BOTH, [A, B], 0.0)
    pod.commit(B, 0.0)
    pod.say(B, State.RETRYING)

    assert pod.waiting(ONLY_A, [A], LONGEST_SECONDS - 1) == {A}
    assert pod.turns.due(LONGEST_SECONDS - 1) == LONGEST_SECONDS
    assert pod.waiting(ONLY_A, [A], LONGEST_SECONDS) == set()


def test_silence_after_a_failed_deletion_ends_nothing() -> None:
    """An agent over REST that has just not answered, or a report that is lost."""
    pod = Pod()
    pod.waiting(BOTH, [A, B], 0.0)
    pod.commit(B, 0.0)
    pod.say(B, State.RETRYING)
    assert pod.waiting(ONLY_A, [A], 1.0) == {A}
    del pod.said[B]

    assert pod.waiting(ONLY_A, [A], COPY_SECONDS) == {A}
    assert pod.waiting(ONLY_A, [A], LONGEST_SECONDS) == set()


@pytest.mark.parametrize("state", [State.FAILED, State.INVALID, State.PENDING])
def test_an_end_that_is_not_good_is_an_end(state: State) -> None:
    """The agent does nothing more by itself."""
    pod = Pod()
    pod.waiting(BOTH, [A, B], 0.0)
    pod.commit(B, 0.0)
    pod.say(B, state)

    assert pod.waiting(ONLY_A, [A], 0.1) == set()


def test_another_process_may_have_put_the_first_just_now() -> None:
    """One that was killed: its time begins when it is first looked at."""
    pod = Pod()
    assert pod.waiting(ONLY_A, [A], 100.0) == {A}
    pod.say(B, State.CONFIGURED)
    assert pod.waiting(ONLY_A, [A], 100.1) == set()


def test_another_process_may_have_put_the_second_just_now() -> None:
    """What the agent is still at is waited for, although this process did not put it."""
    pod = Pod()
    pod.say(A, State.RETRYING)
    assert pod.waiting(BOTH, [A, B], 0.0) == {A, B}
    pod.say(A, State.CONFIGURED)
    assert pod.waiting(BOTH, [A, B], 0.5) == {A}
    pod.say(A, State.RETRYING)
    assert pod.waiting(BOTH, [A, B], 100.0) == {A, B}
    assert pod.waiting(BOTH, [A, B], 100.0 + LONGEST_SECONDS) == {A}
