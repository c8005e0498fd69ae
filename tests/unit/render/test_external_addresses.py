"""Load-balancer and external addresses: who may have one, what goes where (rules L3 and L7)."""

from __future__ import annotations

from dataclasses import replace
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
    settings,
    settings_of,
)
from dataplane import Delivered, Outcome, delivered, trace
from sidecar import Sidecar

from srv6kv.settings import Settings, load

POD, REMOTE = "2001:0:0:1::5", "2001:0:0:2::7"
BALANCED = "fd10::5"
STEERING = "config/vpp/srv6/v2/steering/forK8sService-default-web"
OPEN = {**CONFS["seed"], "srv6kv": {"externalIPs": {"allowedCIDRs": ["fd20::/16"]}}}


def _sidecar(of: Settings | None = None) -> Sidecar:
    sidecar = Sidecar(of or settings("seed"), "node1").put(node(1), node(2))
    return sidecar.wire({**base_keys(1, "fe10:f00d::1"), **pod_keys(POD)})


def _ingress(*addresses: str) -> dict[str, Any]:
    return {"loadBalancer": {"ingress": [{"ip": address} for address in addresses]}}


def _balanced(*addresses: str, **spec: Any) -> dict[str, Any]:
    spec = {"type": "LoadBalancer", "status": _ingress(*addresses or (BALANCED,)), **spec}
    return service("web", "2096::10", **spec)


def _slice(*pods: tuple[str, str]) -> dict[str, Any]:
    return endpoint_slice("web", [endpoint(address, at) for address, at in pods])


HERE, THERE = (POD, "node1"), (REMOTE, "node2")


def _lists(sidecar: Sidecar, name: str) -> list[list[str]]:
    """The segment lists behind a steering, by the end of its name."""
    values = sidecar.values()
    bsid = values[STEERING + name]["policy_bsid"]
    policy = values[f"config/vpp/srv6/v2/policy/{bsid}"]
    return [item["segments"] for item in policy["segment_lists"]]


def _reasons(sidecar: Sidecar) -> set[str]:
    return {note.reason for note in sidecar.desired().all_notes()}


def _from(sidecar: Sidecar, pod: str | None, address: str) -> set[Outcome]:
    """Who gets a packet that is sent by a pod of node 1, or comes in by its main VRF (None)."""
    return delivered(trace({"node1": sidecar.values()}, "node1", pod, address, "TCP", 80))


def test_every_address_has_a_steering_and_a_policy_in_each_vrf() -> None:
    """ClusterIP in the pod VRF, load-balancer addresses in both, each with its own BSID."""
    sidecar = _sidecar().put(_balanced(BALANCED, "fd10::6"), _slice(HERE, THERE)).settle()
    steerings = {k: v for k, v in sidecar.values().items() if k.startswith(STEERING)}
    taken = {
        key.removeprefix(STEERING): (
            value["l3_traffic"].get("installation_vrf_id", 0),
            value["l3_traffic"]["prefix_address"],
        )
        for key, value in steerings.items()
    }

    assert taken == {
        "": (1, "2096::10/128"),
        "_fd10::5": (1, "fd10::5/128"),
        "_fd10::5_main": (0, "fd10::5/128"),
        "_fd10::6": (1, "fd10::6/128"),
        "_fd10::6_main": (0, "fd10::6/128"),
    }
    assert len({value["policy_bsid"] for value in steerings.values()}) == len(steerings)


def test_pods_and_clients_outside_reach_the_pods_by_a_load_balancer_address() -> None:
    """The packet is translated for every address of the service, in whichever VRF it comes in."""
    sidecar = _sidecar().put(_balanced(), _slice(HERE)).settle()

    for address in ("2096::10", BALANCED):
        assert _from(sidecar, POD, address) == {Delivered("node1", POD, 80)}
    assert _from(sidecar, None, BALANCED) == {Delivered("node1", POD, 80)}
    assert _from(sidecar, None, "2096::10") == set()


@pytest.mark.parametrize("internal", ["Cluster", "Local"])
@pytest.mark.parametrize("external", ["Cluster", "Local"])
def test_policies_by_vrf(internal: str, external: str) -> None:
    """externalTrafficPolicy counts in the main VRF alone, internalTrafficPolicy for the ClusterIP
    alone; pods that use the load-balancer address reach every endpoint."""
    spec = {"internalTrafficPolicy": internal, "externalTrafficPolicy": external}
    sidecar = _sidecar().put(_balanced(**spec), _slice(HERE, THERE)).settle()
    both = [["6666:0:0:1::5"], ["7766:f00d::2", "6666:0:0:2::7"]]

    assert _lists(sidecar, "") == (both[:1] if internal == "Local" else both)
    assert _lists(sidecar, "_fd10::5") == both
    assert _lists(sidecar, "_fd10::5_main") == (both[:1] if external == "Local" else both)


