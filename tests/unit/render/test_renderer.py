"""Which services may have their address, and what is said about those that may not."""

from __future__ import annotations

from typing import Any

import pytest
from clusters import CONFS, endpoint, endpoint_slice, node, pod_keys, service, settings, settings_of
from sidecar import Sidecar

from srv6kv.settings import Settings

POD = "2001:0:0:1::5"


def _web(sidecar: Sidecar, address: str, name: str = "web", created: str = "") -> Sidecar:
    body = service(name, address, created=created)
    return sidecar.put(body, endpoint_slice(name, [endpoint(POD, "node1")]))


def _sidecar(of: Settings | None = None) -> Sidecar:
    return Sidecar(of or settings("seed"), "node1").put(node(1), node(2)).wire(pod_keys(POD))


def _reasons(sidecar: Sidecar) -> list[tuple[str, str]]:
    return [(str(note.subject), note.reason) for note in sidecar.desired().all_notes()]


@pytest.mark.parametrize(
    "address",
    [
        "::",
        "::1",
        "fe80::1",
        "ff02::1",
        "fd00::102",
        "fe10:f00d::1",
        "fe10:f00d::9",
        "2001:0:0:7::1",
        "5555::1",
        "6666::1",
        "6655::1",
        "7766::1",
    ],
)
def test_an_address_that_is_not_a_services_is_not_stolen(address: str) -> None:
    """Special addresses, nodes, the gateway, pods and SIDs are denied, with a note."""
    networks = {**CONFS["seed"]["ipamConfig"], "defaultGateway": "fe10:f00d::9"}
    of = settings_of({**CONFS["seed"], "ipamConfig": networks})
    sidecar = _web(_sidecar(of), address)

    assert sidecar.desired().steered == {}
    assert _reasons(sidecar) == [("Service default/web", "AddressDenied")]


def test_a_denied_address_is_given_when_its_owner_goes() -> None:
    """Denial follows the nodes: what was a node's address may be a service's later."""
    taken = node(3, addresses=["2096::10"])
    sidecar = _web(_sidecar().put(taken), "2096::10")
    assert sidecar.settle().desired().steered == {}

    sidecar.remove(taken)
    sidecar.commit(sidecar.plan_change())
    assert "config/vpp/srv6/v2/policy/5555::10" in sidecar.owned()


def test_one_address_has_one_service() -> None:
    """The oldest has it, then the first by name; the next takes over in the same policy."""
    sidecar = _web(_sidecar(), "2096::10", "young", "2026-01-03T00:00:00Z")
    for name, number in (("b", 2), ("a", 1)):
        sidecar.put(service(name, "2096::10", created="2026-01-02T00:00:00Z"))
        sidecar.put(endpoint_slice(name, [endpoint(f"2001:0:0:2::{number}", "node2")]))
    sidecar.settle()
    assert [entry.service.name for entry in sidecar.desired().steered.values()] == ["a"]
    assert _reasons(sidecar) == [
        ("Service default/b", "ServiceIPConflict"),
        ("Service default/young", "ServiceIPConflict"),
    ]

    sidecar.remove(service("a", "2096::10"))
    sidecar.commit(sidecar.plan_change())
    policies = [key for key in sidecar.owned() if "/policy/5555:" in key]
    assert [entry.service.name for entry in sidecar.desired().steered.values()] == ["b"]
    assert policies == ["config/vpp/srv6/v2/policy/5555::10"]


def test_what_cannot_be_expressed_is_noted() -> None:
    """Whatever a service asks for in vain has a reason of its own."""
    sidecar = _sidecar()
    listed = [endpoint(POD, "node1"), endpoint("2003::1"), endpoint("2001:0:0:3::1", "ghost")]
    spec: dict[str, Any] = {"sessionAffinity": "ClientIP"}
    spec["externalIPs"] = ["2001:db8::9", "192.0.2.1", "nonsense"]
    ports = [("http", "TCP", 80), ("none", "TCP", 81)]
    sidecar.put(service("web", "2099::10", ports, **spec), endpoint_slice("web", listed))

    assert {reason for _, reason in _reasons(sidecar)} == {
        "ClusterIPOutsideServiceCIDR",
        "ExternalAddressInvalid",
        "ExternalEndpointUnsupported",
        "ExternalIPDenied",
        "FamilyNotServed",
        "NodeUnknown",
        "PortWithoutEndpoints",
        "SessionAffinityUnsupported",
    }


@pytest.mark.parametrize(
    ("listed", "spec", "is_noted"),
    [
        (endpoint("2001:0:0:2::1", "node2"), {}, False),
        (endpoint("2001:0:0:2::1", "node2", ready=False), {}, True),
        (endpoint("2001:0:0:2::1", "node2"), {"internalTrafficPolicy": "Local"}, True),
    ],
    ids=["ready", "not ready", "not local"],
)
def test_a_port_whose_endpoints_are_not_selected_is_noted(
    listed: dict[str, Any], spec: dict[str, Any], is_noted: bool
) -> None:
    """A port has none if no rule keeps any, though a slice lists some (rule L2)."""
    ports = [("a", "TCP", 80), ("b", "TCP", 81)]
    sidecar = _sidecar().put(service("web", "2096::10", ports, **spec))
    sidecar.put(endpoint_slice("web", [endpoint(POD, "node1")], ports[:1]))
    sidecar.put(endpoint_slice("web", [listed], ports[1:], name="web-2"))
    notes = [str(note) for note in sidecar.desired().all_notes()]

    text = "Service default/web: spec.ports: TCP 81 has none (PortWithoutEndpoints)"
    assert (text in notes) == is_noted


