"""Which endpoints serve a service: kube-proxy's rules E and C (spec/services.md section 3).

Pure functions over plain values. A *candidate* is one (address, target port) that a slice lists
for one port of the service; selection keeps or drops candidates by named rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from srv6kv.kube.model import Endpoint, EndpointSlice, Service, ServicePort


@dataclass(frozen=True, slots=True)
class Candidate:
    """An endpoint as it is offered for one service port."""

    endpoint: Endpoint
    target: int
    slice_name: str

    @property
    def address(self) -> str:
        """The endpoint's address."""
        return self.endpoint.address


Candidates = Mapping[ServicePort, tuple[Candidate, ...]]


@dataclass(frozen=True, slots=True)
class Selection:
    """What internal traffic of a service may reach on one node.

    Attributes:
        by_port: the selected candidates of each port, in address order.
        addresses: all selected addresses, sorted: the union over the ports.
        ports_differ: ports that have endpoints do not have the same ones (spec/services.md 2.2).
    """

    by_port: Candidates
    addresses: tuple[str, ...]
    ports_differ: bool


def candidates_of(service: Service, slices: Iterable[EndpointSlice]) -> Candidates:
    """All candidates of each port of the service, duplicates resolved (rules E3, E4, E7, E8)."""
    offered: dict[ServicePort, dict[tuple[str, int], Candidate]] = {
        port: {} for port in service.ports
    }
    ports = {(port.name, port.protocol): port for port in service.ports}
    for endpoint_slice in slices:
        for slice_port in endpoint_slice.ports:
            if slice_port.name is None or slice_port.number is None:
                continue  # rule E3
            port = ports.get((slice_port.name, slice_port.protocol))
            if port is None:
                continue  # rule E4
            table = offered[port]
            for endpoint in endpoint_slice.endpoints:
                candidate = Candidate(endpoint, slice_port.number, endpoint_slice.ref.name)
                key = (endpoint.address, slice_port.number)
                known = table.get(key)
                if known is None or _rank(candidate) < _rank(known):
                    table[key] = candidate
    return {
        port: tuple(sorted(table.values(), key=lambda c: (c.address, c.target)))
        for port, table in offered.items()
    }


def _rank(candidate: Candidate) -> tuple[bool, bool, str]:
    """Rule E8, lowest wins: not terminating, then ready, then the lowest slice name."""
    endpoint = candidate.endpoint
    return (endpoint.terminating, not endpoint.ready, candidate.slice_name)


def select(
    service: Service, candidates: Candidates, node: str, zone: str, *, local_only: bool
) -> Selection:
    """The endpoints for traffic that a policy of Cluster or Local governs (rule C8).

    Args:
        service: the service.
        candidates: from ``candidates_of``.
        node: this node's name.
        zone: this node's zone, "" if it has none.
        local_only: the policy is Local.
    """
    choose = _local if local_only else _cluster
    by_port = {
        port: tuple(choose(offered, node, zone)) for port, offered in candidates.items() if offered
    }
    sets = {frozenset(c.address for c in chosen) for chosen in by_port.values() if chosen}
    union = frozenset[str]().union(*sets)
    return Selection(by_port, tuple(sorted(union)), len(sets) > 1)


def _cluster(offered: tuple[Candidate, ...], node: str, zone: str) -> list[Candidate]:
    """Rules C2, C4, C5 and C10: what terminates without serving is never a last resort."""
    ready = [c for c in offered if c.endpoint.ready]
    chosen = _near(ready, node, zone)
    return chosen or [c for c in offered if c.endpoint.serving and c.endpoint.terminating]


def _local(offered: tuple[Candidate, ...], node: str, zone: str) -> list[Candidate]:
    """Rule C6: never hints, never remote."""
    here = [c for c in offered if c.endpoint.node == node]
    ready = [c for c in here if c.endpoint.ready]
    return ready or [c for c in here if c.endpoint.serving and c.endpoint.terminating]


def _near(ready: list[Candidate], node: str, zone: str) -> list[Candidate]:
    """Rule C2 and C4: by node hints, else by zone hints, else all."""
    if _all_hinted(ready, "node_hints") and any(node in c.endpoint.node_hints for c in ready):
        return [c for c in ready if node in c.endpoint.node_hints]
    if (
        zone
        and _all_hinted(ready, "zone_hints")
        and any(zone in c.endpoint.zone_hints for c in ready)
    ):
        return [c for c in ready if zone in c.endpoint.zone_hints]
    return ready


def _all_hinted(ready: list[Candidate], kind: str) -> bool:
    return all(getattr(c.endpoint, kind) for c in ready)
