"""What ``explain`` says of a service is what is rendered, and why."""

from __future__ import annotations

from typing import Any

from clusters import (
    CONFS,
    NETWORKS,
    Json,
    base_keys,
    endpoint,
    endpoint_slice,
    node,
    pod_keys,
    service,
    settings_of,
)
from explaining import Asked

from srv6kv.explain import Explanation
from srv6kv.explain.account import EndpointPart, Key
from srv6kv.show.trees import text_of

HERE, LATER, THERE = "2001:0:0:1::5", "2001:0:0:1::6", "2001:0:0:2::7"
BALANCED = "fd10::5"
OPEN = settings_of({**CONFS["seed"], "srv6kv": {"externalIPs": {"allowedCIDRs": ["fd20::/16"]}}})
AGENT = {**base_keys(1, "fe10:f00d::1"), **pod_keys(HERE), **pod_keys(LATER)}
NODES = (node(1, zone="z1"), node(2, zone="z2"))


def _web(*endpoints: Json, **spec: Any) -> Asked:
    """Service default/web with these endpoints, on node 1."""
    bodies = (service("web", "2096::10", **spec), endpoint_slice("web", endpoints))
    return Asked((*NODES, *bodies), AGENT, OPEN)


def _balanced(*endpoints: Json, **spec: Any) -> Asked:
    status = {"loadBalancer": {"ingress": [{"ip": BALANCED}]}}
    return _web(*endpoints, status=status, type="LoadBalancer", **spec)


def _parts(found: Explanation) -> dict[str, EndpointPart]:
    return {part.address: part for item in found.slices for part in item.endpoints}


def _verdicts(found: Explanation) -> dict[str, list[tuple[str, bool, str]]]:
    return {
        address: [(verdict.policy, verdict.kept, verdict.rule) for verdict in part.verdicts]
        for address, part in _parts(found).items()
    }


def test_every_endpoint_is_kept_or_dropped_by_a_rule() -> None:
    """For each traffic policy in use; an endpoint says what it is and whether it can be reached."""
    listed = (
        endpoint(HERE, "node1"),
        endpoint(LATER, "node1", ready=False, serving=False),
        endpoint(THERE, "node2"),
        endpoint("fd00::102", "node2"),
        endpoint("2001:db8::1"),
    )
    found = _balanced(*listed, externalTrafficPolicy="Local").explain()

    assert _verdicts(found) == {
        HERE: [("Cluster", True, "C4"), ("Local", True, "C6")],
        LATER: [("Cluster", False, "E5"), ("Local", False, "E5")],
        THERE: [("Cluster", True, "C4"), ("Local", False, "C6")],
        "fd00::102": [("Cluster", True, "C4"), ("Local", False, "C6")],
        "2001:db8::1": [("Cluster", True, "C4"), ("Local", False, "C6")],
    }
    assert [(part.what, part.problem) for part in _parts(found).values()] == [
        ("local pod", ""),
        ("local pod", ""),
        ("remote pod", ""),
        ("remote host", ""),
        ("outside", "ExternalEndpointUnsupported"),
    ]


def test_every_place_has_its_keys_and_its_ways() -> None:
    """ClusterIP in the pod VRF, load-balancer addresses in both, by their policies."""
    found = _balanced(
        endpoint(HERE, "node1"), endpoint(THERE, "node2"), externalTrafficPolicy="Local"
    ).explain()
    places = [
        (item.address, place.vrf, place.policy, [path.endpoints for path in place.paths])
        for item in found.addresses
        for place in item.places
    ]

    assert places == [
        ("2096::10", "pod", "Cluster", [(HERE,), (THERE,)]),
        (BALANCED, "pod", "Cluster", [(HERE,), (THERE,)]),
        (BALANCED, "main", "Local", [(HERE,)]),
    ]
    assert found.addresses[0].places[0].keys == (
        Key("config/vpp/srv6/v2/steering/forK8sService-default-web"),
        Key("config/vpp/srv6/v2/policy/5555::10"),
    )
    assert found.addresses[0].places[0].paths[1].segments == ("7766:f00d::2", "6666:0:0:2::7")


def test_without_endpoints_it_says_what_drops() -> None:
    """The drop route answers for a ClusterIP, the discard SID for any other address."""
    found = _balanced().explain()
    outcomes = [place.outcome for item in found.addresses for place in item.places]

    assert outcomes == [
        "drop route: no endpoint can be reached",
        *["drop: discard SID, no endpoint can be reached"] * 2,
    ]
    assert [path.endpoints for path in found.addresses[1].places[0].paths] == [()]


