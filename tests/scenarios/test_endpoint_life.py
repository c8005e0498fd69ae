"""The life of an endpoint (rule L10): what receives exists before anybody sends, and
stays until nobody does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from clusters import (
    base_keys,
    endpoint,
    endpoint_slice,
    node,
    pod_keys,
    sandbox_of,
    service,
    settings,
)
from sidecar import Sidecar, operations

NODES = (1, 2, 3)
POLICY, LOCALSID = "config/vpp/srv6/v2/policy/", "config/vpp/srv6/v2/localsid/"
WEB = f"{POLICY}5555::10"

PHASES: dict[str, dict[str, Any]] = {
    "starting": {"ready": False, "serving": False},
    "ready": {"ready": True},
    "terminating": {"ready": False, "serving": True, "terminating": True},
    "closing": {"ready": False, "serving": False, "terminating": True},
}

Pods = dict[str, tuple[int, str]]
"""Address to node number and phase."""


def _pod(part: int, host: int) -> str:
    return f"2001:0:0:{part}::{host}"


def _slice(pods: Pods) -> dict[str, Any]:
    listed = [
        endpoint(address, f"node{part}", **PHASES[phase]) for address, (part, phase) in pods.items()
    ]
    return endpoint_slice("web", listed)


class _Cluster:
    """Three nodes, each with its own etcd, that see every event in the order of their numbers."""

    def __init__(self, *order: int) -> None:
        self._order = order
        self.nodes = {number: Sidecar(settings("seed"), f"node{number}") for number in NODES}
        for number, sidecar in self.nodes.items():
            sidecar.wire(base_keys(number, f"fe10:f00d::{number}"))
            sidecar.put(*(node(other) for other in NODES), service("web", "2096::10")).settle()

    def see(self, pods: Pods) -> Iterator[str]:
        """All nodes take in the slice, one after the other; each key that is written."""
        for number in self._order:
            sidecar = self.nodes[number]
            sidecar.put(_slice(pods))
            for operation in sidecar.steps(sidecar.plan_change()):
                yield operation.key

    def start(self, address: str, part: int) -> None:
        """The CNI wires a new pod."""
        self.nodes[part].wire(pod_keys(address))

    def deaf(self) -> list[str]:
        """What a policy of some node sends to without somebody there to receive it."""
        found = []
        for number, sidecar in self.nodes.items():
            values = sidecar.values()
            for item in values.get(WEB, {}).get("segment_lists", []):
                sid = item["segments"][-1]
                part = int(sid.split(":")[3])
                missing = self._receive_side(sid, part) - self.nodes[part].values().keys()
                found += [f"node{number} sends to {sid}: no {key}" for key in sorted(missing)]
        return found

    def _receive_side(self, sid: str, part: int) -> set[str]:
        pod = sid.replace("6666:", "2001:", 1)
        chain = f"config/linux/iptables/v2/rulechain/srv6kv-{sandbox_of(pod)}"
        return {
            f"{LOCALSID}{sid}",
            f"config/vpp/v2/route/vrf/0/dst/{sid}/128/gw/::",
            f"{chain}-PREROUTING",
            f"{chain}-OUTPUT",
        }


def _rollout() -> Iterator[tuple[str, int, str]]:
    """A rolling update of three pods, one more at a time: address, node and what becomes of it."""
    for part in NODES:
        old, new = _pod(part, 5), _pod(part % 3 + 1, 6)
        yield new, part % 3 + 1, "starting"
        yield new, part % 3 + 1, "ready"
        yield old, part, "terminating"
        yield old, part, "closing"
        yield old, part, "gone"


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1)])
def test_a_rolling_update_never_sends_to_a_deaf_pod(order: tuple[int, ...]) -> None:
    """Event by event and key by key, whoever sees an event first, every SID in a policy has its
    localsid, route and rule chains; and in the end nothing of the old pods is left."""
    cluster = _Cluster(*order)
    pods: Pods = {_pod(part, 5): (part, "ready") for part in NODES}
    for address, (part, _) in pods.items():
        cluster.start(address, part)
    for _ in cluster.see({pod: (part, "starting") for pod, (part, _) in pods.items()}):
        pass
    for _ in cluster.see(pods):
        assert cluster.deaf() == []
    checked = 0
    for address, part, phase in _rollout():
        if phase == "starting":
            cluster.start(address, part)
        pods[address] = (part, phase)
        if phase == "gone":
            del pods[address]
        for key in cluster.see(pods):
            checked += 1
            assert cluster.deaf() == [], f"after {address} {phase}: {key}"

    assert checked > 40
    for sidecar in cluster.nodes.values():
        assert not [key for key in sidecar.owned() if key.endswith("::5")]
        assert len(sidecar.values()[WEB]["segment_lists"]) == 3


@pytest.mark.parametrize(
    ("phase", "is_sent_to"),
    [("starting", False), ("ready", True), ("terminating", True), ("closing", False)],
)
def test_the_receive_side_exists_in_every_phase(phase: str, is_sent_to: bool) -> None:
    """Listed means localsid, route and rules; policies follow readiness, and fall back to what
    terminates and still serves."""
    cluster = _Cluster(1, 2, 3)
    cluster.start(_pod(1, 5), 1)
    for _ in cluster.see({_pod(1, 5): (1, phase)}):
        pass
    keys = cluster.nodes[1].values().keys()

    assert cluster._receive_side("6666:0:0:1::5", 1) <= keys
    assert all((WEB in sidecar.values()) == is_sent_to for sidecar in cluster.nodes.values())


def test_a_ready_pod_keeps_the_terminating_ones_out() -> None:
    """The fallback is for the last ones only; the terminating pod still receives."""
    cluster = _Cluster(1, 2, 3)
    for host in (5, 6):
        cluster.start(_pod(1, host), 1)
    pods: Pods = {_pod(1, 5): (1, "terminating"), _pod(1, 6): (1, "ready")}
    for _ in cluster.see(pods):
        pass
    policy = json.loads(cluster.nodes[2].owned()[WEB])

    assert [item["segments"][-1] for item in policy["segment_lists"]] == ["6666:0:0:1::6"]
    assert cluster._receive_side("6666:0:0:1::5", 1) <= cluster.nodes[1].values().keys()


def test_a_pod_that_replaces_another_is_one_policy_value() -> None:
    """New pod ready and old pod terminating in one batch: the policy is written once."""
    cluster = _Cluster(1, 2, 3)
    before: Pods = {_pod(1, 5): (1, "ready"), _pod(2, 5): (2, "ready"), _pod(1, 6): (1, "starting")}
    for host in (5, 6):
        cluster.start(_pod(1, host), 1)
    cluster.start(_pod(2, 5), 2)
    for _ in cluster.see(before):
        pass
    sidecar = cluster.nodes[3]
    sidecar.put(_slice({**before, _pod(1, 6): (1, "ready")}))
    first = sidecar.plan_change()
    sidecar.put(_slice({**before, _pod(1, 6): (1, "ready"), _pod(1, 5): (1, "terminating")}))
    second = sidecar.plan()

    assert first.can_wait
    assert not second.can_wait
    assert operations(second) == [("put", WEB)]
