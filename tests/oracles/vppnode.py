"""One VPP with its pods, as the values of its agent make it: tables, policies, iptables.

Rule: it reads plain JSON values and knows nothing of how they were made; it imports nothing of
srv6kv. A kind of key, field or rule that it does not know raises ``Unknown``; a state that VPP or
the agent would refuse, or that breaks traffic, raises ``Broken``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Interface, IPv6Network
from typing import Any

Json = dict[str, Any]
Values = Mapping[str, Json]

SEGMENT_ROOM = 5


class Unknown(Exception):
    """A key, field or rule that this interpreter has not been taught."""


class Broken(Exception):
    """A state that the agent or VPP refuses, or that loses packets by itself."""


@dataclass(frozen=True, slots=True)
class Steer:
    """Into a policy."""

    bsid: str


@dataclass(frozen=True, slots=True)
class Sid:
    """A localsid."""

    function: str
    interface: str = ""
    next_hop: str = ""
    vrf: int = 0


@dataclass(frozen=True, slots=True)
class Drop:
    """Nowhere."""


@dataclass(frozen=True, slots=True)
class Via:
    """Look up once more, in another VRF."""

    vrf: int


@dataclass(frozen=True, slots=True)
class Hop:
    """To a neighbour, on an interface if it names one."""

    interface: str
    next_hop: str


@dataclass(frozen=True, slots=True)
class Own:
    """An address of VPP's own."""


@dataclass(frozen=True, slots=True)
class Attached:
    """To whoever has the address, on the interface that is in its network."""

    interface: str


Action = Steer | Sid | Drop | Via | Hop | Own | Attached


@dataclass(frozen=True, slots=True)
class Policy:
    """The lists of a BSID and the VRF in which the outer packet is looked up."""

    vrf: int
    lists: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Interface:
    """Where its packets are looked up, and its addresses."""

    vrf: int
    addresses: tuple[IPv6Interface, ...]


@dataclass(frozen=True, slots=True)
class LinuxEnd:
    """The Linux end of a TAP; without a namespace it is in the host."""

    namespace: str | None
    addresses: frozenset[str]


@dataclass(frozen=True, slots=True)
class Rule:
    """An iptables rule."""

    destination: IPv6Network
    protocol: str
    ports: range
    target: tuple[str, int | None] | None  # None: CT --notrack; without a port it stays


@dataclass(slots=True)
class Table:
    """One VRF: the entries of each prefix, by who put them there."""

    entries: dict[int, dict[int, dict[str, Action]]] = field(default_factory=dict)

    def add(self, prefix: IPv6Network, source: str, action: Action) -> None:
        """Take in an entry; two of one source on one prefix cannot be."""
        found = self.entries.setdefault(prefix.prefixlen, {}).setdefault(
            int(prefix.network_address), {}
        )
        if source in found and found[source] != action:
            raise Broken(f"two entries of {source} for {prefix}")
        found[source] = action
        if "sr" in found and isinstance(found.get("route"), Drop):
            raise Broken(f"{prefix} is steered and has a DROP route: half of the traffic is lost")
        if "sid" in found and len(found) > 1:
            raise Broken(f"{prefix} is a localsid and has another entry in its VRF")

    def look_up(self, address: str) -> Action | None:
        """The longest prefix decides, and on it VPP's interfaces, then SR, then routes."""
        bits = bits_of(address)
        for length in sorted(self.entries, reverse=True):
            found = self.entries[length].get(bits & mask_of(length))
            if found:
                first = (source for source in ("own", "attached", "sr", "sid") if source in found)
                return found[next(first, "route")]
        return None


class _Fields:
    """The fields of a value; whatever is not asked for raises at the end."""

    def __init__(self, key: str, value: Json) -> None:
        self._key = key
        self._rest = dict(value)

    def __enter__(self) -> _Fields:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self._rest:
            raise Unknown(f"{self._key}: fields {sorted(self._rest)}")

    def text(self, name: str, default: str = "") -> str:
        found: str = self._take(name, default, str)
        return found

    def number(self, name: str) -> int:
        found: int = self._take(name, 0, int)
        return found

    def truth(self, name: str) -> bool:
        found: bool = self._take(name, False, bool)
        return found

    def texts(self, name: str) -> list[str]:
        found: list[str] = self._take(name, [], list)
        return found

    def mappings(self, name: str) -> list[Json]:
        found: list[Json] = self._take(name, [], list)
        return found

    def mapping(self, name: str) -> Json | None:
        return self._take(name, None, dict) if name in self._rest else None

    def ignore(self, *names: str) -> None:
        for name in names:
            self._rest.pop(name, None)

    def expect(self, is_so: bool, text: str) -> None:
        if not is_so:
            raise Broken(f"{self._key}: {text}")

    def expect_key(self, key: str) -> None:
        self.expect(self._key == key, f"the agent computes the key {key}")

    def _take(self, name: str, default: Any, kind: type) -> Any:
        value = self._rest.pop(name, default)
        if value is not default and type(value) is not kind:
            raise Broken(f"{self._key}: {name} is {value!r}")
        return value


