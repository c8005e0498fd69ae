"""Which list of the cluster is waited for, and what waits for it.

Rule: a source lists by itself once; every further list is asked for here: before the first write
after the writer key was won, before a plan that deletes much (``brake``), and for pods that stay
away (``missing``).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from srv6kv import brake
from srv6kv.brake import Brake
from srv6kv.kube.model import Ref
from srv6kv.missing import MissingPods
from srv6kv.notes import Note
from srv6kv.plan import Plan
from srv6kv.reconciler import Reconciler
from srv6kv.source import ClusterChanged, Source


@dataclass(slots=True)
class Lists:
    """What the lists of a source have told, as far as it decides what may be written.

    Attributes:
        listed: the number of the last complete list; 0: none yet.
        awaited: the number of the list before which nothing is written.
    """

    source: Source
    reconciler: Reconciler
    listed: int = 0
    awaited: int = 1
    _is_certain: bool = False
    _brake: Brake = field(default_factory=Brake)
    _missing: MissingPods = field(default_factory=MissingPods)

    def take(self, event: ClusterChanged) -> None:
        """The source has told something."""
        self.listed, self._is_certain = event.listed, event.is_certain
        self.reconciler.cluster.knows_pods = not event.is_certain

    @property
    def may_write(self) -> bool:
        """Whether the list that is awaited has arrived."""
        return self.listed >= self.awaited

    def await_new(self) -> None:
        """Write nothing before a list that begins now: somebody else may have written what the last
        one lacks."""
        self.awaited = self.source.relist()

    def missed(self) -> Mapping[str, Ref]:
        """The pods that were sought, once the list is here that was to tell."""
        return self._missing.answer(self.listed)

    def seek_pods(self) -> bool:
        """Have looked for pods that stay away; whether any is missing."""
        if self._is_certain:
            return False
        missing = self.reconciler.missing_pods()
        if self._missing.see(missing, time.monotonic()):
            self._missing.seek(missing, self.source.relist())
        return bool(missing)

    def hold(self, plan: Plan) -> tuple[Note, ...]:
        """Why the plan has to wait until the cluster has been listed again; nothing: it may go."""
        if self._is_certain or not self._brake.holds(plan, self.reconciler.policies, self.listed):
            return ()
        if not self._brake.asked:
            self._brake.asked = self.source.relist()
            self._missing.seek(self.reconciler.missing_pods(), self._brake.asked)
        return (brake.note(plan),)
