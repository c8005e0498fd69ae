"""The loop of ``srv6kv run``: one thread that owns all state and does all writing.

A session begins with the writer key and a read of everything at one revision; it ends with the
first error of any kind, and the next one begins.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import SimpleQueue

from srv6kv.agent.rest import AgentRest
from srv6kv.errors import Conflict, InputError, Refused, Unavailable
from srv6kv.etcd.backoff import Backoff
from srv6kv.etcd.store import Etcd3Store, Writer
from srv6kv.foreign import typed
from srv6kv.run.agentwatch import AgentWatch
from srv6kv.run.comparison import FullComparison
from srv6kv.run.context import Context
from srv6kv.run.healing import Healing
from srv6kv.run.inbox import Inbox
from srv6kv.run.recorder import Recorder
from srv6kv.run.shutdown import Shutdown
from srv6kv.run.syncing import Syncing
from srv6kv.run.writership import Writership
from srv6kv.sources.source import Source
from srv6kv.sync.guard import AGAIN_SECONDS
from srv6kv.sync.lists import Lists
from srv6kv.sync.reconciler import Reconciler
from srv6kv.telemetry.progress import Progress
from srv6kv.txn.transaction import Transaction

STANDBY_SECONDS = 0.5


@dataclass
class Controller:
    """Keeps one agent's keys in sync with the cluster.

    Attributes:
        once: end as soon as desired and actual are equal.
        on_commit: called with every committed transaction and its revision.
        agent_rest: asks the agent for states; None: those that it publishes in etcd count.
        is_rest_optional: they count until the label's agent answers there.
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
    is_rest_optional: bool = False
    progress: Progress = field(default_factory=Progress)
    again_seconds: float = AGAIN_SECONDS

    def __post_init__(self) -> None:
        self._context = context = Context(
            self.store,
            self.reconciler,
            Lists(self.source, self.reconciler, self.again_seconds),
            AgentWatch(self.reconciler, self.agent_rest, is_optional=self.is_rest_optional),
            FullComparison(self.reconciler.settings.full_comparison),
            self.progress,
            self.recorder,
            SimpleQueue(),
        )
        self._syncing = Syncing(context, self.on_commit)
        asked = None if self.once else self.agent_rest
        self._healing = Healing(context, self._syncing, self.label, asked)
        self._inbox = Inbox(context, self._healing)
        self._writership = Writership(context, self.label, self.identity)
        self._is_following = False
        self._shutdown = Shutdown(context.queue, self._writership.release, self.store.close)

    def stop(self) -> None:
        """End the loop soon; from any thread or signal handler."""
        self._shutdown.request()

    def close(self) -> None:
        """Close the connection to etcd and the recording."""
        self.store.close()
        if self.recorder is not None:
            self.recorder.close()

    def run(self) -> None:
        """Work until ``stop``; with ``once`` until all is in sync."""
        typed.prepare()
        with self._shutdown.enforced():
            self._context.agent.start(self._context.queue)
            try:
                self._loop()
            finally:
                self._context.agent.stop()
                self._healing.stop()
                self._writership.release()
                if self._is_following:
                    self.source.stop()

    def _loop(self) -> None:
        backoff = Backoff()
        while not self._shutdown.is_requested:
            syncs = self.progress.state.syncs
            try:
                writer = self._seek_writer()
                if writer is None:
                    self._wait(STANDBY_SECONDS)
                    self._lacks_node()
                elif self._hold_session(writer):
                    return
            except (Unavailable, Conflict, Refused) as error:
                if not self._shutdown.is_requested:
                    self.progress.failed(error)
                has_progressed = syncs != self.progress.state.syncs or isinstance(error, Conflict)
                self._wait(backoff.failed(has_progressed=has_progressed))

    def _hold_session(self, writer: Writer) -> bool:
        """Read everything, then work until the first error; whether all work is done."""
        context = self._context
        self.progress.stage = "read"
        snapshot = self.store.read(self.reconciler.prefixes)
        self.reconciler.reset(snapshot.entries)
        context.revision = snapshot.revision
        context.agent.read(self.store)
        context.comparison.begin()
        prefixes = (*self.reconciler.watched, *context.agent.prefixes)
        with self._inbox.watching(prefixes, snapshot.revision):
            context.record_state()
            self.progress.session(snapshot.revision, writer.key, self.reconciler)
            return self._work(writer)

    def _work(self, writer: Writer) -> bool:
        """Keep etcd in sync until something ends the session; whether all work is done."""
        context, lists, syncing = self._context, self._context.lists, self._syncing
        syncing.begin()
        self._healing.begin()
        has_news = True
        while not self._shutdown.is_requested:
            if writer.lost.is_set():
                raise Unavailable(f"{writer.key}: the lease is lost")
            if not lists.may_write:
                self.progress.waits_for_cluster()
                context.report_warnings()
            elif self._lacks_node():
                self.progress.waits_for_node()
                context.report_warnings()
            else:
                is_done = has_news and syncing.sync(writer)
                if is_done and self.once and not lists.search_pods():
                    return True
                self._healing.heal(writer)
            self.progress.count(self.reconciler)
            context.report_agent()
            syncing.is_outdated |= context.comparison.check(
                self.store, self.reconciler, context.agent, self.progress, context.queue
            )
            left = min(syncing.seconds_left(), self._healing.seconds_left())
            has_news = self._inbox.receive(left)
            has_news |= syncing.take_turn()
            lists.relist_if_due()
            lists.search_pods()
        return True

    def _seek_writer(self) -> Writer | None:
        try:
            return self._writership.seek(has_listed=self._is_following)
        finally:
            if not self._is_following:  # the first list need not be asked for twice
                self._is_following = True
                self.source.start(self._context.queue)

    def _wait(self, seconds: float) -> None:
        """Let so much time pass, and receive what happens meanwhile."""
        deadline = time.monotonic() + seconds
        while not self._shutdown.is_requested and (left := deadline - time.monotonic()) > 0:
            self._inbox.receive(left)
            self._context.report_warnings()

    def _lacks_node(self) -> bool:
        """Look for the own Node; whether it was not seen yet, so that nothing may be written."""
        warning = self._context.node_warning()
        if warning is not None and self._context.lists.search_node() and self.once:
            raise InputError(str(warning))
        return warning is not None
