"""One service: what its local endpoints answer for, and the segment lists to its endpoints."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from srv6kv.cluster.topology import HostEndpoint, PodEndpoint, Topology
from srv6kv.kube.model import Endpoint, ServicePort
from srv6kv.net import sids
from srv6kv.net.family import Family, family_of
from srv6kv.notes import Reason
from srv6kv.render.endpoint import Translation
from srv6kv.render.lists import Lists, Path
from srv6kv.render.selection import Candidate, Candidates, Facts, chosen_by, rule_of
from srv6kv.settings import Settings

PodAddress = str


class Host(NamedTuple):
    """The own node's host as an endpoint: one for each family."""

    family: Family


LocalEndpoint = PodAddress | Host
"""An endpoint on the own node."""

IsUp = Callable[[LocalEndpoint], bool]
"""Whether packets reach a local endpoint."""

Port = tuple[str, int]
"""Protocol and port number of a service."""

Answers = dict[LocalEndpoint, dict[Port, int]]
"""Local endpoints of a service, listed in any condition, to the target port behind each of the
service's ports; a host translates nothing."""

Run = tuple[str, int, int, int]
"""Ports in a row, and so are their targets: protocol, first port, its target, how many."""


Receivers = Mapping[LocalEndpoint, tuple[Translation, ...]]
"""The local endpoints of a service, with their translations."""


class Reached(NamedTuple):
    """How packets get to an endpoint.

    Attributes:
        host: the name of the node whose host it is; None: it is a pod.
    """

    path: Path
    host: str | None = None


@dataclass(frozen=True, slots=True)
class Reach:
    """How the endpoints that one traffic policy selects are reached.

    Attributes:
        problems: the addresses of endpoints that are left out.
        ports_differ: the ports do not have the same endpoints.
        unserved: ports without endpoints while others have some.
        unsure: the last SIDs of endpoints that are left out because their node or pod cannot be
            read.
    """

    lists: Lists = field(default_factory=lambda: Lists.of({}))
    problems: dict[Reason, list[str]] = field(default_factory=dict)
    hosts: frozenset[str] = frozenset()
    ports_differ: bool = False
    unserved: tuple[ServicePort, ...] = ()
    unsure: frozenset[str] = frozenset()


def answers_of(
    local: Candidates,
    facts: Mapping[ServicePort, Facts],
    policies: Collection[bool],
    topology: Topology,
    settings: Settings,
) -> Answers:
    """Find what a service's local endpoints answer for, whatever address they are called by.

    Args:
        local: the candidates on this node; others do not answer.
        facts: about all candidates of each port, on every node.
        policies: the traffic policies in use, as ``local_only``.
    """
    answers: Answers = {}
    selected = _selected_twice(local, facts, policies, topology)

    def preference(candidate: Candidate) -> tuple[bool, bool, bool, str, int]:
        """A pod with several target ports for one port: what is selected, then as rule E8 ranks."""
        end, pair = candidate.endpoint, (candidate.address, candidate.target)
        is_selected = pair in selected.get(port, ())
        name = candidate.slice_name
        return (not is_selected, end.terminating, not end.ready, name, candidate.target)

    for port, offered in local.items():
        for candidate in sorted(offered, key=preference):
            match topology.locate(candidate.endpoint, settings.pod_subnet):
                case HostEndpoint(peer) if peer.name == topology.own_name:
                    answers.setdefault(Host(family_of(candidate.address)), {})
                case PodEndpoint(node, _) if node == topology.own_name:
                    table = answers.setdefault(candidate.address, {})
                    table.setdefault((port.protocol, port.number), candidate.target)
    return answers


def runs_of(ports: Mapping[Port, int]) -> tuple[Run, ...]:
    """Join the ports that an endpoint answers for to as few runs as possible."""
    found: list[Run] = []
    protocol, first, to, count = "", 0, 0, 0
    for (its_protocol, port), target in sorted(ports.items()):
        if (its_protocol, port, target) == (protocol, first + count, to + count):
            count += 1
            continue
        if count:
            found.append((protocol, first, to, count))
        protocol, first, to, count = its_protocol, port, target, 1
    return (*found, (protocol, first, to, count)) if count else ()


def _selected_twice(
    local: Candidates,
    facts: Mapping[ServicePort, Facts],
    policies: Collection[bool],
    topology: Topology,
) -> dict[ServicePort, set[tuple[str, int]]]:
    """Find what this node selects, of ports for which an address has several targets."""
    zone = topology.own.zone if topology.own else ""
    found: dict[ServicePort, set[tuple[str, int]]] = {}
    for port, offered in local.items():
        if len({item.address for item in offered}) == len(offered):
            continue
        rules = [rule_of(facts[port], local_only=local_only) for local_only in policies]
        chosen = [chosen_by(rule, offered, topology.own_name, zone) for rule in rules]
        found[port] = {(item.address, item.target) for listed in chosen for item in listed}
    return found


def path_to(
    endpoint: Endpoint, topology: Topology, settings: Settings, is_up: IsUp
) -> Reached | Reason:
    """Find the segments to an endpoint, or why there are none."""
    match topology.locate(endpoint, settings.pod_subnet):
        case HostEndpoint(peer):
            family = family_of(endpoint.address)
            if settings.host_subnet.is_ipv4 != family.is_ipv4:
                return Reason.HOST_FAMILY_UNSUPPORTED
            last = sids.host_sid(settings.sid.host, ipv4=family.is_ipv4)
            if peer.name == topology.own_name:
                is_attached = is_up(Host(family))
                return Reached((last,), peer.name) if is_attached else Reason.HOST_NOT_ATTACHED
            if peer.sid is None:
                return Reason.NODE_UNKNOWN
            return Reached((peer.sid, last), peer.name)
        case PodEndpoint(name, node):
            last = sids.sid_of(settings.sid.pod, endpoint.address)
            if name == topology.own_name:
                is_attached = is_up(endpoint.address)
                return Reached((last,)) if is_attached else Reason.POD_NOT_ATTACHED
            if node is None or node.sid is None:
                return Reason.NODE_UNKNOWN
            return Reached((node.sid, last))
        case _:
            return Reason.EXTERNAL_ENDPOINT_UNSUPPORTED
