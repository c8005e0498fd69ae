"""The path of a packet through the nodes that agents' keys make.

Rule: it reads keys and values only and knows nothing of how they came to be, so that it tells what
is, not what was meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from srv6kv.net.addresses import is_ipv4
from srv6kv.trace.hops import Branch, End, Hop, Packet, Question, Site, Trace
from srv6kv.trace.state import Node, node_of
from srv6kv.trace.walk import Walk

__all__ = ["Network", "Question", "Site", "Trace"]

Choices = Sequence[tuple[str, int]]
"""Addresses and ports of the endpoints among which kube-proxy chooses."""


class Network:
    """Nodes that are joined by their uplinks."""

    def __init__(self, sites: Iterable[Site]) -> None:
        self._nodes = {site.name: node_of(site) for site in sites}
        self._walk = Walk(self._nodes, _uplinks(self._nodes))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the nodes."""
        return tuple(sorted(self._nodes))

    def sender(self, node: str, *, ipv4: bool) -> str:
        """The address that a node's host sends with to one family; "" if it is not known."""
        return next((one for one in self._nodes[node].hosts if is_ipv4(one) == ipv4), "")

    def pods(self, node: str) -> tuple[str, ...]:
        """Addresses of a node's pods that packets can start from."""
        found = self._nodes[node]
        behind = (end.addresses for name, end in found.ends.items() if not found.is_host(name))
        return tuple(sorted(address for addresses in behind for address in addresses))

    def trace(self, question: Question, choices: Choices | None = None) -> Trace:
        """What can become of the first packet of a connection.

        Args:
            choices: the endpoints of a service that a host asks for; None: it asks for none.

        Raises:
            KeyError: there is no such node, or no such pod on it.
        """
        if choices is not None and question.sender == "host":
            path = self._chosen(question, choices)
        else:
            path = self._answered(question, _packet(question))
        nodes = self._nodes.values()
        unread = [f"Node {node.name}: {text}" for node in nodes for text in node.unread]
        return Trace(question, path, (*unread, *_assumed(question, path)))

    def _answered(self, question: Question, packet: Packet) -> Hop:
        return _with_replies(self._walked(question, packet), lambda end: self._back(packet, end))

    def _walked(self, question: Question, packet: Packet) -> Hop:
        match question.sender:
            case "host":
                return self._walk.from_host(question.node, packet)
            case "outside":
                return self._walk.from_outside(question.node, packet)
        interface = self._nodes[question.node].interface_of(packet.source)
        if interface is None:
            raise KeyError(packet.source)
        return self._walk.from_pod(question.node, interface, packet)

    def _chosen(self, question: Question, choices: Choices) -> Hop:
        """kube-proxy on the host has put an endpoint's address in place of the service's."""
        packet, node, of = _packet(question), question.node, len(choices)
        does = f"kube-proxy chooses 1 of {of}" if choices else "no endpoint"
        hop = Hop(node, "host", "choice", question.destination, does, "", packet)
        if not choices:
            end = End("dropped", node, why="kube-proxy has no endpoint for it")
            return replace(hop, end=end)
        branches = []
        for address, port in choices:
            chosen = replace(packet, destination=address, port=port)
            text = f"{address} port {port}" if of > 1 else ""
            branches.append(Branch(1, of, text, self._answered(question, chosen)))
        return replace(hop, branches=tuple(branches))

    def _back(self, asked: Packet, end: End) -> Hop | None:
        """Walk an answer back from the address that was asked; None if the client is not known."""
        if not asked.source:
            return None
        packet = Packet(asked.destination, asked.source, asked.protocol, 0)
        if end.kind == "host":
            return self._walk.from_host(end.node, packet)
        interface = self._nodes[end.node].interface_of(end.address)
        assert interface is not None
        return self._walk.from_pod(end.node, interface, packet)


def _assumed(question: Question, path: Hop) -> Iterator[str]:
    """What the kernel of a pod must do that no key says: over IPv4 it drops what has an address of
    its own as its source, unless a setting of the pod accepts that."""
    source = question.source
    if source != question.destination and is_ipv4(source):
        for end in path.ends():
            if end.kind == "pod" and end.address == source:
                yield (
                    f"Node {end.node}: pod {source} takes in what has its own address as its source"
                    " (net.ipv4.conf.all.accept_local)"
                )
                return


def _packet(question: Question) -> Packet:
    return Packet(question.source, question.destination, question.protocol, question.port)


def _with_replies(path: Hop, back: Callable[[End], Hop | None]) -> Hop:
    """The path, with the reply in each end that has the packet; ``back`` finds it."""
    if path.end is not None and path.end.is_delivered:
        return replace(path, end=replace(path.end, reply=_line_of(back(path.end))))
    branches = (replace(one, hop=_with_replies(one.hop, back)) for one in path.branches)
    return replace(path, branches=tuple(branches))


def _line_of(path: Hop | None) -> str:
    """An answer's path in one line: it never meets the service's policy, but may ride a tunnel."""
    if path is None:
        return "to the client outside by the network's own routes, not encapsulated"
    return f"{path.packet.source} to {path.packet.destination}: {', '.join(_parts(path))}"


def _parts(path: Hop) -> Iterator[str]:
    hop = path
    is_tunnelled = False
    while hop.branches:
        if hop.kind == "policy":
            is_tunnelled = True
            yield f"tunnel {hop.what} from {hop.node}"
        elif hop.kind == "localsid":
            yield f"ends at {hop.what} on {hop.node}"
        hop = hop.branches[0].hop
    if not is_tunnelled:
        yield "plain routes"
    assert hop.end is not None
    to = {"pod": f"to pod {hop.end.address}", "host": f"to the host of {hop.end.node}"}
    yield to.get(hop.end.kind, str(hop.end))


def _uplinks(nodes: Mapping[str, Node]) -> dict[str, tuple[str, int]]:
    """Who has an address of VPP's own; where no key says so, who has the localsid behind it."""
    found = dict(_next_hops(nodes))
    for node in nodes.values():
        found |= {address: (node.name, vrf) for address, vrf in node.uplinks.items()}
    return found


def _next_hops(nodes: Mapping[str, Node]) -> Iterator[tuple[str, tuple[str, int]]]:
    owners: dict[str, list[str]] = {}
    for node in nodes.values():
        for sid in node.localsids if not node.has_uplink else ():
            owners.setdefault(f"{sid}/128", []).append(node.name)
    for node in nodes.values():
        for route in node.routes:
            owner = owners.get(route.dst_network, [])
            if len(owner) == 1 and route.next_hop_addr not in ("", "::"):
                yield route.next_hop_addr, (owner[0], nodes[owner[0]].main_vrf)
