"""Objects with elements or fields of the wrong type: what can be used, and what was skipped.

Rule: pure. ``read`` takes objects that do not decode as ``wire`` has them. An element that cannot
be used is None in its list, so that the others keep their places; a field is as if it were unset.
What holds others (a list, a mapping) and is none leaves nothing to use of the object around it.
``each``, ``one`` and ``word`` convert what was read, and skip what makes no sense.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from srv6kv import foreign
from srv6kv.kube import checks
from srv6kv.kube.checks import ParseError

Item = TypeVar("Item")
Value = TypeVar("Value")

MOST_NAMED = 3
"""Elements that a note names; it counts the others."""

_ADVICE = {"hints", "nodePort"}
"""Fields of elements without which the element can still be used."""
_WHAT = {
    inspect.StrType: (str, "text"),
    inspect.IntType: (int, "a whole number"),
    inspect.BoolType: (bool, "true or false"),
}


@dataclass(slots=True)
class Skipped:
    """What of one object cannot be used and is skipped; the first few as ``field: problem``."""

    named: list[str] = field(default_factory=list)
    _fields: set[str] = field(default_factory=set)
    _dropped: set[str] = field(default_factory=set)

    def add(self, error: ParseError) -> None:
        """Add a field or element; the first problem of one counts."""
        if error.field not in self._fields:
            self._fields.add(error.field)
            if len(self.named) < MOST_NAMED:
                self.named.append(str(error))

    def drop(self, element: str, error: ParseError) -> None:
        """Add an element that is dropped as a whole, for what is wrong somewhere in it."""
        self.add(error)
        self._dropped.add(element)

    def __contains__(self, path: object) -> bool:
        return path in self._fields or path in self._dropped

    def __bool__(self) -> bool:
        return bool(self._fields)

    def __str__(self) -> str:
        """All of it in one text of a bounded length."""
        more = len(self._fields) - len(self.named)
        return "; ".join([*self.named, *([f"and {more} more"] if more else [])])


def read(value: object, fields: type[msgspec.Struct], skipped: Skipped) -> Any:
    """Read what can be used of a plain object with these fields; ParseError if nothing can."""
    return _read(value, _type_of(fields), "", skipped, is_element=False)


@lru_cache(maxsize=8)
def _type_of(fields: type[msgspec.Struct]) -> inspect.Type:
    return inspect.type_info(fields)


def _read(
    value: object, kind: inspect.Type, path: str, skipped: Skipped, *, is_element: bool
) -> Any:
    match kind:
        case inspect.UnionType(types=types):
            [other] = [item for item in types if not isinstance(item, inspect.NoneType)]
            if value is None:
                return None
            return _read(value, other, path, skipped, is_element=is_element)
        case inspect.StructType():
            return _struct(value, kind, path, skipped, is_element=is_element)
        case inspect.ListType(item_type=item_type):
            return _list(value, item_type, path, skipped)
        case inspect.DictType():
            return _dict(value, path, skipped)
    plain, what = _WHAT[type(kind)]
    try:
        return foreign.convert(value, plain)
    except foreign.Unreadable:
        raise ParseError(path, f"is not {what}") from None


def _struct(
    value: object, kind: inspect.StructType, path: str, skipped: Skipped, *, is_element: bool
) -> Any:
    if not isinstance(value, Mapping):
        raise ParseError(path, "is not an object")
    found: dict[str, Any] = {}
    for item in kind.fields:
        place = f"{path}.{item.encode_name}" if path else item.encode_name
        if item.encode_name not in value:
            if item.required:
                raise ParseError(place, "is missing")
            continue
        try:
            found[item.name] = _read(
                value[item.encode_name], item.type, place, skipped, is_element=is_element
            )
        except ParseError as error:
            is_advice = is_element and item.encode_name in _ADVICE
            if item.required or not (is_advice or (_is_plain(item.type) and not is_element)):
                raise
            skipped.add(error)
    return kind.cls(**found)


def _is_plain(kind: inspect.Type) -> bool:
    """Whether a field holds nothing else."""
    types = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    return not any(
        isinstance(item, inspect.StructType | inspect.ListType | inspect.DictType) for item in types
    )


def _list(value: object, kind: inspect.Type, path: str, skipped: Skipped) -> list[Any]:
    if not isinstance(value, list):
        raise ParseError(path, "is not a list")
    found: list[Any] = []
    for index, item in enumerate(value):
        try:
            found.append(_read(item, kind, f"{path}[{index}]", skipped, is_element=True))
        except ParseError as error:
            skipped.drop(f"{path}[{index}]", error)
            found.append(None)
    return found


def _dict(value: object, path: str, skipped: Skipped) -> dict[str, str]:
    """Labels or annotations. One that is no text counts as empty: it is there all the same."""
    if not isinstance(value, Mapping):
        raise ParseError(path, "is not an object")
    found = {}
    for key, item in value.items():
        if item is not None and not isinstance(item, str):
            skipped.add(ParseError(f"{path}[{key}]", "is not text"))
        found[str(key)] = item if isinstance(item, str) else ""
    return found


def each(
    field: str,
    items: Sequence[Item | None] | None,
    convert: Callable[[str, Item], Value],
    skipped: Skipped,
) -> Iterator[Value]:
    """Convert the elements of a list; those that cannot be used are skipped."""
    for index, item in enumerate(items or ()):
        place = f"{field}[{index}]"
        try:
            if item is not None:
                yield convert(place, item)
            elif place not in skipped:
                checks.refuse(place, "is null")
        except ParseError as error:
            skipped.add(error)


def one(
    field: str, text: str | None, convert: Callable[[str, str], Value], skipped: Skipped
) -> Iterator[Value]:
    """Convert a field if it is set; one that cannot be used is skipped."""
    try:
        if text:
            yield convert(field, text)
    except ParseError as error:
        skipped.add(error)


def word(field: str, text: str | None, skipped: Skipped, *words: str) -> str:
    """One of the words that the API knows, else "" for the default."""
    try:
        return checks.word(field, text, *words)
    except ParseError as error:
        skipped.add(error)
        return ""
