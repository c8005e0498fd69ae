"""What the agent's scheduler remembers of each key."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """The states of a value in the order of their numbers (agent rule A39)."""

    NONEXISTENT = "NONEXISTENT"
    MISSING = "MISSING"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    REMOVED = "REMOVED"
    CONFIGURED = "CONFIGURED"
    OBTAINED = "OBTAINED"
    DISCOVERED = "DISCOVERED"
    PENDING = "PENDING"
    INVALID = "INVALID"
    FAILED = "FAILED"
    RETRYING = "RETRYING"


@dataclass(frozen=True, slots=True)
class Status:
    """The state of one key as the agent tells it (agent rule A39)."""

    key: str
    state: State
    operation: str = "UNDEFINED"
    error: str = ""
    details: tuple[str, ...] = ()


@dataclass(slots=True)
class Node:
    """One key in the graph.

    Attributes:
        value: the last value that was taken in, also an invalid one; None: there is none.
        wanted: what etcd wanted last; None: that it goes, or it is only known from VPP.
        is_available: whether others may count on it, and whether a change of it is an update.
        is_ours: whether it comes from etcd, not from VPP.
        metadata: what the descriptor remembers of it.
        changed: the transaction that has changed it last.
    """

    key: str
    value: Any = None
    wanted: Any = None
    is_available: bool = False
    is_ours: bool = True
    state: State = State.NONEXISTENT
    operation: str = "UNDEFINED"
    error: str = ""
    details: tuple[str, ...] = ()
    metadata: Any = None
    needs: tuple[tuple[str, str], ...] = ()
    changed: int = -1

    @property
    def status(self) -> Status:
        """As the agent tells it."""
        return Status(self.key, self.state, self.operation, self.error, self.details)


@dataclass(slots=True)
class Op:
    """One operation of a transaction, planned or executed."""

    operation: str
    key: str
    old: Any = None
    new: Any = None
    old_state: State = State.NONEXISTENT
    new_state: State = State.NONEXISTENT
    old_error: str = ""
    error: str = ""
    is_noop: bool = False
    is_retry: bool = False
    is_recreate: bool = False


@dataclass(slots=True)
class Txn:
    """A transaction of the scheduler.

    Attributes:
        kind: NBTransaction or RetryFailedOps.
        resync: "", FullResync or DownstreamResync.
        values: what it was given, by key; None deletes.
        retries: the transaction that it tries again, and which attempt it is.
        planned: only where it was simulated.
    """

    number: int
    kind: str = "NBTransaction"
    resync: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    retries: int = -1
    attempt: int = 0
    planned: list[Op] | None = None
    executed: list[Op] = field(default_factory=list)

    @property
    def errors(self) -> list[Op]:
        """The operations that failed."""
        return [op for op in self.executed if op.error]
