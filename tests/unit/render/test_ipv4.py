"""IPv4 services and pods over SRv6 (``srv6kv.ipv4``): each family by itself (D20, D22).

Dual-stack clusters keep their IPv6 podSubnetCIDR and find IPv4 pods by the Nodes' pod CIDRs; in
IPv4 clusters podSubnetCIDR is IPv4. Nodes talk IPv6 in both: SRv6 is between them.
"""

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
    settings,
    settings_of,
)
from podchains import rules_of
from sidecar import Sidecar

from srv6kv.ligato import schema
from srv6kv.ligato.validity import fault_of
from srv6kv.ligato.values import decode
from srv6kv.settings import Settings
from srv6kv.vpp import vppcli

POD, POD4, REMOTE4 = "2001:0:0:1::5", "10.1.1.5", "10.1.2.7"
VIP, VIP4 = "2096::10", "10.96.0.10"
SID4 = "6666::ffff:a01:105"
STEERING = "config/vpp/srv6/v2/steering/forK8sService-default-web"
LOCALSID, ROUTE = "config/vpp/srv6/v2/localsid/", "config/vpp/v2/route/vrf/"
CHAIN = "config/linux/iptables/v2/rulechain/srv6kv-five"
IPV4 = {"srv6kv": {"ipv4": True}}
DUAL = {
    **CONFS["seed"],
    **IPV4,
    "ipamConfig": {**CONFS["seed"]["ipamConfig"], "serviceCIDR": "2096::/110, 10.96.0.0/12"},
}
ONLY_IPV4 = {
    **CONFS["seed"],
    **IPV4,
    "ipamConfig": {
        **CONFS["seed"]["ipamConfig"],
        "serviceCIDR": "10.96.0.0/12",
        "podSubnetCIDR": "10.1.0.0/16",
        "podSubnetOneNodePrefixLen": 24,
        "vppHostSubnetCIDR": "172.30.0.0/16",
        "vppHostSubnetOneNodePrefixLen": 24,
    },
}


def _node(number: int) -> dict[str, Any]:
    body = node(number)
    body["spec"]["podCIDRs"] = [*body["spec"].get("podCIDRs", []), f"10.1.{number}.0/24"]
    body["status"]["addresses"].append(
        {"type": "InternalIP", "address": f"192.168.0.{number}"},
    )
    return body


def _service(*addresses: str, **spec: Any) -> dict[str, Any]:
    families = ["IPv4" if "." in address else "IPv6" for address in addresses]
    listed = {"clusterIP": addresses[0], "clusterIPs": list(addresses), "ipFamilies": families}
    return service("web", addresses[0], **{**listed, **spec})


def _slice4(*endpoints: dict[str, Any]) -> dict[str, Any]:
    return {**endpoint_slice("web", endpoints, name="web-4"), "addressType": "IPv4"}


def _keys4(pod: str = POD4, sandbox: str = "five") -> dict[str, Any]:
    """The CNI's keys of a pod, as ``pod_keys`` gives them, for an IPv4 address."""
    tap = f"vpp-tap-{sandbox}"
    return {
        f"config/vpp/v2/arp/{tap}/{pod}": {
            "interface": tap,
            "ip_address": pod,
            "phys_address": "02:fe:00:00:00:05",
            "static": True,
        },
        f"config/linux/interfaces/v2/interface/linux-tap-{sandbox}-4": {
            "namespace": {"type": "FD", "reference": f"/run/netns/{sandbox}"},
            "ip_addresses": [f"{pod}/32"],
            "tap": {"vpp_tap_if_name": tap},
        },
    }


def _sidecar(of: Settings | None = None) -> Sidecar:
    sidecar = Sidecar(of or settings_of(DUAL), "node1").put(_node(1), _node(2))
    sidecar.wire({**base_keys(1, "fe10:f00d::1"), **pod_keys(POD, "five"), **_keys4()})
    return sidecar


def _dual() -> Sidecar:
    sidecar = _sidecar().put(_service(VIP, VIP4))
    sidecar.put(endpoint_slice("web", [endpoint(POD, "node1")]))
    ports4 = endpoint(POD4, "node1"), endpoint(REMOTE4, "node2")
    return sidecar.put(_slice4(*ports4)).settle()


def _lists(sidecar: Sidecar, name: str) -> list[list[str]]:
    values = sidecar.values()
    policy = values[f"config/vpp/srv6/v2/policy/{values[STEERING + name]['policy_bsid']}"]
    return [item["segments"] for item in policy["segment_lists"]]


