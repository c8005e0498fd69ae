"""The path of a packet, as plain values: what ``trace`` answers.

A path is a tree of hops. A hop is one decision: a key of an agent, a rule in a pod, a choice of
kube-proxy. Where several ways are open there is one branch for each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

Sender = Literal["pod", "host", "outside"]
Kind = Literal[
    "send", "choice", "rules", "steering", "policy", "localsid", "route", "drop", "receive", "lost"
]


@dataclass(frozen=True, slots=True)
class Site:
    """A node as its agent's keys make it, and what is known of it besides.

    Attributes:
        name: of the node.
        values: key (``config/...``) to decoded JSON, in any spelling that the agent reads.
        addresses: of its uplink; those in the agent's keys need not be repeated.
        hosts: of its host, the one that it sends with first.
        main_vrf: where the uplink and the host are, unless the keys say otherwise.
        pod_vrf: where pods are, unless the keys say otherwise.
    """

    name: str
    values: Mapping[str, Any]
    addresses: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    main_vrf: int = 0
    pod_vrf: int = 1


@dataclass(frozen=True, slots=True)
class Outer:
    """The header that encapsulation adds.

    Attributes:
        segments: those of the segment routing header, in the order of travel; none without one.
        left: how many of them come after the destination.
    """

    source: str
    destination: str
    segments: tuple[str, ...] = ()
    left: int = 0

    def advanced(self) -> Outer:
        """As End sends it on; there must be a segment left."""
        destination = self.segments[len(self.segments) - self.left]
        return replace(self, destination=destination, left=self.left - 1)


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet: its own headers and the outer ones, if it is encapsulated.

    Attributes:
        source: "" if it is not known.
        protocol: ``TCP``, ``UDP`` or ``SCTP``.
        port: of the destination.
    """

    source: str
    destination: str
    protocol: str
    port: int
    outer: Outer | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """Where a packet starts and where it is to go.

    Attributes:
        node: the node that it starts at.
        source: address of the sender; "" if it is not known.
    """

    node: str
    sender: Sender
    source: str
    destination: str
    protocol: str
    port: int


@dataclass(frozen=True, slots=True)
class End:
    """What becomes of a packet.

    Attributes:
        kind: ``pod``: its application has it; ``host``: the host of the node has it, where
            kube-proxy goes on; ``dropped``; ``left``: it has left the cluster; ``unknown``: trace
            does not know what a key does.
        address: of the pod that has it.
        port: of the pod that has it.
        why: of what is neither pod nor host.
        reply: the way back in one line; "" where there is no answer.
    """

    kind: Literal["pod", "host", "dropped", "left", "unknown"]
    node: str
    address: str = ""
    port: int = 0
    why: str = ""
    reply: str = ""

    @property
    def is_delivered(self) -> bool:
        """Whether a pod or a host got the packet."""
        return self.kind in ("pod", "host")

    def __str__(self) -> str:
        match self.kind:
            case "pod":
                return f"pod {self.address} on {self.node} has it on port {self.port}"
            case "host":
                return f"the host of {self.node} has it{', ' + self.why if self.why else ''}"
            case "left":
                return f"it leaves the cluster at {self.node}: {self.why}"
            case "dropped":
                return f"dropped at {self.node}: {self.why}"
        return f"not known at {self.node}: {self.why}"


@dataclass(frozen=True, slots=True)
class Hop:
    """One decision on the way.

    Attributes:
        node: name of the node.
        place: ``pod ADDRESS``, ``host``, ``outside`` or ``VRF ID``.
        what: the thing that decides: a prefix, a BSID, a SID, a rule.
        does: what it does with the packet.
        key: the agent's key that says so (``config/...``); "" where none does.
        packet: as it arrives here.
        branches: the ways on; none at the end.
        end: what becomes of it here; None: it goes on.
    """

    node: str
    place: str
    kind: Kind
    what: str
    does: str
    key: str
    packet: Packet
    branches: tuple[Branch, ...] = ()
    end: End | None = None


@dataclass(frozen=True, slots=True)
class Branch:
    """One way on from a hop.

    Attributes:
        weight: its part of ``of``: of the packets of many connections.
        text: what tells it from the others; "" for the only way.
    """

    weight: int
    of: int
    text: str
    hop: Hop


@dataclass(frozen=True, slots=True)
class Way:
    """A path through the tree, from the sender to one end.

    Attributes:
        weight: its part of ``of``.
        hops: in order, each with the text of the branch that led to it.
    """

    weight: int
    of: int
    hops: tuple[tuple[str, Hop], ...]
    end: End


@dataclass(frozen=True, slots=True)
class Trace:
    """The path of a packet.

    Attributes:
        notes: what could not be read and what was assumed.
    """

    question: Question
    path: Hop
    notes: tuple[str, ...] = ()

    def ways(self) -> tuple[Way, ...]:
        """Every path through the tree."""
        return tuple(_ways(self.path, "", 1, 1))

    def ends(self) -> tuple[End, ...]:
        """What can become of the packet."""
        return tuple(way.end for way in self.ways())

    @property
    def is_delivered(self) -> bool:
        """Whether at least one way leads to a pod or a host."""
        return any(end.is_delivered for end in self.ends())


def _ways(hop: Hop, text: str, weight: int, of: int) -> Iterator[Way]:
    if hop.end is not None:
        yield Way(weight, of, ((text, hop),), hop.end)
    for branch in hop.branches:
        for way in _ways(branch.hop, branch.text, weight * branch.weight, of * branch.of):
            yield replace(way, hops=((text, hop), *way.hops))
