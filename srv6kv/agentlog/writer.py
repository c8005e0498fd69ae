"""The agent's transaction log: the text of a value, written and read (agent rule A48).

Rule: writing gives the bytes of the agents that Contiv shipped (v2) or of later ones (v3); reading
takes both, with any number of blanks. JSON in and out has the canonical names of agents 3.x.
Whole logs are read by ``txnlog``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from srv6kv.agentlog import prototext
from srv6kv.ligato import schema
from srv6kv.ligato.schema import Api

NIL = "<NIL>"
EMPTY = "<EMPTY>"

_ESCAPES = {0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x22: '\\"', 0x5C: "\\\\"}

Json = dict[str, Any]


def value_text(key: str, value_json: bytes, api: Api = "v2") -> str:
    """The value as the agent logs it: ``{ field:... }``, fields in the order of their declaration.

    Raises:
        ValueError: a key of an unknown kind, or a value that the agent could not decode.
    """
    fields = _fields(schema.parse_json(key, value_json), api)
    return " ".join(["{", *fields, "}"])


def lines(key: str, value: bytes | None, api: Api = "v2") -> tuple[str, str]:
    """The two lines of a key and its value, without indentation; None is a deleted value."""
    text = NIL if value is None else value_text(key, value, api)
    return f"- key: {key}", f"val: {text}"


def _fields(message: Message, api: Api) -> Iterator[str]:
    for field in message.DESCRIPTOR.fields:
        name = schema.field_name(field, api)
        for item in _items(message, field):
            yield f"{name}:{_item(field, item, api)}"


def _items(message: Message, field: FieldDescriptor) -> list[Any]:
    """What the message has of a field: defaults are left out, members of a oneof are not."""
    value = getattr(message, field.name)
    if field.is_repeated:
        return list(value)
    is_set = message.HasField(field.name) if field.has_presence else value != field.default_value
    return [value] if is_set else []


def _item(field: FieldDescriptor, item: Any, api: Api) -> str:
    match field.type:
        case FieldDescriptor.TYPE_MESSAGE:
            return _nested(list(_fields(item, api)), api)
        case FieldDescriptor.TYPE_STRING:
            return f'"{_escaped(item)}"'
        case FieldDescriptor.TYPE_ENUM:
            return schema.enum_name(field, item, api)
        case FieldDescriptor.TYPE_BOOL:
            return "true" if item else "false"
        case _:
            return str(item)


def _nested(fields: list[str], api: Api) -> str:
    if api == "v2":  # every field ends in a blank, the last one too
        return f"<{''.join(f'{field} ' for field in fields)}>"
    return f"{{{' '.join(fields)}}}"


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
    message = schema.known_message(key)
    text = text.strip()
    if text == NIL:
        return None
    if text == EMPTY:
        return {}
    try:
        return prototext.parse(message.DESCRIPTOR, text)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None
