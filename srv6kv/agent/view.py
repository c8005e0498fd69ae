"""The state that the agent has reported of each value, in etcd or over REST.

Rule: one thread owns it. A state that cannot be read, or that is published no more because the
agent's lease has run out, is unknown; unknown is not bad.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple, Protocol

from srv6kv.agent import status
from srv6kv.agent.connection import loss_of
from srv6kv.agent.needs import BAD, GOVPP, History
from srv6kv.agent.status import PluginStatus, State, ValueStatus
from srv6kv.ligato import keys

DEAD_SECONDS = 60.0
"""An agent that writes every 10 s and has not for so long is gone; what it wrote is still there."""
_CHECKED = (status.CHECK_AGENT, status.CHECK_PLUGIN + GOVPP)
_NODES_OWN = (keys.LOCALSID, keys.ARP)
"""Most of these keys have an address of the node or of its pods."""


def nodes_own(held: Iterable[str]) -> frozenset[str]:
    """The keys among these that no other node has: BSIDs, so policies too, are the same on all."""
    return frozenset(key for key in held if key.startswith(_NODES_OWN))


def has_most(own: Collection[str], states: Collection[str]) -> bool:
    """Whether an agent with these states has most of a node's own keys, so that it is the node's:
    the same address may be on two nodes, but not most of them."""
    return 2 * sum(key in states for key in own) > len(own)


class ReadKey(Protocol):
    """A key as it was read or watched; a value of None: it is gone."""

    @property
    def key(self) -> str: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def mod_revision(self) -> int: ...


class Reported(NamedTuple):
    """What was reported of a value, and at which revision; 0: over REST."""

    status: ValueStatus
    revision: int


class View:
    """The states of one agent's values.

    Attributes:
        reported: what was reported, by the key (short form) that it is about.
        bad: those of them that are FAILED, INVALID or RETRYING, but for what passes.
        changes: goes up whenever the report of a value changes.
        vpp_lost: why the agent will not have VPP again by itself; "" if it has it, or may still.
        silence: that the agent is gone whose states stand in etcd, which count for nothing then.
        lost: keys that VPP lacks and nothing repairs; None: VPP is not asked.
    """

    def __init__(self, prefix: str, *, is_polled: bool = False) -> None:
        self.reported: dict[str, Reported] = {}
        self.bad: dict[str, ValueStatus] = {}
        self.unreadable: dict[str, str] = {}
        self.history = History()
        self.changes = 0
        self.vpp_lost = self.silence = ""
        self.lost: frozenset[str] | None = None
        self.is_polled = is_polled
        self._prefix = prefix
        self._checked: dict[str, int] = {}
        self._vpp: PluginStatus | None = None
        self._last_update = 0
        states = () if is_polled else (status.STATUS,)
        self.prefixes = tuple(prefix + name for name in (*states, *_CHECKED))

    @property
    def has_states(self) -> bool:
        """Whether the agent reports states at all."""
        return bool(self.reported) and not self.silence

    @property
    def statuses(self) -> dict[str, ValueStatus]:
        """The status of each value, by key (short form); none of an agent that is gone."""
        if self.silence:
            return {}
        return {key: reported.status for key, reported in self.reported.items()}

    @property
    def vpp_state(self) -> str:
        """What the agent's connection to VPP was last: INIT, OK, ERROR; "": not observed yet."""
        return self._vpp.state if self._vpp is not None else ""

    def judge(self, now: float) -> None:
        """Find ``vpp_lost`` and ``silence`` at this Unix time."""
        age = now - self._last_update
        is_gone = not self.is_polled and 0 < self._last_update and age > DEAD_SECONDS
        said = f"it last reported {age:.0f} s ago: its states in etcd count for nothing"
        self.silence = said if is_gone else ""
        self.vpp_lost = "" if is_gone else loss_of(self._vpp, now)

    def owns(self, key: str) -> bool:
        """Whether a key of etcd (full form) holds a state, and not configuration."""
        return key.startswith(self.prefixes)

    def reset(self, entries: Iterable[ReadKey]) -> None:
        """Replace the states by what etcd holds below ``prefixes``; polled ones stay."""
        listed = list(entries)
        there = {self._short(item.key) for item in listed}
        if not self.is_polled:
            for key in self.reported.keys() - {status.config_key(key) for key in there}:
                self._forget(key)
            self.unreadable = {k: why for k, why in self.unreadable.items() if k in there}
        for item in listed:
            self.observe(item)

    def differing(self, entries: Iterable[ReadKey]) -> set[str]:
        """The keys (full form) below ``prefixes`` that are not known as they were read just now."""
        read = {self._short(item.key): item for item in entries if item.value is not None}
        if self.is_polled:  # it may have published before it was asked
            read = {key: item for key, item in read.items() if key in _CHECKED}
        own = {} if self.is_polled else self.reported
        known = {status.status_key(key): one.revision for key, one in own.items()}
        all_known = self._checked | known
        found = {key for key, item in read.items() if all_known.get(key) != item.mod_revision}
        found -= self.unreadable.keys()
        return {keys.full(self._prefix, key) for key in found | (known.keys() - read.keys())}

    def observe(self, item: ReadKey) -> None:
        """Apply a key below ``prefixes`` that was read or has changed."""
        key, value, revision = self._short(item.key), item.value, item.mod_revision
        if key.startswith(status.STATUS):
            if not self.is_polled:
                self._observe_state(key, item)
        elif key in _CHECKED and value is not None and self._checked.get(key, 0) < revision:
            self._checked[key] = revision
            self._observe_check(key, value, revision)

    def poll(self, statuses: Mapping[str, ValueStatus], vpp: PluginStatus | None = None) -> None:
        """Replace all states by those of an answer; what is not among them is unknown.

        Args:
            vpp: the agent's connection to VPP; None: what was known before counts.
        """
        self.unreadable = self.unreadable if self.is_polled else {}
        self.is_polled = True
        self._vpp = vpp or self._vpp
        for key in self.reported.keys() - statuses.keys():
            self._forget(key)
        for key, one in statuses.items():
            self._store(key, one, 0)

    def lose(self) -> None:
        """Forget all states, as the agent does not answer."""
        self.poll({})

    def state_of(self, key: str) -> State | None:
        """The state of a key (short form); None: unknown."""
        found = self.reported.get(key)
        return found.status.state if found is not None else None

    def _short(self, key: str) -> keys.Key:
        return keys.short(self._prefix, key)

    def _observe_state(self, key: str, item: ReadKey) -> None:
        own = status.config_key(key)
        known = self.reported.get(own)
        if known is not None and known.revision > item.mod_revision:
            return  # it was read later than the watch began
        self.unreadable.pop(key, None)
        try:
            if item.value is not None:
                self._store(own, status.parse_status(key, item.value), item.mod_revision)
                return
        except ValueError as error:
            self.unreadable[key] = str(error)
        self._forget(own)

    def _observe_check(self, key: str, value: bytes, revision: int) -> None:
        with suppress(ValueError):  # nothing is known of the agent then
            if key == status.CHECK_AGENT:
                found = status.parse_agent(value)
                self._last_update = found.last_update
                self.history = self.history.saw_agent(found)
            else:
                self._vpp = status.parse_plugin(key, value)
                self.history = self.history.saw_vpp(self._vpp, revision)

    def _store(self, key: str, found: ValueStatus, revision: int) -> None:
        known = self.reported.get(key)
        self.reported[key] = Reported(found, revision)
        if known is not None and known.status == found:
            return
        self.changes += 1
        self.history = self.history.saw_value(key, found)
        if found.state in BAD and not found.is_passing:
            self.bad[key] = found
        else:
            self.bad.pop(key, None)

    def _forget(self, key: str) -> None:
        if self.reported.pop(key, None) is not None:
            self.changes += 1
            self.bad.pop(key, None)
