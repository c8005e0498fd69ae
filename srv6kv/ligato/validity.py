"""What the agent would call INVALID, and more: VPP's limits and the producer rules of
agent rules A1 to A28. A value with a fault never leaves the planner."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from srv6kv.ligato.values import (
    AgentValue,
    Arp,
    LocalSid,
    Policy,
    Route,
    RuleChain,
    Steering,
    VrfTable,
)
from srv6kv.net import addresses
from srv6kv.net.addresses import Prefix

MOST_SEGMENTS = 5
"""VPP's packet headroom holds an SRH of at most five SIDs (VPP rule V2)."""
MOST_WEIGHT = 9
"""One digit: the agent compares weights as text (agent rule A10)."""
MOST_INTERFACE = 63
MOST_PATH = 4096
"""Linux opens no longer one, and a chain shares its value with its namespace's name."""
_PROTOCOLS = ("", "IPV4", "IPV6")
_NAMESPACES = ("", "NSID", "PID", "FD", "MICROSERVICE")
"""Names that the agent's decoder knows: another one makes the whole value undecodable."""
_CHAINS = {
    "NAT": {"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"},
    "RAW": {"PREROUTING", "OUTPUT"},
}


_CHAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,27}")
"""iptables takes 28 characters, none of them a blank, and no dash first."""
_CHANGED_IN_NAMES = re.compile(r"[^\x21-\x7e]|\$")
_CHANGED_IN_TEXTS = re.compile(r"[^\x20-\x7e]|\$")
"""What is not plain ASCII, and what an agent with expand-env-variables would expand."""


def fault_of(value: AgentValue) -> str | None:
    """Why the agent or VPP would refuse the value, as ``field: reason``; None if it would not."""
    return _CHECKS[type(value)](value) or _fault_of_text(value.key)


def _fault_of_text(key: str) -> str | None:
    """Rules 4 and 8: a clean path, nothing that the agent expands."""
    if _CHANGED_IN_NAMES.search(key):
        return f"key: {key!r} has a character that the agent would change"
    if any(part in ("", ".", "..") for part in key.split("/")):
        return f"key: {key!r} is not a clean path"
    return None


def _fault_of_address(field: str, text: str) -> str | None:
    """Rule 2: RFC 5952, lower case, no mapped address."""
    try:
        if addresses.canonical(text) == text:
            return None
    except ValueError as error:
        return f"{field}: {error}"
    return f"{field}: {text!r} is not in canonical form"


def _fault_of_ipv4(field: str, text: str) -> str | None:
    return None if addresses.is_ipv4(text) else f"{field}: {text!r} is not an IPv4 address"


def _fault_of_prefix(field: str, text: str) -> str | None:
    """Rule 5: the exact network in canonical form."""
    try:
        if str(Prefix.parse_any(text)) == text:
            return None
    except ValueError as error:
        return f"{field}: {error}"
    return f"{field}: {text!r} is not a canonical network"


def _fault_of_interface(field: str, name: str) -> str | None:
    """Rule 11: a name that the agent can have; empty would leave the SID PENDING for ever."""
    if not 0 < len(name) <= MOST_INTERFACE:
        return f"{field}: {name!r} is not an interface name of 1 to {MOST_INTERFACE} characters"
    if _CHANGED_IN_NAMES.search(name):
        return f"{field}: {name!r} has a character that the agent would change"
    return None


def _localsid(value: LocalSid) -> str | None:
    if len(value.end_functions) != 1:
        return "end_function: exactly one must be set"
    fault = _fault_of_address("sid", value.sid)
    end = value.cross_connect
    if fault is None and end is not None:
        check = _fault_of_ipv4 if value.end_functions[0].inner == "IPV4" else _fault_of_address
        fault = check("next_hop", end.next_hop) or _fault_of_interface(
            "outgoing_interface", end.outgoing_interface
        )
    return fault