class Node:
    """One VPP with its pods, as its agent's values make it."""

    def __init__(self, name: str, values: Values) -> None:
        self.name = name
        self.interfaces: dict[str, Interface] = {}
        self.neighbours: set[tuple[str, str]] = set()
        self.ends: dict[str, LinuxEnd] = {}
        self.chains: dict[tuple[str, str, str], tuple[Rule | str, ...]] = {}
        self.policies: dict[str, Policy] = {}
        self._vrfs: set[int] = set()
        self._tables: dict[int, Table] = {}
        self._sids: set[str] = set()
        for prefix, read in self._READERS:  # what others depend on comes first
            for key in sorted(values):
                if key.startswith(prefix):
                    with _Fields(key, values[key]) as fields:
                        read(self, key, fields)
        known = tuple(prefix for prefix, _ in self._READERS)
        strange = [key for key in values if not key.startswith(known)]
        if strange:
            raise Unknown(f"keys {strange}")

    def table(self, vrf: int) -> Table:
        """A VRF's table."""
        return self._tables.setdefault(vrf, Table())

    # Reading ------------------------------------------------------------------------------------

    def _read_vrf(self, key: str, fields: _Fields) -> None:
        vrf, protocol = fields.number("id"), fields.text("protocol", "IPV4")
        fields.ignore("label")
        fields.expect_key(f"config/vpp/v2/vrf-table/id/{vrf}/protocol/{protocol}")
        if protocol == "IPV6":
            self._vrfs.add(vrf)

    def _has_vrf(self, vrf: int, fields: _Fields) -> None:
        fields.expect(vrf in self._vrfs, f"PENDING: there is no VRF table {vrf}")

    def _read_interface(self, key: str, fields: _Fields) -> None:
        name, vrf = fields.text("name"), fields.number("vrf")
        is_enabled = fields.truth("enabled")
        fields.ignore("type", "tap", "unnumbered")
        fields.expect_key(f"config/vpp/v2/interfaces/{name}")
        addresses = tuple(IPv6Interface(text) for text in fields.texts("ip_addresses"))
        self.interfaces[name] = Interface(vrf, addresses)
        for address in addresses if is_enabled else ():
            self.table(vrf).add(IPv6Network((int(address), 128)), "own", Own())
            if address.network.prefixlen < 128:
                self.table(vrf).add(address.network, "attached", Attached(name))

    def _read_neighbour(self, key: str, fields: _Fields) -> None:
        interface, address = fields.text("interface"), fields.text("ip_address")
        fields.ignore("phys_address")
        fields.expect_key(f"config/vpp/v2/arp/{interface}/{address}")
        if fields.truth("static"):
            self.neighbours.add((interface, address))

    def _read_linux_interface(self, key: str, fields: _Fields) -> None:
        name, kind, tap = fields.text("name"), fields.text("type"), fields.mapping("tap")
        fields.ignore("host_if_name", "enabled")
        fields.expect_key(f"config/linux/interfaces/v2/interface/{name}")
        fields.expect(kind == "TAP_TO_VPP" and tap is not None, "not the end of a TAP")
        namespace = fields.mapping("namespace")
        addresses = frozenset(text.partition("/")[0] for text in fields.texts("ip_addresses"))
        assert tap is not None
        self.ends[tap["vpp_tap_if_name"]] = LinuxEnd(
            None if namespace is None else _namespace(namespace), addresses
        )

    def _read_route(self, key: str, fields: _Fields) -> None:
        destination, hop = fields.text("dst_network"), fields.text("next_hop_addr")
        interface, kind = fields.text("outgoing_interface"), fields.text("type", "INTRA_VRF")
        vrf, via = fields.number("vrf_id"), fields.number("via_vrf_id")
        way = f"if/{interface}/" if interface else ""
        fields.expect_key(f"config/vpp/v2/route/{way}vrf/{vrf}/dst/{destination}/gw/{hop}")
        self._has_vrf(vrf, fields)
        match kind:
            case "INTER_VRF":
                fields.expect(hop == "::" and not interface, "INTER_VRF with a next hop")
                self._has_vrf(via, fields)
                action: Action = Via(via)
            case "DROP":
                fields.expect(hop == "::" and not interface, "DROP with a next hop")
                action = Drop()
            case "INTRA_VRF":
                fields.expect(hop not in ("", "::") and not via, "no next hop")
                action = Hop(interface, hop)
            case _:
                raise Unknown(f"{key}: route type {kind}")
        self.table(vrf).add(IPv6Network(destination), "route", action)

    def _read_localsid(self, key: str, fields: _Fields) -> None:
        address, vrf = fields.text("sid"), fields.number("installation_vrf_id")
        fields.expect_key(f"config/vpp/srv6/v2/localsid/{address}")
        fields.expect(address == str(IPv6Address(address)), "not in canonical form")
        fields.expect(address not in self._sids, "a SID is unique over all VRFs")
        self._has_vrf(vrf, fields)
        self._sids.add(address)
        functions = {
            name: value
            for name in ("base_end_function", "end_function_dx6", "end_function_dt6")
            if (value := fields.mapping(name)) is not None
        }
        fields.expect(len(functions) == 1, f"end functions {sorted(functions)}")
        [(name, value)] = functions.items()
        with _Fields(f"{key}: {name}", value) as inner:
            sid = Sid(
                name,
                inner.text("outgoing_interface"),
                inner.text("next_hop"),
                inner.number("vrf_id"),
            )
        if name == "end_function_dx6" and sid.interface not in self.interfaces:
            return  # PENDING: VPP does not have it
        if name == "end_function_dt6":
            self._has_vrf(sid.vrf, fields)
        self.table(vrf).add(IPv6Network(f"{address}/128"), "sid", sid)

    def _read_policy(self, key: str, fields: _Fields) -> None:
        bsid, vrf = fields.text("bsid"), fields.number("installation_vrf_id")
        fields.expect_key(f"config/vpp/srv6/v2/policy/{bsid}")
        fields.expect(fields.truth("srh_encapsulation"), "SRH insertion is not for services")
        self._has_vrf(vrf, fields)
        for other in self.policies:
            fields.expect(
                not other.startswith(bsid) and not bsid.startswith(other),
                f"the agent takes {other} and {bsid} for the same text",
            )
        fields.expect(bsid not in self._sids, "a BSID equals a SID")
        lists = []
        for index, item in enumerate(fields.mappings("segment_lists")):
            with _Fields(f"{key}: segment_lists[{index}]", item) as inner:
                segments, weight = tuple(inner.texts("segments")), inner.number("weight")
                inner.expect(0 < len(segments) <= SEGMENT_ROOM, f"{len(segments)} segments")
                inner.expect(0 < weight < 10, f"weight {weight}")
                inner.expect(segments not in lists, "INVALID: a list occurs twice")
            lists.append(segments)
        fields.expect(bool(lists), "INVALID: no segment list")
        self.policies[bsid] = Policy(vrf, tuple(lists))

    def _read_steering(self, key: str, fields: _Fields) -> None:
        name, bsid = fields.text("name"), fields.text("policy_bsid")
        fields.expect_key(f"config/vpp/srv6/v2/steering/{name}")
        traffic = fields.mapping("l3_traffic")
        assert traffic is not None
        with _Fields(f"{key}: l3_traffic", traffic) as inner:
            prefix, vrf = inner.text("prefix_address"), inner.number("installation_vrf_id")
        self._has_vrf(vrf, fields)
        fields.expect(bsid in self.policies, f"PENDING: there is no policy {bsid}")
        # Two steerings of one prefix share one entry in VPP: Table refuses the second.
        network = self.table(vrf).entries.get(128, {}).get(int(IPv6Network(prefix)[0]), {})
        fields.expect("sr" not in network, f"{prefix} in VRF {vrf} is steered twice")
        self.table(vrf).add(IPv6Network(prefix), "sr", Steer(bsid))

    def _read_rule_chain(self, key: str, fields: _Fields) -> None:
        name, table = fields.text("name"), fields.text("table")
        builtin, custom = fields.text("chain_type"), fields.text("chain_name")
        fields.expect(bool(builtin) != bool(custom), "a chain is built in or has a name")
        namespace = fields.mapping("namespace")
        fields.expect_key(f"config/linux/iptables/v2/rulechain/{name}")
        fields.expect(fields.text("protocol") == "IPV6", "not for IPv6")
        fields.expect(namespace is not None, "it would hit the host")
        assert namespace is not None
        place = (_namespace(namespace), table, builtin or custom)
        fields.expect(place not in self.chains, "a chain has two owners, each flushes the other")
        self.chains[place] = tuple(_rule(place, text) for text in fields.texts("rules"))

    _READERS: tuple[tuple[str, Any], ...] = (
        ("config/vpp/v2/vrf-table/", _read_vrf),
        ("config/vpp/v2/interfaces/", _read_interface),
        ("config/vpp/v2/arp/", _read_neighbour),
        ("config/linux/interfaces/v2/interface/", _read_linux_interface),
        ("config/vpp/v2/route/", _read_route),
        ("config/vpp/srv6/v2/localsid/", _read_localsid),
        ("config/vpp/srv6/v2/policy/", _read_policy),
        ("config/vpp/srv6/v2/steering/", _read_steering),
        ("config/linux/iptables/v2/rulechain/", _read_rule_chain),
    )

    # Pods ---------------------------------------------------------------------------------------

    def interface_of_pod(self, address: str) -> str:
        """The TAP behind which a pod is."""
        for interface, end in self.ends.items():
            if end.namespace is not None and address in end.addresses:
                return interface
        raise KeyError(f"{self.name} has no pod {address}")

    def rules(self, namespace: str, table: str, chain: str) -> tuple[Rule, ...]:
        """The rules of a chain, with those of the chains that it jumps to in their places."""
        found: list[Rule] = []
        for rule in self.chains.get((namespace, table, chain), ()):
            if isinstance(rule, Rule):
                found.append(rule)
                continue
            if (namespace, table, rule) not in self.chains:
                raise Unknown(f"{chain} of {namespace} jumps to {rule}, which is not there")
            found += self.rules(namespace, table, rule)
        return tuple(found)


