"""Printing keys, values and transactions in every form that a command offers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from srv6kv import foreign
from srv6kv.agentlog import spelling, writer
from srv6kv.cli import terminal
from srv6kv.foreign import visible
from srv6kv.ligato import keys, parts, schema
from srv6kv.ligato.schema import Api
from srv6kv.notes import Note
from srv6kv.plan.plan import Plan
from srv6kv.show import tables
from srv6kv.txn import recording
from srv6kv.txn.recording import Recorded
from srv6kv.txn.transaction import Transaction
from srv6kv.vpp import vppcli

Values = Mapping[str, bytes]
"""Key (short form) to canonical JSON."""


def print_plan(
    plan: Plan, notes: Sequence[Note], output: str, api: Api, interfaces: Mapping[str, str]
) -> None:
    """Print what a plan has in etcd, in a form of ``render``; with ``txn`` the way there."""
    if output == "txn":
        terminal.show(transactions_text(plan.transactions, api))
        return
    values = {key: value for key, value in sorted(plan.values.items()) if value is not None}
    match output:
        case "json":
            warnings = [note.fields() for note in notes]
            terminal.show_json({"keys": decoded(values, api), "warnings": warnings})
        case "jsonl":
            for key, value in decoded(values, api).items():
                terminal.show_json({"key": key, "value": value})
        case "log":
            for key, text in values.items():
                terminal.show("".join(f"{line}\n" for line in writer.lines(key, text, api)))
        case "vpp":
            for line in vppcli.commands(decoded(values), interfaces):
                terminal.say(line)
        case _:
            terminal.show_tables(tables.render_tables(decoded(values)))


def transactions_text(transactions: Sequence[Transaction], api: Api = "v3") -> str:
    """Transactions in the text form of recordings, without a time; what cannot be seen in a value
    is an escape of JSON, so that the text still replays."""
    return visible.json_text(
        "".join(
            recording.dump(Recorded(number, spelling.transaction(transaction, api)))
            for number, transaction in enumerate(transactions, start=1)
        )
    )


def transactions_json(transactions: Sequence[Transaction]) -> list[list[dict[str, Any]]]:
    """Transactions as plain values."""
    return [
        [
            {
                "verb": "put" if item.is_put else "del",
                "guard": item.guard,
                "key": item.key,
                **({"value": _value_of(item.value)} if item.value is not None else {}),
            }
            for item in transaction.operations
        ]
        for transaction in transactions
    ]


def decoded(values: Values, api: Api = "v3") -> dict[str, Any]:
    """The values as plain values in the agent's spelling."""
    return {key: foreign.plain(spelling.value(key, value, api)) for key, value in values.items()}


def _value_of(value: bytes) -> Any:
    """The plain value; of bytes that are none the text."""
    try:
        return foreign.plain(value)
    except foreign.Unreadable:
        return value.decode(errors="backslashreplace")


def readable(values: Values) -> dict[str, Any]:
    """The values that the agent can decode; one line on stderr for each that it cannot."""
    found = {}
    for key, value in values.items():
        try:
            found[key] = schema.decoded(key, value)
            if key.startswith(keys.LOCALSID):
                parts.end_function(key, found[key])
        except ValueError as error:
            found.pop(key, None)
            terminal.warn([error])
    return found


def fit_for(
    shows: Sequence[Callable[[Mapping[str, Any]], str]], values: Mapping[str, Any]
) -> dict[str, Any]:
    """The values that all of these can show; one line on stderr for each other."""
    found = {}
    for key, value in values.items():
        try:
            for show in shows:
                show({key: value})
            found[key] = value
        except ValueError as error:
            terminal.warn([error])
    return found
