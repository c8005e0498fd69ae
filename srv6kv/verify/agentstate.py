"""What the agent says of a value, in words and as plain values, and which key it waits for.

Rule: the labels and keys of unmet dependencies are those of agent rule A41; the agent compares keys
as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from srv6kv.agent.status import State, ValueStatus
from srv6kv.ligato import keys, parts
from srv6kv.ligato.parts import Json

States = Mapping[str, ValueStatus]
"""By the key (short form) of the value."""
UNKNOWN = "unknown"
FINE = frozenset({State.CONFIGURED, State.OBTAINED, State.DISCOVERED})


def waits_for(status: ValueStatus, value: Json | None) -> tuple[str, ...]:
    """What a PENDING value waits for, in words where the agent's label is known."""
    if status.state is not State.PENDING:
        return ()
    return tuple(needed(status.key, value, label)[0] or label for label in status.details)


def text_of(status: ValueStatus | None, value: Json | None) -> str:
    """State, reason and error in one line; ``unknown`` if the agent says nothing of the value."""
    if status is None:
        return UNKNOWN
    if waited := waits_for(status, value):
        return f"{status.state}: waits for {', '.join(waited)}"
    why = status.error or ", ".join(status.details)
    return f"{status.state}: {why}" if why else str(status.state)


def plain_of(status: ValueStatus | None) -> dict[str, Any]:
    """State, and error and details if there are any, as plain values."""
    if status is None:
        return {"state": UNKNOWN}
    plain: dict[str, Any] = {"state": str(status.state)}
    if status.error:
        plain["error"] = status.error
    if status.details:
        plain["details"] = list(status.details)
    return plain


def worse_of(one: ValueStatus | None, other: ValueStatus | None) -> ValueStatus | None:
    """The state of what needs both: one that is not there yet before one that is unknown."""
    for status in (one, other):
        if status is not None and status.state not in FINE:
            return status
    return one if other is not None else None


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
