"""The nodes of the cluster as packets see them: who has which id, address and SID.

Rule (decision 0031): id and IP are those of Contiv's record if there is one; else id = index
of the node's pod CIDR in podSubnetCIDR and IP = that host of nodeInterconnectCIDR; an annotation
replaces the IP. All nodes compute the same: those with a record come first, then by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from srv6kv.cluster.noderecords import NodeRecord
from srv6kv.kube.model import Endpoint, Node
from srv6kv.net import sids
from srv6kv.net.addresses import Prefix, to_int
from srv6kv.notes import Kind, Note, Reason, Subject
from srv6kv.settings import Settings


@dataclass(frozen=True, slots=True)
class Peer:
    """A node as a place where endpoints are.

    Attributes:
        id: number of the node in the cluster's subnets; None: no record or pod CIDR gives one.
        ip: its address on the node interconnect; None: not known, it cannot be reached by SID.
        sid: its node SID (End); None without an address.
        pod_end: the SID that ends the tunnels to its pods; None: there are no tunnels to it.
        host_end: the SID that ends the tunnels to its host; None: the same.
    """

    name: str
    id: int | None
    ip: str | None
    sid: str | None
    pod_prefixes: tuple[Prefix, ...]
    zone: str = ""
    addresses: tuple[str, ...] = ()
    pod_end: str | None = None
    host_end: str | None = None


@dataclass(frozen=True, slots=True)
class HostEndpoint:
    """The endpoint is the host of a node."""

    peer: Peer


@dataclass(frozen=True, slots=True)
class PodEndpoint:
    """The endpoint is a pod on a node; ``peer`` is None if no such Node object is known."""

    node: str
    peer: Peer | None


@dataclass(frozen=True, slots=True)
class Topology:
    """All nodes, and which of them is this one.

    Attributes:
        taken: who has a node SID, the SID of a tunnel's end, or the discard SID, in words.
        stray_prefixes: pod CIDRs outside podSubnetCIDR.
        unread: names of nodes that cannot be read; "" among them: it may be any.
    """

    own_name: str
    peers: dict[str, Peer]
    owners: dict[str, tuple[str, ...]]
    taken: dict[str, str]
    stray_prefixes: tuple[Prefix, ...]
    notes: tuple[Note, ...] = field(default=(), compare=False)
    unread: frozenset[str] = frozenset()

    @property
    def own(self) -> Peer | None:
        """This node; None until its Node object is known."""
        return self.peers.get(self.own_name)

    def is_unread(self, name: str | None) -> bool:
        """Whether a node may be there that cannot be read; None: whichever has an address."""
        if name is None or not self.unread:
            return bool(self.unread)
        peer = self.peers.get(name)
        return (peer is None or peer.sid is None) and not self.unread.isdisjoint({name, ""})

    def locate(self, endpoint: Endpoint, pods: Prefix) -> HostEndpoint | PodEndpoint | None:
        """What an endpoint is by its node, never by address arithmetic (rule E11); None: it lies
        outside the cluster."""
        owners = self.owners.get(endpoint.address)
        if owners:
            name = endpoint.node if endpoint.node in owners else owners[0]
            return HostEndpoint(self.peers[name])
        if endpoint.node is None:
            return None
        peer = self.peers.get(endpoint.node)
        for prefix in (pods, *(peer.pod_prefixes if peer else ())):
            if endpoint.address in prefix:
                return PodEndpoint(endpoint.node, peer)
        return None


def topology_of(
    nodes: Iterable[Node],
    own_name: str,
    settings: Settings,
    records: Mapping[str, NodeRecord] | None = None,
    unread: frozenset[str] = frozenset(),
) -> Topology:
    """The nodes, each with id, address and SIDs as far as they are known and unique."""
    records = records or {}
    peers: dict[str, Peer] = {}
    owners: dict[str, tuple[str, ...]] = {}
    notes: list[Note] = []
    taken: dict[str, str] = {sids.discard_sid(settings.sid.node): "the discard SID"}
    for node in sorted(nodes, key=lambda item: (item.name not in records, item.name)):
        peer, problem = _peer(node, records.get(node.name), settings)
        if peer.sid is not None and peer.sid in taken:
            problem = (Reason.SID_COLLISION, f"node SID {peer.sid} is taken by {taken[peer.sid]}")
            peer = replace(peer, ip=None, sid=None)
        if peer.sid is not None:
            taken[peer.sid] = f"Node {node.name}"
        if problem is not None:
            notes.append(Note(Subject(Kind.NODE, node.name), *problem))
        peers[node.name] = peer
    if settings.has_tunnels:
        peers = {name: _with_ends(peer, settings, taken, notes) for name, peer in peers.items()}
    peers = dict(sorted(peers.items()))
    for name, peer in peers.items():
        for address in {*peer.addresses, *([peer.ip] if peer.ip else [])}:
            owners[address] = (*owners.get(address, ()), name)
    prefixes = dict.fromkeys(prefix for peer in peers.values() for prefix in peer.pod_prefixes)
    strays = tuple(prefix for prefix in prefixes if not settings.pod_subnet.covers(prefix))
    return Topology(own_name, peers, owners, taken, strays, tuple(notes), unread)


def _with_ends(peer: Peer, settings: Settings, taken: dict[str, str], notes: list[Note]) -> Peer:
    """The peer with the SIDs that end tunnels to it, unless they are taken."""
    if peer.ip is None:
        return peer
    ends: list[str | None] = []
    for kind, prefix in (("pods", settings.sid.tunnel_pod), ("host", settings.sid.tunnel_host)):
        sid, mine = sids.sid_of(prefix, peer.ip), f"the tunnel to the {kind} of Node {peer.name}"
        owner = taken.setdefault(sid, mine)
        ends.append(sid if owner == mine else None)
        if owner != mine:
            text = f"SID {sid} is taken by {owner}; there is no tunnel to its {kind}"
            notes.append(Note(Subject(Kind.NODE, peer.name), Reason.SID_COLLISION, text))
    return replace(peer, pod_end=ends[0], host_end=ends[1])


def _peer(
    node: Node, record: NodeRecord | None, settings: Settings
) -> tuple[Peer, tuple[Reason, str] | None]:
    """The peer of a node, and what is wrong with it as (reason, text)."""
    prefixes = tuple(Prefix.parse_any(text) for text in node.pod_cidrs)
    problem = None
    try:
        node_id = node_id_of(prefixes, settings) if record is None else record.id
        if record is not None:  # a part of podSubnetCIDR must have this number
            one_node_subnet(settings.pod_subnet, settings.pod_subnet_one_node_len, record.id)
        if node_id is None and not node.node_ip:
            problem = f"spec.podCIDR: {_NO_PART}; its endpoints are left out"
    except ValueError as error:
        node_id, problem = None, f"Contiv's record: {error}"
    ip = node.node_ip or (record.ip if record is not None else None)
    if not ip and node_id is not None:
        try:
            ip = node_ip_of(node_id, settings)
        except ValueError as error:
            field = "spec.podCIDR" if record is None else f"Contiv's record with id {node_id}"
            problem = f"{field}: {error}"
    sid = sids.sid_of(settings.sid.node, ip) if ip else None
    peer = Peer(node.name, node_id, ip or None, sid, prefixes, node.zone, node.addresses)
    return peer, (Reason.NODE_ADDRESS_UNKNOWN, problem) if problem is not None else None


def address_of(node: Node, record: NodeRecord | None, settings: Settings) -> str | None:
    """A node's address on the interconnect, as far as it is known."""
    return _peer(node, record, settings)[0].ip


