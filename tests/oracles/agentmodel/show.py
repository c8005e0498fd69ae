"""What VPP prints for its SR objects, byte for byte, by version (VPP rule V12)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentmodel.objects import Localsid
    from agentmodel.vpp import FakeVpp

_POLICY_END = "-" * 11
_LOCALSID_END = "-" * 20
_COUNTER = "[0 packets : 0 bytes]"
_BEHAVIOURS = {
    "end": "End",
    "x": "X (Endpoint with Layer-3 cross-connect)",
    "t": "T (Endpoint with specific IPv6 table lookup)",
    "dx2": "DX2 (Endpoint with decapulation and Layer-2 cross-connect)",  # sic
    "dx4": "DX4 (Endpoint with decapsulation and IPv4 cross-connect)",
    "dx6": "DX6 (Endpoint with decapsulation and IPv6 cross-connect)",
    "dt4": "DT4 (Endpoint with decapsulation and specific IPv4 table lookup)",
    "dt6": "DT6 (Endpoint with decapsulation and specific IPv6 table lookup)",
}
_TABLES = {"t": "\tTable:  \t", "dt4": "\tTable: \t", "dt6": "\tTable: "}


def is_since(version: str, first: str) -> bool:
    """Whether a version of VPP is that one or a later one."""
    return _number(version) >= _number(first)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def policies(vpp: FakeVpp, version: str) -> str:
    """``show sr policies``."""
    lines = ["SR policies:"]
    for number, policy in vpp.policies.all():
        kind = "Spray" if policy.is_spray else "Default"
        lines.append(f"[{number}].-\tBSID: {policy.bsid}")
        behaviour = "Encapsulation" if policy.is_encap else "SRH insertion"
        lines.append(f"\tBehavior: {behaviour}")
        listed = [(index, vpp.lists.items[index]) for index in policy.lists]
        if policy.is_encap and is_since(version, "23.06"):
            source = next((one.source for _, one in reversed(listed) if one), "::")
            lines.append(f"\tEncapSrcIP: {source}")
        lines += [f"\tType: {kind}", f"\tFIB table: {policy.vrf}", "\tSegment Lists:"]
        for index, one in listed:
            assert one is not None
            segments = "".join(f"{segment}, " for segment in one.segments)
            lines.append(f"  \t[{index}].- < {segments}\b\b > weight: {one.weight}")
        lines.append(_POLICY_END)
    return _text(lines)


def localsids(vpp: FakeVpp, version: str) -> str:
    """``show sr localsids``."""
    title = "SRv6 - My LocalSID Table:"
    lines = [title, "=" * len(title)]
    for _, sid in vpp.localsids.all():
        lines += [*_localsid(vpp, sid, version), _LOCALSID_END]
    return _text(lines)


def _localsid(vpp: FakeVpp, sid: Localsid, version: str) -> list[str]:
    has_length = is_since(version, "25.02") or (
        is_since(version, "20.05") and sid.behaviour != "end"
    )
    if sid.behaviour == "dx2" and not is_since(version, "26.06"):
        # The agent sends vlan 0, not "none" (VPP rule V1).
        return ["\tUnsupported yet. (DX2 with egress VLAN rewrite)"]
    lines = [
        f"\tAddress: \t{sid.address}{'/128' if has_length else ''}",
        f"\tBehavior: \t{_BEHAVIOURS[sid.behaviour]}",
    ]
    if sid.interface:
        lines.append(f"\tIface:  \t{vpp.names.get(sid.interface, 'DELETED')}")
    if sid.next_hop:
        lines.append(f"\tNext hop: \t{sid.next_hop}")
    if sid.behaviour in _TABLES:
        lines.append(f"{_TABLES[sid.behaviour]}{sid.table}")
    if sid.psp:
        lines.append("\tPSP: \tTrue")
    return [*lines, f"\tGood traffic: \t{_COUNTER}", f"\tBad traffic:  \t{_COUNTER}"]


def steerings(vpp: FakeVpp) -> str:
    """``show sr steering-policies``."""
    lines = ["SR steering policies:", "Traffic\t\tSR policy BSID"]
    for _, one in vpp.steerings.all():
        traffic = f"L3 {one.prefix}" if one.prefix else f"L2 {vpp.names.get(one.interface, '')}"
        lines.append(f"{traffic}\t{one.bsid}")
    return _text(lines)


def interfaces(vpp: FakeVpp) -> str:
    """``show interface``, without counters."""
    head = "              Name               Idx    State  MTU (L3/IP4/IP6/MPLS)     Counter"
    names = ["local0", *sorted(vpp.names.values())]
    lines = [
        f"{name:<34}{index}{'down' if name == 'local0' else 'up':>9}          9000/0/0/0     "
        for index, name in enumerate(names)
    ]
    return _text([head, *lines])


def _text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"