_DNAT = re.compile(
    r"-d (?P<destination>[0-9a-f:]+/128) -p (?P<protocol>tcp|udp|sctp) -m (?P=protocol)"
    r" --dport (?P<port>\d+) -j DNAT --to-destination \[(?P<target>[0-9a-f:]+)\]:(?P<to>\d+)"
)
_DNAT_RANGE = re.compile(
    r"-d (?P<destination>[0-9a-f:]+/128) -p (?P<protocol>tcp|udp|sctp) -m (?P=protocol)"
    r" --dport (?P<first>\d+):(?P<last>\d+) -j DNAT --to-destination (?P<target>[0-9a-f:]+)"
)
_JUMP = re.compile(r"-j (?P<chain>srv6kv-[ab])")
_NOTRACK = re.compile(r"-d (?P<destination>[0-9a-f:]+/128) -j CT --notrack")


def _rule(place: tuple[str, str, str], text: str) -> Rule | str:
    """A rule, or the name of the chain that it jumps to."""
    if found := _JUMP.fullmatch(text):
        return found["chain"]
    if place[1] == "NAT" and (found := _DNAT.fullmatch(text)):
        port, target = int(found["port"]), (found["target"], int(found["to"]))
        return Rule(
            IPv6Network(found["destination"]), found["protocol"], range(port, port + 1), target
        )
    if place[1] == "NAT" and (found := _DNAT_RANGE.fullmatch(text)):
        ports = range(int(found["first"]), int(found["last"]) + 1)
        assert len(ports) > 1, text
        return Rule(
            IPv6Network(found["destination"]), found["protocol"], ports, (found["target"], None)
        )
    if place[1] == "RAW" and (found := _NOTRACK.fullmatch(text)):
        return Rule(IPv6Network(found["destination"]), "", range(0), None)
    raise Unknown(f"rule {text!r} in {place}")


def _namespace(value: Json) -> str:
    return f"{value['type']} {value['reference']}"


@lru_cache(maxsize=65536)
def bits_of(address: str) -> int:
    return int(IPv6Address(address))


@lru_cache
def mask_of(length: int) -> int:
    return ((1 << length) - 1) << (128 - length)
