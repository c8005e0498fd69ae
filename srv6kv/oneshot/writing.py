"""One write into etcd, for commands that end: read, make, commit, under the writer key.

Rule (decision 0032): a failed guard means read again and make again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import Protocol, TypeVar

from srv6kv.errors import Conflict, LimitsLowered
from srv6kv.etcd.backoff import Backoff
from srv6kv.etcd.session import WriterSession
from srv6kv.etcd.store import Etcd3Store
from srv6kv.etcd.values import Snapshot
from srv6kv.sync.turns import COPY_SECONDS
from srv6kv.txn.transaction import Operation, Transaction


class Work(Protocol):
    """What is to be done."""

    @property
    def steps(self) -> Sequence[tuple[Transaction, tuple[Operation, ...]]]:
        """Transactions, each with what is noted with it without guards."""

    @property
    def followers(self) -> Collection[str]:
        """Chains that go out when the agent has had the time to make those before them."""


Made = TypeVar("Made", bound=Work)


def write(
    store: Etcd3Store,
    label: str,
    prefixes: Sequence[str],
    make: Callable[[Snapshot], Made],
    *,
    is_dry_run: bool = False,
) -> Made:
    """Commit all steps of what is to be done, given what etcd holds.

    Args:
        make: finds out for a snapshot what is to be done.
        is_dry_run: read and make only, without the writer key.

    Returns:
        What was done, or would be.

    Raises:
        Conflict: another process writes for the label, or edits its keys all the time.
    """
    if is_dry_run:
        return make(store.read(prefixes))
    with WriterSession(store, label) as session:
        backoff = Backoff()
        while True:
            writer = session.require()
            snapshot = store.read(prefixes)
            work = make(snapshot)
            revision = snapshot.revision
            try:
                for transaction, extra in work.steps:
                    if any(one.key in work.followers for one in transaction.operations):
                        time.sleep(COPY_SECONDS)
                    revision = store.commit(
                        transaction, writer=writer, read_revision=revision, extra=extra
                    )
                return work
            except LimitsLowered:
                continue
            except Conflict:
                pause = backoff.failed()
                if writer.lost.is_set() or backoff.is_exhausted:
                    raise
                time.sleep(pause)
