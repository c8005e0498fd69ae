"""Reads the sender and the destination of a packet from text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from srv6kv.cluster.cluster import Cluster
from srv6kv.errors import InputError
from srv6kv.kube.model import Service, ServicePort
from srv6kv.net.addresses import canonical_of_any, is_ipv4
from srv6kv.offline.files import service_named
from srv6kv.render import selection
from srv6kv.render.addresses import wishes
from srv6kv.trace import Network, Question
from srv6kv.trace.hops import Sender, Trace

PROTOCOLS = ("TCP", "UDP", "SCTP")
FORMS = "NODE/POD-ADDRESS, NODE or outside@NODE"
DESTINATIONS = "ADDRESS:PORT[/PROTO] or [NAMESPACE/]SERVICE:PORT[/PROTO]"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a packet starts; the address is "" if it is not known, or a host's: the destination
    decides which one that is."""

    node: str
    sender: Sender
    address: str


@dataclass(frozen=True, slots=True)
class _Target:
    """Where it is to go, and the service that has this address and port, if one is known."""

    address: str
    protocol: str
    port: int
    service: Service | None = None
    service_port: ServicePort | None = None


def node_of(text: str) -> str:
    """The node that ``--from`` names."""
    return text.removeprefix("outside@").partition("/")[0]


def source_of(text: str, network: Network) -> Source:
    """The sender that ``--from`` means."""
    sender: Sender = "outside" if text.startswith("outside@") else "host"
    node, slash, address = text.removeprefix("outside@").partition("/")
    if node not in network.names:
        raise InputError(f"--from {text}: {there_are('node', network.names)}; give {FORMS}")
    if not slash:
        return Source(node, sender, "")
    try:
        address = canonical_of_any(address)
    except ValueError as error:
        raise InputError(f"--from {text}: {error}; give {FORMS}") from None
    if sender == "outside":
        return Source(node, "outside", address)
    if address not in network.pods(node):
        there = there_are(f"pod on {node}", network.pods(node))
        raise InputError(f"--from {text}: {there}")
    return Source(node, "pod", address)


def there_are(what: str, names: Iterable[str]) -> str:
    """Of something that is not there, in words."""
    return f"no such {what}; there are: {', '.join(names) or 'none'}"


def _target_of(text: str, source: Source, cluster: Cluster) -> _Target:
    where, slash, protocol = text.rpartition("/")
    if not slash or protocol.upper() not in PROTOCOLS:
        where, protocol = text, ""
    name, colon, port = where.rpartition(":")
    if not colon or not name or not port:
        raise InputError(f"{text}: give {DESTINATIONS}")
    try:
        is_bracketed = name[0] == "[" and name[-1] == "]"
        address = canonical_of_any(name[1:-1] if is_bracketed else name)
    except ValueError:
        if is_address(where):
            raise InputError(f"{text}: an address without a port; give {DESTINATIONS}") from None
        if ":" in name:
            raise InputError(f"{text}: {name!r} is neither an address nor a service") from None
        return _by_name(text, name, port, protocol.upper(), source, cluster)
    return _by_address(address, port_of(text, port), protocol.upper() or "TCP", cluster)


def port_of(text: str, port: str) -> int:
    """The number of a port; the text is what the user gave, for the error."""
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise InputError(f"{text}: {port!r} is not a port")
    return int(port)


def is_address(text: str) -> bool:
    """Whether it is an address of either family, without brackets."""
    try:
        canonical_of_any(text)
    except ValueError:
        return False
    return True


def _by_address(address: str, number: int, protocol: str, cluster: Cluster) -> _Target:
    for _, service in sorted(cluster.services.items()):
        if address in wishes(service):
            for port in service.ports:
                if (port.number, port.protocol) == (number, protocol):
                    return _Target(address, protocol, number, service, port)
    return _Target(address, protocol, number)


def _by_name(
    text: str, name: str, port: str, protocol: str, source: Source, cluster: Cluster
) -> _Target:
    service = service_named(name, cluster)
    ref = service.ref
    found = [
        item
        for item in service.ports
        if port in (item.name, str(item.number)) and protocol in ("", item.protocol)
    ]
    if not found:
        ports = ", ".join(f"{item.name or item.number} {item.protocol}" for item in service.ports)
        raise InputError(f"{text}: Service {ref} has no such port; it has: {ports or 'none'}")
    chosen = min(found, key=lambda item: PROTOCOLS.index(item.protocol))
    address = _address_of(service, source)
    if not address:
        raise InputError(f"{text}: Service {ref} has no address of the sender's family")
    return _Target(address, chosen.protocol, chosen.number, service, chosen)


def _address_of(service: Service, source: Source) -> str:
    """The one that a sender uses, from outside rather a public one; "" without any."""
    own = [service.cluster_ip, service.cluster_ipv4]
    public = [*service.balancer_ips, *service.external_ips]
    for address in [*public, *own] if source.sender == "outside" else [*own, *public]:
        if address and (not source.address or is_ipv4(address) == is_ipv4(source.address)):
            return address
    return ""


def _choices_of(
    source: Source, target: _Target, cluster: Cluster, *, ipv4: bool
) -> tuple[tuple[str, int], ...] | None:
    """The endpoints among which kube-proxy on a host chooses; None if it does not know the address.

    Traffic from a node itself is in the cluster: externalTrafficPolicy is not for it.
    """
    service, port = target.service, target.service_port
    if source.sender != "host" or service is None or port is None:
        return None
    slices = [item for item in cluster.slices_of(service.ref) if item.is_ipv4 == ipv4]
    own = cluster.nodes.get(source.node)
    is_cluster_ip = target.address in (service.cluster_ip, service.cluster_ipv4)
    chosen = selection.select(
        selection.candidates_of(service, slices),
        source.node,
        own.zone if own is not None else "",
        local_only=is_cluster_ip and service.is_internal_local,
    )
    return tuple((one.address, one.target) for one in chosen.get(port, ()))


def traced(network: Network, cluster: Cluster, source: Source, destination: str) -> Trace:
    """Trace a packet from a sender to a destination."""
    target = _target_of(destination, source, cluster)
    node, address, ipv4 = source.node, source.address, is_ipv4(target.address)
    if source.sender == "host":
        address = network.sender(node, ipv4=ipv4)
    question = Question(node, source.sender, address, target.address, target.protocol, target.port)
    return network.trace(question, _choices_of(source, target, cluster, ipv4=ipv4))
