"""Whether etcd still has the data that it had: after a restore revisions repeat.

A linearizable answer never has a lower revision than one that came before its request was sent,
whichever member gives it. If it has, or names another cluster, the data was replaced by older or
other data, and nothing that is known about it holds: a revision may name two things.
"""

from __future__ import annotations

import threading
from typing import Any


class Lineage:
    """What answers have said about the data: their highest revision and raft term (a new term means
    a new leader), and how often the data was replaced."""

    def __init__(self) -> None:
        self.revision = 0
        self.term = 0
        self.epoch = 0
        self._cluster = 0
        self._lock = threading.Lock()

    def is_replaced(self, header: Any, before: int) -> bool:
        """Whether a linearizable answer shows that the data was replaced; ``before`` is the
        revision that was known when its request was sent."""
        with self._lock:
            is_other = self._cluster not in (0, header.cluster_id)
            if is_other or header.revision < before:
                self._cluster, self.term = header.cluster_id, header.raft_term
                self.revision = header.revision
                self.epoch += 1
                return True
            self._cluster = header.cluster_id
            self.term = max(self.term, header.raft_term)
            self.revision = max(self.revision, header.revision)
            return False

    def is_behind(self, header: Any) -> bool:
        """Whether an answer that may come from a member that lags behind is a reason to ask."""
        is_other = header.cluster_id not in (0, self._cluster)
        return bool(is_other or header.revision < self.revision)
