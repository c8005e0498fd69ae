"""A packet's walk through the tables of the nodes, one decision after the other.

Rules of VPP: an encapsulated packet is looked up in its policy's VRF (VPP rule V11, VPP 21.06 and
later); End needs a segment left, and every other end function none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from srv6kv.ligato.values import LocalSid, Namespace, Policy, Route, SegmentList, Steering
from srv6kv.net.addresses import is_ipv4
from srv6kv.trace.hops import Branch, End, Hop, Kind, Outer, Packet
from srv6kv.trace.rules import first_met
from srv6kv.trace.state import Connected, Entry, LinuxEnd, Node, Own

LONGEST = 32
"""Decisions after which a packet goes round in circles: more than its hop limit would last."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a packet is.

    Attributes:
        vrf: in which it is looked up next.
        entered: the VRF in which it came into the node.
        tracked: node and interface of the pod that sent it and tracks the connection.
        left: how many decisions it may still meet.
    """

    node: Node
    vrf: int
    entered: int
    packet: Packet
    tracked: tuple[str, str] | None = None
    left: int = LONGEST

    @property
    def address(self) -> str:
        """What is looked up."""
        outer = self.packet.outer
        return outer.destination if outer is not None else self.packet.destination

    def hop(self, kind: Kind, what: str, does: str, key: str = "", *, place: str = "") -> Hop:
        """A decision here, without what it leads to."""
        return Hop(self.node.name, place or f"VRF {self.vrf}", kind, what, does, key, self.packet)

    def lost(self, what: str, why: str, key: str = "", kind: Kind = "lost") -> Hop:
        """The packet is dropped."""
        hop = self.hop(kind, what, "drops", key)
        return replace(hop, end=End("dropped", self.node.name, why=why))

    def unknown(self, what: str, why: str, key: str) -> Hop:
        """trace does not know what a key does."""
        hop = self.hop("lost", what, "is not known to trace", key)
        return replace(hop, end=End("unknown", self.node.name, why=why))


def _then(hop: Hop, onward: Hop) -> Hop:
    return replace(hop, branches=(Branch(1, 1, "", onward),))


class Walk:
    """Packets among nodes that are joined by their uplinks.

    Args:
        uplinks: addresses of VPP's own, with node and VRF.
    """

    def __init__(self, nodes: Mapping[str, Node], uplinks: Mapping[str, tuple[str, int]]) -> None:
        self._nodes = nodes
        self._uplinks = uplinks

    # Where it starts ----------------------------------------------------------------------------

    def from_pod(self, name: str, interface: str, packet: Packet) -> Hop:
        """A pod sends; it is behind this interface of the node."""
        node = self._nodes[name]
        end = node.ends[interface]
        namespace = end.namespace or Namespace()
        vrf = node.vrfs.get(interface, node.site.pod_vrf)
        spot = Spot(node, vrf, vrf, packet)
        # An answer has the address of the service as its source.
        is_own = packet.source in end.addresses
        place = f"pod {packet.source if is_own else min(end.addresses)}"
        send = spot.hop("send", packet.source, "sends", place=place)
        if packet.destination in end.addresses:
            return _then(send, _received(spot, packet))
        met = first_met(node.chains, ("RAW", "OUTPUT"), namespace, interface, packet)
        if met is None:
            return _then(send, self._look_up(replace(spot, tracked=(name, interface))))
        key, rule = met
        if rule.destination is None:
            return _then(send, spot.unknown(rule.text, f"rule {rule.text!r}", key))
        what = "CT --notrack"
        mark = spot.hop("rules", what, "so that its own NAT is passed by", key, place=place)
        return _then(send, _then(mark, self._look_up(spot)))

    def from_host(self, name: str, packet: Packet) -> Hop:
        """The host of a node sends into VPP; to itself it does not need VPP."""
        node = self._nodes[name]
        spot = Spot(node, node.main_vrf, node.main_vrf, packet)
        send = spot.hop("send", "host", "sends", place="host")
        if packet.destination in node.hosts:
            return _then(send, _at_host(spot, "without VPP"))
        return _then(send, self._look_up(spot))

    def from_outside(self, name: str, packet: Packet) -> Hop:
        """Something outside the cluster sends to a node's uplink."""
        node = self._nodes[name]
        spot = Spot(node, node.main_vrf, node.main_vrf, packet)
        send = spot.hop("send", "outside", "sends", place="outside")
        return _then(send, self._look_up(spot))

    # Look-up ------------------------------------------------------------------------------------

    def _look_up(self, spot: Spot) -> Hop:
        if not spot.left:
            return spot.lost(spot.address, "it goes round in circles")
        spot = replace(spot, left=spot.left - 1)
        entry = spot.node.look_up(spot.vrf, spot.address)
        if entry is None or _is_at_its_host(spot, entry.action):
            return _no_entry(spot)
        match entry.action:
            case Own():
                return spot.lost(str(entry.prefix), "it is for VPP itself", entry.key)
            case Connected(interface):
                return self._to_neighbour(spot, entry, interface, spot.address)
            case Steering() as steering:
                return self._steer(spot, entry, steering)
            case LocalSid() as sid:
                return self._localsid(spot, entry, sid)
            case Route() as route:
                return self._route(spot, entry, route)

    def _steer(self, spot: Spot, entry: Entry, steering: Steering) -> Hop:
        bsid = steering.policy_bsid
        policy = spot.node.policies[bsid]
        hop = spot.hop("steering", str(entry.prefix), f"into policy {bsid}", entry.key)
        at = replace(spot, vrf=policy.installation_vrf_id)
        if bsid in spot.node.spraying or not policy.srh_encapsulation:
            kind = "sprays" if bsid in spot.node.spraying else "inserts its header"
            return _then(hop, at.unknown(bsid, f"policy {bsid} {kind}", policy.key))
        if spot.packet.outer is not None:
            why = f"policy {bsid} encapsulates what is encapsulated already"
            return _then(hop, at.unknown(bsid, why, policy.key))
        return _then(hop, self._encapsulate(at, policy))

    def _encapsulate(self, spot: Spot, policy: Policy) -> Hop:
        lists = policy.segment_lists
        if not lists:
            return spot.lost(policy.bsid, "its policy has no segment list", policy.key)
        does = (
            f"chooses 1 of {len(lists)} lists, encapsulates" if len(lists) > 1 else "encapsulates"
        )
        hop = spot.hop("policy", policy.bsid, does, policy.key)
        weights = [item.weight or 1 for item in lists]
        branches = []
        for weight, item in zip(weights, lists, strict=True):
            text = f"< {', '.join(item.segments)} >" if len(lists) > 1 else ""
            packet = replace(spot.packet, outer=_outer(spot.node, item))
            onward = self._look_up(replace(spot, packet=packet, entered=spot.vrf))
            branches.append(Branch(weight, sum(weights), text, onward))
        return replace(hop, branches=tuple(branches))

    # Localsids ----------------------------------------------------------------------------------

    def _localsid(self, spot: Spot, entry: Entry, sid: LocalSid) -> Hop:
        outer = spot.packet.outer
        if outer is None:
            return spot.lost(sid.sid, "it is not encapsulated, at a localsid", entry.key)
        if sid.base_end_function is not None:
            if not outer.left:
                return spot.lost(sid.sid, "End without a segment left", entry.key)
            onward = outer.advanced()
            hop = spot.hop("localsid", sid.sid, f"End: on to {onward.destination}", entry.key)
            packet = replace(spot.packet, outer=onward)
            return _then(hop, self._look_up(replace(spot, packet=packet, vrf=spot.entered)))
        if outer.left:
            return spot.lost(sid.sid, "decapsulation with segments left", entry.key)
        return self._decapsulate(spot, entry, sid)

    def _decapsulate(self, spot: Spot, entry: Entry, sid: LocalSid) -> Hop:
        inner = replace(spot, packet=replace(spot.packet, outer=None))
        kind = next(iter(sid.end_functions), None)
        if kind is None or not kind.inner:
            return spot.unknown(sid.sid, f"the end function of localsid {sid.sid}", entry.key)
        if is_ipv4(spot.packet.destination) != (kind.inner == "IPV4"):
            why = "decapsulation for the other family of IP"
            return spot.lost(sid.sid, why, entry.key)
        table = sid.look_up
        if table is not None:
            does = f"{kind.keyword}: decapsulates, looks up in VRF {table.vrf_id}"
            hop = spot.hop("localsid", sid.sid, does, entry.key)
            return _then(hop, self._look_up(replace(inner, vrf=table.vrf_id)))
        end = sid.cross_connect
        assert end is not None
        who = "the host" if spot.node.is_host(end.outgoing_interface) else end.next_hop
        does = f"{kind.keyword}: decapsulates, to {who}"
        hop = spot.hop("localsid", sid.sid, does, entry.key)
        return _then(hop, self._send(inner, end.outgoing_interface, end.next_hop))

    # Routes -------------------------------------------------------------------------------------

    def _route(self, spot: Spot, entry: Entry, route: Route) -> Hop:
        prefix, key = str(entry.prefix), entry.key
        match route.type:
            case "DROP":
                is_discard = spot.packet.outer is not None
                why = "discard SID: no endpoint" if is_discard else f"drop route {prefix}"
                return spot.lost(prefix, why, key, "drop")
            case "INTER_VRF":
                hop = spot.hop("route", prefix, f"on in VRF {route.via_vrf_id}", key)
                return _then(hop, self._look_up(replace(spot, vrf=route.via_vrf_id)))
            case "" | "INTRA_VRF":
                next_hop = route.next_hop_addr
                return self._to_neighbour(spot, entry, route.outgoing_interface, next_hop)
        return spot.unknown(prefix, f"route type {route.type}", key)

    def _to_neighbour(self, spot: Spot, entry: Entry, interface: str, next_hop: str) -> Hop:
        prefix = str(entry.prefix)
        if interface in spot.node.ends or spot.node.is_host(interface):
            who = "the host" if spot.node.is_host(interface) else "the pod"
            hop = spot.hop("route", prefix, f"to {who}", entry.key)
            if spot.packet.outer is not None:
                return _then(hop, spot.lost(spot.address, f"encapsulated, to {who}", entry.key))
            is_asked = isinstance(entry.action, Connected)
            return _then(hop, self._send(spot, interface, next_hop, is_asked=is_asked))
        other, vrf = self._uplinks.get(next_hop, ("", 0))
        if not other:
            by = " on ".join(filter(None, (next_hop, interface)))
            hop = spot.hop("route", prefix, f"out by {by}", entry.key)
            end = End("left", spot.node.name, why=f"route {prefix} by {by}")
            return replace(hop, end=end)
        if other == spot.node.name:
            return spot.lost(prefix, f"its next hop {next_hop} is this node", entry.key)
        hop = spot.hop("route", prefix, f"to {other} by {next_hop}", entry.key)
        there = replace(spot, node=self._nodes[other], vrf=vrf, entered=vrf)
        return _then(hop, self._look_up(there))

    # Where it ends ------------------------------------------------------------------------------

    def _send(self, spot: Spot, interface: str, next_hop: str, *, is_asked: bool = False) -> Hop:
        """Decapsulated or never encapsulated, by an interface to what is behind it.

        Args:
            is_asked: whether VPP finds the neighbour by itself.
        """
        node = spot.node
        end = node.ends.get(interface)
        if node.is_host(interface):
            if end is not None and end.has_key and next_hop not in end.addresses:
                return spot.lost(next_hop, f"the host is not {next_hop}")
            return _at_host(spot)
        if end is None or (node.has_attachments and interface not in node.vrfs):
            return spot.lost(next_hop, f"nothing is behind interface {interface}")
        if end.has_key and not is_asked and (interface, next_hop) not in node.neighbours:
            return spot.lost(next_hop, f"no static neighbour {next_hop} on {interface}")
        return _enter_pod(spot, interface, end)


