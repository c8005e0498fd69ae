"""Defects of the reference (rules D1 to D36) in what a service promises its users.

``test_defects.py`` has those of keys and values; ``test_pod_namespace.py`` shows D26 to D28 in a
real network namespace.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from clusters import (
    CONFS,
    base_keys,
    endpoint,
    endpoint_slice,
    node,
    pod_keys,
    service,
    settings_of,
)
from dataplane import Delivered, Dropped, Outcome, ToHost, trace
from podchains import rules_of
from sidecar import Sidecar, operations

from srv6kv.errors import SettingsError
from srv6kv.settings import load

POD, OTHER, REMOTE = "2001:0:0:1::5", "2001:0:0:1::6", "2001:0:0:2::7"
VIP, BALANCED = "2096::10", "fd10::5"
POLICY, STEERING = "config/vpp/srv6/v2/policy/5555::10", "config/vpp/srv6/v2/steering/"
HERE, THERE = endpoint(POD, "node1"), endpoint(REMOTE, "node2")


def _sidecar(*bodies: dict[str, Any], number: int = 1) -> Sidecar:
    """A node of two, with its pods wired, under the seed's settings."""
    sidecar = Sidecar(settings_of(CONFS["seed"]), f"node{number}").put(node(1), node(2))
    sidecar.wire(base_keys(number, f"fe10:f00d::{number}"))
    for pod in {1: (POD, OTHER), 2: (REMOTE,)}[number]:
        sidecar.wire(pod_keys(pod))
    return sidecar.put(*bodies).settle()


def _trace(
    sender: str | None, address: str, *bodies: dict[str, Any], protocol: str = "TCP"
) -> set[Outcome]:
    """Where a packet of a pod on node 1, or of its main VRF, may end."""
    values = {f"node{number}": _sidecar(*bodies, number=number).values() for number in (1, 2)}
    return set(trace(values, "node1", sender, address, protocol, 80))


def _reasons(sidecar: Sidecar) -> set[str]:
    return {note.reason for note in sidecar.desired().all_notes()}


def _web(**spec: Any) -> dict[str, Any]:
    return service("web", VIP, **spec)


def _balanced(**spec: Any) -> dict[str, Any]:
    status = {"loadBalancer": {"ingress": [{"ip": BALANCED}]}}
    return _web(type="LoadBalancer", status=status, **spec)


def test_d5_ports_with_different_endpoints_are_said() -> None:
    """Steering knows no ports: the union gets all of them, and the note tells."""
    ports = [("http", "TCP", 80), ("admin", "TCP", 81)]
    first = endpoint_slice("web", [HERE], ports[:1], name="a")
    second = endpoint_slice("web", [THERE], ports[1:], name="b")
    sidecar = _sidecar(service("web", VIP, ports), first, second)

    assert _reasons(sidecar) == {"PortEndpointsDiffer"}
    assert len(sidecar.values()[POLICY]["segment_lists"]) == 2


def test_d9_external_traffic_policy_leaves_the_cluster_ip_alone() -> None:
    """Local restricts what comes from outside; pods reach remote endpoints by both addresses."""
    bodies = _balanced(externalTrafficPolicy="Local"), endpoint_slice("web", [THERE])

    assert _trace(POD, VIP, *bodies) == {Delivered("node2", REMOTE, 80)}
    assert _trace(POD, BALANCED, *bodies) == {Delivered("node2", REMOTE, 80)}
    assert all(isinstance(found, Dropped) for found in _trace(None, BALANCED, *bodies))


def test_d10_an_external_address_works_from_outside() -> None:
    """What comes in by the main VRF is steered too."""
    bodies = _balanced(), endpoint_slice("web", [HERE, THERE])

    assert _trace(None, BALANCED, *bodies) == {
        Delivered("node1", POD, 80),
        Delivered("node2", REMOTE, 80),
    }


def test_d17_affinity_is_refused_by_name() -> None:
    """ClientIP is not honoured, which has a reason; weights count endpoints, not wishes."""
    sidecar = _sidecar(_web(sessionAffinity="ClientIP"), endpoint_slice("web", [HERE]))

    assert _reasons(sidecar) == {"SessionAffinityUnsupported"}


def test_d18_what_receives_is_made_before_and_removed_after_what_sends() -> None:
    """A pod that replaces another: new localsid, then the policy, then the old localsid."""
    sidecar = _sidecar(_web(), endpoint_slice("web", [HERE]))
    sidecar.put(endpoint_slice("web", [endpoint(OTHER, "node1")]))
    done = operations(sidecar.plan_change())
    order = [
        ("put", "config/vpp/srv6/v2/localsid/6666:0:0:1::6"),
        ("put", POLICY),
        ("del", "config/vpp/srv6/v2/localsid/6666:0:0:1::5"),
    ]

    assert [item for item in done if item in order] == order
    assert not [key for _, key in done if key.startswith(STEERING)]