def test_an_external_address_without_endpoints_drops() -> None:
    """No route covers it, so its steering stays and its policy leads into the discard SID."""
    sidecar = _sidecar().put(_balanced()).settle()
    assert STEERING not in sidecar.values()
    assert _lists(sidecar, "_fd10::5") == _lists(sidecar, "_fd10::5_main") == [["7766::dead"]]
    assert _from(sidecar, None, BALANCED) == _from(sidecar, POD, BALANCED) == set()

    before = sidecar.values()
    sidecar.put(_slice(HERE))
    plan = sidecar.plan_change()
    assert not plan.can_wait
    sidecar.commit(plan)
    steerings = [key for key in before if key.startswith(STEERING)]
    assert {key: before[key] for key in steerings}.items() <= sidecar.values().items()
    assert _from(sidecar, None, BALANCED) == {Delivered("node1", POD, 80)}

    sidecar.remove(_slice(HERE))
    plan = sidecar.plan_change()
    assert not plan.can_wait
    sidecar.commit(plan)
    assert _lists(sidecar, "_fd10::5_main") == [["7766::dead"]]


def test_local_without_a_local_endpoint_drops_and_never_goes_remote() -> None:
    """externalTrafficPolicy Local on a node without endpoints: only pods get through."""
    sidecar = _sidecar().put(_balanced(externalTrafficPolicy="Local"), _slice(THERE)).settle()

    assert _lists(sidecar, "_fd10::5_main") == [["7766::dead"]]
    assert _lists(sidecar, "_fd10::5") == [["7766:f00d::2", "6666:0:0:2::7"]]


def test_no_address_of_a_cluster_is_routed_to_the_drop() -> None:
    """A DROP route on a steered /128 would poison the steering (VPP rule V14)."""
    sidecar = _sidecar().put(_balanced()).settle()

    assert not [k for k in sidecar.values() if f"/dst/{BALANCED}/" in k or "/dst/2096::10/" in k]


def test_external_ips_are_refused_by_default() -> None:
    """The rest of the service is rendered, the note names field and address."""
    body = service("web", "2096::10", externalIPs=["fd20::1"])
    sidecar = _sidecar().put(body, _slice(HERE)).settle()
    notes = [str(note) for note in sidecar.desired().all_notes()]

    assert [key for key in sidecar.values() if key.startswith(STEERING)] == [STEERING]
    assert notes == [
        "Service default/web: spec.externalIPs: fd20::1 is not allowed by srv6kv.externalIPs;"
        " the service is not rendered for it (ExternalIPDenied)"
    ]


def test_external_ips_are_honoured_in_the_allowed_prefixes() -> None:
    """Those beyond are refused, each by itself."""
    body = service("web", "2096::10", externalIPs=["fd20::1", "fd21::1"])
    sidecar = _sidecar(settings_of(OPEN)).put(body, _slice(HERE)).settle()

    assert _from(sidecar, None, "fd20::1") == {Delivered("node1", POD, 80)}
    assert f"{STEERING}_fd21::1" not in sidecar.values()
    assert _reasons(sidecar) == {"ExternalIPDenied"}


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("", ()),
        ("externalIPs: {enabled: true}", ("fd20::1", "fd21::1", "192.0.2.1")),
        ("externalIPs: {enabled: true, allowedCIDRs: ['fd21::/16']}", ("fd21::1",)),
        ("externalIPs: {allowedCIDRs: ['fd21::/16', '192.0.2.0/24']}", ("fd21::1", "192.0.2.1")),
        ("externalIPs: {allowedCIDRs: ['::/0']}", ("fd20::1", "fd21::1")),
        ("externalIPs: {allowedCIDRs: ['0.0.0.0/0']}", ("192.0.2.1",)),
        ("externalIPs: {enabled: false, allowedCIDRs: ['fd21::/16']}", ()),
        ("externalIPs: {enabled: false}", ()),
    ],
)
def test_which_external_ips_are_allowed(text: str, allowed: tuple[str, ...]) -> None:
    """None unless enabled or listed, each family by itself; enabled without a list allows what is
    not denied."""
    own = f"srv6kv: {{{text}}}"
    rest = {key: value for key, value in CONFS["seed"].items() if key != "srv6kv"}
    found, _ = load(f"{own}\n" + "\n".join(f"{k}: {v!r}" for k, v in rest.items()), "c")

    asked = ("fd20::1", "fd21::1", "192.0.2.1")
    assert tuple(address for address in asked if found.allows_external_ip(address)) == allowed