def test_an_address_that_is_not_rendered_says_why() -> None:
    """Denied, of the other family, or another service's."""
    older = service("older", "2096::20", externalIPs=["fd20::9"], created="2026-01-01T00:00:00Z")
    web = service(
        "web",
        "2096::10",
        externalIPs=["2001:db8::1", "fd20::9", "192.0.2.1"],
        created="2026-01-02T00:00:00Z",
    )
    slices = endpoint_slice("web", [endpoint(HERE, "node1")]), endpoint_slice("older", [])
    found = Asked((*NODES, web, older, *slices), AGENT, OPEN).explain()
    problems = {item.address: item.problem for item in found.addresses}

    assert problems["2096::10"] == ""
    assert problems["2001:db8::1"] == "is not allowed by srv6kv.externalIPs"
    assert problems["192.0.2.1"] == (
        "S3: the service has no IPv4 ClusterIP; packets follow the routes"
    )
    assert "belongs to Service default/older" in problems["fd20::9"]
    assert [item.shared_with for item in found.addresses if item.address == "fd20::9"] == [
        ("default/older",)
    ]
    assert {(note.reason, note.link) for note in found.warnings} == {
        ("ExternalIPDenied", "docs/limits.md#externalipdenied"),
        ("FamilyNotServed", "docs/limits.md#familynotserved"),
        ("ServiceIPConflict", "docs/limits.md#serviceipconflict"),
    }


def test_a_shared_address_with_the_same_endpoints_is_explained_to_both() -> None:
    """The steering has the older one's name; nothing is lost for the other one."""
    objects = []
    for name, own, port in (("a", "2096::20", 80), ("web", "2096::10", 81)):
        ports = [("http", "TCP", port)]
        objects.append(service(name, own, ports, externalIPs=["fd20::9"]))
        objects.append(endpoint_slice(name, [endpoint(HERE, "node1")], ports))
    found = Asked((*NODES, *objects), AGENT, OPEN).explain()
    (shared,) = (item for item in found.addresses if item.address == "fd20::9")

    assert (shared.problem, shared.shared_with) == ("", ("default/a",))
    assert [path.endpoints for place in shared.places for path in place.paths] == [(HERE,)] * 2
    assert shared.places[0].keys[0].key.endswith("/forK8sService-default-a_fd20::9")


def test_a_pod_of_a_mesh_has_its_localsid_and_no_chains() -> None:
    """Why nothing on this node sends to it is said with it."""
    pod = {
        "kind": "Pod",
        "metadata": {
            "name": "web-0",
            "namespace": "default",
            "annotations": {"linkerd.io/proxy-version": "2"},
        },
        "spec": {"nodeName": "node1"},
        "status": {"podIP": HERE, "podIPs": [{"ip": HERE}]},
    }
    bodies = (service("web", "2096::10"), endpoint_slice("web", [endpoint(HERE, "node1")]), pod)
    found = Asked((*NODES, *bodies), AGENT, OPEN).explain()
    (part,) = _parts(found).values()

    assert part.problem == "PodNotAttached"
    assert part.receive_side is not None
    assert part.receive_side.problem.endswith("(PodChainsOwnedByMesh)")
    assert [key.key.split("/")[1] for key in part.receive_side.keys] == ["vpp", "vpp"]


def test_each_family_has_its_own_endpoints() -> None:
    """With IPv4 on, the IPv4 address is explained by the IPv4 slices alone."""
    networks = {**NETWORKS, "serviceCIDR": "2096::/110,10.96.0.0/16"}
    both = {**CONFS["seed"], "ipamConfig": networks, "srv6kv": {"ipv4": True}}
    web = service("web", "2096::10", clusterIPs=["2096::10", "10.96.0.9"])
    web["spec"]["ipFamilies"] = ["IPv6", "IPv4"]
    second = node(2)
    second["spec"]["podCIDRs"].append("10.1.2.0/24")
    four = {
        **endpoint_slice("web", [endpoint("10.1.2.7", "node2")], name="web-4"),
        "addressType": "IPv4",
    }
    six = endpoint_slice("web", [endpoint(HERE, "node1")])
    found = Asked((node(1), second, web, four, six), AGENT, settings_of(both)).explain()

    assert {
        item.address: [path.endpoints for place in item.places for path in place.paths]
        for item in found.addresses
    } == {"2096::10": [(HERE,)], "10.96.0.9": [("10.1.2.7",)]}
    assert _verdicts(found) == {
        HERE: [("Cluster", True, "C4")],
        "10.1.2.7": [("Cluster", True, "C4")],
    }


def test_what_a_slice_offers_in_vain_has_its_rule() -> None:
    """A port without a number, a duplicate, and slices that are not looked into."""
    ports = [("http", "TCP", 8080), ("http", "TCP", None)]
    first = endpoint_slice("web", [endpoint(HERE, "node1")], ports)
    again = endpoint_slice("web", [endpoint(HERE, "node2")], ports[:1], name="web-2")
    four = {**endpoint_slice("web", [], name="web-4"), "addressType": "IPv4"}
    headless = endpoint_slice(
        "web", [], name="web-5", labels={"service.kubernetes.io/headless": ""}
    )
    others = endpoint_slice("other", [endpoint(LATER, "node1")])
    bodies = (*NODES, service("web", "2096::10"), first, again, four, headless, others)
    found = Asked(bodies, AGENT, OPEN).explain()

    assert {
        item.name: [(part.place, part.rule) for part in item.unused] for item in found.slices
    } == {
        "web-1": [("ports[1]", "E3")],
        "web-2": [],
        "web-4": [("", "E2")],
        "web-5": [("", "S1")],
    }
    assert [(v.kept, v.rule) for v in found.slices[1].endpoints[0].verdicts] == [(False, "E8")]
    assert {name: page for name, page in found.rules.items() if name in "E3 E8 S1"} == {
        "E3": "docs/rules/endpoints.md#e3",
        "E8": "docs/rules/endpoints.md#e8",
        "S1": "docs/rules/services.md#s1",
    }


