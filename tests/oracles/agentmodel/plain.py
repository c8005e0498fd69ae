"""Descriptors of what the agent reads back from VPP or Linux: VRF tables, routes, neighbours,
interfaces, rule chains (agent rule A32). Where no call of VPP's matters they are plain
values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentmodel import values
from agentmodel.descriptors import (
    Dependency,
    Descriptor,
    Failed,
    Invalid,
    interface_of,
    vrf_table,
)
from agentmodel.iptables import IptablesError, Table
from agentmodel.vpp import FakeVpp
from srv6kv.gen.ligato.linux.iptables.iptables_pb2 import RuleChain
from srv6kv.gen.ligato.linux.namespace.namespace_pb2 import NetNamespace
from srv6kv.gen.ligato.vpp.l3.route_pb2 import Route
from srv6kv.gen.ligato.vpp.l3.vrf_pb2 import VrfTable

_FEW_CHAINS = 3
"""Fewer chains than this are not read back: the number of workers rounds to 0 (agent rule A32)."""
_CHAINS = {
    "FILTER": {"INPUT", "OUTPUT", "FORWARD"},
    "NAT": {"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"},
    "MANGLE": {"PREROUTING", "INPUT", "OUTPUT", "FORWARD", "POSTROUTING"},
    "RAW": {"PREROUTING", "OUTPUT"},
    "SECURITY": {"INPUT", "OUTPUT", "FORWARD"},
}


class _Kept(Descriptor):
    """A value that VPP keeps and gives back as it is."""

    prefix = ""

    def _key(self, value: Any) -> str:
        model = next(one for one in values.MODELS if one.prefix == self.prefix)
        return values.key_of(model, value)

    def create(self, vpp: FakeVpp, value: Any) -> Any:
        """It is there then."""
        vpp.add_plain(self._key(value), value)

    def delete(self, vpp: FakeVpp, value: Any, metadata: Any) -> None:
        """It is gone then."""
        vpp.del_plain(self._key(value))

    def retrieve(self, vpp: FakeVpp) -> Mapping[str, Any] | None:
        """All that VPP has of it."""
        return {key: one for key, one in vpp.plain.items() if key.startswith(self.prefix)}


class VrfTables(_Kept):
    """VRF 0 of both families is always there and is nobody's (rule A41); a label cannot change."""

    prefix = values.VRF_TABLE
    can_update = True

    def validate(self, value: Any) -> None:
        """A label has at most 63 characters."""
        if len(value.label) > 63:
            text = "VPP VRF table label exceeds the length limit (63 characters)"
            raise Invalid("label", text)

    def create(self, vpp: FakeVpp, value: Any) -> Any:
        """A table of one family."""
        vpp.add_table(VrfTable.Protocol.Name(value.protocol), value.id)
        super().create(vpp, value)

    def update(self, vpp: FakeVpp, old: Any, new: Any, metadata: Any) -> Any:
        """Only what balances changes; nothing that this VPP shows."""

    def must_recreate(self, old: Any, new: Any) -> bool:
        """Never under the same key."""
        return False

    def delete(self, vpp: FakeVpp, value: Any, metadata: Any) -> None:
        """Table 0 stays."""
        if value.id:
            vpp.del_table(VrfTable.Protocol.Name(value.protocol), value.id)
            super().delete(vpp, value, metadata)

    def retrieve(self, vpp: FakeVpp) -> Mapping[str, Any] | None:
        """With the two tables of VRF 0."""
        zero = {
            vrf_table(0, family): VrfTable(protocol=VrfTable.Protocol.Value(family))
            for family in ("IPV4", "IPV6")
        }
        return {**zero, **(super().retrieve(vpp) or {})}


class Routes(_Kept):
    """Any change is a delete and a create; what VPP shows of a DROP has the next hop ``::``."""

    prefix = values.ROUTE

    def validate(self, value: Any) -> None:
        """The destination is the exact network in Go's text."""
        text = values.network_text(value.dst_network)
        if text != value.dst_network.lower():
            raise Invalid("dst_network", f"DstNetwork ({value.dst_network}) must be {text}")

    def dependencies(self, value: Any) -> tuple[Dependency, ...]:
        """Agent rule A32: the interface, the tables."""
        family = "IPV6" if ":" in value.dst_network else "IPV4"
        found = []
        if value.outgoing_interface:
            found.append(("interface-exists", values.INTERFACE + value.outgoing_interface))
        if value.vrf_id:
            found.append(("vrf-table-exists", vrf_table(value.vrf_id, family)))
        if value.type == Route.INTER_VRF and value.via_vrf_id:
            found.append(("via-vrf-table-exists", vrf_table(value.via_vrf_id, family)))
        return tuple(found)

    def create(self, vpp: FakeVpp, value: Any) -> Any:
        """It is in its table then."""
        if value.type == Route.INTER_VRF and ":" in value.dst_network:
            if value.next_hop_addr != "::":
                vpp.faults.append(f"route {value.dst_network}: VPP resolves an IPv4 table")
            if value.outgoing_interface:
                vpp.faults.append(f"route {value.dst_network}: INTER_VRF with an interface")
        vpp.add_plain(self._key(_as_shown(value)), _as_shown(value))
        vpp.add_route(value.vrf_id, value.dst_network.lower(), _source(self._key(value), value))

    def delete(self, vpp: FakeVpp, value: Any, metadata: Any) -> None:
        """It is out of its table then."""
        vpp.del_plain(self._key(_as_shown(value)))
        vpp.del_route(value.vrf_id, value.dst_network.lower(), _source(self._key(value), value))


def _source(key: str, value: Any) -> str:
    return f"{Route.RouteType.Name(value.type)} {key}"


