"""Who is in the lab, and under which addresses.

The plan is that of ``examples/seed``, with pods of the lab's own beside the sample's: pods are
``2001:0:0:<node>::<number>`` and ``10.1.<node>.<number>``, hosts ``fd00::10<node>``, clients
outside ``2abc:ffff:<node>::2`` and ``10.9.<node>.2``.
"""

from __future__ import annotations

from dataclasses import dataclass

NODES = (1, 2)


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod: where it is, and which ports it serves."""

    name: str
    node: int
    number: int
    namespace: str = "lab"
    ports: tuple[str, ...] = ("TCP/80", "TCP/8080", "TCP/9000", "UDP/5353")

    @property
    def addresses(self) -> tuple[str, str]:
        """Its addresses, IPv6 first."""
        return f"2001:0:0:{self.node}::{self.number:x}", f"10.1.{self.node}.{self.number}"

    @property
    def sandbox(self) -> str:
        """The part of its interface's name that is its own."""
        return f"{self.namespace}-{self.name}"


_DNS = ("UDP/53", "TCP/53", "TCP/9153")

PODS = (
    Pod("coredns-a", 1, 0x2, "kube-system", _DNS),
    Pod("coredns-b", 1, 0x3, "kube-system", _DNS),
    Pod("myservice-a", 1, 0x5, "default"),
    Pod("myservice-b", 1, 0x6, "default"),
    Pod("podthere-a", 2, 0x7, "default"),
    Pod("client-1", 1, 0xA),
    Pod("client-2", 2, 0xA),
    Pod("web-1a", 1, 0x11),
    Pod("web-1b", 1, 0x12),
    Pod("web-1c", 1, 0x13),
    Pod("web-2a", 2, 0x11),
    Pod("web-2b", 2, 0x12),
    Pod("web-2c", 2, 0x13),
)


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the cluster, and what hangs together with it outside of its pods."""

    number: int

    @property
    def name(self) -> str:
        """Its name in Kubernetes, which is also the agent's label."""
        return f"node{self.number}"

    @property
    def host(self) -> str:
        """The name of its host's side in the lab."""
        return f"host{self.number}"

    @property
    def outside(self) -> str:
        """The name of the client that comes in at its uplink's VRF."""
        return f"outside{self.number}"

    @property
    def address(self) -> str:
        """What VPP has on the interconnect."""
        return f"fe10:f00d::{self.number}"

    @property
    def address4(self) -> str:
        """The same for IPv4, over which the CNI routes the pods' replies."""
        return f"192.168.16.{self.number}"

    @property
    def host_address(self) -> str:
        """Its InternalIP."""
        return f"fd00::10{self.number}"

    @property
    def interconnect(self) -> tuple[str, str]:
        """VPP's and the host's address between the two."""
        return f"2002::{self.number}:1", f"2002::{self.number}:2"

    @property
    def gateways(self) -> tuple[str, str]:
        """What its pods take for their gateway, IPv6 first."""
        return f"2001:0:0:{self.number}::1", f"10.1.{self.number}.1"

    @property
    def pod_cidrs(self) -> tuple[str, str]:
        """The addresses of its pods, IPv6 first."""
        return f"2001:0:0:{self.number}::/64", f"10.1.{self.number}.0/24"

    @property
    def outside_networks(self) -> tuple[str, str]:
        """The link of its client outside, IPv6 first: VPP is host 1, the client host 2."""
        return f"2abc:ffff:{self.number}::/64", f"10.9.{self.number}.0/24"

    @property
    def outside_addresses(self) -> tuple[str, str]:
        """The addresses of its client outside, IPv6 first."""
        return f"2abc:ffff:{self.number}::2", f"10.9.{self.number}.2"

    @property
    def pods(self) -> tuple[Pod, ...]:
        """The pods on it."""
        return tuple(pod for pod in PODS if pod.node == self.number)


def node(number: int) -> Node:
    """The node with that number."""
    return Node(number)


def pod(name: str) -> Pod:
    """The pod with that name."""
    return next(one for one in PODS if one.name == name)


def names() -> tuple[str, ...]:
    """Everybody who has a network namespace: pods, hosts, clients outside."""
    others = [name for one in NODES for name in (Node(one).host, Node(one).outside)]
    return (*(one.name for one in PODS), *others)
