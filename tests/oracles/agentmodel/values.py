"""Keys and values as the agent's decoder and models take them: the JSON rules, the exact keys.

Built on the generated messages and protobuf's own JSON parser, not on srv6kv's encoder: a second
opinion. Interfaces of VPP have no message here; their values are plain JSON objects.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Network, ip_network
from typing import Any, Literal

from google.protobuf import json_format
from google.protobuf.message import Message

from srv6kv.gen.ligato.linux.interfaces import interface_pb2
from srv6kv.gen.ligato.linux.iptables import iptables_pb2
from srv6kv.gen.ligato.vpp.l3 import arp_pb2, route_pb2, vrf_pb2
from srv6kv.gen.ligato.vpp.srv6 import srv6_pb2

Api = Literal["v2", "v3"]
Json = dict[str, Any]

LOCALSID = "config/vpp/srv6/v2/localsid/"
POLICY = "config/vpp/srv6/v2/policy/"
STEERING = "config/vpp/srv6/v2/steering/"
GLOBAL = "config/vpp/srv6/v2/srv6-global"
ROUTE = "config/vpp/v2/route/"
VRF_TABLE = "config/vpp/v2/vrf-table/"
ARP = "config/vpp/v2/arp/"
INTERFACE = "config/vpp/v2/interfaces/"
LINUX_INTERFACE = "config/linux/interfaces/v2/interface/"
RULE_CHAIN = "config/linux/iptables/v2/rulechain/"

_V2_NAMES = {
    f"end_function_{letters}": f"end_function_{letters.upper()}"
    for letters in ("x", "t", "dx2", "dx4", "dx6", "dt4", "dt6", "ad")
}
"""Agents 2.x (agent rule A30); their lowerCamel names of the first two are those of 3.x."""
_V2_PROTOCOLS = {"IPv4": "IPV4", "IPv6": "IPV6"}


class Undecodable(ValueError):
    """What the agent's JSON decoder refuses (agent rule A31)."""


@dataclass(frozen=True)
class Plain:
    """A value of a model whose message is not known here."""

    body: Json

    def __hash__(self) -> int:
        return hash(json.dumps(self.body, sort_keys=True))


Value = Any
"""A protobuf message, or Plain."""


@dataclass(frozen=True, slots=True)
class Model:
    """One model of the agent: what is behind a key prefix (agent rule A33)."""

    prefix: str
    message: type[Message] | None
    name: Callable[[Any], str]

    def matches(self, key: str) -> bool:
        """Whether a key is of this model; an empty name matches none (agent rule A34)."""
        if self.prefix.endswith("/"):
            return key.startswith(self.prefix) and len(key) > len(self.prefix)
        return key == self.prefix


def _route_name(route: Any) -> str:
    """Version 2.2 and later; the destination is Go's text of the network (agent rule A34)."""
    way = f"if/{route.outgoing_interface}/" if route.outgoing_interface else ""
    gateway = f"/gw/{route.next_hop_addr}" if route.next_hop_addr else ""
    return f"{way}vrf/{route.vrf_id}/dst/{network_text(route.dst_network)}{gateway}"


@lru_cache(maxsize=65536)
def network_text(text: str) -> str:
    """A network as Go prints it, host bits cut off; ``<invalid>/0`` for what is none."""
    try:
        network = ip_network(text if "/" in text else "", strict=False)
    except ValueError:
        return "<invalid>/0"
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return f"{mapped}/{network.prefixlen - 96}"
    return str(network)


def _vrf_name(table: Any) -> str:
    family = vrf_pb2.VrfTable.Protocol.Name(table.protocol)
    return f"id/{table.id}/protocol/{family}"


MODELS = (
    Model(LOCALSID, srv6_pb2.LocalSID, lambda value: value.sid),
    Model(POLICY, srv6_pb2.Policy, lambda value: value.bsid),
    Model(STEERING, srv6_pb2.Steering, lambda value: value.name),
    Model(GLOBAL, srv6_pb2.SRv6Global, lambda value: ""),
    Model(ROUTE, route_pb2.Route, _route_name),
    Model(VRF_TABLE, vrf_pb2.VrfTable, _vrf_name),
    Model(ARP, arp_pb2.ARPEntry, lambda value: f"{value.interface}/{value.ip_address}"),
    Model(INTERFACE, None, lambda value: value.body.get("name", "")),
    Model(LINUX_INTERFACE, interface_pb2.Interface, lambda value: value.name),
    Model(RULE_CHAIN, iptables_pb2.RuleChain, lambda value: value.name),
)
"""The models that the agent watches; of others it sees nothing (agent rule A36)."""


@lru_cache(maxsize=65536)
def model_of(key: str) -> Model | None:
    """The model of a key."""
    return next((model for model in MODELS if model.matches(key)), None)


def key_of(model: Model, value: Value) -> str:
    """The key that the agent computes from a value: joined and cleaned as paths are (rule A33)."""
    return posixpath.normpath(posixpath.join(model.prefix, model.name(value).lstrip("/")))


def decode(key: str, text: bytes, api: Api = "v3") -> Value:
    """The value behind JSON.

    Raises:
        Undecodable: the agent's decoder would refuse it.
    """
    model = model_of(key)
    assert model is not None
    if model.message is None:
        return Plain(_object(text))
    message = model.message()
    body = json.dumps(_from_v2(model, _object(text)) if api == "v2" else _object(text))
    try:
        return json_format.Parse(body, message)
    except json_format.ParseError as error:
        raise Undecodable(str(error)) from None


def _object(text: bytes) -> Json:
    try:
        found = json.loads(text, object_pairs_hook=_without_doubles)
    except ValueError as error:
        raise Undecodable(str(error)) from None
    if not isinstance(found, dict):
        raise Undecodable("not an object")
    return found


def _without_doubles(pairs: list[tuple[str, Any]]) -> Json:
    """A field twice, be it by both of its names, is an error (agent rule A31)."""
    names = [name.replace("_", "").lower() for name, _ in pairs]
    if len(names) != len(set(names)):
        raise ValueError(f"duplicate field in {[name for name, _ in pairs]}")
    return dict(pairs)


def _from_v2(model: Model, body: Json) -> Json:
    """The names of agents 3.x for those of 2.x; names of 3.x alone are unknown fields there."""
    if model.prefix == RULE_CHAIN and "protocol" in body:
        protocol = body["protocol"]
        if isinstance(protocol, str) and protocol not in _V2_PROTOCOLS:
            raise Undecodable(f"unknown value {protocol!r} for enum Protocol")
        return {**body, "protocol": _V2_PROTOCOLS.get(protocol, protocol)}
    if model.prefix != LOCALSID:
        return body
    unknown = body.keys() & _V2_NAMES.keys()
    if unknown:
        raise Undecodable(f'unknown field "{sorted(unknown)[0]}"')
    names = {old: new for new, old in _V2_NAMES.items()}
    return {names.get(name, name): item for name, item in body.items()}
