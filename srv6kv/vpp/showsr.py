"""What ``show sr policies``, ``localsids`` and ``steering-policies`` print for the agent's values.

Rule: the text of VPP on a terminal, tabs included (VPP rule V12), in the layout of the VPP
that Contiv shipped: no prefix length behind a SID, no encap source. VPP lists objects in the order
of their creation; here they stand in the order of their addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count

from srv6kv.ligato import parts
from srv6kv.ligato.parts import Json, Values

_COUNTER = "[0 packets : 0 bytes]"
_POLICY_END = "-" * 11
_LOCALSID_END = "-" * 20

_BEHAVIOURS = {
    "end": "End",
    "x": "X (Endpoint with Layer-3 cross-connect)",
    "t": "T (Endpoint with specific IPv6 table lookup)",
    "dx2": "DX2 (Endpoint with decapulation and Layer-2 cross-connect)",  # sic
    "dx4": "DX4 (Endpoint with decapsulation and IPv4 cross-connect)",
    "dx6": "DX6 (Endpoint with decapsulation and IPv6 cross-connect)",
    "dt4": "DT4 (Endpoint with decapsulation and specific IPv4 table lookup)",
    "dt6": "DT6 (Endpoint with decapsulation and specific IPv6 table lookup)",
    "ad": "End.AD (Endpoint with dynamic proxy to SR-unaware appliance)",
}
_TABLE_LABEL = {"t": "Table:  \t", "dt4": "Table: \t", "dt6": "Table: "}


def show_policies(values: Values) -> str:
    """The policies; segment lists are numbered over all policies, as VPP does."""
    index = count()
    lines = ["SR policies:"]
    for number, (key, policy) in enumerate(parts.policies(values)):
        behaviour = "Encapsulation" if policy.get("srh_encapsulation") else "SRH insertion"
        lines += [
            f"[{number}].-\tBSID: {parts.text_of(key, policy, 'bsid')}",
            f"\tBehavior: {behaviour}",
            f"\tType: {'Spray' if policy.get('spray_behaviour') else 'Default'}",
            f"\tFIB table: {policy.get('installation_vrf_id', 0)}",
            "\tSegment Lists:",
            *(_segment_list(next(index), item) for item in policy.get("segment_lists", ())),
            _POLICY_END,
        ]
    return _text(lines)


def _segment_list(index: int, item: Json) -> str:
    segments = ", ".join(item.get("segments", ()))
    return f"  \t[{index}].- < {segments} > weight: {item.get('weight', 0)}"


def show_localsids(values: Values, interfaces: Mapping[str, str] | None = None) -> str:
    """The localsids, with counters at 0.

    Args:
        interfaces: the agent's interface names to VPP's; others stay as they are.
    """
    title = "SRv6 - My LocalSID Table:"
    lines = [title, "=" * len(title)]
    for key, localsid in parts.localsids(values):
        name, function = parts.end_function(key, localsid)
        if name not in _BEHAVIOURS:
            raise ValueError(f"{key}: {name!r} is not an end function")
        lines += [
            f"\tAddress: \t{parts.text_of(key, localsid, 'sid')}",
            f"\tBehavior: \t{_BEHAVIOURS[name]}",
            *_target(name, function, lambda logical: (interfaces or {}).get(logical, logical)),
            *(["\tPSP: \tTrue"] if function.get("psp") else []),
            f"\tGood traffic: \t{_COUNTER}",
            f"\tBad traffic:  \t{_COUNTER}",
            _LOCALSID_END,
        ]
    return _text(lines)


def _target(name: str, function: Json, interface: Callable[[str], str]) -> list[str]:
    if name in _TABLE_LABEL:
        return [f"\t{_TABLE_LABEL[name]}{function.get('vrf_id', 0)}"]
    outgoing = interface(function.get("outgoing_interface", ""))
    next_hop = function.get("next_hop", "")
    match name:
        case "x" | "dx4" | "dx6":
            return [f"\tIface:  \t{outgoing}", f"\tNext hop: \t{next_hop}"]
        case "dx2":
            return [f"\tIface:  \t{outgoing}"]
        case "ad":
            return [
                f"\tNext-hop:\t{function.get('l3_service_address', '')}",
                f"\tOutgoing iface: {outgoing}",
                f"\tIncoming iface: {interface(function.get('incoming_interface', ''))}",
            ]
        case _:
            return []


def show_steerings(values: Values, interfaces: Mapping[str, str] | None = None) -> str:
    """The steerings; VPP does not show their VRF.

    Raises:
        ValueError: a steering names its policy by index: the text has a BSID there.
    """
    lines = ["SR steering policies:", "Traffic\t\tSR policy BSID"]
    for key, steering in parts.steerings(values):
        bsid = parts.text_of(key, steering, "policy_bsid")
        if "l2_traffic" in steering:
            logical = parts.text_of(key, steering, "l2_traffic", "interface_name")
            traffic = f"L2 {(interfaces or {}).get(logical, logical)}"
        else:
            traffic = f"L3 {parts.text_of(key, steering, 'l3_traffic', 'prefix_address')}"
        lines.append(f"{traffic}\t{bsid}")
    return _text(lines)


def _text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"
