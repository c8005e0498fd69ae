"""Warnings about a service: each thing that SRv6 cannot express has a stable reason.

``docs/limits.md`` says for each reason what happens instead.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator

from srv6kv.kube.model import EndpointSlice, Service
from srv6kv.net.addresses import is_ipv4
from srv6kv.net.family import Family
from srv6kv.notes import Kind, Note, Reason, Subject
from srv6kv.render.addresses import Asked, Role, not_own, wishes
from srv6kv.render.service import Reach
from srv6kv.settings import Settings


def remark(service: Service, reason: Reason, text: str) -> Note:
    """A note about a service."""
    return Note(Subject(Kind.SERVICE, service.ref), reason, text)


def on_spec(service: Service, asked: Asked, settings: Settings) -> Iterator[Note]:
    """Warn about fields of the service that cannot be honoured."""
    yield from asked.denials
    if service.has_affinity and asked.roles:
        text = "spec.sessionAffinity: ClientIP is not honoured, connections are balanced one by one"
        yield remark(service, Reason.SESSION_AFFINITY_UNSUPPORTED, text)
    if service.has_node_ports:
        text = "spec.ports: node ports are kube-proxy's, SRv6 steers no packet by its port"
        yield remark(service, Reason.NODE_PORT_LEFT_TO_KUBE_PROXY, text)
    if service.bad_addresses:
        text = f"{_some(list(service.bad_addresses))}: no address that the API knows, left out"
        yield remark(service, Reason.EXTERNAL_ADDRESS_INVALID, text)
    if others := not_own(service):
        text = f"{_some(others)}: the service has no ClusterIP of that family; packets follow the"
        yield remark(service, Reason.FAMILY_NOT_SERVED, f"{text} routes, as with kube-proxy")
    if not settings.ipv4 and (ipv4 := list(filter(is_ipv4, wishes(service)))):
        text = f"{_some(ipv4)}: IPv4 is not rendered unless srv6kv.ipv4 is true"
        yield remark(service, Reason.IPV4_NOT_RENDERED, text)
    for address, role in asked.roles.items():
        if role is Role.CLUSTER_IP and not any(address in c for c in settings.service_cidrs):
            text = f"{address} lies outside serviceCIDR: no drop route answers without endpoints"
            yield remark(service, Reason.CLUSTER_IP_OUTSIDE_SERVICE_CIDR, text)


def on_slices(
    service: Service, slices: Iterable[EndpointSlice], families: Container[Family]
) -> Iterator[Note]:
    """Warn about slice ports that offer nothing (rule E3), in the families that are rendered."""
    unusable = [
        f"{item.ref.name}: ports[{index}]"
        for item in slices
        for index, port in enumerate(item.ports)
        if (Family.IPV4 if item.is_ipv4 else Family.IPV6) in families and port.number is None
    ]
    if unusable:
        text = f"EndpointSlice {_some(unusable)} has no number from 1 to 65535 and is not used"
        yield remark(service, Reason.ENDPOINT_PORT_IGNORED, text)


def on_targets(service: Service, twice: Iterable[str]) -> Iterator[Note]:
    """Warn about pods with several target ports for one port: a pod translates it once."""
    if listed := sorted(twice):
        text = f"{_some(listed)}: several target ports in one pod; only that of the first endpoint"
        yield remark(service, Reason.SERVICE_PORT_CONFLICT, f"{text} that is selected counts")


def on_reach(service: Service, reaches: Iterable[Reach], settings: Settings) -> Iterator[Note]:
    """Warn about endpoints that are left out, and about what balancing cannot do for them."""
    reaches = list(reaches)
    problems: dict[Reason, set[str]] = {}
    for reach in reaches:
        for reason, listed in reach.problems.items():
            problems.setdefault(reason, set()).update(listed)
    for reason, found in sorted(problems.items()):
        yield remark(service, reason, f"{_some(sorted(found))}: {_PROBLEMS[reason]}")
    if any(reach.ports_differ for reach in reaches):
        text = "the ports have different endpoints; every port is sent to all of them"
        yield remark(service, Reason.PORT_ENDPOINTS_DIFFER, text)
    if unserved := sorted({port for reach in reaches for port in reach.unserved}):
        names = ", ".join(f"{port.protocol} {port.number}" for port in unserved)
        yield remark(service, Reason.PORT_WITHOUT_ENDPOINTS, f"spec.ports: {names} has none")
    hosts = frozenset[str]().union(*(reach.hosts for reach in reaches))
    if hosts and settings.kube_proxy == "absent":
        text = "host endpoints: only kube-proxy on their node gives them the service's traffic"
        yield remark(service, Reason.HOST_ENDPOINT_NEEDS_KUBE_PROXY, text)
    elif len(hosts) > 1 and settings.kube_proxy != "masqueradeAll":
        yield remark(service, Reason.HOST_ENDPOINT_NEEDS_MASQUERADE, _MASQUERADE)


def _some(items: list[str], most: int = 3) -> str:
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


_MASQUERADE = (
    "host endpoints on several nodes: kube-proxy balances again on each of them and breaks"
    " connections unless it masquerades everything; then set srv6kv.kubeProxy: masqueradeAll"
)
_PROBLEMS = {
    Reason.POD_NOT_ATTACHED: "not reachable from this node; a note on the endpoint says why",
    Reason.HOST_FAMILY_UNSUPPORTED: "left out, vppHostSubnetCIDR is of the other family",
    Reason.HOST_NOT_ATTACHED: "not reachable on this node until the node's id is known",
    Reason.NODE_UNKNOWN: "left out, no address is known for its node",
    Reason.EXTERNAL_ENDPOINT_UNSUPPORTED: "left out, neither a node nor a pod of a known node",
}
