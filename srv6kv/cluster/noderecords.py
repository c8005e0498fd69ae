"""Node ids that Contiv has allocated, as it records them in etcd (rule N8).

Rule: read, never written. An address that cannot be used is skipped; a record that becomes
unreadable keeps its last good version. Either has a note; only an absent record is gone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from srv6kv import foreign
from srv6kv.kube import checks
from srv6kv.kube.checks import ParseError
from srv6kv.kube.gaps import NODE
from srv6kv.kube.model import Gap
from srv6kv.kube.tolerant import Skipped
from srv6kv.net import addresses
from srv6kv.notes import Kind, Note, Reason, Subject, on_ignored

PREFIX = "/vnf-agent/contiv-ksr/allocatedIDs/"


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """What Contiv has given a node.

    Attributes:
        ip: the first IPv6 address that its VPP has published and that can be used; None: none yet.
    """

    id: int
    name: str
    ip: str | None = None
    skipped: Skipped = field(default_factory=Skipped, compare=False)


class _Raw(msgspec.Struct):
    id: int = 0
    name: str = ""
    ip_addresses: list[object] | None = None
    ip_address: object = ""


class _Named(msgspec.Struct):
    name: str = ""


_CAMEL = re.compile(rb'"ip(Addresses|Address)"\s*:')


def parse(text: str, value: bytes) -> NodeRecord:
    """The record under the key that ends with this text.

    Raises:
        ValueError: it is none; the text names the field.
    """
    value = _CAMEL.sub(lambda found: b'"ip_%s":' % found[1].lower(), value)
    raw = foreign.decode(value, _Raw)
    if raw.id <= 0:
        raise ValueError(f"id: {raw.id} is not a positive number")
    if str(raw.id) != text:
        raise ValueError(f"id: {raw.id} is not that of the key")
    if not raw.name:
        raise ValueError("name: missing")
    skipped = Skipped()
    listed = raw.ip_addresses or [raw.ip_address] * bool(raw.ip_address)
    found = []
    for index, item in enumerate(listed):
        try:
            found.append(_address(f"ip_addresses[{index}]", item))
        except ParseError as error:
            skipped.add(error)
    ip = next((ip for ip in found if "." not in ip), None)
    return NodeRecord(raw.id, raw.name, ip, skipped)


def _address(place: str, text: object) -> str:
    if not isinstance(text, str):
        raise ParseError(place, "is not text")
    address = checks.address(place, text.partition("/")[0])
    if not addresses.is_ordinary(address):
        raise ParseError(place, f"{text} is not an address of a node")
    return address


def name_in(value: bytes) -> str:
    """The node's name in a record that is unreadable otherwise; "" if that is too."""
    try:
        return foreign.decode(value, _Named).name
    except foreign.Unreadable:
        return ""


@dataclass(slots=True)
class Records:
    """All records, by key."""

    _good: dict[str, NodeRecord] = field(default_factory=dict)
    _notes: dict[str, Note] = field(default_factory=dict)
    _gaps: dict[str, Gap] = field(default_factory=dict)

    def apply(self, key: str, value: bytes | None) -> None:
        """Apply one key; None: it is gone."""
        text, subject = key.removeprefix(PREFIX), Subject(Kind.RECORD, key)
        self._notes.pop(text, None)
        self._gaps.pop(text, None)
        if value is None:
            self._good.pop(text, None)
            return
        try:
            record = self._good[text] = parse(text, value)
            if record.skipped:
                self._notes[text] = on_ignored(subject, record.skipped)
        except ValueError as error:
            kept = "its last good version stays" if text in self._good else "it is left out"
            why = f"{foreign.brief(str(error))}; {kept}"
            self._notes[text] = Note(subject, Reason.NODE_RECORD_UNREADABLE, why)
            self._gaps[text] = Gap(NODE, "", name_in(value))

    def replace(self, values: Mapping[str, bytes]) -> None:
        """Replace all keys."""
        for text in self._good.keys() | self._notes.keys():
            if PREFIX + text not in values:
                self.apply(PREFIX + text, None)
        for key, value in sorted(values.items()):
            self.apply(key, value)

    def differing(self, values: Mapping[str, bytes]) -> set[str]:
        """The keys of records that are not known as these values say, if these are all."""
        other = Records(dict(self._good))
        other.replace(values)
        good = {text for text, _ in self._good.items() ^ other._good.items()}
        return {PREFIX + text for text in good | (self._notes.keys() ^ other._notes.keys())}

    def by_name(self) -> dict[str, NodeRecord]:
        """The record of each node; of several the one with the lowest id."""
        ordered = sorted(self._good.values(), key=lambda record: -record.id)
        return {record.name: record for record in ordered}

    def gaps(self) -> Iterator[Gap]:
        """The nodes of records that are unreadable and never were good."""
        yield from (self._gaps[text] for text in self._notes if text not in self._good)

    def notes(self) -> Iterator[Note]:
        """The notes about records that are unreadable now, and on addresses that are ignored."""
        yield from self._notes.values()