def test_each_family_has_its_own_steering_and_policy() -> None:
    """The IPv6 ClusterIP keeps the plain name, the IPv4 one has its address in the name."""
    sidecar = _dual()
    steering = sidecar.values()[f"{STEERING}_{VIP4}"]

    assert steering["l3_traffic"] == {
        "installation_vrf_id": 1,
        "prefix_address": f"{VIP4}/32",
    }
    assert steering["policy_bsid"] == "5555::ffff:a60:a"
    assert _lists(sidecar, "") == [["6666:0:0:1::5"]]
    assert _lists(sidecar, f"_{VIP4}") == [[SID4], ["7766:f00d::2", "6666::ffff:a01:207"]]


def test_d22_ipv4_traffic_never_meets_an_ipv6_pod() -> None:
    """A dual-stack service with endpoints of one family steers that family alone."""
    sidecar = _sidecar().put(_service(VIP, VIP4))
    sidecar.put(endpoint_slice("web", [endpoint(POD, "node1")])).settle()

    assert STEERING in sidecar.values()
    assert f"{STEERING}_{VIP4}" not in sidecar.values()


def test_an_ipv4_pod_is_behind_dx4() -> None:
    """Its localsid decapsulates IPv4; SID and route are IPv6 all the same."""
    values = _dual().values()

    assert values[f"{LOCALSID}{SID4}"] == {
        "sid": SID4,
        "installation_vrf_id": 1,
        "end_function_dx4": {"next_hop": POD4, "outgoing_interface": "vpp-tap-five"},
    }
    assert values[f"{ROUTE}0/dst/{SID4}/128/gw/::"]["type"] == "INTER_VRF"


def test_d20_rule_chains_have_one_protocol_each() -> None:
    """A pod with two addresses has chains of both families, each with its own rules."""
    values = _dual().values()

    place = {"namespace": {"type": "FD", "reference": "/run/netns/five"}, "table": "NAT"}
    assert values[f"{CHAIN}-PREROUTING-IPv4"] == {
        **place,
        "name": "srv6kv-five-PREROUTING-IPv4",
        "chain_type": "PREROUTING",
        "rules": ["-j srv6kv-a", "-j srv6kv-b"],
    }
    for copy in ("a", "b"):
        assert values[f"{CHAIN}-DNAT-{copy}-IPv4"] == {
            **place,
            "name": f"srv6kv-five-DNAT-{copy}-IPv4",
            "chain_name": f"srv6kv-{copy}",
            "rules": [
                f"-d {VIP4}/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination {POD4}:80",
            ],
        }
    assert rules_of(values, "five", "OUTPUT", "-IPv4") == [f"-d {VIP4}/32 -j CT --notrack"]
    assert values[f"{CHAIN}-PREROUTING"]["protocol"] == "IPV6"
    assert all(VIP4 not in rule for rule in rules_of(values, "five"))


def test_the_service_cidr_of_each_family_ends_in_a_drop() -> None:
    """Routes that lead nowhere have a next hop of their own family (agent rule 12)."""
    values = _sidecar().settle().values()

    assert values[f"{ROUTE}1/dst/10.96.0.0/12/gw/0.0.0.0"] == {
        "type": "DROP",
        "vrf_id": 1,
        "dst_network": "10.96.0.0/12",
        "next_hop_addr": "0.0.0.0",
    }
    assert values[f"{ROUTE}1/dst/2096::/110/gw/::"]["type"] == "DROP"


def test_plumbing_of_a_bare_agent_covers_ipv4() -> None:
    """VRF tables, the pods' default route and the way to this node's IPv4 pods."""
    values = _sidecar().settle().values()

    assert values["config/vpp/v2/vrf-table/id/1/protocol/IPV4"] == {"id": 1, "label": "podVRF-IPv4"}
    assert values["config/vpp/v2/vrf-table/id/0/protocol/IPV4"] == {"label": "mainVRF-IPv4"}
    assert values[f"{ROUTE}1/dst/0.0.0.0/0/gw/0.0.0.0"]["type"] == "INTER_VRF"
    assert values[f"{ROUTE}0/dst/10.1.1.0/24/gw/0.0.0.0"]["via_vrf_id"] == 1


