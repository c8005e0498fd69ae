"""The reference's defects (rules D1 to D36): what happens here instead.

The clusters are those of ``clusters``' address plan, with the seed's prefixes unless it says so.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from clusters import (
    CONFS,
    base_keys,
    endpoint,
    endpoint_slice,
    node,
    pod_address,
    pod_keys,
    service,
    settings,
    settings_of,
)
from dataplane import Delivered, ToHost, trace
from podchains import chain_keys, rules_of
from sidecar import Sidecar, operations

Json = dict[str, Any]
ONE, TWO = "fe10:f00d::1", "fe10:f00d::2"
POD, OTHER, REMOTE = "2001:0:0:1::5", "2001:0:0:1::6", "2001:0:0:2::7"
POLICY = "config/vpp/srv6/v2/policy/"
STEERING = "config/vpp/srv6/v2/steering/forK8sService-"
LOCALSID = "config/vpp/srv6/v2/localsid/"
CHAIN = "config/linux/iptables/v2/rulechain/srv6kv-"
HTTPS = (("http", "TCP", 80), ("https", "TCP", 443))


def _sidecar(conf: str = "seed", number: int = 1, *pods: str) -> Sidecar:
    """The sidecar of a node with two pods, which knows nodes 1 and 2."""
    found = Sidecar(settings(conf), f"node{number}")
    found.wire(base_keys(number, f"fe10:f00d::{number}")).put(node(1), node(2))
    for pod in pods or {1: (POD, OTHER), 2: (REMOTE,)}[number]:
        found.wire(pod_keys(pod))
    return found


def _lists(sidecar: Sidecar, bsid: str) -> list[list[str]]:
    value = sidecar.values()[POLICY + bsid]
    return [item["segments"] for item in value["segment_lists"]]


def _rules(sidecar: Sidecar, pod: str, chain: str = "PREROUTING") -> list[str]:
    """The rules of a pod that never had another sandbox."""
    [tap] = [
        key.split("/")[4]
        for key in sidecar.actual.entries
        if key.startswith("config/vpp/v2/arp/") and key.endswith(f"/{pod}")
    ]
    return rules_of(sidecar.values(), tap.removeprefix("vpp-tap-"), chain)


def test_d1_an_external_address_leaves_the_cluster_ip_alone() -> None:
    """A service that gets external addresses keeps the steering and policy of its ClusterIP."""
    sidecar = _sidecar()
    sidecar.put(service("web", "2096::10"), endpoint_slice("web", [endpoint(POD, "node1")]))
    before = sidecar.settle().owned()
    balanced = {"loadBalancer": {"ingress": [{"ip": "fd10::5"}]}}
    sidecar.put(service("web", "2096::10", externalIPs=["2001:db8::9"], status=balanced))
    after = sidecar.settle().owned()
    kept = {key: value for key, value in before.items() if "/rulechain/" not in key}

    assert f"{STEERING}default-web" in before
    assert kept.items() <= after.items()
    assert {key.removeprefix(STEERING) for key in after if key.startswith(STEERING)} == {
        "default-web",
        "default-web_fd10::5",
        "default-web_fd10::5_main",
    }
    assert [n.reason for n in sidecar.desired().all_notes()] == ["ExternalIPDenied"]


@pytest.mark.parametrize("how", ["service goes", "slice goes", "endpoint goes"])
def test_d2_a_route_stays_while_another_service_needs_it(how: str) -> None:
    """A pod's localsid, route and rules outlive a service as long as another one lists the pod."""
    sidecar = _sidecar()
    one = service("one", "2096::1:1"), endpoint_slice("one", [endpoint(POD, "node1")])
    two = service("two", "2096::1:2"), endpoint_slice("two", [endpoint(POD, "node1")])
    sidecar.put(*one, *two).settle()
    match how:
        case "service goes":
            sidecar.remove(one[0])
        case "slice goes":
            sidecar.remove(one[1])
        case _:
            sidecar.put(endpoint_slice("one", [endpoint(OTHER, "node1")]))
    sidecar.commit(sidecar.plan_change())
    keys = sidecar.owned()

    assert f"{LOCALSID}6666:0:0:1::5" in keys
    assert "config/vpp/v2/route/vrf/0/dst/6666:0:0:1::5/128/gw/::" in keys
    assert _lists(sidecar, "5555::1:2") == [["6666:0:0:1::5"]]
    assert all("2096::1:2/" in rule for rule in _rules(sidecar, POD))


