"""What packets do with the values that the agents of a cluster have: VPP's forwarding, the pods'
iptables and nothing else.

Rule: as ``vppnode``: it knows nothing of srv6kv, and raises rather than skips.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv6Address

from vppnode import (
    Attached,
    Broken,
    Drop,
    Hop,
    LinuxEnd,
    Node,
    Own,
    Rule,
    Sid,
    Steer,
    Unknown,
    Values,
    Via,
)

__all__ = [
    "Broken",
    "Delivered",
    "Dropped",
    "Left",
    "Network",
    "Outcome",
    "ToHost",
    "Unknown",
    "delivered",
    "trace",
]

LONGEST_WAY = 32


@dataclass(frozen=True, slots=True, order=True)
class Delivered:
    """A pod's application got the packet."""

    node: str
    address: str
    port: int


@dataclass(frozen=True, slots=True, order=True)
class ToHost:
    """The host of a node got the packet, with its destination as it was."""

    node: str


@dataclass(frozen=True, slots=True, order=True)
class Dropped:
    """Nobody got the packet."""

    because: str


@dataclass(frozen=True, slots=True, order=True)
class Left:
    """It has left the nodes by an interface of this one, to a neighbour that is none of them."""

    node: str


Outcome = Delivered | ToHost | Dropped | Left


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet on its way.

    Attributes:
        destination: of the inner header.
        outer: destination of the outer header; None: not encapsulated.
        left: the segments after the outer destination, in order.
        has_srh: whether the outer header carries an SRH.
        table: where the node that encapsulated it looks up its further segments.
        untouched_by: node and namespace that sent and track it; their NAT does not see it again.
    """

    destination: str
    protocol: str
    port: int
    outer: str | None = None
    left: tuple[str, ...] = ()
    has_srh: bool = False
    table: tuple[str, int] | None = None
    untouched_by: tuple[str, str] | None = None


class Network:
    """All nodes of a cluster, joined by their uplinks.

    Args:
        nodes: the values of each node's agent by short key.
        outer_lookup: where a packet is looked up after encapsulation: ``policy``, in the policy's
            VRF (VPP 21.06 and later), or ``interface``, in the VRF that it came in by.
    """

    def __init__(self, nodes: Mapping[str, Values], outer_lookup: str = "policy") -> None:
        assert outer_lookup in ("policy", "interface")
        self._is_by_policy = outer_lookup == "policy"
        self._nodes = {name: Node(name, values) for name, values in nodes.items()}
        self._uplinks: dict[str, tuple[Node, int]] = {}
        for node in self._nodes.values():
            for interface in node.interfaces.values():
                for address in interface.addresses:
                    if str(address.ip) in self._uplinks:
                        raise Broken(f"two nodes have the address {address.ip}")
                    self._uplinks[str(address.ip)] = (node, interface.vrf)

    def trace(
        self, from_node: str, from_pod: str | None, destination: str, protocol: str, port: int
    ) -> frozenset[Outcome]:
        """What can become of a new connection's first packet, one outcome for each way.

        Args:
            from_node: where it is sent.
            from_pod: the sending pod's address; None: the host of the node.
            destination: an address.
            protocol: ``TCP``, ``UDP`` or ``SCTP``.
            port: of the destination.
        """
        node = self._nodes[from_node]
        packet = Packet(destination, protocol.lower(), port)
        if from_pod is None:
            vrf = node.interfaces["tap-vpp2"].vrf
        else:
            interface = node.interface_of_pod(from_pod)
            vrf = node.interfaces[interface].vrf
            namespace = node.ends[interface].namespace
            assert namespace is not None
            is_tracked = not any(
                IPv6Address(destination) in rule.destination
                for rule in node.rules(namespace, "RAW", "OUTPUT")
            )
            if destination in node.ends[interface].addresses:
                return frozenset({Delivered(node.name, destination, port)})
            packet = replace(packet, untouched_by=(node.name, namespace) if is_tracked else None)
        return frozenset(self._look_up(node, vrf, vrf, packet, LONGEST_WAY))

    def _look_up(
        self, node: Node, vrf: int, incoming: int, packet: Packet, budget: int
    ) -> Iterator[Outcome]:
        """The packet is to be looked up in a VRF; it came into the node by ``incoming``."""
        if not budget:
            yield Dropped("loop")
            return
        action = node.table(vrf).look_up(packet.outer or packet.destination)
        match action:
            case None:
                yield Dropped(f"no route in VRF {vrf}")
            case Drop():
                yield Dropped("drop route")
            case Own():
                yield Dropped("for VPP itself")
            case Via(other):
                yield from self._look_up(node, other, incoming, packet, budget - 1)
            case Steer(bsid):
                yield from self._encapsulate(node, bsid, incoming, packet, budget)
            case Sid():
                yield from self._end(node, action, incoming, packet, budget)
            case Hop(interface, next_hop):
                yield from self._send(node, interface, next_hop, packet, budget)
            case Attached(interface) if interface in node.ends:
                yield self._reach(node, interface, packet)
            case Attached():
                address = packet.outer or packet.destination
                yield from self._send(node, "", address, packet, budget)

    def _encapsulate(
        self, node: Node, bsid: str, incoming: int, packet: Packet, budget: int
    ) -> Iterator[Outcome]:
        if packet.outer is not None:
            raise Unknown(f"a packet to {packet.outer} is encapsulated twice")
        policy = node.policies[bsid]
        vrf = policy.vrf if self._is_by_policy else incoming
        for segments in policy.lists:
            wrapped = replace(
                packet,
                outer=segments[0],
                left=segments[1:],
                has_srh=len(segments) > 1,
                table=(node.name, vrf),
            )
            yield from self._look_up(node, vrf, incoming, wrapped, budget - 1)

    def _end(
        self, node: Node, sid: Sid, incoming: int, packet: Packet, budget: int
    ) -> Iterator[Outcome]:
        if packet.outer is None:
            yield Dropped(f"not encapsulated, at a {sid.function}")
        elif sid.function == "base_end_function":
            if not packet.has_srh or not packet.left:
                yield Dropped("End without a segment left")
                return
            inner = replace(packet, outer=packet.left[0], left=packet.left[1:])
            is_own = packet.table is not None and packet.table[0] == node.name
            vrf = packet.table[1] if is_own and packet.table else incoming
            yield from self._look_up(node, vrf, incoming, inner, budget - 1)
        elif packet.left:
            yield Dropped(f"{sid.function} with segments left")
        else:
            bare = replace(packet, outer=None, has_srh=False, table=None)
            if sid.function == "end_function_dt6":
                yield from self._look_up(node, sid.vrf, incoming, bare, budget - 1)
            else:
                yield self._deliver(node, sid.interface, sid.next_hop, bare)

    def _send(
        self, node: Node, interface: str, next_hop: str, packet: Packet, budget: int
    ) -> Iterator[Outcome]:
        if interface:
            if packet.outer is not None:
                yield Dropped(f"encapsulated, to the pod behind {interface}")
            else:
                yield self._deliver(node, interface, next_hop, packet)
            return
        other, vrf = self._uplinks.get(next_hop, (None, 0))
        if other is None:
            yield Left(node.name)
        elif other is node:
            raise Broken(f"{node.name} sends to itself by {next_hop}")
        else:
            yield from self._look_up(other, vrf, vrf, packet, budget - 1)

    def _reach(self, node: Node, interface: str, packet: Packet) -> Outcome:
        """What is behind a TAP in whose network the packet's destination is; VPP asks for it."""
        end = node.ends[interface]
        if packet.outer is not None:
            return Dropped(f"encapsulated, to what is behind {interface}")
        if end.namespace is not None:
            return self._enter_pod(node, end, packet)
        is_host = packet.destination in end.addresses
        return ToHost(node.name) if is_host else Dropped(f"the host is not {packet.destination}")

    def _deliver(self, node: Node, interface: str, next_hop: str, packet: Packet) -> Outcome:
        end = node.ends.get(interface)
        if end is None:
            return Dropped(f"nothing is behind {interface}")
        if end.namespace is None:
            is_host = next_hop in end.addresses
            return ToHost(node.name) if is_host else Dropped(f"the host is not {next_hop}")
        if (interface, next_hop) not in node.neighbours:
            return Dropped(f"no static neighbour {next_hop} on {interface}")
        return self._enter_pod(node, end, packet)

    def _enter_pod(self, node: Node, end: LinuxEnd, packet: Packet) -> Outcome:
        address, port = packet.destination, packet.port
        assert end.namespace is not None
        if packet.untouched_by != (node.name, end.namespace):
            for rule in node.rules(end.namespace, "NAT", "PREROUTING"):
                if _matches(rule, packet):
                    assert rule.target is not None
                    address, port = rule.target[0], rule.target[1] or packet.port
                    break
        if address not in end.addresses:
            return Dropped("closed: the pod does not answer for this address and port")
        return Delivered(node.name, address, port)


def _matches(rule: Rule, packet: Packet) -> bool:
    return (
        IPv6Address(packet.destination) in rule.destination
        and packet.protocol == rule.protocol
        and packet.port in rule.ports
    )


def trace(
    nodes: Mapping[str, Values],
    from_node: str,
    from_pod: str | None,
    destination: str,
    protocol: str,
    port: int,
    outer_lookup: str = "policy",
) -> frozenset[Outcome]:
    """What can become of a packet in the network that these values make."""
    network = Network(nodes, outer_lookup)
    return network.trace(from_node, from_pod, destination, protocol, port)


def delivered(outcomes: Iterable[Outcome]) -> set[Outcome]:
    """The outcomes in which somebody got the packet."""
    return {outcome for outcome in outcomes if not isinstance(outcome, Dropped | Left)}
