"""A malformed object holds back only keys that it could define; everything else goes."""

from __future__ import annotations

from typing import Any

import pytest
from clusters import (
    CONFS,
    Json,
    base_keys,
    endpoint,
    endpoint_slice,
    identity,
    node,
    pod_keys,
    service,
)
from convergence import CONFIG, Node
from strategies import Event

from srv6kv.kube.model import Identity

LOCALSID = f"{CONFIG}config/vpp/srv6/v2/localsid/"
POLICY = f"{CONFIG}config/vpp/srv6/v2/policy/"
STEERING = f"{CONFIG}config/vpp/srv6/v2/steering/"
ROUTE = f"{CONFIG}config/vpp/v2/route/vrf/0/dst/"
CHAIN = f"{CONFIG}config/linux/iptables/v2/rulechain/srv6kv-"
TUNNEL = f"{STEERING}forNodeToNodeTunneling-"
PODS = {name: f"2001:0:0:1::{number}" for number, name in enumerate("abcdef", 5)}
WEB, LONE, GONE = ("Service", "shop", "web"), ("Service", "shop", "lone"), ("Service", "x", "gone")
SLICES = {
    name: ("EndpointSlice", space, f"{name}-1")
    for _, space, name in (WEB, LONE, GONE, ("", "x", "other"))
}


def pod(name: str) -> Json:
    """A local pod."""
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"nodeName": "node1"},
        "status": {"podIPs": [{"ip": PODS[name]}]},
    }


def named(name: str) -> Json:
    """An endpoint that is this pod."""
    target = {"kind": "Pod", "namespace": "shop", "name": name}
    return {**endpoint(PODS[name], "node1"), "targetRef": target}


def before() -> list[Json]:
    """The cluster when all could be read: three nodes, web of pods on two of them, lone of one
    local pod, gone of another, and other of one on node 2."""
    far = endpoint("2001:0:0:2::7", "node2")
    return [
        *(node(number) for number in (1, 2, 3)),
        service("web", "2096::10", namespace="shop"),
        endpoint_slice("web", [named("a"), far], namespace="shop"),
        service("lone", "2096::11", namespace="shop"),
        endpoint_slice("lone", [named("b")], namespace="shop"),
        service("gone", "2096::12", namespace="x"),
        endpoint_slice("gone", [endpoint(PODS["c"], "node1")], namespace="x"),
        service("other", "2096::13", namespace="x"),
        endpoint_slice("other", [far], namespace="x"),
    ]


def restarted(changes: dict[Identity, Any], *, without: tuple[Identity, ...] = ()) -> Node:
    """A process that begins beside what the one before has written; meanwhile objects have become
    what ``changes`` says, or are gone."""
    one = Node("seed")
    one.happen(Event("wire", value, key) for key, value in base_keys(1, "fe10:f00d::1").items())
    for address in PODS.values():
        one.happen(Event("wire", value, key) for key, value in pod_keys(address).items())
    one.happen(Event("put", body) for body in before())
    one.settle()
    for gone in without:
        one.objects.pop(gone)
    for name, body in changes.items():
        one.objects[name] = body
    one.reconciler = one.started()
    return one


def lost(one: Node) -> set[str]:
    """The keys that go, after two plans."""
    there = one.ours().keys()
    one.settle()
    one.settle()
    return there - one.ours().keys()


def of_service(one: Node, name: str) -> set[str]:
    """The keys of a service: steering, policy, and what leads to its local pod."""
    pods = {"web": "a", "lone": "b", "gone": "c"}
    address = {"web": "5555::10", "lone": "5555::11", "gone": "5555::12", "other": "5555::13"}
    found = {key for key in one.etcd if key.startswith(STEERING) and key.endswith(f"-{name}")}
    found.add(POLICY + address[name])
    if name in pods:
        sid = PODS[pods[name]].replace("2001", "6666")
        found |= {LOCALSID + sid, f"{ROUTE}{sid}/128/gw/::"}
        found |= {key for key in one.etcd if key.startswith(CHAIN) and _tail(pods[name]) in key}
    assert found <= one.etcd.keys(), found - one.etcd.keys()
    return found


def _tail(name: str) -> str:
    return f"{PODS[name].rpartition(':')[2]}-"