def test_a_service_that_is_not_rendered_asks_for_nothing_in_vain() -> None:
    """A headless service has no connections to balance, and kube-proxy heeds what is its own."""
    spec: dict[str, Any] = {"sessionAffinity": "ClientIP"}
    sidecar = _sidecar().put(service("headless", None, **spec))
    sidecar.put(service("name", "2096::11", type="ExternalName", **spec))
    sidecar.put(service("four", "10.96.0.1", ipFamilies=["IPv4"], **spec))

    assert _reasons(sidecar) == [("Service default/four", "IPv4NotRendered")]


def _rules(sidecar: Sidecar) -> list[str]:
    """The rules of all pods, those that are in two copies once."""
    values = sidecar.settle().values().values()
    chains = [one for one in values if one.get("chain_name") != "srv6kv-b"]
    return [rule for one in chains for rule in one.get("rules", ())]


def test_ports_of_a_slice_that_does_not_count_are_not_noted() -> None:
    """A slice of the other family is left out as a whole (rule E2)."""
    body = {**endpoint_slice("web", [], [(None, "TCP", 80)], name="four"), "addressType": "IPv4"}

    assert _reasons(_web(_sidecar(), "2096::10").put(body)) == []


@pytest.mark.parametrize(
    ("address", "conditions", "is_noted"),
    [(POD, {}, True), (POD, {"ready": False}, False), ("fd00::101", {}, False)],
    ids=["pod", "not ready", "host"],
)
def test_a_pod_with_two_target_ports_for_one_port_is_noted(
    address: str, conditions: dict[str, Any], is_noted: bool
) -> None:
    """A pod translates a port once, so the first slice's target counts; kube-proxy uses both."""
    sidecar = _sidecar().put(service("web", "2096::10"))
    sidecar.put(endpoint_slice("web", [endpoint(address, "node1")], [("http", "TCP", 8080)]))
    second = [endpoint(address, "node1", **conditions)]
    sidecar.put(endpoint_slice("web", second, [("http", "TCP", 9090)], name="web-2"))
    rules = _rules(sidecar)

    assert (("Service default/web", "ServicePortConflict") in _reasons(sidecar)) == is_noted
    targets = [rule.rpartition("]:")[2] for rule in rules if "DNAT" in rule]
    assert targets == (["8080"] if address == POD else [])


@pytest.mark.parametrize(
    ("first", "second", "spec", "target"),
    [
        ({"ready": False}, {}, {}, "9090"),
        ({"ready": False}, {"ready": True, "terminating": True}, {}, "9090"),
        ({"ready": False, "terminating": True}, {"ready": False}, {}, "8080"),
        ({"zones": ["z2"]}, {"zones": ["z1"]}, {}, "9090"),
        ({"nodes": ["node2"]}, {"nodes": ["node1"]}, {}, "9090"),
        ({"zones": ["z2"]}, {"zones": ["z1"]}, {"internalTrafficPolicy": "Local"}, "8080"),
        ({}, {}, {}, "8080"),
        ({"ready": False}, {"ready": False}, {}, "8080"),
    ],
)
def test_a_pod_with_two_target_ports_is_translated_to_the_selected_one(
    first: dict[str, Any], second: dict[str, Any], spec: dict[str, Any], target: str
) -> None:
    """What the pod's node selects decides; of two that are selected, or none, the first slice."""
    sidecar = _sidecar().put(node(1, zone="z1"), service("web", "2096::10", **spec))
    for name, number, said in (("web-1", 8080, first), ("web-2", 9090, second)):
        listed = [endpoint(POD, "node1", **said)]
        sidecar.put(endpoint_slice("web", listed, [("http", "TCP", number)], name=name))
    rules = _rules(sidecar)

    assert [rule.rpartition("]:")[2] for rule in rules if "DNAT" in rule] == [target]


@pytest.mark.parametrize(
    ("conf", "is_noted"), [("seed", True), ("none", False)], ids=["present", "masqueradeAll"]
)
def test_hosts_on_two_nodes_need_masquerading(conf: str, is_noted: bool) -> None:
    """kube-proxy balances again behind host endpoints; one node, or masqueradeAll, is no matter."""
    sidecar = Sidecar(settings(conf), "node1").put(node(1), node(2)).put(service("web", "2096::10"))
    both = [endpoint("fd00::101"), endpoint("fd00::102")]
    sidecar.put(endpoint_slice("web", both))
    note = ("Service default/web", "HostEndpointNeedsMasquerade")

    assert (note in _reasons(sidecar)) == is_noted
    assert note not in _reasons(sidecar.put(endpoint_slice("web", both[:1])))
