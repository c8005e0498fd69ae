"""What ``show sr localsids``, ``policies``, ``steering-policies`` and ``encaps source addr`` say.

Rule: the text of every VPP from 19.04 to 26.06 (VPP rule V12), as VPP wrote it or as it
was copied from a terminal: backspaces, CRLF, colours, leftovers of the pager and prompts do not
matter. Lines outside of an output are passed over; one that makes no sense inside is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from srv6kv.errors import InputError
from srv6kv.vpp.showsr_values import (
    BUILT_IN,
    COMMANDS,
    SECTIONS,
    Localsid,
    Policy,
    SegmentList,
    ShowSr,
    Steering,
    address_of,
    prefix_of,
)

_ESCAPE = re.compile(
    r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][0-9A-Za-z]|[=>78cDEHM])"
)
_PAGER = re.compile(r"-- more --(?: ?\([0-9]+-[0-9]+/[0-9]+\))?")
_PROMPT = re.compile(r"(?:DBG)?vpp# ?")
_OVER = re.compile(
    r"(?:\[.*\]|(?:\S+ )?\S*)[#$%>](?: |\Z)|.*\bvppctl\b|.*\bsho?w? |SR "
    r"|.*\bunknown (?:input|command)\b|(?:exit|logout|quit|\^[A-Z])\Z"
    r"|Connection to |command terminated "
)
"""A prompt of a shell, a command, VPP's word that it does not know one, the end of a session, or
another output of SR: an output is over."""
_END = re.compile(r"-{5,}\Z")
_SOURCE = re.compile(r"SR encaps source addr = (\S+)\Z")
_BSID = re.compile(r"\[([0-9]+)\]\.- ?BSID: ?(\S+)\Z")
_LIST = re.compile(r"\s*\[([0-9]{1,10})\]\.-\s*<([^>]*)>\s*weight:\s*([0-9]{1,20})(.*)", re.DOTALL)
_FIELD = re.compile(r"(Behavior|EncapSrcIP|Type|FIB table): ?(.+)\Z")
_TARGET = re.compile(r"(Iface|Next hop|Table): ?(.+)\Z")
_COUNTER = re.compile(r"(?:Good|Bad) traffic: ?\[[0-9]+ packets : [0-9]+ bytes\]\Z")
_NUMBER = re.compile(r"[0-9]{1,10}\Z")
_ELIDED = "..."
_MARK = "\ufeff"
"""Of the byte order: some editors begin a file with it."""
_UNSUPPORTED = "Unsupported yet."
_HEADERS = {
    "SRv6 - My LocalSID Table:": "localsids",
    "SR policies:": "policies",
    "SR steering policies:": "steerings",
}
_COMMANDS = dict(zip(SECTIONS, COMMANDS, strict=True))


def read(text: str) -> ShowSr:
    """What is shown in a text with any of the outputs, in any order.

    Raises:
        InputError: no output is in it, one is in it twice, or a line makes no sense; the text
            names the line.
    """
    reader, number = _Reader(), 0
    try:
        for number, line in enumerate(text.removeprefix(_MARK).split("\n"), start=1):
            reader.read(number, line)
        found = reader.end()
    except ValueError as error:
        raise InputError(f"line {number}: {error}") from None
    if found == ShowSr():
        raise InputError("line 1: there is no output of 'show sr ...' in it")
    return found


def merged(parts: Iterable[ShowSr]) -> ShowSr:
    """Several texts as one.

    Raises:
        InputError: the same output is in two of them.
    """
    shown: dict[str, Any] = {"unsupported": 0, "elided": frozenset()}
    for part in parts:
        for name in (*SECTIONS, "encap_source"):
            found = getattr(part, name)
            if found is not None and name in shown:
                raise InputError(f"the {name.replace('_', ' ')} are shown twice")
            shown |= {name: found} if found is not None else {}
        shown["unsupported"] += part.unsupported
        shown["elided"] |= part.elided
    return ShowSr(**shown)


def _plain(line: str) -> str:
    """A line as it was meant: of what a terminal wrote over itself, the first that is there."""
    line = _PAGER.sub("", _ESCAPE.sub("", line))
    return next((part for part in line.split("\r") if part.strip()), "")


def _rubbed_out(text: str) -> str:
    """The text after its backspaces."""
    if "\b" not in text:
        return text
    left: list[str] = []
    for letter in text:
        if letter != "\b":
            left.append(letter)
        elif left:
            left.pop()
    return "".join(left)


def _number(name: str, text: str) -> int:
    if not _NUMBER.match(text):
        raise ValueError(f"{name}: {text[:40]!r} is not a number")
    return int(text)


@dataclass(slots=True)
class _Entry:
    """An entry whose last line has not come yet."""

    line: int
    name: str
    index: int = 0
    fields: dict[str, str] = field(default_factory=dict)
    lists: list[SegmentList] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    has_junk: bool = False

    def get(self, name: str) -> str:
        if name not in self.fields:
            raise ValueError(f"the entry that begins in line {self.line} has no {name!r}")
        return self.fields[name]

    def put(self, name: str, value: str) -> None:
        if name in self.fields:
            raise ValueError(f"the entry that begins in line {self.line} has {name!r} twice")
        self.fields[name] = value


class _Reader:
    """Takes one line after the other."""

    def __init__(self) -> None:
        self._shown: dict[str, list[Any]] = {}
        self._source: str | None = None
        self._unsupported = 0
        self._elided: set[str] = set()
        self._section = ""
        self._entry: _Entry | None = None
        self._line = 0

    def read(self, number: int, line: str) -> None:
        """Read a line.

        Raises:
            ValueError: it makes no sense where it is.
        """
        self._line = number
        raw = _plain(line)
        if self._section == "policies" and (found := _LIST.match(raw)):
            self._take_list(found)
            return
        text = " ".join(_rubbed_out(raw).split())
        bare = _PROMPT.sub("", text)
        if bare in _HEADERS:
            self._begin(_HEADERS[bare])
        elif found := _SOURCE.match(bare):
            self._begin("")
            if self._source is not None:
                raise ValueError("the encap source is shown twice")
            self._source = address_of(found[1])
        elif bare != text:
            self._begin("")
        elif text and self._section:
            self._read_line(text)

    def end(self) -> ShowSr:
        """All that was shown.

        Raises:
            ValueError: the last entry has no end.
        """
        self._begin("")
        shown: dict[str, Any] = {name: tuple(listed) for name, listed in self._shown.items()}
        elided = frozenset(self._elided)
        return ShowSr(
            **shown, encap_source=self._source, unsupported=self._unsupported, elided=elided
        )

    def _begin(self, section: str) -> None:
        """An output is over; another one may begin."""
        if self._entry is not None:
            raise ValueError(f"the entry that begins in line {self._entry.line} does not end")
        if section in self._shown:
            raise ValueError(f"the {section} are shown twice")
        self._section = section
        if section:
            self._shown[section] = []

    def _read_line(self, text: str) -> None:
        if text == _ELIDED:
            self._elided.add(self._section)
        elif self._entry is not None:
            self._read_part(self._entry, text)
        elif _END.match(text) or not text.strip("="):
            pass
        elif not self._opens(text):
            if not _OVER.match(text):
                command = _COMMANDS[self._section]
                raise ValueError(f"{text[:80]!r} is nothing that {command!r} prints")
            self._begin("")

    def _opens(self, text: str) -> bool:
        """Begin the entry that this line begins, if it does."""
        if self._section == "steerings":
            return self._read_steering(text)
        if self._section == "policies":
            if found := _BSID.match(text):
                index = _number("index", found[1])
                self._entry = _Entry(self._line, address_of(found[2]), index)
        elif text.startswith(_UNSUPPORTED):
            self._entry = _Entry(self._line, "")
        elif text.startswith("Address:"):
            self._entry = _Entry(self._line, text.removeprefix("Address:").strip())
        return self._entry is not None

    def _read_part(self, entry: _Entry, text: str) -> None:
        if _END.match(text):
            self._entry = None
            if self._section == "policies":
                self._shown["policies"].append(_policy(entry))
            elif entry.name:
                self._shown["localsids"].append(_localsid(entry))
            else:
                self._unsupported += 1
        elif self._section == "localsids":
            _read_localsid(entry, text)
        elif found := _FIELD.match(text):
            entry.put(found[1], found[2])
        elif text != "Segment Lists:" and not entry.has_junk:
            raise ValueError(f"{text[:80]!r} is no part of a policy")

    def _take_list(self, found: re.Match[str]) -> None:
        """Old versions print what lies in memory behind the weight: it is passed over."""
        if self._entry is None:
            raise ValueError("a segment list outside of a policy")
        words = _rubbed_out(found[2]).replace(",", " ").split()
        segments = tuple(address_of(word) for word in words)
        self._entry.lists.append(SegmentList(segments, int(found[3]), int(found[1])))
        self._entry.has_junk = self._entry.has_junk or bool(found[4].strip())

    def _read_steering(self, text: str) -> bool:
        words = text.split()
        if words == ["Traffic", "SR", "policy", "BSID"]:
            return True
        if words[0] == "L3" and len(words) == 3:
            traffic = prefix_of(words[1])
        elif words[0] == "L2" and len(words) >= 3:
            traffic = " ".join(words[1:-1])
        else:
            return False
        self._shown["steerings"].append(Steering(words[0], traffic, address_of(words[-1])))
        return True


def _policy(entry: _Entry) -> Policy:
    behaviour = entry.get("Behavior")
    if behaviour not in ("Encapsulation", "SRH insertion"):
        raise ValueError(f"Behavior: {behaviour[:40]!r} is not one of a policy")
    kind = entry.fields.get("Type", "Default").partition(" ")[0]
    if kind not in ("Default", "Spray", "TEF"):
        raise ValueError(f"Type: {kind[:40]!r} is not one of a policy")
    source = entry.fields.get("EncapSrcIP")
    return Policy(
        entry.name,
        behaviour == "Encapsulation",
        kind,
        _number("FIB table", entry.get("FIB table")),
        tuple(entry.lists),
        None if source is None else address_of(source),
        entry.index,
    )


def _read_localsid(entry: _Entry, text: str) -> None:
    name, _, value = text.partition(":")
    behaviour = _behaviour(entry.fields.get("Behavior", ""))
    if _COUNTER.match(text):
        return
    if text == "PSP: True":
        entry.put("PSP", "True")
    elif name == "Behavior" and "Behavior" not in entry.fields:
        entry.put("Behavior", value.strip())
    elif (found := _TARGET.match(text)) and found[1] in BUILT_IN.get(behaviour, ()):
        entry.put(found[1], found[2])
    elif "Behavior" in entry.fields and behaviour not in _CLOSED:
        entry.details.append(text)
    else:
        raise ValueError(f"{text[:80]!r} is no part of a localsid")


_CLOSED = BUILT_IN.keys() - {"uN", "uA"}
"""Nothing but what is known follows these behaviours."""


def _behaviour(text: str) -> str:
    """The keyword; up to 24.10 uN was called End, with the word uSID behind it."""
    keyword = text.partition(" ")[0]
    return "uN" if keyword == "End" and "[uSID:" in text else keyword


def _localsid(entry: _Entry) -> Localsid:
    sid, slash, length = entry.name.partition("/")
    behaviour = _behaviour(entry.get("Behavior"))
    target = {name: entry.get(name) for name in BUILT_IN.get(behaviour, ())}
    hop = target.get("Next hop")
    table = target.get("Table")
    return Localsid(
        address_of(sid),
        _number("Address", length) if slash else None,
        behaviour,
        target.get("Iface"),
        None if hop is None else address_of(hop),
        None if table is None else _number("Table", table),
        "PSP" in entry.fields,
        tuple(entry.details),
    )