def malformed(kind: str, namespace: str, name: str, **more: Any) -> Json:
    """An object of whose top level nothing but metadata makes sense."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"kind": kind, "metadata": {**metadata, **more.pop("metadata", {})}, **more}


LABELLED = {"labels": {"kubernetes.io/service-name": "lone"}}
PROXIED = {"labels": {**LABELLED["labels"], "service.kubernetes.io/service-proxy-name": "x"}}
GONE_TOO = (GONE, SLICES["gone"])
DEEP: dict[str, Any] = {}
for _ in range(150):
    DEEP = {"a": DEEP}

POISON: dict[str, tuple[Identity, Any]] = {
    "a slice whose endpoints are a number": (
        SLICES["lone"],
        malformed("EndpointSlice", "shop", "lone-1", metadata=LABELLED, endpoints=5),
    ),
    "a slice without metadata that can be read": (
        SLICES["lone"],
        {"kind": "EndpointSlice", "metadata": 5, "addressType": "IPv6"},
    ),
    "a slice with the label of another proxy": (
        SLICES["lone"],
        malformed("EndpointSlice", "shop", "lone-1", metadata=PROXIED, endpoints=5),
    ),
    "a slice whose labels are a list": (
        SLICES["lone"],
        malformed("EndpointSlice", "shop", "lone-1", metadata={"labels": ["x"]}),
    ),
    "a slice with an annotation that nests deep": (
        SLICES["lone"],
        malformed(
            "EndpointSlice", "shop", "lone-1", metadata={**LABELLED, "annotations": {"x": DEEP}}
        ),
    ),
    "a service whose spec is a number": (LONE, malformed("Service", "shop", "lone", spec=5)),
    "a service that is a list": (LONE, []),
}


@pytest.mark.parametrize("poison", POISON, ids=lambda text: text.replace(" ", "-"))
def test_a_malformed_object_holds_what_is_its_own(poison: str) -> None:
    """Of a service that cannot be read, or whose slice cannot, every key stays as it is; a service
    of another namespace that is gone goes, with a note on what stays."""
    name, body = POISON[poison]
    one = restarted({name: body}, without=GONE_TOO)
    own = {key: one.etcd[key] for key in of_service(one, "lone")}
    expected = of_service(one, "gone")

    assert lost(one) == expected
    assert {key: one.etcd[key] for key in own} == own
    assert "DeletesHeld" in {note.reason for note in one.reconciler.notes()}
    assert one.left() == []

    one.happen([Event("remove", {"kind": name[0], "metadata": _metadata(name)})])

    assert lost(one) == own.keys()
    assert "DeletesHeld" not in {note.reason for note in one.reconciler.notes()}


def _metadata(name: Identity) -> Json:
    return {"name": name[2], **({"namespace": name[1]} if name[1] else {})}


def test_one_tenants_object_holds_nothing_of_anothers() -> None:
    """A slice that cannot be read at all concerns its own namespace only."""
    name = ("EndpointSlice", "evil", "poison")
    one = restarted({name: {"kind": "EndpointSlice", "metadata": 5}}, without=GONE_TOO)
    expected = of_service(one, "gone")

    assert lost(one) == expected
    assert {note.reason for note in one.reconciler.notes()} == {"Malformed"}


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"service.kubernetes.io/headless": ""},
        {"kubernetes.io/service-name": "My_App.v2"},
    ],
)
def test_a_slice_of_no_service_holds_nothing(labels: dict[str, str]) -> None:
    """Whatever else is wrong with it."""
    name = ("EndpointSlice", "x", "poison")
    body = malformed("EndpointSlice", "x", "poison", metadata={"labels": labels}, endpoints=5)
    one = restarted({name: body}, without=GONE_TOO)
    expected = of_service(one, "gone")

    assert lost(one) == expected


def test_ambiguous_names_are_held_for_either() -> None:
    """The steering of a-b/c may be that of a/b-c: a malformed a/b-c holds it, another does not."""
    for service_of, is_held in ((("Service", "a", "b-c"), True), (("Service", "a", "d"), False)):
        one = Node("seed")
        one.happen(Event("put", body) for body in (node(1), node(2)))
        listed = endpoint_slice("c", [endpoint("2001:0:0:2::7", "node2")], namespace="a-b")
        one.happen(
            Event("put", body) for body in (service("c", "2096::1", namespace="a-b"), listed)
        )
        one.settle()
        for body in (service("c", None, namespace="a-b"), listed):
            one.objects.pop(identity(body))
        one.objects[service_of] = malformed(*service_of, spec=5)
        one.reconciler = one.started()

        assert bool(lost(one)) is not is_held


def test_a_rule_of_many_ports_leads_to_its_pod() -> None:
    """A pod that only answers, in rules of a hundred ports each, keeps what leads to it."""
    ports = [(f"p{number}", "TCP", 20_000 + number) for number in range(100)]
    listed = [endpoint(PODS["d"], "node1", ready=False), endpoint("2001:0:0:2::8", "node2")]
    one = restarted({})
    one.happen(Event("put", body) for body in (service("wide", "2096::14", ports, namespace="x"),))
    one.happen([Event("put", endpoint_slice("wide", listed, ports, namespace="x"))])
    one.settle()
    own = {key for key in one.ours() if "1::8" in key or _tail("d") in key}
    [rules] = [one.etcd[key][0] for key in own if key.endswith(f"{_tail('d')}DNAT-a")]
    assert b"--dport 20000:20099" in rules
    one.objects["EndpointSlice", "x", "wide-1"] = malformed(
        "EndpointSlice",
        "x",
        "wide-1",
        metadata={"labels": {"kubernetes.io/service-name": "wide"}},
        endpoints=5,
    )
    one.reconciler = one.started()

    assert lost(one) == set()
    assert own <= one.ours().keys()


def test_a_slice_that_cannot_be_read_keeps_its_lists_and_rules() -> None:
    """Of two slices of a service one cannot be read: the policy keeps the lists and a pod of both
    services its rules; what the other slice loses goes at once."""
    more = ("EndpointSlice", "shop", "web-2")
    good = endpoint_slice("web", [named("b")], namespace="shop", name="web-2")
    one = restarted({more: good})
    one.settle()
    labels = {"labels": {"kubernetes.io/service-name": "web"}}
    one.objects[more] = malformed("EndpointSlice", "shop", "web-2", metadata=labels, ports=5)
    one.reconciler = one.started()
    held = dict(one.ours())

    assert lost(one) == set()
    assert one.ours() == held
    assert b"6666:0:0:1::6" in held[f"{POLICY}5555::10"]

    changed = endpoint_slice("web", [named("a")], namespace="shop")
    one.happen([Event("put", changed)])
    one.settle()

    assert b"6666:0:0:2::7" not in one.ours()[f"{POLICY}5555::10"]
    assert b"6666:0:0:1::6" in one.ours()[f"{POLICY}5555::10"]

    one.happen([Event("remove", good)])
    one.settle()

    assert b"6666:0:0:1::6" not in one.ours()[f"{POLICY}5555::10"]
    assert one.left_in_full()[0] == []


# Nodes ------------------------------------------------------------------------------------------

BAD_NODES: dict[str, Json] = {
    "spec": malformed("Node", "", "node2", spec=5),
    "pod CIDR": malformed("Node", "", "node2", spec={"podCIDR": "2001:0:0:2::/64", "podCIDRs": 5}),
    "status": {**node(2), "status": 5},
}


@pytest.mark.parametrize("what", BAD_NODES)
def test_a_node_that_cannot_be_read_keeps_what_leads_to_it(what: str) -> None:
    """Its routes and tunnels and the lists that end there stay, byte for byte; a service that is
    gone goes, and so does an endpoint of the node that no slice lists any more."""
    one = restarted({("Node", "", "node2"): BAD_NODES[what]}, without=GONE_TOO)
    held = dict(one.ours())
    expected = of_service(one, "gone")

    assert lost(one) == expected
    assert one.ours() == {key: value for key, value in held.items() if key not in expected}
    assert any(key.startswith(TUNNEL) and "::2-" in key for key in one.ours())

    one.happen([Event("put", endpoint_slice("web", [named("a")], namespace="shop"))])
    one.settle()

    assert b"6666:0:0:2::7" not in one.ours()[f"{POLICY}5555::10"]

    expected = of_service(one, "other")
    one.happen([Event("remove", service("other", None, namespace="x"))])

    assert lost(one) == expected


@pytest.mark.parametrize(("what", "is_exact"), [("spec", False), ("pod CIDR", True)])
def test_a_node_that_is_gone_beside_one_that_cannot_be_read(what: str, is_exact: bool) -> None:
    """Its routes go if it is known which are the other's, else they stay too."""
    gone = ("Node", "", "node3")
    one = restarted({("Node", "", "node2"): BAD_NODES[what]}, without=(gone, *GONE_TOO))
    expected = of_service(one, "gone")
    if is_exact:
        expected |= {key for key in one.ours() if "f00d::3" in key}
        assert len(expected) > 8

    assert lost(one) == expected


