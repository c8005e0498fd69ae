"""How a local pod is attached to VPP, read from the keys that its CNI has given the agent.

Rule (decision 0030): ARP entry, route and Linux interface for the pod's address name the
interface; of several, the one whose interface key exists, then the higher mod revision. Without a
static neighbour DX6 loses every packet, so such a pod counts as not attached. What the keys
leave open the Pod's annotations may complete, if both name the same interface.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from posixpath import normpath
from typing import Any, NamedTuple, TypeVar

import msgspec

from srv6kv import foreign
from srv6kv.cluster.index import Index
from srv6kv.kube.model import PodAttachment
from srv6kv.ligato import keys
from srv6kv.ligato.values import Namespace
from srv6kv.net import addresses

DEFAULT_MTU = 1500
"""Of an interface whose value names none: Ethernet's, which the network behind it has."""
_NAMESPACE_TYPES = {1: "NSID", 2: "PID", 3: "FD", 4: "MICROSERVICE"}
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.-]")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A pod that packets can reach.

    Attributes:
        interface: logical name of its VPP interface.
        mac: the hardware address for a static neighbour that the agent's keys lack; "" if they have
            it.
    """

    interface: str
    namespace: Namespace
    mac: str = ""

    @property
    def sandbox(self) -> str:
        """What names this pod's rule chains (rule N2)."""
        return sandbox_of(self.interface)


def sandbox_of(interface: str) -> str:
    """What names the rule chains of the pod behind an interface; never empty."""
    return _NOT_IN_A_NAME.sub("-", interface.removeprefix("vpp-tap-") or interface)


@dataclass(frozen=True, slots=True)
class Unattached:
    """A pod that packets cannot reach yet, and what is missing."""

    missing: str


_Kind = TypeVar("_Kind")


@dataclass(slots=True)
class _Evidence:
    """What one key says: this address is behind this interface."""

    address: str
    interface: str
    revision: int
    is_static_neighbour: bool = False
    namespace: Namespace | None = None

    @property
    def claims(self) -> list[Claim]:
        """What it names."""
        return _claims(self.interface, self.namespace)


class Claim(NamedTuple):
    """Something of a node that only one pod can have.

    Attributes:
        name: of the interface, or the path of the namespace, each in one spelling.
    """

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def namespace_claim(namespace: Namespace) -> Claim | None:
    """A network namespace that has a path of its own, however it is named; None: it has none."""
    path = namespace.reference
    if namespace.type == "NSID":
        path = f"/run/netns/{path}"
    elif namespace.type not in ("", "FD"):
        return None
    path = "/" + normpath(path).lstrip("/")
    return Claim("namespace", path.removeprefix("/var") if path.startswith("/var/run/") else path)


def claims_of(said: PodAttachment) -> list[Claim]:
    """What a pod's annotations name."""
    return _claims(said.interface, Namespace(reference=said.netns) if said.netns else None)


def _claims(interface: str, namespace: Namespace | None) -> list[Claim]:
    found = [Claim("interface", interface)] if interface else []
    claim = namespace_claim(namespace) if namespace is not None else None
    return [*found, claim] if claim is not None else found


