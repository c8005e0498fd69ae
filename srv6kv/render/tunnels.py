"""The tunnels between nodes: what ends them here, and what rides them from here.

Rule (rules N5 and N6): two policies lead to every other node, one to its pods and one to
its host; each ends in a SID of that node behind which VPP looks up the inner packet. All of it is
in the main VRF. One prefix is carried to one node only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set

from srv6kv.cluster.topology import Peer, Topology, one_node_subnet
from srv6kv.ligato.values import AgentValue, LocalSid, LookUp
from srv6kv.net.addresses import Prefix, is_ipv4, is_ordinary, network_of
from srv6kv.net.bsids import Home
from srv6kv.notes import Kind, Note, Reason, Subject
from srv6kv.render.desired import Carried, Tunnel
from srv6kv.render.node import route_to
from srv6kv.settings import Settings

PODS, HOST, MANAGEMENT = "lookupInPodVRF", "lookupInMainVRF", "managementIP-"


def tunnel_objects(topology: Topology, settings: Settings) -> Iterator[AgentValue]:
    """The localsids that end tunnels to this node, and the routes to those of other nodes."""
    for peer in topology.peers.values():
        for sid, subnet, vrf in (
            (peer.pod_end, settings.pod_subnet, settings.pod_vrf),
            (peer.host_end, settings.host_subnet, settings.main_vrf),
        ):
            if sid is None:
                continue
            if peer.name == topology.own_name:
                yield _end(sid, subnet, vrf, settings)
            elif peer.ip is not None:
                yield route_to(sid, peer.ip, settings)


def _end(sid: str, subnet: Prefix, vrf: int, settings: Settings) -> LocalSid:
    """DT6, or DT4 where the inner packets are IPv4."""
    if subnet.is_ipv4:
        return LocalSid(
            sid=sid, installation_vrf_id=settings.main_vrf, end_function_dt4=LookUp(vrf_id=vrf)
        )
    return LocalSid(
        sid=sid, installation_vrf_id=settings.main_vrf, end_function_dt6=LookUp(vrf_id=vrf)
    )


def carried_by(topology: Topology, settings: Settings) -> tuple[list[Carried], list[Note]]:
    """Find the prefixes that tunnels carry from this node, and warn about those they cannot."""
    found: list[Carried] = []
    notes: list[Note] = []
    taken: dict[str, str] = {}
    on_interconnect = {peer.ip for peer in topology.peers.values()}
    if topology.own is not None:
        own = topology.own
        taken = dict.fromkeys(
            [*_pods_of(own, settings), *_host_of(own, on_interconnect, settings)], own.name
        )
    for peer in topology.peers.values():
        if peer.name == topology.own_name or peer.ip is None:
            continue
        pods, host = _pods_of(peer, settings), _host_of(peer, on_interconnect, settings)
        for end, prefix, parts in (
            (peer.pod_end, settings.sid.tunnel_pod_bsid, pods),
            (peer.host_end, settings.sid.tunnel_host_bsid, host),
        ):
            if end is None:
                continue
            notes += _shortcomings(peer, end, parts, taken)
            free = {item: suffix for item, suffix in parts.items() if item not in taken}
            taken |= dict.fromkeys(free, peer.name)
            targets = tuple((settings.main_vrf, item) for item in free)
            tunnel = Tunnel(peer.name, Home(prefix, peer.ip), end, targets)
            found += [Carried(target, tunnel, free[target[1]]) for target in targets]
    return found, notes


def _pods_of(peer: Peer, settings: Settings) -> dict[str, str]:
    """The pods of a node, with the suffix of their steering: its part of podSubnetCIDR; without an
    id the first pod CIDR of that family."""
    part = _part(peer, settings.pod_subnet, settings.pod_subnet_one_node_len)
    if part is None:
        family = settings.pod_subnet.is_ipv4
        part = next((item for item in peer.pod_prefixes if item.is_ipv4 == family), None)
    return {_destination(part): PODS} if part is not None else {}


def _host_of(peer: Peer, on_interconnect: Set[str | None], settings: Settings) -> dict[str, str]:
    """The host of a node, with the suffixes: its part of vppHostSubnetCIDR and its addresses.

    Not those on the interconnect: a tunnel's route leads to one of them, and so into itself.
    """
    part = _part(peer, settings.host_subnet, settings.host_subnet_one_node_len)
    found = {_destination(part): HOST} if part is not None else {}
    for address in peer.addresses:
        if address not in on_interconnect and is_ordinary(address) and _fits(address, settings):
            found[address] = f"{MANAGEMENT}{address}"
    return found


def _fits(address: str, settings: Settings) -> bool:
    """Whether a management address may be steered into the tunnel to the host.

    The reference steers IPv4 ones into DT6 too, which drops them: this is copied only where VPP has
    no IPv4 and nothing is lost by it.
    """
    is_other_family = is_ipv4(address) != settings.host_subnet.is_ipv4
    return not (is_other_family and (settings.ipv4 or settings.main_vrf != 0))


def _part(peer: Peer, subnet: Prefix, length: int) -> Prefix | None:
    try:
        return one_node_subnet(subnet, length, peer.id) if peer.id is not None else None
    except ValueError:
        return None


def _destination(prefix: Prefix) -> str:
    """The prefix as part of a target."""
    text = str(prefix)
    address = text.partition("/")[0]
    return address if network_of(address) == text else text


def _shortcomings(
    peer: Peer, end: str, parts: Mapping[str, str], taken: Mapping[str, str]
) -> Iterator[Note]:
    """Warn about a node's prefixes that the tunnel to it does not carry."""
    for item in parts:
        if item in taken:
            text = f"{item} belongs to Node {taken[item]} too, and only that one is reached by it"
            yield Note(Subject(Kind.NODE, peer.name), Reason.TUNNEL_CONFLICT, text)
    if not {PODS, HOST}.intersection(parts.values()):
        name = "podSubnetCIDR" if end == peer.pod_end else "vppHostSubnetCIDR"
        text = f"its part of {name} is not known, no tunnel carries it"
        yield Note(Subject(Kind.NODE, peer.name), Reason.TUNNEL_INCOMPLETE, text)
