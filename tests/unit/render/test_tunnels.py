"""The tunnels between nodes (rules N5 and N6), and how they follow the nodes."""

from __future__ import annotations

from typing import Any

import pytest
from clusters import NETWORKS, OLD_SIDS, SEED, TODAY, Json, node, settings, settings_of
from sidecar import Sidecar, operations

from srv6kv.settings import Settings

SID = "config/vpp/srv6/v2/"
ROUTE = "config/vpp/v2/route/vrf/0/dst/"
TUNNEL = f"{SID}steering/forNodeToNodeTunneling-usingPolicyWithBSID-"

# The table of the reference's own tests ----------------------------------------------------------

IPV6: Json = {**NETWORKS, "nodeInterconnectCIDR": "e10:f00d::/90", "serviceCIDR": "2096::/110"}
IPV4: Json = {
    **IPV6,
    "podSubnetCIDR": "10.1.0.0/16",
    "podSubnetOneNodePrefixLen": 24,
    "vppHostSubnetCIDR": "172.30.0.0/16",
    "vppHostSubnetOneNodePrefixLen": 24,
    "serviceCIDR": "10.96.0.0/24",
}
FAMILIES: dict[str, Settings] = {
    "IPv6": settings_of({**TODAY, "ipamConfig": IPV6}),
    "IPv4": settings_of({**TODAY, "ipamConfig": IPV4, "srv6kv": {"ipv4": True}}),
}
POD_CIDRS = {"IPv6": "2001:0:0:{}::/64", "IPv4": "10.1.{}.0/24"}
MANAGEMENT = "10.50.50.50"


def _policy(bsid: str, end: str) -> dict[str, Json]:
    lists = [{"segments": [end], "weight": 1}]
    return {
        f"{SID}policy/{bsid}": {"bsid": bsid, "segment_lists": lists, "srh_encapsulation": True}
    }


def _steering(bsid: str, suffix: str, prefix: str) -> dict[str, Json]:
    name = f"forNodeToNodeTunneling-usingPolicyWithBSID-{bsid}-and-{suffix}"
    traffic = {"prefix_address": prefix}
    return {f"{SID}steering/{name}": {"name": name, "policy_bsid": bsid, "l3_traffic": traffic}}


def _route(sid: str, hop: str) -> dict[str, Json]:
    return {f"{ROUTE}{sid}/128/gw/{hop}": {"dst_network": f"{sid}/128", "next_hop_addr": hop}}


def _localsid(sid: str, **function: Json) -> dict[str, Json]:
    return {f"{SID}localsid/{sid}": {"sid": sid, **function}}


def _pods(prefix: str) -> dict[str, Json]:
    return {
        **_policy("8501:f00d::2", "9501:f00d::2"),
        **_steering("8501:f00d::2", "lookupInPodVRF", prefix),
        **_route("9501:f00d::2", "e10:f00d::2"),
    }


def _host(prefix: str) -> dict[str, Json]:
    return {
        **_policy("8500:f00d::2", "9500:f00d::2"),
        **_steering("8500:f00d::2", "lookupInMainVRF", prefix),
        **_steering("8500:f00d::2", f"managementIP-{MANAGEMENT}", f"{MANAGEMENT}/32"),
        **_route("9500:f00d::2", "e10:f00d::2"),
    }


SEGMENT = _route("9000:f00d::2", "e10:f00d::2")
END = _localsid("9000:f00d::1", base_end_function={})
ROWS = {
    "pod tunnel IPv4": (
        "IPv4",
        _pods("10.1.2.0/24"),
        _localsid("9501:f00d::1", end_function_dt4={"vrf_id": 1}),
    ),
    "pod tunnel IPv6": (
        "IPv6",
        _pods("2001:0:0:2::/64"),
        _localsid("9501:f00d::1", end_function_dt6={"vrf_id": 1}),
    ),
    "host tunnel IPv4": (
        "IPv4",
        _host("172.30.2.0/24"),
        _localsid("9500:f00d::1", end_function_dt4={}),
    ),
    "host tunnel IPv6": (
        "IPv6",
        _host("2002::2:0/112"),
        _localsid("9500:f00d::1", end_function_dt6={}),
    ),
    "service segment IPv4": ("IPv4", SEGMENT, END),
    "service segment IPv6": ("IPv6", SEGMENT, END),
}
"""Family of the pods; what leads to node 2; what ends here."""


