"""When the API server may be asked: one request a second in trouble, over all resources.

All resources share one pace. While the server answers, lists and the watches after them go out at
once. From the first failure on, requests are at least a second apart over all resources together,
until one of them is answered. A watch that takes up where another ended always keeps that distance:
that a watch ended may be the first that is seen of an outage. When the server answers again, all
that wait for it go on at once.
"""

from __future__ import annotations

import random
import threading
import time

REQUEST_SECONDS = 1.0
"""At least so far apart are requests to a server that may be away."""
MOST_BACKOFF_SECONDS = 15.0
AWAY_BACKOFF_SECONDS = 4.0
"""A request that nothing answers costs the server nothing, and the first one that is answered is to
come soon; all together still keep their distance."""


class Pace:
    """Gives requests their time; for several threads."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._answers = False
        self._is_away = False
        self._recoveries = 0
        self._next = 0.0
        self._is_stopped = False

    def wait(self, *, is_renewal: bool = False) -> bool:
        """Return when a request may go out; False: not any more."""
        with self._condition:
            if self._may_hurry(is_renewal):
                return not self._is_stopped
            before = self._recoveries
            slot = max(time.monotonic(), self._next)
            self._next = slot + random.uniform(1.0, 1.2) * REQUEST_SECONDS
            while (left := slot - time.monotonic()) > 0 and not self._may_hurry(
                is_renewal and before == self._recoveries
            ):
                self._condition.wait(left)
            return not self._is_stopped

    def _may_hurry(self, is_renewal: bool) -> bool:
        return self._is_stopped or (self._answers and not is_renewal)

    def rest(self, seconds: float, *, ends_early: bool = False) -> bool:
        """Let so much time pass; less if all is to end or, with ``ends_early``, when the server
        answers again. Returns: whether it does."""
        with self._condition:
            before = self._recoveries
            self._condition.wait_for(
                lambda: self._is_stopped or (ends_early and self._recoveries != before), seconds
            )
            return self._recoveries != before

    @property
    def answers(self) -> bool:
        """Whether the server's last answer was as it should be."""
        with self._condition:
            return self._answers

    def answered(self) -> None:
        """A request was answered as it should be."""
        with self._condition:
            if not self._answers:  # those that wait need their times no longer
                self._next = min(self._next, time.monotonic() + REQUEST_SECONDS)
            self._recoveries += self._is_away
            self._answers, self._is_away = True, False
            self._condition.notify_all()

    def suspect(self) -> None:
        """A connection broke: the server may be away."""
        with self._condition:
            self._answers = False

    def failed(self, *, is_away: bool = True) -> None:
        """A request failed just now; ``is_away`` if nothing has answered it, or a server that has
        just started."""
        with self._condition:
            self._answers = False
            self._is_away |= is_away
            self._next = max(self._next, time.monotonic() + REQUEST_SECONDS)

    def stop(self) -> None:
        """End all waits."""
        with self._condition:
            self._is_stopped = True
            self._condition.notify_all()
