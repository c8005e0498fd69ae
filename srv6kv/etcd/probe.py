"""How large transactions a server takes, asked without writing anything.

The question is a transaction whose guard can never hold: a server counts its operations and looks
at permissions before it compares. Its operations would put or delete keys that are never written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from srv6kv.errors import TooLarge
from srv6kv.etcd.stubs import etcdrpc, transactions
from srv6kv.txn.limits import DEFAULT_OPERATIONS


def version_of(store: Any) -> str:
    """The version of the member that answers."""
    return str(store.maintenancestub.Status(etcdrpc.StatusRequest()).version)


def operations_taken(store: Any, prefix: str) -> int:
    """How many operations on one level the server takes from this user, up to its default."""

    def takes(number: int) -> bool:
        keys = (f"{prefix}probe/{one}".encode() for one in range(number))
        deletes = [etcdrpc.DeleteRangeRequest(key=key) for key in keys]
        return _takes(
            store, prefix, [etcdrpc.RequestOp(request_delete_range=one) for one in deletes]
        )

    if takes(DEFAULT_OPERATIONS):
        return DEFAULT_OPERATIONS
    return _largest(takes, DEFAULT_OPERATIONS, lambda _: 1)


def bytes_taken(store: Any, prefix: str, refused: int) -> int:
    """How large requests the server takes, to a thirty-second part, below ``refused``."""

    def takes(size: int) -> bool:
        put = etcdrpc.PutRequest(key=f"{prefix}probe".encode(), value=bytes(size))
        return _takes(store, prefix, [etcdrpc.RequestOp(request_put=put)])

    return _largest(takes, refused, lambda taken: max(64, taken // 32))


def _largest(takes: Callable[[int], bool], refused: int, near: Callable[[int], int]) -> int:
    """The largest number that is taken, so near to what is refused."""
    taken = 0
    while refused - taken > near(taken):
        middle = (taken + refused) // 2
        if takes(middle):
            taken = middle
        else:
            refused = middle
    return taken


def _takes(store: Any, prefix: str, operations: list[Any]) -> bool:
    never = (transactions.Version(f"{prefix}probe") < 0).build_message()
    try:
        answer = store.kvstub.Txn(etcdrpc.TxnRequest(compare=[never], success=operations))
    except TooLarge:
        return False
    assert not answer.succeeded
    return True