def test_a_node_that_can_be_read_again() -> None:
    """What is written is what it says then."""
    one = restarted({("Node", "", "node2"): BAD_NODES["spec"]})
    held = dict(one.ours())
    one.settle()
    one.happen([Event("put", node(2))])
    one.settle()

    assert one.ours() == held

    one.happen([Event("remove", node(2))])
    one.settle()

    assert not any("f00d::2" in key for key in one.ours())
    assert one.left_in_full()[0] == []


def test_a_record_that_cannot_be_read() -> None:
    """What leads to a node that is not known stays; a service that is gone goes."""
    key = "/vnf-agent/contiv-ksr/allocatedIDs/9"
    one = restarted({})
    one.happen([Event("wire", {"id": 9, "name": "node3"}, key)])
    one.settle()
    assert any("f00d::9" in key for key in one.ours())
    for gone in GONE_TOO:
        one.objects.pop(gone)
    one.etcd[key] = (b"{", one.revision)
    one.reconciler = one.started()
    moved = {key for key in one.ours() if key.endswith("managementIP-fd00::103")}
    expected = of_service(one, "gone")

    assert lost(one) == expected | moved
    assert any("f00d::9" in key for key in one.ours())
    assert any(key.endswith("managementIP-fd00::103") for key in one.ours())


