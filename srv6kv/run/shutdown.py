"""The end of the loop: soon, whatever it is doing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

STOP_SECONDS = 0.6
RELEASE_SECONDS = 0.4


class Shutdown:
    """Ends the loop.

    Neither a plan for thousands of services nor a call that etcd leaves without an answer may hold
    up the next writer, or the end: what has not ended in time is cut short.

    Args:
        queue: where an event wakes the loop.
        release: gives the writer key up; what is written after that is refused.
        disconnect: closes the connection to etcd.
    """

    def __init__(
        self, queue: SimpleQueue[Any], release: Callable[[], None], disconnect: Callable[[], None]
    ) -> None:
        self.is_requested = False
        self._queue = queue
        self._release = release
        self._disconnect = disconnect
        self._requested = threading.Event()
        self._ended = threading.Event()

    def request(self) -> None:
        """End the loop; from any thread or signal handler."""
        # A handler may interrupt any line of the loop: the locks taken here are never held there.
        if not self.is_requested:
            self.is_requested = True
            self._queue.put(None)
            self._requested.set()

    @contextmanager
    def enforced(self) -> Iterator[None]:
        """Around the loop: cut short what does not end in time."""
        thread = threading.Thread(target=self._cut_short, name="srv6kv-stop", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            self._requested.set()
            thread.join()

    def _cut_short(self) -> None:
        self._requested.wait()
        if self._ended.wait(STOP_SECONDS):
            return
        release = threading.Thread(target=self._release, name="srv6kv-release", daemon=True)
        release.start()
        release.join(RELEASE_SECONDS)
        self._disconnect()
