"""One service: what its local endpoints answer for, and which segment lists its address gets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from srv6kv import sids
from srv6kv.addresses import is_ordinary
from srv6kv.agent.validity import MOST_WEIGHT
from srv6kv.agent.values import SegmentList
from srv6kv.kube.model import Endpoint, EndpointSlice, Service
from srv6kv.notes import Note
from srv6kv.render.endpoint import Translation
from srv6kv.select import Candidate, Candidates, select
from srv6kv.settings import Settings
from srv6kv.topology import HostEndpoint, PodEndpoint, Topology

HOST = ""
"""Names the node's own host where local pods are named by their addresses."""

IsUp = Callable[[str], bool]
"""Whether packets reach a local endpoint: a pod by its address, the host by ``HOST``."""


@dataclass(frozen=True, slots=True)
class Receivers:
    """The local endpoints of a service, listed in any condition: pod address, or ``HOST``, to the
    ports that it answers for."""

    pods: dict[str, tuple[Translation, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Senders:
    """The segment lists of a service's ClusterIP and what is to be said about it."""

    lists: tuple[SegmentList, ...] = ()
    notes: tuple[Note, ...] = ()


def denial_of(address: str, topology: Topology, settings: Settings) -> str | None:
    """Why a service may not take an address (spec/services.md 2.7); None if it may."""
    if not is_ordinary(address):
        return "is not a unicast address beyond its link"
    if address in topology.owners:
        return f"is an address of Node {topology.owners[address][0]}"
    if address == settings.default_gateway:
        return "is the default gateway"
    if any(address in prefix for prefix in (settings.pod_subnet, *topology.stray_prefixes)):
        return "lies in a pod CIDR"
    for prefix in settings.sid.all():
        if address in prefix:
            return f"lies in the SID range {prefix}"
    return None


def receivers_of(
    service: Service, candidates: Candidates, topology: Topology, settings: Settings
) -> Receivers:
    """The receive side of a service on this node, for its ClusterIP."""
    address = service.cluster_ip
    pods: dict[str, dict[tuple[str, int], Translation]] = {}
    for port, offered in candidates.items():
        for candidate in sorted(offered, key=_preference):
            match topology.locate(candidate.endpoint, settings.pod_subnet):
                case HostEndpoint(peer) if peer.name == topology.own_name:
                    pods.setdefault(HOST, {})
                case PodEndpoint(node, _) if node == topology.own_name and address is not None:
                    item = Translation(address, port.protocol, port.number, candidate.target)
                    table = pods.setdefault(candidate.address, {})
                    table.setdefault((port.protocol, port.number), item)
    return Receivers({pod: tuple(table.values()) for pod, table in pods.items()})


def notes_of_slices(service: Service, slices: Iterable[EndpointSlice]) -> tuple[Note, ...]:
    """Ports of slices that nobody can use (rule E3)."""
    unusable = [
        f"{item.ref.name}: ports[{index}]"
        for item in slices
        for index, port in enumerate(item.ports)
        if port.name is None or port.number is None
    ]
    if not unusable:
        return ()
    text = f"EndpointSlice {_some(unusable)} has no name or no port number and is not used"
    return (_note(service, "EndpointPortIgnored", text),)


def _preference(candidate: Candidate) -> tuple[bool, bool, str, int]:
    """One pod with two target ports for one service port: as rule E8 chooses."""
    endpoint = candidate.endpoint
    return (endpoint.terminating, not endpoint.ready, candidate.slice_name, candidate.target)


def senders_of(
    service: Service, candidates: Candidates, topology: Topology, settings: Settings, is_up: IsUp
) -> Senders:
    """The send side of a service on this node: lists by the last SID, equal ones merged."""
    own = topology.own
    selection = select(
        service,
        candidates,
        topology.own_name,
        own.zone if own else "",
        local_only=service.is_internal_local,
    )
    endpoints = {
        candidate.address: candidate.endpoint
        for chosen in selection.by_port.values()
        for candidate in chosen
    }
    paths: Counter[tuple[str, ...]] = Counter()
    problems: dict[str, list[str]] = {}
    hosts: set[str] = set()
    for address in selection.addresses:
        found = _path(endpoints[address], topology, settings, is_up)
        if isinstance(found, str):
            problems.setdefault(found, []).append(address)
            continue
        path, host = found
        paths[path] += 1
        if host is not None:
            hosts.add(host)
    lists = tuple(
        SegmentList(segments=path, weight=min(paths[path], MOST_WEIGHT))
        for path in sorted(paths, key=lambda path: (path[-1], path))
    )
    notes = [*_notes_of(service, settings), *_notes_of_endpoints(service, problems)]
    notes += _notes_of_ports(service, candidates, ports_differ=selection.ports_differ)
    if len(hosts) > 1 and settings.kube_proxy != "masqueradeAll":
        notes.append(_note(service, "HostNetworkBackendNeedsMasquerade", _MASQUERADE))
    return Senders(lists, tuple(notes))


def _path(
    endpoint: Endpoint, topology: Topology, settings: Settings, is_up: IsUp
) -> tuple[tuple[str, ...], str | None] | str:
    """The segments to an endpoint and the name of its host if it is one, or why there are none."""
    match topology.locate(endpoint, settings.pod_subnet):
        case HostEndpoint(peer):
            last = sids.host_sid(settings.sid.host)
            node, host = peer, peer.name
        case PodEndpoint(name, peer):
            last = sids.sid_of(settings.sid.pod, endpoint.address)
            if name == topology.own_name:
                return ((last,), None) if is_up(endpoint.address) else "PodNotWired"
            if peer is None or peer.sid is None:
                return "NodeUnknown"
            return (peer.sid, last), None
        case _:
            return "ExternalBackendUnsupported"
    if node.name == topology.own_name:
        return ((last,), host) if is_up(HOST) else "HostNotWired"
    if node.sid is None:
        return "NodeUnknown"
    return (node.sid, last), host


_MASQUERADE = (
    "host endpoints on several nodes: kube-proxy balances again on each of them and breaks"
    " connections unless it masquerades everything; then set srv6kv.kubeProxy: masqueradeAll"
)
_PROBLEMS = {
    "PodNotWired": "not reachable from this node until its wiring is known",
    "HostNotWired": "not reachable on this node until the node's id is known",
    "NodeUnknown": "left out, no address is known for its node",
    "ExternalBackendUnsupported": "left out, neither a node nor a pod of a known node",
}


def _note(service: Service, reason: str, text: str) -> Note:
    return Note(f"Service {service.ref}", reason, text)


def _notes_of(service: Service, settings: Settings) -> list[Note]:
    notes = []
    if service.has_affinity:
        text = "spec.sessionAffinity: ClientIP is not honoured, connections are balanced one by one"
        notes.append(_note(service, "SessionAffinityUnsupported", text))
    if service.other_addresses:
        text = f"{', '.join(service.other_addresses)}: external addresses are not rendered yet"
        notes.append(_note(service, "ExternalAddressUnsupported", text))
    address = service.cluster_ip
    if address is not None and not any(address in cidr for cidr in settings.service_cidrs):
        text = f"{address} lies outside serviceCIDR: no drop route answers when it has no endpoint"
        notes.append(_note(service, "ClusterIPOutsideServiceCIDR", text))
    return notes


def _notes_of_endpoints(service: Service, problems: dict[str, list[str]]) -> list[Note]:
    return [
        _note(service, reason, f"{_some(found)}: {_PROBLEMS[reason]}")
        for reason, found in sorted(problems.items())
    ]


def _some(addresses: list[str], most: int = 3) -> str:
    more = f" and {len(addresses) - most} more" if len(addresses) > most else ""
    return ", ".join(addresses[:most]) + more


def _notes_of_ports(service: Service, candidates: Candidates, *, ports_differ: bool) -> list[Note]:
    notes = []
    if ports_differ:
        text = "the ports have different endpoints; every port is sent to all of them"
        notes.append(_note(service, "PortBackendsDiffer", text))
    empty = [port for port, offered in candidates.items() if not offered]
    if empty and len(empty) < len(candidates):
        names = ", ".join(f"{port.protocol} {port.number}" for port in empty)
        notes.append(_note(service, "PortWithoutEndpoints", f"spec.ports: {names} has none"))
    return notes