def test_d3_a_headless_service_gets_nothing() -> None:
    """A headless service has no policy, so the one of 2096::1 is its owner's alone."""
    sidecar = _sidecar()
    sidecar.put(service("kubernetes", "2096::1"))
    sidecar.put(endpoint_slice("kubernetes", [endpoint("fd00::101")]))
    before = sidecar.settle().owned()
    sidecar.put(service("headless", None), endpoint_slice("headless", [endpoint(POD, "node1")]))

    assert sidecar.plan().transactions == ()
    assert _lists(sidecar, "5555::1") == [["6655::1"]]
    assert before == sidecar.owned()


def test_d4_addresses_with_equal_low_bits_have_policies_of_their_own() -> None:
    """Of two ClusterIPs with one first BSID the lower takes it, and both reach their own pods."""
    sidecar = _sidecar()
    sidecar.put(service("low", "2096::5"), endpoint_slice("low", [endpoint(POD, "node1")]))
    sidecar.put(service("high", "fd96::5"), endpoint_slice("high", [endpoint(OTHER, "node1")]))
    sidecar.settle()

    assert _lists(sidecar, "5555::5") == [["6666:0:0:1::5"]]
    assert _lists(sidecar, "5555:1::5") == [["6666:0:0:1::6"]]
    sidecar.remove(service("low", "2096::5")).settle()
    assert _lists(sidecar, "5555:1::5") == [["6666:0:0:1::6"]]
    values = {"node1": sidecar.values()}
    assert {Delivered("node1", OTHER, 80)} == trace(values, "node1", POD, "fd96::5", "TCP", 80)


def test_d6_a_port_without_translation_does_not_remove_another_ports() -> None:
    """Every port of a pod is translated, in whatever order equal and differing ports come."""
    sidecar = _sidecar()
    ports = [("http", "TCP", 8080), ("https", "TCP", 443)]
    sidecar.put(service("web", "2096::10", HTTPS))
    sidecar.put(endpoint_slice("web", [endpoint(POD, "node1")], ports)).settle()

    assert _rules(sidecar, POD) == [
        "-d 2096::10/128 -p tcp -m tcp --dport 443 -j DNAT --to-destination [2001:0:0:1::5]:443",
        "-d 2096::10/128 -p tcp -m tcp --dport 80 -j DNAT --to-destination [2001:0:0:1::5]:8080",
    ]
    assert _rules(sidecar, POD, "OUTPUT") == ["-d 2096::10/128 -j CT --notrack"]


@pytest.mark.parametrize("is_wiring_first", [True, False])
def test_d7_a_pod_that_is_gone_leaves_nothing_behind(is_wiring_first: bool) -> None:
    """Localsid, route and all rule chains of a pod go, even when its wiring goes before it."""
    sidecar = _sidecar()
    sidecar.put(service("web", "2096::10"), endpoint_slice("web", [endpoint(POD, "node1")]))
    before = sidecar.owned()
    empty = _sidecar().put(service("web", "2096::10")).settle().owned()
    sidecar.settle()
    gone = sidecar.owned().keys() - before.keys() - empty.keys()
    steps: list[Callable[[], object]] = [
        lambda: sidecar.unwire(pod_keys(POD)),
        lambda: sidecar.put(endpoint_slice("web", [])),
    ]
    for step in steps if is_wiring_first else reversed(steps):
        step()
        sidecar.commit(sidecar.plan_change())

    assert empty == sidecar.owned()
    assert len(gone) == 10


def test_d8_a_rule_of_a_past_service_does_not_survive() -> None:
    """Chains are built from scratch, also by a new process on an etcd that holds older rules."""
    sidecar = _sidecar()
    old = service("old", "2096::10"), endpoint_slice("old", [endpoint(POD, "node1")])
    new = service("new", "2096::20"), endpoint_slice("new", [endpoint(POD, "node1")])
    sidecar.put(*old).settle()
    again = sidecar.restarted().put(node(1), node(2), *new).settle()

    assert all("2096::20/" in rule for rule in _rules(again, POD))
    assert all("2096::20/" in rule for rule in _rules(again, POD, "OUTPUT"))