def test_the_receive_side_of_a_local_endpoint() -> None:
    """Localsid, route and rule chains of a pod, or why there are none; a host's localsid."""
    unwired = "2001:0:0:1::9"
    node1 = _web(
        endpoint(HERE, "node1"), endpoint(unwired, "node1"), endpoint("fd00::101", "node1")
    )
    parts = _parts(node1.explain())
    pod, missing, host = (parts[one].receive_side for one in (HERE, unwired, "fd00::101"))

    assert pod is not None
    assert missing is not None
    assert host is not None
    assert [key.key.rpartition("/v2/")[2] for key in pod.keys] == [
        "localsid/6666:0:0:1::5",
        "route/vrf/0/dst/6666:0:0:1::5/128/gw/::",
        *(
            f"rulechain/srv6kv-c20010000000000010000000000000005-{part}"
            for part in ("DNAT-a", "DNAT-b", "PREROUTING", "NOTRACK-a", "NOTRACK-b", "OUTPUT")
        ),
    ]
    assert pod.translations == ("2096::10 TCP 80 -> 80",)
    assert (missing.keys, missing.translations) == ((), ())
    assert missing.problem.endswith("(PodAttachmentUnknown)")
    assert [key.key for key in host.keys] == ["config/vpp/srv6/v2/localsid/6655::1"]


def _rule(**spec: Any) -> str:
    return Asked((*NODES, service("web", "2096::10", **spec)), AGENT, OPEN).explain().rule[:2]


def test_a_service_that_is_not_rendered_at_all_says_by_which_rule() -> None:
    """Another proxy's, ExternalName, headless, without an address, of the other family."""
    foreign = {"service.kubernetes.io/service-proxy-name": "other"}

    assert _rule() == ""
    assert _rule(labels=foreign) == "S1"
    assert _rule(type="ExternalName") == "S2"
    assert _rule(clusterIP="None") == "S2"
    assert _rule(clusterIP="") == "S2"
    assert _rule(ipFamilies=["IPv4"], clusterIP="10.96.0.1", clusterIPs=["10.96.0.1"]) == "S3"


def test_keys_have_their_state_when_etcd_was_asked() -> None:
    """Missing before they are written, in etcd after, differing when edited, and to be deleted."""
    node1 = _web(endpoint(HERE, "node1"))
    place = node1.explain(is_online=True).addresses[0].places[0]
    assert [key.state for key in place.keys] == ["missing", "missing"]

    written = {key: value for key, value in node1.plan.values.items() if value is not None}
    node1.reset({**node1.entries, **written})
    place = node1.explain(is_online=True).addresses[0].places[0]
    assert [key.state for key in place.keys] == ["in etcd", "in etcd"]

    policy = place.keys[1].key
    node1.reset({**node1.entries, policy: b"{}"})
    place = node1.explain(is_online=True).addresses[0].places[0]
    assert [key.state for key in place.keys] == ["in etcd", "differs"]

    empty = _web()
    empty.reset(node1.entries)
    place = empty.explain(is_online=True).addresses[0].places[0]
    assert [key.state for key in place.keys] == ["to be deleted"]


def test_the_text_names_every_key_and_every_address_whole() -> None:
    """No line is wrapped or cut, and texts in brackets are not taken for markup."""
    ports = [("http", "TCP", 8080), ("http", "TCP", None)]
    bodies = (
        service("web", "2096::10", status={"loadBalancer": {"ingress": [{"ip": BALANCED}]}}),
        endpoint_slice("web", [endpoint(HERE, "node1"), endpoint("2001:db8::1")], ports),
    )
    found = Asked((*NODES, *bodies), AGENT, OPEN).explain()
    lines = text_of(found).splitlines()
    sides = [part.receive_side for part in _parts(found).values() if part.receive_side]
    listed = [key.key for item in found.addresses for place in item.places for key in place.keys]
    listed += [key.key for side in sides for key in side.keys]

    assert len(listed) == 14
    assert [key for key in listed if not any(line.endswith(f" {key}") for line in lines)] == []
    for text in (
        "address fd10::5 (status.loadBalancer)",
        "ports[1]: not used, rule E3: has no number from 1 to 65535",
        "cannot be sent to: ExternalEndpointUnsupported",
        "see docs/limits.md#externalendpointunsupported",
    ):
        assert any(line.endswith(f" {text}") for line in lines), text
