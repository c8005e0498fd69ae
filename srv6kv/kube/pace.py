"""When the API server may be asked: one request a second in trouble, whoever asks.

All resources share one pace. While the server answers, lists and the watches after them go out at
once. From the first failure on, requests are at least a second apart over all resources together,
until one of them is answered. A watch that takes up where another ended always keeps that distance:
that a watch ended may be the first that is seen of an outage.
"""

from __future__ import annotations

import random
import threading
import time

REQUEST_SECONDS = 1.0
"""At least so far apart are requests to a server that may be away."""
MOST_BACKOFF_SECONDS = 15.0


class Pace:
    """Gives requests their time; for several threads."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._answers = False
        self._next = 0.0
        self._is_stopped = False

    def wait(self, *, is_renewal: bool = False) -> bool:
        """Return when a request may go out; False: not any more."""
        with self._condition:
            if self._may_hurry(is_renewal):
                return not self._is_stopped
            slot = max(time.monotonic(), self._next)
            self._next = slot + random.uniform(1.0, 1.2) * REQUEST_SECONDS
            while (left := slot - time.monotonic()) > 0 and not self._may_hurry(is_renewal):
                self._condition.wait(left)
            return not self._is_stopped

    def _may_hurry(self, is_renewal: bool) -> bool:
        return self._is_stopped or (self._answers and not is_renewal)

    def rest(self, seconds: float) -> None:
        """Let so much time pass; less if all is to end."""
        with self._condition:
            self._condition.wait_for(lambda: self._is_stopped, seconds)

    def answered(self) -> None:
        """A request was answered as it should be."""
        with self._condition:
            if not self._answers:  # those that wait need their times no longer
                self._next = min(self._next, time.monotonic() + REQUEST_SECONDS)
            self._answers = True
            self._condition.notify_all()

    def doubt(self) -> None:
        """A connection broke: the server may be away."""
        with self._condition:
            self._answers = False

    def failed(self) -> None:
        """A request failed just now."""
        with self._condition:
            self._answers = False
            self._next = max(self._next, time.monotonic() + REQUEST_SECONDS)

    def stop(self) -> None:
        """Nobody waits any longer."""
        with self._condition:
            self._is_stopped = True
            self._condition.notify_all()


def backoff(failures: int, asked: float = 0.0) -> float:
    """Seconds before a resource is asked for again: jittered, doubling; at least what the server
    asked for, as far as that is reasonable."""
    longest = min(MOST_BACKOFF_SECONDS, REQUEST_SECONDS * 2.0 ** min(failures, 10))
    return max(random.uniform(longest / 2, longest), min(asked, MOST_BACKOFF_SECONDS))