@pytest.mark.parametrize(
    "address",
    [
        "::",
        "::1",
        "fe80::1",
        "ff02::1",
        "fd00::102",
        "fe10:f00d::1",
        "2002::1:2",
        "2001:0:0:7::1",
        "5555::1",
        "6666::1",
        "6655::1",
        "7766::1",
        "fd66::1",
    ],
)
@pytest.mark.parametrize("field", ["externalIPs", "ingress"])
def test_what_the_cluster_needs_is_never_given_away(address: str, field: str) -> None:
    """Special addresses, nodes, pods, SIDs and our own servers are denied in every class."""
    of = replace(settings_of(OPEN), reserved=("fd66::1",))
    spec = {"externalIPs": [address]} if field == "externalIPs" else {"status": _ingress(address)}
    sidecar = _sidecar(of).put(service("web", "2096::10", **spec), _slice(HERE))

    assert set(sidecar.desired().steered) == {(1, "2096::10")}
    assert _reasons(sidecar) == {"ExternalIPDenied"}


def test_a_server_of_our_own_may_be_a_service() -> None:
    """The API server is reached by its ClusterIP as a rule: that is its own, not stolen."""
    of = replace(settings("seed"), reserved=("2096::10",))

    assert set(_sidecar(of).put(service("web", "2096::10"), _slice(HERE)).desired().steered)


def test_a_cluster_ip_of_another_service_is_never_an_external_address() -> None:
    """Whichever is older; the ClusterIP's owner does not notice."""
    sidecar = _sidecar().put(service("db", "2096::20", created="2026-01-02T00:00:00Z"))
    sidecar.put(endpoint_slice("db", [endpoint(REMOTE, "node2")])).settle()
    before = sidecar.owned()
    sidecar.put(_balanced("2096::20"), _slice(HERE)).settle()

    assert before.items() <= sidecar.owned().items()
    assert _reasons(sidecar) == {"ExternalIPDenied"}
    assert f"{STEERING}_2096::20_main" not in sidecar.values()
    sidecar.remove(service("db", "2096::20"))
    sidecar.commit(sidecar.plan_change())
    assert _from(sidecar, None, "2096::20") == {Delivered("node1", POD, 80)}


def test_load_balancer_source_ranges_keep_the_address_out() -> None:
    """What cannot be enforced is not opened: the ClusterIP alone is rendered."""
    body = _balanced(loadBalancerSourceRanges=["fd99::/16"])
    sidecar = _sidecar().put(body, _slice(HERE))

    assert set(sidecar.desired().steered) == {(1, "2096::10")}
    assert _reasons(sidecar) == {"SourceRangesUnsupported"}


@pytest.mark.parametrize("ranges", [["::/0"], ["192.0.2.0/24"], ["fd99::/16", " ::/0 "], []])
def test_source_ranges_that_limit_nobody_do_no_harm(ranges: list[str]) -> None:
    """Everybody, or only clients of the other family: kube-proxy does not filter either."""
    sidecar = _sidecar().put(_balanced(loadBalancerSourceRanges=ranges), _slice(HERE))

    assert len(sidecar.desired().steered) == 3
    assert _reasons(sidecar) == set()


def test_an_address_that_comes_or_goes_touches_no_other() -> None:
    """BSIDs stay with their address: adding and removing one leaves the other policies alone."""
    sidecar = _sidecar().put(_balanced("fd10::6"), _slice(THERE)).settle()
    first = sidecar.owned()
    sidecar.put(_balanced("fd10::5", "fd10::6"))
    sidecar.commit(sidecar.plan_change())
    assert first.items() <= sidecar.owned().items()

    sidecar.put(_balanced("fd10::6"))
    sidecar.commit(sidecar.plan_change())
    assert first == sidecar.owned()


def test_new_vrf_ids_part_the_policies_of_one_address() -> None:
    """After a change of both VRF ids an address still has a policy of its own in each VRF."""
    sidecar = _sidecar().put(_balanced(externalTrafficPolicy="Local"), _slice(HERE, THERE)).settle()
    other = sidecar.restarted()
    other.settings = replace(other.settings, main_vrf=3, pod_vrf=4)
    moved = Sidecar(other.settings, "node1").put(node(1), node(2))
    moved.actual, moved.cluster.attachments, moved.revision = (
        other.actual,
        other.cluster.attachments,
        10**6,
    )
    moved.put(_balanced(externalTrafficPolicy="Local"), _slice(HERE, THERE)).settle()
    steerings = {k: v for k, v in moved.values().items() if k.startswith(STEERING)}

    assert {v["l3_traffic"]["installation_vrf_id"] for v in steerings.values()} == {3, 4}
    assert len({v["policy_bsid"] for v in steerings.values()}) == 3
    assert len(_lists(moved, "_fd10::5")) == 2
    assert len(_lists(moved, "_fd10::5_main")) == 1
