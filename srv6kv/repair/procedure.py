"""The course of a repair: find what is wrong, choose the means, do it, look again."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from srv6kv.agent.needs import Means
from srv6kv.errors import InputError
from srv6kv.etcd.store import Etcd3Store
from srv6kv.plan.ownership import Ranges
from srv6kv.repair.asked import asked
from srv6kv.repair.choose import Fault, Known, bsids_seen, faults, is_deaf, task_of
from srv6kv.repair.ground import Ground
from srv6kv.repair.means import BATCH, RepairPlan, Task, plan_repair
from srv6kv.repair.observer import Observer
from srv6kv.repair.repairer import Repairer
from srv6kv.verify import look

ROUNDS = 3
"""One means may bring to light what needs another."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asks for.

    Attributes:
        means: for all keys, or for some; None: for each key what its state and VPP call for.
        named: with a means, only these keys.
        kinds: with a means, only keys of these kinds.
        batch: policies that are recreated at a time.
    """

    means: Means | None = None
    named: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    batch: int = BATCH


@dataclass(slots=True)
class Repair:
    """One repair.

    Attributes:
        known: what was observed last of the agent and VPP.
        found: what is wrong; with a means of the user's it is not asked.
        task: what is to be done, or was done in all rounds.
    """

    store: Etcd3Store
    observer: Observer
    request: Request
    ground: Ground = field(init=False)
    known: Known = field(default_factory=Known)
    found: list[Fault] = field(default_factory=list)
    task: Task = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ground = Ground(self.observer.label)

    def diagnose(self) -> None:
        """Find what is wrong, and is so a moment later too, and choose the task."""
        self._read()
        self.known = self.observer.known()
        self.found = self._faults()
        if self.found:
            self.found = self.lasting(self.found)
        self.task = self._choose()

    def lasting(self, found: Iterable[Fault]) -> list[Fault]:
        """Look again a moment later, and return what is wrong then with keys of these faults that
        have not changed meanwhile."""
        before = self._revisions()
        time.sleep(look.AGAIN_SECONDS)
        self._read()
        self.known = self.observer.known()
        keys = {one.key for one in found} - look.changed(before, self._revisions())
        return [one for one in faults(self.ground, self.known) if one.key in keys]

    def steps(self, task: Task, ground: Ground) -> RepairPlan:
        """Make the steps of a task."""
        return plan_repair(task, ground, batch=self.request.batch, avoid=bsids_seen(self.known))

    def do(self, repairer: Repairer) -> None:
        """Do the task with a repairer that has begun, and what is found wrong afterwards if no
        means is asked for."""
        is_free = self.request.means is None
        if is_free:  # what was on its way until the writer key was ours is no fault
            self.known = self.observer.known()
            again = {(one.key, one.means) for one in self._faults()}
            self.found = [one for one in self.found if (one.key, one.means) in again]
            self.task = self._choose()
        task, done = self.task, dict.fromkeys(Means, frozenset[str]())
        for _ in range(ROUNDS if is_free else 1):
            if not task:
                break
            self.known = self.observer.known()
            repairer.do(task, self.steps)
            done |= {means: done[means] | chosen for means, chosen in task.items()}
            self.found = repairer.wait_for_agent(lambda: self._left(repairer.repaired))
            task = {} if repairer.came else task_of(self.found)
        self.task = {means: chosen for means, chosen in done.items() if chosen}
        self.known = self.observer.known()
        if is_free and self.task:
            self.found = faults(self.ground, self.known)

    def _left(self, repaired: set[str]) -> list[Fault]:
        """Find what is wrong still, or by now if no means is asked for."""
        known = self.observer.known()
        found = faults(self.ground, known) if known else []
        is_free = self.request.means is None
        return [one for one in found if one.key in repaired or (is_free and one.is_repairable)]

    def _read(self) -> None:
        snapshot = self.store.read(self.ground.prefixes)
        self.ground.read(snapshot.entries, snapshot.revision)

    def _revisions(self) -> set[tuple[str, int]]:
        return {(key, entry.revision) for key, entry in self.ground.actual.entries.items()}

    def _choose(self) -> Task:
        asks = self.request
        if asks.means is None:
            return task_of(self.found)
        return asked(asks.means, self.ground, self.known, asks.named, asks.kinds)

    def _faults(self) -> list[Fault]:
        """Find what is wrong; nothing if a means is asked for."""
        label = self.ground.label
        if not self.ground.actual.entries and self.ground.ranges == Ranges():
            raise look.unknown_label(label)
        if self.request.means is not None:
            return []
        if not self.known:
            raise InputError(
                f"nothing is known of what the agent of {label} made of its keys: give"
                " --agent-rest, or let it publish (ENABLE_STATUS_PUBLISHING), or name --means"
            )
        if is_deaf(self.ground, self.known):
            raise InputError(
                f"the agent holds none of the keys of {label}: compare its MICROSERVICE_LABEL and"
                " etcd.conf with --label and --etcd; if they are right it has dropped a resync, and"
                " --means resend gives it all of them again"
            )
        return faults(self.ground, self.known)
