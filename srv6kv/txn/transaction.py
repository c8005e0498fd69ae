"""A transaction as a value: an ordered list of guarded puts and deletes of full etcd keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

FullKey = NewType("FullKey", str)
"""A key as etcd has it, with the prefix of its agent."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One put, or a delete if there is no value, of a full etcd key that must still have the mod
    revision ``guard``; 0: it must not exist."""

    key: FullKey
    value: bytes | None
    guard: int

    @property
    def is_put(self) -> bool:
        """Whether this writes the key rather than removes it."""
        return self.value is not None


@dataclass(frozen=True, slots=True)
class Transaction:
    """Operations that become one etcd revision, in this order; a key occurs once."""

    operations: tuple[Operation, ...]

    def __bool__(self) -> bool:
        return bool(self.operations)

    def __len__(self) -> int:
        return len(self.operations)
