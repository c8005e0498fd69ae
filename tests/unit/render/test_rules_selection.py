"""Which endpoints traffic reaches: rules C1 to C11, and rule L3."""

from __future__ import annotations

from typing import Any

import pytest
from choosing import EXTERNAL, ONE, THREE, TWO, chosen, offered_by, web_slice
from clusters import (
    Json,
    base_keys,
    endpoint,
    endpoint_slice,
    node,
    pod_address,
    pod_keys,
    service,
    settings,
)
from dataplane import Delivered, Dropped, Network
from sidecar import Sidecar

from srv6kv.render.selection import select

LEAVING: dict[str, Any] = {"ready": False, "serving": True, "terminating": True}
GONE: dict[str, Any] = {"ready": False, "serving": False, "terminating": True}
HERE, THERE = pod_address(1, 5), pod_address(2, 5)
SENDER = 9
NODES = ("node1", "node2")


def _sidecar(number: int, *objects: Json) -> Sidecar:
    """Node ``number`` of two, with a serving and a sending pod."""
    keys = base_keys(number, f"fe10:f00d::{number}")
    for host in (5, SENDER):
        keys |= pod_keys(pod_address(number, host))
    nodes = [node(1, zone="z1"), node(2, zone="z2")]
    return Sidecar(settings("seed"), f"node{number}").wire(keys).put(*nodes, *objects)


def _reached(address: str, *objects: Json, from_pod: bool = True) -> list[set[str]]:
    """From each node in turn, where a packet may end: pods by address, ``nowhere``."""
    network = Network({f"node{n}": _sidecar(n, *objects).settle().values() for n in (1, 2)})
    found = []
    for number, name in enumerate(NODES, 1):
        sender = pod_address(number, SENDER) if from_pod else None
        outcomes = network.trace(name, sender, address, "TCP", 80)
        assert all(isinstance(item, Delivered | Dropped) for item in outcomes)
        found.append({i.address if isinstance(i, Delivered) else "nowhere" for i in outcomes})
    return found


def _balanced(internal: str, external: str) -> Json:
    """default/web behind a load balancer."""
    return service(
        "web",
        "2096::10",
        type="LoadBalancer",
        internalTrafficPolicy=internal,
        externalTrafficPolicy=external,
        status={"loadBalancer": {"ingress": [{"ip": EXTERNAL}]}},
    )


# C1, C7 to C9 -------------------------------------------------------------------------------------

NOWHERE = {"nowhere"}
ALL = {HERE, THERE}


@pytest.mark.parametrize("external", ["Cluster", "Local"])
@pytest.mark.parametrize("internal", ["Cluster", "Local"])
def test_c1_and_c8_each_traffic_has_the_set_of_its_policy(internal: str, external: str) -> None:
    """internalTrafficPolicy is for the ClusterIP, externalTrafficPolicy for the outside; pods
    reach external addresses by neither."""
    objects = [
        _balanced(internal, external),
        endpoint_slice("web", [endpoint(HERE, "node1"), endpoint(THERE, "node2")]),
    ]
    local = [{HERE}, {THERE}]

    assert _reached("2096::10", *objects) == (local if internal == "Local" else [ALL, ALL])
    assert _reached(EXTERNAL, *objects) == [ALL, ALL]
    assert _reached(EXTERNAL, *objects, from_pod=False) == (
        local if external == "Local" else [ALL, ALL]
    )


def test_c1_the_cluster_ip_is_for_pods() -> None:
    """It has no set for traffic from outside (rule L3)."""
    listed = endpoint_slice("web", [endpoint(HERE, "node1"), endpoint(THERE, "node2")])
    network = Network({"node1": _sidecar(1, service("web", "2096::10"), listed).settle().values()})
    [found] = network.trace("node1", None, "2096::10", "TCP", 80)

    assert isinstance(found, Dropped)


