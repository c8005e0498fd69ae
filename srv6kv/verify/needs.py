"""Which key a value waits for when the agent says that a dependency is unmet.

Rule: the labels and keys of agent rule A41; the agent compares keys as text.
"""

from __future__ import annotations

from typing import Any

from srv6kv.ligato import keys, parts
from srv6kv.verify.differences import Json


def needed(key: str, value: Json | None, label: str) -> tuple[str, str]:
    """What is missing, in words, and its key; both "" for a label that is not SRv6's."""
    value = value or {}
    inner, function = _function(key, value)
    traffic: Json = value.get("l3_traffic") or {}
    match label:
        case "sr-localsid-installation-vrf-table-exists" | "sr-policy-vrf-table-exists":
            return _table(value.get("installation_vrf_id", 0), "IPV6")
        case "sr-localsid-routing-lookup-vrf-table-exists":
            return _table(function.get("vrf_id", 0), inner or "IPV6")
        case "sr-localsid-outgoing-interface-exists":
            return _interface(function.get("outgoing_interface", ""))
        case "sr-localsid-incoming-interface-exists":
            return _interface(function.get("incoming_interface", ""))
        case "sr-policy-for-steering-exists":
            bsid = str(value.get("policy_bsid", ""))
            return f"policy {bsid}", keys.policy(bsid)
        case "sr-steering-vrf-table-exists":
            family = "IPV6" if ":" in str(traffic.get("prefix_address", "")) else "IPV4"
            return _table(traffic.get("installation_vrf_id", 0), family)
        case "sr-steering-l2-interface-exists":
            return _interface((value.get("l2_traffic") or {}).get("interface_name", ""))
        case _:
            return "", ""


def _function(key: str, value: Json) -> tuple[str, Any]:
    """The family of what is left after decapsulation, and the fields of the end function."""
    try:
        kind, function = parts.end_function(key, value)
    except ValueError:  # the agent would not have got as far as dependencies
        return "", {}
    return kind.inner, function


def _table(vrf: int, family: str) -> tuple[str, str]:
    return f"the {family} table of VRF {vrf}", keys.vrf_table(vrf, family)


def _interface(name: str) -> tuple[str, str]:
    return f"interface {name!r}", keys.INTERFACE + name
