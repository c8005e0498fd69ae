"""The loop of ``srv6kv run``: one thread that owns all state and does all writing.

A session begins with the writer key and a read of everything at one revision; it ends with the
first error of any kind, and the next one begins. Nothing is written before the cluster's first
complete list has arrived.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from srv6kv.errors import Conflict, Refused, Srv6kvError, Unavailable
from srv6kv.etcd.values import Change
from srv6kv.formats import agentlog
from srv6kv.notes import Note
from srv6kv.plan import Plan
from srv6kv.reconciler import Reconciler
from srv6kv.recorder import Recorder
from srv6kv.source import ClusterChanged, Source
from srv6kv.store import Etcd3Store, Writer, writer_key
from srv6kv.transaction import Operation, Transaction

log = logging.getLogger("srv6kv")

STANDBY_SECONDS = 0.5
STOP_SECONDS = 1.0
MOST_BACKOFF_SECONDS = 1.0
IDLE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Watched:
    """What a session's watch saw, or why it ended."""

    session: int
    changes: tuple[Change, ...] = ()
    revision: int = 0
    lost: Srv6kvError | None = None


@dataclass(slots=True)
class Progress:
    """What the loop has done; read by whoever shows it.

    Attributes:
        doing: what it does now, in words.
        revision: of the last commit.
        syncs: how often desired and actual were found equal.
        commits: how many transactions were committed.
    """

    doing: str = "starting"
    revision: int = 0
    syncs: int = 0
    commits: int = 0


