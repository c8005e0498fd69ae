"""Who has which id, address and SID, and what an endpoint is (rule N9)."""

from __future__ import annotations

import pytest
from clusters import CONFS, GHOST, Json, node, settings, settings_of

from srv6kv.cluster.topology import (
    HostEndpoint,
    PodEndpoint,
    Topology,
    host_end_of,
    node_id_of,
    node_ip_of,
    one_node_subnet,
    topology_of,
)
from srv6kv.kube.model import Endpoint, Node
from srv6kv.kube.parse import parse
from srv6kv.net.addresses import Prefix
from srv6kv.settings import Settings


def _of(**networks: object) -> Settings:
    base = CONFS["seed"]
    return settings_of({**base, "ipamConfig": {**base["ipamConfig"], **networks}})


@pytest.mark.parametrize(
    ("subnet", "length", "number", "expected"),
    [
        ("2001::/48", 64, 1, "2001:0:0:1::/64"),
        ("2001::/48", 64, 65536, "2001::/64"),
        ("2002::/64", 112, 1, "2002::1:0/112"),
        ("2001::/62", 64, 3, "2001:0:0:3::/64"),
        ("2001::/62", 64, 4, "2001::/64"),
    ],
)
def test_a_nodes_part_of_a_subnet(subnet: str, length: int, number: int, expected: str) -> None:
    """The node's number is written behind the subnet's bits; the last one wraps to 0."""
    assert str(one_node_subnet(Prefix.parse(subnet), length, number)) == expected


@pytest.mark.parametrize("number", [0, 5])
def test_a_number_that_does_not_fit_has_no_part(number: int) -> None:
    """Only 1 to 2^bits are node numbers."""
    with pytest.raises(ValueError, match="does not fit"):
        one_node_subnet(Prefix.parse("2001::/62"), 64, number)


@pytest.mark.parametrize(
    ("cidrs", "expected"),
    [
        (["2001:0:0:1::/64"], 1),
        (["2001::/64"], 65536),
        (["2003::/64", "2001:0:0:7::/64"], 7),
        (["2001:0:0:1::/80"], None),
        (["2003::/64"], None),
        ([], None),
    ],
)
def test_the_id_is_the_place_of_the_pod_cidr(cidrs: list[str], expected: int | None) -> None:
    """The first pod CIDR that is a one-node part of podSubnetCIDR tells; index 0 is the last id."""
    assert node_id_of(tuple(map(Prefix.parse, cidrs)), settings("seed")) == expected


@pytest.mark.parametrize(
    ("number", "gateway", "expected"),
    [
        (1, None, "fe10:f00d::1"),
        (5, None, "fe10:f00d::5"),
        (1, "fe10:f00d::1", "fe10:f00d::2"),
        (1, "fe10:f00d::2", "fe10:f00d::1"),
        (2, "fe10:f00d::2", "fe10:f00d::3"),
        (2, "2005::16:1", "fe10:f00d::2"),
    ],
)
def test_the_address_is_that_host_of_the_interconnect(
    number: int, gateway: str | None, expected: str
) -> None:
    """A gateway among the addresses moves those from it on by one."""
    of = _of(**({"defaultGateway": gateway} if gateway else {}))

    assert node_ip_of(number, of) == expected


def test_an_id_that_does_not_fit_has_no_address() -> None:
    """Neither the interconnect nor the host subnet has room for it."""
    of = _of(nodeInterconnectCIDR="fe10:f00d::/126", vppHostSubnetCIDR="2002::/110")

    with pytest.raises(ValueError, match="no host number"):
        node_ip_of(4, of)
    with pytest.raises(ValueError, match="does not fit"):
        host_end_of(5, of)


def test_the_hosts_end_is_host_2() -> None:
    """The Linux end of the interconnect is host 2 of the node's part."""
    assert host_end_of(1, settings("seed")) == "2002::1:2"


def _topology(*bodies: Json, own: str = "node1", of: Settings | None = None) -> Topology:
    nodes = [parse("Node", body) for body in bodies]
    return topology_of(
        [item for item in nodes if isinstance(item, Node)], own, of or settings("seed")
    )


def test_a_nodes_sid_is_made_of_its_address() -> None:
    """Every node with an address has an End SID; the annotation replaces the address."""
    annotated = node(2, annotations={"srv6kv.io/node-ip": "FE10:F00D::A2"})
    found = _topology(node(1), annotated)

    assert {name: (peer.ip, peer.sid) for name, peer in found.peers.items()} == {
        "node1": ("fe10:f00d::1", "7766:f00d::1"),
        "node2": ("fe10:f00d::a2", "7766:f00d::a2"),
    }


