"""What a check says."""

from __future__ import annotations

from dataclasses import dataclass

OK = "ok"
WARNING = "warning"
ERROR = "error"
NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer of one check.

    Attributes:
        check: its stable name.
        verdict: ``OK``, ``WARNING``, ``ERROR`` or ``NOT_CHECKED``.
        remedy: "" if there is nothing to do.
    """

    check: str
    verdict: str
    found: str
    remedy: str = ""
