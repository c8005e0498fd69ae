"""The transaction log that the agent prints, in the text of v3 or v2 (agent rule A48)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from agentmodel.graph import Op, State, Txn
from agentmodel.values import _V2_NAMES, Api, Plain

WIDTH = 118
_TYPES = {"NBTransaction": "NB Transaction", "RetryFailedOps": "Retry Transaction"}
_RESYNCS = {"FullResync": "Full Resync", "DownstreamResync": "SB Sync"}


def text_of(txn: Txn, start: str, took: str, api: Api = "v3") -> str:
    """Both parts of a transaction.

    Args:
        start: date and time, as both begin and end.
        took: how long, as Go prints it.
    """
    lines = [*_first_part(txn, api), "", *_second_part(txn, start, took, api)]
    return "\n".join(lines) + "\n"


def _rule(edge: str, fill: str) -> str:
    return edge + fill * WIDTH + edge


def _row(left: str, right: str) -> str:
    return f"| {left}{right.rjust(WIDTH - 2 - len(left))} |"


def _first_part(txn: Txn, api: Api) -> Iterator[str]:
    is_retry = txn.kind == "RetryFailedOps"
    yield _rule("+", "=")
    if api == "v2":
        info = f"retrying TX #{txn.retries} (attempt {txn.attempt})" if is_retry else txn.resync
        yield _row(f"Transaction #{txn.number}", info or txn.kind)
    else:
        info = f"retrying failed TXN #{txn.retries} (attempt {txn.attempt})"
        yield _row(f"#{txn.number} - {txn.kind}", info if is_retry else txn.resync)
    yield _rule("+", "=")
    yield "  * transaction arguments:"
    yield f"      - {'seq-num' if api == 'v2' else 'seqNum'}: {txn.number}"
    yield f"      - type: {_type(txn, api)}"
    if txn.resync != "DownstreamResync":
        yield "      - values:" if txn.values else "      - values: NONE"
        for key in sorted(txn.values):
            yield f"          - key: {key}"
            yield f"            val: {value_text(txn.values[key], api)}"
    if txn.planned is not None:
        yield "  * planned operations:"
        yield from _operations(txn.planned, api)


def _type(txn: Txn, api: Api) -> str:
    if api == "v2":
        return txn.kind
    name = _TYPES[txn.kind]
    if txn.resync:
        return f"{name}, {_RESYNCS[txn.resync]}"
    if txn.kind == "RetryFailedOps":
        return f"{name} (for txn #{txn.retries}, attempt #{txn.attempt})"
    return name


def _second_part(txn: Txn, start: str, took: str, api: Api) -> Iterator[str]:
    yield _rule("o", "-")
    if txn.executed:
        yield f"  * executed operations ({start} -> {start}, dur: 0s):"
    else:
        yield "  * executed operations:"
    yield from _operations(txn.executed, api)
    yield _rule("x", "-")
    left = f"Transaction #{txn.number}" if api == "v2" else f"#{txn.number} - {txn.kind}"
    yield _row(left, f"took {took}")
    yield _rule("x", "-")


def _operations(ops: Iterable[Op], api: Api) -> Iterator[str]:
    found = list(ops)
    if not found:
        yield "      <NONE>"
    for number, op in enumerate(found, start=1):
        listed = " ".join(flags(op))
        yield f"      {number}. {op.operation}{f' [{listed}]' if listed else ''}:"
        yield f"          - key: {op.key}"
        if op.operation == "UPDATE":
            yield f"          - prev-value: {value_text(op.old, api)} "
            yield f"          - new-value: {value_text(op.new, api)} "
        else:
            value = op.old if op.operation == "DELETE" else op.new
            yield f"          - value: {value_text(value, api)} "
        if op.old_error:
            yield f"          - prev-error: {_escaped(op.old_error)}"
        if op.error:
            yield f"          - error: {_escaped(op.error)}"


def flags(op: Op) -> list[str]:
    """In the order in which they are printed; there is none for RETRYING."""
    found = [
        name
        for name, is_set in (
            ("NOOP", op.is_noop),
            ("RETRY", op.is_retry),
            ("RECREATE", op.is_recreate),
        )
        if is_set
    ]
    old, new = op.old_state, op.new_state
    if old == State.OBTAINED != new:
        found.append("WAS-OBTAINED")
    if old == State.MISSING:
        found.append("ALREADY-MISSING" if new == State.REMOVED else "WAS-MISSING")
    if old == State.DISCOVERED:
        found.append("DISCOVERED")
    if State.PENDING in (old, new):
        if old != State.PENDING:
            found.append("IS-PENDING")
        else:
            found.append("STILL-PENDING" if new == old else "WAS-PENDING")
    for state, still, name in (
        (State.FAILED, "STILL-FAILING", "FAILED"),
        (State.INVALID, "STILL-INVALID", "INVALID"),
    ):
        if old == state == new:
            found.append(still)
        elif old == state and new == State.CONFIGURED:
            found.append("FIXED")
        elif new == state:
            found.append(name)
    return found


def _escaped(text: str) -> str:
    return text.replace("\n", "\\n")


def value_text(value: Any, api: Api = "v3") -> str:
    """Protobuf text in braces, ``<NIL>`` or ``<EMPTY>``."""
    if value is None:
        return "<NIL>"
    if isinstance(value, Plain):
        return f"{{ {' '.join(_plain(value.body))} }}"
    fields = list(_fields(value, api))
    return f"{{ {' '.join(fields)} }}" if fields else "<EMPTY>"


def _plain(body: dict[str, Any]) -> Iterator[str]:
    for name, item in body.items():
        for one in item if isinstance(item, list) else [item]:
            if isinstance(one, dict):
                yield f"{name}:{{{' '.join(_plain(one))}}}"
            else:
                yield f"{name}:{json.dumps(one)}"


def _fields(message: Message, api: Api) -> Iterator[str]:
    # in the order of declaration, not of numbers
    for field, value in sorted(message.ListFields(), key=lambda pair: pair[0].index):
        name = _V2_NAMES.get(field.name, field.name) if api == "v2" else field.name
        for item in value if field.is_repeated else [value]:
            yield f"{name}:{_item(field, item, api)}"


def _item(field: FieldDescriptor, item: Any, api: Api) -> str:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        inner = list(_fields(item, api))
        if api == "v2":
            return f"<{''.join(f'{one} ' for one in inner)}>"
        return f"{{{' '.join(inner)}}}"
    if field.type == FieldDescriptor.TYPE_ENUM:
        return str(field.enum_type.values_by_number[item].name)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return "true" if item else "false"
    return json.dumps(item) if isinstance(item, str) else str(item)
