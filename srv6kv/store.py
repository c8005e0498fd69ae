"""etcd, as srv6kv needs it: the only module that talks to it.

`Etcd3Store` is the client of the library etcd3 with what that lacks: several endpoints, a deadline
on every call, tokens that are renewed, reads at one revision, guarded transactions of up to 4,096
operations, a leased writer key, and watches that resume at a revision. Its inherited calls go
the same way and raise the same errors.

Every failure is one of srv6kv.errors. A failed guard, a lost answer and a lost watch mean the same
to the caller: read again, plan again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from srv6kv.errors import Conflict, Srv6kvError, Unavailable
from srv6kv.etcd.calls import Calls, Service
from srv6kv.etcd.commit import Commit
from srv6kv.etcd.endpoints import Tls, endpoints_of, login_of
from srv6kv.etcd.lease import Writer, writer_key
from srv6kv.etcd.stubs import etcd3, etcdrpc, transactions
from srv6kv.etcd.values import Change, KeyValue, Snapshot, end_of, key_text
from srv6kv.etcd.watch import OnChanges, OnLost, Watch
from srv6kv.transaction import Operation, Transaction

__all__ = [
    "Change",
    "Etcd3Store",
    "KeyValue",
    "Snapshot",
    "Tls",
    "Watch",
    "Writer",
    "writer_key",
]

# Longer than an election of a new leader, shorter than the lease of the writer key.
TIMEOUT = 3.0
COMMIT_SECONDS = 0.7
"""What was sent on to a leader that is gone is never answered; to ask what became of a commit costs
one read. Doubled up to the timeout of a call as long as no commit is answered."""
PAGE = 2000


class Etcd3Store(etcd3.Etcd3Client):  # type: ignore[misc]  # etcd3 ships no types
    """A client of one etcd cluster; safe to use from several threads.

    Args:
        endpoints: `host:port`, `[address]:port` or `http(s)://...`, any number of them.
        timeout: seconds that one call to one endpoint may take.
        tls: certificates; without a scheme in the endpoint they also turn TLS on.
        user: whom to log in as.
        password: its password.
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
        self._timeout = timeout
        self._patience = min(COMMIT_SECONDS, timeout)
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
                    KeyValue(key_text(item.key), item.value, item.mod_revision) for item in page.kvs
                )
        return Snapshot(revision, entries)

    def _pages(self, prefix: str, revision: int) -> Iterator[Any]:
        """The pages of one prefix, all at the revision of the first unless one is given."""
        key, end = prefix.encode(), end_of(prefix)
        while True:
            request = etcdrpc.RangeRequest(key=key, range_end=end, limit=PAGE, revision=revision)
            page = self.kvstub.Range(request)
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
        """Writes all of it, in its order, as one revision, and returns that; or nothing.

        KeysChanged if a guard does not hold, with what its key holds instead; Conflict if the
        writer key is not ours any more; Unavailable if the answer is lost, so that it may or may
        not be done; ValueError if it is more than one revision can hold (srv6kv.etcd.limits). More
        than 120 operations are guarded per model instead of per key: nothing next to their keys
        may be newer than `read_revision`.

        Args:
            transaction: what to write, with guards.
            writer: the right to write it.
            read_revision: up to where the caller knows what the models of these keys hold.
            extra: bookkeeping of our own that follows in the same revision, without guards.
        """
        if writer.lost.is_set():
            raise Conflict(f"{writer.key} is not held any more")
        commit = Commit(
            transaction.operations, tuple(extra), writer.key, writer.create_revision, read_revision
        )
        response = self._commit(commit.request())
        if response.succeeded:
            return int(response.header.revision)
        if commit.is_writer_gone(response):
            writer.lost.set()
            raise Conflict(f"{writer.key} is not ours any more")
        raise commit.conflict(response)

    def _commit(self, request: Any) -> Any:
        try:
            response = self.kvstub.Txn(request, self._patience)
        except Unavailable:
            self._patience = min(2 * self._patience, self._timeout)
            raise
        self._patience = min(COMMIT_SECONDS, self._timeout)
        return response

    def acquire(self, label: str, identity: str, ttl: int = 5) -> Writer | None:
        """The right to write for a label, None if somebody else has it.

        Args:
            label: the agent's.
            identity: who we are, for others to read.
            ttl: seconds that the right outlives us; etcd may grant more.
        """
        key = writer_key(label)
        granted = time.monotonic()
        lease = self.lease(ttl)
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
            ttl=lease.ttl,
            granted=granted,
            keep_alive=lambda seconds: self._keep_alive(lease.id, seconds),
            revoke=lambda: self.revoke_lease(lease.id),
        )
        with self._lock:
            self._writers = [one for one in self._writers if not one.lost.is_set()] + [writer]
        return writer

    def holder(self, label: str) -> str | None:
        """The identity of who may write for a label, None if nobody does."""
        value, _ = self.get(writer_key(label))
        return None if value is None else value.decode(errors="replace")

    def watch(
        self,
        prefixes: Sequence[str],
        start_revision: int,
        on_changes: OnChanges,
        on_lost: OnLost,
    ) -> Watch:
        """Follows these prefixes from a revision on, in a thread of its own (see Watch).

        It takes the place of etcd3's, which drops its callbacks at the first error.
        """
        watch = Watch(self._calls, prefixes, start_revision, on_changes, on_lost)
        with self._lock:
            self._watches = [one for one in self._watches if one.is_running] + [watch]
        return watch

    def _keep_alive(self, lease_id: int, seconds: float) -> float:
        request = etcdrpc.LeaseKeepAliveRequest(ID=lease_id)
        answers = self._calls.stream("Lease", "LeaseKeepAlive", [request], timeout=seconds)
        try:
            return float(next((answer.TTL for answer in answers), 0))
        finally:
            answers.cancel()

    def _revoke_if_possible(self, lease_id: int) -> None:
        try:
            self.revoke_lease(lease_id)
        except Srv6kvError:
            return
