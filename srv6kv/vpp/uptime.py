"""How long VPP has been running, and whether it has interfaces, in its own words."""

from __future__ import annotations

import re
from dataclasses import dataclass

CLOCK = "show clock"
INTERFACES = "show interface"
TOLERANCE_SECONDS, TOLERANCE = 0.2, 0.1
"""VPP's start may seem to move by so much, and so much of its uptime: it corrects its clock, whose
frequency it measures at its start."""

_NOW = re.compile(r"Time now ([0-9]{1,12}(?:\.[0-9]{1,9})?)\b")
_INTERFACE = re.compile(r"^(\S+) +[0-9]+ +(?:up|down)\b", re.MULTILINE)
_LOCAL = "local0"


def uptime_of(text: str) -> float | None:
    """Read the seconds since VPP's start in the answer to ``CLOCK``; None: it does not say."""
    found = _NOW.search(text)
    return float(found[1]) if found else None


def interfaces_of(text: str) -> int:
    """Count the interfaces in the answer to ``INTERFACES``, without the one of its own."""
    return sum(name != _LOCAL for name in _INTERFACE.findall(text))


@dataclass(slots=True)
class Boots:
    """Finds restarts in what VPP says of its uptime.

    Two answers are compared with each other, so that clocks that drift apart do not matter; and
    only a later start counts, so that an answer may take any time.

    Attributes:
        began: monotonic time at which VPP's last start was at the latest; None: not observed yet.
    """

    began: float | None = None

    def has_restarted(self, uptime: float, asked: float, answered: float) -> bool:
        """Apply an answer; whether VPP has restarted since the one before.

        Args:
            uptime: as VPP says.
            asked: monotonic time before it was asked.
            answered: the same afterwards.
        """
        before, self.began = self.began, answered - uptime
        if before is None:
            return False
        return asked - uptime > before + TOLERANCE_SECONDS + TOLERANCE * uptime
