"""The words of an agent's transaction log, of every generation (agent rule A48)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any

from srv6kv.ligato import keys

Json = dict[str, Any]


class Kind(Enum):
    """Which values a transaction has: northbound changes, all northbound ones, or others."""

    CHANGE = auto()
    RESYNC = auto()
    OTHER = auto()


class Stage(Enum):
    """Which part of a transaction a line stands in."""

    ARGUMENTS = auto()
    VALUES = auto()
    PLANNED = auto()
    EXECUTED = auto()
    DONE = auto()


@dataclass(slots=True)
class Logged:
    """One northbound transaction.

    Attributes:
        sequence: the agent's number of it; None if the log does not say.
        kind: ``RESYNC`` if its values are the whole state.
        values: key without label and canonical JSON, or None for a deleted one, as logged.
        unreadable: keys whose values were logged but could not be read.
        time: when its execution began, RFC 3339 in UTC; "" if nothing was executed.
    """

    line: int
    sequence: int | None = None
    kind: Kind = Kind.CHANGE
    values: list[tuple[str, Json | None]] = field(default_factory=list)
    unreadable: set[str] = field(default_factory=set)
    time: str = ""

    @property
    def name(self) -> str:
        """How a remark calls it."""
        return "a transaction" if self.sequence is None else f"transaction #{self.sequence}"


FRAME = re.compile(r"(?:\+=+\+|o-+o|x-+x)$")
HEADER = re.compile(r"[|x] (?:Transaction )?#(\d+)(?: - (\w+))?\s+(.*?)\s*[|x]$")
"""Header or footer: the number, in logs of 3.x the type, and what stands on the right."""
OPERATION = re.compile(r"\d+\. ([A-Z]+)(?: \[.*\])?:$")

_NAMES = {
    keys.LOCALSID: "sid",
    keys.POLICY: "bsid",
    keys.STEERING: "name",
    keys.LINUX_INTERFACE: "name",
    keys.RULE_CHAIN: "name",
}
"""Models whose key is one field of the value, verbatim."""
_SECTIONS = {
    "* planned operations": Stage.PLANNED,
    "* pre-processing errors": Stage.PLANNED,
    "* executed operations": Stage.EXECUTED,
}
_SECTION = re.compile(r"\* [a-z-]+ [a-z]+")
_TIME = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.(\d{1,9}))? ([+-]\d{4})")
_MODEL = re.compile(r"config/(?:[^/]+/)*?v\d+/[^/]+/?|[^/]+/")
_SHOWN = 100
"""How much of a name an error shows: it may be as long as a line."""
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def section_of(text: str) -> Stage | None:
    """The stage that a line with a star begins, other than the arguments."""
    found = _SECTION.match(text)
    return _SECTIONS.get(found[0]) if found else None


def kind_of(text: str, header: str = "") -> Kind:
    """What stands after ``type:``, in the words of any generation.

    Args:
        header: the right part of the transaction's header, which may say which resync it is.
    """
    plain = re.sub(r"[\s_-]", "", f"{text},{header}").lower()
    if not plain.startswith("nbtransaction") or "sbsync" in plain or "downstream" in plain:
        return Kind.OTHER
    is_whole = any(word in plain for word in ("fullresync", "nbsync", "upstreamresync"))
    return Kind.RESYNC if is_whole else Kind.CHANGE


def time_of(text: str) -> str:
    """When an execution began, to the millisecond; "" if the text does not say."""
    found = _TIME.search(text)
    if found is None:
        return ""
    try:
        moment = datetime.fromisoformat(f"{found[1]}{found[3]}")
        thousandths = (found[2] or "")[:3].ljust(3, "0")
        return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat()}.{thousandths}Z"
    except (ValueError, OverflowError):
        return ""


def model_of(key: str) -> str:
    """What keys of one kind begin with."""
    found = _MODEL.match(key)
    return found[0] if found else key


def parted(key: str) -> tuple[str, str]:
    """The label that a key begins with, or "", and the key without it."""
    label, _, rest = key.removeprefix(keys.AGENT).partition("/")
    is_whole = key.startswith(keys.AGENT) and rest.startswith(keys.CONFIG)
    return (label, rest) if is_whole else ("", key)


def refuse_other(key: str, value: Json | None) -> None:
    """A value whose name is not the key's: then the log has lost lines, or parts of them; and a key
    that is not UTF-8.

    Raises:
        ValueError: it names the field. No agent takes such a pair (agent rule A35).
    """
    try:
        key.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{key}: not UTF-8") from None
    for prefix, name in _NAMES.items():
        own = "" if value is None else value.get(name, "")
        if value is not None and key.startswith(prefix) and key != prefix + own:
            raise ValueError(f"{key}: {name}: {own[:_SHOWN]!r} has another key")


def is_open(text: str) -> bool:
    """Whether a string or a bracket in the text of a value has not ended yet."""
    rest = _STRING.sub("", text)
    opening = sum(rest.count(mark) for mark in "<{")
    return not rest.strip() or '"' in rest or opening > sum(rest.count(mark) for mark in ">}")