def test_d11_other_nodes_have_a_route_whatever_the_transport() -> None:
    """With vxlan and with nooverlay, as with srv6, remote segments have their way."""
    for transport in ("srv6", "vxlan", "nooverlay"):
        of = settings_of({**CONFS["today"], "nodeToNodeTransport": transport})
        sidecar = Sidecar(of, "node1").put(node(1), node(2)).settle()

        assert "config/vpp/v2/route/vrf/0/dst/9000:f00d::2/128/gw/fe10:f00d::2" in sidecar.owned()
        assert f"{LOCALSID}9000:f00d::1" in sidecar.owned()


def test_d13_a_recreated_sandbox_moves_the_localsid() -> None:
    """A pod that keeps its address in a new sandbox has localsid and chains there, none behind."""
    sidecar = _sidecar()
    sidecar.put(service("web", "2096::10"), endpoint_slice("web", [endpoint(POD, "node1")]))
    sidecar.settle()
    sidecar.wire(pod_keys(POD, "new"))
    found = sidecar.plan_change()
    sidecar.commit(found)

    localsid = sidecar.values()[f"{LOCALSID}6666:0:0:1::5"]
    assert localsid["end_function_dx6"] == {"next_hop": POD, "outgoing_interface": "vpp-tap-new"}
    chains = [key for key in sidecar.owned() if key.startswith(CHAIN)]
    assert chain_keys("new") == sorted(chains)
    sidecar.unwire(key for key in pod_keys(POD))
    assert sidecar.plan_change().transactions == ()


@pytest.mark.parametrize("address", [REMOTE, "fd00::102", TWO])
def test_d13_a_node_that_appears_later_makes_its_endpoints_reachable(address: str) -> None:
    """Endpoints of a node join the policies when its Node object comes and leave when it goes."""
    sidecar = Sidecar(settings("seed"), "node1").wire(base_keys(1, ONE)).put(node(1))
    sidecar.wire(pod_keys(POD)).put(service("web", "2096::10"))
    sidecar.put(endpoint_slice("web", [endpoint(POD, "node1"), endpoint(address, "node2")]))
    sidecar.settle()
    alone = [["6666:0:0:1::5"]]
    assert alone == _lists(sidecar, "5555::10")

    sidecar.put(node(2))
    sidecar.commit(sidecar.plan_change())
    last = "6666:0:0:2::7" if address == REMOTE else "6655::1"
    assert sorted([*alone, ["7766:f00d::2", last]], key=lambda path: (path[-1], path)) == _lists(
        sidecar, "5555::10"
    )

    sidecar.remove(node(2))
    sidecar.commit(sidecar.plan_change())
    assert alone == _lists(sidecar, "5555::10")


def test_d13_an_id_that_is_learnt_later_makes_the_host_reachable() -> None:
    """The host's localsid comes with its node's pod CIDR, and goes with it."""
    strange = {**node(1), "spec": {}}
    sidecar = Sidecar(settings("seed"), "node1").wire(base_keys(1, ONE)).put(strange)
    sidecar.put(service("web", "2096::10"), endpoint_slice("web", [endpoint("fd00::101")]))
    before = sidecar.settle().owned()
    assert f"{LOCALSID}6655::1" not in before

    sidecar.put(node(1))
    sidecar.commit(sidecar.plan_change())
    assert _lists(sidecar, "5555::10") == [["6655::1"]]
    assert f"{LOCALSID}6655::1" in sidecar.owned()

    sidecar.put(strange)
    sidecar.commit(sidecar.plan_change())
    assert before == sidecar.owned()


