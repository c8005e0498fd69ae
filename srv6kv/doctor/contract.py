"""The keys that a CNI has given an agent, indexed, and what is wrong with each by itself.

Rule (agent rule A35): a key that does not follow from its value makes the agent drop a whole
resync, everybody's keys included.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from srv6kv import foreign
from srv6kv.doctor.findings import ERROR, OK, Finding
from srv6kv.ligato import keys
from srv6kv.ligato.parts import snake_case
from srv6kv.net import addresses
from srv6kv.net.addresses import Prefix

Value = dict[str, Any]

_REMEDY = "the CNI must write key and value alike, as docs/cni-contract.md shows"


@dataclass(slots=True)
class Seen:
    """What the keys say: VPP's interfaces by name, neighbours and Linux ends by address, routes by
    VRF and destination, what is wrong with a key by itself, and how many keys were read."""

    interfaces: dict[str, Value] = field(default_factory=dict)
    arps: dict[str, list[Value]] = field(default_factory=dict)
    ends: dict[str, list[Value]] = field(default_factory=dict)
    routes: dict[tuple[int, str], list[Value]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    count: int = 0

    @property
    def pod_mtus(self) -> set[int]:
        """The MTUs of pods' ends in their network namespaces; 0: one whose key does not say."""
        ends = chain.from_iterable(self.ends.values())
        return {end["mtu"] for end in ends if end["namespace"].get("reference")}


def read(entries: Mapping[str, bytes], mtus: Mapping[str, int]) -> Seen:
    """Read the attachment keys among the agent's.

    Args:
        mtus: of the Linux interfaces that are there, by logical name: they count for more than what
            the keys ask for.
    """
    seen = Seen()
    for key, text in sorted(entries.items()):
        kind = next((prefix for prefix in _READERS if key.startswith(prefix)), None)
        if kind is None:
            continue
        seen.count += 1
        try:
            value = snake_case(foreign.plain(text, dict[str, Any], is_unique=True))
            _READERS[kind](seen, key, value)
        except KeyError as error:
            seen.problems.append(f"{key}: {error} is missing")
        except (ValueError, TypeError, AttributeError) as error:
            seen.problems.append(f"{key}: {error}")
    for value in chain.from_iterable(seen.ends.values()):
        value["mtu"] = mtus.get(value["name"], value["mtu"])
    return seen


def faults(seen: Seen) -> Iterator[Finding]:
    """One finding for each key that is wrong by itself."""
    for problem in seen.problems:
        yield Finding("keys", ERROR, problem, _REMEDY)
    if not seen.problems:
        yield Finding("keys", OK, f"{seen.count} attachment keys agree with their values")


def _agree(key: str, expected: str) -> None:
    if key != expected:
        raise ValueError(f"its value makes the key {expected}")


def _address(field_name: str, text: str) -> str:
    """An address as VPP and the agent print it: they compare addresses as text."""
    try:
        found = addresses.canonical_of_any(text)
    except ValueError as error:
        raise ValueError(f"{field_name}: {error}") from None
    if found != text:
        raise ValueError(f"{field_name}: {text!r} must be written {found}")
    return found


def _interface(seen: Seen, key: str, value: Value) -> None:
    _agree(key, f"{keys.INTERFACE}{value['name']}")
    _numbers(value, "vrf", "mtu")
    seen.interfaces[value["name"]] = value
    _listed(value)


def _numbers(value: Value, *names: str) -> None:
    """Numbers as such: the agent takes them as texts too."""
    for name in names:
        try:
            value[name] = int(value.get(name) or 0)
        except (TypeError, ValueError):
            raise ValueError(f"{name}: {value[name]!r} is not a number") from None


def _objects(value: Value, *names: str) -> None:
    for name in names:
        value[name] = value.get(name) or {}
        if not isinstance(value[name], dict):
            raise ValueError(f"{name}: {value[name]!r} is not an object")


def _listed(value: Value) -> list[str]:
    """The addresses of an interface; each has a length. What are no texts counts as absent."""
    listed = value.get("ip_addresses") or []
    value["ip_addresses"] = []
    if not (isinstance(listed, list) and all(isinstance(text, str) for text in listed)):
        raise ValueError(f"ip_addresses: {listed!r} is not a list of texts")
    value["ip_addresses"] = listed
    return [_address("ip_addresses", text.partition("/")[0]) for text in listed]


def _arp(seen: Seen, key: str, value: Value) -> None:
    _agree(key, keys.arp(value["interface"], value["ip_address"]))
    seen.arps.setdefault(_address("ip_address", value["ip_address"]), []).append(value)


def _end(seen: Seen, key: str, value: Value) -> None:
    _agree(key, f"{keys.LINUX_INTERFACE}{value['name']}")
    _numbers(value, "mtu")
    _objects(value, "tap", "namespace")
    for address in _listed(value):
        seen.ends.setdefault(address, []).append(value)


def _route(seen: Seen, key: str, value: Value) -> None:
    _numbers(value, "vrf_id")
    network = str(Prefix.parse_any(value["dst_network"]))
    hop, interface = value.get("next_hop_addr", ""), value.get("outgoing_interface", "")
    _agree(key, keys.route(value.get("vrf_id", 0), network, hop, interface))
    seen.routes.setdefault((value.get("vrf_id", 0), network), []).append(value)


def _table(seen: Seen, key: str, value: Value) -> None:
    protocol = value.get("protocol", 0)
    name = {0: "IPV4", 1: "IPV6"}.get(protocol, str(protocol))
    _agree(key, keys.vrf_table(value.get("id", 0), name))


_READERS: dict[str, Any] = {
    keys.INTERFACE: _interface,
    keys.ARP: _arp,
    keys.LINUX_INTERFACE: _end,
    keys.ROUTE: _route,
    keys.VRF_TABLE: _table,
}
