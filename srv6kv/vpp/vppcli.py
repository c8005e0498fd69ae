"""VPP commands that program the state behind the agent's values, for labs without an agent.

Rule: in an order in which every command finds what it refers to; a value that no command can
express is an error, never a comment. Linux objects are not VPP's and are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from srv6kv.ligato import keys, parts
from srv6kv.ligato.endfunctions import EndFunction
from srv6kv.ligato.parts import Json, Values
from srv6kv.ligato.schema import SRV6_GLOBAL

_PLUGIN_WORDS = {
    "l3_service_address": "nh",
    "outgoing_interface": "oif",
    "incoming_interface": "iif",
}
_LINUX = "config/linux/"
_KINDS = (keys.VRF_TABLE, keys.ROUTE, keys.ARP, keys.LOCALSID, keys.POLICY, keys.STEERING, _LINUX)


def commands(values: Values, interfaces: Mapping[str, str]) -> list[str]:
    """The commands, in a safe order.

    Args:
        values: key below the label, and JSON with canonical field names.
        interfaces: the agent's interface names to VPP's; others stay as they are.

    Raises:
        ValueError: a value of an unknown kind, or one that VPP's commands cannot express.
    """
    for key in values:
        if key != SRV6_GLOBAL and not key.startswith(_KINDS):
            raise ValueError(f"{key}: not a kind of value that VPP's commands express")
    source = values.get(SRV6_GLOBAL, {}).get("encap_source_address")
    found = [
        *(_table(value) for _, value in parts.vrf_tables(values) if value.get("id")),
        *(_route(key, value, interfaces) for key, value in parts.routes(values)),
        *(_neighbour(key, value, interfaces) for key, value in parts.below(keys.ARP, values)),
        *(_localsid(key, value, interfaces) for key, value in parts.localsids(values)),
        *([f"set sr encaps source addr {source}"] if source else []),
        *(line for key, value in parts.policies(values) for line in _policy(key, value)),
        *(_steering(key, value, interfaces) for key, value in parts.steerings(values)),
    ]
    for command in found:
        if not command.isprintable():
            raise ValueError(f"{command!r}: VPP would take this for several commands")
    return found


def _table(value: Json) -> str:
    """Table 0 always exists, and VPP refuses to add it."""
    family = "ip6 table" if value.get("protocol") == "IPV6" else "ip table"
    return f"{family} add {value['id']}"


def _route(key: str, value: Json, interfaces: Mapping[str, str]) -> str:
    network = parts.text_of(key, value, "dst_network")
    head = f"ip route add {network} table {value.get('vrf_id', 0)} via"
    match value.get("type", "INTRA_VRF"):
        case "INTER_VRF":
            family = "ip6" if ":" in network else "ip4"
            return f"{head} {family}-lookup-in-table {value.get('via_vrf_id', 0)}"
        case "DROP":
            return f"{head} drop"
        case "INTRA_VRF":
            interface = value.get("outgoing_interface", "")
            path = [value.get("next_hop_addr", ""), interfaces.get(interface, interface)]
            if not any(path):
                raise ValueError(f"{key}: next_hop_addr: missing, and no outgoing_interface")
            options = [
                f"{name} {value[name]}" for name in ("weight", "preference") if name in value
            ]
            return " ".join([head, *filter(None, path), *options])
        case kind:
            raise ValueError(f"{key}: type: {kind!r} is not a type of route")


def _neighbour(key: str, value: Json, interfaces: Mapping[str, str]) -> str:
    names = ("interface", "ip_address", "phys_address")
    interface, address, mac = (parts.text_of(key, value, name) for name in names)
    words = ["set ip neighbor", interfaces.get(interface, interface), address, mac]
    return " ".join([*words, "static"] if value.get("static") else words)


def _localsid(key: str, value: Json, interfaces: Mapping[str, str]) -> str:
    sid = parts.text_of(key, value, "sid")
    kind, function = parts.end_function(key, value)
    words = [f"sr localsid prefix {sid}/128 behavior", *_behaviour(key, kind, function, interfaces)]
    if function.get("psp"):
        words.append("psp")
    return " ".join([*words, f"fib-table {value.get('installation_vrf_id', 0)}"])


def _behaviour(
    key: str, kind: EndFunction, function: Json, interfaces: Mapping[str, str]
) -> Iterator[str]:
    yield kind.title.lower()
    if function.get("vlan_tag"):
        raise ValueError(f"{key}: vlan_tag: VPP has no command for it")
    for field in kind.needs:
        if field == "vrf_id":
            yield str(function.get(field, 0))
        elif field != "l3_service_address" or function.get(field):
            text = parts.text_of(key, function, field)
            if kind.is_plugin:
                yield _PLUGIN_WORDS[field]
            yield interfaces.get(text, text) if "interface" in field else text


def _policy(key: str, value: Json) -> Iterator[str]:
    """VPP's command makes a policy with one list; each further list is an addition."""
    bsid = parts.text_of(key, value, "bsid")
    lists = [_segment_list(key, item) for item in value.get("segment_lists", ())]
    if not lists:
        raise ValueError(f"{key}: segment_lists: there must be at least one")
    words = [lists[0], "encap" if value.get("srh_encapsulation") else "insert"]
    if value.get("spray_behaviour"):
        words.append("spray")
    if vrf := value.get("installation_vrf_id"):
        words.append(f"fib-table {vrf}")
    yield f"sr policy add bsid {bsid} {' '.join(words)}"
    for item in lists[1:]:
        yield f"sr policy mod bsid {bsid} add sl {item}"


def _segment_list(key: str, item: Json) -> str:
    segments = item.get("segments", ())
    if not segments:
        raise ValueError(f"{key}: segments: there must be at least one")
    return f"{' '.join(f'next {sid}' for sid in segments)} weight {item.get('weight', 0)}"


def _steering(key: str, value: Json, interfaces: Mapping[str, str]) -> str:
    if "policy_index" in value:
        policy = f"index {value['policy_index']}"
    else:
        policy = f"bsid {parts.text_of(key, value, 'policy_bsid')}"
    if "l2_traffic" in value:
        logical = parts.text_of(key, value, "l2_traffic", "interface_name")
        return f"sr steer l2 {interfaces.get(logical, logical)} via {policy}"
    prefix = parts.text_of(key, value, "l3_traffic", "prefix_address")
    vrf = value["l3_traffic"].get("installation_vrf_id", 0)
    return f"sr steer l3 {prefix} via {policy} fib-table {vrf}"
