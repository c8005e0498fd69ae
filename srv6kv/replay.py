"""A recording into etcd: the same operations in the same order, one revision a transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from srv6kv import recording
from srv6kv.agent import keys
from srv6kv.errors import Conflict, InputError
from srv6kv.formats import agentlog
from srv6kv.recording import Recorded
from srv6kv.store import Etcd3Store, Writer
from srv6kv.transaction import Operation, Transaction


def parse(text: str, name: str, label: str | None) -> list[Recorded]:
    """A recording, or the transaction log of an agent, as transactions.

    Args:
        text: the file.
        name: its name for messages.
        label: the agent to write for; a recording names one itself.

    Raises:
        InputError: the file is neither, or it names several labels.
    """
    first = next((line for line in text.splitlines() if line and not line.startswith("#")), "")
    if first.startswith(("txn ", "put ", "del ")):
        return _relabelled(recording.load(text, name), label, name)
    if label is None:
        raise InputError(f"{name}: an agent's log names no label: give --label")
    try:
        found = agentlog.read_log(text.splitlines())
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    if not found:
        raise InputError(f"{name}: neither a recording nor a log with transactions")
    return list(_from_log(found, keys.agent_prefix(label)))


def label_of(recordings: Iterable[Recorded], name: str) -> str:
    """The one label that all keys of a recording belong to.

    Raises:
        InputError: there are several, or none.
    """
    labels = set()
    for recorded in recordings:
        for operation in recorded.transaction.operations:
            head, _, rest = operation.key.partition(keys.AGENT)
            label, _, key = rest.partition("/")
            if head or not label or not key.startswith(keys.CONFIG):
                raise InputError(f"{name}: {operation.key} is not a key of an agent")
            labels.add(label)
    if len(labels) != 1:
        raise InputError(f"{name}: keys of {len(labels)} labels, not of one")
    return labels.pop()


def _relabelled(found: list[Recorded], label: str | None, name: str) -> list[Recorded]:
    if label is None or not any(recorded.transaction for recorded in found):
        return found
    old, new = keys.agent_prefix(label_of(found, name)), keys.agent_prefix(label)
    return [
        Recorded(
            recorded.number,
            Transaction(
                tuple(
                    Operation(new + o.key.removeprefix(old), o.value, o.guard)
                    for o in recorded.transaction.operations
                )
            ),
            recorded.time,
        )
        for recorded in found
    ]


def _from_log(
    found: Iterable[Sequence[tuple[str, dict[str, Any] | None]]], prefix: str
) -> Iterable[Recorded]:
    """Logged changes as recorded ones: a guard says whether the log has put the key before."""
    present: set[str] = set()
    for number, changes in enumerate(found, start=1):
        operations = []
        for key, value in dict(changes).items():
            if value is None and key not in present:
                continue
            text = None if value is None else msgspec.json.encode(value, order="sorted")
            operations.append(Operation(prefix + key, text, 1 if key in present else 0))
            (present.discard if value is None else present.add)(key)
        yield Recorded(number, Transaction(tuple(operations)))


def replay(
    recordings: Sequence[Recorded],
    store: Etcd3Store,
    writer: Writer,
    done: Callable[[Recorded, int], None],
) -> Mapping[str, int]:
    """Commit every transaction; guard 0 becomes "must not exist", others what our puts got.

    Args:
        recordings: what to write.
        store: where.
        writer: the right to write.
        done: called after each transaction with its revision.

    Raises:
        Conflict: a key is not as the recording had it.
        Unavailable: an answer was lost.
    """
    revisions: dict[str, int] = {}
    snapshot = store.read([keys.agent_prefix(label_of(recordings, "recording")) + keys.CONFIG])
    others = {item.key: item.mod_revision for item in snapshot.entries}
    revision = snapshot.revision
    for recorded in recordings:
        transaction = recording.mapped(recorded.transaction, revisions)
        _refuse_others(transaction, others)
        if transaction:
            revision = store.commit(transaction, writer=writer, read_revision=revision)
        for operation in transaction.operations:
            if operation.value is None:
                revisions.pop(operation.key, None)
            else:
                revisions[operation.key] = revision
        done(recorded, revision)
    return revisions


def _refuse_others(transaction: Transaction, others: Mapping[str, int]) -> None:
    """A key that was there before: a large commit sees only what is newer than what was read."""
    for operation in transaction.operations:
        if operation.key in others:
            found = others[operation.key]
            raise Conflict(f"{operation.key}: mod revision {found}, expected absent")
