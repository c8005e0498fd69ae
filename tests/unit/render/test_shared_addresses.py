"""One address, several services: who has it, and what the others get (rule L5)."""

from __future__ import annotations

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
from dataplane import Delivered, Outcome, delivered, trace
from hypothesis import given
from hypothesis import strategies as st
from sidecar import Sidecar, operations

POD, OTHER, REMOTE = "2001:0:0:1::5", "2001:0:0:1::6", "2001:0:0:2::7"
SHARED = "fd20::5"
POLICY, STEERING = "config/vpp/srv6/v2/policy/", "config/vpp/srv6/v2/steering/forK8sService-"
OPEN = settings_of(
    {**CONFS["seed"], "srv6kv": {"externalIPs": {"enabled": True}, "kubeProxy": "masqueradeAll"}}
)
TCP, UDP = (("dns", "TCP", 53),), (("dns", "UDP", 53),)


def _sidecar() -> Sidecar:
    sidecar = Sidecar(OPEN, "node1").put(node(1), node(2))
    return sidecar.wire({**base_keys(1, "fe10:f00d::1"), **pod_keys(POD), **pod_keys(OTHER)})


def _balanced(name: str, ports: Any, day: int, **spec: Any) -> dict[str, Any]:
    status = {"loadBalancer": {"ingress": [{"ip": SHARED}]}}
    spec = {"type": "LoadBalancer", "status": status, **spec}
    return service(name, f"2096::{day}", ports, created=f"2026-01-{day:02}T00:00:00Z", **spec)


def _external(name: str, ports: Any, day: int) -> dict[str, Any]:
    created = f"2026-01-{day:02}T00:00:00Z"
    return service(name, f"2096::{day}", ports, created=created, externalIPs=[SHARED])


def _slice(name: str, ports: Any, *pods: str) -> dict[str, Any]:
    nodes = {POD: "node1", OTHER: "node1", REMOTE: "node2"}
    return endpoint_slice(name, [endpoint(pod, nodes[pod]) for pod in pods], ports)


def _notes(sidecar: Sidecar) -> list[tuple[str, str]]:
    return [(str(note.subject), note.reason) for note in sidecar.desired().all_notes()]


def _from_outside(sidecar: Sidecar, protocol: str, port: int = 53) -> set[Outcome]:
    values = {"node1": sidecar.values()}
    return delivered(trace(values, "node1", None, SHARED, protocol, port))


def _owner(sidecar: Sidecar) -> str:
    return sidecar.desired().steered[0, SHARED].service.name


def test_equal_endpoints_share_an_address_exactly() -> None:
    """A pair of TCP and UDP services on one address: one policy, both translated, no note."""
    sidecar = _sidecar().put(_balanced("tcp", TCP, 1), _balanced("udp", UDP, 2))
    sidecar.put(_slice("tcp", TCP, POD, OTHER), _slice("udp", UDP, OTHER, POD)).settle()

    assert _from_outside(sidecar, "TCP") == _from_outside(sidecar, "UDP")
    assert _from_outside(sidecar, "TCP") == {Delivered("node1", pod, 53) for pod in (POD, OTHER)}
    assert _notes(sidecar) == []
    assert sum(SHARED in key for key in sidecar.values() if key.startswith(STEERING)) == 2


def test_different_endpoints_have_one_owner() -> None:
    """The older service has the address; the other one is told who."""
    sidecar = _sidecar().put(_balanced("young", UDP, 2), _balanced("old", TCP, 1))
    sidecar.put(_slice("old", TCP, POD), _slice("young", UDP, OTHER)).settle()

    assert _from_outside(sidecar, "TCP") == {Delivered("node1", POD, 53)}
    assert Delivered("node1", OTHER, 53) not in _from_outside(sidecar, "UDP")
    notes = [note for note in sidecar.desired().all_notes() if "fd20" in note.text]
    assert [(str(note.subject), note.reason) for note in notes] == [
        ("Service default/young", "ServiceIPConflict")
    ]
    assert "Service default/old" in notes[0].text


def test_different_policies_have_one_owner() -> None:
    """Equal endpoints under another externalTrafficPolicy are not the same service."""
    sidecar = _sidecar().put(_balanced("tcp", TCP, 1))
    sidecar.put(_balanced("udp", UDP, 2, externalTrafficPolicy="Local"))
    sidecar.put(_slice("tcp", TCP, POD, REMOTE), _slice("udp", UDP, POD, REMOTE))

    assert _notes(sidecar) == [("Service default/udp", "ServiceIPConflict")]


@pytest.mark.parametrize(
    ("hints", "is_noted"),
    [
        ([(), ()], False),
        ([("z1",), ()], False),
        ([("z1",), ("z2",)], True),
    ],
    ids=["none", "some", "all"],
)
def test_different_hints_have_one_owner(hints: list[tuple[str, ...]], is_noted: bool) -> None:
    """Hints that count make other nodes select other endpoints, though all have the same here."""
    sidecar = _sidecar().put(_balanced("tcp", TCP, 1), _balanced("udp", UDP, 2))
    nodes = ((POD, "node1"), (REMOTE, "node2"))
    listed = [endpoint(pod, at, zones=z) for (pod, at), z in zip(nodes, hints, strict=True)]
    sidecar.put(_slice("tcp", TCP, POD, REMOTE), endpoint_slice("udp", listed, UDP))

    assert _notes(sidecar) == [("Service default/udp", "ServiceIPConflict")] * is_noted


