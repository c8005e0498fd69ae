"""How older agents spell the same values (agent rule A30)."""

from __future__ import annotations

import re

from srv6kv.ligato import keys
from srv6kv.txn.transaction import Operation, Transaction

_END_FUNCTION = re.compile(rb'"end_function_(dx2|dx4|dx6|dt4|dt6|ad|x|t)":')


def value(key: str, text: bytes, api: str) -> bytes:
    """The canonical JSON of a value as agents of this API generation spell it."""
    if api != "v2":
        return text
    if keys.LOCALSID in key:
        return _END_FUNCTION.sub(lambda m: b'"end_function_%s":' % m[1].upper(), text)
    if keys.RULE_CHAIN in key:
        return text.replace(b'"protocol":"IPV6"', b'"protocol":"IPv6"')
    return text


def transaction(found: Transaction, api: str) -> Transaction:
    """A transaction with its values in this spelling."""
    return Transaction(
        tuple(
            Operation(o.key, None if o.value is None else value(o.key, o.value, api), o.guard)
            for o in found.operations
        )
    )
