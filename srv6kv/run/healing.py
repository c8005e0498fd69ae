"""What ``run`` repairs by itself after a restart of VPP and after a late encap source.

Rule: the loop's thread calls everything here. What was deleted and could not be put again, because
etcd or the writer key is away, is restored by the next plan like all that etcd lacks: the
steerings, which stay, hold the BSIDs.
"""

from __future__ import annotations

import time
from collections.abc import Collection

from srv6kv.agent.needs import Means
from srv6kv.agent.rest import AgentRest
from srv6kv.agent.view import has_most, nodes_own
from srv6kv.etcd.store import Writer
from srv6kv.etcd.values import KeysChanged
from srv6kv.repair.automatic import (
    CONFIRM_SECONDS,
    YOUNG_SECONDS,
    Found,
    Judge,
    Verdict,
    is_unset,
    lost,
    outdated,
    rewriting,
    warnings,
)
from srv6kv.repair.ground import Ground, Step
from srv6kv.repair.means import BATCH, Task, plan_repair
from srv6kv.run.context import Context
from srv6kv.run.syncing import Syncing
from srv6kv.run.vppwatch import Look, VppWatch

STRANGE_SECONDS = 5.0
"""An agent that lacks most keys of the node may still get them, or be another one."""
PAUSE_SECONDS = 0.3
"""Between two batches of policies that are recreated, for the traffic of others."""
WHY = {
    Means.REWRITE: "VPP lacks what the agent calls done, as after a restart of VPP",
    Means.RECREATE: "policies were made before VPP had its encap source",
}


