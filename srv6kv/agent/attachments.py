"""How pods are attached to VPP, by what the agent itself holds: agents that are configured in
process, as Contiv's, have no keys in etcd.

Rule (decision 0030): a key that etcd has wins; what the agent has besides counts as older
than every key of etcd. Answers vanish with an agent that is away or restarts, attachment does not:
a key is gone when two answers in a row lack it, of an agent that has had time to be configured.

Times are seconds, passed in.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from srv6kv import foreign
from srv6kv.ligato import keys

MODELS = (keys.INTERFACE, keys.ARP, keys.ROUTE, keys.LINUX_INTERFACE, keys.VRF_TABLE)
"""Prefixes of the keys of attachment, and of what the node needs for it."""
STEADY_SECONDS = 30.0
"""Before that an agent may lack what it is given in process after its start."""
_OLDER = -(1 << 62)
"""Revisions of what the agent reports begin here."""


@dataclass(frozen=True, slots=True)
class Process:
    """One life of the agent: when it began and when it said so, in Unix seconds of its clock."""

    start_time: int
    last_update: int = 0

    @property
    def uptime(self) -> int:
        """Seconds that it has lived at least."""
        return max(0, self.last_update - self.start_time)


@dataclass(frozen=True, slots=True)
class Table:
    """The attachment that the agent has reported.

    Attributes:
        values: JSON by key (short form).
        is_complete: what is not among the values was not there either, once.
        trouble: why the last question had no answer; "" if it had one.
    """

    values: Mapping[str, bytes] = field(default_factory=dict)
    is_complete: bool = False
    trouble: str = ""


class _Health(msgspec.Struct):
    start_time: int | str = 0
    last_update: int | str = 0


def parse_process(answer: bytes) -> Process | None:
    """The answer of ``/liveness``; None: it does not say when the agent began."""
    try:
        found = foreign.decode(answer, _Health)
        process = Process(int(found.start_time), int(found.last_update))
    except ValueError:
        return None
    return process if process.start_time > 0 else None


class _Pair(msgspec.Struct):
    key: str = msgspec.field(name="Key", default="")
    value: msgspec.Raw = msgspec.field(name="Value", default_factory=lambda: msgspec.Raw(b"null"))


class _Recorded(msgspec.Struct):
    data: msgspec.Raw = msgspec.field(name="ProtoMsgData")


def parse_dump(answer: bytes) -> dict[str, bytes]:
    """The values in an answer of ``/scheduler/dump``, by key.

    A value stands there bare (agents 2.x), or beside its message's name, as a text (up to 3.2) or
    as it is; ``null`` is an empty dump.

    Raises:
        ValueError: it is none.
    """
    kind: Any = list[_Pair] | None
    listed: list[_Pair] | None = foreign.decode(answer, kind, most=foreign.MOST_ANSWER_BYTES)
    return {pair.key: _bare(pair.value) for pair in listed or () if pair.key}


def _bare(value: msgspec.Raw) -> bytes:
    try:
        data = bytes(foreign.decode(value, _Recorded).data)
    except foreign.Unreadable:
        return bytes(value)
    return foreign.decode(data, str).encode() if data[:1] == b'"' else data


class Answers:
    """Derives the attachment from the agent's answers, one after the other."""

    def __init__(self) -> None:
        self.table = Table()
        self._missing: set[str] = set()
        self._process: Process | None = None
        self._since: float | None = None
        self._before: set[str] | None = None

    def is_open(self) -> bool:
        """Whether the next answer may add something although the agent has nothing new."""
        return bool(self._missing) or not self.table.is_complete

    def apply(self, found: Mapping[str, bytes], process: Process | None, now: float) -> None:
        """Apply an answer, and which life of the agent it comes from; None: unknown."""
        started = process.start_time if process is not None else 0
        known = self._process.start_time if self._process is not None else 0
        if self._since is None or started != known:
            self._since, self._missing, self._before = now, set(), None
        self._process = process
        lived = max(now - self._since, process.uptime if process is not None else 0)
        is_steady = lived >= STEADY_SECONDS
        missing = self.table.values.keys() - found.keys()
        gone = missing & self._missing if is_steady else set[str]()
        self._missing = missing - gone
        values = {key: item for key, item in self.table.values.items() if key not in gone}
        values.update(found)
        is_complete = is_steady and set(found) == self._before
        self._before = set(found)
        self.table = Table(values, self.table.is_complete or is_complete)

    def lose(self, trouble: str = "") -> None:
        """Keep what is known, as there was no answer. An agent that does not say when it began may
        have restarted."""
        if self._process is None:
            self._since = None
        self._missing, self._before = set(), None
        self.table = Table(self.table.values, self.table.is_complete, trouble)


@dataclass(slots=True)
class Reported:
    """What the agent holds besides the keys of etcd.

    A value that the agent reported while etcd had the key is etcd's: it goes with etcd's key,
    though the agent may report it for a while. Without that rule a network namespace by process
    id, which is distrusted in etcd because it was observed in an earlier boot, would come back as
    the agent's own.
    All else the agent was given after its start, so in this boot.

    Attributes:
        is_complete: what is not known here is not there; an agent that is not asked has nothing.
    """

    is_complete: bool = True
    _values: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    _copies: dict[str, bytes] = field(default_factory=dict)
    _round: int = 0

    def replace(self, values: Mapping[str, bytes], held: Container[str]) -> set[str]:
        """Replace all values; return the keys for which ``get`` may say something else now."""
        self._round += 1
        changed = self._values.keys() - values.keys()
        for key in changed:
            del self._values[key]
            self._copies.pop(key, None)
        for key, value in values.items():
            known = self._values.get(key)
            if known is None or known[0] != value:
                self._values[key] = (value, _OLDER + self._round)
                changed.add(key)
        self.yield_to(held)
        return {key for key in changed if key not in held}

    def yield_to(self, held: Container[str]) -> None:
        """Give way to etcd for the keys that it has."""
        for key in filter(held.__contains__, self._values):
            self.hide(key)

    def hide(self, key: str) -> None:
        """Give way to etcd for one key."""
        if key in self._values:
            self._copies[key] = self._values[key][0]

    def get(self, key: str) -> tuple[bytes | None, int]:
        """Value and revision for a key that etcd does not have; None: the agent has none."""
        value, revision = self._values.get(key, (None, 0))
        return (None, 0) if value is None or self._copies.get(key) == value else (value, revision)

    def __contains__(self, key: object) -> bool:
        """Whether the agent has a key that etcd does not have."""
        return isinstance(key, str) and self.get(key)[0] is not None

    def items(self) -> Iterator[tuple[str, bytes, int]]:
        """Key, value and revision of all that ``get`` gives."""
        for key in self._values:
            value, revision = self.get(key)
            if value is not None:
                yield key, value, revision
