"""What the agent says of a value, in words and as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from srv6kv.agent.status import State, ValueStatus
from srv6kv.ligato.parts import Json

States = Mapping[str, ValueStatus]
"""By the key (short form) of the value."""
UNKNOWN = "unknown"
_DONE = frozenset({State.CONFIGURED, State.OBTAINED, State.DISCOVERED})


def waits_for(status: ValueStatus, value: Json | None) -> tuple[str, ...]:
    """What a PENDING value waits for, in words where the agent's label is known."""
    if status.state is not State.PENDING:
        return ()
    from srv6kv.verify.needs import needed  # it brings along all of verify

    return tuple(needed(status.key, value, label)[0] or label for label in status.details)


def text_of(status: ValueStatus | None, value: Json | None) -> str:
    """State, reason and error in one line; ``unknown`` if the agent says nothing of the value."""
    if status is None:
        return UNKNOWN
    if waited := waits_for(status, value):
        return f"{status.state}: waits for {', '.join(waited)}"
    why = status.error or ", ".join(status.details)
    return f"{status.state}: {why}" if why else str(status.state)


def plain_of(status: ValueStatus | None) -> dict[str, Any]:
    """State, and error and details if there are any, as plain values."""
    if status is None:
        return {"state": UNKNOWN}
    plain: dict[str, Any] = {"state": str(status.state)}
    if status.error:
        plain["error"] = status.error
    if status.details:
        plain["details"] = list(status.details)
    return plain


def worse_of(one: ValueStatus | None, other: ValueStatus | None) -> ValueStatus | None:
    """The state of what needs both: one that is not there yet before one that is unknown."""
    for status in (one, other):
        if status is not None and status.state not in _DONE:
            return status
    return one if other is not None else None
