"""The checks that ask etcd itself."""

from __future__ import annotations

from srv6kv import doctor
from srv6kv.doctor import agent
from srv6kv.doctor.findings import ERROR, OK, WARNING, Finding
from srv6kv.errors import Refused
from srv6kv.etcd.probe import operations_taken, version_of
from srv6kv.etcd.store import Etcd3Store
from srv6kv.sync.reconciler import Reconciler
from srv6kv.txn.limits import DEFAULT_OPERATIONS, LEAST_OPERATIONS


def examine(store: Etcd3Store, reconciler: Reconciler, label: str, now: float) -> list[Finding]:
    """Examine the cluster with the keys of etcd, then the agent, the writer and etcd.

    Args:
        now: Unix time.
    """
    actual = store.read(reconciler.prefixes).entries
    found = doctor.examine_keys(reconciler, actual)
    reported, _ = store.get(reconciler.prefix + agent.KEY)
    ranges = f"{reconciler.own_prefix}ranges"
    noted = next((item.value for item in actual if item.key == ranges), None)
    writer = store.holder(label)
    return [
        *found,
        agent.status(reported, now),
        doctor.ranges_of_note(noted),
        Finding("writer", OK, f"{writer} writes" if writer else "no process writes now"),
        _transactions(store, reconciler.own_prefix),
    ]


def _transactions(store: Etcd3Store, prefix: str) -> Finding:
    """How large transactions the server accepts."""
    version = version_of(store)
    try:
        most = operations_taken(store, prefix)
    except Refused as error:
        remedy = f"let srv6kv read and write below {prefix}"
        return Finding("etcd", ERROR, f"{version}: {error}", remedy)
    text = f"{version}, takes transactions of {most} operations"
    remedy = f"start etcd with --max-txn-ops={DEFAULT_OPERATIONS} or more"
    if most < LEAST_OPERATIONS:
        return Finding("etcd", ERROR, f"{text}: no key can be written with its guards", remedy)
    if most < DEFAULT_OPERATIONS:
        return Finding("etcd", WARNING, f"{text}: a large change takes several revisions", remedy)
    return Finding("etcd", OK, text)
