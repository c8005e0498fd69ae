"""Summarises the agent's states: counts, bad keys, and keys that have turned bad or good.

Rule: pure; times are monotonic seconds, passed in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from srv6kv.agent.needs import BAD, SRV6, Need, Seen, needs_of
from srv6kv.agent.status import State, ValueStatus
from srv6kv.agent.view import View

UNKNOWN = "unknown"
MOST_SHOWN = 20
MOST_LINES = 10
"""More keys that turn bad, or good, within a second are one line."""
LATE_SECONDS = 30.0
"""An agent that does not know a key after this time has missed it, unless it is still at work."""
STALL_SECONDS = 15.0
"""An agent is at work as long as it gets to know such a key again and again within this time."""
NEED_SECONDS = 2.0
"""A need is reported when it has lasted so long: of an agent that restarts the keys that say so
come one by one."""


@dataclass(frozen=True, slots=True)
class AgentShown:
    """What status pages and metrics show of the agent.

    Attributes:
        source: where states come from: ``etcd``, ``rest``; "": from nowhere.
        states: how many of our keys are in each state, ``unknown`` among them.
        bad: up to 20 of our keys that are not CONFIGURED, the worst first.
        start_time: of the agent, Unix seconds; 0: unknown.
        vpp: what the agent's connection to VPP is: INIT, OK, ERROR; "": unknown.
        vpp_lost: why the agent will not have VPP again by itself; "" if it has it, or may still.
        url: of its REST server, if states come from there.
        unreadable: up to 20 status keys that make no sense, and why.
    """

    source: str = ""
    states: Mapping[str, int] = field(default_factory=dict)
    bad: tuple[ValueStatus, ...] = ()
    needs: tuple[Need, ...] = ()
    start_time: int = 0
    vpp: str = ""
    unreadable: tuple[str, ...] = ()
    vpp_lost: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class News:
    """One line for the log."""

    is_warning: bool
    what: str
    text: str
    fields: dict[str, Any]


class Digest:
    """Remembers what was reported, and reports what is new."""

    def __init__(self) -> None:
        self._reported: dict[str, ValueStatus] = {}
        self._needs: dict[str, Need] = {}
        self._needed_since: dict[str, float] = {}
        self._mark = (0.0, 0)
        self._late_revision = 0
        self._late: frozenset[str] = frozenset()
        self._moved = 0.0

    def shown(self, view: View, held: Mapping[str, int], now: float) -> AgentShown:
        """Return all that is shown.

        Args:
            held: our keys in etcd (short form) with their mod revision.
        """
        when, revision = self._mark
        if not revision or now - when >= LATE_SECONDS:
            self._late_revision = revision
            self._mark = (now, max(held.values(), default=0))
        found = [one for key, one in view.statuses.items() if key in held]
        unknown = held.keys() - {one.key for one in found}
        late = frozenset(key for key in unknown if held[key] <= self._late_revision)
        odd = [one for one in found if one.state is not State.CONFIGURED and not one.is_passing]
        states = Counter(str(one.state) for one in odd)
        states.update({State.CONFIGURED: len(found) - len(odd)} if len(found) > len(odd) else {})
        states.update({UNKNOWN: len(unknown)} if unknown else {})
        seen = Seen(
            bad={one.key: one for one in odd if one.state in BAD},
            history=view.history,
            held={key: revision for key, revision in held.items() if key.startswith(SRV6)},
            # Agents drop what they publish when much changes at once; answers are complete.
            unknown=self._missed(late, now) if view.is_polled and view.has_states else (),
            vpp_lost=view.vpp_lost,
            lost=view.lost,
        )
        return AgentShown(
            ("rest" if view.is_polled else "etcd") if view.has_states else "",
            dict(sorted(states.items())) if view.has_states else {},
            tuple(sorted(odd, key=_badness)[:MOST_SHOWN]),
            self._lasting(needs_of(seen), now),
            view.history.start_time,
            view.vpp_state,
            tuple(sorted(view.unreadable.values())[:MOST_SHOWN]),
            view.vpp_lost,
        )

    def _missed(self, late: frozenset[str], now: float) -> frozenset[str]:
        """Of the keys that the agent does not know after a while those that it will not come to:
        none while the others of them become fewer."""
        if not self._late or self._late - late:
            self._moved = now
        self._late = late
        return late if now - self._moved >= STALL_SECONDS else frozenset()

    def news(self, view: View, held: Mapping[str, int], shown: AgentShown) -> Iterator[News]:
        """Yield what has changed since the last call."""
        bad = {key: status for key, status in view.bad.items() if key in held}
        said = {key: (one.state, one.error) for key, one in self._reported.items()}
        worse = [one for key, one in sorted(bad.items()) if said.get(key) != (one.state, one.error)]
        better = [
            (key, state)
            for key in sorted(self._reported.keys() - bad.keys())
            if key in held and (state := view.state_of(key)) is not None
        ]
        self._reported = bad
        if len(worse) > MOST_LINES:
            yield _summary(worse)
        else:
            yield from map(_line, worse)
        if len(better) > MOST_LINES:
            text = f"agent: {len(better)} keys are well again"
            yield News(False, "agent keys well", text, {"keys": len(better)})
        else:
            for key, state in better:
                text = f"agent: {key} is {state} again"
                yield News(False, "agent key well", text, {"key": key, "state": str(state)})
        yield from self._need_news(shown.needs)

    def _need_news(self, needs: tuple[Need, ...]) -> Iterator[News]:
        now = {str(need.means): need for need in needs}
        for means, need in now.items():
            if means not in self._needs:
                text = f"repair is needed: {means}: {need.why} ({_few(need.keys)})"
                fields = {"means": means, "why": need.why, "keys": len(need.keys)}
                yield News(True, "repair needed", text, fields)
        for means in self._needs.keys() - now.keys():
            text = f"repair is no longer needed: {means}"
            yield News(False, "repair not needed", text, {"means": means})
        self._needs = now

    def _lasting(self, needs: tuple[Need, ...], now: float) -> tuple[Need, ...]:
        """Return the needs that have lasted for a while, or were reported."""
        there = {str(need.means) for need in needs}
        self._needed_since = {means: self._needed_since.get(means, now) for means in sorted(there)}
        return tuple(
            need
            for need in needs
            if need.means in self._needs or now - self._needed_since[need.means] >= NEED_SECONDS
        )

    def is_waiting(self) -> bool:
        """Whether time alone may bring news."""
        return self._needed_since.keys() != self._needs.keys()


_WORST = (State.FAILED, State.INVALID, State.RETRYING, State.PENDING)


def _badness(status: ValueStatus) -> tuple[int, str]:
    place = _WORST.index(status.state) if status.state in _WORST else len(_WORST)
    return place, status.key


def _line(status: ValueStatus) -> News:
    why = status.error or ", ".join(status.details)
    text = f"agent: {status.key} is {status.state}{': ' if why else ''}{why}"
    fields = {"key": status.key, "state": str(status.state), "error": status.error}
    return News(True, "agent key", text, fields)


def _summary(worse: list[ValueStatus]) -> News:
    counts = Counter(str(one.state) for one in worse)
    listed = ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
    first = min(worse, key=_badness)
    text = f"agent: {len(worse)} keys have turned bad ({listed}), first {first.key}: {first.error}"
    fields = {"keys": len(worse), **dict(counts), "key": first.key, "error": first.error}
    return News(True, "agent keys", text, fields)


def _few(listed: tuple[str, ...]) -> str:
    more = f" and {len(listed) - 1} more" if len(listed) > 1 else ""
    return (listed[0] if listed else "every SRv6 key") + more
