"""When the changes that are not in etcd yet were triggered, as their slices say (rule M7).

The API server's controllers write the time of the pod's or service's change into each slice that
they change for it. Any other text is not measured; it is no error of the object.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from srv6kv.kube.model import Ref

MOST = 10_000
"""So many times are kept; more changes than that can wait only while etcd is away."""


@dataclass(slots=True)
class Triggers:
    """Trigger times of slices since they were last taken."""

    _times: dict[Ref, list[float]] = field(default_factory=dict)
    _number: int = 0

    def add(self, ref: Ref, text: str) -> None:
        """A slice has changed; its annotation says when that was triggered, "" if it says nothing.

        Args:
            text: RFC 3339 with a fraction of any length.
        """
        when = unix_time(text)
        if when is not None and self._number < MOST:
            self._times.setdefault(ref, []).append(when)
            self._number += 1

    def forget(self, ref: Ref) -> None:
        """A slice is gone: its last change is not what is waiting now."""
        self._number -= len(self._times.pop(ref, ()))

    def drain(self) -> list[float]:
        """All that are known (Unix times); they are known no longer."""
        times = [one for listed in self._times.values() for one in listed]
        self._times.clear()
        self._number = 0
        return times


def unix_time(text: str) -> float | None:
    """Seconds since 1970 of an RFC 3339 time with its zone; None: it is none."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return when.timestamp() if when.tzinfo is not None else None
