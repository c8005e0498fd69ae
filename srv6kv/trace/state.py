"""One node as packets find it: tables, policies, pods and their rules, read from agent keys.

Rule: keys of kinds that do not forward packets are passed over; a value that cannot be read is
named in ``unread`` and counts as absent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from srv6kv import foreign
from srv6kv.cluster.attachment import Attachment, AttachmentKeys
from srv6kv.ligato import keys
from srv6kv.ligato.parts import snake_case
from srv6kv.ligato.schema import SRV6_GLOBAL
from srv6kv.ligato.values import LocalSid, Namespace, Policy, Route, RuleChain, Steering
from srv6kv.net.addresses import Prefix, canonical_of_any, is_ipv4, mask, network_of, to_int
from srv6kv.trace.hops import Site
from srv6kv.trace.rules import Chain, chain_of

HOST_INTERCONNECTS = ("tap-vpp2", "afpacket-vpp2")
"""Logical names of VPP's end of the host interconnect (rule N3)."""
_ATTACHING = (keys.INTERFACE, keys.ARP, keys.ROUTE, keys.LINUX_INTERFACE)
OWN, SEGMENT, ROUTE = range(3)
"""Who made an entry; of several on one prefix VPP takes the first (VPP rule V3)."""


@dataclass(frozen=True, slots=True)
class Own:
    """An address of VPP's own."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The prefix of an address of VPP's own: VPP asks its neighbours on the interface."""

    interface: str


@dataclass(frozen=True, slots=True)
class Entry:
    """What a table holds for a prefix, and the key that says so."""

    rank: int
    key: str
    prefix: Prefix
    action: Own | Connected | Steering | LocalSid | Route


class _Tap(msgspec.Struct):
    vpp_tap_if_name: str = ""


class _LinuxInterface(msgspec.Struct):
    namespace: Namespace | None = None
    ip_addresses: tuple[str, ...] = ()
    tap: _Tap | None = None


class _Interface(msgspec.Struct):
    name: str = ""
    enabled: bool = False
    vrf: int = 0
    ip_addresses: tuple[str, ...] = ()


class _Neighbour(msgspec.Struct):
    interface: str = ""
    ip_address: str = ""
    static: bool = False


class _Global(msgspec.Struct):
    encap_source_address: str = ""


class _Spray(msgspec.Struct):
    spray_behaviour: bool = False


@dataclass(slots=True)
class LinuxEnd:
    """What is behind an interface of VPP.

    Attributes:
        namespace: where it is; None: in the host's.
        has_key: a Linux interface says so; else it follows from a localsid alone.
    """

    namespace: Namespace | None
    addresses: set[str]
    has_key: bool = True


