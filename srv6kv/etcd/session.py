"""One writer session: acquire the writer key, commit, try again after failures, release.

``run``, ``repair``, ``adopt``, ``cleanup`` and ``replay`` all write in one.
"""

from __future__ import annotations

import random
from types import TracebackType

from srv6kv.errors import Conflict, Srv6kvError
from srv6kv.etcd.lease import identity as new_identity
from srv6kv.etcd.store import Etcd3Store, Writer, writer_key

MOST_FAILURES = 5
"""So many in a row end a command: another writer that edits faster has to be stopped first."""
LONGEST_SECONDS = 1.0


class Backoff:
    """The time between tries: jittered, and doubling with each failure in a row."""

    def __init__(self) -> None:
        self._failures = 0

    def failed(self, *, has_progressed: bool = False) -> float:
        """Count a failure.

        Args:
            has_progressed: whether something was done since the last one; it is the first then.

        Returns:
            The seconds to wait before the next try.
        """
        self._failures = 1 if has_progressed else self._failures + 1
        longest = min(LONGEST_SECONDS, 0.1 * 2.0 ** min(self._failures, 10))
        return random.uniform(longest / 2, longest)

    @property
    def is_exhausted(self) -> bool:
        """Whether a command that ends should give up."""
        return self._failures >= MOST_FAILURES


class WriterSession:
    """The writer key of one label for one process; a context manager that releases it.

    Attributes:
        writer: the right to write; None while it is not held.
    """

    def __init__(self, store: Etcd3Store, label: str, identity: str | None = None) -> None:
        self.writer: Writer | None = None
        self._store = store
        self._label = label
        self._identity = identity or new_identity()

    def __enter__(self) -> WriterSession:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    @property
    def is_lost(self) -> bool:
        """Whether the key was held and is not any more."""
        return self.writer is not None and self.writer.lost.is_set()

    def acquire(self) -> Writer | None:
        """Acquire the key, or keep it.

        Returns:
            None if another process holds it.
        """
        if self.is_lost:
            self.release()
        if self.writer is None:
            self.writer = self._store.acquire(self._label, self._identity)
        if self.writer is None and self._revoke_own():
            self.writer = self._store.acquire(self._label, self._identity)
        return self.writer

    def require(self, *, takes_over: bool = False, hint: str = "stop it first") -> Writer:
        """Acquire the key, or keep it.

        Args:
            takes_over: end the lease of another process that holds it.
            hint: what the user can do about that process.

        Raises:
            Conflict: another process holds it, or the next one wins it each time.
        """
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
        """End an old lease of our own: a server that was away prolongs the leases that it knows,
        also one that was given up for lost and could not be revoked.

        Returns:
            Whether there was one.
        """
        value, metadata = self._store.get(writer_key(self._label))
        if value != self._identity.encode():
            return False
        self._store.revoke_lease(metadata.lease_id)
        return True
