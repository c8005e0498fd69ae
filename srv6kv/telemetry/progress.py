"""What the loop does, reported as it happens: one log line a decision, metrics, and a snapshot
for the pages about health.

Rule: only the loop's thread calls the methods; any thread may read ``state``, a value.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from srv6kv import __version__
from srv6kv.agent.digest import AgentShown, News
from srv6kv.agentlog import writer
from srv6kv.errors import Conflict, Srv6kvError
from srv6kv.notes import Note, Reason
from srv6kv.plan.plan import Plan
from srv6kv.sync.reconciler import Reconciler
from srv6kv.telemetry import figures
from srv6kv.telemetry.health import State
from srv6kv.telemetry.logs import tell
from srv6kv.telemetry.metrics import Telemetry, add, show
from srv6kv.txn.transaction import Transaction

log = logging.getLogger("srv6kv")

REMIND_SECONDS = 30.0
COUNT_SECONDS = 1.0
"""What follows the number of services is counted this often at most."""


@dataclass(slots=True)
class Progress:
    """What the loop has done.

    Attributes:
        stage: what would have failed if an error came now: writer (getting the writer key), read,
            watch or commit.
        began: Unix time of the start; what was triggered before is not measured.
        on_repair: called with one sentence for each repair.
    """

    telemetry: Telemetry = field(default_factory=Telemetry)
    state: State = field(default_factory=lambda: State(turned=time.monotonic()))
    stage: str = "writer"
    began: float = field(default_factory=time.time)
    on_repair: Callable[[str], object] = lambda _text: None
    _notes: set[Note] = field(default_factory=set)
    _trouble: type[Srv6kvError] | None = None
    _keys: Counter[str] = field(default_factory=Counter)
    _are_keys_counted: bool = True
    _is_counted: bool = False
    _counted: float = 0.0
    _reminded: float = 0.0
    _agent_source: str = ""

    def _set(self, **changes: Any) -> None:
        self.state = replace(self.state, **changes)

    def starts(self, **fields: str) -> None:
        """The process begins."""
        tell(log, logging.INFO, "start", version=__version__, **fields)

    def ends(self) -> None:
        """The loop is done and the writer key, if it was ours, is given back."""
        self.writes(False)
        tell(log, logging.INFO, "end", revision=self.state.revision, syncs=self.state.syncs)

    def turn(self) -> None:
        """The loop turns."""
        now = time.monotonic()
        self._set(turned=now)
        self.remind(now)

    def remind(self, now: float) -> None:
        """Repeat what stops everything for as long as it lasts, every ``REMIND_SECONDS``."""
        if now >= self._reminded + REMIND_SECONDS:
            self._reminded = now
            for note in sorted(self._notes):
                if note.reason is Reason.MANIFESTS_UNAVAILABLE:
                    _say(note)

    def _do(self, level: int, what: str, text: str, **fields: Any) -> None:
        """What the loop does from now on; one line if that is news."""
        if text != self.state.doing:
            self._set(doing=text)
            tell(log, level, what, text, **fields)

    def waits_for_cluster(self) -> None:
        """Nothing is written before a complete list that is new enough."""
        text = "waiting for a complete list of the cluster"
        self._do(logging.INFO, "waiting", text, resource="cluster")

    def waits_for_node(self) -> None:
        """Nothing is written before the own Node has been seen; its note says so."""
        self._set(doing=self.state.node_warning)

    def writes(self, is_writer: bool) -> None:
        """Whether the writer key is ours."""
        if is_writer != self.state.is_writer:
            self._set(is_writer=is_writer)
            self.telemetry.is_writer.set(is_writer)
        if is_writer and self.state.holder:
            self._set(holder="")

    def lost_writer(self, label: str) -> None:
        """The writer key was ours and is not any more."""
        text = f"no longer the writer for {label}"
        tell(log, logging.WARNING, "writer lost", text, label=label)
        self.writes(False)

    def become_standby(self, holder: str, label: str) -> None:
        """Become standby: another process writes, and no change waits for us."""
        self._trouble = None
        self._set(holder=holder, trouble="", waits_since=None)
        text = f"standby: {holder} writes for {label}"
        self._do(logging.INFO, "standby", text, holder=holder, label=label)

    def failed(self, error: Srv6kvError) -> None:
        """A session is over; one line for an outage, however long it is and whatever else it
        looks like."""
        is_new = type(error) is not self._trouble
        self._trouble = type(error)
        self.telemetry.sync_failures.labels(self.stage).inc()
        self._set(trouble=str(error))
        level = logging.WARNING if is_new else logging.DEBUG
        fields = {"stage": self.stage, "kind": type(error).__name__, "error": str(error)}
        self._do(level, "etcd", f"etcd: {error}; trying again", **fields)

    def session(self, revision: int, writer: str, reconciler: Reconciler) -> None:
        """A session begins with all that etcd holds."""
        tell(log, logging.INFO, "session", revision=revision, writer=writer)
        self.stage = "watch"
        self._set(trouble="")
        self._count_keys(reconciler)

    def _count_keys(self, reconciler: Reconciler) -> None:
        self._are_keys_counted = True
        self._keys = figures.models_of(reconciler.held(), reconciler.prefix)
        show(self.telemetry.keys, self._keys)

    def queued(self) -> None:
        """Something has changed and is to be compared with etcd, as soon as the cluster is here."""
        if self.state.has_cluster and self.state.waits_since is None:
            self._set(waits_since=time.monotonic())
        self.telemetry.sync_last_queued_timestamp.set(time.time())

    def cluster(self, is_node_eligible: bool, node_warning: Note | None = None) -> None:
        """Objects were taken in; the line that the own Node was never seen is not ours."""
        if is_node_eligible != self.state.is_node_eligible and node_warning is None:
            tell(log, logging.WARNING, "node", eligible=is_node_eligible)
        text = str(node_warning or "")
        self._set(has_cluster=True, is_node_eligible=is_node_eligible, node_warning=text)
        self.queued()

    def edited(self, number: int, revision: int) -> None:
        """Report that another writer has changed our keys."""
        text = f"foreign edit of our keys revision={revision}"
        tell(log, logging.WARNING, "foreign edit", text, revision=revision, keys=number)
        self.telemetry.foreign_edits.inc(number)
        self._are_keys_counted = False

    def compared(self, keys: int, unreported: Sequence[str]) -> None:
        """Everything was read once more; these keys differ, and no watch has reported it."""
        self.telemetry.full_comparisons.inc()
        self.telemetry.unreported_changes.inc(len(unreported))
        level = logging.WARNING if unreported else logging.DEBUG
        first = f", first {unreported[0]}" if unreported else ""
        text = f"full comparison keys={keys} unreported={len(unreported)}{first}"
        tell(log, level, "full comparison", text, keys=keys, unreported=len(unreported))

    def notes(self, notes: set[Note]) -> None:
        """Log one line for each warning that comes or is resolved, and count those there are."""
        if notes == self._notes:
            return
        for note in sorted(notes - self._notes):
            _say(note)
            if note.reason is Reason.MANIFESTS_UNAVAILABLE:
                self._reminded = time.monotonic()
        for note in sorted(self._notes - notes):
            tell(log, logging.INFO, "resolved", f"resolved: {note}", **note.fields())
        self._notes = notes
        reasons = Counter(note.reason.value for note in notes)
        self._set(warnings=dict(sorted(reasons.items())))
        self.telemetry.warnings.clear()  # a reason without any is absent
        show(self.telemetry.warnings, reasons)

    def agent(self, shown: AgentShown, news: Iterable[News]) -> None:
        """What the agent says of our keys now, and a line for what of it is new."""
        self._set(agent=shown)
        self._log_source(shown)
        self.telemetry.agent_lost_vpp.set(bool(shown.vpp_lost))
        self.telemetry.agent_keys.clear()
        show(self.telemetry.agent_keys, shown.states)
        self.telemetry.show_repair({need.means for need in shown.needs})
        for one in news:  # the state is set first, so that it agrees with the line
            level = logging.WARNING if one.is_warning else logging.INFO
            tell(log, level, one.what, one.text, **one.fields)

    def _log_source(self, shown: AgentShown) -> None:
        """Log once where the agent's states come from, and again when that changes."""
        if shown.source not in ("", self._agent_source):
            self._agent_source = shown.source
            text = f"the agent's states come from {shown.url or 'etcd, where some may be lost'}"
            tell(log, logging.INFO, "agent states", text, source=shown.source, url=shown.url)

    def parted(self, plan: Plan) -> None:
        """A part of a plan is in etcd; the agent is to confirm it before the rest follows."""
        add(self.telemetry.policy_updates, plan.effects)

    def repaired(self, means: str, why: str, keys: int, milliseconds: int) -> None:
        """Report what was repaired by a means, and why."""
        text = f"repaired: {why} means={means} keys={keys} ms={milliseconds}"
        tell(log, logging.WARNING, "repaired", text, means=means, why=why, keys=keys)
        self.telemetry.repairs.labels(means).inc()
        self.on_repair(f"{why}: {keys} keys were written again ({means})")

    def log_new_boot(self, chains: int) -> None:
        """The node has a new boot: so many rule chains of the last one are about to go."""
        text = f"new boot: {chains} rule chains of the last one go"
        tell(log, logging.WARNING, "new boot", text, chains=chains)

    def log_plumbing(self, text: str) -> None:
        """What of the node's plumbing was there, and what was made."""
        tell(log, logging.INFO, "plumbing", text)

    @contextmanager
    def committing(self, transaction: Transaction, prefix: str) -> Iterator[None]:
        """Around the commit of a transaction of keys below that prefix."""
        self.stage = "commit"
        try:
            with self.telemetry.etcd_txn_duration.time():
                yield
        except Conflict:
            self.telemetry.etcd_txn_conflicts.inc()
            raise
        self.stage = "watch"
        puts = sum(operation.is_put for operation in transaction.operations)
        add(self.telemetry.etcd_ops, {"put": puts, "delete": len(transaction) - puts})
        self._keys.update(figures.change_of_models(transaction, prefix))
        show(self.telemetry.keys, self._keys)

    def committed(
        self, transaction: Transaction, revision: int, plan: Plan, started: float, prefix: str
    ) -> None:
        """A transaction of a plan that was begun at that monotonic time is in etcd."""
        puts = sum(operation.is_put for operation in transaction.operations)
        counts = {"put": puts, "del": len(transaction) - puts, "compared": plan.compared}
        milliseconds = round(1000 * (time.monotonic() - started))
        tell(log, logging.INFO, "sync", **counts, rev=revision, ms=milliseconds)
        if log.isEnabledFor(logging.DEBUG):
            for operation in transaction.operations:
                key = operation.key.removeprefix(prefix)
                for line in writer.lines(key, operation.value, "v3"):
                    log.debug("%s", line)
        self._set(revision=revision, commits=self.state.commits + 1)

    def synced(
        self,
        plan: Plan,
        started: float,
        revision: int,
        triggered: Iterable[float],
        *,
        is_full: bool,
    ) -> None:
        """Desired and actual are equal; changes that were triggered at these Unix times are done
        (those before our start are not ours to measure: rule M7)."""
        now = time.time()
        self._trouble = None
        self._is_counted = False
        kind = self.telemetry.sync_duration.labels("full" if is_full else "partial")
        kind.observe(time.monotonic() - started)
        self.telemetry.sync_last_timestamp.set(now)
        self.telemetry.sync_noop.inc(0 if plan else 1)
        add(self.telemetry.policy_updates, plan.effects)
        for one in triggered:
            if one >= self.began:
                self.telemetry.network_programming_duration.observe(max(0.0, now - one))
        self._set(syncs=self.state.syncs + 1, last_sync=now, waits_since=None, trouble="")
        text = f"in sync with the cluster at revision {revision}"
        self._do(logging.DEBUG, "in sync", text, revision=revision)

    def count(self, reconciler: Reconciler) -> None:
        """Count what follows the number of services, now and then."""
        now = time.monotonic()
        if self._is_counted or now - self._counted < COUNT_SECONDS:
            return
        self._is_counted, self._counted = True, now
        if not self._are_keys_counted:
            self._count_keys(reconciler)
        services = reconciler.cluster.services.keys()
        states = figures.service_states(services, reconciler.steered(), self._notes)
        show(self.telemetry.services, states)


def _say(note: Note) -> None:
    level = logging.INFO if note.is_routine else logging.WARNING
    if note.reason is Reason.MANIFESTS_UNAVAILABLE:
        level = logging.ERROR
    tell(log, level, "warning", str(note), **note.fields())