class Healing:
    """Repairs what a look at VPP shows, within the writer's session."""

    def __init__(
        self, context: Context, syncing: Syncing, label: str, rest: AgentRest | None
    ) -> None:
        self._context = context
        self._syncing = syncing
        self._label = label
        self._rest = rest
        self._judge = Judge(context.reconciler.settings.auto_repair)
        self._watch: VppWatch | None = None
        self._look: Look | None = None
        self._outdated: frozenset[str] = frozenset()
        self._has_restarted = False
        self._recreated = set[str]()
        self._due = self._began = self._written = 0.0

    def stop(self) -> None:
        """Stop asking VPP."""
        if self._watch is not None:
            self._watch.stop()

    def begin(self) -> None:
        """Begin a session: whatever was decided before is decided again."""
        self._look, self._outdated, self._has_restarted = None, frozenset(), False
        self._report_recreated()
        self._tell_own()
        self._look_again(0.0)

    def receive(self, look: Look) -> None:
        """Take a look at VPP in."""
        self._has_restarted |= look.has_restarted
        self._look = look

    def seconds_left(self) -> float:
        """The time for which the loop may wait for events; what is due and not done waits for
        something else."""
        if not self._outdated:
            return float("inf")
        left = self._due - time.monotonic()
        return left if left > 0 else PAUSE_SECONDS

    def heal(self, writer: Writer) -> None:
        """Judge the last look at VPP, and write what repairs what it shows.

        VPP is asked from the time on at which the label's agent is known to answer."""
        if self._watch is None and self._rest is not None and self._context.agent.view.is_polled:
            self._watch = VppWatch(self._rest, self._context.queue.put)
            self._tell_own()
        if self._watch is not None:
            self._watch.revision = self._context.revision
            if self._watch.is_blind:
                self._context.agent.view.lost = None
        try:
            if self._look is not None:
                self._judge_look(self._look, self._ground(), writer)
            if self._outdated and time.monotonic() >= self._due:
                self._recreate(self._ground(), writer)
        except KeysChanged as conflict:
            self._context.reconciler.compare_all()
            self._syncing.is_outdated = True
            self._look_again(CONFIRM_SECONDS)
            if not self._context.reconciler.apply_refusal(conflict.changes):
                raise

    def _ground(self) -> Ground:
        context, reconciler = self._context, self._context.reconciler
        ranges, actual = reconciler.ledger.ranges, reconciler.actual
        return Ground(
            self._label,
            ranges=ranges,
            actual=actual,
            revision=context.revision,
            limits=context.store.limits,
        )

    def _judge_look(self, look: Look, ground: Ground, writer: Writer) -> None:
        self._look = None
        if look.asked < self._written:
            self._look_again(0.0 if self._has_restarted else CONFIRM_SECONDS)
            return
        has_restarted, self._has_restarted = self._has_restarted, False
        entries = ground.actual.entries
        own = self._tell_own()
        if look.shown is None or not has_most(own, look.states):
            self._context.agent.view.lost = None
            self._look_again(STRANGE_SECONDS)
            return
        missing, old = lost(ground, look.shown, look.states), frozenset[str]()
        if not self._outdated:
            old = outdated(ground, look.shown, look.states)
        written = {key for key in missing | old if entries[key].revision > look.revision}
        if written:  # since VPP was asked
            missing, old = missing - written, old - written
            self._look_again(CONFIRM_SECONDS)
        found = Found(
            missing,
            old,
            {key: entries[key].revision for key in missing | old},
            has_restarted,
            look.interfaces == 0,
            look.uptime < YOUNG_SECONDS and not is_unset(look.shown),
        )
        verdict = self._judge.judge(found, time.monotonic())
        self._context.agent.view.lost = verdict.held & found.lost
        self._follow(verdict, found, ground, writer)
        if verdict.look is not None:
            self._look_again(verdict.look)

    def _follow(self, verdict: Verdict, found: Found, ground: Ground, writer: Writer) -> None:
        """Warn about what is not repaired, and do what was decided."""
        notes = tuple(warnings(verdict, found))
        if notes != self._context.unrepaired:
            self._context.unrepaired = notes
            self._context.report_warnings()
        if verdict.task:
            self._begin(verdict.task, ground, writer)

    def _begin(self, task: Task, ground: Ground, writer: Writer) -> None:
        self._report_recreated()
        self._context.agent.hush()
        self._due = self._began = time.monotonic()
        done = set[str]()
        try:
            self._do(rewriting(task.get(Means.REWRITE, frozenset()), ground), done, ground, writer)
        finally:
            self._report(Means.REWRITE, done)
        self._outdated = task.get(Means.RECREATE, frozenset())

    def _recreate(self, ground: Ground, writer: Writer) -> None:
        """Recreate some policies through another VRF; the others follow after a pause."""
        part = frozenset(sorted(self._outdated)[:BATCH])
        self._outdated -= part
        steps = plan_repair({Means.RECREATE: part}, ground).steps
        try:
            self._do(steps, self._recreated, ground, writer)
        finally:
            self._due = time.monotonic() + PAUSE_SECONDS
            if not self._outdated:
                self._report_recreated()
                self._look_again(CONFIRM_SECONDS)

    def _do(self, steps: list[Step], done: set[str], ground: Ground, writer: Writer) -> None:
        for step in steps:
            self._syncing.write(ground.guarded(step.transaction), (), writer)
            self._written = time.monotonic()
            done |= step.done

    def _report_recreated(self) -> None:
        done, self._recreated = self._recreated, set()
        self._report(Means.RECREATE, done)

    def _report(self, means: Means, done: Collection[str]) -> None:
        """Report what of a repair is done, if anything is."""
        if done:
            milliseconds = round(1000 * (time.monotonic() - self._began))
            self._context.progress.repaired(str(means), WHY[means], len(done), milliseconds)

    def _tell_own(self) -> frozenset[str]:
        """Tell the watch, and return, by which keys the node's agent is known."""
        entries = self._context.reconciler.actual.entries
        own = nodes_own(entries) or frozenset(entries)
        if self._watch is not None:
            self._watch.own = own
        return own

    def _look_again(self, seconds: float) -> None:
        if self._watch is not None:
            self._watch.revision = self._context.revision
            self._watch.look(seconds)
