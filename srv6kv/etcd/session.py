"""One writer session: acquire the writer key, commit, try again after failures, release.

``run``, ``repair``, ``adopt``, ``cleanup`` and ``replay`` all write in one.
"""

from __future__ import annotations

from srv6kv.errors import Conflict, Srv6kvError
from srv6kv.etcd.backoff import MOST_FAILURES
from srv6kv.etcd.lease import identity as new_identity
from srv6kv.etcd.store import Etcd3Store, Writer, writer_key


class WriterSession:
    """The writer key of one label for one process; a context manager that releases it. ``writer``
    is the right to write; None while it is not held."""

    def __init__(self, store: Etcd3Store, label: str, identity: str | None = None) -> None:
        self.writer: Writer | None = None
        self._store = store
        self._label = label
        self._identity = identity or new_identity()

    def __enter__(self) -> WriterSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @property
    def is_lost(self) -> bool:
        """Whether the key was held and is not any more."""
        return self.writer is not None and self.writer.lost.is_set()

    def acquire(self) -> Writer | None:
        """Acquire the key, or keep it; None if another process holds it."""
        if self.is_lost:
            self.release()
        if self.writer is None:
            self.writer = self._store.acquire(self._label, self._identity)
        if self.writer is None and self._revoke_own():
            self.writer = self._store.acquire(self._label, self._identity)
        return self.writer

    def require(self, *, takes_over: bool = False, hint: str = "stop it first") -> Writer:
        """Acquire the key, or keep it; ``takes_over`` ends the lease of another process that holds
        it. Conflict with a hint for the user if one holds it, or if the next one wins it each
        time."""
        for _ in range(MOST_FAILURES):
            writer = self.acquire()
            if writer is not None:
                return writer
            value, metadata = self._store.get(writer_key(self._label))
            if value is not None and not takes_over:
                holder = value.decode(errors="replace")
                raise Conflict(f"{holder} writes for {self._label}; {hint}")
            if value is not None:
                self._store.revoke_lease(metadata.lease_id)
        raise Conflict(f"others win the writer key of {self._label} each time it becomes free")

    def release(self) -> None:
        """Give the key up, if it is held."""
        writer, self.writer = self.writer, None
        if writer is not None:
            writer.release()

    def is_taken(self) -> bool:
        """Whether another process holds the key by now, as far as etcd answers."""
        if self.writer is not None and not self.writer.lost.is_set():
            return False
        try:
            return self._store.holder(self._label) not in (None, self._identity)
        except Srv6kvError:
            return False

    def _revoke_own(self) -> bool:
        """End an old lease of our own, if there is one: a server that was away prolongs the leases
        that it knows, also one that was given up for lost and could not be revoked."""
        value, metadata = self._store.get(writer_key(self._label))
        if value != self._identity.encode():
            return False
        self._store.revoke_lease(metadata.lease_id)
        return True
