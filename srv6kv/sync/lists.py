"""Which list of the cluster is waited for, and what waits for it.

Rule: a source lists by itself once; every further list is asked for here: before the first write
after the writer key was won, before a plan that deletes much (``guard``), for pods that stay away
(``missing``), for an own Node that is not there, and once more some time after a list lacked what
was there: a list that was wrong is put right by it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from srv6kv.kube.model import Ref
from srv6kv.notes import Note
from srv6kv.plan.plan import Plan
from srv6kv.sources.source import ClusterChanged, Source
from srv6kv.sync.guard import AGAIN_SECONDS, SILENT, MassDeleteGuard, Verdict
from srv6kv.sync.missing import MissingPods
from srv6kv.sync.reconciler import Reconciler


@dataclass(slots=True)
class Lists:
    """Keeps which lists have arrived and which are awaited before something is written.

    Attributes:
        listed: the number of the last complete list; 0: none yet.
        awaited: the number of the list before which nothing is written.
        again_seconds: so much later a list that takes much away, or lacked something, is checked.
    """

    source: Source
    reconciler: Reconciler
    again_seconds: float = AGAIN_SECONDS
    listed: int = 0
    awaited: int = 1
    _is_certain: bool = False
    _guard: MassDeleteGuard = field(init=False)
    _check_at: float | None = None
    _seeking_node: int = 0
    _missing: MissingPods = field(default_factory=MissingPods)

    def __post_init__(self) -> None:
        self._guard = MassDeleteGuard(self.again_seconds)

    def apply(self, event: ClusterChanged) -> None:
        """Apply an event of the source."""
        self.listed, self._is_certain = event.listed, event.is_certain
        self.reconciler.cluster.knows_pods = not event.is_certain
        if event.is_short:
            self._check_later()
        if event.is_void:
            self._guard.suspect()

    def _check_later(self) -> None:
        self._check_at = time.monotonic() + self.again_seconds

    def relist_if_due(self) -> None:
        """Ask for the list that checks an earlier one, when its time has come."""
        is_due = self._check_at is not None and time.monotonic() >= self._check_at
        if is_due and self._guard.note is None:
            self._check_at = None
            self.source.relist(reconnects=True)

    @property
    def is_due(self) -> bool:
        """Whether a plan that is held is to be judged again."""
        return self._guard.due is not None and time.monotonic() >= self._guard.due

    @property
    def may_write(self) -> bool:
        """Whether the list that is awaited has arrived."""
        return self.listed >= self.awaited

    def await_new(self) -> None:
        """Write nothing before a list that begins now: another writer may have written what the
        last one lacks."""
        self.awaited = self.source.relist()

    def take_absent_pods(self) -> Mapping[str, Ref]:
        """Return the pods that were sought, once, when the list for that has arrived."""
        return self._missing.take_result(self.listed)

    def search_pods(self) -> bool:
        """Look for pods that stay away; whether any is missing."""
        if self._is_certain:
            return False
        missing = self.reconciler.missing_pods()
        if self._missing.update(missing, time.monotonic()):
            self._missing.search(missing, self.source.relist())
        return bool(missing)

    def search_node(self) -> bool:
        """Look for the own Node once more; whether that list, too, lacks it."""
        if not self._seeking_node:
            self._seeking_node = self.source.relist()
            self._check_later()
        return self.listed >= self._seeking_node

    def hold(self, plan: Plan) -> tuple[Note, ...]:
        """Hold a plan until the cluster has been listed again, if it must be; the reasons."""
        if self.reconciler.own_node.is_source_silent:
            self._guard.begin_again()
            return (SILENT,)
        was_held = self._guard.note is not None
        loss = self.reconciler.loss_of(plan)
        verdict = self._guard.judge(loss, self.listed, time.monotonic())
        if verdict in (Verdict.ASK, Verdict.ASK_OVER_NEW_CONNECTION):
            asked = self.source.relist(reconnects=verdict is Verdict.ASK_OVER_NEW_CONNECTION)
            self._guard.asked = asked
            if verdict is Verdict.ASK_OVER_NEW_CONNECTION:
                self._check_at = None
            if not self._is_certain:
                self._missing.search(self.reconciler.missing_pods(), asked)
        elif verdict is Verdict.GO and was_held and loss.takes:
            self._check_later()
        note = self._guard.note
        return (note,) if note is not None else ()