@pytest.mark.parametrize("policy", ["Cluster", "Local"])
@pytest.mark.parametrize(
    "listed",
    [
        [],
        [endpoint(HERE, "node1", ready=False)],
        [endpoint(HERE, "node1", **GONE), endpoint(THERE, "node2", ready=False)],
    ],
)
def test_c7_and_c9_without_any_endpoint_all_traffic_is_dropped(
    listed: list[Json], policy: str
) -> None:
    """kube-proxy would reject; nothing leaks to the default route, from pods or from outside."""
    objects = [_balanced(policy, policy), endpoint_slice("web", listed)]

    assert _reached("2096::10", *objects) == [NOWHERE, NOWHERE]
    assert _reached(EXTERNAL, *objects) == [NOWHERE, NOWHERE]
    assert _reached(EXTERNAL, *objects, from_pod=False) == [NOWHERE, NOWHERE]


@pytest.mark.parametrize("conditions", [{}, LEAVING])
def test_c9_local_traffic_is_dropped_where_only_others_have_endpoints(
    conditions: dict[str, Any],
) -> None:
    """It never falls back to a remote endpoint; what follows Cluster is not touched."""
    objects = [
        _balanced("Local", "Local"),
        endpoint_slice("web", [endpoint(THERE, "node2", **conditions)]),
    ]

    assert _reached("2096::10", *objects) == [NOWHERE, {THERE}]
    assert _reached(EXTERNAL, *objects, from_pod=False) == [NOWHERE, {THERE}]
    assert _reached(EXTERNAL, *objects) == [{THERE}, {THERE}]


def test_c9_a_cluster_ip_without_endpoints_has_no_steering() -> None:
    """The drop route of the service subnet takes what is not steered (rules R6 and R10)."""
    full = endpoint_slice("web", [endpoint(HERE, "node1")])
    sidecar = _sidecar(1, service("web", "2096::10"), full).settle()
    assert "config/vpp/srv6/v2/policy/5555::10" in sidecar.owned()

    sidecar.put(endpoint_slice("web", [endpoint(HERE, "node1", ready=False)]))
    keys = sidecar.commit(sidecar.plan_change()).owned()
    assert not [key for key in keys if "/policy/5555:" in key or "/steering/forK8sService" in key]
    assert "config/vpp/v2/route/vrf/1/dst/2096::/110/gw/::" in keys


# C2 to C4 -----------------------------------------------------------------------------------------


def test_c2a_node_hints_count_when_all_have_some_and_one_names_us() -> None:
    """Otherwise they are not used at all."""
    ours, others = endpoint(ONE, nodes=["n1"]), endpoint(TWO, nodes=["n2"])
    both = endpoint(THREE, nodes=["n2", "n1"])

    assert chosen(ours, others) == (ONE,)
    assert chosen(ours, others, both) == (ONE, THREE)
    assert chosen(others) == (TWO,)
    assert chosen(ours, others, endpoint(THREE)) == (ONE, TWO, THREE)
    assert chosen(ours, others, endpoint(THREE, zones=["z1"])) == (ONE, TWO, THREE)


def test_c2a_node_hints_come_before_zone_hints() -> None:
    """Zone hints are looked at only when node hints cannot be used."""
    node_and_zone = endpoint(ONE, nodes=["n1"], zones=["z2"])
    zone = endpoint(TWO, nodes=["n2"], zones=["z1"])

    assert chosen(node_and_zone, zone) == (ONE,)
    assert chosen(node_and_zone, zone, node="n3") == (TWO,)


def test_c2b_zone_hints_count_when_all_have_some_and_one_names_our_zone() -> None:
    """Otherwise they are not used at all."""
    ours, others = endpoint(ONE, zones=["z1"]), endpoint(TWO, zones=["z2", "z3"])

    assert chosen(ours, others) == (ONE,)
    assert chosen(ours, others, zone="z3") == (TWO,)
    assert chosen(ours, others, zone="z4") == (ONE, TWO)
    assert chosen(ours, others, endpoint(THREE)) == (ONE, TWO, THREE)
    assert chosen(ours, others, endpoint(THREE, nodes=["n1"])) == (ONE, TWO, THREE)


