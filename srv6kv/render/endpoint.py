"""The receive side: what an endpoint on this node needs so that packets to its SID arrive.

It exists from when a slice lists the endpoint, ready or not, until none does (design.md section 4).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from srv6kv import sids
from srv6kv.addresses import host_length, is_ipv4
from srv6kv.agent.values import (
    AgentValue,
    Arp,
    CrossConnect4,
    CrossConnect6,
    LocalSid,
    Route,
    RuleChain,
)
from srv6kv.agent.wiring import Wired
from srv6kv.settings import Settings
from srv6kv.topology import host_end_of

HOST_INTERCONNECT = "tap-vpp2"
"""Logical name of VPP's end of the host interconnect (spec/contiv.md 3.3)."""


class Translation(NamedTuple):
    """One port of one service address, and the port of the pod that answers for it."""

    address: str
    protocol: str
    port: int
    target: int


def pod_objects(address: str, sid: str, wired: Wired, settings: Settings) -> Iterator[AgentValue]:
    """Localsid of a local pod and the route that leads from the main VRF to it."""
    yield _cross_connect(sid, settings.pod_vrf, address, wired.interface)
    yield Route(
        type="INTER_VRF",
        vrf_id=settings.main_vrf,
        via_vrf_id=settings.pod_vrf,
        dst_network=f"{sid}/128",
        next_hop_addr="::",
    )


def neighbour(address: str, wired: Wired) -> Iterator[Arp]:
    """The static neighbour of a pod whose CNI has given the agent none, but told us."""
    if wired.mac:
        yield Arp(
            interface=wired.interface, ip_address=address, phys_address=wired.mac, static=True
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
    if is_ipv4(next_hop):
        end = CrossConnect4(next_hop=next_hop, outgoing_interface=interface)
        return LocalSid(sid=sid, installation_vrf_id=vrf, end_function_dx4=end)
    end6 = CrossConnect6(next_hop=next_hop, outgoing_interface=interface)
    return LocalSid(sid=sid, installation_vrf_id=vrf, end_function_dx6=end6)


def rule_chains(
    wired: Wired, translations: Mapping[str, Iterable[Translation]]
) -> Iterator[RuleChain]:
    """The chains of one sandbox, from the translations of each pod address behind it; those of IPv4
    only where a pod has such an address (defect D20: a chain has one protocol)."""
    items = [(pod, item) for pod, listed in translations.items() for item in listed]
    families = {is_ipv4(pod) for pod in translations} or {False}
    for ipv4 in sorted(families):
        mine = [(pod, item) for pod, item in items if is_ipv4(pod) == ipv4]
        yield _chain(wired, "NAT", "PREROUTING", (_dnat(pod, i) for pod, i in mine), ipv4=ipv4)
        yield _chain(wired, "RAW", "OUTPUT", (_notrack(i.address) for _, i in mine), ipv4=ipv4)


def _chain(
    wired: Wired, table: str, chain_type: str, rules: Iterable[str], *, ipv4: bool
) -> RuleChain:
    return RuleChain(
        name=f"srv6kv-{wired.sandbox}-{chain_type}" + ("-IPv4" if ipv4 else ""),
        namespace=wired.namespace,
        protocol="" if ipv4 else "IPV6",
        table=table,
        chain_type=chain_type,
        rules=tuple(sorted(set(rules))),
    )


def _dnat(pod: str, item: Translation) -> str:
    """Equal ports too: the reply must carry the service address (spec/services.md 2.11)."""
    protocol = item.protocol.lower()
    pod = pod if is_ipv4(pod) else f"[{pod}]"
    return (
        f"-d {_whole(item.address)} -p {protocol} -m {protocol} --dport {item.port}"
        f" -j DNAT --to-destination {pod}:{item.target}"
    )


def _notrack(address: str) -> str:
    """A pod's call to its own service leaves the pod and is balanced (spec/vpp.md 0a)."""
    return f"-d {_whole(address)} -j CT --notrack"


def _whole(address: str) -> str:
    """The prefix that is one address."""
    return f"{address}/{host_length(address)}"
