"""The writer key's holder: a lease that a thread keeps alive until it is lost or released."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from srv6kv.errors import Srv6kvError


def writer_key(label: str) -> str:
    """The key that whoever writes for a label holds."""
    return f"/srv6kv/{label}/writer"


class Writer:
    """The right to write for one label, as long as `lost` is not set.

    Attributes:
        key: the writer key.
        identity: its value.
        create_revision: what tells our key from one that somebody else put there later.
        lost: set as soon as the lease is gone, or must be presumed to be.
    """

    def __init__(
        self,
        key: str,
        identity: str,
        create_revision: int,
        *,
        ttl: float,
        granted: float,
        keep_alive: Callable[[float], float],
        revoke: Callable[[], None],
    ) -> None:
        """Starts to keep the lease alive.

        Args:
            ttl: seconds that the lease lives without renewal.
            granted: the monotonic time before it was asked for, so that we never think it younger.
            keep_alive: renews it within so many seconds and returns those that it then has; 0 if
                it is gone.
            revoke: gives it up.
        """
        self.key = key
        self.identity = identity
        self.create_revision = create_revision
        self.lost = threading.Event()
        self._interval = ttl / 3
        self._deadline = granted + ttl
        self._keep_alive = keep_alive
        self._revoke = revoke
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="srv6kv-writer", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Gives the key up, so that the next writer need not wait; a second call does nothing.

        If etcd is out of reach the lease runs out by itself.
        """
        if self._stopped.is_set():
            return
        self.abandon()
        try:
            self._revoke()
        except Srv6kvError:
            return

    def abandon(self) -> None:
        """Stops renewing; the key stays until the lease runs out."""
        self._stopped.set()
        self.lost.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(self._interval)

    def _keep(self) -> None:
        while not self._stopped.wait(self._pause()):
            asked = time.monotonic()
            if asked >= self._deadline:
                break
            try:
                seconds = self._keep_alive(min(self._interval, self._deadline - asked))
            except Srv6kvError:
                # Refused or out of reach: the lease is ours until its time is up.
                continue
            if seconds <= 0:
                break
            self._deadline = asked + seconds
        self.lost.set()

    def _pause(self) -> float:
        return max(0.0, min(self._interval, self._deadline - time.monotonic()))
