"""The path of a packet through the nodes that agents' keys make.

Rule: it reads keys and values only and knows nothing of how they came to be, so that it tells what
is, not what was meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from srv6kv.net.addresses import is_ipv4
from srv6kv.trace.hops import Branch, End, Hop, Packet, Question, Site, Trace
from srv6kv.trace.reply import with_replies
from srv6kv.trace.state import Node, node_of
from srv6kv.trace.walk import Walk

__all__ = ["Network", "Question", "Site", "Trace"]

Choices = Sequence[tuple[str, int]]
"""Addresses and ports of the endpoints among which kube-proxy chooses."""


class Network:
    """Nodes that are joined by their uplinks.

    Args:
        sites: one for each node.
    """

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
            question: where it starts and where it is to go.
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
        return Trace(question, path, tuple(unread))

    def _answered(self, question: Question, packet: Packet) -> Hop:
        path = self._walked(question, packet)
        return with_replies(path, lambda end: self._back(packet, end))

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
        packet = _packet(question)
        what, node = question.destination, question.node
        if not choices:
            end = End("dropped", node, why="kube-proxy has no endpoint for it")
            return Hop(node, "host", "choice", what, "no endpoint", "", packet, end=end)
        does = f"kube-proxy chooses 1 of {len(choices)}"
        branches = []
        for address, port in choices:
            chosen = replace(packet, destination=address, port=port)
            text = f"{address} port {port}" if len(choices) > 1 else ""
            onward = self._answered(question, chosen)
            branches.append(Branch(1, len(choices), text, onward))
        return Hop(node, "host", "choice", what, does, "", packet, tuple(branches))

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


def _packet(question: Question) -> Packet:
    return Packet(question.source, question.destination, question.protocol, question.port)


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
