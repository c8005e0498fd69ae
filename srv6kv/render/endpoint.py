"""The receive side: what an endpoint on this node needs so that packets to its SID arrive.

It exists from when a slice lists the endpoint, ready or not, until none does (design.md section 4).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from srv6kv import sids
from srv6kv.agent.values import AgentValue, CrossConnect6, LocalSid, Route, RuleChain
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
    yield LocalSid(
        sid=sid,
        installation_vrf_id=settings.pod_vrf,
        end_function_dx6=CrossConnect6(next_hop=address, outgoing_interface=wired.interface),
    )
    yield Route(
        type="INTER_VRF",
        vrf_id=settings.main_vrf,
        via_vrf_id=settings.pod_vrf,
        dst_network=f"{sid}/128",
        next_hop_addr="::",
    )


def host_objects(node_id: int, settings: Settings) -> Iterator[AgentValue]:
    """The localsid behind which every host endpoint of this node is.

    Raises:
        ValueError: the node's id does not fit into vppHostSubnetCIDR.
    """
    yield LocalSid(
        sid=sids.host_sid(settings.sid.host),
        installation_vrf_id=settings.main_vrf,
        end_function_dx6=CrossConnect6(
            next_hop=host_end_of(node_id, settings), outgoing_interface=HOST_INTERCONNECT
        ),
    )


def rule_chains(
    wired: Wired, translations: Mapping[str, Iterable[Translation]]
) -> Iterator[RuleChain]:
    """The chains of one sandbox, from the translations of each pod address behind it."""
    items = [(pod, item) for pod, listed in translations.items() for item in listed]
    yield _chain(wired, "NAT", "PREROUTING", (_dnat(pod, item) for pod, item in items))
    yield _chain(wired, "RAW", "OUTPUT", (_notrack(item.address) for _, item in items))


def _chain(wired: Wired, table: str, chain_type: str, rules: Iterable[str]) -> RuleChain:
    return RuleChain(
        name=f"srv6kv-{wired.sandbox}-{chain_type}",
        namespace=wired.namespace,
        protocol="IPV6",
        table=table,
        chain_type=chain_type,
        rules=tuple(sorted(set(rules))),
    )


def _dnat(pod: str, item: Translation) -> str:
    """Equal ports too: the reply must carry the service address (spec/services.md 2.11)."""
    protocol = item.protocol.lower()
    return (
        f"-d {item.address}/128 -p {protocol} -m {protocol} --dport {item.port}"
        f" -j DNAT --to-destination [{pod}]:{item.target}"
    )


def _notrack(address: str) -> str:
    """A pod's call to its own service leaves the pod and is balanced (spec/vpp.md 0a)."""
    return f"-d {address}/128 -j CT --notrack"
