"""Whether a server takes transactions as large as srv6kv's, asked without writing anything.

The question is a transaction whose guard can never hold: a server counts its operations and looks
at permissions before it compares. Its operations would delete keys that nobody writes.
"""

from __future__ import annotations

from typing import Any

from srv6kv.etcd.stubs import etcdrpc, transactions

OPERATIONS = 128
"""What srv6kv puts on one level of a transaction at most; etcd's default limit."""


def version_of(store: Any) -> str:
    """The version of the member that answers.

    Args:
        store: an ``Etcd3Store``.
    """
    return str(store.maintenancestub.Status(etcdrpc.StatusRequest()).version)


def take_operations(store: Any, prefix: str) -> None:
    """Return if the server would take such a transaction below a prefix.

    Args:
        store: an ``Etcd3Store``.
        prefix: where the user must be allowed to write.

    Raises:
        Refused: it takes fewer operations, or nothing of this user.
        Unavailable: it does not answer.
    """
    never = (transactions.Version(f"{prefix}probe") < 0).build_message()
    deletes = [
        etcdrpc.RequestOp(
            request_delete_range=etcdrpc.DeleteRangeRequest(key=f"{prefix}probe/{number}".encode())
        )
        for number in range(OPERATIONS)
    ]
    answer = store.kvstub.Txn(etcdrpc.TxnRequest(compare=[never], success=deletes))
    assert not answer.succeeded
