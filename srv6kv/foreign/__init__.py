"""Decodes bytes that others wrote: values of etcd, answers of servers, logs, files.

Rule: whatever the bytes are, what comes out is a value or ``Unreadable``, never another exception.
Nothing else calls a decoder of JSON (``yamllines`` reads YAML under limits of its own); a test
holds this.
"""

from __future__ import annotations

import json
from typing import Any, TypeAlias, TypeVar, overload

import msgspec

MAX_DEPTH = 100
"""How deep a plain value may nest: the agent's values nest five levels, and what walks through a
plain value, or encodes it, recurses."""
MOST_BYTES = 4 << 20
"""More than a value of etcd has: a request to it takes 1.5 MiB unless its operator allows more."""
MOST_ANSWER_BYTES = 64 << 20
"""Of an answer of the agent, or a file: 100,000 values are 20 MiB."""
MOST_LIST_BYTES = 512 << 20
"""Of a page of an API server's list: 500 objects of 1 MiB."""
MOST_COMMAS = 1 << 21
"""How many scalars a plain value may hold: each takes up to 100 bytes of memory. Commas within
texts count, too."""
BYTES_A_CONTAINER = 64
"""A plain value may hold one list or object for so many of the bytes that are read: each takes
60 to 300 bytes of memory, and time to walk through. The largest policy has one for 23 bytes."""
_MOST_TEXT = 300
"""How much an error says: it may quote what others wrote."""

T = TypeVar("T")
Text: TypeAlias = bytes | str | msgspec.Raw


class Unreadable(ValueError):
    """Bytes of others that are not what they should be, and in which line of a text; 0: unknown."""

    def __init__(self, problem: str, line: int = 0) -> None:
        super().__init__(problem)
        self.line = line


def decode(data: Text, kind: type[T], *, most: int = MOST_BYTES, is_unique: bool = False) -> T:
    """Decode JSON into a type that says how deep it is: a struct, a list of raw values.

    Args:
        most: how many bytes are read.
        is_unique: refuse an object that has a member twice, as the agent does (protojson), so that
            what it refuses counts for nothing here either.

    Raises:
        Unreadable: it is not JSON in UTF-8, not of this type, too large, or nests too deep.
    """
    if len(data) > most:
        _refuse_large(data, most)
    try:
        found = msgspec.json.decode(data, type=kind)
        if is_unique:
            _refuse_twins(data)
    except (ValueError, RecursionError, MemoryError) as error:
        raise Unreadable(_text_of(error)) from None
    return found


@overload
def plain(data: Text, kind: type[T], *, most: int = ..., is_unique: bool = ...) -> T: ...


@overload
def plain(data: Text, kind: Any = ..., *, most: int = ..., is_unique: bool = ...) -> Any: ...


def plain(data: Text, kind: Any = Any, *, most: int = MOST_BYTES, is_unique: bool = False) -> Any:
    """Decode JSON into dictionaries, lists and scalars of any shape. Unreadable as for ``decode``,
    and if it nests deeper than ``MAX_DEPTH`` or holds so many values that they would fill the
    memory."""
    size = len(data)
    _refuse_large(data, most)
    if size > 2 * most // BYTES_A_CONTAINER:  # each has two brackets
        _refuse_many(data, most // BYTES_A_CONTAINER)
    found = decode(data, kind, most=most, is_unique=is_unique)
    if size > 2 * MAX_DEPTH:  # as above
        _refuse_deep(found)
    return found


def convert(value: Any, kind: type[T], *, strict: bool = True) -> T:
    """Convert a plain value of others to a type; Unreadable if it is not of this type."""
    try:
        return msgspec.convert(value, kind, strict=strict)
    except (ValueError, RecursionError, MemoryError) as error:
        raise Unreadable(_text_of(error)) from None


def text(data: bytes, *, most: int = MOST_ANSWER_BYTES) -> str:
    """Decode UTF-8; Unreadable if it is none, or too large."""
    _refuse_large(data, most)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Unreadable("not UTF-8", data.count(b"\n", 0, error.start) + 1) from None


def refuse_halves(text: str) -> None:
    """Raise Unreadable for a text with bytes that were not UTF-8, or half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Unreadable("not UTF-8") from None


def brief(text: str, most: int = _MOST_TEXT) -> str:
    """Shorten a text that may quote what others wrote: its beginning and its end."""
    half = most // 2
    return text if len(text) <= most else f"{text[:half]} ... {text[-half:]}"


def _refuse_large(data: Text, most: int) -> None:
    if len(data) > most:
        raise Unreadable(f"{len(data)} bytes, more than the {most} that are read")


def _refuse_many(data: Text, most: int) -> None:
    """Refuse what would fill the memory."""
    found = data.encode(errors="replace") if isinstance(data, str) else bytes(data)
    if found.count(b"[") + found.count(b"{") > most:
        raise Unreadable(f"more than {most} lists and objects")
    if found.count(b",") >= MOST_COMMAS:
        raise Unreadable(f"more than {MOST_COMMAS} values")


def _refuse_deep(value: Any) -> None:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_DEPTH):
        if not level:
            return
        level = [
            item
            for one in level
            for item in (one.values() if isinstance(one, dict) else one)
            if isinstance(item, dict | list)
        ]
    if level:
        raise Unreadable(f"nests deeper than {MAX_DEPTH} levels")


def _refuse_twins(data: Text) -> None:
    """Refuse an object with two members of one name. msgspec would take the later one, and so is
    run first: what comes here is JSON."""
    whole = data if isinstance(data, str) else str(bytes(data), "utf-8")
    _TWINS.decode(whole.strip(" \t\r\n"))


def _members(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        twin = next(name for name in names if names.count(name) > 1)
        raise Unreadable(f"member {brief(twin, 60)!r} is there twice")


_TWINS = json.JSONDecoder(object_pairs_hook=_members)


def _text_of(error: Exception) -> str:
    """What is wrong, in our words where a library's differ between its versions."""
    match error:
        case RecursionError():
            return "nests too deep"
        case MemoryError():
            return "takes more memory than there is"
        case UnicodeError():
            return "not UTF-8"
        case _:
            return brief(str(error))
