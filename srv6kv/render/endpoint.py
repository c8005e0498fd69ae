"""The receive side: what an endpoint on this node needs so that packets to its SID arrive.

It exists from when a slice lists the endpoint, ready or not, until none does (rule L10).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from srv6kv.cluster.attachment import Attachment
from srv6kv.cluster.topology import host_end_of
from srv6kv.ligato.chains import JUMPS, ChainName, Hook, custom_name
from srv6kv.ligato.keys import HOST_INTERCONNECT
from srv6kv.ligato.values import (
    AgentValue,
    Arp,
    CrossConnect,
    LocalSid,
    Route,
    RuleChain,
)
from srv6kv.net import sids
from srv6kv.net.addresses import host_length, is_ipv4
from srv6kv.settings import Settings

MOST_SINGLE_RULES = 64
"""A chain of more translations has one rule for ports that follow one another, where it can."""


class Translation(NamedTuple):
    """Ports of one service address that follow one another, the first one given, and the ports of
    the pod that answer for them, which do so too."""

    address: str
    protocol: str
    port: int
    target: int
    ports: int


def pod_objects(
    address: str, sid: str, attachment: Attachment, settings: Settings
) -> Iterator[AgentValue]:
    """Localsid of a local pod and the route that leads from the main VRF to it."""
    yield _cross_connect(sid, settings.pod_vrf, address, attachment.interface)
    yield Route(
        type="INTER_VRF",
        vrf_id=settings.main_vrf,
        via_vrf_id=settings.pod_vrf,
        dst_network=f"{sid}/128",
        next_hop_addr="::",
    )


def neighbour(address: str, attachment: Attachment) -> Iterator[Arp]:
    """Render the static neighbour of a pod for which the CNI has given us its MAC address, and the
    agent none."""
    if attachment.mac:
        yield Arp(
            interface=attachment.interface,
            ip_address=address,
            phys_address=attachment.mac,
            static=True,
        )


def host_objects(node_id: int, settings: Settings) -> Iterator[AgentValue]:
    """The localsid behind which every host endpoint of this node is, of vppHostSubnetCIDR's family.

    Raises:
        ValueError: the node's id does not fit into vppHostSubnetCIDR.
    """
    end = host_end_of(node_id, settings)
    sid = sids.host_sid(settings.sid.host, ipv4=is_ipv4(end))
    yield _cross_connect(sid, settings.main_vrf, end, HOST_INTERCONNECT)


def _cross_connect(sid: str, vrf: int, next_hop: str, interface: str) -> LocalSid:
    """DX6, or DX4 where the neighbour is IPv4 (defect D22: each family by itself)."""
    end = CrossConnect(next_hop=next_hop, outgoing_interface=interface)
    if is_ipv4(next_hop):
        return LocalSid(sid=sid, installation_vrf_id=vrf, end_function_dx4=end)
    return LocalSid(sid=sid, installation_vrf_id=vrf, end_function_dx6=end)


def rule_chains(
    attachment: Attachment, translations: Mapping[str, Iterable[Translation]]
) -> Iterator[RuleChain]:
    """The chains of one sandbox, from the translations of each pod address behind it; those of IPv4
    only where a pod has such an address (defect D20: a chain has one protocol)."""
    items = [(pod, item) for pod, listed in translations.items() for item in listed]
    families = {is_ipv4(pod) for pod in translations} or {False}
    for ipv4 in sorted(families):
        mine = [(pod, item) for pod, item in items if is_ipv4(pod) == ipv4]
        yield from _chains(attachment, Hook.TRANSLATE, _dnats(mine), ipv4=ipv4)
        untracked = (_notrack(item.address) for _, item in mine)
        yield from _chains(attachment, Hook.NOT_TRACK, untracked, ipv4=ipv4)


def _chains(
    attachment: Attachment, hook: Hook, rules: Iterable[str], *, ipv4: bool
) -> Iterator[RuleChain]:
    """Two copies of the rules, and the built-in chain that jumps to both (rule R8)."""
    builtin = ChainName(attachment.sandbox, hook, is_ipv4=ipv4)
    listed = tuple(sorted(set(rules)))
    for name in (*builtin.copies, builtin):
        yield RuleChain(
            name=name.text,
            namespace=attachment.namespace,
            protocol="" if ipv4 else "IPV6",
            table=hook.table,
            chain_type="" if name.copy else hook.chain,
            chain_name=custom_name(name.copy) if name.copy else "",
            rules=listed if name.copy else JUMPS,
        )


def _dnats(items: Sequence[tuple[str, Translation]]) -> Iterator[str]:
    """Equal ports too: the reply must carry the service address (rule L11)."""
    has_ranges = is_long(item for _, item in items)
    for pod, item in items:
        if has_ranges and _is_range(item):
            yield _dnat(item, f"{item.port}:{item.port + item.ports - 1}", pod)
            continue
        for step in range(item.ports):
            yield _dnat(item, f"{item.port + step}", f"{_host(pod)}:{item.target + step}")


def is_long(items: Iterable[Translation]) -> bool:
    """Whether the chain of these has one rule for ports that follow one another."""
    return sum(item.ports for item in items) > MOST_SINGLE_RULES


def size_of(pod: str, item: Translation, *, is_long: bool) -> int:
    """The bytes of the rules of a translation in the value of their chain."""
    if is_long and _is_range(item):
        ports = len(f"{item.port}:{item.port + item.ports - 1}")
        return len(_dnat(item, "", pod)) + ports + _QUOTES
    fixed = len(_dnat(item, "", f"{_host(pod)}:")) + _QUOTES
    return fixed * item.ports + _digits(item.port, item.ports) + _digits(item.target, item.ports)


def notrack_size_of(address: str) -> int:
    """The bytes of the rule for calls to an address in the value of its chain."""
    return len(_notrack(address)) + _QUOTES


_QUOTES = len('"",')
"""Around a rule among others."""


def _digits(first: int, count: int) -> int:
    """The length of so many numbers in a row."""
    return sum(max(0, first + count - max(first, least)) for least in (0, 10, 100, 1000, 10_000))


def _is_range(item: Translation) -> bool:
    """Whether one rule can say it: without a port DNAT keeps the packet's. A range that is shifted
    cannot: the ip6tables of older agent images has no base port and leads all of it to one port."""
    return item.ports > 1 and item.port == item.target


def _dnat(item: Translation, ports: str, to: str) -> str:
    protocol = item.protocol.lower()
    match = f"-d {_whole(item.address)} -p {protocol} -m {protocol} --dport {ports}"
    return f"{match} -j DNAT --to-destination {to}"


def _host(pod: str) -> str:
    """An address before a port."""
    return pod if is_ipv4(pod) else f"[{pod}]"


def _notrack(address: str) -> str:
    """A pod's call to its own service leaves the pod and is balanced (rule L8)."""
    return f"-d {_whole(address)} -j CT --notrack"


def _whole(address: str) -> str:
    """The prefix that is one address."""
    return f"{address}/{host_length(address)}"
