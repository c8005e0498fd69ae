"""How a pod is attached to VPP, from the keys of its CNI (decision 0030)."""

from __future__ import annotations

import json
from itertools import permutations

import pytest
from clusters import Json, pod_keys

from srv6kv.cluster.attachment import Attachment, AttachmentKeys, Unattached
from srv6kv.ligato.values import Namespace

POD = "2001:0:0:1::5"
ARP = "config/vpp/v2/arp/"
INTERFACE = "config/vpp/v2/interfaces/"
LINUX = "config/linux/interfaces/v2/interface/"


def _wiring(*steps: dict[str, Json]) -> AttachmentKeys:
    wiring = AttachmentKeys()
    for revision, step in enumerate(steps, 1):
        for key, value in step.items():
            wiring.apply(key, json.dumps(value).encode(), revision)
    return wiring


def _wired(sandbox: str) -> Attachment:
    namespace = Namespace(type="FD", reference=f"/run/netns/{sandbox}")
    return Attachment(f"vpp-tap-{sandbox}", namespace)


def _without(values: dict[str, Json], *prefixes: str) -> dict[str, Json]:
    return {key: value for key, value in values.items() if not key.startswith(prefixes)}


def test_a_pod_is_found_by_its_address() -> None:
    """Neighbour, route and Linux interface together tell interface and namespace."""
    assert _wiring(pod_keys(POD, "c")).of(POD) == _wired("c")


@pytest.mark.parametrize("missing", [INTERFACE, "config/vpp/v2/route/"])
def test_neighbour_and_linux_interface_are_enough(missing: str) -> None:
    """A pod is wired without a route, and before its interface's key is there."""
    assert _wiring(_without(pod_keys(POD, "c"), missing)).of(POD) == _wired("c")


def _text(found: Attachment | Unattached) -> str:
    assert isinstance(found, Unattached)
    return found.missing


def test_what_is_missing_is_said() -> None:
    """A pod without keys, without neighbour or without namespace is not wired, each for itself."""
    whole = pod_keys(POD, "c")

    assert "in the agent's keys" in _text(_wiring().of(POD))
    assert "no static ARP" in _text(_wiring(_without(whole, ARP)).of(POD))
    assert "no static ARP" in _text(_wiring(pod_keys(POD, "c", static=False)).of(POD))
    assert "namespace" in _text(_wiring(_without(whole, LINUX)).of(POD))


def test_of_two_sandboxes_the_later_counts() -> None:
    """The higher mod revision wins while both interfaces exist."""
    assert _wiring(pod_keys(POD, "old"), pod_keys(POD, "new")).of(POD) == _wired("new")
    assert _wiring(pod_keys(POD, "new"), pod_keys(POD, "old")).of(POD) == _wired("old")


def test_an_interface_that_exists_comes_first() -> None:
    """A sandbox whose interface key is gone loses against one whose interface is there."""
    wiring = _wiring(pod_keys(POD, "old"), pod_keys(POD, "new"))
    touched = wiring.apply(f"{INTERFACE}vpp-tap-new", None, 3)

    assert wiring.of(POD) == _wired("old")
    assert touched == {POD}


def test_keys_may_come_and_go_in_any_order() -> None:
    """Only what is there counts."""
    values = list(pod_keys(POD, "c").items())
    for order in permutations(values):
        wiring = AttachmentKeys()
        for key, value in order:
            wiring.apply(key, json.dumps(value).encode(), 1)
        assert wiring.of(POD) == _wired("c")
        for key, _ in order[:3]:
            wiring.apply(key, None, 2)
        assert isinstance(wiring.of(POD), Unattached)


def test_a_neighbour_that_moves_to_another_address_leaves_the_first() -> None:
    """A key that says something else now is no longer evidence of what it said."""
    wiring = _wiring(pod_keys(POD, "c"))
    key = f"{ARP}vpp-tap-c/{POD}"
    other = {"interface": "vpp-tap-c", "ip_address": "2001:0:0:1::6", "static": True}
    touched = wiring.apply(key, json.dumps(other).encode(), 2)

    assert touched == {POD, "2001:0:0:1::6"}
    assert isinstance(wiring.of(POD), Unattached)


@pytest.mark.parametrize(
    "value", [b"", b"{", b"[]", b'{"interface":1}', b'{"ip_address":"10.1.5","interface":"x"}']
)
def test_what_cannot_be_read_is_no_evidence(value: bytes) -> None:
    """Broken JSON, other types and what is no address are passed over."""
    assert AttachmentKeys().apply(f"{ARP}x/y", value, 1) == set()


def test_an_ipv4_pod_is_wired_by_the_same_kinds_of_keys() -> None:
    """Each of a pod's addresses has its own evidence; a route to more than it is none."""
    found, pod = AttachmentKeys(), "10.1.1.5"
    arp = {"interface": "tap", "ip_address": pod, "static": True}
    linux = {"namespace": {"type": "FD", "reference": "/n"}, "ip_addresses": [f"{pod}/32"]}
    route = {"dst_network": f"{pod}/24", "outgoing_interface": "other"}
    found.apply(f"{ARP}tap/{pod}", json.dumps(arp).encode(), 1)
    found.apply(f"{LINUX}l", json.dumps(linux).encode(), 2)
    found.apply(f"config/vpp/v2/route/if/other/vrf/1/dst/{pod}/24", json.dumps(route).encode(), 3)

    assert found.of(pod) == Attachment("tap", Namespace(type="FD", reference="/n"))
    assert isinstance(found.of(POD), Unattached)


def test_lower_camel_names_are_read() -> None:
    """The agent accepts both spellings of a field, so others may write either."""
    found = AttachmentKeys()
    arp = {"interface": "tap", "ipAddress": POD, "static": True}
    linux = {
        "namespace": {"type": 3, "reference": "/run/netns/c"},
        "ipAddresses": ["10.1.1.5/32", f"{POD}/128", "::1/128"],
        "tap": {"vppTapIfName": "tap"},
    }
    found.apply(f"{ARP}tap/{POD}", json.dumps(arp).encode(), 1)
    found.apply(f"{LINUX}l", json.dumps(linux).encode(), 2)

    assert found.of(POD) == Attachment("tap", Namespace(type="FD", reference="/run/netns/c"))


def test_a_veth_names_the_namespace_too() -> None:
    """A Linux interface that names no VPP end counts when there is no better one."""
    values = _without(pod_keys(POD, "c"), LINUX)
    namespace = {"type": "FD", "reference": "/run/netns/v"}
    values[f"{LINUX}veth1"] = {"namespace": namespace, "ip_addresses": [f"{POD}/128"]}

    found = _wiring(values).of(POD)
    assert found == Attachment("vpp-tap-c", Namespace(type="FD", reference="/run/netns/v"))


@pytest.mark.parametrize(
    ("interface", "expected"),
    [("vpp-tap-d6087568be9f", "d6087568be9f"), ("afpacket/veth 2", "afpacket-veth-2"), ("x", "x")],
)
def test_the_sandbox_names_the_chains(interface: str, expected: str) -> None:
    """It is the interface's name without vpp-tap-, other characters as dashes."""
    assert Attachment(interface, Namespace()).sandbox == expected