@dataclass(slots=True)
class Controller:
    """Keeps one agent's keys in step with the cluster.

    Attributes:
        identity: what the writer key says about us.
        once: end as soon as desired and actual are equal.
        on_commit: called with every committed transaction and its revision.
    """

    store: Etcd3Store
    reconciler: Reconciler
    source: Source
    label: str
    identity: str
    recorder: Recorder | None = None
    once: bool = False
    on_commit: Callable[[Transaction, int], None] = lambda _transaction, _revision: None
    progress: Progress = field(default_factory=Progress)
    _queue: SimpleQueue[Any] = field(default_factory=SimpleQueue)
    _is_stopped: bool = False
    _stopping: threading.Event = field(default_factory=threading.Event)
    _ended: threading.Event = field(default_factory=threading.Event)
    _writer: Writer | None = None
    _session: int = 0
    _revision: int = 0
    _has_cluster: bool = False
    _source_notes: tuple[Note, ...] = ()
    _said: set[Note] = field(default_factory=set)
    _due: float | None = None
    _trouble: type[Srv6kvError] | None = None

    def stop(self) -> None:
        """End the loop soon; from any thread or signal handler."""
        # A handler may interrupt any line of the loop: the locks taken here are never held there.
        if not self._is_stopped:
            self._is_stopped = True
            self._queue.put(None)
            self._stopping.set()

    def run(self) -> None:
        """Work until ``stop``; with ``once`` until all is in step."""
        self.source.start(self._queue)
        hurry = threading.Thread(target=self._cut_short, name="srv6kv-stop", daemon=True)
        hurry.start()
        try:
            self._loop()
        finally:
            self.source.stop()
            if self._writer is not None:
                self._writer.release()
            self._ended.set()
            self._stopping.set()
            hurry.join()

    def _cut_short(self) -> None:
        """A call that etcd leaves without an answer must not hold up the end."""
        self._stopping.wait()
        if not self._ended.wait(STOP_SECONDS):
            self.store.close()

    def _loop(self) -> None:
        failures = 0
        while not self._is_stopped:
            syncs = self.progress.syncs
            try:
                writer = self._may_write()
                if writer is None:
                    self._rest(STANDBY_SECONDS)
                elif self._attend(writer):
                    return
            except (Unavailable, Conflict, Refused) as error:
                failures = failures + 1 if syncs == self.progress.syncs else 1
                self._say_trouble(error)
                self._rest(_pause(failures))

    def _rest(self, seconds: float) -> None:
        """Let so much time pass, and take in what happens meanwhile."""
        deadline = time.monotonic() + seconds
        while not self._is_stopped and (left := deadline - time.monotonic()) > 0:
            self._listen(left)

    def _say_trouble(self, error: Srv6kvError) -> None:
        """One line for an outage, however long it is and whatever else it looks like."""
        is_new = type(error) is not self._trouble
        self._trouble = type(error)
        if not self._is_stopped:
            level = logging.WARNING if is_new else logging.DEBUG
            self._doing(f"etcd: {error}; trying again", level)

    def close(self) -> None:
        """Close the connection to etcd and the recording."""
        self.store.close()
        if self.recorder is not None:
            self.recorder.close()

    def _may_write(self) -> Writer | None:
        """The right to write, kept from the last session if it still lives; None: stand by."""
        if self._writer is not None and self._writer.lost.is_set():
            log.warning("no longer the writer for %s", self.label)
            self._writer.release()
            self._writer = None
        if self._writer is None:
            self._writer = self.store.acquire(self.label, self.identity)
        if self._writer is None and self._gave_up_own_key():
            self._writer = self.store.acquire(self.label, self.identity)
        if self._writer is None:
            holder = self.store.holder(self.label)
            if holder is not None:
                self._trouble = None
                self._doing(f"standing by: {holder} writes for {self.label}")
        return self._writer

    def _gave_up_own_key(self) -> bool:
        """Whether the writer key was still ours: a server that was away prolongs the leases that
        it knows, also one that we gave up for lost and could not revoke."""
        value, metadata = self.store.get(writer_key(self.label))
        if value != self.identity.encode():
            return False
        self.store.revoke_lease(metadata.lease_id)
        return True

    def _attend(self, writer: Writer) -> bool:
        """One session, from a read to the first error; whether all work is done."""
        watch = None
        try:
            snapshot = self.store.read(self.reconciler.prefixes)
            self.reconciler.reset(snapshot.entries)
            self._revision = snapshot.revision
            session = self._session = self._session + 1
            watch = self.store.watch(
                self.reconciler.prefixes[:1],
                snapshot.revision + 1,
                lambda changes, revision: self._queue.put(
                    _Watched(session, tuple(changes), revision)
                ),
                lambda error: self._queue.put(_Watched(session, lost=error)),
            )
            if self.recorder is not None:
                self.recorder.snapshot(self.reconciler.held())
            log.info("session revision=%d writer=%s", snapshot.revision, writer.key)
            return self._work(writer)
        finally:
            self._session += 1  # what its watch may still have put into the queue is void
            if watch is not None:
                watch.cancel()

    def _work(self, writer: Writer) -> bool:
        """Keep etcd in step until something ends the session; whether all work is done."""
        self._due = None
        self._leave_old_boot(writer)
        has_news = True
        while not self._is_stopped:
            if writer.lost.is_set():
                raise Unavailable(f"{writer.key}: the lease is lost")
            if not self._has_cluster:
                self._doing("waiting for the first complete list of the cluster")
            elif has_news and self._step(writer) and self.once:
                return True
            left = IDLE_SECONDS if self._due is None else max(0.0, self._due - time.monotonic())
            has_news = self._listen(left) or self._due is not None
        return True

    def _leave_old_boot(self, writer: Writer) -> None:
        """Before anything else: chains that would hit the wrong namespace go."""
        stale = self.reconciler.stale_chains()
        if stale:
            log.warning("new boot: %d rule chains of the last one go", len(stale))
            self._write(stale, self.reconciler.boot_note(), writer)

    def _write(self, transaction: Transaction, extra: tuple[Operation, ...], writer: Writer) -> int:
        """This is where all writing happens; the revision."""
        revision = self.store.commit(
            transaction, writer=writer, read_revision=self._revision, extra=extra
        )
        self.reconciler.committed(transaction, extra, revision)
        self._revision = max(self._revision, revision)
        if transaction and self.recorder is not None:
            self.recorder.append(transaction)
        return revision

    def _listen(self, seconds: float) -> bool:
        """Wait for something to happen, then take in all that has happened; whether it did."""
        has_news = False
        try:
            event = self._queue.get(timeout=seconds)
            while True:
                self._take(event)
                has_news = True
                event = self._queue.get_nowait()
        except Empty:
            return has_news

    def _take(self, event: ClusterChanged | _Watched | Exception | None) -> None:
        match event:
            case Exception():
                raise event
            case ClusterChanged():
                self.reconciler.intake.take_all(event.objects)
                self._source_notes = event.notes
                self.reconciler.note_gaps(event.has_gaps)
                self._has_cluster = True
            case _Watched() if event.session == self._session:
                if event.lost is not None:
                    raise event.lost
                edits = self.reconciler.edited
                self.reconciler.observe(event.changes)
                self._revision = max(self._revision, event.revision)
                if self.reconciler.edited != edits:
                    log.warning("foreign edit of our keys revision=%d", event.revision)
                    if self.recorder is not None:
                        self.recorder.snapshot(self.reconciler.held())

    def _step(self, writer: Writer) -> bool:
        """Plan and commit; whether desired and actual are equal now."""
        started = time.monotonic()
        plan = self.reconciler.plan()
        self._say_notes()
        if plan.can_wait and not self.reconciler.is_urgent:
            window = self.reconciler.settings.replace_window
            self._due = self._due if self._due is not None else started + window
            if started < self._due:
                return False
        self._due = None
        self._commit(plan, writer, started)
        self._trouble = None
        self.progress.syncs += 1
        self._doing(f"in step with the cluster at revision {self._revision}", logging.DEBUG)
        return True

    def _commit(self, plan: Plan, writer: Writer, started: float) -> None:
        """Do all of a plan, with what is to be noted about ourselves."""
        for index, transaction in enumerate(plan.transactions or (Transaction(()),)):
            extra = self.reconciler.bookkeeping(plan, index)
            if not transaction and not extra:
                continue
            revision = self._write(transaction, extra, writer)
            if transaction:
                self._committed(transaction, revision, plan, started)
        self.reconciler.settled()

    def _committed(
        self, transaction: Transaction, revision: int, plan: Plan, started: float
    ) -> None:
        puts = sum(operation.is_put for operation in transaction.operations)
        log.info(
            "sync put=%d del=%d compared=%d rev=%d ms=%.0f",
            puts,
            len(transaction) - puts,
            plan.compared,
            revision,
            1000 * (time.monotonic() - started),
        )
        if log.isEnabledFor(logging.DEBUG):
            for operation in transaction.operations:
                key = operation.key.removeprefix(self.reconciler.prefix)
                for line in agentlog.lines(key, operation.value, "v3"):
                    log.debug("%s", line)
        self.progress.revision = revision
        self.progress.commits += 1
        self.on_commit(transaction, revision)

    def _say_notes(self) -> None:
        """Each note once, when it appears."""
        notes = self.reconciler.notes() | {*self._source_notes}
        if notes == self._said:
            return
        for note in sorted(notes - self._said):
            log.warning("note %s", note)
        for note in sorted(self._said - notes):
            log.info("no longer: %s", note)
        self._said = notes

    def _doing(self, what: str, level: int = logging.INFO) -> None:
        if what != self.progress.doing:
            self.progress.doing = what
            log.log(level, "%s", what)


def _pause(failures: int) -> float:
    """Seconds before the next try: jittered, doubling, a few at most."""
    if failures == 0:
        return 0.0
    longest = min(MOST_BACKOFF_SECONDS, 0.1 * 2.0 ** min(failures, 10))
    return random.uniform(longest / 2, longest)
