"""How a local pod hangs on VPP, read from the keys that its CNI has given the agent.

Rule (design.md section 5): ARP entry, route and Linux interface for the pod's address name the
interface; of several, the one whose interface key exists, then the higher mod revision. Without a
static neighbour DX6 loses every packet, so such a pod counts as not wired.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import msgspec

from srv6kv import addresses
from srv6kv.agent import keys
from srv6kv.agent.values import Namespace

_NAMESPACE_TYPES = {1: "NSID", 2: "PID", 3: "FD", 4: "MICROSERVICE"}
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.-]")


@dataclass(frozen=True, slots=True)
class Wired:
    """A pod that packets can reach.

    Attributes:
        interface: logical name of its VPP interface.
        namespace: its network namespace.
    """

    interface: str
    namespace: Namespace

    @property
    def sandbox(self) -> str:
        """What names this pod's rule chains (design.md section 3)."""
        name = self.interface.removeprefix("vpp-tap-")
        return _NOT_IN_A_NAME.sub("-", name)


@dataclass(frozen=True, slots=True)
class Unwired:
    """A pod that packets cannot reach yet, and what is missing."""

    missing: str


@dataclass(slots=True)
class _Evidence:
    """What one key says: this address hangs on this interface."""

    address: str
    interface: str
    revision: int
    is_static_neighbour: bool = False
    namespace: Namespace | None = None


@dataclass(slots=True)
class Wiring:
    """The wiring keys of one agent, indexed by pod address."""

    _interfaces: set[str] = field(default_factory=set)
    _by_key: dict[str, list[_Evidence]] = field(default_factory=dict)
    _by_address: dict[str, dict[str, _Evidence]] = field(default_factory=dict)

    def apply(self, key: str, value: bytes | None, revision: int) -> set[str]:
        """Take in one key (short form; None: it is gone); the addresses that this may concern."""
        if key.startswith(keys.INTERFACE):
            return self._apply_interface(key.removeprefix(keys.INTERFACE), value is not None)
        reader = _reader_of(key)
        if reader is None:
            return set()
        touched = {item.address for item in self._by_key.pop(key, [])}
        for address in touched:
            del self._by_address[address][key]
            if not self._by_address[address]:
                del self._by_address[address]
        found = _read(reader, value, revision) if value is not None else []
        if found:
            self._by_key[key] = found
        for item in found:
            self._by_address.setdefault(item.address, {})[key] = item
            touched.add(item.address)
        return touched

    def _apply_interface(self, name: str, exists: bool) -> set[str]:
        (self._interfaces.add if exists else self._interfaces.discard)(name)
        return {
            address
            for address, evidence in self._by_address.items()
            if any(item.interface == name for item in evidence.values())
        }

    def addresses(self) -> set[str]:
        """Every address that some key speaks of."""
        return set(self._by_address)

    def of(self, address: str) -> Wired | Unwired:
        """The wiring of a pod address."""
        evidence = sorted(self._by_address.get(address, {}).items())
        items = [item for _, item in evidence]
        named = [item for item in items if item.interface]
        if not named:
            return Unwired("no ARP entry, route or Linux interface for it in the agent's keys")
        best = max(
            named,
            key=lambda item: (item.interface in self._interfaces, item.revision, item.interface),
        ).interface
        if not any(item.is_static_neighbour and item.interface == best for item in items):
            return Unwired(f"no static ARP entry on interface {best}")
        namespace = _namespace_of(items, best)
        if namespace is None:
            return Unwired(f"no Linux interface that tells the network namespace behind {best}")
        return Wired(best, namespace)


def _namespace_of(items: list[_Evidence], interface: str) -> Namespace | None:
    """From the Linux end of this interface, else from one that names no VPP end (veth)."""
    ends = [item for item in items if item.namespace is not None]
    ends = [i for i in ends if i.interface == interface] or [i for i in ends if not i.interface]
    return max(ends, key=lambda item: item.revision).namespace if ends else None


class _Arp(msgspec.Struct):
    interface: str = ""
    ip_address: str = ""
    static: bool = False


class _Route(msgspec.Struct):
    dst_network: str = ""
    outgoing_interface: str = ""


class _Tap(msgspec.Struct):
    vpp_tap_if_name: str = ""


class _LinuxNamespace(msgspec.Struct):
    type: str | int = ""
    reference: str = ""


class _LinuxInterface(msgspec.Struct):
    namespace: _LinuxNamespace | None = None
    ip_addresses: list[str] | None = None
    tap: _Tap | None = None


def _reader_of(key: str) -> Any:
    for prefix, reader in _READERS.items():
        if key.startswith(prefix):
            return reader
    return None


def _read(reader: Any, value: bytes, revision: int) -> list[_Evidence]:
    """What the value says; nothing if it is not the agent's JSON (others write these keys)."""
    kind, convert = reader
    try:
        return convert(msgspec.json.decode(_snake_case(value), type=kind), revision)  # type: ignore[no-any-return]
    except ValueError:
        return []


_CAMEL = re.compile(rb'"(ipAddresses|ipAddress|dstNetwork|outgoingInterface|vppTapIfName)"\s*:')


def _snake_case(value: bytes) -> bytes:
    """lowerCamel names, which the agent accepts too (spec/vpp-agent.md 1.3), as proto names."""
    return _CAMEL.sub(
        lambda found: b'"%s":' % re.sub(rb"[A-Z]", lambda c: b"_" + c[0].lower(), found[1]), value
    )


def _pod_address(text: str) -> str:
    return addresses.canonical(text.partition("/")[0])


def _from_arp(value: _Arp, revision: int) -> list[_Evidence]:
    address = _pod_address(value.ip_address)
    return [_Evidence(address, value.interface, revision, is_static_neighbour=value.static)]


def _from_route(value: _Route, revision: int) -> list[_Evidence]:
    if not value.dst_network.endswith("/128"):
        return []
    return [_Evidence(_pod_address(value.dst_network), value.outgoing_interface, revision)]


def _from_linux_interface(value: _LinuxInterface, revision: int) -> list[_Evidence]:
    if value.namespace is None or not value.namespace.reference:
        return []
    kind = value.namespace.type
    namespace = Namespace(
        reference=value.namespace.reference,
        type=_NAMESPACE_TYPES.get(kind, "") if isinstance(kind, int) else kind,
    )
    interface = value.tap.vpp_tap_if_name if value.tap else ""
    found = []
    for text in value.ip_addresses or []:
        try:
            address = _pod_address(text)
        except ValueError:
            continue  # IPv4, or nonsense beside a good address
        if addresses.is_ordinary(address):
            found.append(_Evidence(address, interface, revision, namespace=namespace))
    return found


_READERS: dict[str, Any] = {
    keys.ARP: (_Arp, _from_arp),
    f"{keys.ROUTE}if/": (_Route, _from_route),
    keys.LINUX_INTERFACE: (_LinuxInterface, _from_linux_interface),
}
