"""Warnings about values in etcd that count as absent because they cannot be read.

Rule: a bad value of others is reported and harms nothing but itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from srv6kv import foreign
from srv6kv.agent.boot import Boot
from srv6kv.notes import Kind, Note, Reason, Subject

MOST = 20
"""More keys than these are one note."""
_NOTED: dict[str, Any] = {"boot": Boot, "ranges": dict[str, list[str]], "shared": dict[str, str]}


def of_ours(prefix: str, noted: Mapping[str, bytes]) -> dict[str, str]:
    """Find the notes of srv6kv about itself that it cannot read any more.

    Args:
        prefix: ``/srv6kv/<label>/``.
        noted: values by the name of each note.

    Returns:
        Why, by whole key.
    """
    return dict(_of_ours(prefix, noted))


def _of_ours(prefix: str, noted: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    for name, kind in _NOTED.items():
        try:
            foreign.decode(noted.get(name) or b"{}", kind)
        except foreign.Unreadable as error:
            yield prefix + name, str(error)


def notes(ours: Mapping[str, str], prefix: str, others: Mapping[str, str]) -> Iterator[Note]:
    """Warn about each key, of others about the first ones.

    Args:
        ours: as ``of_ours`` returns it.
        prefix: of the keys of others: ``/vnf-agent/<label>/``.
        others: why, by short key.
    """
    reason = Reason.VALUE_UNREADABLE
    for key, why in ours.items():
        text = f"{why}; it counts as absent and is written again"
        yield Note(Subject(Kind.KEY, key), reason, text)
    for key in sorted(others)[:MOST]:
        yield Note(Subject(Kind.KEY, prefix + key), reason, f"{others[key]}; it counts as absent")
    if len(others) > MOST:
        more = f"{len(others) - MOST} more cannot be read; they count as absent"
        yield Note(Subject(Kind.KEYS, prefix), reason, more)
