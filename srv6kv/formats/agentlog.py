"""The agent's transaction log: the text of a value, written and read (spec/vpp-agent.md 7).

Rule: writing gives the bytes of the agents that Contiv shipped (v2) or of later ones (v3); reading
takes both, with any number of blanks. JSON in and out has the canonical names of agents 3.x.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from srv6kv.errors import InputError
from srv6kv.formats import prototext, schema
from srv6kv.formats.schema import Api

NIL = "<NIL>"
EMPTY = "<EMPTY>"

_ESCAPES = {0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x22: '\\"', 0x5C: "\\\\"}

Json = dict[str, Any]
Pair = tuple[str, Json | None]


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


_END = re.compile(r"\* (planned|executed) operations\b|(\+=+\+|o-+o|x-+x)$")
_VALUES = re.compile(r"- values:\s*(NONE)?$")
_KEY = re.compile(r"- key:\s*(.+)$")
_VALUE = re.compile(r"val:\s*(.*)$")


class _Logged(NamedTuple):
    """A value of a log as text, or, without a key, the start of a transaction's values."""

    line: int
    key: str = ""
    text: str = ""


def read_log(log: Iterable[str]) -> list[list[Pair]]:
    """What each transaction of an agent's log was given, in the order of the log.

    Every ``values:`` block is one list, also an empty one; pairs before any such block, as somebody
    cuts them out of a log, are one transaction. Values of models that srv6kv does not know, and
    what the agent found out by itself, are left out: see ``left_out``.

    Raises:
        InputError: a key without a value, or a value that cannot be read; it names the line.
    """
    transactions: list[list[Pair]] = []
    for logged in _logged(log):
        if not logged.key:
            transactions.append([])
        elif schema.message_of(logged.key) is not None:
            try:
                value = parse_value(logged.key, logged.text)
            except ValueError as error:
                raise InputError(f"line {logged.line}: {error}") from None
            transactions[-1].append((logged.key, value))
    return transactions


def left_out(log: Iterable[str]) -> list[str]:
    """The keys that ``read_log`` leaves out because their model is not known, sorted."""
    found = {logged.key for logged in _logged(log) if logged.key}
    return sorted(key for key in found if schema.message_of(key) is None)


def _logged(log: Iterable[str]) -> Iterator[_Logged]:
    """The values of a log; operations, and whatever else was logged in between, are passed over."""
    is_in_values, has_started = True, False  # until a header comes it may be a cut
    key: _Logged | None = None
    for number, raw in enumerate(log, start=1):
        line = raw.strip()
        if found := _VALUES.match(line):
            _refuse_without_value(key)
            yield _Logged(number)
            key, is_in_values, has_started = None, found[1] is None, True
        elif _END.match(line):
            _refuse_without_value(key)
            key, is_in_values = None, False
        elif is_in_values and (found := _KEY.match(line)):
            _refuse_without_value(key)
            key = _Logged(number, found[1])
        elif is_in_values and (found := _VALUE.match(line)):
            if key is None:
                raise InputError(f"line {number}: a value without a key")
            if not has_started:
                yield _Logged(number)
                has_started = True
            yield _Logged(number, key.key, found[1])
            key = None
    _refuse_without_value(key)


def _refuse_without_value(key: _Logged | None) -> None:
    if key is not None:
        raise InputError(f"line {key.line}: {key.key} has no value")
