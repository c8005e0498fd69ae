"""Objects of the node itself: End localsid, routes to other nodes, drop routes, plumbing."""

from __future__ import annotations

from collections.abc import Iterator

from srv6kv.cluster.attachment import AttachmentKeys
from srv6kv.cluster.topology import Peer, Topology, one_node_subnet
from srv6kv.ligato.values import AgentValue, End, LocalSid, Route, VrfTable
from srv6kv.net import sids
from srv6kv.net.addresses import EVERY_IPV4, Prefix
from srv6kv.notes import Kind, Note, Reason, Subject
from srv6kv.settings import Settings


def node_objects(topology: Topology, settings: Settings) -> Iterator[AgentValue]:
    """What srv6kv owns on every node (rules R10 and N5)."""
    yield from drop_routes(settings)
    yield _drop(Prefix.parse(f"{sids.discard_sid(settings.sid.node)}/128"), settings.main_vrf)
    if settings.node_plumbing == "none":
        return
    own = topology.own
    if own is not None and own.sid is not None:
        yield LocalSid(sid=own.sid, installation_vrf_id=settings.main_vrf, base_end_function=End())
    for peer in topology.peers.values():
        if peer.name != topology.own_name and peer.sid is not None and peer.ip is not None:
            yield route_to(peer.sid, peer.ip, settings)


def drop_routes(settings: Settings) -> Iterator[Route]:
    """One per service CIDR in the pod VRF: what no steering takes dies there (fact F9)."""
    return (_drop(prefix, settings.pod_vrf) for prefix in settings.service_cidrs)


def _drop(destination: Prefix, vrf: int) -> Route:
    hop = _nowhere(destination)
    return Route(type="DROP", vrf_id=vrf, dst_network=str(destination), next_hop_addr=hop)


def route_to(sid: str, node_ip: str, settings: Settings) -> Route:
    """To a SID of another node, whatever the transport is (defect D11)."""
    return Route(vrf_id=settings.main_vrf, dst_network=f"{sid}/128", next_hop_addr=node_ip)


ENCAPSULATION = 80
"""Bytes that the outer IPv6 header and an SRH of two segments add to a packet."""


def mtu_notes(own: Peer | None, attachments: AttachmentKeys, settings: Settings) -> Iterator[Note]:
    """Warn if the MTU of pods leaves no room for SRv6 (rule L12)."""
    mtu = attachments.mtu_at(own.ip) if own is not None and own.ip is not None else None
    if own is not None and mtu is not None and settings.mtu > mtu - ENCAPSULATION:
        text = f"mtuSize: {settings.mtu} and {ENCAPSULATION} bytes of SRv6 exceed the uplink's MTU"
        text += f" {mtu}; large packets to other nodes are lost, set mtuSize to"
        text += f" {mtu - ENCAPSULATION}"
        yield Note(Subject(Kind.NODE, own.name), Reason.MTU_TOO_LARGE, text)


def plumbing(own: Peer | None, settings: Settings) -> Iterator[AgentValue]:
    """What a bare agent lacks (``nodePlumbing: full``).

    Not the service CIDR from main to pod unless asked for: it would open ClusterIPs to the uplink.
    """
    if settings.node_plumbing != "full":
        return
    yield VrfTable(id=settings.main_vrf, protocol="IPV6", label="mainVRF-IPv6")
    yield VrfTable(id=settings.pod_vrf, protocol="IPV6", label="podVRF-IPv6")
    yield _inter_vrf(Prefix(0, 0), settings.pod_vrf, settings.main_vrf)
    if settings.ipv4:
        yield VrfTable(id=settings.main_vrf, label="mainVRF-IPv4")
        yield VrfTable(id=settings.pod_vrf, label="podVRF-IPv4")
        yield _inter_vrf(EVERY_IPV4, settings.pod_vrf, settings.main_vrf)
    for subnet in pod_subnets(own, settings):
        yield _inter_vrf(subnet, settings.main_vrf, settings.pod_vrf)
    if settings.route_service_cidr_to_vpp:
        for prefix in settings.service_cidrs:
            yield _inter_vrf(prefix, settings.main_vrf, settings.pod_vrf)


def pod_subnets(own: Peer | None, settings: Settings) -> Iterator[Prefix]:
    """This node's part of podSubnetCIDR, without an id its pod CIDRs of that family; and with IPv4
    its pod CIDRs of IPv4."""
    if own is None:
        return
    part = None
    if own.id is not None:
        part = one_node_subnet(settings.pod_subnet, settings.pod_subnet_one_node_len, own.id)
        yield part
    for item in own.pod_prefixes:
        is_in_place = part is None and item.is_ipv4 == settings.pod_subnet.is_ipv4
        if item != part and (is_in_place or (item.is_ipv4 and settings.ipv4)):
            yield item


def _nowhere(destination: Prefix) -> str:
    """Agent rule 12: what leads nowhere still has a next hop, of the destination's family."""
    return "0.0.0.0" if destination.is_ipv4 else "::"


def _inter_vrf(destination: Prefix, vrf: int, via: int) -> Route:
    return Route(
        type="INTER_VRF",
        vrf_id=vrf,
        via_vrf_id=via,
        dst_network=str(destination),
        next_hop_addr=_nowhere(destination),
    )
