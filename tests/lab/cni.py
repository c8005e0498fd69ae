"""The keys that a CNI writes for a node and its pods, as docs/cni-contract.md has them.

Pods are on TAP interfaces where the kernel has vhost-net, as Contiv makes them; elsewhere on a veth
pair whose one end VPP reads by AF_PACKET.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from lab.topology import NODES, Node, Pod
from srv6kv.ligato import keys

Json = dict[str, Any]
POD_MTU = 1420
"""An uplink of 1500 less an outer header and an SRH of two segments."""
_LINUX_ARP = "config/linux/l3/v2/arp/"
_LINUX_ROUTE = "config/linux/l3/v2/route/"
_PLAIN = {
    "tx_checksum_offloading": "CHKSM_OFFLOAD_DISABLED",
    "rx_checksum_offloading": "CHKSM_OFFLOAD_DISABLED",
}
"""VPP neither completes checksums nor segments; the kernel has to."""


@dataclass(frozen=True, slots=True)
class Link:
    """One point-to-point link between VPP and a namespace.

    Attributes:
        interface: VPP's logical name of its end.
        namespace: the name of the network namespace of the other.
        device: VPP's end in the kernel, if it is a veth; no other in the lab has the name.
        inside: the name of the end in the namespace.
        macs: VPP's and the other end's hardware address.
        mtu: the largest packet.
        vpp: further fields of VPP's end.
        addresses: those in the namespace, with their lengths.
    """

    interface: str
    namespace: str
    device: str
    inside: str
    macs: tuple[str, str]
    mtu: int
    vpp: Json
    addresses: tuple[str, ...]

    @property
    def linux(self) -> str:
        """The agent's logical name of the end in the namespace."""
        if self.inside == "tap-vpp1":
            return self.inside
        return f"linux-{self.interface.removeprefix('vpp-')}"

    def keys(self, *, is_tap: bool) -> dict[str, Json]:
        """The link itself, in VPP and in Linux."""
        vpp = {
            "name": self.interface,
            "enabled": True,
            "mtu": self.mtu,
            "phys_address": self.macs[0],
            **self.vpp,
        }
        linux = {
            "name": self.linux,
            "enabled": True,
            "namespace": {"type": "NSID", "reference": self.namespace},
            "host_if_name": self.inside,
            "phys_address": self.macs[1],
            "mtu": self.mtu,
            "ip_addresses": list(self.addresses),
        }
        if is_tap:
            vpp |= {"type": "TAP", "tap": {"version": 2}}
            linux |= {"type": "TAP_TO_VPP", "tap": {"vpp_tap_if_name": self.interface}}
            return {keys.INTERFACE + self.interface: vpp, keys.LINUX_INTERFACE + self.linux: linux}
        vpp |= {"type": "AF_PACKET", "afpacket": {"linux_interface": self.device}}
        # By interrupts VPP 23.06 leaves the last packets of a burst until others come: of 1,920 UDP
        # calls, 32 at a time, 170 were answered too late, and none by polling.
        vpp["rx_modes"] = [{"default_mode": True, "mode": "POLLING"}]
        linux |= {"type": "VETH", "veth": {"peer_if_name": self.device, **_PLAIN}}
        other = {
            "name": self.device,
            "type": "VETH",
            "enabled": True,
            "host_if_name": self.device,
            "mtu": self.mtu,
            "veth": {"peer_if_name": self.linux, **_PLAIN},
        }
        return {
            keys.INTERFACE + self.interface: vpp,
            keys.LINUX_INTERFACE + self.linux: linux,
            keys.LINUX_INTERFACE + self.device: other,
        }

    def neighbour(self, address: str) -> dict[str, Json]:
        """VPP's static neighbour at the other end."""
        value = {
            "interface": self.interface,
            "ip_address": address,
            "phys_address": self.macs[1],
            "static": True,
        }
        return {f"{keys.ARP}{self.interface}/{address}": value}

    def default(self, gateway: str, *, is_on_link: bool) -> dict[str, Json]:
        """The way out of the namespace.

        Args:
            gateway: VPP's address.
            is_on_link: whether it needs a route and a neighbour of its own.
        """
        every = "::/0" if ":" in gateway else "0.0.0.0/0"
        found: dict[str, Json] = {
            f"{_LINUX_ROUTE}{every}/{self.linux}": {
                "outgoing_interface": self.linux,
                "scope": "GLOBAL",
                "dst_network": every,
                "gw_addr": gateway,
            }
        }
        if not is_on_link:
            return found
        one = str(ip_network(gateway))
        found[f"{_LINUX_ARP}{self.linux}/{gateway}"] = {
            "interface": self.linux,
            "ip_address": gateway,
            "hw_address": self.macs[0],
        }
        found[f"{_LINUX_ROUTE}{one}/{self.linux}"] = {
            "outgoing_interface": self.linux,
            "scope": "LINK",
            "dst_network": one,
        }
        return found


def has_tap(device: Path = Path("/dev/vhost-net")) -> bool:
    """Whether VPP can make TAP interfaces on this machine."""
    return device.exists()