@pytest.mark.parametrize("address", [VIP, BALANCED])
def test_d19_a_service_without_endpoints_drops(address: str) -> None:
    """Nothing leaks to the default route, whatever the address is."""
    assert all(isinstance(found, Dropped) for found in _trace(POD, address, _balanced()))


def test_d21_sctp_is_sctp() -> None:
    """Rules name the protocol of the port."""
    ports = [("sctp", "SCTP", 80)]
    bodies = service("web", VIP, ports), endpoint_slice("web", [HERE], ports)

    assert _trace(POD, VIP, *bodies, protocol="SCTP") == {Delivered("node1", POD, 80)}
    assert _trace(POD, VIP, *bodies, protocol="UDP") != {Delivered("node1", POD, 80)}


def test_d23_an_endpoint_outside_the_cluster_is_said() -> None:
    """It is left out with its reason; the others work."""
    sidecar = _sidecar(_web(), endpoint_slice("web", [HERE, endpoint("2003::1")]))

    assert _reasons(sidecar) == {"ExternalEndpointUnsupported"}
    assert len(sidecar.values()[POLICY]["segment_lists"]) == 1


def test_d25_hosts_on_several_nodes_need_masquerading_which_is_said() -> None:
    """The packet arrives at the host with the service's address; kube-proxy goes on from there."""
    slices = endpoint_slice("web", [endpoint("fd00::101"), endpoint("fd00::102")])

    assert _trace(POD, VIP, _web(), slices) == {ToHost("node1"), ToHost("node2")}
    assert _reasons(_sidecar(_web(), slices)) == {"HostEndpointNeedsMasquerade"}


def test_d26_rules_of_a_mesh_are_never_flushed() -> None:
    """A pod whose chains belong to a mesh gets none of ours, and the note names it."""
    pod = {
        "kind": "Pod",
        "metadata": {"name": "web-0", "annotations": {"linkerd.io/proxy-version": "2"}},
        "spec": {"nodeName": "node1"},
        "status": {"podIPs": [{"ip": POD}]},
    }
    sidecar = _sidecar(_web(), endpoint_slice("web", [HERE]), pod)

    assert not [key for key in sidecar.owned() if "/rulechain/" in key]
    assert "PodChainsOwnedByMesh" in _reasons(sidecar)


def test_d27_a_pod_that_calls_its_own_service_is_balanced() -> None:
    """Its packets leave the pod untranslated and reach every endpoint."""
    bodies = _web(), endpoint_slice("web", [HERE, THERE])

    assert _trace(POD, VIP, *bodies) == {
        Delivered("node1", POD, 80),
        Delivered("node2", REMOTE, 80),
    }


def test_d28_udp_is_translated_for_equal_ports_too() -> None:
    """Connection tracking in the pod gives the reply the service's address."""
    ports = [("dns", "UDP", 53)]
    sidecar = _sidecar(service("web", VIP, ports), endpoint_slice("web", [HERE], ports))
    values = sidecar.values()
    [sandbox] = [found[1] for key in values if (found := re.search("srv6kv-(.*)-PREROUTING$", key))]

    assert rules_of(values, sandbox) == [
        f"-d {VIP}/128 -p udp -m udp --dport 53 -j DNAT --to-destination [{POD}]:53",
    ]


def test_d32_a_node_without_an_id_waits_and_is_said() -> None:
    """Its endpoints are left out until its pod CIDR is known; then they are there."""
    unknown = {"kind": "Node", "metadata": {"name": "node3"}, "spec": {}, "status": {}}
    remote = endpoint("2001:0:0:3::9", "node3")
    sidecar = _sidecar(_web(), endpoint_slice("web", [HERE, remote]), unknown)
    assert len(sidecar.values()[POLICY]["segment_lists"]) == 1
    assert {"NodeAddressUnknown", "NodeUnknown"} <= _reasons(sidecar)

    sidecar.put(node(3))
    sidecar.commit(sidecar.plan_change())
    assert len(sidecar.values()[POLICY]["segment_lists"]) == 2


def test_d33_unknown_option_names_are_refused() -> None:
    """A name that means nothing inside our sections is an error with its line."""
    text = json.dumps({**CONFS["seed"], "srv6kv": {"extrenalIPs": {}}})
    with pytest.raises(SettingsError, match=r"contiv.conf:1: srv6kv.extrenalIPs: unknown key"):
        load(text, "contiv.conf")


def test_d35_node_ports_are_kube_proxys_which_is_said() -> None:
    """The rest of the service is rendered."""
    body = _web(type="NodePort")
    body["spec"]["ports"][0]["nodePort"] = 30080
    sidecar = _sidecar(body, endpoint_slice("web", [HERE]))

    assert _reasons(sidecar) == {"NodePortLeftToKubeProxy"}
    assert POLICY in sidecar.values()
