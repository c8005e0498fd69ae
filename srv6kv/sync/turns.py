"""Which chain of a pod may be changed now, as chains with the same rules change one by one.

Rule (decision 0040): a copy that is in use is put only while the agent has made the other one. The
agent deletes it in vain, so it is RETRYING and empty, and is made again one second later. What is
reported before that is of the value before. Pure; times are monotonic seconds, passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial

from srv6kv.agent.status import State
from srv6kv.agent.view import Reported
from srv6kv.ligato.chains import is_copy
from srv6kv.plan.actual import Actual
from srv6kv.plan.copies import Order

COPY_SECONDS = 5.0
"""An agent that says nothing new of a chain has made it by then: it tries again after one second,
and the rest is for what it has to do before."""
LONGEST_SECONDS = 30.0
"""An agent that is at it is not waited for longer."""
Reports = Callable[[str], Reported | None]
"""The agent's last report of a key (short form)."""
_UNDER_WAY = frozenset({State.NONEXISTENT, State.REMOVED, State.MISSING, State.RETRYING})


@dataclass(slots=True)
class _Turn:
    """A chain that others wait for: its revision, since when it is there or was first looked at,
    whether it was there before, what was reported of it since, the last state that was."""

    revision: int
    since: float
    was_there: bool = True
    was_retrying: bool = False
    state: State | None = None
    is_made: bool = False

    def update(self, reported: Reported | None, now: float) -> None:
        """Apply the agent's report, if it has one of this chain."""
        is_late = now - self.since >= COPY_SECONDS
        if reported is not None:
            self.state = reported.status.state
        self.was_retrying |= self.state is State.RETRYING
        is_news = reported is not None and reported.revision > self.revision
        is_news |= self.was_retrying or not self.was_there
        if self.state not in _UNDER_WAY and (is_late or (is_news and self.state is not None)):
            self.is_made = True
        self.is_made |= now - self.since >= LONGEST_SECONDS


@dataclass(slots=True)
class Turns:
    """Keeps what was reported of chains that others wait for."""

    _turns: dict[str, _Turn] = field(default_factory=dict)
    _waiting: dict[str, frozenset[str]] = field(default_factory=dict)
    _going: set[str] = field(default_factory=set)

    def waiting(
        self,
        order: Order,
        going: Collection[str],
        actual: Actual,
        report: Reports | None,
        now: float,
    ) -> Collection[str]:
        """Choose the chains of a plan that wait.

        Args:
            going: what the plan puts.
            report: of the agent; None: it reports no states.
        """
        leaders = frozenset[str]().union(*order.followers.values())
        self._going = set(leaders.intersection(going))
        looked_at = leaders.union(filter(partial(_is_retrying, report), order.beside.values()))
        for key in looked_at:
            revision = actual.entries[key].revision if key in actual.entries else 0
            if key not in self._turns or self._turns[key].revision != revision:
                self._turns[key] = _Turn(revision, now)
        for key in self._turns:
            self.update(key, report(key) if report is not None else None, now)
        made = {key for key, turn in self._turns.items() if turn.is_made}
        self._turns = {k: one for k, one in self._turns.items() if k in looked_at or k not in made}
        self._waiting = {
            key: frozenset((other,))
            for key, other in order.beside.items()
            if other in self._turns and other not in made and key not in order.followers
        }
        self._waiting |= {
            key: led for key, led in order.followers.items() if led & self._going or led - made
        }
        return self._waiting.keys()

    def committed(self, key: str, revision: int, now: float, *, was_there: bool) -> None:
        """Note that a chain that others may wait for is in etcd."""
        if is_copy(key):
            self._turns[key] = _Turn(revision, now, was_there)
            self._going.discard(key)

    def update(self, key: str, reported: Reported | None, now: float) -> None:
        """Apply the agent's report of a key (short form)."""
        if key in self._turns:
            self._turns[key].update(reported, now)

    @property
    def awaited(self) -> Collection[str]:
        """The chains that others wait for."""
        return frozenset[str]().union(*self._waiting.values())

    @property
    def is_begun(self) -> bool:
        """Whether a chain waits."""
        return bool(self._waiting)

    @property
    def is_free(self) -> bool:
        """Whether a chain waits for nothing any more."""
        return any(
            all(key not in self._going and self.is_made(key) for key in leaders)
            for leaders in self._waiting.values()
        )

    def is_made(self, key: str) -> bool:
        """Whether the agent has made a chain; what is no copy counts as made."""
        return key not in self._turns or self._turns[key].is_made

    def due(self, now: float) -> float:
        """When to look again at the latest, if a chain waits."""
        if self.is_free:
            return now
        limits = (COPY_SECONDS, LONGEST_SECONDS)
        since = [self._turns[key].since for key in self.awaited if key in self._turns]
        ends = [when + limit for when in since for limit in limits if when + limit > now]
        return min(ends, default=now + COPY_SECONDS)


def _is_retrying(report: Reports | None, key: str) -> bool:
    reported = report(key) if report is not None else None
    return reported is not None and reported.status.state is State.RETRYING
