"""A recording into etcd: the same operations in the same order, one revision a transaction, and
several where one is too large for that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain

from srv6kv.agentlog import transactions
from srv6kv.agentlog.reader import LogReader
from srv6kv.agentlog.remarks import Remark
from srv6kv.errors import Conflict, InputError, LimitsLowered
from srv6kv.etcd.session import WriterSession
from srv6kv.etcd.store import Etcd3Store, Writer
from srv6kv.ligato import keys
from srv6kv.plan import plan
from srv6kv.txn import limits, recording
from srv6kv.txn.recording import Recorded
from srv6kv.txn.transaction import FullKey, Operation, Transaction


class Reading:
    """The transactions of a file, one after the other: a recording's, or those of an agent's log.

    A log is read as it goes, so it may be longer than memory holds. ``remarks`` and ``labels``, the
    labels of all keys as they will be written, are complete when all has been read.

    Args:
        name: of the file, for messages.
        label: the agent to write for; a recording names one itself.

    Raises:
        InputError: while it is read: the file is neither, or it names no label, or several.
    """

    def __init__(self, lines: Iterable[str], name: str, label: str | None) -> None:
        self.labels: set[str] = set()
        self.name = name
        self._label = label
        self._log = LogReader()
        self._transactions = self._read(iter(lines))

    def __iter__(self) -> Iterator[Recorded]:
        return self._transactions

    def remarks(self) -> list[Remark]:
        """Remarks on an agent's log so far, by line; none on a recording."""
        return self._log.remarks()

    def label(self) -> str:
        """The one label that all keys so far belong to; without keys, the one that was given."""
        if not self.labels and self._label:
            return self._label
        if len(self.labels) != 1:
            raise InputError(f"{self.name}: keys of {len(self.labels)} labels, not of one")
        return next(iter(self.labels))

    def _read(self, lines: Iterator[str]) -> Iterator[Recorded]:
        head = []
        for line in lines:
            head.append(line)
            if line.strip() and not line.startswith("#"):
                break
        if head and head[-1].startswith(("txn ", "put ", "del ")):
            found = recording.load("".join(chain(head, lines)), self.name)
            yield from self._relabelled(found)
        else:
            yield from self._from_log(chain(head, lines))

    def _relabelled(self, found: list[Recorded]) -> Iterator[Recorded]:
        old = {
            _label_of(operation.key, self.name)
            for recorded in found
            for operation in recorded.transaction.operations
        }
        self.labels |= old
        if self._label is None or not old:
            yield from found
            return
        prefix = keys.agent_prefix(self.label())
        self.labels = {self._label}
        for recorded in found:
            yield _moved(recorded, prefix, keys.agent_prefix(self._label))

    def _from_log(self, lines: Iterator[str]) -> Iterator[Recorded]:
        is_empty = True
        for recorded in transactions.recorded(self._log.read(lines)):
            is_empty = False
            if recorded.transaction:
                yield _moved(recorded, "", keys.agent_prefix(self._log_label()))
            else:
                yield recorded
        if is_empty:
            raise InputError(
                f"{self.name}: neither a recording nor a log with transactions of an agent"
            )

    def _log_label(self) -> str:
        if len(self._log.labels) > 1:
            several = ", ".join(sorted(self._log.labels))
            raise InputError(f"{self.name}: a log of several agents: {several}")
        label = self._label or next(iter(self._log.labels), None)
        if label is None:
            raise InputError(f"{self.name}: an agent's log names no label: give --label")
        self.labels = {label}
        return label


def _label_of(key: str, name: str) -> str:
    """The label in a whole key."""
    head, _, rest = key.partition(keys.AGENT)
    label, _, short = rest.partition("/")
    if head or not label or not short.startswith(keys.CONFIG):
        raise InputError(f"{name}: {key} is not a key of an agent")
    return label


def _moved(recorded: Recorded, old: str, new: str) -> Recorded:
    """The transaction with another beginning of its keys."""
    operations = tuple(
        Operation(keys.full(new, keys.short(old, one.key)), one.value, one.guard)
        for one in recorded.transaction.operations
    )
    return Recorded(recorded.number, Transaction(operations), recorded.time)


def replay(
    recordings: Sequence[Recorded], label: str, store: Etcd3Store, on_done: Callable[[], object]
) -> Mapping[FullKey, int]:
    """Commit every transaction; guard 0 becomes "must not exist", others what our puts got.

    Args:
        label: the agent that all keys belong to.
        on_done: called after each transaction.

    Returns:
        The revisions of the keys that are there in the end.

    Raises:
        InputError: a value is larger than one revision holds; nothing is written then.
        Conflict: another process writes for the label, or a key is not as the recording had it.
    """
    with WriterSession(store, label) as session:
        writer = session.require()
        _refuse_large(recordings)
        revisions: dict[FullKey, int] = {}
        snapshot = store.read([keys.agent_prefix(label) + keys.CONFIG])
        others = {item.key: item.mod_revision for item in snapshot.entries}
        revision = snapshot.revision
        for recorded in recordings:
            transaction = recording.mapped(recorded.transaction, revisions)
            _refuse_others(transaction, others)
            revision = _commit(transaction, store, writer, revision, revisions)
            on_done()
    return revisions


def _commit(
    transaction: Transaction,
    store: Etcd3Store,
    writer: Writer,
    revision: int,
    revisions: dict[FullKey, int],
) -> int:
    """Commit one transaction, in several revisions if it is large; the last of them."""
    left = list(transaction.operations)
    while left:
        part = plan.split(left, store.limits.planned, store.limits.size)[0]
        try:
            revision = store.commit(part, writer=writer, read_revision=revision)
        except LimitsLowered:
            continue
        left = left[len(part) :]
        for operation in part.operations:
            if operation.value is None:
                revisions.pop(operation.key, None)
            else:
                revisions[operation.key] = revision
    return revision


def _refuse_large(recordings: Iterable[Recorded]) -> None:
    for recorded in recordings:
        for operation in recorded.transaction.operations:
            if (size := limits.size_of([operation])) > plan.MOST_BYTES:
                raise InputError(
                    f"{operation.key}: {size} bytes are more than one revision of etcd holds:"
                    f" {plan.MOST_BYTES}"
                )


def _refuse_others(transaction: Transaction, others: Mapping[FullKey, int]) -> None:
    """A key that was there before: a large commit sees only what is newer than what was read."""
    for operation in transaction.operations:
        if operation.key in others:
            found = others[operation.key]
            raise Conflict(f"{operation.key}: mod revision {found}, expected absent")