def test_an_ipv4_load_balancer_address_is_steered_in_both_vrfs() -> None:
    """As one of IPv6 is; without IPv4 endpoints it drops."""
    status = {"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}]}}
    sidecar = _sidecar().put(_service(VIP, VIP4, type="LoadBalancer", status=status))
    sidecar.put(endpoint_slice("web", [endpoint(POD, "node1")])).settle()

    for name in ("_203.0.113.9", "_203.0.113.9_main"):
        assert _lists(sidecar, name) == [["7766::dead"]]


def test_an_ipv4_address_of_the_cluster_is_not_stolen() -> None:
    """Node addresses and pod CIDRs are denied in this family too."""
    addresses = ["192.168.0.2", "10.1.2.3", "127.0.0.1", "224.0.0.1", "0.0.0.0", "169.254.1.1"]
    status = {"loadBalancer": {"ingress": [{"ip": address} for address in addresses]}}
    sidecar = _sidecar().put(_service(VIP4, type="LoadBalancer", status=status))
    notes = [note for note in sidecar.desired().all_notes() if note.reason == "ExternalIPDenied"]

    assert len(notes) == len(addresses)
    assert sidecar.desired().steered == {}


def test_hosts_of_the_other_family_are_left_out() -> None:
    """The host interconnect has one family; an endpoint of the other has no way to its host."""
    sidecar = _sidecar().put(_service(VIP4), _slice4(endpoint("192.168.0.2", "node2")))
    reasons = {note.reason for note in sidecar.desired().all_notes()}

    assert sidecar.desired().steered == {}
    assert reasons == {"HostFamilyUnsupported"}


def test_an_ipv4_cluster() -> None:
    """podSubnetCIDR and vppHostSubnetCIDR of IPv4: ids, pods and hosts, here and elsewhere."""
    nodes = []
    for number in (1, 2):
        body = node(number)
        body["spec"] = {"podCIDR": f"10.1.{number}.0/24"}
        body["status"]["addresses"] = [
            {"type": "InternalIP", "address": f"192.168.0.{number}"},
        ]
        nodes.append(body)
    sidecar = Sidecar(settings_of(ONLY_IPV4), "node1").put(*nodes, _service(VIP4)).wire(_keys4())
    listed = [(POD4, 1), (REMOTE4, 2), ("192.168.0.1", 1), ("192.168.0.2", 2)]
    sidecar.put(_slice4(*(endpoint(address, f"node{number}") for address, number in listed)))
    values = sidecar.settle().values()

    assert _lists(sidecar, f"_{VIP4}") == [
        ["6655::ffff:0:1"],
        ["7766:f00d::2", "6655::ffff:0:1"],
        [SID4],
        ["7766:f00d::2", "6666::ffff:a01:207"],
    ]
    assert values[f"{LOCALSID}6655::ffff:0:1"] == {
        "sid": "6655::ffff:0:1",
        "end_function_dx4": {"next_hop": "172.30.1.2", "outgoing_interface": "tap-vpp2"},
    }


def test_every_value_is_one_that_the_agent_takes() -> None:
    """The schema, the producer rules and VPP's CLI know each of them."""
    sidecar = _dual()
    owned = sidecar.owned()
    for key, text in owned.items():
        schema.parse_json(key, text)
        assert fault_of(decode(key, text)) is None
    values = {key: sidecar.values()[key] for key in owned if "rulechain" not in key}
    commands = vppcli.commands(values, {})

    assert len(owned) > 15
    assert any(f"sr steer l3 {VIP4}/32 via bsid 5555::ffff:a60:a" in line for line in commands)
    assert any(f"prefix {SID4}/128 behavior end.dx4 vpp-tap-five {POD4}" in x for x in commands)


def test_without_the_option_ipv4_is_not_rendered_and_said() -> None:
    """The IPv6 half of a dual-stack service is; a note names the other half."""
    sidecar = _sidecar(settings("seed")).put(_service(VIP, VIP4))
    sidecar.put(endpoint_slice("web", [endpoint(POD, "node1")]), _slice4(endpoint(POD4, "node1")))
    sidecar.settle()

    assert not [key for key in sidecar.owned() if "10." in key or "ffff" in key]
    assert STEERING in sidecar.values()
    assert {note.reason for note in sidecar.desired().all_notes()} == {"IPv4NotRendered"}


@pytest.mark.parametrize("wanted", ["ipv4", "ipv6"])
def test_removing_one_family_leaves_the_other_alone(wanted: str) -> None:
    """A service that loses a ClusterIP keeps the keys of the other byte for byte."""
    sidecar = _dual()
    before = sidecar.owned()
    sidecar.put(_service(VIP4 if wanted == "ipv4" else VIP))
    sidecar.commit(sidecar.plan_change())
    name = f"_{VIP4}" if wanted == "ipv4" else ""

    assert sidecar.owned()[STEERING + name] == before[STEERING + name]
    assert sum(key.startswith(STEERING) for key in sidecar.owned()) == 1
