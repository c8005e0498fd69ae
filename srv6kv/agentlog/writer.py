"""The agent's transaction log: the text of a value, written and read (agent rule A48).

Rule: writing gives the bytes of the agents that Contiv shipped (v2) or of later ones (v3); reading
takes both, with any number of blanks. JSON in and out has the canonical names of agents 3.x.
Whole logs are read by ``reader``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from google.protobuf import json_format, text_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from srv6kv import foreign
from srv6kv.ligato import schema
from srv6kv.ligato.schema import Api

NIL = "<NIL>"
EMPTY = "<EMPTY>"

_ESCAPES = {0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x22: '\\"', 0x5C: "\\\\"}
_PART = re.compile(
    r"""(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')(?P<more>\s*["'])?|\w+|(?P<odd>[^\s:<>{}"'])""",
    re.ASCII | re.DOTALL,
)
"""A text, a word, or what no agent writes outside of texts: protobuf would take comments, lists and
texts in several pieces, and would lose what follows a ``#``."""
_NAME = re.compile(r"[A-Za-z_]\w*(?=\s*[:<{])")
_ODD_ESCAPE = re.compile(r"""\\[^0-7abfnrtuvxUX"'?]|\\[4-7][0-7]{2}""")

Json = dict[str, Any]


def value_text(key: str, value_json: bytes, api: Api = "v2") -> str:
    """The value as the agent logs it: ``{ field:... }``, fields in the order of their declaration.

    Raises:
        ValueError: a key of an unknown kind, or a value that the agent could not decode.
    """
    return " ".join(["{", *_fields(schema.parse_json(key, value_json), api), "}"])


def lines(key: str, value: bytes | None, api: Api = "v2") -> tuple[str, str]:
    """The two lines of a key and its value, without indentation; None is a deleted value."""
    text = NIL if value is None else value_text(key, value, api)
    return f"- key: {key}", f"val: {text}"


def _fields(message: Message, api: Api) -> Iterator[str]:
    """What is set, in the order of declaration, which is not that of the numbers."""
    for field, value in sorted(message.ListFields(), key=lambda item: item[0].index):
        for item in value if field.is_repeated else [value]:
            yield f"{schema.field_name(field, api)}:{_item(field, item, api)}"


def _item(field: FieldDescriptor, item: Any, api: Api) -> str:
    match field.type:
        case FieldDescriptor.TYPE_MESSAGE:
            if api == "v2":  # every field ends in a blank, the last one too
                return f"<{''.join(f'{field} ' for field in _fields(item, api))}>"
            return f"{{{' '.join(_fields(item, api))}}}"
        case FieldDescriptor.TYPE_STRING:
            return f'"{_escaped(item)}"'
        case FieldDescriptor.TYPE_ENUM:
            return schema.enum_name(field, item, api)
        case FieldDescriptor.TYPE_BOOL:
            return "true" if item else "false"
        case _:
            return str(item)


def _escaped(text: str) -> str:
    return "".join(
        _ESCAPES.get(byte) or (chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03o}")
        for byte in text.encode()
    )


def parse_value(key: str, text: str) -> Json | None:
    """The JSON of a logged value, canonical names and no defaults; None for ``<NIL>``.

    Raises:
        ValueError: a key of an unknown kind, or not the text of its message; it names the field.
    """
    message = schema.known_message(key)()
    text = text.strip()
    if text == NIL:
        return None
    if text == EMPTY:
        return {}
    try:
        _parse(text, message)
    except ValueError as error:
        raise ValueError(f"{key}: {foreign.brief(str(error))}") from None
    found: Json = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return found


def _parse(text: str, message: Message) -> None:
    if text[:1] != "{" or text[-1:] != "}":
        raise ValueError(f"{text[:20]!r} is not in braces")
    body = _PART.sub(_canonical, text[1:-1])
    try:
        text_format.Parse(body, message)
    except text_format.ParseError as error:
        lines = body.split("\n")[: error.GetLine() or 1]
        # The library quotes the whole line, which may be long, but not always the field.
        reason = re.sub(r"^\d+:\d+ : ", "", str(error)).replace(f"'{lines[-1]}': ", "")
        raise _named(lines[-1][: error.GetColumn()], reason.removeprefix("'': ")) from None
    _refuse_unnamed(message)


def _named(before: str, reason: str) -> ValueError:
    """An error with the name of the field that was read last."""
    return ValueError(": ".join([*_NAME.findall(before)[-1:], reason]))


def _canonical(found: re.Match[str]) -> str:
    """A word in the spelling of agents 3.x; a text in quotes as it is."""
    text = found["text"] or ""
    odd = found["odd"] or found["more"] or ""
    if text and (escape := _ODD_ESCAPE.search(text.replace("\\\\", ""))):
        odd = escape[0]
    if odd:
        raise _named(found.string[: found.start()], f"cannot read {odd!r}")
    return schema.CANONICAL_NAMES.get(found[0], found[0])


def _refuse_unnamed(message: Message) -> None:
    """Refuse numbers of enum values that have no name."""
    for field, value in message.ListFields():
        items = value if field.is_repeated else [value]
        for item in items:
            if field.message_type is not None:
                _refuse_unnamed(item)
            elif field.enum_type is not None and item not in field.enum_type.values_by_number:
                raise ValueError(f"{field.name}: {item} is none of its values")
