"""One piece of writing into etcd, for commands that end: read, make, commit, under the writer key.

Rule (decision 0032): a failed guard means read again and make again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from srv6kv.errors import Conflict, LimitsLowered
from srv6kv.etcd.lease import Writer, identity
from srv6kv.etcd.protocols import Store
from srv6kv.etcd.values import Snapshot
from srv6kv.txn.transaction import Operation, Transaction

TRIES = 5
"""Somebody who edits faster than that has to be stopped first."""

Step = tuple[Transaction, tuple[Operation, ...]]
"""A transaction, and what is noted with it without guards."""
Work = TypeVar("Work")


@contextmanager
def right_to_write(store: Store, label: str) -> Iterator[Writer]:
    """The writer key of a label, given back at the end.

    Raises:
        Conflict: somebody else has it; the text says who.
    """
    writer = store.acquire(label, identity())
    if writer is None:
        raise Conflict(f"{store.holder(label)} writes for {label}; stop it first")
    try:
        yield writer
    finally:
        writer.release()


def write(
    store: Store,
    label: str,
    prefixes: Sequence[str],
    make: Callable[[Snapshot], tuple[Work, Sequence[Step]]],
) -> tuple[Work, int]:
    """Commit all steps that ``make`` wants for what etcd holds.

    Args:
        store: where.
        label: whose writer key is needed.
        prefixes: what is to be read.
        make: the steps for a snapshot, and what it has to say about them.

    Returns:
        What ``make`` said when all of it was done, and how many transactions that took.

    Raises:
        Conflict: somebody else writes for the label, or edits its keys all the time.
    """
    commits = 0
    with right_to_write(store, label) as writer:
        tries = TRIES
        while True:
            snapshot = store.read(prefixes)
            work, steps = make(snapshot)
            revision = snapshot.revision
            try:
                for transaction, extra in steps:
                    revision = store.commit(
                        transaction, writer=writer, read_revision=revision, extra=extra
                    )
                    commits += bool(transaction)
            except LimitsLowered:
                continue
            except Conflict:
                tries -= 1
                if writer.lost.is_set() or not tries:
                    raise
                continue
            return work, commits
