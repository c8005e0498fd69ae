"""Log lines: one for each decision, as text or as a JSON object."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from srv6kv.foreign import visible

FORMATS = ("text", "json")


def rfc3339(seconds: float) -> str:
    """A Unix time as text, with milliseconds."""
    when = datetime.fromtimestamp(seconds, UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def tell(
    logger: logging.Logger, level: int, what: str, text: str | None = None, /, **fields: Any
) -> None:
    """Log one decision.

    Args:
        what: its stable name.
        text: for people; without one it is the name and the fields as ``key=value``.
        fields: what belongs to it; plain values.
    """
    if logger.isEnabledFor(level):
        said = text if text is not None else " ".join((what, *map(_pair, fields.items())))
        logger.log(level, "%s", said, extra={"what": what, "fields": fields})


def _pair(item: tuple[str, Any]) -> str:
    name, value = item
    shown = str(value)
    return f"{name}={shown!r}" if not shown or " " in shown else f"{name}={shown}"


def warn(warnings: Sequence[str]) -> None:
    """Log warnings about settings."""
    for warning in warnings:
        tell(logging.getLogger("srv6kv"), logging.WARNING, "settings", warning, text=warning)


def start(level: str, form: str) -> None:
    """Write log lines to standard error from now on, in one of ``FORMATS``."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if form == "json" else _Text())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Libraries warn on standard error otherwise, in lines of their own form.
    logging.captureWarnings(True)


class _Text(logging.Formatter):
    """Time, level and message; what a name brings along cannot begin another line."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # inherited name
        return visible.line(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802  # inherited name
        return visible.block(super().formatException(ei))


class _Json(logging.Formatter):
    """One object: ts, level, msg, and the fields of a decision."""

    def format(self, record: logging.LogRecord) -> str:
        said = record.getMessage()
        what = getattr(record, "what", None)
        fields = {} if what is None else record.__dict__["fields"]
        line = {
            "ts": rfc3339(record.created),
            "level": record.levelname.lower(),
            "msg": what if what is not None else said,
            **fields,
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return visible.encode(line)