@dataclass(slots=True)
class AttachmentKeys:
    """The attachment keys of one agent, indexed by pod address.

    Attributes:
        unreadable: keys whose values count as absent because the agent cannot read them, and why.
    """

    unreadable: dict[str, str] = field(default_factory=dict)
    _interfaces: set[str] = field(default_factory=set)
    _mtus: dict[str, tuple[frozenset[str], int]] = field(default_factory=dict)
    _by_key: dict[str, list[_Evidence]] = field(default_factory=dict)
    _by_address: dict[str, dict[str, _Evidence]] = field(default_factory=dict)
    _by_claim: Index[Claim, tuple[str, str]] = field(default_factory=Index)

    def apply(self, key: str, value: bytes | None, revision: int) -> set[str]:
        """Apply one key (short form); return the addresses that it may concern."""
        self.unreadable.pop(key, None)
        if key.startswith(keys.INTERFACE):
            return self._apply_interface(key.removeprefix(keys.INTERFACE), value)
        reader = next((one for prefix, one in _READERS.items() if key.startswith(prefix)), None)
        if reader is None:
            return set()
        gone = self._by_key.pop(key, [])
        affected = {item.address for item in gone}
        for address in affected:
            del self._by_address[address][key]
            if not self._by_address[address]:
                del self._by_address[address]
        for item in gone:
            for claim in item.claims:
                self._by_claim.discard(claim, (key, item.address))
        found = self._read(key, reader, value, revision) if value is not None else []
        if found:
            self._by_key[key] = found
        for item in found:
            self._by_address.setdefault(item.address, {})[key] = item
            affected.add(item.address)
            for claim in item.claims:
                self._by_claim.add(claim, (key, item.address))
        return affected

    def _apply_interface(self, name: str, value: bytes | None) -> set[str]:
        (self._interfaces.discard if value is None else self._interfaces.add)(name)
        self._mtus.pop(name, None)
        raw = self._decoded(keys.INTERFACE + name, value, _Interface) if value is not None else None
        with suppress(ValueError):
            listed = frozenset(_pod_address(text) for text in (raw and raw.ip_addresses) or ())
            if listed and raw is not None:
                self._mtus[name] = (listed, int(raw.mtu or DEFAULT_MTU))
        return {
            address
            for address, evidence in self._by_address.items()
            if any(item.interface == name for item in evidence.values())
        }

    def _read(self, key: str, reader: Any, value: bytes, revision: int) -> list[_Evidence]:
        """What the value says; nothing if it is not the agent's JSON (others write these keys)."""
        kind, convert = reader
        raw = self._decoded(key, value, kind)
        with suppress(ValueError):
            return convert(raw, revision) if raw is not None else []
        return []

    def _decoded(self, key: str, value: bytes, kind: type[_Kind]) -> _Kind | None:
        try:
            return foreign.decode(_snake_case(value), kind, is_unique=True)
        except foreign.Unreadable as error:
            self.unreadable[key] = str(error)
            return None

    def mtu_at(self, address: str) -> int | None:
        """The MTU of the interface with an address of VPP's own; None: there is none."""
        found = (mtu for listed, mtu in self._mtus.values() if address in listed)
        return min(found, default=None)

    def addresses(self) -> set[str]:
        """Every address that some key speaks of."""
        return set(self._by_address)

    def holders(self, claim: Claim) -> set[str]:
        """The addresses for which keys name an interface or a namespace."""
        return {address for _, address in self._by_claim.get(claim, ())}

    def claims_by(self, key: str) -> set[Claim]:
        """What a key names."""
        return {claim for item in self._by_key.get(key, ()) for claim in item.claims}

    def of(
        self, address: str, annotated: Collection[PodAttachment] = ()
    ) -> Attachment | Unattached:
        """Return the attachment of a pod address; annotations of its pods fill gaps in the keys."""
        items = [item for _, item in sorted(self._by_address.get(address, {}).items())]
        found = self._by_keys(address, items, PodAttachment())
        if isinstance(found, Attachment) or not annotated:
            return found
        if len(annotated) > 1:
            return Unattached("several pods have this address, and their annotations differ")
        (said,) = annotated
        return Unattached(said.fault) if said.fault else self._by_keys(address, items, said)

    def _by_keys(
        self, address: str, items: list[_Evidence], said: PodAttachment
    ) -> Attachment | Unattached:
        """Return the attachment by these items, with gaps filled from annotations."""
        best = self._best(items) or said.interface
        if not best:
            return Unattached("no ARP entry, route or Linux interface for it in the agent's keys")
        if said.interface not in ("", best):
            return Unattached(f"the agent's keys name interface {best}, its Pod {said.interface}")
        has_neighbour = any(i.is_static_neighbour and i.interface == best for i in items)
        has_other = f"{keys.ARP}{best}/{address}" in self._by_key
        if not has_neighbour and (has_other or not said.mac):
            return Unattached(f"no static ARP entry on interface {best}")
        namespace = _namespace_of(items, best)
        if namespace is None and said.netns:
            namespace = Namespace(reference=said.netns, type="FD")
        if namespace is None:
            return Unattached(f"no Linux interface that tells the network namespace behind {best}")
        return Attachment(best, namespace, "" if has_neighbour else said.mac)

    def _best(self, items: list[_Evidence]) -> str:
        """The interface that the keys name; "" if they name none."""
        named = [(i.interface in self._interfaces, i.revision, i.interface) for i in items]
        return max((item for item in named if item[2]), default=(False, 0, ""))[2]


