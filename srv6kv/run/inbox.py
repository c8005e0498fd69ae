"""Events for the loop: from the source of the cluster, etcd's watch, the agent, the comparison."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from queue import Empty

from srv6kv.agent.poll import Polled
from srv6kv.etcd.values import Watched
from srv6kv.run.comparison import Reread
from srv6kv.run.context import Context
from srv6kv.run.healing import Healing
from srv6kv.run.vppwatch import Look
from srv6kv.sources.source import ClusterChanged

Event = ClusterChanged | Watched | Polled | Look | Reread | Exception | None
"""None wakes the loop."""


class Inbox:
    """Applies events to the state of the loop."""

    def __init__(self, context: Context, healing: Healing) -> None:
        self._context = context
        self._healing = healing
        self._session = 0

    @contextmanager
    def watching(self, prefixes: Sequence[str], revision: int) -> Iterator[None]:
        """Meanwhile receive what changes in etcd below these prefixes after a revision."""
        self._session = session = self._session + 1
        queue = self._context.queue
        watch = self._context.store.watch(
            prefixes,
            revision + 1,
            lambda changes, revision: queue.put(Watched(session, tuple(changes), revision)),
            lambda error: queue.put(Watched(session, lost=error)),
        )
        try:
            yield
        finally:
            self._session += 1  # what the watch may still have put into the queue is void
            watch.cancel()

    def receive(self, seconds: float) -> bool:
        """Wait for an event, then apply all that have come; whether a plan may change by them.

        Raises:
            Exception: the watch or a thread has failed.
        """
        has_news = False
        self._context.progress.turn()
        try:
            event = self._context.queue.get(timeout=seconds)
            while True:
                has_news |= self._apply(event)
                event = self._context.queue.get_nowait()
        except Empty:
            return has_news

    def _apply(self, event: Event) -> bool:
        match event:
            case Exception():
                raise event
            case Polled():
                return self._context.agent.receive(event)
            case Look():
                self._healing.receive(event)
                return False
            case Reread():
                self._context.comparison.receive(event)
                return False
            case ClusterChanged():
                self._apply_cluster(event)
            case Watched() if event.session == self._session:
                return self._apply_watched(event)
        return True

    def _apply_cluster(self, event: ClusterChanged) -> None:
        reconciler = self._context.reconciler
        reconciler.intake.apply_all(event.objects)
        self._context.source_warnings = event.notes
        reconciler.source_gaps = event.gaps
        self._context.lists.apply(event)
        if event.listed:
            self._context.progress.cluster(
                reconciler.own_node.is_eligible, reconciler.own_node.warn()
            )

    def _apply_watched(self, event: Watched) -> bool:
        if event.lost is not None:
            raise event.lost
        context, reconciler = self._context, self._context.reconciler
        context.comparison.report(change.key for change in event.changes)
        if context.agent.observe(event.changes):  # says nothing of what others have written
            return False
        edits = reconciler.edited
        context.progress.queued()
        reconciler.observe(event.changes)
        context.saw_revision(event.revision)
        context.report_edits(edits, event.revision)
        return True
