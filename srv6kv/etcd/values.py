"""The answers of etcd as values; they need no server and no client library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from srv6kv.errors import Conflict, Srv6kvError
from srv6kv.txn.transaction import FullKey


@dataclass(frozen=True, slots=True)
class KeyValue:
    """One key as it was read."""

    key: FullKey
    value: bytes
    mod_revision: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was under some prefixes at one revision, in the order of the prefixes and keys."""

    revision: int
    entries: list[KeyValue]


class Reader(Protocol):
    """A store, as far as it is read."""

    def read(self, prefixes: Sequence[str]) -> Snapshot:
        """Return every key under these prefixes, all as of one revision."""


@dataclass(frozen=True, slots=True)
class Change:
    """One put, or one deletion if the value is None, and the revision that made it."""

    key: FullKey
    value: bytes | None
    mod_revision: int


class KeysChanged(Conflict):
    """Guards did not hold, and the writer key is ours all the same: only these keys are to be
    planned again.

    Attributes:
        changes: what the keys hold at ``revision`` whose own guards did not hold; none if the guard
            was that of a whole model.
    """

    def __init__(self, text: str, changes: tuple[Change, ...], revision: int) -> None:
        super().__init__(text)
        self.changes = changes
        self.revision = revision


@dataclass(frozen=True, slots=True)
class Watched:
    """What the watch of a session saw, or why it ended."""

    session: int
    changes: tuple[Change, ...] = ()
    revision: int = 0
    lost: Srv6kvError | None = None


def key_text(key: bytes) -> str:
    """A key as text; bytes of others that are not UTF-8 stay visible as \\xNN."""
    return key.decode("utf-8", "backslashreplace")


def end_of(prefix: str) -> bytes:
    """The first key after all that begin with this prefix, which may not be empty."""
    if not prefix:
        raise ValueError("an empty prefix")
    key = bytearray(prefix.encode())
    # UTF-8 has no byte 0xff.
    key[-1] += 1
    return bytes(key)