def _node(number: int, family: str, *addresses: str) -> Json:
    body = node(number, addresses=addresses)
    cidr = POD_CIDRS[family].format(number)
    return {**body, "spec": {"podCIDR": cidr, "podCIDRs": [cidr]}}


@pytest.mark.parametrize("row", ROWS)
def test_a_row_of_the_references_table(row: str) -> None:
    """What ends tunnels is there from the start; what leads to another node comes and goes with
    it, with the reference's keys and values."""
    family, ingress, egress = ROWS[row]
    sidecar = Sidecar(FAMILIES[family], "node1").put(_node(1, family)).settle()
    alone = sidecar.values()
    other = _node(2, family, MANAGEMENT)
    joined = sidecar.put(other).commit(sidecar.plan_change()).values()
    left = sidecar.remove(other).commit(sidecar.plan_change()).values()

    assert egress.items() <= alone.items()
    assert alone.keys().isdisjoint(ingress)
    assert {**ingress, **egress}.items() <= joined.items()
    assert left == alone


@pytest.mark.parametrize("family", FAMILIES)
def test_there_is_nothing_beside_the_table(family: str) -> None:
    """Another node adds exactly what the rows of its family say."""
    sidecar = Sidecar(FAMILIES[family], "node1").put(_node(1, family)).settle()
    alone = sidecar.values().keys()
    found = sidecar.put(_node(2, family, MANAGEMENT)).settle().values()
    rows = [ingress for of, ingress, _ in ROWS.values() if of == family]

    assert found.keys() - alone == {key for ingress in rows for key in ingress}


def test_the_old_names_of_options_give_the_same() -> None:
    """useNoOverlay and useSRv6Interconnect make the same keys and values as today's options."""
    ipam = {**NETWORKS, "srv6": OLD_SIDS}
    nodes = [node(1), node(2), node(3)]
    old, new = (
        Sidecar(settings_of({**conf, "ipamConfig": ipam}), "node1").put(*nodes).settle()
        for conf in (SEED, TODAY)
    )

    assert old.texts() == new.texts()
    assert f"{SID}policy/8888:f00d::2" in new.texts()
    assert Sidecar(settings("seed"), "node1").put(*nodes).settle().texts() == old.texts()


# The life of nodes -------------------------------------------------------------------------------


def _keys(ip: str, part: int, management: str) -> list[str]:
    """What leads to a node, in the order of puts."""
    low = ip.partition(":")[2]
    return [
        *(f"{ROUTE}{sid}:{low}/128/gw/{ip}" for sid in ("7766", "7777", "7799")),
        f"{SID}policy/8888:{low}",
        f"{SID}policy/9999:{low}",
        f"{TUNNEL}8888:{low}-and-lookupInPodVRF",
        f"{TUNNEL}9999:{low}-and-lookupInMainVRF",
        f"{TUNNEL}9999:{low}-and-managementIP-{management}",
    ]


def _changes(sidecar: Sidecar) -> list[tuple[str, str]]:
    """What the last event changes, done."""
    found = sidecar.plan_change()
    assert len(found.transactions) == 1
    sidecar.commit(found)
    return operations(found)


def _sidecar(*numbers: int) -> Sidecar:
    return Sidecar(settings("seed"), "node1").put(*map(node, (1, *numbers))).settle()


def test_a_node_that_comes_and_goes_touches_only_its_keys() -> None:
    """Routes come before policies and policies before steerings; all goes the other way round."""
    sidecar = _sidecar(2)
    before = sidecar.texts()
    keys = _keys("fe10:f00d::3", 3, "fd00::103")

    assert _changes(sidecar.put(node(3))) == [("put", key) for key in keys]
    going = _changes(sidecar.remove(node(3)))
    assert sorted(going) == sorted(("del", key) for key in keys)
    kinds = [key.removeprefix("config/vpp/").split("/")[2] for _, key in going]
    assert kinds == ["steering"] * 3 + ["policy"] * 2 + ["vrf"] * 3
    assert sidecar.texts() == before


