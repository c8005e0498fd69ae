"""Reads the protobuf text of the agent's log into plain JSON values with canonical names.

Rule: strict. Whatever the agent would not have written is an error that names the field; only
blanks, brackets and the spelling of names may differ, because they differ between agents.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from srv6kv.ligato import schema

_CLOSING = {"<": ">", "{": "}"}
_MOST_UINT32 = 2**32 - 1

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<name>[A-Za-z_]\w*)
      | (?P<number>[0-9]{1,20})(?![\w.])
      | (?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      | (?P<mark>[:<>{}])
      | (?P<end>\Z)
    )""",
    re.VERBOSE | re.ASCII,
)
_ESCAPE = re.compile(
    r"""\\(?:
        (?P<octal>[0-7]{1,3})
      | [xX](?P<hex>[0-9A-Fa-f]{1,2})
      | u(?P<short>[0-9A-Fa-f]{4})
      | U(?P<long>[0-9A-Fa-f]{8})
      | (?P<letter>[abfnrtv"'\\?])
      | (?P<other>)
    )""",
    re.VERBOSE,
)
_LETTERS = dict(zip("abfnrtv\"'\\?", "\a\b\f\n\r\t\v\"'\\?", strict=True))


class _Token(NamedTuple):
    kind: str
    text: str


class _Reader:
    """The tokens of one text, one ahead, and the path of the field that is being read."""

    def __init__(self, text: str) -> None:
        self._tokens = self._tokenise(text)
        self.path: list[str] = []
        self.next = next(self._tokens)

    def _tokenise(self, text: str) -> Iterator[_Token]:
        at = 0
        while True:
            found = _TOKEN.match(text, at)
            if found is None:
                raise self.error(f"cannot read {text[at : at + 20].strip()!r}")
            kind = found.lastgroup or ""
            yield _Token(kind, found[kind])
            at = found.end()

    def error(self, reason: str) -> ValueError:
        """An error at the field that is being read."""
        return ValueError(f"{'.'.join(self.path)}: {reason}" if self.path else reason)

    def take(self, kind: str, text: str | None = None) -> str:
        """The next token, which has to be of this kind and text."""
        token = self.next
        if token.kind != kind or (text is not None and token.text != text):
            raise self.error(
                f"{repr(text) if text else kind} expected, found {token.text or 'the end'!r}"
            )
        if kind != "end":
            self.next = next(self._tokens)
        return token.text

    def takes(self, kind: str, text: str) -> bool:
        """Whether the next token was this one; then it is taken."""
        is_next = self.next == (kind, text)
        if is_next:
            self.take(kind, text)
        return is_next


def parse(descriptor: Descriptor, text: str) -> dict[str, Any]:
    """The value of ``{ field:... }`` as JSON with canonical field names, without defaults.

    Raises:
        ValueError: it is not the text of this message; the field is named.
    """
    reader = _Reader(text)
    value = _message(reader, descriptor)
    reader.take("end")
    return value


def _message(reader: _Reader, descriptor: Descriptor) -> dict[str, Any]:
    if reader.next.text not in _CLOSING:
        raise reader.error(f"'{{' expected, found {reader.next.text or 'the end'!r}")
    closing = _CLOSING[reader.take("mark")]
    shape = schema.shape_of(descriptor)
    seen: dict[str, str] = {}
    value: dict[str, Any] = {}
    while not reader.takes("mark", closing):
        name = reader.take("name")
        reader.path.append(name)
        field = shape.fields.get(name)
        if field is None:
            raise reader.error(f"no such field in {shape.message}")
        _refuse_second(reader, field, seen)
        _put(value, field, _value(reader, field))
        reader.path.pop()
    return value


def _refuse_second(reader: _Reader, field: FieldDescriptor, seen: dict[str, str]) -> None:
    """A field that does not repeat occurs once, and of a oneof only one member does."""
    if field.is_repeated:
        return
    slot = field.containing_oneof.name if field.containing_oneof else field.name
    if slot in seen:
        raise reader.error("given twice" if seen[slot] == field.name else f"besides {seen[slot]}")
    seen[slot] = field.name


def _put(value: dict[str, Any], field: FieldDescriptor, item: Any) -> None:
    if field.is_repeated:
        value.setdefault(field.name, []).append(item)
    elif field.has_presence or item != _default_of(field):
        value[field.name] = item


def _default_of(field: FieldDescriptor) -> Any:
    return field.enum_type.values[0].name if field.enum_type else field.default_value


def _value(reader: _Reader, field: FieldDescriptor) -> Any:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        reader.takes("mark", ":")
        return _message(reader, field.message_type)
    reader.take("mark", ":")
    match field.type:
        case FieldDescriptor.TYPE_STRING:
            return _string(reader, reader.take("text"))
        case FieldDescriptor.TYPE_UINT32:
            number = int(reader.take("number"))
            if number > _MOST_UINT32:
                raise reader.error(f"{number} is more than {_MOST_UINT32}")
            return number
        case FieldDescriptor.TYPE_BOOL:
            return _choice(reader, {"true": True, "false": False}.get(reader.next.text))
        case FieldDescriptor.TYPE_ENUM:
            return _choice(reader, schema.enum_value(field, reader.next.text))
        case _:  # pragma: no cover: the models have no further types
            raise reader.error(f"fields of type {field.type} are not known")


def _choice(reader: _Reader, value: str | bool | None) -> str | bool:
    if value is None or reader.next.kind not in ("name", "number"):
        raise reader.error(f"{reader.next.text or 'the end'!r} is none of its values")
    reader.take(reader.next.kind)
    return value


def _string(reader: _Reader, quoted: str) -> str:
    """The text between the quotes; octal and hexadecimal escapes are bytes of its UTF-8."""

    def unescaped(found: re.Match[str]) -> str:
        if found["octal"] or found["hex"]:
            byte = int(found["octal"], 8) if found["octal"] else int(found["hex"], 16)
            if byte > 0xFF:
                raise reader.error(f"{found[0]} is no byte")
            return chr(byte) if byte < 0x80 else chr(0xDC00 + byte)
        if found["short"] or found["long"]:
            point = int(found["short"] or found["long"], 16)
            if point > 0x10FFFF or 0xD800 <= point <= 0xDFFF:
                raise reader.error(f"{found[0]} is no character")
            return chr(point)
        if not found["letter"]:
            raise reader.error("an unknown escape")
        return _LETTERS[found["letter"]]

    try:
        text = _ESCAPE.sub(unescaped, quoted[1:-1])
        return text.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError:
        raise reader.error("not UTF-8") from None