def pod_keys(pod: Pod, node: Node, namespaces: str, links: str, *, is_tap: bool) -> dict[str, Json]:
    """One pod's keys.

    Args:
        pod: the pod.
        node: its node.
        namespaces: how the names of namespaces begin.
        links: how the names of VPP's ends in the kernel begin.
        is_tap: whether it is on a TAP interface.
    """
    macs = _macs(node, pod.number)
    link = Link(
        interface=f"vpp-tap-{pod.sandbox}",
        namespace=namespaces + pod.name,
        device=f"{links}{node.number}{pod.number:02x}",
        inside="eth0",
        macs=macs,
        mtu=POD_MTU,
        vpp={"vrf": 1, "unnumbered": {"interface_with_ip": "podGwLoop"}},
        addresses=tuple(str(ip_network(address)) for address in pod.addresses),
    )
    found = link.keys(is_tap=is_tap)
    for address, gateway in zip(pod.addresses, node.gateways, strict=True):
        found |= link.neighbour(address) | link.default(gateway, is_on_link=True)
        found |= _route(str(ip_network(address)), address, vrf=1, interface=link.interface)
    return found


def node_keys(
    node: Node, namespaces: str, links: str, memif: Path, *, is_tap: bool
) -> dict[str, Json]:
    """A node's keys without its pods: uplink, host, gateway of the pods, a client outside.

    Args:
        node: the node.
        namespaces: how the names of namespaces begin.
        links: how the names of VPP's ends in the kernel begin.
        memif: the socket of the link between the nodes.
        is_tap: whether host and client are on TAP interfaces.
    """
    found: dict[str, Json] = {
        keys.INTERFACE + "uplink": {
            "name": "uplink",
            "type": "MEMIF",
            "enabled": True,
            "mtu": 1500,
            "phys_address": f"02:ee:00:00:00:{node.number:02x}",
            "ip_addresses": [f"{node.address}/90", f"{node.address4}/24"],
            "memif": {"master": node.number == 1, "id": 1, "socket_filename": str(memif)},
            "rx_modes": [{"default_mode": True, "mode": "INTERRUPT"}],
        },
        keys.INTERFACE + "podGwLoop": {
            "name": "podGwLoop",
            "type": "SOFTWARE_LOOPBACK",
            "enabled": True,
            "vrf": 1,
            "ip_addresses": [str(ip_network(address)) for address in node.gateways],
        },
    }
    ours, theirs = node.interconnect
    host = Link(
        interface="tap-vpp2",
        namespace=namespaces + node.host,
        device=f"{links}{node.number}h",
        inside="tap-vpp1",
        macs=_macs(node, 1),
        mtu=POD_MTU,
        vpp={"ip_addresses": [f"{ours}/112"]},
        addresses=(f"{theirs}/112",),
    )
    found |= host.keys(is_tap=is_tap) | host.neighbour(theirs)
    found |= host.default(ours, is_on_link=False)
    found |= _route(f"{node.host_address}/128", theirs, interface="tap-vpp2")
    found |= _outside(node, namespaces, links, is_tap=is_tap)
    for number in NODES:
        if number != node.number:
            found |= _to(Node(number))
    return found


def _outside(node: Node, namespaces: str, links: str, *, is_tap: bool) -> dict[str, Json]:
    """A client beyond the node's main VRF, as one behind a router would be."""
    networks = [ip_network(text) for text in node.outside_networks]
    gateways = [str(network[1]) for network in networks]
    link = Link(
        interface=node.outside,
        namespace=namespaces + node.outside,
        device=f"{links}{node.number}o",
        inside="eth0",
        macs=_macs(node, 2),
        mtu=POD_MTU,
        vpp={
            "ip_addresses": [
                f"{gateway}/{network.prefixlen}"
                for gateway, network in zip(gateways, networks, strict=True)
            ]
        },
        addresses=tuple(
            f"{address}/{network.prefixlen}"
            for address, network in zip(node.outside_addresses, networks, strict=True)
        ),
    )
    found = link.keys(is_tap=is_tap)
    for address, gateway in zip(node.outside_addresses, gateways, strict=True):
        found |= link.neighbour(address) | link.default(gateway, is_on_link=False)
    return found


def _to(other: Node) -> dict[str, Json]:
    """Routes to what no tunnel leads to: IPv4 pods of another node, and its client outside."""
    return {
        **_route(other.pod_cidrs[1], other.address4),
        **_route(other.outside_networks[0], other.address),
        **_route(other.outside_networks[1], other.address4),
    }


def _route(destination: str, via: str, *, vrf: int = 0, interface: str = "") -> dict[str, Json]:
    value: Json = {"dst_network": destination, "next_hop_addr": via}
    if vrf:
        value["vrf_id"] = vrf
    if interface:
        value["outgoing_interface"] = interface
    return {keys.route(vrf, destination, via, interface): value}


def _macs(node: Node, number: int) -> tuple[str, str]:
    """VPP's and the other end's."""
    end = f"00:00:{node.number:02x}:{number:02x}"
    return f"02:fe:{end}", f"02:aa:{end}"