@dataclass(slots=True)
class Node:
    """One VPP with its pods.

    Attributes:
        vrfs: of each interface.
        uplinks: addresses of VPP's own, with their VRF.
        ends: what is behind each interface.
        interconnect: those of VPP's end of the host interconnect.
        steerings: those whose policy is there.
        encap_source: source address of outer headers.
        unread: what could not be read, and why.
    """

    site: Site
    vrfs: dict[str, int] = field(default_factory=dict)
    uplinks: dict[str, int] = field(default_factory=dict)
    ends: dict[str, LinuxEnd] = field(default_factory=dict)
    interconnect: set[str] = field(default_factory=set)
    hosts: dict[str, None] = field(default_factory=dict)
    neighbours: set[tuple[str, str]] = field(default_factory=set)
    chains: list[Chain] = field(default_factory=list)
    policies: dict[str, Policy] = field(default_factory=dict)
    spraying: set[str] = field(default_factory=set)
    steerings: list[Steering] = field(default_factory=list)
    localsids: dict[str, LocalSid] = field(default_factory=dict)
    routes: list[Route] = field(default_factory=list)
    encap_source: str = ""
    unread: list[str] = field(default_factory=list)
    _tables: dict[tuple[int, bool], dict[tuple[int, int], Entry]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the node."""
        return self.site.name

    @property
    def main_vrf(self) -> int:
        """Where packets of the host and of the uplink are looked up."""
        return next(
            (self.vrfs[name] for name in HOST_INTERCONNECTS if name in self.vrfs),
            self.site.main_vrf,
        )

    @property
    def has_uplink(self) -> bool:
        """Whether an address of its uplink is known."""
        return any(
            vrf == self.main_vrf and address not in self.interconnect
            for address, vrf in self.uplinks.items()
        )

    @property
    def has_attachments(self) -> bool:
        """Whether the CNI has written keys for pods; else nothing follows from what is missing."""
        return any(end.has_key and end.namespace is not None for end in self.ends.values())

    def look_up(self, vrf: int, address: str) -> Entry | None:
        """What becomes of packets to an address in a VRF: the longest prefix decides."""
        table, bits = self._tables.get((vrf, is_ipv4(address)), {}), to_int(address)
        found = (table.get((length, bits & mask(length))) for length in range(128, -1, -1))
        return next(filter(None, found), None)

    def add(self, rank: int, vrf: int, destination: str, key: str, action: Any) -> None:
        """Add an entry of a table."""
        entry = Entry(rank, key, Prefix.parse_any(destination), action)
        # ::ffff:0:0/96 is how IPv4 is written down here; ::/0 is never one of its entries.
        is_ipv4_table = is_ipv4(destination.partition("/")[0])
        table = self._tables.setdefault((vrf, is_ipv4_table), {})
        place = (entry.prefix.length, entry.prefix.network)
        if place not in table or rank <= table[place].rank:
            table[place] = entry

    def interface_of(self, address: str) -> str | None:
        """The interface behind which a pod is."""
        pods = (name for name, end in self.ends.items() if address in end.addresses)
        return next((name for name in pods if not self.is_host(name)), None)

    def is_host(self, interface: str) -> bool:
        """Whether the host is behind an interface."""
        end = self.ends.get(interface)
        return interface in HOST_INTERCONNECTS or (end is not None and end.namespace is None)


def node_of(site: Site) -> Node:
    """A node from its agent's keys."""
    node = Node(site)
    for prefix, kind, read in _READERS:
        for key in sorted(site.values):
            if key.startswith(prefix):
                try:
                    value = snake_case(site.values[key])
                    read(node, key, foreign.convert(value, kind, strict=False), value)
                except ValueError as error:
                    node.unread.append(f"{key}: {error}")
    for address in site.addresses:
        node.uplinks.setdefault(address, node.main_vrf)
    node.hosts |= dict.fromkeys(site.hosts)
    node.encap_source = node.encap_source or next(iter(site.addresses), "::")
    _add_attached_pods(node)
    _add_pods(node)
    return node


def _addresses(texts: Iterable[str]) -> list[str]:
    return [canonical_of_any(text.partition("/")[0]) for text in texts]


def _read_interface(node: Node, key: str, value: _Interface, _: Any) -> None:
    node.vrfs[value.name] = value.vrf
    for address in _addresses(value.ip_addresses):
        node.uplinks[address] = value.vrf
        if value.name in HOST_INTERCONNECTS:
            node.interconnect.add(address)
    if value.enabled:  # else VPP has none of its routes
        for text in value.ip_addresses:
            _add_connected(node, key, value, text)


def _add_connected(node: Node, key: str, value: _Interface, text: str) -> None:
    """The routes that an address brings: to itself, and to the neighbours in its prefix."""
    own = network_of(text.partition("/")[0])
    if Prefix.parse_any(network_of(text)) != Prefix.parse_any(own):
        node.add(OWN, value.vrf, text, key, Connected(value.name))
    node.add(OWN, value.vrf, own, key, Own())


def _read_neighbour(node: Node, key: str, value: _Neighbour, _: Any) -> None:
    if value.static:
        node.neighbours.add((value.interface, canonical_of_any(value.ip_address)))


def _read_linux_interface(node: Node, key: str, value: _LinuxInterface, _: Any) -> None:
    if value.tap is None or not value.tap.vpp_tap_if_name:
        return
    found = set(_addresses(value.ip_addresses))
    end = node.ends.setdefault(value.tap.vpp_tap_if_name, LinuxEnd(value.namespace, set()))
    end.addresses |= found
    if value.namespace is None:
        node.hosts |= dict.fromkeys(sorted(found))


def _read_route(node: Node, key: str, value: Route, _: Any) -> None:
    node.routes.append(value)
    node.add(ROUTE, value.vrf_id, value.dst_network, key, value)


def _read_localsid(node: Node, key: str, value: LocalSid, _: Any) -> None:
    node.localsids[value.sid] = value
    node.add(SEGMENT, value.installation_vrf_id, f"{value.sid}/128", key, value)


def _read_policy(node: Node, key: str, value: Policy, raw: Any) -> None:
    for index, item in enumerate(value.segment_lists):
        if not _addresses(item.segments):
            raise ValueError(f"segment_lists[{index}]: no segments")
    node.policies[value.bsid] = value
    if foreign.convert(raw, _Spray).spray_behaviour:
        node.spraying.add(value.bsid)


def _read_steering(node: Node, key: str, value: Steering, _: Any) -> None:
    if value.policy_bsid in node.policies:  # else the agent holds it back: PENDING
        traffic = value.l3_traffic
        node.steerings.append(value)
        node.add(SEGMENT, traffic.installation_vrf_id, traffic.prefix_address, key, value)


def _read_global(node: Node, key: str, value: _Global, _: Any) -> None:
    node.encap_source = value.encap_source_address


def _add_attached_pods(node: Node) -> None:
    """Pods that no TAP names, as those on veth: ``run`` finds them in the same way."""
    found = AttachmentKeys()
    for number, (key, value) in enumerate(sorted(node.site.values.items()), start=1):
        if key.startswith(_ATTACHING):
            found.apply(key, msgspec.json.encode(value), number)
    for address in sorted(found.addresses()):
        attached = found.of(address)
        if not isinstance(attached, Attachment):
            continue
        pod_vrf = node.site.pod_vrf
        if node.vrfs.get(attached.interface, pod_vrf) == pod_vrf:
            behind = LinuxEnd(attached.namespace, set())
            node.ends.setdefault(attached.interface, behind).addresses.add(address)


def _add_pods(node: Node) -> None:
    """Pods of which the keys hold no more than the localsid: their CNI does not use etcd."""
    for sid in node.localsids.values():
        end = sid.cross_connect
        if end is not None and end.outgoing_interface not in node.ends:
            is_host = node.is_host(end.outgoing_interface)
            namespace = None if is_host else Namespace()
            behind = LinuxEnd(namespace, {end.next_hop}, has_key=False)
            node.ends[end.outgoing_interface] = behind
            if is_host:
                node.hosts.setdefault(end.next_hop)


_READERS: tuple[tuple[str, Any, Any], ...] = (
    (keys.INTERFACE, _Interface, _read_interface),
    (keys.ARP, _Neighbour, _read_neighbour),
    (keys.LINUX_INTERFACE, _LinuxInterface, _read_linux_interface),
    (keys.ROUTE, Route, _read_route),
    (keys.LOCALSID, LocalSid, _read_localsid),
    (keys.POLICY, Policy, _read_policy),
    (keys.STEERING, Steering, _read_steering),
    (
        keys.RULE_CHAIN,
        RuleChain,
        lambda node, key, value, _: node.chains.append(chain_of(key, value)),
    ),
    (SRV6_GLOBAL, _Global, _read_global),
)
