"""How long etcd takes to answer, measured, and the patience that follows from it.

Rule: what is smoothed is what TCP smooths for its retransmissions (RFC 6298). No clock here: times
are arguments.
"""

from __future__ import annotations

LOOK_SECONDS = 0.2
"""A call that takes longer than that, and longer than calls take, is worth a look around."""
REPLY_SECONDS = 0.3
"""So long, at least, a member has to say that it is alive."""
MOST_SECONDS = 20.0


class Latency:
    """The time from a request to its answer; changed and read by any thread.

    Attributes:
        mean: smoothed seconds; 0 before the first answer.
        is_certain: whether it is more than the first answer, in whose time the connection was made.
    """

    def __init__(self) -> None:
        self.mean = 0.0
        self.is_certain = False
        self._spread = 0.0
        self._stretch = 1.0

    def answered(self, seconds: float) -> None:
        """Count an answer that came after so many seconds."""
        self._stretch = 1.0
        if not self.is_certain:
            self.is_certain = self.mean > 0
            self.mean, self._spread = seconds, seconds / 2
            return
        self._spread += (abs(seconds - self.mean) - self._spread) / 4
        self.mean += (seconds - self.mean) / 8

    def timed_out(self) -> None:
        """Give the next calls twice the time: a slow server must not be asked the same for ever."""
        self._stretch = min(2 * self._stretch, 4.0)

    @property
    def usual(self) -> float:
        """Seconds within which nearly every answer comes."""
        return self.mean + 4 * self._spread

    @property
    def look(self) -> float:
        """Seconds after which a call is overdue."""
        return max(LOOK_SECONDS, self.usual)

    @property
    def reply(self) -> float:
        """Seconds within which a member that is alive says so."""
        return max(REPLY_SECONDS, self.usual)

    def deadline(self, least: float) -> float:
        """Seconds after which a call is given up anyway; ``least`` on a fast network."""
        return min(max(least, 2 * self.usual) * self._stretch, max(least, MOST_SECONDS))
