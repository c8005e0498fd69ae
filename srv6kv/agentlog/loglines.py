"""Unwraps the lines of a log from what containers, journals and collectors put around them.

Rule: a wrapping is taken off only where it begins a line and has one of the known forms; a line
of the agent itself begins with blanks or with a frame and is passed on as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from srv6kv import foreign

_DOCKER_PART = 16 * 1024
"""Docker cuts longer lines into parts of so many bytes; only the last part ends in a newline."""

_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
_CLOCK = r"\d\d:\d\d:\d\d(?:\.\d+)?"
_JOURNAL = rf"""
      [A-Z][a-z]{{2}}[ ][ \d]\d[ ]{_CLOCK}                  # Nov  2 23:27:51
    | [A-Z][a-z]{{2}}[ ]\d{{4}}-\d\d-\d\d[ ]{_CLOCK}[ ]\S+  # Mon 2026-11-02 23:27:51 UTC
    | \d+\.\d{{6}}                                        # since 1970
    | \[[ ]*\d+\.\d+\]                                   # since the start
"""
"""How journalctl prints times, other than that of RFC 3339."""
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_PREFIX = re.compile(
    rf"""
      \[[\w./-]+\](?:[ ]|$)                                         # kubectl logs --prefix
    | [\w.@-]+[ ]+\|(?:[ ]|$)                                       # docker compose, a service
    | (?:{_JOURNAL})[ ]\S+[ ][^\s:]+:(?:[ ]|$)                      # a journal
    | {_TIME}[ ]\S+[ ][^\s:]+\[\d+\]:(?:[ ]|$)                      # a journal
    | {_TIME}[ ](?P<stream>stdout|stderr)[ ](?P<tag>[FP])(?:[ ]|$)  # files of containerd, CRI-O
    | {_TIME}(?:[ ]|$)                                              # kubectl logs --timestamps
    """,
    re.VERBOSE | re.ASCII,
)
_TEXTS = ("log", "message", "MESSAGE", "msg")
"""The members of a line of JSON that may hold what was logged."""


class _Wrapped(NamedTuple):
    """What a line holds; ``is_part``: the rest of it is on the stream's next line."""

    text: str
    stream: str = ""
    is_part: bool = False


def plain(log: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Each logged line without its wrapping and its newline, and the line where it begins.

    Lines that a container runtime has cut into parts are put together again.
    """
    parts: dict[str, tuple[int, str]] = {}
    for number, raw in enumerate(log, start=1):
        line = raw.rstrip("\r\n")
        if line[:1] in ("", " ", "+", "-", "*"):
            yield number, line
            continue
        found = _unwrapped(line)
        if found.is_part or found.stream in parts:
            start, begun = parts.pop(found.stream, (number, ""))
            if found.is_part:
                parts[found.stream] = start, begun + found.text
                continue
            yield start, begun + found.text
        elif "\n" in found.text:
            yield from ((number, one) for one in found.text.splitlines())
        else:
            yield number, found.text
    yield from parts.values()


def _unwrapped(line: str) -> _Wrapped:
    if line.startswith("\ufeff"):
        line = line[1:]
    if "\x1b" in line:
        line = _COLOUR.sub("", line)
    if line.startswith(('{"', '"')):
        return _of_json(line)
    while found := _PREFIX.match(line):
        line = line[found.end() :]
        if found["stream"]:
            return _Wrapped(line, found["stream"], found["tag"] == "P")
    return _of_json(line) if line.startswith('{"') else _Wrapped(line)


def _of_json(line: str) -> _Wrapped:
    """What a line of JSON says, or a REST answer; what only looks like JSON is passed on."""
    try:
        body = foreign.plain(line, dict[str, Any] | str)
    except foreign.Unreadable:
        return _Wrapped(line)
    if isinstance(body, str):
        return _Wrapped(body)
    found = (_text_of(body.get(name)) for name in _TEXTS)
    text = next((one for one in found if one is not None), None)
    if text is None:
        return _Wrapped(line)
    is_part = "\n" not in text[-1:] and "log" in body and len(text.encode()) >= _DOCKER_PART
    return _Wrapped(text.removesuffix("\n"), f"json {body.get('stream', '')}", is_part)


def _text_of(value: object) -> str | None:
    """A text, also as the numbers of its bytes: so a journal has what it cannot print."""
    if isinstance(value, list):
        with suppress(TypeError, ValueError):
            return bytes(value).decode(errors="surrogateescape")
    return value if isinstance(value, str) else None