def _as_shown(value: Any) -> Any:
    if value.type == Route.INTRA_VRF or value.next_hop_addr:
        return value
    shown = Route()
    shown.CopyFrom(value)
    shown.next_hop_addr = "::" if ":" in value.dst_network else "0.0.0.0"
    return shown


class Neighbours(_Kept):
    """Wait for their interface."""

    prefix = values.ARP

    def dependencies(self, value: Any) -> tuple[Dependency, ...]:
        """The interface."""
        return (("interface-exists", values.INTERFACE + value.interface),)


class Interfaces(_Kept):
    """Plain values; one with a changed VRF or type is made anew, addresses are set in place."""

    prefix = values.INTERFACE
    can_update = True

    def must_recreate(self, old: Any, new: Any) -> bool:
        """Another type."""
        return bool(old.body.get("type") != new.body.get("type"))

    def create(self, vpp: FakeVpp, value: Any) -> Any:
        """It has an index then."""
        super().create(vpp, value)
        vpp.add_interface(*interface_of(value))

    def update(self, vpp: FakeVpp, old: Any, new: Any, metadata: Any) -> Any:
        """Its addresses change."""
        _, _, vrf, addresses = interface_of(old)
        name, _, new_vrf, new_addresses = interface_of(new)
        vpp.set_addresses(name, vrf, addresses, False)
        vpp.set_addresses(name, new_vrf, new_addresses, True)
        super().create(vpp, new)

    def delete(self, vpp: FakeVpp, value: Any, metadata: Any) -> None:
        """Its index is free then."""
        name, _, vrf, addresses = interface_of(value)
        vpp.del_interface(name, vrf, addresses)
        super().delete(vpp, value, metadata)


class _InLinux(Descriptor):
    """What outlives VPP."""

    prefix = ""

    def create(self, vpp: FakeVpp, value: Any) -> Any:
        """It is there then."""
        vpp.kernel[self.prefix + value.name] = value

    def delete(self, vpp: FakeVpp, value: Any, metadata: Any) -> None:
        """It is gone then."""
        vpp.kernel.pop(self.prefix + value.name, None)

    def retrieve(self, vpp: FakeVpp) -> Mapping[str, Any] | None:
        """All that is there."""
        return {key: one for key, one in vpp.kernel.items() if key.startswith(self.prefix)}


class LinuxInterfaces(_InLinux):
    """The Linux end of a TAP waits for the TAP."""

    prefix = values.LINUX_INTERFACE

    def dependencies(self, value: Any) -> tuple[Dependency, ...]:
        """The TAP."""
        tap = value.tap.vpp_tap_if_name
        return (("vpp-tap-interface-exists", values.INTERFACE + tap),) if tap else ()


class RuleChains(_InLinux):
    """Owns a whole chain of iptables: create wipes it (agent rule A32); a custom one that is jumped
    to is wiped and cannot be deleted (A50)."""

    prefix = values.RULE_CHAIN

    def __init__(self) -> None:
        self._made: set[str] = set()

    def validate(self, value: Any) -> None:
        """The chain is one of the table; a default policy only in FILTER."""
        table = RuleChain.Table.Name(value.table)
        kind = RuleChain.ChainType.Name(value.chain_type)
        if kind == "CUSTOM":
            if not value.chain_name:
                raise Invalid("chain_name", "a custom chain needs a name")
        elif kind not in _CHAINS[table]:
            raise Invalid("chain_type", f"{kind} is not allowed in {table}")
        if value.default_policy and (table != "FILTER" or kind == "CUSTOM"):
            raise Invalid("default_policy", "only chains of FILTER have one")

    def dependencies(self, value: Any) -> tuple[Dependency, ...]:
        """The Linux interfaces that it names."""
        return tuple(
            ("interface-exists", values.LINUX_INTERFACE + name) for name in value.interfaces
        )

    def create(self, vpp: FakeVpp, value: Any) -> Any:
        """It holds exactly these rules then."""
        table, chain = _place(value)
        try:
            vpp.iptables.new(table, chain)
            vpp.iptables.flush(table, chain)
            vpp.iptables.append(table, chain, value.rules)
        except IptablesError as error:
            raise Failed(f"Error by adding rules: {error}") from None
        super().create(vpp, value)
        self._made.add(self.prefix + value.name)

    def delete(self, vpp: FakeVpp, value: Any, metadata: Any) -> None:
        """It is empty then, and gone if it is custom."""
        table, chain = _place(value)
        self._made.discard(self.prefix + value.name)
        vpp.iptables.flush(table, chain)
        if value.chain_type == RuleChain.CUSTOM:
            try:
                vpp.iptables.delete(table, chain)
            except IptablesError as error:
                raise Failed(str(error)) from None
        super().delete(vpp, value, metadata)

    def retrieve(self, vpp: FakeVpp) -> Mapping[str, Any] | None:
        """What this process has made, and nothing where there are few; a built-in chain with its
        policy among the rules, so that every resync makes it again (agent rule A50)."""
        listed = super().retrieve(vpp) or {}
        found = {key: value for key, value in listed.items() if key in self._made}
        if len(found) < _FEW_CHAINS:
            return {}
        read = {}
        for key, value in found.items():
            read[key] = RuleChain()
            read[key].CopyFrom(value)
            read[key].rules[:] = vpp.iptables.rules(*_place(value))
        return read


def _place(value: Any) -> tuple[Table, str]:
    """Table and chain of a value."""
    kind = RuleChain.ChainType.Name(value.chain_type)
    family = RuleChain.Protocol.Name(value.protocol)
    kind_of = NetNamespace.ReferenceType.Name(value.namespace.type)
    namespace = f"{kind_of} {value.namespace.reference}"
    table = (namespace, family, RuleChain.Table.Name(value.table).lower())
    return table, value.chain_name if kind == "CUSTOM" else kind