@pytest.mark.parametrize(
    ("gateway", "first", "second"),
    [
        ("2005::16:1", "fe10:f00d::1", "fe10:f00d::2"),
        ("fe10:f00d::1", "fe10:f00d::2", "fe10:f00d::3"),
        ("fe10:f00d::2", "fe10:f00d::1", "fe10:f00d::3"),
        ("fe10:f00d::9", "fe10:f00d::1", "fe10:f00d::2"),
        ("fe80::1", "fe10:f00d::1", "fe10:f00d::2"),
    ],
)
def test_d14_only_a_gateway_of_the_interconnect_is_skipped(
    gateway: str, first: str, second: str
) -> None:
    """Node addresses make room for a gateway among them, and for no other."""
    networks = {**CONFS["seed"]["ipamConfig"], "defaultGateway": gateway}
    of = settings_of({**CONFS["seed"], "ipamConfig": networks})
    sidecar = Sidecar(of, "node1").put(node(1), node(2)).settle()
    own, other = (text.replace("fe10", "7766") for text in (first, second))

    assert f"{LOCALSID}{own}" in sidecar.owned()
    assert f"config/vpp/v2/route/vrf/0/dst/{other}/128/gw/{second}" in sidecar.owned()


def test_d15_pods_of_the_last_node_are_reachable() -> None:
    """The node with part 0 of the pod subnet has the highest id, and its pods are endpoints."""
    last = pod_address(0, 5)
    nodes = [node(1), node(4, part=0)]
    objects = [service("web", "2096::10"), endpoint_slice("web", [endpoint(last, "node4")])]
    one = Sidecar(settings("four-nodes"), "node1").wire(base_keys(1, ONE)).wire(pod_keys(POD))
    four = Sidecar(settings("four-nodes"), "node4")
    four.wire(base_keys(4, "fe10:f00d::4", part=0)).wire(pod_keys(last))
    for sidecar in (one, four):
        sidecar.put(*nodes, *objects).settle()

    assert _lists(one, "8fff::10") == [["9000:f00d::4", "9300::5"]]
    values = {"node1": one.values(), "node4": four.values()}
    assert {Delivered("node4", last, 80)} == trace(values, "node1", POD, "2096::10", "TCP", 80)


@pytest.mark.parametrize(("number", "weight"), [(1, 1), (2, 2), (9, 9), (10, 9), (12, 9)])
def test_d16_equal_lists_are_merged(number: int, weight: int) -> None:
    """Addresses of one host are one list with their number as weight, at most 9."""
    hosts = [f"fd00::20{digit:x}" for digit in range(number)]
    sidecar = Sidecar(settings("seed"), "node1").put(node(1), node(2, addresses=hosts))
    listed = [endpoint(address, "node2") for address in hosts]
    sidecar.put(service("web", "2096::10"), endpoint_slice("web", listed)).settle()
    lists = sidecar.values()[f"{POLICY}5555::10"]["segment_lists"]

    assert [{"segments": ["7766:f00d::2", "6655::1"], "weight": weight}] == lists


def _d30(*bodies: Json) -> Sidecar:
    """Today's prefixes, and a pod whose SID is the host's: 9300::1."""
    sidecar = Sidecar(settings("four-nodes"), "node4")
    sidecar.wire(base_keys(4, "fe10:f00d::4", part=0)).wire(pod_keys("2001::1"))
    return sidecar.put(node(1), node(4, part=0, addresses=["fd00::104"]), *bodies)


POD_SERVICE = (service("pod", "2096::10"), endpoint_slice("pod", [endpoint("2001::1", "node4")]))
HOST_SERVICE = (service("host", "2096::20"), endpoint_slice("host", [endpoint("fd00::104")]))


def test_d30_pods_and_host_share_a_prefix() -> None:
    """With one prefix for pods and hosts both kinds of SID exist side by side."""
    sidecar = _sidecar("today")
    listed = [endpoint(POD, "node1"), endpoint("fd00::101")]
    sidecar.put(service("web", "2096::10"), endpoint_slice("web", listed)).settle()

    assert _lists(sidecar, "8fff::10") == [["9300:0:0:1::5"], ["9300::1"]]
    assert {f"{LOCALSID}9300::1", f"{LOCALSID}9300:0:0:1::5"} < sidecar.owned().keys()


def test_d30_the_host_comes_first_when_both_are_new() -> None:
    """Of a pod and the host that want one SID the host has it; the other is noted, not rendered."""
    sidecar = _d30(*POD_SERVICE, *HOST_SERVICE).settle()

    assert sidecar.values()[f"{LOCALSID}9300::1"]["end_function_dx6"]["next_hop"] == "2002::2"
    assert [f"{STEERING}default-host"] == [key for key in sidecar.owned() if STEERING in key]
    notes = {(str(note.subject), note.reason) for note in sidecar.desired().all_notes()}
    assert {
        ("Endpoint 2001::1", "SidCollision"),
        ("Service default/pod", "PodNotAttached"),
    } == notes