@pytest.mark.parametrize("is_balanced", [True, False])
def test_a_load_balancer_comes_before_an_external_ip(is_balanced: bool) -> None:
    """Status is written by whoever owns the addresses, externalIPs by anybody; then age counts."""
    make = _balanced if is_balanced else _external
    sidecar = _sidecar().put(_external("old", TCP, 1), make("young", UDP, 2))
    sidecar.put(_slice("old", TCP, POD), _slice("young", UDP, OTHER))

    assert _owner(sidecar) == ("young" if is_balanced else "old")


def test_the_next_service_takes_over_in_the_same_steering() -> None:
    """When the owner goes, no steering is deleted or created: only the policy changes."""
    sidecar = _sidecar().put(_balanced("old", TCP, 1), _balanced("young", UDP, 2))
    sidecar.put(_slice("old", TCP, POD), _slice("young", UDP, OTHER)).settle()
    steerings = {k: v for k, v in sidecar.owned().items() if k.startswith(STEERING)}
    sidecar.remove(_balanced("old", TCP, 1), _slice("old", TCP, POD))
    plan = sidecar.plan_change()
    sidecar.commit(plan)

    touched = [key for _, key in operations(plan) if key.startswith(STEERING)]
    assert touched == [f"{STEERING}default-old"]
    assert {key for key in steerings if SHARED in key} <= sidecar.owned().keys()
    assert _owner(sidecar) == "young"
    assert _from_outside(sidecar, "UDP") == {Delivered("node1", OTHER, 53)}
    assert sidecar.plan().transactions == ()


def test_one_port_with_two_targets_is_the_older_services() -> None:
    """A clash inside a shared address: the older rule wins and the younger service is told."""
    sidecar = _sidecar().put(_balanced("old", TCP, 1), _balanced("young", TCP, 2))
    sidecar.put(_slice("old", (("dns", "TCP", 5353),), POD), _slice("young", TCP, POD)).settle()

    assert _from_outside(sidecar, "TCP") == {Delivered("node1", POD, 5353)}
    assert _notes(sidecar) == [("Service default/young", "ServicePortConflict")]


def test_a_port_of_the_older_service_is_no_other_services() -> None:
    """Although the older one has no endpoint for it in a pod of both: nothing answers there."""
    both = (*TCP, *UDP)
    sidecar = _sidecar().put(_balanced("old", both, 1), _balanced("young", UDP, 2))
    sidecar.put(_slice("old", TCP, POD), _slice("young", UDP, POD)).settle()

    assert _from_outside(sidecar, "TCP") == {Delivered("node1", POD, 53)}
    assert [one for one in _from_outside(sidecar, "UDP") if isinstance(one, Delivered)] == []


def test_a_pod_that_one_service_lists_first_changes_nothing_for_the_others() -> None:
    """Slices of two services never change at the same instant: rules that are there stay."""
    sidecar = _sidecar().put(_balanced("tcp", TCP, 1), _balanced("udp", UDP, 2))
    sidecar.put(_slice("tcp", TCP, POD), _slice("udp", UDP, POD)).settle()
    chains = {k: v for k, v in sidecar.owned().items() if "/rulechain/" in k}
    sidecar.put(_slice("udp", UDP, POD, OTHER))
    sidecar.commit(sidecar.plan_change())
    assert chains.items() <= sidecar.owned().items()
    assert ("Service default/udp", "ServiceIPConflict") in _notes(sidecar)

    sidecar.put(_slice("tcp", TCP, POD, OTHER))
    sidecar.commit(sidecar.plan_change())
    assert chains.items() <= sidecar.owned().items()
    assert _notes(sidecar) == []
    assert _from_outside(sidecar, "UDP") == {Delivered("node1", pod, 53) for pod in (POD, OTHER)}


_SERVICES = st.lists(
    st.tuples(
        st.sampled_from([_balanced, _external]),
        st.sampled_from([TCP, UDP]),
        st.integers(1, 4),
        st.sets(st.sampled_from([POD, OTHER, REMOTE]), max_size=2),
    ),
    min_size=1,
    max_size=4,
)


@given(_SERVICES, st.randoms(use_true_random=False))
def test_the_order_of_events_does_not_matter(services: list[Any], random: Any) -> None:
    """Whatever came first, one owner has the address, the same as from nothing."""
    bodies = []
    for number, (make, ports, day, pods) in enumerate(services):
        body = make(f"s{number}", ports, day)
        body["spec"]["clusterIP"] = body["spec"]["clusterIPs"][0] = f"2096::f{number}"
        bodies += [body, _slice(f"s{number}", ports, *sorted(pods))]
    one, other = _sidecar(), _sidecar()
    one.put(*bodies)
    shuffled = random.sample(bodies, len(bodies))
    for body in shuffled:
        other.put(body)
        other.plan_change()

    assert one.desired() == other.renderer.desired
