"""Which ``spec.externalIPs`` are honoured: ``srv6kv.externalIPs`` (rule L7).

Rule: none by default. Users who may write a Service could otherwise draw any address of the network
to his pods, all ports of it (CVE-2020-8554).
"""

from __future__ import annotations

from srv6kv.net.addresses import EVERY_ADDRESS, Prefix
from srv6kv.settings import file
from srv6kv.settings.file import Findings, Place, Section

KEY = "externalIPs"
KEYS: dict[str, file.Kind] = {"enabled": bool, "allowedCIDRs": list}


def external_ips_of(own: Section, findings: Findings) -> tuple[Prefix, ...]:
    """The prefixes in which external IPs are honoured; enabled without any means everywhere."""
    section = file.section(own.nodes.get(KEY), own.at(KEY), KEYS, True, findings)
    allowed = []
    for number, item in enumerate(section.items("allowedCIDRs")):
        place = Place(item.line, f"{section.place.key}.allowedCIDRs[{number}]")
        try:
            allowed.append(Prefix.parse_any(item.value if isinstance(item.value, str) else ""))
        except ValueError:
            findings.refuse(place, f"must be a prefix, not {file.described(item.value)}")
    is_enabled = section.truth("enabled")
    if is_enabled is False and allowed:
        findings.warn(section.at("allowedCIDRs"), "has no effect while enabled is false")
    if is_enabled is False:
        return ()
    return tuple(allowed) or (EVERY_ADDRESS if is_enabled else ())