def test_c2b_a_node_without_a_zone_is_in_the_empty_one() -> None:
    """A hint for the zone "" leads there; without one no zone hint counts."""
    hinted = [endpoint(ONE, zones=["z1"]), endpoint(TWO, zones=[""])]
    on_nodes = [endpoint(ONE, zones=["z1"], nodes=["n1"]), endpoint(TWO, zones=[""], nodes=["n2"])]
    elsewhere = [endpoint(ONE, zones=["z1"]), endpoint(TWO, zones=["z2"])]

    assert chosen(*hinted, zone="") == (TWO,)
    assert chosen(*hinted, zone="z1") == (ONE,)
    assert chosen(*elsewhere, zone="") == (ONE, TWO)
    assert chosen(*on_nodes, zone="") == (ONE,)


def test_c2_only_ready_endpoints_decide_about_hints() -> None:
    """An endpoint that is not ready neither spoils nor provides hints."""
    pairs: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"zones": ["z1"]}, {"zones": ["z2"]}),
        ({"nodes": ["n1"]}, {"nodes": ["n2"]}),
    ]
    for our_hint, other_hint in pairs:
        ours, others = endpoint(ONE, **our_hint), endpoint(TWO, **other_hint)
        assert chosen(ours, others, endpoint(THREE, ready=False)) == (ONE,)
        assert chosen(ours, others, endpoint(THREE, **LEAVING)) == (ONE,)
        assert chosen({**ours, "conditions": {"ready": False}}, others) == (TWO,)


def test_c2_hints_are_judged_for_each_port() -> None:
    """A port whose endpoints all have hints follows them, whatever the other port's lack."""
    ports = [("a", "TCP", 1), ("b", "TCP", 2)]
    listed = offered_by(
        web_slice(endpoint(ONE, zones=["z1"]), endpoint(TWO, zones=["z2"]), ports=ports, name="s"),
        web_slice(endpoint(THREE), ports=ports[1:], name="t"),
        ports=ports,
    )
    found = select(listed, "n1", "z1", local_only=False)

    assert [[c.address for c in of] for of in found.values()] == [[ONE], [ONE, TWO, THREE]]


def test_a_port_without_endpoints_does_not_differ_from_the_others() -> None:
    """Neither one that no slice offers nor one with nothing to select (rule L2)."""
    ports = [("a", "TCP", 1), ("b", "TCP", 2), ("c", "TCP", 3), ("d", "TCP", 4)]
    alike = web_slice(endpoint(ONE), ports=ports[:2], name="s")
    starting = web_slice(endpoint(TWO, ready=False), ports=ports[2:3], name="t")
    listed = offered_by(alike, starting, ports=ports)
    found = select(listed, "n1", "", local_only=False)

    assert {port.name: [c.address for c in of] for port, of in found.items()} == {
        "a": [ONE],
        "b": [ONE],
        "c": [],
    }


@pytest.mark.parametrize("wish", ["PreferClose", "PreferSameZone", "PreferSameNode"])
def test_c3_traffic_distribution_is_not_read(wish: str) -> None:
    """Neither the field nor the annotation does anything without hints in the slices."""
    body = service("web", "2096::10", trafficDistribution=wish)
    body["metadata"]["annotations"] = {"service.kubernetes.io/topology-mode": "Auto"}
    listed = endpoint_slice("web", [endpoint(HERE, "node1"), endpoint(THERE, "node2")])

    assert _reached("2096::10", body, listed) == [ALL, ALL]


def test_c4_without_hints_all_ready_endpoints_are_used() -> None:
    """And nothing else."""
    listed = [endpoint(ONE, "n1"), endpoint(TWO), endpoint(THREE, "n2", ready=False)]

    assert chosen(*listed) == (ONE, TWO)
    assert chosen(*listed, endpoint("2001::1:4", **LEAVING)) == (ONE, TWO)


