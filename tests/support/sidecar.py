"""A node's sidecar without I/O: what ``run`` keeps and does, with etcd as a table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from clusters import Json, identity

from srv6kv.cluster.cluster import Cluster
from srv6kv.kube.model import KubeObject
from srv6kv.kube.parse import KINDS, parse
from srv6kv.plan.actual import Actual
from srv6kv.plan.leftout import LeftOut
from srv6kv.plan.ownership import Ranges, ranges_of
from srv6kv.plan.plan import Ledger, Plan, plan
from srv6kv.render import Delta, Desired, Renderer, render
from srv6kv.render.node import drop_routes
from srv6kv.settings import Settings
from srv6kv.txn.transaction import Operation

AGENT_PREFIX = "/vnf-agent/n/"


def own_ranges(of: Settings) -> Ranges:
    """What is ours with these settings."""
    return ranges_of(of, tuple(route.key for route in drop_routes(of)))


class Sidecar:
    """All state of one node, as ``run`` keeps it; etcd is ``actual``.

    ``commit`` refuses what a real etcd would: a guard that does not hold, a key that occurs twice.
    """

    def __init__(self, of: Settings, name: str) -> None:
        self.settings = of
        self.name = name
        self.cluster = Cluster(pod_annotations=of.pod_annotations)
        self.renderer = Renderer(of, name)
        self.actual = Actual()
        self.ledger = Ledger()
        self.revision = 0
        self._left_out = LeftOut()
        self._beside = Delta()

    def put(self, *bodies: Mapping[str, Any]) -> Sidecar:
        """Kubernetes objects come or change; kinds that nobody reads do not matter."""
        return self.take(parse(body["kind"], body) for body in bodies if body["kind"] in KINDS)

    def take(self, values: Iterable[KubeObject]) -> Sidecar:
        """Objects come or change that were parsed elsewhere."""
        for value in values:
            self.cluster.put(value)
        return self

    def remove(self, *bodies: Mapping[str, Any]) -> Sidecar:
        """Kubernetes objects go."""
        for body in bodies:
            self.cluster.remove(*identity(body))
        return self

    def wire(self, values: Mapping[str, Json | None]) -> Sidecar:
        """The CNI or somebody else writes or deletes agent keys."""
        for key, value in values.items():
            self.revision += 1
            text = None if value is None else json.dumps(value).encode()
            subjects = {self.actual.subject_of(key)}
            self._hold(key, text)
            subjects.add(self.actual.subject_of(key))
            self._beside |= self.renderer.desired.beside(key, subjects)
            self.cluster.apply_agent_key(key, text, self.revision)
        return self

    def unwire(self, keys: Iterable[str]) -> Sidecar:
        """The CNI or somebody else deletes agent keys."""
        return self.wire(dict.fromkeys(keys))

    def desired(self) -> Desired:
        """The whole state that the node should have, from nothing."""
        return render(self.cluster, self.settings, self.name)

    def plan(self) -> Plan:
        """Compare everything."""
        self.renderer.update(self.cluster)
        return self._plan(self.renderer.desired, None)

    def plan_change(self) -> Plan:
        """Compare only what the last changes touched, and what was left out for want of that."""
        delta = self.renderer.update(self.cluster) | self._beside
        self._left_out.widen(delta)
        return self._plan(self.renderer.desired, delta)

    def _plan(self, desired: Desired, delta: Delta | None) -> Plan:
        found = plan(
            desired,
            self.actual,
            self.settings,
            prefix=AGENT_PREFIX,
            ranges=own_ranges(self.settings),
            ledger=self.ledger,
            delta=delta,
        )
        self._left_out.apply(found, is_full=delta is None)
        self._beside = Delta()
        return found

    def commit(self, found: Plan) -> Sidecar:
        """The plan's transactions are done."""
        for _ in self.steps(found):
            pass
        return self

    def steps(self, found: Plan) -> Iterator[Operation]:
        """Do the plan, one operation at a time."""
        for transaction in found.transactions:
            names = [operation.key for operation in transaction.operations]
            assert len(names) == len(set(names)), "a key occurs twice in a transaction"
            self.revision += 1
            for operation in transaction.operations:
                self._do(operation)
                yield operation
        self.ledger = found.ledger

    def _do(self, operation: Operation) -> None:
        assert operation.key.startswith(AGENT_PREFIX)
        key = operation.key.removeprefix(AGENT_PREFIX)
        entry = self.actual.entries.get(key)
        assert operation.guard == (entry.revision if entry else 0), f"{key}: the guard fails"
        self._hold(key, operation.value)

    def _hold(self, key: str, value: bytes | None) -> None:
        self.actual.apply(key, value, self.revision)
        if key.startswith("config/vpp/srv6/v2/localsid/"):
            held = json.loads(value) if value is not None else {}
            next_hop = held.get("end_function_dx6", {}).get("next_hop")
            text = key.rpartition("/")[2]
            self.cluster.held.pop(text, None)
            if next_hop is not None:
                self.cluster.held[text] = next_hop

    def settle(self) -> Sidecar:
        """Plan everything and do it."""
        return self.commit(self.plan())

    def restarted(self) -> Sidecar:
        """A new process on the same etcd; it has seen no Kubernetes object yet."""
        other = Sidecar(self.settings, self.name)
        other.revision, other.ledger = self.revision, self.ledger
        for key, entry in self.actual.entries.items():
            other.revision = entry.revision
            other._hold(key, entry.value)
            other.cluster.apply_agent_key(key, entry.value, entry.revision)
        other.revision = self.revision
        return other

    def texts(self) -> dict[str, bytes]:
        """Every key in etcd with its bytes."""
        return {key: entry.value for key, entry in self.actual.entries.items()}

    def values(self) -> dict[str, Json]:
        """Every key in etcd with its value, as the agent reads it."""
        return {key: json.loads(text) for key, text in self.texts().items()}

    def owned(self) -> dict[str, bytes]:
        """Our keys in etcd with their bytes."""
        ranges = own_ranges(self.settings)
        return {key: text for key, text in self.texts().items() if ranges.owns(key)}


def operations(found: Plan) -> list[tuple[str, str]]:
    """What a plan does, in order: ``put`` or ``del`` and the key in short form."""
    return [
        ("put" if item.is_put else "del", item.key.removeprefix(AGENT_PREFIX))
        for transaction in found.transactions
        for item in transaction.operations
    ]