def _at(number: int, ip: str, *addresses: str) -> Json:
    listed = addresses or (f"fd00::10{number}",)
    return node(number, addresses=listed, annotations={"srv6kv.io/node-ip": ip})


def test_a_node_that_changes_its_address_touches_only_its_keys() -> None:
    """The new way is there before a steering moves, and each moves in two operations at once."""
    sidecar = _sidecar(2, 3)
    old, new = _keys("fe10:f00d::3", 3, "fd00::103"), _keys("fe10:f00d::a3", 3, "fd00::103")
    done = _changes(sidecar.put(_at(3, "fe10:f00d::a3")))
    moves = [pair for one, other in zip(old[5:], new[5:], strict=True) for pair in (one, other)]

    assert done[:5] == [("put", key) for key in new[:5]]
    assert [key for _, key in done[5:11]] == moves
    assert [how for how, _ in done[5:11]] == ["del", "put"] * 3
    assert sorted(done[11:]) == sorted(("del", key) for key in old[:5])
    assert sidecar.texts() == _sidecar(2).put(_at(3, "fe10:f00d::a3")).settle().texts()


def test_a_management_address_comes_and_goes_alone() -> None:
    """An address of a node is one steering, in the policy that is there."""
    sidecar = _sidecar(2)
    key = f"{TUNNEL}9999:f00d::2-and-managementIP-fd00::202"

    both = node(2, addresses=["fd00::102", "fd00::202"])
    assert _changes(sidecar.put(both)) == [("put", key)]
    assert _changes(sidecar.put(node(2))) == [("del", key)]


@pytest.mark.parametrize("ips", [("::3", "::2"), ("::a", "::2"), ("::3", "::a")])
def test_nodes_that_exchange_addresses_end_as_if_new(ips: tuple[str, str]) -> None:
    """Whoever takes over an address takes over its BSIDs: the same as on an empty etcd."""
    bodies = [_at(n, f"fe10:f00d{ip}") for n, ip in zip((2, 3), ips, strict=True)]
    sidecar = _sidecar(2, 3)
    sidecar.put(*bodies).commit(sidecar.plan_change())

    assert sidecar.texts() == _sidecar().put(*bodies).settle().texts()
    assert sidecar.plan().transactions == ()


def test_a_node_takes_over_the_address_of_one_that_went() -> None:
    """A new node at an old address has the BSIDs that the formula gives it."""
    sidecar = _sidecar(2)
    sidecar.remove(node(2)).put(_at(3, "fe10:f00d::2"))
    sidecar.commit(sidecar.plan_change())

    assert sidecar.texts() == _sidecar().put(_at(3, "fe10:f00d::2")).settle().texts()
    assert f"{TUNNEL}8888:f00d::2-and-lookupInPodVRF" in sidecar.texts()


# What clashes -------------------------------------------------------------------------------------


def _bsids(sidecar: Sidecar) -> dict[str, str]:
    """Steered prefix to BSID."""
    return {
        value["l3_traffic"]["prefix_address"]: value["policy_bsid"]
        for key, value in sidecar.values().items()
        if key.startswith(TUNNEL)
    }


def test_bsids_of_tunnels_are_told_apart() -> None:
    """A BSID that another one begins with moves, and stays where it is when that one goes."""
    sixteen = _at(3, "fe10:f00d::20")
    sidecar = _sidecar(2).remove(node(2)).settle().put(node(2), sixteen).settle()
    first = _bsids(sidecar)
    assert first["2001:0:0:3::/64"] == "8888:f00d::20"
    assert first["2001:0:0:2::/64"] == "8888:1::2"
    assert first["2002::2:0/112"] == first["fd00::102/128"] == "9999:1::2"
    assert f"{TUNNEL}8888:1::2-and-lookupInPodVRF" in sidecar.texts()

    sidecar.remove(sixteen).settle()
    assert _bsids(sidecar) == {key: bsid for key, bsid in first.items() if key in _bsids(sidecar)}
    assert sidecar.plan().transactions == ()


def test_a_bsid_in_etcd_stays_when_a_longer_one_comes() -> None:
    """The newcomer moves: a tunnel that carries traffic is not touched."""
    sidecar = _sidecar(2)
    before = _bsids(sidecar)
    done = _changes(sidecar.put(_at(3, "fe10:f00d::20")))

    assert before.items() <= _bsids(sidecar).items()
    assert _bsids(sidecar)["2001:0:0:3::/64"] == "8888:1::20"
    assert {how for how, _ in done} == {"put"}