# C5, C6, C10, C11 ---------------------------------------------------------------------------------


def test_c5_without_ready_endpoints_the_serving_that_terminate_are_used() -> None:
    """What terminates but still serves is the last resort, wherever it is and whatever it hints."""
    leaving = endpoint(ONE, "n2", zones=["z2"], nodes=["n2"], **LEAVING)
    starting = endpoint(TWO, ready=False, serving=True)

    assert chosen(leaving, starting) == (ONE,)
    assert chosen(leaving, endpoint(THREE, zones=["z1"], **LEAVING)) == (ONE, THREE)
    assert chosen(leaving, endpoint(TWO)) == (TWO,)


def test_c6_local_traffic_never_leaves_and_ignores_hints() -> None:
    """Local endpoints are used whatever they hint; without any there is none."""
    local = endpoint(ONE, "n1", zones=["z2"], nodes=["n2"])
    leaving = endpoint(TWO, "n1", **LEAVING)
    remote = endpoint(THREE, "n2", zones=["z1"], nodes=["n1"])

    assert chosen(local, leaving, remote, local_only=True) == (ONE,)
    assert chosen(local, endpoint(TWO, "n1", nodes=["n1"]), local_only=True) == (ONE, TWO)
    assert chosen(remote, local_only=True) == ()


def test_c6_its_last_resort_is_its_own() -> None:
    """A ready endpoint elsewhere does not matter here, nor a leaving one here to the others."""
    leaving, remote = endpoint(TWO, "n1", **LEAVING), endpoint(THREE, "n2")

    assert chosen(leaving, remote, local_only=True) == (TWO,)
    assert chosen(leaving, remote) == (THREE,)
    assert chosen(leaving, endpoint(ONE, "n2", **LEAVING), local_only=True) == (TWO,)


@pytest.mark.parametrize("local_only", [False, True])
def test_c10_what_terminates_and_does_not_serve_is_never_used(local_only: bool) -> None:
    """Not even as the last one, nor what serves and is neither ready nor terminating."""
    gone = endpoint(ONE, "n1", **GONE)

    assert chosen(gone, local_only=local_only) == ()
    assert chosen(gone, endpoint(TWO, "n1", **LEAVING), local_only=local_only) == (TWO,)
    assert chosen(endpoint(ONE, "n1", ready=False, serving=True), local_only=local_only) == ()


def _hinted() -> list[Json]:
    listed = [endpoint(HERE, "node1", zones=["z1"]), endpoint(THERE, "node2", zones=["z2"])]
    return [
        item
        for name, address in (("web", "2096::10"), ("db", "2096::11"))
        for item in (service(name, address), endpoint_slice(name, listed))
    ]


@pytest.mark.parametrize("zone", ["z1", "z2", "", "z3"])
def test_c11_a_new_zone_of_our_node_is_a_new_choice_for_every_service(zone: str) -> None:
    """After the change etcd holds what a node that always had this zone would hold."""
    sidecar = _sidecar(1, *_hinted()).settle()
    before = sidecar.owned()
    sidecar.put(node(1, zone=zone))
    changed = sidecar.plan_change()
    after = sidecar.commit(changed).owned()

    assert after == _sidecar(1, *_hinted(), node(1, zone=zone)).settle().owned()
    assert len([key for key in after if before.get(key) != after[key]]) == (
        0 if zone == "z1" else 2
    )


def test_c11_other_changes_of_a_node_are_ignored() -> None:
    """Labels, conditions and heartbeats do not even render anything again."""
    sidecar = _sidecar(1, *_hinted()).settle()
    rendered = sidecar.renderer.rendered
    changed = node(1, zone="z1", annotations={"x": "y"})
    changed["metadata"]["labels"]["other"] = "z2"
    changed["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    changed["spec"]["unschedulable"] = True
    sidecar.put(changed)

    assert sidecar.plan_change().transactions == ()
    assert sidecar.renderer.rendered == rendered
