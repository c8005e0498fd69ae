"""Node 1 of the seed's cluster as a reconciler: begun, in sync, begun again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from srv6kv.etcd.values import KeyValue
from srv6kv.kube.model import Identity
from srv6kv.settings import Settings, load
from srv6kv.sync.reconciler import Reconciler
from srv6kv.txn.transaction import FullKey

SEED = Path(__file__).parents[2] / "examples" / "seed"


def started(
    boot_id: str, entries: Iterable[KeyValue], without: Identity | None = None
) -> Reconciler:
    """A reconciler of the seed's node 1, but for one object, that has read these keys."""
    settings, bodies = _seed()
    reconciler = Reconciler(settings, "node1", "n", boot_id)
    for identity, body in bodies:
        if identity != without:
            reconciler.intake.apply(identity, body)
    reconciler.reset(entries)
    return reconciler


@cache
def _seed() -> tuple[Settings, list[tuple[Identity, Any]]]:
    """The seed's settings and objects; to read them takes ten times as long as to render them."""
    settings, _ = load((SEED / "contiv.conf").read_text(), "contiv.conf")
    bodies = []
    for file in sorted((SEED / "manifests").iterdir()):
        for body in yaml.safe_load_all(file.read_text()):
            meta = body["metadata"]
            bodies.append(((body["kind"], meta.get("namespace", ""), meta["name"]), body))
    return settings, bodies


def wiring(revision: int) -> list[KeyValue]:
    """The CNI's keys of node 1, all put at one revision."""
    state = json.loads((SEED / "agent-state-node1.json").read_text())
    return [
        KeyValue(FullKey(f"/vnf-agent/n/{key}"), json.dumps(value).encode(), revision)
        for key, value in state.items()
    ]


def written(reconciler: Reconciler, revision: int) -> list[KeyValue]:
    """Commit the plan; our keys and our notes as etcd then holds them."""
    plan = reconciler.plan()
    notes = []
    for index, transaction in enumerate(plan.transactions):
        extra = reconciler.bookkeeping(plan, index)
        reconciler.committed(transaction, extra, revision)
        notes += [KeyValue(o.key, o.value or b"", revision) for o in extra]
    reconciler.finish_change()
    held = [KeyValue(FullKey(key), value, rev) for key, (value, rev) in reconciler.held().items()]
    return held + notes
