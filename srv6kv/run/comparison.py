"""The full comparison of ``run``: now and then everything is read once more beside the watch, and
what the watch has not reported is found.

Rule: the loop's thread calls everything here; a thread of its own reads, so that a large etcd holds
up no change.
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

from srv6kv.errors import Srv6kvError
from srv6kv.etcd.protocols import Reader
from srv6kv.etcd.values import KeyValue

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
    """When everything is read once more, and what has been reported since.

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
        """Keys (full form) have changed, as a watch or the answer to a commit reports."""
        if self._is_reading or self._entries is not None:
            self._reported.update(keys)

    def start_if_due(self, store: Reader, prefixes: Iterable[str], queue: SimpleQueue[Any]) -> None:
        """Read all below these prefixes if it is time; a ``Reread`` follows in the queue."""
        if self._is_reading or self._entries is not None or time.monotonic() < self._due:
            return
        self._is_reading = True
        self._reported.clear()
        number, wanted = self._number, tuple(prefixes)

        def read() -> None:
            entries = None
            with suppress(Srv6kvError):  # an outage is noticed elsewhere
                entries = tuple(store.read(wanted).entries)
            queue.put(Reread(number, entries))

        threading.Thread(target=read, name="srv6kv-comparison", daemon=True).start()

    def take(self, found: Reread) -> None:
        """Keep what was read until what was on its way has arrived."""
        if found.number != self._number:
            return
        if found.entries is None:
            self.begin()
            return
        self._is_reading, self._entries = False, found.entries
        self._due = time.monotonic() + GRACE_SECONDS

    def ready(self) -> tuple[KeyValue, ...] | None:
        """Everything that was read, when it is time to compare it; until ``begin``."""
        is_ready = self._entries is not None and time.monotonic() >= self._due
        return self._entries if is_ready else None

    def unreported(self, differing: Iterable[str]) -> list[str]:
        """The keys (full form), of those that are not known as they were read, that have not
        changed since: nobody has reported them."""
        return sorted(set(differing) - self._reported)
