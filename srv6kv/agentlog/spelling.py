"""How older agents spell the same values (agent rule A30)."""

from __future__ import annotations

from srv6kv.ligato import keys
from srv6kv.ligato.endfunctions import END_FUNCTIONS
from srv6kv.txn.transaction import Operation, Transaction

_V2_FIELDS = [
    (f'"{x.field}":'.encode(), f'"{x.v2_field}":'.encode()) for x in END_FUNCTIONS.values()
]


def value(key: str, text: bytes, api: str) -> bytes:
    """The canonical JSON of a value as agents of this API generation spell it."""
    if api == "v2" and keys.LOCALSID in key:
        for name, old in _V2_FIELDS:
            text = text.replace(name, old)
    if api == "v2" and keys.RULE_CHAIN in key:
        text = text.replace(b'"protocol":"IPV6"', b'"protocol":"IPv6"')
    return text


def transaction(found: Transaction, api: str) -> Transaction:
    """A transaction with its values in this spelling."""
    return Transaction(
        tuple(
            Operation(o.key, None if o.value is None else value(o.key, o.value, api), o.guard)
            for o in found.operations
        )
    )