def _enter_pod(spot: Spot, interface: str, end: LinuxEnd) -> Hop:
    packet, node = spot.packet, spot.node
    met = None
    if spot.tracked != (node.name, interface):
        place, namespace = ("NAT", "PREROUTING"), end.namespace or Namespace()
        met = first_met(node.chains, place, namespace, interface, packet)
    if met is None and packet.destination in end.addresses:
        return _received(spot, packet)
    if met is None:
        why = f"the pod does not answer for {packet.destination} port {packet.port}"
        return replace(spot.lost(packet.destination, why), place="pod")
    key, rule = met
    if rule.target is None:
        return spot.unknown(rule.text, f"rule {rule.text!r}", key)
    address, port = rule.target[0], rule.target[1] or packet.port
    translated = replace(packet, destination=address, port=port)
    what, does = f"DNAT {packet.destination}", f"port {packet.port} to port {port}"
    hop = spot.hop("rules", what, does, key, place=f"pod {address}")
    return _then(hop, _received(spot, translated))


def _outer(node: Node, item: SegmentList) -> Outer:
    """One segment needs no routing header (VPP rule V13)."""
    segments = item.segments
    header = segments if len(segments) > 1 else ()
    return Outer(node.encap_source, segments[0], header, len(segments) - 1)


def _is_for_host(spot: Spot) -> bool:
    """Whether the CNI leads it to the host, as far as no key says otherwise."""
    is_bare = spot.packet.outer is None and spot.vrf == spot.node.main_vrf
    return is_bare and spot.address in spot.node.hosts


def _is_at_its_host(spot: Spot, action: object) -> bool:
    """Whether the host has it, though its address is among those of another link's neighbours."""
    is_link = isinstance(action, Connected) and not spot.node.is_host(action.interface)
    return is_link and _is_for_host(spot)


def _no_entry(spot: Spot) -> Hop:
    if _is_for_host(spot):
        hop = spot.hop("route", spot.address, "to the host; the CNI's route, not in the keys")
        return _then(hop, _at_host(spot))
    return spot.lost(spot.address, f"no route in VRF {spot.vrf}")


def _received(spot: Spot, packet: Packet) -> Hop:
    address, port = packet.destination, packet.port
    at = replace(spot, packet=packet)
    hop = at.hop("receive", address, f"has it on port {port}", place=f"pod {address}")
    return replace(hop, end=End("pod", spot.node.name, address, port))


def _at_host(spot: Spot, why: str = "") -> Hop:
    hop = spot.hop("receive", "host", "has it", place="host")
    return replace(hop, end=End("host", spot.node.name, why=why))
