"""The checks that ask etcd itself."""

from __future__ import annotations

import time

from srv6kv import doctor
from srv6kv.agent.connection import loss_of
from srv6kv.agent.rest import AgentRest
from srv6kv.doctor import agent
from srv6kv.doctor.findings import ERROR, OK, WARNING, Finding
from srv6kv.doctor.live import FLOW_HASH, Live, flow_hash_of, mtus_of
from srv6kv.errors import Refused
from srv6kv.etcd.probe import operations_taken, version_of
from srv6kv.etcd.store import Etcd3Store
from srv6kv.sync.reconciler import Reconciler
from srv6kv.txn.limits import DEFAULT_OPERATIONS, LEAST_OPERATIONS
from srv6kv.verify import vppask


def ask_agent(rest: AgentRest) -> Live:
    """Ask the agent, and VPP through it.

    Raises:
        Unavailable: one of them does not answer.
    """
    states, loss = rest.statuses(), loss_of(rest.health().vpp, time.time())
    mtus = mtus_of(rest.linux_interfaces())
    if loss:
        return Live(states, loss, mtus=mtus)
    source = vppask.encap_source(rest.vpp_command)
    return Live(states, "", source, flow_hash_of(rest.vpp_command(FLOW_HASH)), mtus)


def examine(
    store: Etcd3Store, reconciler: Reconciler, label: str, now: float, answered: Live | None
) -> list[Finding]:
    """Examine the cluster with the keys of etcd, then the agent, the writer and etcd.

    Args:
        now: Unix time.
        answered: by the agent; None: it was not asked.
    """
    actual = store.read(reconciler.prefixes).entries
    found = doctor.examine_keys(reconciler, actual, answered)
    reported, _ = store.get(reconciler.prefix + agent.KEY)
    vpp, _ = store.get(reconciler.prefix + agent.VPP_KEY)
    ranges = f"{reconciler.own_prefix}ranges"
    noted = next((item.value for item in actual if item.key == ranges), None)
    writer = store.holder(label)
    return [
        *found,
        agent.status(reported, now, vpp),
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
