"""Keys of the agent, below ``/vnf-agent/<label>/`` (agent rule A33).

The one place that knows a key template; each function gives the exact text that the agent computes
from the value, else a whole resync of the agent is void.

Rule: a ``Key`` lies below the label of an agent, a ``FullKey`` is what etcd has.
"""

from __future__ import annotations

from typing import NewType

from srv6kv.net import addresses
from srv6kv.net.targets import Target
from srv6kv.txn.transaction import FullKey

Key = NewType("Key", str)

AGENT = "/vnf-agent/"
CONFIG = "config/"
LOCALSID = "config/vpp/srv6/v2/localsid/"
POLICY = "config/vpp/srv6/v2/policy/"
STEERING = "config/vpp/srv6/v2/steering/"
ROUTE = "config/vpp/v2/route/"
VRF_TABLE = "config/vpp/v2/vrf-table/"
INTERFACE = "config/vpp/v2/interfaces/"
ARP = "config/vpp/v2/arp/"
LINUX_INTERFACE = "config/linux/interfaces/v2/interface/"
RULE_CHAIN = "config/linux/iptables/v2/rulechain/"

SERVICE_STEERING = "forK8sService-"
TUNNEL_STEERING = "forNodeToNodeTunneling-usingPolicyWithBSID-"
OUR_RULE_CHAIN = "srv6kv-"

HOST_INTERCONNECT = "tap-vpp2"
"""Logical name of VPP's end of the host interconnect (rule N3)."""

VRF_RANK, LOCALSID_RANK, ROUTE_RANK, POD_RANK, POLICY_RANK, STEERING_RANK = range(6)


def agent_prefix(label: str) -> str:
    """Where everything of one agent lives."""
    return f"{AGENT}{label}/"


def full(prefix: str, key: str) -> FullKey:
    """The key in etcd of a key below the prefix of one agent."""
    return FullKey(prefix + key)


def short(prefix: str, key: str) -> Key:
    """The key below the prefix of one agent, of a key in etcd."""
    return Key(key.removeprefix(prefix))


def localsid(sid: str) -> Key:
    """Key of a localsid."""
    return Key(LOCALSID + sid)


def policy(bsid: str) -> Key:
    """Key of a policy."""
    return Key(POLICY + bsid)


def steering(name: str) -> Key:
    """Key of a steering."""
    return Key(STEERING + name)


def tunnel_steering(bsid: str, suffix: str) -> str:
    """Name of a steering into the tunnel with this BSID (rule N6)."""
    return f"{TUNNEL_STEERING}{bsid}-and-{suffix}"


def route(vrf: int, destination: str, next_hop: str, interface: str = "") -> Key:
    """Key of a route (agent v2.2 and later); the destination is ``network/length``."""
    via = f"if/{interface}/" if interface else ""
    gateway = f"/gw/{next_hop}" if next_hop else ""
    return Key(f"{ROUTE}{via}vrf/{vrf}/dst/{destination}{gateway}")


def vrf_table(vrf: int, protocol: str) -> Key:
    """Key of a VRF table; the protocol is ``IPV4`` or ``IPV6``."""
    return Key(f"{VRF_TABLE}id/{vrf}/protocol/{protocol}")


def arp(interface: str, address: str) -> Key:
    """Key of a neighbour."""
    return Key(f"{ARP}{interface}/{address}")


def rule_chain(name: str) -> Key:
    """Key of an iptables chain."""
    return Key(RULE_CHAIN + name)


def rank(key: str) -> int:
    """The place of a key's kind in the order of puts; deletes go in reverse (rule R11)."""
    for prefix, place in _RANKS.items():
        if key.startswith(prefix):
            return place
    return POD_RANK


_RANKS = {
    VRF_TABLE: VRF_RANK,
    LOCALSID: LOCALSID_RANK,
    ROUTE: ROUTE_RANK,
    POLICY: POLICY_RANK,
    STEERING: STEERING_RANK,
}


def host_route_of(key: str) -> Target | None:
    """VRF and address of a route key whose destination is one address."""
    if not key.startswith(ROUTE):
        return None
    head, _, tail = key.partition("/dst/")
    address, _, rest = tail.partition("/")
    if rest.partition("/")[0] != str(addresses.host_length(address)):
        return None
    try:
        return int(head.rpartition("/vrf/")[2]), address
    except ValueError:
        return None
