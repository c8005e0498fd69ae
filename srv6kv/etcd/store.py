"""etcd, as srv6kv needs it: the only module that talks to it.

`Etcd3Store` is the client of the library etcd3 with what that lacks: several endpoints, a deadline
on every call, tokens that are renewed, reads at one revision, guarded transactions of up to 4,096
operations, a leased writer key, and watches that resume at a revision. Its inherited calls go
the same way and raise the same errors.

Every failure is one of srv6kv.errors. A failed guard, a lost answer and a lost watch mean the same
to the caller: read again, plan again.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import Any

from srv6kv.errors import Conflict, LimitsLowered, Srv6kvError, TooLarge, Unavailable
from srv6kv.etcd.calls import Calls, Service
from srv6kv.etcd.commit import Commit
from srv6kv.etcd.cuts import Cuts
from srv6kv.etcd.endpoints import Tls, endpoints_of, login_of
from srv6kv.etcd.failures import TOO_MANY_OPERATIONS
from srv6kv.etcd.lease import Renewals, Writer, seconds_of, writer_key
from srv6kv.etcd.probe import bytes_taken, operations_taken
from srv6kv.etcd.stubs import etcd3, etcdrpc, transactions
from srv6kv.etcd.values import Change, KeyValue, Snapshot, end_of, key_text
from srv6kv.etcd.watch import OnChanges, OnLost, Watch
from srv6kv.txn.limits import LEAST_OPERATIONS, OVERHEAD_BYTES, Limits, size_of
from srv6kv.txn.transaction import FullKey, Operation, Transaction

__all__ = ["Change", "Etcd3Store", "KeyValue", "Snapshot", "Tls", "Watch", "Writer", "writer_key"]

# Longer than an election of a new leader, shorter than the lease of the writer key.
TIMEOUT = 3.0
SURE_SECONDS = 0.5
"""A first answer that takes longer is no measure of a round trip: a connection was made too."""
PAGE = 2000
LEAST_PAGE = 250
"""Smaller pages only if one of that size was refused as too large."""


class Etcd3Store(etcd3.Etcd3Client):  # type: ignore[misc]  # etcd3 ships no types
    """A client of one etcd cluster; safe to use from several threads.

    Args:
        endpoints: `host:port`, `[address]:port` or `http(s)://...`, any number of them.
        timeout: seconds that one call to one endpoint may take; more where answers take long.
        tls: certificates; without a scheme in the endpoint they also turn TLS on.
    """

    def __init__(
        self,
        endpoints: Iterable[str],
        *,
        timeout: float = TIMEOUT,
        tls: Tls | None = None,
        user: str | None = None,
        password: str | None = None,
    ) -> None:
        targets = endpoints_of(endpoints, uses_tls=tls is not None)
        login = login_of(user, password)
        host, _, port = targets[0].address.rpartition(":")
        super().__init__(host=host, port=port, timeout=timeout)
        # Its own channel has sent nothing yet: ours are made per endpoint, by Calls.
        self.channel.close()
        self._calls = Calls(targets, tls=tls or Tls(), timeout=timeout, login=login)
        self.kvstub = Service(self._calls, "KV")
        self.leasestub = Service(self._calls, "Lease")
        self.clusterstub = Service(self._calls, "Cluster")
        self.maintenancestub = Service(self._calls, "Maintenance")
        self.watcher = etcd3.watch.Watcher(Service(self._calls, "Watch"), timeout=timeout)
        self._calls.on_replaced = self._lose_writers
        self._cut = Cuts()
        self._page = PAGE
        self._lock = threading.Lock()
        self._watches: list[Watch] = []
        self._writers: list[Writer] = []

    def close(self) -> None:
        """Ends watches, calls and threads, within seconds; leases run out by themselves."""
        with self._lock:
            watches, self._watches = self._watches, []
            writers, self._writers = self._writers, []
        for watch in watches:
            watch.cancel()
        self._calls.close()
        for writer in writers:
            writer.abandon()
        super().close()

    def read(self, prefixes: Sequence[str]) -> Snapshot:
        """Every key under these prefixes, which may not overlap, all as of one revision."""
        entries: list[KeyValue] = []
        revision = 0
        for prefix in prefixes:
            for page in self._pages(prefix, revision):
                revision = revision or page.header.revision
                entries.extend(
                    KeyValue(FullKey(key_text(item.key)), item.value, item.mod_revision)
                    for item in page.kvs
                )
        return Snapshot(revision, entries)

    def _pages(self, prefix: str, revision: int) -> Iterator[Any]:
        """The pages of one prefix, all at the revision of the first unless one is given."""
        key, end = prefix.encode(), end_of(prefix)
        while True:
            limit = self._page
            request = etcdrpc.RangeRequest(key=key, range_end=end, limit=limit, revision=revision)
            try:
                page = self.kvstub.Range(request)
            except TooLarge:
                if limit == 1:
                    raise
                self._page = limit // 2
                continue
            except Unavailable:
                # A proxy that ends the connection at a long answer does it every time.
                self._page = max(limit // 2, min(limit, LEAST_PAGE))
                raise
            yield page
            if not page.more:
                return
            revision = revision or page.header.revision
            key = page.kvs[-1].key + b"\0"

    def commit(
        self,
        transaction: Transaction,
        *,
        writer: Writer,
        read_revision: int,
        extra: Sequence[Operation] = (),
    ) -> int:
        """Write all of it, in its order, as one revision, and return that; or nothing.

        KeysChanged if a guard does not hold, with what its key holds instead; Conflict if the
        writer key is not ours any more; LimitsLowered if the server takes less at once, which
        `limits` says from then on; Unavailable if the answer is lost, so that it may or may not be
        done; ValueError if it is more than one revision can hold (srv6kv.txn.limits). More than 120
        operations are guarded per model instead of per key: nothing next to their keys may be newer
        than `read_revision`.

        Args:
            read_revision: up to where the caller knows what the models of these keys hold.
            extra: bookkeeping of our own that follows in the same revision, without guards.
        """
        if writer.lost.is_set():
            raise Conflict(f"{writer.key} is not held any more")
        guarded = transaction.operations
        if extra and not self.limits.holds([*guarded, *extra]):
            # Noted too early they say too much; noted too late, they would be missing.
            for note in extra:
                self._send(Commit((), (note,), writer, read_revision, self.limits))
            extra = ()
        return self._send(Commit(guarded, tuple(extra), writer, read_revision, self.limits))

    def _send(self, commit: Commit) -> int:
        try:
            response = self.kvstub.Txn(commit.request())
        except TooLarge as error:
            raise self._limited(commit, error) from error
        except Unavailable:
            self._cut.lost(commit.operations)
            raise
        self._cut.passed()
        if response.header.revision < commit.read_revision:
            self._lose_writers()  # a watch may have reported more than answers
        if response.succeeded:
            return int(response.header.revision)
        if commit.is_writer_gone(response):
            commit.writer.lost.set()
            raise Conflict(f"{commit.writer.key} is not ours any more")
        raise commit.conflict(response)

    @property
    def limits(self) -> Limits:
        """What the server takes at once, as far as it is known; plans have to follow it."""
        return self._cut.limits

    def _limited(self, commit: Commit, error: TooLarge) -> Srv6kvError:
        """Lower the limits after a refusal. Returns: the error to raise."""
        if TOO_MANY_OPERATIONS in str(error):
            taken = operations_taken(self, commit.writer.key)
            if not LEAST_OPERATIONS <= taken < self.limits.operations:
                return error
            self._cut.operations(taken)
            return LimitsLowered(f"etcd takes transactions of {taken} operations")
        if len(commit.operations) == 1 and size_of(commit.operations) > self.limits.value:
            return error  # it was known that it does not fit
        taken = bytes_taken(self, commit.writer.key, commit.request().ByteSize())
        if taken <= OVERHEAD_BYTES:
            return error
        self._cut.measured(taken, commit.operations)
        return LimitsLowered(f"{error}: requests of {taken} bytes from now on")

    def acquire(self, label: str, identity: str, ttl: int | None = None) -> Writer | None:
        """The right to write for a label, under an identity unlike that of any other process; None
        if another process has it. It outlives us by ``ttl`` seconds, or more if etcd grants more;
        None: as long as the round trip needs."""
        key = writer_key(label)
        epoch = self._calls.lineage.epoch
        if self.holder(label) is not None:
            return None
        if not self._calls.latency.is_certain and self._calls.latency.mean > SURE_SECONDS:
            self.holder(label)
        granted = time.monotonic()
        lease = self.lease(ttl or seconds_of(self._calls.latency.mean))
        put = etcdrpc.PutRequest(key=key.encode(), value=identity.encode(), lease=lease.id)
        request = etcdrpc.TxnRequest(
            compare=[(transactions.Create(key) == 0).build_message()],
            success=[etcdrpc.RequestOp(request_put=put)],
        )
        try:
            response = self.kvstub.Txn(request)
        except Srv6kvError:
            # Perhaps it is ours: without its lease it will not be for long.
            self._revoke_if_possible(lease.id)
            raise
        if not response.succeeded:
            self._revoke_if_possible(lease.id)
            return None
        writer = Writer(
            key,
            identity,
            response.header.revision,
            epoch=epoch,
            lease_id=lease.id,
            ttl=lease.ttl,
            granted=granted,
            renewals=Renewals(self._calls, lambda: self.holder(label)),
            revoke=lambda: self.revoke_lease(lease.id),
        )
        with self._lock:
            self._writers = [one for one in self._writers if not one.lost.is_set()] + [writer]
        return writer

    def was_held_between(self, before: Writer, now: Writer) -> bool:
        """Whether another process has, or may have, held the writer key between two of our tenures.

        Every claim is a put of the key, so the history of the key from one claim to the other shows
        it: only our own identity in it, and no other process can have committed anything. If etcd
        has compacted or replaced that history the answer is that one may have.
        """
        if before.epoch != now.epoch:
            return True
        others: SimpleQueue[bool] = SimpleQueue()

        def collect(changes: list[Change], _revision: int) -> None:
            for change in changes:
                if change.key == now.key and change.value not in (None, now.identity.encode()):
                    others.put(True)
                elif change.mod_revision >= now.create_revision:
                    others.put(False)

        watch = self.watch([now.key], before.create_revision, collect, lambda _: others.put(True))
        try:
            return others.get(timeout=self._calls.latency.deadline(TIMEOUT))
        except Empty:
            return True
        finally:
            watch.cancel()

    def holder(self, label: str) -> str | None:
        """The identity of who may write for a label, None if no process does."""
        value, _ = self.get(writer_key(label))
        return None if value is None else value.decode(errors="replace")

    def watch(
        self, prefixes: Sequence[str], start_revision: int, on_changes: OnChanges, on_lost: OnLost
    ) -> Watch:
        """Follows these prefixes from a revision on, in a thread of its own (see Watch).

        It takes the place of etcd3's, which drops its callbacks at the first error.
        """
        watch = Watch(self._calls, prefixes, start_revision, on_changes, on_lost)
        with self._lock:
            self._watches = [one for one in self._watches if one.is_running] + [watch]
        return watch

    def _lose_writers(self) -> None:
        """The data is not that in which they were acquired."""
        with self._lock:
            writers = list(self._writers)
        for writer in writers:
            writer.lost.set()

    def _revoke_if_possible(self, lease_id: int) -> None:
        with contextlib.suppress(Srv6kvError):
            self.revoke_lease(lease_id)
