"""Recorded transactions: one text form, used by ``plan``, ``run --record``, ``replay`` and tests.

A transaction is a line ``txn <number> [<time>]`` and one line for each operation, in order:
``put <guard> <key> <value>`` or ``del <guard> <key>``. A recording opens with a snapshot of our
keys, so that it replays into an empty etcd; lines that start with ``#`` are comments. In a key
blanks, ``%`` and what could not be seen (``visible``) are written as their bytes: ``%20``, ``%0A``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import msgspec

from srv6kv import foreign
from srv6kv.errors import InputError
from srv6kv.foreign import visible
from srv6kv.txn.transaction import FullKey, Operation, Transaction

_ODD = re.compile(f"[ %]|{visible.HIDDEN}")
_ESCAPED = re.compile(r"(?:%[0-9A-F]{2})+")


@dataclass(frozen=True, slots=True)
class Recorded:
    """One transaction, and when it was committed (RFC 3339); "": it was only planned."""

    number: int
    transaction: Transaction
    time: str = ""


def dump(recorded: Recorded) -> str:
    """The text of one transaction, with a newline at its end."""
    head = f"txn {recorded.number} {recorded.time}".rstrip()
    return "\n".join([head, *map(_line, recorded.transaction.operations)]) + "\n"


def _line(operation: Operation) -> str:
    key = _ODD.sub(_escape, operation.key)
    if operation.value is None:
        return f"del {operation.guard} {key}"
    return f"put {operation.guard} {key} {_one_line(operation.value)}"


def _escape(odd: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in odd[0].encode(errors="backslashreplace"))


def _unescape(found: re.Match[str]) -> str:
    return foreign.text(bytes.fromhex(found[0].replace("%", "")))


def _one_line(value: bytes) -> str:
    """The value as it is; only a foreign value of several lines is made compact, and one that is
    not JSON, which no recording holds, is shown as a text."""
    try:
        body = foreign.plain(value, is_unique=True)
    except foreign.Unreadable:
        return msgspec.json.encode(value.decode(errors="backslashreplace")).decode()
    if b"\n" in value or b"\r" in value:
        value = msgspec.json.encode(body, order="sorted")
    return str(value, "utf-8")


def load(text: str, name: str = "recording") -> list[Recorded]:
    """The transactions of a recording; InputError with file and line if it is not of the form
    above."""
    found: list[tuple[Recorded, list[Operation]]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            if line.startswith("txn "):
                found.append((_head(line), []))
            elif not found:
                raise ValueError("an operation before the first txn line")
            else:
                found[-1][1].append(_operation(line))
        except ValueError as error:
            raise InputError(f"{name}:{number}: {foreign.brief(str(error))}") from None
    whole = [replace(head, transaction=Transaction(tuple(items))) for head, items in found]
    _refuse_duplicates(whole, name)
    return whole


def _head(line: str) -> Recorded:
    words = line.split(" ")
    if not 2 <= len(words) <= 3 or not words[1].isdigit():
        raise ValueError("not 'txn <number> [<time>]'")
    return Recorded(int(words[1]), Transaction(()), words[2] if len(words) == 3 else "")


def _operation(line: str) -> Operation:
    verb, _, rest = line.partition(" ")
    guard, _, rest = rest.partition(" ")
    key, _, value = rest.partition(" ")
    if verb not in ("put", "del"):
        raise ValueError(f"{verb!r} is neither txn, put nor del")
    if not guard.isdigit():
        raise ValueError(f"{guard!r} is not a mod revision")
    if not key.startswith("/"):
        raise ValueError(f"{key!r} is not a full key")
    if (verb == "put") != bool(value):
        raise ValueError("put takes a value, del takes none")
    if value:
        try:
            foreign.plain(value, is_unique=True)
        except foreign.Unreadable as error:
            raise ValueError(f"{key}: {error}") from None
    key = _ESCAPED.sub(_unescape, key)
    foreign.refuse_halves(key)
    return Operation(FullKey(key), value.encode() if value else None, int(guard))


def _refuse_duplicates(found: Iterable[Recorded], name: str) -> None:
    for recorded in found:
        seen: set[str] = set()
        for operation in recorded.transaction.operations:
            if operation.key in seen:
                raise InputError(f"{name}: txn {recorded.number}: {operation.key} occurs twice")
            seen.add(operation.key)


def state_of(recordings: Iterable[Recorded]) -> dict[str, bytes]:
    """The keys and values that a recording ends with."""
    state: dict[str, bytes] = {}
    for recorded in recordings:
        apply(recorded.transaction, state)
    return state


def apply(transaction: Transaction, state: dict[str, bytes]) -> None:
    """Apply a transaction to keys and values."""
    for operation in transaction.operations:
        if operation.value is None:
            state.pop(operation.key, None)
        else:
            state[operation.key] = operation.value


def difference(known: Mapping[str, bytes], now: Mapping[str, tuple[bytes, int]]) -> Transaction:
    """What a recording that ends with ``known`` needs to end with ``now``: value and mod revision
    by key, in the order in which they are to be written. What is no JSON there, which only another
    writer can have put, counts as absent."""
    now = {key: held for key, held in now.items() if _is_json(held[0])}
    operations = [
        Operation(FullKey(key), value, revision if key in known else 0)
        for key, (value, revision) in now.items()
        if known.get(key) != value
    ]
    operations += [Operation(FullKey(key), None, 1) for key in known if key not in now]
    return Transaction(tuple(operations))


def _is_json(value: bytes) -> bool:
    try:
        foreign.plain(value, is_unique=True)
    except foreign.Unreadable:
        return False
    return True


def mapped(transaction: Transaction, revisions: Mapping[FullKey, int]) -> Transaction:
    """The transaction with guards for another etcd, where its keys have these mod revisions."""
    return Transaction(
        tuple(
            Operation(o.key, o.value, revisions.get(o.key, 0) if o.guard else 0)
            for o in transaction.operations
        )
    )
