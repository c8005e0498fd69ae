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
    """A packet with the header that encapsulation added; the source is "" if it is not known."""

    source: str
    destination: str
    protocol: str
    port: int
    outer: Outer | None = None

    @property
    def headers(self) -> tuple[str, str]:
        """Its own, as lines for people."""
        addresses = f"{self.source or 'client'} > {self.destination}"
        return addresses, f"{self.protocol} port {self.port}"


@dataclass(frozen=True, slots=True)
class Question:
    """Where a packet starts and where it is to go; the source is "" if it is not known."""

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
        address: of the pod that has it, as the port.
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
        return {
            "pod": f"pod {self.address} on {self.node} has it on port {self.port}",
            "host": f"the host of {self.node} has it{', ' + self.why if self.why else ''}",
            "dropped": f"dropped at {self.node}: {self.why}",
            "left": f"it leaves the cluster at {self.node}: {self.why}",
            "unknown": f"not known at {self.node}: {self.why}",
        }[self.kind]


@dataclass(frozen=True, slots=True)
class Hop:
    """One decision on the way.

    Attributes:
        place: ``pod ADDRESS``, ``host``, ``outside`` or ``VRF ID``.
        what: the thing that decides: a prefix, a BSID, a SID, a rule.
        key: the agent's key that says so (``config/...``); "" where none does.
        packet: as it arrives here.
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

    def ways(self, weight: int = 1, of: int = 1) -> Iterator[Way]:
        """Every path from here on, as a part of this one's."""
        if self.end is not None:
            yield Way(weight, of, self.end)
        for branch in self.branches:
            yield from branch.hop.ways(weight * branch.weight, of * branch.of)

    def ends(self) -> tuple[End, ...]:
        """What can become of the packet from here on."""
        return tuple(way.end for way in self.ways())


@dataclass(frozen=True, slots=True)
class Branch:
    """A way on, for ``weight`` of ``of`` connections; "" is the text of the only one."""

    weight: int
    of: int
    text: str
    hop: Hop

    def __str__(self) -> str:
        return f"weight {self.weight} of {self.of}: {self.text}"


@dataclass(frozen=True, slots=True)
class Way:
    """A path through the tree: what becomes of so many of the packets of many connections."""

    weight: int
    of: int
    end: End


@dataclass(frozen=True, slots=True)
class Trace:
    """The path of a packet, and under which assumptions: keys that cannot be read are absent."""

    question: Question
    path: Hop
    assumptions: tuple[str, ...] = ()

    @property
    def is_delivered(self) -> bool:
        """Whether at least one way leads to a pod or a host."""
        return any(end.is_delivered for end in self.path.ends())