_NO_PART = "no pod CIDR of this node is a one-node part of podSubnetCIDR"


def node_id_of(pod_prefixes: Iterable[Prefix], settings: Settings) -> int | None:
    """Index of the node's pod CIDR in podSubnetCIDR; index 0 is id 2^bits (defect D15)."""
    length = settings.pod_subnet_one_node_len
    for prefix in pod_prefixes:
        if prefix.length == length and settings.pod_subnet.covers(prefix):
            index = (prefix.network ^ settings.pod_subnet.network) >> (128 - length)
            return index or 1 << (length - settings.pod_subnet.length)
    return None


def node_ip_of(node_id: int, settings: Settings) -> str:
    """The node's host of nodeInterconnectCIDR; a gateway *inside* it is skipped (defect D14).

    Raises:
        ValueError: the id does not fit.
    """
    interconnect = settings.node_interconnect
    address = interconnect.host(node_id)
    gateway = settings.default_gateway
    if gateway is not None and gateway in interconnect and to_int(gateway) <= to_int(address):
        address = interconnect.host(node_id + 1)
    return address


def host_end_of(node_id: int, settings: Settings) -> str:
    """The Linux end of the host interconnect: host 2 of the node's part of vppHostSubnetCIDR.

    Raises:
        ValueError: the id does not fit.
    """
    return one_node_subnet(settings.host_subnet, settings.host_subnet_one_node_len, node_id).host(2)


def one_node_subnet(subnet: Prefix, length: int, node_id: int) -> Prefix:
    """The node's part of a cluster-wide subnet; id 2^bits is part 0 (rule N9).

    Raises:
        ValueError: the id does not fit.
    """
    parts = 1 << (length - subnet.length)
    if not 0 < node_id <= parts:
        raise ValueError(f"node id {node_id} does not fit into {subnet} by /{length}")
    return Prefix(subnet.network | (node_id % parts) << (128 - length), length)
