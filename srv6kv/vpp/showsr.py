"""What ``show sr policies``, ``localsids`` and ``steering-policies`` print for the agent's values.

Rule: the text of VPP on a terminal, tabs included (VPP rule V12), in the layout of the VPP
that Contiv shipped: no prefix length behind a SID, no encap source. VPP lists objects in the order
of their creation; here they stand in the order of their addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count

from srv6kv.ligato import parts
from srv6kv.ligato.endfunctions import EndFunction
from srv6kv.ligato.parts import Json, Values

_COUNTER = "[0 packets : 0 bytes]"
_POLICY_END = "-" * 11
_LOCALSID_END = "-" * 20

_LABELS = {"outgoing_interface": "Iface:  \t", "next_hop": "Next hop: \t"}
_PLUGIN_LABELS = {
    "l3_service_address": "Next-hop:\t",
    "outgoing_interface": "Outgoing iface: ",
    "incoming_interface": "Incoming iface: ",
}
_TABLE_LABELS = {"T": "Table:  \t", "DT4": "Table: \t", "DT6": "Table: "}


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
            *(
                f"  \t[{next(index)}].- < {', '.join(item.get('segments', ()))} >"
                f" weight: {item.get('weight', 0)}"
                for item in policy.get("segment_lists", ())
            ),
            _POLICY_END,
        ]
    return _text(lines)


def show_localsids(values: Values, interfaces: Mapping[str, str] | None = None) -> str:
    """The localsids, with counters at 0.

    Args:
        interfaces: the agent's interface names to VPP's; others stay as they are.
    """
    title = "SRv6 - My LocalSID Table:"
    lines = [title, "=" * len(title)]
    for key, localsid in parts.localsids(values):
        kind, function = parts.end_function(key, localsid)
        lines += [
            f"\tAddress: \t{parts.text_of(key, localsid, 'sid')}",
            f"\tBehavior: \t{kind.shown}",
            *_target(kind, function, lambda logical: (interfaces or {}).get(logical, logical)),
            *(["\tPSP: \tTrue"] if function.get("psp") else []),
            f"\tGood traffic: \t{_COUNTER}",
            f"\tBad traffic:  \t{_COUNTER}",
            _LOCALSID_END,
        ]
    return _text(lines)


def _target(kind: EndFunction, function: Json, interface: Callable[[str], str]) -> list[str]:
    labels = _PLUGIN_LABELS if kind.is_plugin else _LABELS
    lines = []
    for field in kind.needs:
        value = function.get(field, "")
        if field == "vrf_id":
            lines.append(f"\t{_TABLE_LABELS.get(kind.keyword, 'Table: ')}{value or 0}")
        else:
            lines.append(f"\t{labels[field]}{interface(value) if 'interface' in field else value}")
    return lines


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
