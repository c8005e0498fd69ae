"""The loop of ``srv6kv run``: one thread that owns all state and does all writing.

A session begins with the writer key and a read of everything at one revision; it ends with the
first error of any kind, and the next one begins. Nothing is written before a complete list of the
cluster has arrived that was asked for after the writer key was won, unless nobody else has held it
since our own last tenure: whoever wrote before may have seen what we have not.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from srv6kv.agent.poll import Polled
from srv6kv.agent.rest import AgentRest
from srv6kv.errors import Conflict, InputError, Refused, Unavailable
from srv6kv.etcd.store import Etcd3Store, Writer, writer_key
from srv6kv.etcd.values import KeysChanged, Watched
from srv6kv.foreign import typed
from srv6kv.notes import Note
from srv6kv.plan.plan import Plan, split
from srv6kv.run.agentwatch import AgentWatch
from srv6kv.run.comparison import FullComparison, Reread
from srv6kv.run.recorder import Recorder
from srv6kv.sources.source import ClusterChanged, Source
from srv6kv.sync.guard import AGAIN_SECONDS
from srv6kv.sync.lists import Lists
from srv6kv.sync.reconciler import Reconciler
from srv6kv.telemetry.progress import Progress
from srv6kv.txn.transaction import Operation, Transaction

STANDBY_SECONDS = 0.5
STOP_SECONDS = 0.6
RELEASE_SECONDS = 0.4
MOST_BACKOFF_SECONDS = 1.0
IDLE_SECONDS = 1.0


@dataclass(slots=True)
class Controller:
    """Keeps one agent's keys in step with the cluster.

    Attributes:
        identity: what the writer key says about us.
        once: end as soon as desired and actual are equal.
        on_commit: called with every committed transaction and its revision.
        agent_rest: asks the agent for states; None: those that it publishes in etcd count.
        progress: is told all that the loop does; says, counts and shows it.
        again_seconds: as in ``Lists``.
    """

    store: Etcd3Store
    reconciler: Reconciler
    source: Source
    label: str
    identity: str
    recorder: Recorder | None = None
    once: bool = False
    on_commit: Callable[[Transaction, int], None] = lambda _transaction, _revision: None
    agent_rest: AgentRest | None = None
    progress: Progress = field(default_factory=Progress)
    again_seconds: float = AGAIN_SECONDS
    _queue: SimpleQueue[Any] = field(default_factory=SimpleQueue)
    _is_stopped: bool = False
    _stopping: threading.Event = field(default_factory=threading.Event)
    _ended: threading.Event = field(default_factory=threading.Event)
    _writer: Writer | None = None
    _last_writer: Writer | None = None
    _session: int = 0
    _revision: int = 0
    _is_following: bool = False
    _lists: Lists = field(init=False)
    _agent: AgentWatch = field(init=False)
    _comparison: FullComparison = field(init=False)
    _source_notes: tuple[Note, ...] = ()
    _held: tuple[Note, ...] = ()
    _due: float | None = None
    _plans_again: bool = False

    def __post_init__(self) -> None:
        self._lists = Lists(self.source, self.reconciler, self.again_seconds)
        self._agent = AgentWatch(self.reconciler, self.agent_rest)
        self._comparison = FullComparison(self.reconciler.settings.full_comparison)

    def stop(self) -> None:
        """End the loop soon; from any thread or signal handler."""
        # A handler may interrupt any line of the loop: the locks taken here are never held there.
        if not self._is_stopped:
            self._is_stopped = True
            self._queue.put(None)
            self._stopping.set()

    def run(self) -> None:
        """Work until ``stop``; with ``once`` until all is in step."""
        typed.prepare()
        hurry = threading.Thread(target=self._cut_short, name="srv6kv-stop", daemon=True)
        hurry.start()
        self._agent.start(self._queue)
        try:
            self._loop()
        finally:
            self._agent.stop()
            if self._writer is not None:
                self._writer.release()
            if self._is_following:
                self.source.stop()
            self._ended.set()
            self._stopping.set()
            hurry.join()

    def _cut_short(self) -> None:
        """Neither a plan for thousands of services nor a call that etcd leaves without an answer
        may hold up the next writer, or the end."""
        self._stopping.wait()
        if self._ended.wait(STOP_SECONDS):
            return
        writer = self._writer
        if writer is not None:  # what is written after this is refused
            release = threading.Thread(target=writer.release, name="srv6kv-release", daemon=True)
            release.start()
            release.join(RELEASE_SECONDS)
        self.store.close()

    def _loop(self) -> None:
        failures = 0
        while not self._is_stopped:
            syncs = self.progress.state.syncs
            try:
                writer = self._may_write()
                if writer is None:
                    self._rest(STANDBY_SECONDS)
                    self._seek_node()
                elif self._attend(writer):
                    return
            except (Unavailable, Conflict, Refused) as error:
                failures = failures + 1 if syncs == self.progress.state.syncs else 1
                if not self._is_stopped:
                    self.progress.failed(error)
                self._rest(_pause(1 if isinstance(error, Conflict) else failures))

    def _rest(self, seconds: float) -> None:
        """Let so much time pass, and take in what happens meanwhile."""
        deadline = time.monotonic() + seconds
        while not self._is_stopped and (left := deadline - time.monotonic()) > 0:
            self._listen(left)
            self._tell()

    def close(self) -> None:
        """Close the connection to etcd and the recording."""
        self.store.close()
        if self.recorder is not None:
            self.recorder.close()

    def _may_write(self) -> Writer | None:
        """The right to write, kept from the last session if it still lives; None: stand by."""
        try:
            return self._seek_writer()
        finally:
            if not self._is_following:  # the first list need not be asked for twice
                self._is_following = True
                self.source.start(self._queue)

    def _seek_writer(self) -> Writer | None:
        self.progress.stage = "writer"
        if self._writer is not None and self._writer.lost.is_set():
            self.progress.lost_writer(self.label)
            self._writer.release()
            self._writer = None
        if self._writer is None:
            self._acquire()
        if self._writer is None and self._gave_up_own_key():
            self._acquire()
        if self._writer is None:
            holder = self.store.holder(self.label)
            self._held = ()
            if holder is not None:
                self.progress.stands_by(holder, self.label)
                self.reconciler.intake.triggers.take()  # what they time is done by the other
        self.progress.writes(self._writer is not None)
        return self._writer

    def _acquire(self) -> None:
        self._writer = self.store.acquire(self.label, self.identity)
        if self._writer is None:
            return
        before, self._last_writer = self._last_writer, self._writer
        if self._is_following and (
            before is None or self.store.was_held_between(before, self._writer)
        ):
            self._lists.await_new()

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
        self.progress.stage = "read"
        try:
            snapshot = self.store.read(self.reconciler.prefixes)
            self.reconciler.reset(snapshot.entries)
            self._revision = snapshot.revision
            self._agent.read(self.store)
            self._comparison.begin()
            session = self._session = self._session + 1
            watch = self.store.watch(
                (*self.reconciler.watched, *self._agent.prefixes),
                snapshot.revision + 1,
                lambda changes, revision: self._queue.put(
                    Watched(session, tuple(changes), revision)
                ),
                lambda error: self._queue.put(Watched(session, lost=error)),
            )
            if self.recorder is not None:
                self.recorder.snapshot(self.reconciler.held())
            self.progress.session(snapshot.revision, writer.key, self.reconciler)
            return self._work(writer)
        finally:
            self._session += 1  # what its watch may still have put into the queue is void
            if watch is not None:
                watch.cancel()

    def _work(self, writer: Writer) -> bool:
        """Keep etcd in step until something ends the session; whether all work is done."""
        has_news, self._due, self._plans_again = True, None, False
        while not self._is_stopped:
            if writer.lost.is_set():
                raise Unavailable(f"{writer.key}: the lease is lost")
            if not self._lists.may_write:
                self.progress.waits_for_cluster()
                self._tell()
            elif self._seek_node():
                self.progress.waits_for_node()
                self._tell()
            elif has_news and self._sync(writer) and self.once and not self._lists.seek_pods():
                return True
            self.progress.count(self.reconciler)
            self._agent.report(self.progress)
            self._compare()
            left = IDLE_SECONDS if self._due is None else max(0.0, self._due - time.monotonic())
            has_news = self._listen(0.0 if self._plans_again else left) or self._plans_again
            has_news |= self._lists.is_due
            self._plans_again = False
            if self._agent.is_amid:
                has_news |= self._agent.is_ready()
                self._due = self._agent.due
            has_news |= self._due is not None and not self._agent.is_amid
            self._lists.check()
            self._lists.seek_pods()
        return True

    def _node_warning(self) -> Note | None:
        """What is said while the lists have not got the own Node; None before the first list."""
        return self.reconciler.node_warning() if self._lists.listed else None

    def _seek_node(self) -> bool:
        """Whether the own Node has not been seen yet, so that nothing may be written.

        Raises:
            InputError: two lists have not got it, and there is no time to wait.
        """
        warning = self._node_warning()
        if warning is not None and self._lists.seek_node() and self.once:
            raise InputError(str(warning))
        return warning is not None

    def _tell(self) -> None:
        """Report all warnings that there are now."""
        own = self._node_warning()
        said = {*self._source_notes, *self._agent.notes, *self._held, *([own] if own else ())}
        self.progress.notes(self.reconciler.notes() | said)

    def _compare(self) -> None:
        """Read and compare everything now and then: what no watch has reported ends the session,
        and the next one restores it."""
        prefixes = (*self.reconciler.prefixes, *self._agent.prefixes)
        self._comparison.start_if_due(self.store, prefixes, self._queue)
        entries = self._comparison.ready()
        if entries is None:
            return
        differing = self.reconciler.differing(entries) | self._agent.differing(entries)
        missing = self._comparison.unreported(differing)
        self.progress.compared(len(entries), missing)
        if missing:
            raise Unavailable(f"the watch has not reported {len(missing)} changes")
        self._comparison.begin()
        self.reconciler.compare_all()
        self._plans_again = True

    def _leave_old_boot(self, writer: Writer) -> None:
        """Before anything else is written: chains that would hit the wrong namespace go."""
        stale = self.reconciler.stale_chains()
        if not stale:
            return
        self.progress.boots_anew(len(stale))
        limits = self.store.limits
        *most, last = split(list(stale.operations), limits.planned, limits.size)
        for part in most:
            self._write(part, (), writer)
        self._write(last, self.reconciler.boot_note(), writer)

    def _write(self, transaction: Transaction, extra: tuple[Operation, ...], writer: Writer) -> int:
        """This is where all writing happens; the revision."""
        with self.progress.committing(transaction, self.reconciler.prefix):
            revision = self.store.commit(
                transaction, writer=writer, read_revision=self._revision, extra=extra
            )
        self.reconciler.committed(transaction, extra, revision)
        self._agent.committed(transaction, revision)
        self._comparison.report(one.key for one in (*transaction.operations, *extra))
        self._revision = max(self._revision, revision)
        if transaction and self.recorder is not None:
            self.recorder.append(transaction)
        return revision

    def _listen(self, seconds: float) -> bool:
        """Wait for something to happen, then take in all that has happened; whether it did."""
        has_news = False
        self.progress.turn()
        try:
            event = self._queue.get(timeout=seconds)
            while True:
                has_news |= self._take(event)
                event = self._queue.get_nowait()
        except Empty:
            return has_news

    def _take(self, event: ClusterChanged | Watched | Polled | Reread | Exception | None) -> bool:
        """Take in what has happened; whether a plan may change by it."""
        match event:
            case Exception():
                raise event
            case Polled():
                return self._agent.take(event)
            case Reread():
                self._comparison.take(event)
                return False
            case ClusterChanged():
                self.reconciler.intake.take_all(event.objects)
                self._source_notes = event.notes
                self.reconciler.note_gaps(event.gaps)
                self._lists.take(event)
                if event.listed:
                    self.progress.cluster(
                        self.reconciler.is_node_eligible, self.reconciler.node_warning()
                    )
            case Watched() if event.session == self._session:
                if event.lost is not None:
                    raise event.lost
                self._comparison.report(change.key for change in event.changes)
                if self._agent.takes(event.changes):  # of what others wrote it tells nothing
                    return False
                edits = self.reconciler.edited
                self.progress.queued()
                self.reconciler.observe(event.changes)
                self._revision = max(self._revision, event.revision)
                self._tell_edits(edits, event.revision)
        return True

    def _tell_edits(self, before: int, revision: int) -> None:
        """Tell of the edits of our keys by others since there were so many."""
        if self.reconciler.edited != before:
            self.progress.edited(self.reconciler.edited - before, revision)
            if self.recorder is not None:
                self.recorder.snapshot(self.reconciler.held())

    def _sync(self, writer: Writer) -> bool:
        """Plan and commit; whether desired and actual are equal now. Keys that others have changed
        meanwhile are planned again in the next turn, and the session goes on."""
        edits = self.reconciler.edited
        try:
            return self._step(writer)
        except KeysChanged as conflict:
            if not self.reconciler.refused(conflict.changes):
                raise
            self._plans_again = True
            self._tell_edits(edits, conflict.revision)
            return False

    def _step(self, writer: Writer) -> bool:
        """Plan and commit; whether desired and actual are equal now."""
        started = time.monotonic()
        self._leave_old_boot(writer)
        self.reconciler.cluster.miss(self._lists.missed())
        self.reconciler.keep_to(self.store.limits)
        plan = self.reconciler.plan()
        self._held = self._lists.hold(plan)
        self._tell()
        if self._held:
            return False
        if plan.can_wait and not self.reconciler.is_urgent and not self._agent.is_amid:
            window = self.reconciler.settings.replace_window
            self._due = self._due if self._due is not None else started + window
            if started < self._due:
                return False
        self._due = None
        is_full = self.reconciler.compares_all
        if not self._commit(plan, writer, started):
            self._due = self._agent.due
            return False
        triggered = self.reconciler.intake.triggers.take()
        self.progress.synced(plan, started, self._revision, triggered, is_full=is_full)
        return True

    def _commit(self, whole: Plan, writer: Writer, started: float) -> bool:
        """Do what of a plan may go now, with what is to be noted about us; whether that is all."""
        part = self._agent.part_of(whole)
        plan = self.reconciler.set_apart(part.plan)
        for index, transaction in enumerate(plan.transactions or (Transaction(()),)):
            extra = self.reconciler.bookkeeping(plan, index, is_part=not part.is_last)
            if not transaction and not extra:
                continue
            revision = self._write(transaction, extra, writer)
            if transaction:
                prefix = self.reconciler.prefix
                self.progress.committed(transaction, revision, plan, started, prefix)
                self.on_commit(transaction, revision)
        if said := self.reconciler.report(plan):
            self.progress.plumbs(said)
        if part.is_last:
            self.reconciler.settled()
        else:
            self.progress.parted(plan)
        return part.is_last


def _pause(failures: int) -> float:
    """Seconds before the next try: jittered, doubling, a few at most."""
    longest = min(MOST_BACKOFF_SECONDS, 0.1 * 2.0 ** min(failures, 10))
    return random.uniform(longest / 2, longest)
