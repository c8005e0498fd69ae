"""What the rest of srv6kv needs of a store, no more than each reader and writer uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from srv6kv.etcd.values import Snapshot
from srv6kv.txn.limits import Limits
from srv6kv.txn.transaction import Operation, Transaction

if TYPE_CHECKING:
    from srv6kv.etcd.lease import Writer


class Reader(Protocol):
    """A store that is only read."""

    def read(self, prefixes: Sequence[str]) -> Snapshot:
        """Return every key under these prefixes, all as of one revision."""


class Store(Reader, Protocol):
    """A store that is read and written under the writer key of a label."""

    @property
    def limits(self) -> Limits:
        """What the server takes at once, as far as it is known."""

    def acquire(self, label: str, identity: str, ttl: int | None = None) -> Writer | None:
        """Return the right to write for a label; None if another process has it."""

    def holder(self, label: str) -> str | None:
        """Return the identity of the process that may write for a label."""

    def commit(
        self,
        transaction: Transaction,
        *,
        writer: Writer,
        read_revision: int,
        extra: Sequence[Operation] = (),
    ) -> int:
        """Write all of it as one revision, and return that revision."""
