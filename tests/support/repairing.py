"""An etcd as a table beside a repair, and what a VPP holds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from agentmodel import FakeVpp
from clusters import node, settings
from history import State
from sidecar import AGENT_PREFIX, Sidecar, own_ranges
from strategies import Scene

from srv6kv.agent.needs import SRV6, Means
from srv6kv.etcd.values import Change, KeyValue
from srv6kv.ligato import keys
from srv6kv.repair.ground import Ground, Step
from srv6kv.repair.means import RepairPlan, plan_repair
from srv6kv.txn.transaction import FullKey, Transaction

LABEL = "n"


class Table:
    """Etcd as a table: it refuses what a real one would.

    Attributes:
        changes: what was done, a revision each.
    """

    def __init__(self, sidecar: Sidecar) -> None:
        self.entries = {k: (e.value, e.revision) for k, e in sidecar.actual.entries.items()}
        self.revision = sidecar.revision
        self.changes: list[tuple[int, list[Change]]] = []
        self._ranges = own_ranges(sidecar.settings).dump()

    def read(self) -> list[KeyValue]:
        """All keys that a repair reads."""
        note = KeyValue(FullKey(f"/srv6kv/{LABEL}/ranges"), self._ranges, 1)
        return [note, *(KeyValue(FullKey(AGENT_PREFIX + k), *e) for k, e in self.entries.items())]

    def ground(self) -> Ground:
        """What a repair begins with."""
        ground = Ground(LABEL)
        ground.read(self.read(), self.revision)
        return ground

    def commit(self, transaction: Transaction) -> int:
        """All of a transaction at once; its guards must hold."""
        names = [operation.key for operation in transaction.operations]
        assert len(names) == len(set(names)), "a key occurs twice in a transaction"
        self.revision += 1
        done = []
        for operation in transaction.operations:
            key = operation.key.removeprefix(AGENT_PREFIX)
            assert operation.guard == self.entries.get(key, (b"", 0))[1], f"{key}: the guard fails"
            self.entries.pop(key, None)
            if operation.value is not None:
                self.entries[key] = (operation.value, self.revision)
            done.append(Change(FullKey(key), operation.value, self.revision))
        self.changes.append((self.revision, done))
        return self.revision

    def do(self, ground: Ground, steps: Sequence[Step]) -> None:
        """All steps, as the command does them."""
        for step in steps:
            assert ground.guarded(step.transaction) == step.transaction
            ground.committed(step, self.commit(step.transaction))

    @property
    def state(self) -> State:
        """Every key."""
        return {key: value for key, (value, _) in self.entries.items()}


def settled(scene: Scene) -> Sidecar:
    """A node of a cluster at rest whose keys are written."""
    return scene.sidecar().settle()


def chosen(ground: Ground, means: Means) -> frozenset[str]:
    """All keys for which a means is."""
    kinds = {Means.RESEND: (), Means.REWRITE: SRV6}.get(means, (keys.POLICY,))
    return frozenset(ground.ours(kinds))


def whole(table: Table, means: Means) -> tuple[Ground, RepairPlan]:
    """A means for all keys for which it is, done."""
    ground = table.ground()
    repairing = plan_repair({means: chosen(ground, means)}, ground)
    table.do(ground, repairing.steps)
    return ground, repairing


def pair() -> Table:
    """Node 1 of two, with tunnels to the other."""
    return Table(Sidecar(settings("seed"), "node1").put(node(1), node(2)).settle())


def shapes(steps: Sequence[Step]) -> list[list[str]]:
    """The operations of each step: the verb and the kind."""
    return [
        [
            f"{'put' if o.is_put else 'del'} {o.key.removeprefix(AGENT_PREFIX).split('/')[-2]}"
            for o in step.transaction.operations
        ]
        for step in steps
    ]


def renamed(state: State, moved: Mapping[str, str]) -> State:
    """The state with other BSIDs, in keys and values."""
    found = {}
    for key, value in state.items():
        body: Any = json.loads(value)
        if key.startswith(keys.POLICY):
            body["bsid"] = moved.get(body["bsid"], body["bsid"])
            key = keys.policy(body["bsid"])
        elif key.startswith(keys.STEERING):
            old = body["policy_bsid"]
            body["policy_bsid"] = moved.get(old, old)
            body["name"] = body["name"].replace(
                f"BSID-{old}-and", f"BSID-{moved.get(old, old)}-and"
            )
            key = keys.steering(body["name"])
        else:
            found[key] = value
            continue
        found[key] = json.dumps(body, separators=(",", ":"), sort_keys=True).encode()
    return found


def moved_alike(wanted: State, state: State) -> dict[str, str]:
    """Which BSIDs stand in a state for which, by the steerings that go to them and, for those of
    which the names hold the BSID, by what the policies do."""
    moved = {}
    for key in wanted.keys() & state.keys():
        if key.startswith(keys.STEERING):
            old, new = (json.loads(one[key])["policy_bsid"] for one in (wanted, state))
            moved[old] = new
    others = _policies(state, moved.values())
    for work, old in _policies(wanted, moved).items():
        moved[old] = others.get(work, old)
    return {old: new for old, new in moved.items() if old != new}


def _policies(state: State, but: Collection[str]) -> dict[str, str]:
    """The BSIDs of policies by what these do."""
    found = {}
    for key, value in state.items():
        if key.startswith(keys.POLICY):
            body = json.loads(value)
            bsid = body.pop("bsid")
            if bsid not in but:
                found[json.dumps(body, sort_keys=True)] = bsid
    return found


def contents(vpp: FakeVpp, stale: Collection[str] = ()) -> dict[str, Any]:
    """All SRv6 objects of a VPP, by name."""
    found: dict[str, Any] = {}
    for _, sid in vpp.localsids.all():
        found[f"localsid {sid.address}"] = sid
    for _, policy in vpp.policies.all():
        lists = [vpp.lists.items[index] for index in policy.lists]
        if policy.bsid not in stale:
            found[f"policy {policy.bsid}"] = (policy.vrf, policy.is_encap, Counter(lists))
    for (vrf, prefix), bsid in vpp.steered().items():
        found[f"steering {prefix} in {vrf}"] = bsid
    return found
