"""A guarded transaction as etcd's messages, and what the answer to a refused one tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from srv6kv.etcd import limits
from srv6kv.etcd.stubs import etcdrpc, transactions
from srv6kv.etcd.values import Change, KeysChanged, end_of, key_text
from srv6kv.transaction import Operation


@dataclass(frozen=True, slots=True)
class Commit:
    """What is to become one revision: on one level if it is small, else on two.

    A small one compares every guard. A large one cannot: compares within a branch do not guard the
    other branches, and at the top there is room for 128. It compares instead that nothing that
    is stored next to its keys is newer than what was read.

    Attributes:
        guarded: the operations whose keys must be as they were.
        extra: what follows them without guards.
        writer_key: must be there still, with this create revision:
        writer_revision: the one that it got when it was acquired.
        read_revision: the revision at which the guards were read.
    """

    guarded: tuple[Operation, ...]
    extra: tuple[Operation, ...]
    writer_key: str
    writer_revision: int
    read_revision: int

    def request(self) -> Any:
        """The TxnRequest; ValueError if it does not fit."""
        operations = [*self.guarded, *self.extra]
        limits.check(operations)
        writer = (transactions.Create(self.writer_key) == self.writer_revision).build_message()
        if self.is_flat:
            return etcdrpc.TxnRequest(
                compare=[writer, *map(_is_unchanged, self.guarded)],
                success=map(_request_op, operations),
                failure=map(_look, [self.writer_key, *(one.key for one in self.guarded)]),
            )
        newest, folders = self.read_revision, self._directories
        return etcdrpc.TxnRequest(
            compare=[writer, *(_has_nothing_newer(folder, newest) for folder in folders)],
            success=map(_branch, limits.branches_of(operations)),
            failure=[_look(self.writer_key), *(_look_newer(folder, newest) for folder in folders)],
        )

    @property
    def is_flat(self) -> bool:
        """Whether every key has its own guard."""
        return len(self.guarded) + len(self.extra) <= limits.FLAT_OPERATIONS

    def is_writer_gone(self, response: Any) -> bool:
        """Whether a refused transaction met a writer key that is not ours."""
        found = response.responses[0].response_range.kvs
        return not found or found[0].create_revision != self.writer_revision

    def conflict(self, response: Any) -> KeysChanged:
        """What had changed when a transaction was refused, told in one line."""
        revision = response.header.revision
        items = [one for answer in response.responses[1:] for one in answer.response_range.kvs]
        if not self.is_flat:
            read = f"read at {self.read_revision}"
            lines = [
                f"{key_text(one.key)}: mod revision {one.mod_revision}, {read}" for one in items
            ]
            return KeysChanged(_joined(lines), (), revision)
        found = {key_text(one.key): one for one in items}
        lines, changes = [], []
        for operation in self.guarded:
            item = found.get(operation.key)
            number = item.mod_revision if item is not None else 0
            if number == operation.guard:
                continue
            changes.append(
                Change(operation.key, item.value, number)
                if item is not None
                else Change(operation.key, None, revision)
            )
            lines.append(
                f"{operation.key}: mod revision {_text(number)}, expected {_text(operation.guard)}"
            )
        return KeysChanged(_joined(lines), tuple(changes), revision)

    @property
    def _directories(self) -> list[str]:
        return limits.directories_of(one.key for one in self.guarded)


def _joined(lines: Sequence[str]) -> str:
    first, *others = lines or ["a guard did not hold"]
    return f"{first} (and {len(others)} more)" if others else first


def _text(revision: int) -> str:
    return str(revision) if revision else "absent"


def _request_op(operation: Operation) -> Any:
    key = operation.key.encode()
    if operation.value is None:
        return etcdrpc.RequestOp(request_delete_range=etcdrpc.DeleteRangeRequest(key=key))
    return etcdrpc.RequestOp(request_put=etcdrpc.PutRequest(key=key, value=operation.value))


def _branch(operations: Sequence[Operation]) -> Any:
    return etcdrpc.RequestOp(request_txn=etcdrpc.TxnRequest(success=map(_request_op, operations)))


def _is_unchanged(operation: Operation) -> Any:
    # A key that does not exist has mod revision 0.
    return (transactions.Mod(operation.key) == operation.guard).build_message()


def _has_nothing_newer(directory: str, revision: int) -> Any:
    return (transactions.Mod(directory, end_of(directory)) < revision + 1).build_message()


def _look(key: str) -> Any:
    request = etcdrpc.RangeRequest(key=key.encode())
    return etcdrpc.RequestOp(request_range=request)


def _look_newer(directory: str, revision: int) -> Any:
    request = etcdrpc.RangeRequest(
        key=directory.encode(),
        range_end=end_of(directory),
        min_mod_revision=revision + 1,
        keys_only=True,
        limit=1,
    )
    return etcdrpc.RequestOp(request_range=request)
