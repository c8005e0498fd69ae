"""Objects of the node itself: End localsid, routes to other nodes, drop routes, plumbing."""

from __future__ import annotations

from collections.abc import Iterator

from srv6kv import sids
from srv6kv.agent.values import AgentValue, End, LocalSid, Route, VrfTable
from srv6kv.settings import Settings
from srv6kv.topology import Peer, Topology, one_node_subnet


def node_objects(topology: Topology, settings: Settings) -> Iterator[AgentValue]:
    """What srv6kv owns on every node (design.md section 3)."""
    yield from drop_routes(settings)
    yield Route(
        type="DROP",
        vrf_id=settings.main_vrf,
        dst_network=f"{sids.discard_sid(settings.sid.node)}/128",
        next_hop_addr="::",
    )
    if settings.node_plumbing == "none":
        return
    own = topology.own
    if own is not None and own.sid is not None:
        yield LocalSid(sid=own.sid, installation_vrf_id=settings.main_vrf, base_end_function=End())
    for peer in topology.peers.values():
        if peer.name != topology.own_name and peer.sid is not None and peer.ip is not None:
            yield _route_to(peer.sid, peer.ip, settings)


def drop_routes(settings: Settings) -> Iterator[Route]:
    """One per service CIDR in the pod VRF: what no steering takes dies there (fact F9)."""
    for prefix in settings.service_cidrs:
        yield Route(
            type="DROP", vrf_id=settings.pod_vrf, dst_network=str(prefix), next_hop_addr="::"
        )


def _route_to(sid: str, node_ip: str, settings: Settings) -> Route:
    """To another node's SID, whatever the transport is (defect D11)."""
    return Route(vrf_id=settings.main_vrf, dst_network=f"{sid}/128", next_hop_addr=node_ip)


def plumbing(own: Peer | None, settings: Settings) -> Iterator[AgentValue]:
    """What a bare agent lacks (design.md section 5, ``nodePlumbing: full``).

    Not the service CIDR from main to pod unless asked for: it would open ClusterIPs to the uplink.
    """
    if settings.node_plumbing != "full":
        return
    yield VrfTable(id=settings.main_vrf, protocol="IPV6", label="mainVRF-IPv6")
    yield VrfTable(id=settings.pod_vrf, protocol="IPV6", label="podVRF-IPv6")
    yield _inter_vrf("::/0", settings.pod_vrf, settings.main_vrf)
    if own is not None and own.id is not None:
        subnet = one_node_subnet(settings.pod_subnet, settings.pod_subnet_one_node_len, own.id)
        yield _inter_vrf(str(subnet), settings.main_vrf, settings.pod_vrf)
    if settings.route_service_cidr_to_vpp:
        for prefix in settings.service_cidrs:
            yield _inter_vrf(str(prefix), settings.main_vrf, settings.pod_vrf)


def _inter_vrf(destination: str, vrf: int, via: int) -> Route:
    """Agent rule 12: an IPv6 INTER_VRF route carries the next hop ``::``."""
    return Route(
        type="INTER_VRF",
        vrf_id=vrf,
        via_vrf_id=via,
        dst_network=destination,
        next_hop_addr="::",
    )
