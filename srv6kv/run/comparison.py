"""The full comparison of ``run``: everything is read once more beside the watch now and then, and
what the watch has not reported is found.

Rule: the loop's thread calls everything here; another thread reads, so that a large etcd delays no
change.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from srv6kv.errors import Srv6kvError, Unavailable
from srv6kv.etcd.values import KeyValue, Reader
from srv6kv.run.agentwatch import AgentWatch
from srv6kv.sync.reconciler import Reconciler
from srv6kv.telemetry.progress import Progress

GRACE_SECONDS = 5.0
"""What was written just before the read may still be on its way to the watch."""
JITTER = 0.2
"""The nodes of a cluster do not read at the same time."""


@dataclass(frozen=True, slots=True)
class Reread:
    """Everything was read once more, or it could not be (None)."""

    number: int
    entries: tuple[KeyValue, ...] | None


class FullComparison:
    """Decides when everything is read once more, and keeps what has been reported since.

    Args:
        seconds: from one comparison to the next; 0: there is none.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._number = 0
        self._due = float("inf")
        self._is_reading = False
        self._entries: tuple[KeyValue, ...] | None = None
        self._reported: set[str] = set()

    def begin(self) -> None:
        """Count the time from now on: everything has just been read."""
        self._number += 1
        self._is_reading, self._entries = False, None
        self._reported.clear()
        wait = self._seconds * random.uniform(1 - JITTER, 1 + JITTER)
        self._due = time.monotonic() + wait if self._seconds else float("inf")

    def report(self, keys: Iterable[str]) -> None:
        """Note that keys (full form) have changed, as a watch or the answer to a commit reports."""
        if self._is_reading or self._entries is not None:
            self._reported.update(keys)

    def check(
        self,
        store: Reader,
        reconciler: Reconciler,
        agent: AgentWatch,
        progress: Progress,
        queue: SimpleQueue[Any],
    ) -> bool:
        """Read everything if it is time, and compare it when what was on its way has arrived.

        Returns:
            Whether all was compared, so that all is to be planned again.

        Raises:
            Unavailable: the watch has not reported changes; the next session restores them.
        """
        if time.monotonic() < self._due or self._is_reading:
            return False
        if self._entries is None:
            self._read(store, (*reconciler.prefixes, *agent.prefixes), queue)
            return False
        differing = reconciler.differing(self._entries) | agent.differing(self._entries)
        missing = sorted(differing - self._reported)
        progress.compared(len(self._entries), missing)
        if missing:
            raise Unavailable(f"the watch has not reported {len(missing)} changes")
        self.begin()
        reconciler.compare_all()
        return True

    def receive(self, found: Reread) -> None:
        """Keep what was read until what was on its way has arrived."""
        if found.number != self._number:
            return
        if found.entries is None:
            self.begin()
            return
        self._is_reading, self._entries = False, found.entries
        self._due = time.monotonic() + GRACE_SECONDS

    def _read(self, store: Reader, prefixes: tuple[str, ...], queue: SimpleQueue[Any]) -> None:
        self._is_reading = True
        self._reported.clear()
        number = self._number

        def read() -> None:
            entries = None
            with suppress(Srv6kvError):  # an outage is noticed elsewhere
                entries = tuple(store.read(prefixes).entries)
            queue.put(Reread(number, entries))

        threading.Thread(target=read, name="srv6kv-comparison", daemon=True).start()
