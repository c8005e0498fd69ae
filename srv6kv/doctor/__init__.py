"""Whether a node has all that srv6kv needs: docs/cni-contract.md, checked.

Rule: pure. It looks at what a reconciler knows of the cluster and of the agent's keys, and changes
nothing. What cannot be seen in etcd is reported as not checked, never passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from srv6kv.doctor import base, contract, foreign, live, pods
from srv6kv.doctor.findings import NOT_CHECKED, OK, WARNING, Finding
from srv6kv.doctor.live import Live
from srv6kv.etcd.values import KeyValue
from srv6kv.plan.ownership import load
from srv6kv.sync.reconciler import Reconciler

__all__ = ["examine", "examine_keys", "ranges_of_note", "unasked"]


def examine_keys(
    reconciler: Reconciler, actual: Sequence[KeyValue], answered: Live | None = None
) -> list[Finding]:
    """Examine the cluster with these keys, whole ones, and those that the agent has besides.

    Args:
        answered: by the agent; None: it was not asked.
    """
    reconciler.reset(actual)
    entries = {key: value for key, value, _ in reconciler.cluster.reported.items()}
    entries |= {
        item.key.removeprefix(reconciler.prefix): item.value
        for item in actual
        if item.key.startswith(reconciler.prefix)
    }
    return examine(reconciler, entries, answered)


def unasked() -> Iterator[Finding]:
    """Yield the checks that only etcd could answer."""
    for check in ("agent", "ranges", "writer", "etcd"):
        yield Finding(check, NOT_CHECKED, "etcd is not asked", "leave out --agent-state")


def examine(
    reconciler: Reconciler, entries: Mapping[str, bytes], answered: Live | None = None
) -> list[Finding]:
    """Examine what follows from the cluster and the agent's keys (short form), with which the
    reconciler was reset."""
    reconciler.plan()
    seen = contract.read(entries, answered.mtus if answered is not None else {})
    return [
        Finding("settings", OK, "can be honoured"),
        *base.node(reconciler),
        *contract.faults(seen),
        *base.tables(reconciler),
        *base.routes(reconciler, seen),
        *base.uplink(reconciler, seen),
        *base.host_interconnect(reconciler, seen),
        *pods.pods(reconciler, seen),
        *foreign.others(reconciler),
        *foreign.kube_proxy(reconciler),
        *live.findings(reconciler, answered),
    ]


def ranges_of_note(text: bytes | None) -> Finding:
    """What srv6kv has noted about its ranges."""
    if text is None:
        return Finding("ranges", OK, "nothing is noted: srv6kv has not written here yet")
    noted = load(text)
    if not noted.sids:
        found = "the note cannot be read; keys of earlier prefixes would stay"
        return Finding("ranges", WARNING, found, "start srv6kv run, which writes it again")
    listed = ", ".join(map(str, (*noted.bsids, *noted.sids)))
    return Finding("ranges", OK, f"noted: {listed}")