def test_a_policy_of_others_moves_ours() -> None:
    """Where the text is another's BSID, below the same prefix for services, the next is taken."""
    srv6 = {**OLD_SIDS, "nodeToNodePodPolicySIDSubnetCIDR": "5555::/16"}
    of = settings_of({**TODAY, "ipamConfig": {**NETWORKS, "srv6": srv6}})
    theirs = {f"{SID}steering/mine": {"name": "mine", "policy_bsid": "5555:f00d::2"}}
    sidecar = Sidecar(of, "node1").wire(theirs).put(node(1), node(2)).settle()

    assert _bsids(sidecar)["2001:0:0:2::/64"] == "5555:1::2"


def _notes(sidecar: Sidecar) -> set[tuple[str, str]]:
    notes = [*sidecar.desired().all_notes(), *sidecar.plan().notes]
    return {(str(note.subject), note.reason) for note in notes}


def test_one_address_is_carried_to_one_node() -> None:
    """Of nodes with one address the first by name is reached by it; the others have a note."""
    twins = [node(2, addresses=["fd00::5", "fd00::101"]), node(3, addresses=["fd00::5"])]
    sidecar = Sidecar(settings("seed"), "node1").put(node(1), *twins).settle()

    assert _bsids(sidecar)["fd00::5/128"] == "9999:f00d::2"
    assert "fd00::101/128" not in _bsids(sidecar)
    assert _notes(sidecar) == {(f"Node node{number}", "TunnelConflict") for number in (2, 3)}


def test_the_address_on_the_interconnect_is_never_steered() -> None:
    """A tunnel to it would lead into itself; a Node that lists it is reached by the rest."""
    other = node(2, addresses=["fe10:f00d::2", "fe10:f00d::3", "fe80::2", "fd00::102"])
    sidecar = Sidecar(settings("seed"), "node1").put(node(1), other, node(3)).settle()

    assert [key for key in _bsids(sidecar) if key.startswith(("fe10", "fe80"))] == []
    assert _bsids(sidecar)["fd00::102/128"] == "9999:f00d::2"


@pytest.mark.parametrize("conf", [{"srv6kv": {"ipv4": True}}, {"mainVRFID": 3}])
def test_an_ipv4_address_does_not_ride_to_dt6_where_vpp_has_ipv4(conf: dict[str, Any]) -> None:
    """DT6 would drop it: it is steered as the reference does only where nothing can be lost."""
    sidecar = Sidecar(settings_of({**TODAY, **conf}), "node1").put(node(1))
    sidecar.put(node(2, addresses=["10.50.50.50"])).settle()

    assert "10.50.50.50/32" not in _bsids(sidecar)
    assert "2002::2:0/112" in _bsids(sidecar)


def test_a_route_of_others_to_a_node_keeps_only_that_address() -> None:
    """A /128 route on a management address would take half of its traffic: it is not steered."""
    key = f"{ROUTE}fd00::102/128/gw/fe80::1"
    sidecar = Sidecar(settings("seed"), "node1").put(node(1), node(2))
    sidecar.wire({key: {"dst_network": "fd00::102/128", "next_hop_addr": "fe80::1"}}).settle()

    assert set(_bsids(sidecar)) == {"2001:0:0:2::/64", "2002::2:0/112"}
    assert _notes(sidecar) == {("Node node2", "InvalidValue")}


@pytest.mark.parametrize(
    "more",
    [
        {"nodeToNodeTransport": "vxlan"},
        {"nodeToNodeTransport": "nooverlay"},
        {"srv6kv": {"nodePlumbing": "segments"}},
        {"srv6kv": {"nodePlumbing": "none"}},
    ],
)
def test_there_are_no_tunnels_of_ours_otherwise(more: Json) -> None:
    """Under another transport, and where the plumbing is somebody else's, no tunnel is made."""
    sidecar = Sidecar(settings_of({**TODAY, **more}), "node1").put(node(1), node(2)).settle()

    assert _bsids(sidecar) == {}
    assert not [key for key in sidecar.texts() if "/850" in key or "/950" in key]