def test_d30_the_newcomer_waits() -> None:
    """The one whose localsid is in etcd keeps it, the other takes over when it goes."""
    sidecar = _d30(*POD_SERVICE).settle().put(*HOST_SERVICE)
    sidecar.commit(sidecar.plan_change())
    assert sidecar.values()[f"{LOCALSID}9300::1"]["end_function_dx6"]["next_hop"] == "2001::1"
    assert [f"{STEERING}default-pod"] == [key for key in sidecar.owned() if STEERING in key]

    again = sidecar.restarted().put(node(1), node(4, part=0, addresses=["fd00::104"]))
    again.put(*POD_SERVICE, *HOST_SERVICE)
    assert again.plan().transactions == ()

    sidecar.remove(POD_SERVICE[0])
    sidecar.commit(sidecar.plan_change())
    assert sidecar.values()[f"{LOCALSID}9300::1"]["end_function_dx6"]["next_hop"] == "2002::2"
    values = {"node4": sidecar.values()}
    assert {ToHost("node4")} == trace(values, "node4", "2001::1", "2096::20", "TCP", 80)


def test_d31_the_order_of_input_does_not_show() -> None:
    """However ports, slices, endpoints and events are ordered, the bytes are the same."""
    seen = set()
    dice = random.Random(31)
    for _ in range(20):
        listed = [endpoint(pod, "node1") for pod in (POD, OTHER)]
        listed += [endpoint(REMOTE, "node2"), endpoint("fd00::102")]
        ports = list(HTTPS)
        dice.shuffle(listed)
        dice.shuffle(ports)
        slices = [
            endpoint_slice("web", listed[:2], ports, name="web-1"),
            endpoint_slice("web", listed[2:], ports[::-1], name="web-2"),
        ]
        bodies = [service("web", "2096::10", ports), *slices]
        dice.shuffle(bodies)
        seen.add(tuple(sorted(_sidecar().put(*bodies).settle().owned().items())))

    assert len(seen) == 1


def test_d36_two_services_with_one_name_have_steerings_of_their_own() -> None:
    """The later of a-b/c and a/b-c takes the long name, and keeps it when the other goes."""
    sidecar = _sidecar()
    one = service("c", "2096::10", namespace="a-b", created="2026-01-01T00:00:00Z")
    two = service("b-c", "2096::20", namespace="a", created="2026-01-02T00:00:00Z")
    sidecar.put(one, endpoint_slice("c", [endpoint(POD, "node1")], namespace="a-b"))
    sidecar.put(two, endpoint_slice("b-c", [endpoint(OTHER, "node1")], namespace="a"))
    sidecar.settle()
    values = sidecar.values()

    assert values[f"{STEERING}a-b-c"]["policy_bsid"] == "5555::10"
    assert values[f"{STEERING}a-b-c_2096::20"]["policy_bsid"] == "5555::20"

    sidecar.remove(one)
    assert [
        ("del", f"{STEERING}a-b-c"),
        ("del", f"{POLICY}5555::10"),
    ] == operations(sidecar.plan_change())[:2]


def test_d36_the_first_in_etcd_keeps_the_plain_name() -> None:
    """A service whose plain name is in etcd keeps it when an older namesake appears."""
    sidecar = _sidecar()
    one = service("c", "2096::10", namespace="a-b", created="2026-01-01T00:00:00Z")
    two = service("b-c", "2096::20", namespace="a", created="2026-01-02T00:00:00Z")
    sidecar.put(two, endpoint_slice("b-c", [endpoint(OTHER, "node1")], namespace="a")).settle()
    sidecar.put(one, endpoint_slice("c", [endpoint(POD, "node1")], namespace="a-b"))
    sidecar.commit(sidecar.plan_change())
    values = sidecar.values()

    assert values[f"{STEERING}a-b-c"]["policy_bsid"] == "5555::20"
    assert values[f"{STEERING}a-b-c_2096::10"]["policy_bsid"] == "5555::10"