def _policy(value: Policy) -> str | None:
    if not value.segment_lists:
        return "segment_lists: there must be at least one"
    paths = [item.segments for item in value.segment_lists]
    if len(set(paths)) != len(paths):
        return "segment_lists: two have the same segments"
    for item in value.segment_lists:
        if not 1 <= len(item.segments) <= MOST_SEGMENTS:
            return f"segments: {len(item.segments)} SIDs, not 1 to {MOST_SEGMENTS}"
        if not 1 <= item.weight <= MOST_WEIGHT:
            return f"weight: {item.weight} is not 1 to {MOST_WEIGHT}"
    segments = dict.fromkeys(sid for path in paths for sid in path)
    faults = (_fault_of_address("segments", sid) for sid in segments)
    return _fault_of_address("bsid", value.bsid) or next(filter(None, faults), None)


def _steering(value: Steering) -> str | None:
    if not value.name or "/" in value.name:
        return f"name: {value.name!r} is empty or has a slash"
    return _fault_of_address("policy_bsid", value.policy_bsid) or _fault_of_prefix(
        "prefix_address", value.l3_traffic.prefix_address
    )


def _route(value: Route) -> str | None:
    fault = _fault_of_prefix("dst_network", value.dst_network)
    is_ipv4 = "." in value.dst_network
    if fault is None and value.next_hop_addr:
        check = _fault_of_ipv4 if is_ipv4 else _fault_of_address
        fault = check("next_hop_addr", value.next_hop_addr)
    if value.type not in ("", "INTRA_VRF", "INTER_VRF", "DROP"):
        return f"type: {value.type!r} is no type of a route"
    nowhere = "0.0.0.0" if is_ipv4 else "::"
    if fault is None and value.type == "INTER_VRF" and value.outgoing_interface:
        return "outgoing_interface: an INTER_VRF route has none"
    if fault is None and value.type in ("INTER_VRF", "DROP") and value.next_hop_addr != nowhere:
        return f"next_hop_addr: {value.next_hop_addr!r} must be {nowhere} (rule 12)"
    return fault


def _arp(value: Arp) -> str | None:
    check = _fault_of_ipv4 if "." in value.ip_address else _fault_of_address
    fault = check("ip_address", value.ip_address)
    return fault or _fault_of_interface("interface", value.interface)


def _vrf_table(value: VrfTable) -> str | None:
    if value.protocol not in _PROTOCOLS:
        return f"protocol: {value.protocol!r} is neither IPV4 nor IPV6"
    return "label: longer than 63 characters" if len(value.label) > 63 else None


def _rule_chain(value: RuleChain) -> str | None:
    chains = _CHAINS.get(value.table, set())
    if value.chain_type not in chains and not (chains and value.chain_type in ("", "CUSTOM")):
        return f"chain_type: table {value.table!r} has no chain {value.chain_type!r}"
    if value.chain_type not in chains and not _CHAIN_NAME.fullmatch(value.chain_name):
        return f"chain_name: {value.chain_name!r} is no name of a chain"
    if not value.namespace.reference:
        return "namespace: empty, the rules would hit the host"
    if len(value.namespace.reference) > MOST_PATH:
        return f"namespace: longer than {MOST_PATH} characters"
    if value.namespace.type not in _NAMESPACES:
        return f"namespace: {value.namespace.type!r} is no type of a reference"
    if value.protocol not in _PROTOCOLS:
        return f"protocol: {value.protocol!r} is neither IPV4 nor IPV6"
    for text in (value.namespace.reference, *value.rules):
        if _CHANGED_IN_TEXTS.search(text):
            return f"rules: {text!r} has a character that the agent would change"
    return None


_CHECKS: dict[type, Callable[[Any], str | None]] = {
    LocalSid: _localsid,
    Policy: _policy,
    Steering: _steering,
    Route: _route,
    VrfTable: _vrf_table,
    Arp: _arp,
    RuleChain: _rule_chain,
}