# Pods -------------------------------------------------------------------------------------------


def test_a_pod_that_cannot_be_read_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its wiring is annotated and unknown now: its localsid, route, neighbour and chains stay; what
    is another's goes."""
    marks = {"srv6kv.io/interface": "vpp-tap-z", "srv6kv.io/mac": "02:00:00:00:00:01"}
    marks["srv6kv.io/netns"] = "/run/netns/z"
    body = pod("a")
    body["metadata"]["annotations"] = marks
    monkeypatch.setitem(CONFS, "annotated", {**CONFS["seed"], "srv6kv": {"podAnnotations": True}})
    one = Node("annotated")
    one.happen(Event("wire", value, key) for key, value in base_keys(1, "fe10:f00d::1").items())
    one.happen(Event("wire", value, key) for key, value in pod_keys(PODS["c"]).items())
    one.happen(Event("put", item) for item in (*before(), body))
    one.settle()
    assert f"{LOCALSID}6666:0:0:1::5" in one.etcd
    one.objects[identity(body)] = {**body, "status": 5}
    for gone in GONE_TOO:
        one.objects.pop(gone)
    one.reconciler = one.started()
    own = {key: value for key, value in one.ours().items() if "1::5" in key or "-z-" in key}
    expected = of_service(one, "gone")
    assert len(own) == 9

    assert lost(one) >= expected
    assert own.items() <= one.ours().items()


def test_a_pod_that_cannot_be_read_keeps_its_traffic() -> None:
    """Whether a mesh has it is not known any more: what leads to it stays as it was."""
    one = restarted({})
    one.objects |= {identity(body): body for body in map(pod, "abc")}
    one.objects[identity(pod("a"))] = malformed("Pod", "shop", "a", status=5)
    one.reconciler = one.started()
    one.reconciler.cluster.knows_pods = True
    held = dict(one.ours())

    assert lost(one) == set()
    assert one.ours() == held
    assert one.reconciler.missing_pods() == {}

    one.happen([Event("put", endpoint_slice("web", [named("b")], namespace="shop"))])
    one.settle()

    assert not any("1::5" in key for key in one.ours())
