"""What a service's endpoints are and which are chosen, for the tests of the rules S, E and C."""

from __future__ import annotations

from clusters import HTTP, Json, Ports, endpoint_slice, service

from srv6kv.kube.model import EndpointSlice, Service
from srv6kv.kube.parse import parse
from srv6kv.render.selection import Candidate, Candidates, candidates_of, select

ONE, TWO, THREE = "2001::1:1", "2001::1:2", "2001::1:3"
EXTERNAL = "2001:db8::9"


def parsed_service(body: Json) -> Service:
    """The service that a body says."""
    found = parse("Service", body)
    assert isinstance(found, Service)
    return found


def web(ports: Ports = HTTP, internal: str | None = None, external: str | None = None) -> Service:
    """The service default/web; with a policy for external traffic it has a balancer's address."""
    spec: Json = {"internalTrafficPolicy": internal}
    if external is not None:
        status = {"loadBalancer": {"ingress": [{"ip": EXTERNAL}]}}
        spec |= {"type": "LoadBalancer", "externalTrafficPolicy": external, "status": status}
    return parsed_service(service("web", "2096::10", ports, **spec))


def parsed_slices(*bodies: Json) -> list[EndpointSlice]:
    """The slices that bodies say."""
    found = [parse("EndpointSlice", body) for body in bodies]
    return [item for item in found if isinstance(item, EndpointSlice)]


def web_slice(*endpoints: Json, ports: Ports = HTTP, name: str = "s") -> Json:
    """A slice of default/web."""
    return endpoint_slice("web", endpoints, ports, name=name)


def offered_by(*bodies: Json, ports: Ports = HTTP) -> Candidates:
    """The candidates of each port of default/web."""
    return candidates_of(web(ports), parsed_slices(*bodies))


def only(found: Candidates) -> list[Candidate]:
    """The candidates of the only port."""
    [listed] = found.values()
    return list(listed)


def chosen(
    *endpoints: Json, zone: str = "z1", local_only: bool = False, node: str = "n1"
) -> tuple[str, ...]:
    """The addresses that are selected on a node."""
    found = select(offered_by(web_slice(*endpoints)), node, zone, local_only=local_only)
    return tuple(sorted({one.address for listed in found.values() for one in listed}))
