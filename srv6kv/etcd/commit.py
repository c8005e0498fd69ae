"""A guarded transaction as etcd's messages, and what the answer to a refused one means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from srv6kv.etcd.lease import Writer
from srv6kv.etcd.stubs import etcdrpc, transactions
from srv6kv.etcd.values import Change, KeysChanged, end_of, key_text
from srv6kv.txn import limits
from srv6kv.txn.limits import Limits
from srv6kv.txn.transaction import Operation


@dataclass(frozen=True, slots=True)
class Commit:
    """What is to become one revision: on one level if it is small, else on two.

    A small one compares every guard. A large one cannot: compares within a branch do not guard the
    other branches, and at the top there is room for 128. It compares instead that nothing that is
    stored next to its keys is newer than what was read.

    Attributes:
        extra: what follows the guarded operations without guards.
        writer: the key that must be there still, with its value and create revision: either may
            be that of another after etcd was restored from a snapshot, but not both.
        read_revision: the revision at which the guards were read.
    """

    guarded: tuple[Operation, ...]
    extra: tuple[Operation, ...]
    writer: Writer
    read_revision: int
    limits: Limits = limits.DEFAULT

    def request(self) -> Any:
        """Return the TxnRequest; ValueError if it does not fit into one revision."""
        operations = self.operations
        limits.check(operations, self.limits)
        writer = _is_held(self.writer)
        look = _look(self.writer.key)
        if self.is_flat:
            return etcdrpc.TxnRequest(
                compare=[*writer, *map(_is_unchanged, self.guarded)],
                success=map(_request_op, operations),
                failure=[look, *(_look(one.key) for one in self.guarded)],
            )
        newest = self.read_revision
        folders = limits.directories_of(one.key for one in self.guarded)
        return etcdrpc.TxnRequest(
            compare=[*writer, *(_has_nothing_newer(folder, newest) for folder in folders)],
            success=map(_branch, limits.branches_of(operations, self.limits)),
            failure=[look, *(_look_newer(folder, newest) for folder in folders)],
        )

    @property
    def operations(self) -> list[Operation]:
        """All that it does, in order."""
        return [*self.guarded, *self.extra]

    @property
    def is_flat(self) -> bool:
        """Whether every key has its own guard."""
        return len(self.guarded) + len(self.extra) <= self.limits.flat

    def is_writer_gone(self, response: Any) -> bool:
        """Whether a refused transaction met a writer key that is not ours."""
        found = response.responses[0].response_range.kvs
        ours = (self.writer.create_revision, self.writer.identity.encode())
        return not found or (found[0].create_revision, found[0].value) != ours

    def conflict(self, response: Any) -> KeysChanged:
        """Return what had changed when a transaction was refused; its text is one line."""
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
            value = item.value if item is not None else None
            changes.append(Change(operation.key, value, number or revision))
            lines.append(
                f"{operation.key}: mod revision {_text(number)}, expected {_text(operation.guard)}"
            )
        return KeysChanged(_joined(lines), tuple(changes), revision)


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


def _is_held(writer: Writer) -> list[Any]:
    create = (transactions.Create(writer.key) == writer.create_revision).build_message()
    value = (transactions.Value(writer.key) == writer.identity).build_message()
    return [create, value]


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
