"""Planning and committing: the way from actual to desired state, and when it is time for it."""

from __future__ import annotations

import time
from collections.abc import Callable

from srv6kv.etcd.store import Writer
from srv6kv.etcd.values import KeysChanged
from srv6kv.plan.plan import Plan, split
from srv6kv.run.context import Context
from srv6kv.txn.transaction import Operation, Transaction

IDLE_SECONDS = 1.0


class Syncing:
    """Brings etcd in sync with the cluster.

    Attributes:
        is_outdated: plan again although no event has come.
    """

    def __init__(self, context: Context, on_commit: Callable[[Transaction, int], None]) -> None:
        self.is_outdated = False
        self._context = context
        self._on_commit = on_commit
        self._due: float | None = None
        self._window: float | None = None

    def begin(self) -> None:
        """Forget the plans of an earlier session."""
        self.is_outdated, self._due, self._window = False, None, None

    def seconds_left(self) -> float:
        """The time for which the loop may wait for events."""
        if self.is_outdated:
            return 0.0
        ends = [when for when in (self._due, self._window) if when is not None]
        return max(0.0, min(ends) - time.monotonic()) if ends else IDLE_SECONDS

    def take_turn(self) -> bool:
        """Begin another turn of the loop; whether it has to plan, even without events."""
        must_plan = self.is_outdated or self._context.lists.is_due or self._window is not None
        self.is_outdated = False
        if self._context.agent.is_amid:
            must_plan |= self._context.agent.advance()
            self._due = self._context.agent.due
            return must_plan
        return must_plan or self._due is not None

    def sync(self, writer: Writer) -> bool:
        """Plan and commit; whether desired and actual are equal now.

        Keys that others have changed meanwhile are planned again in the next turn, and the session
        goes on."""
        context = self._context
        edits = context.reconciler.edited
        try:
            return self._sync(writer)
        except KeysChanged as conflict:
            if not context.reconciler.apply_refusal(conflict.changes):
                raise
            self.is_outdated = True
            context.report_edits(edits, conflict.revision)
            return False

    def _sync(self, writer: Writer) -> bool:
        started = time.monotonic()
        context, reconciler = self._context, self._context.reconciler
        self._delete_old_chains(writer)
        reconciler.cluster.add_absent_pods(context.lists.take_absent_pods())
        reconciler.set_limits(context.store.limits)
        plan = reconciler.plan()
        context.hold = context.lists.hold(plan)
        context.report_warnings()
        if context.hold:
            self._window = None
            return False
        if self._waits_for_window(plan, started):
            if ahead := context.agent.ahead_of_window(plan):
                self._commit(ahead, writer, started, is_last=False)
                context.progress.parted(ahead)
            self._due = context.agent.due if context.agent.is_amid else None
            return False
        self._window = None
        part = context.agent.next_part(plan)
        self._commit(part.plan, writer, started, is_last=part.is_last)
        self._due = None if part.is_last else context.agent.due
        if not part.is_last and not part.copies:
            context.progress.parted(part.plan)
            return False
        is_full = reconciler.compares_all
        reconciler.finish_change(part.copies)
        triggered = reconciler.intake.triggers.drain()
        revision = context.revision
        context.progress.synced(part.plan, started, revision, triggered, is_full=is_full)
        return part.is_last

    def _waits_for_window(self, plan: Plan, now: float) -> bool:
        """Whether a plan that may have an opposite soon waits for it."""
        reconciler = self._context.reconciler
        if not plan.can_wait or reconciler.is_urgent or self._context.agent.holds_phases:
            return False
        if self._window is None:
            self._window = now + reconciler.settings.replace_window
        return now < self._window

    def _delete_old_chains(self, writer: Writer) -> None:
        """Delete, before anything else is written, the chains of the last boot that would hit the
        wrong namespace."""
        stale = self._context.reconciler.stale_chains()
        if not stale:
            return
        self._context.progress.log_new_boot(len(stale))
        limits = self._context.store.limits
        *most, last = split(list(stale.operations), limits.planned, limits.size)
        for part in most:
            self.write(part, (), writer)
        self.write(last, self._context.reconciler.ledger_keys.boot_operations(), writer)

    def _commit(self, part: Plan, writer: Writer, started: float, *, is_last: bool) -> None:
        """Commit a part of a plan, with the notes about us."""
        reconciler, progress = self._context.reconciler, self._context.progress
        plan = reconciler.set_apart(part)
        for index, transaction in enumerate(plan.transactions or (Transaction(()),)):
            extra = reconciler.bookkeeping(plan, index, is_part=not is_last)
            if not transaction and not extra:
                continue
            revision = self.write(transaction, extra, writer)
            if transaction:
                progress.committed(transaction, revision, plan, started, reconciler.prefix)
        if report := reconciler.report(plan):
            progress.log_plumbing(report)

    def write(self, transaction: Transaction, extra: tuple[Operation, ...], writer: Writer) -> int:
        """Commit one transaction, and return its revision: this is where all writing happens."""
        context = self._context
        with context.progress.committing(transaction, context.reconciler.prefix):
            revision = context.store.commit(
                transaction, writer=writer, read_revision=context.revision, extra=extra
            )
        context.reconciler.committed(transaction, extra, revision)
        context.agent.committed(transaction, revision)
        context.comparison.report(one.key for one in (*transaction.operations, *extra))
        context.saw_revision(revision)
        if transaction and context.recorder is not None:
            context.recorder.append(transaction)
        if transaction:
            self._on_commit(transaction, revision)
        return revision
