"""How large transactions a server takes, asked without writing anything.

The question is a transaction whose guard can never hold: a server counts its operations and looks
at permissions before it compares. Its operations would put or delete keys that are never written.
"""

from __future__ import annotations

from typing import Any

from srv6kv.errors import TooLarge
from srv6kv.etcd.stubs import etcdrpc, transactions
from srv6kv.txn.limits import DEFAULT_OPERATIONS


def version_of(store: Any) -> str:
    """The version of the member that answers.

    Args:
        store: an ``Etcd3Store``.
    """
    return str(store.maintenancestub.Status(etcdrpc.StatusRequest()).version)


def operations_taken(store: Any, prefix: str) -> int:
    """How many operations of one level of a transaction the server takes, up to its default.

    Args:
        store: an ``Etcd3Store``.
        prefix: where the user must be allowed to write.

    Raises:
        Refused: it takes nothing of this user.
        Unavailable: it does not answer.
    """
    if _takes_operations(store, prefix, DEFAULT_OPERATIONS):
        return DEFAULT_OPERATIONS
    taken, refused = 0, DEFAULT_OPERATIONS
    while refused - taken > 1:
        middle = (taken + refused) // 2
        if _takes_operations(store, prefix, middle):
            taken = middle
        else:
            refused = middle
    return taken


def bytes_taken(store: Any, prefix: str, refused: int) -> int:
    """How large requests the server takes, to a thirty-second part.

    Args:
        store: an ``Etcd3Store``.
        prefix: where the user must be allowed to write.
        refused: a size that it does not take.
    """
    taken = 0
    while refused - taken > max(64, taken // 32):
        middle = (taken + refused) // 2
        put = etcdrpc.PutRequest(key=f"{prefix}probe".encode(), value=bytes(middle))
        if _takes(store, prefix, [etcdrpc.RequestOp(request_put=put)]):
            taken = middle
        else:
            refused = middle
    return taken


def _takes_operations(store: Any, prefix: str, number: int) -> bool:
    keys = [f"{prefix}probe/{one}".encode() for one in range(number)]
    deletes = [
        etcdrpc.RequestOp(request_delete_range=etcdrpc.DeleteRangeRequest(key=key)) for key in keys
    ]
    return _takes(store, prefix, deletes)


def _takes(store: Any, prefix: str, operations: list[Any]) -> bool:
    never = (transactions.Version(f"{prefix}probe") < 0).build_message()
    try:
        answer = store.kvstub.Txn(etcdrpc.TxnRequest(compare=[never], success=operations))
    except TooLarge:
        return False
    assert not answer.succeeded
    return True