def test_a_node_without_address_is_noted() -> None:
    """A pod CIDR that tells no id leaves the node without address, unless it is annotated."""
    strange = {**node(2), "spec": {"podCIDR": "2003::/64"}}
    annotated = node(2, annotations={"srv6kv.io/node-ip": "fe10:f00d::a2"})
    found = _topology(node(1), strange)

    assert found.peers["node2"].sid is None
    assert [(str(note.subject), note.reason) for note in found.notes] == [
        ("Node node2", "NodeAddressUnknown")
    ]
    assert _topology(annotated).peers["node2"].sid == "7766:f00d::a2"


def test_two_nodes_with_one_sid_are_not_both_reachable() -> None:
    """The later by name has no SID, with a note; the discard SID is nobody's."""
    twin = node(2, annotations={"srv6kv.io/node-ip": "fe10:f00d::1"})
    dead = node(3, annotations={"srv6kv.io/node-ip": "fe10::dead"})
    found = _topology(node(1), twin, dead)

    assert [peer.sid for peer in found.peers.values()] == ["7766:f00d::1", None, None]
    assert {note.reason for note in found.notes} == {"SidCollision"}


def test_the_order_of_nodes_does_not_matter() -> None:
    """Nodes are taken in name order, however they come."""
    bodies = [node(number) for number in (1, 2, 3)]

    assert _topology(*bodies) == _topology(*reversed(bodies))
    assert list(_topology(*reversed(bodies)).peers) == ["node1", "node2", "node3"]


@pytest.mark.parametrize(
    ("address", "name", "expected"),
    [
        ("2001:0:0:2::7", "node2", "pod node2"),
        ("2001:0:0:2::7", "node1", "pod node1"),
        ("2001:0:0:2::7", GHOST, "pod ghost, unknown"),
        ("2001:0:0:2::7", None, "outside"),
        ("fd00::102", None, "host node2"),
        ("fd00::102", "node1", "host node2"),
        ("fe10:f00d::2", "node2", "host node2"),
        ("2003::7", "node2", "outside"),
        ("2003::7", None, "outside"),
        ("2004::7", "node4", "pod node4"),
        ("2004::7", "node2", "outside"),
    ],
)
def test_what_an_endpoint_is(address: str, name: str | None, expected: str) -> None:
    """A host by its address; a pod of the node that the slice names, if it is a pod's address."""
    own = {**node(4), "spec": {"podCIDRs": ["2001:0:0:4::/64", "2004::/64"]}}
    found = _topology(node(1), node(2), own)
    match found.locate(Endpoint(address, node=name), settings("seed").pod_subnet):
        case HostEndpoint(peer):
            text = f"host {peer.name}"
        case PodEndpoint(of, peer):
            text = f"pod {of}" + ("" if peer else ", unknown")
        case None:
            text = "outside"

    assert text == expected


def test_an_address_of_two_nodes_is_the_named_ones() -> None:
    """The slice's node decides between owners; without it the first by name does."""
    found = _topology(node(1, addresses=["fd00::5"]), node(2, addresses=["fd00::5"]))
    pods = settings("seed").pod_subnet
    places = [found.locate(Endpoint("fd00::5", node=name), pods) for name in ("node2", None)]

    assert [item.peer.name for item in places if isinstance(item, HostEndpoint)] == [
        "node2",
        "node1",
    ]


def test_ends_of_tunnels_are_unique_too() -> None:
    """Where a prefix keeps too few bits, the later node has no tunnel of that kind, with a note."""
    of = _of(srv6={"nodeToNodePodLocalSIDSubnetCIDR": "fc00:aa::/112"})
    twin = node(2, annotations={"srv6kv.io/node-ip": "fe10:f00d::2:1"})
    found = _topology(node(1), twin, of=of)

    assert [(peer.pod_end, peer.host_end) for peer in found.peers.values()] == [
        ("fc00:aa::1", "7799:f00d::1"),
        (None, "7799:f00d::2:1"),
    ]
    assert found.peers["node2"].sid == "7766:f00d::2:1"
    assert [(str(note.subject), note.reason) for note in found.notes] == [
        ("Node node2", "SidCollision")
    ]
    assert found.taken["7799:f00d::2:1"] == "the tunnel to the host of Node node2"


@pytest.mark.parametrize("conf", ["vrfs", "length-40", "segments", "none"])
def test_without_tunnels_nothing_ends_one(conf: str) -> None:
    """Other transports, and plumbing of others, leave those SIDs to whoever uses them."""
    found = _topology(node(1), node(2), of=settings(conf))

    assert {(peer.pod_end, peer.host_end) for peer in found.peers.values()} == {(None, None)}
