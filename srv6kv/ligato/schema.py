"""Which message stands behind a key, and how the two generations of agents spell its names.

Canonical JSON has the names of agents 3.x; agents 2.x wrote the letters of most end functions in
upper case and the protocol of a rule chain with a small v (agent rules A30 and A32).
"""

from __future__ import annotations

from typing import Any, Literal

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from srv6kv import foreign
from srv6kv.gen.ligato.linux.interfaces import interface_pb2
from srv6kv.gen.ligato.linux.iptables import iptables_pb2
from srv6kv.gen.ligato.vpp.l3 import arp_pb2, route_pb2, vrf_pb2
from srv6kv.gen.ligato.vpp.srv6 import srv6_pb2
from srv6kv.ligato import keys
from srv6kv.ligato.endfunctions import END_FUNCTIONS

Api = Literal["v2", "v3"]

SRV6_GLOBAL = "config/vpp/srv6/v2/srv6-global"
"""The one key that is a whole model: the agent knows a single value of it."""

_SINGLETON: type[Message] = srv6_pb2.SRv6Global
_MESSAGES: dict[str, type[Message]] = {
    keys.LOCALSID: srv6_pb2.LocalSID,
    keys.POLICY: srv6_pb2.Policy,
    keys.STEERING: srv6_pb2.Steering,
    keys.ROUTE: route_pb2.Route,
    keys.VRF_TABLE: vrf_pb2.VrfTable,
    keys.ARP: arp_pb2.ARPEntry,
    keys.LINUX_INTERFACE: interface_pb2.Interface,
    keys.RULE_CHAIN: iptables_pb2.RuleChain,
}

_V2_FIELDS = {row.field: row.v2_field for row in END_FUNCTIONS.values()}
_V2_ENUMS = {
    ("ligato.linux.iptables.RuleChain.Protocol", "IPV4"): "IPv4",
    ("ligato.linux.iptables.RuleChain.Protocol", "IPV6"): "IPv6",
}
CANONICAL_NAMES = {
    **{old: name for name, old in _V2_FIELDS.items()},
    **{old: name for (_, name), old in _V2_ENUMS.items()},
    "fib_table_id": "installation_vrf_id",
}
"""The names of older agents, of fields and enum values, and what agents 3.x call them. The last one
is of agents 2.0, read and never written."""


def message_of(key: str) -> type[Message] | None:
    """The class of the message below a key; None for a model that srv6kv does not know."""
    if key == SRV6_GLOBAL:
        return _SINGLETON
    for prefix, message in _MESSAGES.items():
        if key.startswith(prefix) and len(key) > len(prefix):
            return message
    return None


def known_message(key: str) -> type[Message]:
    """The class of the message below a key; ValueError if srv6kv does not know the model."""
    message = message_of(key)
    if message is None:
        raise ValueError(f"{key}: not a kind of key that srv6kv knows")
    return message


def parse_json(key: str, value: bytes) -> Message:
    """The message behind canonical JSON; ValueError if the agent could not decode it."""
    message = known_message(key)()
    try:
        return json_format.ParseDict(foreign.plain(value, dict[str, Any], is_unique=True), message)
    except (json_format.ParseError, foreign.Unreadable) as error:
        raise ValueError(f"{key}: {foreign.brief(str(error))}") from None


def decoded(key: str, value: bytes) -> dict[str, Any]:
    """A value with the agent's own names, without defaults; ValueError as for ``parse_json``."""
    message = parse_json(key, value)
    found: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return found


def field_name(field: FieldDescriptor, api: Api) -> str:
    """The field's name in one generation."""
    name: str = field.name
    return _V2_FIELDS.get(name, name) if api == "v2" else name


def enum_name(field: FieldDescriptor, number: int, api: Api) -> str:
    """The name of an enum value in one generation; a number without a name stays a number."""
    known = field.enum_type.values_by_number.get(number)
    if known is None:
        return str(number)
    name: str = known.name
    own = (field.enum_type.full_name, name)
    return _V2_ENUMS.get(own, name) if api == "v2" else name
