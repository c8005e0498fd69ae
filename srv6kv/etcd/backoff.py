"""The time between tries of what failed: of a write to etcd, or of a request to an API server."""

from __future__ import annotations

import random

MOST_FAILURES = 5
"""So many in a row end a command: another writer that edits faster has to be stopped first."""
LONGEST_SECONDS = 1.0
MOST_ASKED_SECONDS = 15.0
"""What a server asks for is honoured as far as that is reasonable."""


class Backoff:
    """The time between tries: jittered, and doubling with each failure in a row."""

    def __init__(self, first: float = 0.2) -> None:
        self._first = first
        self._failures = 0

    def failed(
        self, longest: float = LONGEST_SECONDS, *, asked: float = 0.0, has_progressed: bool = False
    ) -> float:
        """Count a failure, the first one if something was done since the last. Returns: the seconds
        to wait before the next try, at least those that the server asked for."""
        self._failures = 1 if has_progressed else self._failures + 1
        most = min(longest, self._first * 2.0 ** min(self._failures - 1, 10))
        return max(random.uniform(most / 2, most), min(asked, MOST_ASKED_SECONDS))

    def reset(self) -> None:
        """Forget the failures: it answers again."""
        self._failures = 0

    @property
    def is_exhausted(self) -> bool:
        """Whether a command that ends should give up."""
        return self._failures >= MOST_FAILURES
