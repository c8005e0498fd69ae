"""The objects that VPP would have if all were as etcd has it, in the form in which VPP shows them.

Rule: addresses are compared by value. Interfaces have the agent's names here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from srv6kv.ligato import keys, parts
from srv6kv.net.addresses import to_int, to_text
from srv6kv.verify.differences import DesiredKeys, Json
from srv6kv.vpp.showsr_values import Localsid, Policy, SegmentList, Steering, address_of, prefix_of


@dataclass(slots=True)
class DesiredObjects:
    """What etcd wants, by what identifies it in VPP.

    Attributes:
        localsids: by SID; of several keys for one SID the last.
        policies: by BSID.
        steerings: by kind and traffic, then by VRF; several keys if they share a prefix.
        faults: values that the agent decodes but must refuse, and why.
        encap_source: of srv6-global; None without it.
    """

    localsids: dict[str, tuple[str, Localsid]] = field(default_factory=dict)
    policies: dict[str, tuple[str, Policy]] = field(default_factory=dict)
    steerings: dict[tuple[str, str], dict[int, dict[str, str]]] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    encap_source: str | None = None


def objects_of(desired: DesiredKeys) -> DesiredObjects:
    """What etcd wants of VPP."""
    decoded = DesiredObjects()
    for key, value in sorted(desired.values.items()):
        try:
            _add(decoded, key, value)
        except ValueError as error:
            decoded.faults[key] = str(error).removeprefix(f"{key}: ")
    return decoded


def _add(decoded: DesiredObjects, key: str, value: Json) -> None:
    if key.startswith(keys.LOCALSID):
        sid = _localsid(key, value)
        decoded.localsids[sid.sid] = (key, sid)
    elif key.startswith(keys.POLICY):
        policy = _policy(key, value)
        decoded.policies[policy.bsid] = (key, policy)
    elif key.startswith(keys.STEERING):
        steering, vrf = _steering(key, value)
        traffic = decoded.steerings.setdefault((steering.kind, steering.traffic), {})
        traffic.setdefault(vrf, {})[key] = steering.bsid
    else:  # the agent reads no other SRv6 value than srv6-global
        decoded.encap_source = _ip6_of(value.get("encap_source_address") or "::")


def _localsid(key: str, value: Json) -> Localsid:
    kind, function = parts.end_function(key, value)
    hop = function.get("next_hop")
    is_sent = "outgoing_interface" in kind.needs and not kind.is_plugin
    return Localsid(
        _ip6_of(parts.text_of(key, value, "sid")),
        None,
        kind.keyword,
        function.get("outgoing_interface", "") if is_sent else None,
        (address_of if kind.inner == "IPV4" else _ip6_of)(hop) if hop else None,
        function.get("vrf_id", 0) if kind.looks_up else None,
        bool(function.get("psp")),
    )


def _policy(key: str, value: Json) -> Policy:
    lists = tuple(
        SegmentList(tuple(map(_ip6_of, item.get("segments", ()))), item.get("weight", 0))
        for item in value.get("segment_lists", ())
    )
    if not lists:
        raise ValueError("segment_lists: there must be at least one")
    return Policy(
        _ip6_of(parts.text_of(key, value, "bsid")),
        bool(value.get("srh_encapsulation")),
        "Spray" if value.get("spray_behaviour") else "Default",
        value.get("installation_vrf_id", 0),
        lists,
    )


def _steering(key: str, value: Json) -> tuple[Steering, int]:
    """The steering, and its VRF; 0 for an interface."""
    bsid = _ip6_of(parts.text_of(key, value, "policy_bsid"))
    if "l2_traffic" in value:
        name = parts.text_of(key, value, "l2_traffic", "interface_name")
        return Steering("L2", name, bsid), 0
    prefix = prefix_of(parts.text_of(key, value, "l3_traffic", "prefix_address"))
    return Steering("L3", prefix, bsid), value["l3_traffic"].get("installation_vrf_id", 0)


def _ip6_of(text: str) -> str:
    """The one spelling of an address; the agent takes one of IPv4 for its mapped form."""
    return to_text(to_int(text))


def key_of(key: str, value: Json) -> str:
    """The key that the agent makes of a value of SRv6."""
    for prefix, name in ((keys.LOCALSID, "sid"), (keys.POLICY, "bsid"), (keys.STEERING, "name")):
        if key.startswith(prefix):
            return prefix + str(value.get(name, ""))
    return key