def _namespace_of(items: list[_Evidence], interface: str) -> Namespace | None:
    """From the Linux end of this interface, else from one that names no VPP end (veth)."""
    ends = [item for item in items if item.namespace is not None]
    ends = [i for i in ends if i.interface == interface] or [i for i in ends if not i.interface]
    return max(ends, key=lambda item: item.revision).namespace if ends else None


class _Arp(msgspec.Struct):
    """Here and below: to the agent a member that is null is absent, and a number may be a text."""

    interface: str | None = ""
    ip_address: str | None = ""
    static: bool | None = False


class _Route(msgspec.Struct):
    dst_network: str | None = ""
    outgoing_interface: str | None = ""


class _Interface(msgspec.Struct):
    ip_addresses: list[str] | None = None
    mtu: int | str | None = 0


class _Tap(msgspec.Struct):
    vpp_tap_if_name: str | None = ""


class _LinuxNamespace(msgspec.Struct):
    type: str | int | None = ""
    reference: str | None = ""


class _LinuxInterface(msgspec.Struct):
    namespace: _LinuxNamespace | None = None
    ip_addresses: list[str] | None = None
    tap: _Tap | None = None


_CAMEL = re.compile(rb'"(ipAddresses|ipAddress|dstNetwork|outgoingInterface|vppTapIfName)"\s*:')


def _snake_case(value: bytes) -> bytes:
    """lowerCamel names, which the agent accepts too (agent rule A31), as proto names."""
    return _CAMEL.sub(
        lambda found: b'"%s":' % re.sub(rb"[A-Z]", lambda c: b"_" + c[0].lower(), found[1]), value
    )


def _pod_address(text: str) -> str:
    return addresses.canonical_of_any(text.partition("/")[0])


def _from_arp(value: _Arp, revision: int) -> list[_Evidence]:
    address = _pod_address(value.ip_address or "")
    is_static = bool(value.static)
    return [_Evidence(address, value.interface or "", revision, is_static_neighbour=is_static)]


def _from_route(value: _Route, revision: int) -> list[_Evidence]:
    network = value.dst_network or ""
    address = _pod_address(network)
    if network.partition("/")[2] != str(addresses.host_length(address)):
        return []
    return [_Evidence(address, value.outgoing_interface or "", revision)]


def _from_linux_interface(value: _LinuxInterface, revision: int) -> list[_Evidence]:
    if value.namespace is None or not value.namespace.reference:
        return []
    kind = value.namespace.type
    namespace = Namespace(
        reference=value.namespace.reference,
        type=_NAMESPACE_TYPES.get(kind, "") if isinstance(kind, int) else kind or "",
    )
    interface = (value.tap.vpp_tap_if_name if value.tap else "") or ""
    found = []
    for text in value.ip_addresses or []:
        with suppress(ValueError):  # nonsense beside a good address
            address = _pod_address(text)
            if addresses.is_ordinary(address):
                found.append(_Evidence(address, interface, revision, namespace=namespace))
    return found


_READERS: dict[str, Any] = {
    keys.ARP: (_Arp, _from_arp),
    f"{keys.ROUTE}if/": (_Route, _from_route),
    keys.LINUX_INTERFACE: (_LinuxInterface, _from_linux_interface),
}
