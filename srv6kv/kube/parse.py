"""Kubernetes JSON or YAML values to model values, or one ``ParseError`` naming object and field.

Rule: every address passes through its canonical form here, every name and number is checked here
(``checks``). An element that cannot be used is skipped, with its field; so is what the API server
accepts and Kubernetes ignores. Only what makes the whole object unreadable is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from srv6kv.addresses import is_ipv4
from srv6kv.kube import checks, mesh, podwiring, tolerant, wire
from srv6kv.kube.checks import ParseError
from srv6kv.kube.model import (
    Body,
    Endpoint,
    EndpointSlice,
    Ignored,
    KubeObject,
    Node,
    Pod,
    Ref,
    Service,
    ServicePort,
    SlicePort,
)
from srv6kv.kube.tolerant import Skipped

__all__ = ["HEADLESS", "KINDS", "PROXY_NAME", "TRIGGERED", "ParseError", "Skipped", "parse", "read"]

PROXY_NAME = "service.kubernetes.io/service-proxy-name"
HEADLESS = "service.kubernetes.io/headless"
SERVICE_NAME = "kubernetes.io/service-name"
ZONE = "topology.kubernetes.io/zone"
NODE_IP = "srv6kv.io/node-ip"
TRIGGERED = "endpoints.kubernetes.io/last-change-trigger-time"
LEAVING = "ToBeDeletedByClusterAutoscaler"

NOBODY = ("::/128", "0.0.0.0/32")
"""Source ranges that let nobody in, one of each family."""

Item = TypeVar("Item")
Value = TypeVar("Value")


def parse(kind: str, body: Body) -> KubeObject:
    """Read an object; what cannot be used of it is skipped.

    Raises:
        ParseError: the object is malformed.
    """
    return read(kind, body)[0]


def read(kind: str, body: Body) -> tuple[KubeObject, Skipped]:
    """Read an object.

    Args:
        kind: one of KINDS.
        body: a plain mapping (YAML or JSON), or raw JSON.

    Returns:
        Its model value, and what of it cannot be used and is skipped.

    Raises:
        ParseError: the object is malformed.
    """
    fields, convert = _KINDS[kind]
    skipped = Skipped()
    try:
        try:
            if isinstance(body, msgspec.Raw):
                raw = msgspec.json.decode(body, type=fields)
            else:
                raw = msgspec.convert(body, fields)
        except msgspec.ValidationError:
            plain = msgspec.json.decode(body) if isinstance(body, msgspec.Raw) else body
            raw = tolerant.read(plain, fields, skipped)
        return convert(raw, skipped), skipped
    except ParseError:
        raise
    except (ValueError, RecursionError) as error:  # msgspec does not wrap what is not UTF-8
        raise ParseError("", str(error)) from None


def _each(
    field: str,
    items: Sequence[Item | None] | None,
    convert: Callable[[str, Item], Value],
    skipped: Skipped,
) -> Iterator[Value]:
    """Convert the elements of a list; those that cannot be used are skipped."""
    for index, item in enumerate(items or ()):
        place = f"{field}[{index}]"
        try:
            if item is not None:
                yield convert(place, item)
            elif place not in skipped:
                checks.refuse(place, "is null")
        except ParseError as error:
            skipped.add(error)


def _one(
    field: str, text: str | None, convert: Callable[[str, str], Value], skipped: Skipped
) -> Iterator[Value]:
    """Convert a field if it is set; one that cannot be used is skipped."""
    try:
        if text:
            yield convert(field, text)
    except ParseError as error:
        skipped.add(error)


def _word(field: str, text: str | None, skipped: Skipped, *words: str) -> str:
    """One of the words that the API knows, else "" for the default."""
    try:
        return checks.word(field, text, *words)
    except ParseError as error:
        skipped.add(error)
        return ""


def _is_local(field: str, text: str | None, skipped: Skipped) -> bool:
    """Whether a traffic policy is Local."""
    return _word(field, text, skipped, "Cluster", "Local") == "Local"


def _service(raw: wire.Service, skipped: Skipped) -> Service:
    spec = raw.spec
    ref = checks.ref_of(raw.metadata, checks.LABEL)
    created = raw.metadata.creation_timestamp or ""
    proxy_name = (raw.metadata.labels or {}).get(PROXY_NAME)
    if proxy_name is not None:
        return Service(ref, created, None, (), proxy_name=proxy_name)
    _word("spec.type", spec.type, skipped, *TYPES)
    own = _cluster_ips(spec, skipped)
    balancer_ips, external_ips, bad = _other_addresses(raw, skipped)
    affinity = _word("spec.sessionAffinity", spec.session_affinity, skipped, "None", "ClientIP")
    return Service(
        ref=ref,
        created=created,
        cluster_ip=own.get("IPv6"),
        cluster_ipv4=own.get("IPv4"),
        ports=_service_ports(spec, skipped),
        balancer_ips=balancer_ips,
        external_ips=external_ips,
        bad_addresses=bad,
        source_ranges=_source_ranges(spec, skipped),
        is_internal_local=_is_local(
            "spec.internalTrafficPolicy", spec.internal_traffic_policy, skipped
        ),
        is_external_local=_is_external_local(spec, skipped),
        has_node_ports=any(port.node_port for port in spec.ports or [] if port is not None),
        has_affinity=affinity == "ClientIP",
    )


TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
FAMILIES = ("IPv4", "IPv6")


def _is_external_local(spec: wire.ServiceSpec, skipped: Skipped) -> bool:
    """Rule S6: other services have no external traffic for the policy to govern."""
    is_local = _is_local("spec.externalTrafficPolicy", spec.external_traffic_policy, skipped)
    return is_local and (spec.type in ("NodePort", "LoadBalancer") or bool(spec.external_ips))


def _is_rendered(spec: wire.ServiceSpec, skipped: Skipped) -> bool:
    """Rule S2: neither headless nor ExternalName; clusterIPs does not count."""
    if spec.cluster_ip in (None, ""):
        return "spec.clusterIP" in skipped and spec.type != "ExternalName"
    return spec.cluster_ip != "None" and spec.type != "ExternalName"


def _cluster_ips(spec: wire.ServiceSpec, skipped: Skipped) -> dict[str, str]:
    """Rule S3: the first usable ClusterIP of each family that ipFamilies names, by family.

    Without families clusterIP counts alone, as in kube-proxy's ``GetClusterIPByFamily``. An
    address tells its family itself, so that an element that is skipped shifts no other.
    """
    if not _is_rendered(spec, skipped):
        return {}

    def family(field: str, text: str) -> str:
        return checks.word(field, text, *FAMILIES) or checks.refuse(field, "is empty")

    def listed(field: str, text: str) -> tuple[str, str]:
        address = checks.address(field, text)
        own = "IPv4" if is_ipv4(address) else "IPv6"
        if families and own not in families:
            checks.refuse(field, f"{text!r} is of {own}, which spec.ipFamilies does not name")
        return own, address

    families = list(_each("spec.ipFamilies", spec.ip_families, family, skipped))
    first = [*_one("spec.clusterIP", spec.cluster_ip, listed, skipped)]
    every = [*_each("spec.clusterIPs", spec.cluster_ips, listed, skipped)]
    return dict(reversed((every or first) if families else (first or every)))


def _service_ports(spec: wire.ServiceSpec, skipped: Skipped) -> tuple[ServicePort, ...]:
    """Rule S7. Of ports that the API server would refuse together, the first counts."""
    names: set[tuple[str, str]] = set()
    numbers: set[tuple[str, int]] = set()

    def port(field: str, item: wire.ServicePort) -> ServicePort:
        found = ServicePort(
            item.name or "",
            checks.protocol(f"{field}.protocol", item.protocol),
            checks.port_number(f"{field}.port", item.port),
        )
        if (found.name, found.protocol) in names:
            checks.refuse(f"{field}.name", f"{found.name!r} occurs twice")
        if (found.protocol, found.number) in numbers:
            checks.refuse(f"{field}.port", f"{found.protocol} {found.number} occurs twice")
        names.add((found.name, found.protocol))
        numbers.add((found.protocol, found.number))
        return found

    return tuple(sorted(_each("spec.ports", spec.ports, port, skipped)))


def _source_ranges(spec: wire.ServiceSpec, skipped: Skipped) -> tuple[str, ...]:
    """Who may use the load balancer. A filter of which nothing can be used lets nobody in."""

    def prefix(field: str, text: str) -> str:
        return str(checks.prefix(field, text.strip()))

    ranges = spec.load_balancer_source_ranges
    found = tuple(_each("spec.loadBalancerSourceRanges", ranges, prefix, skipped))
    return found or (NOBODY if ranges else ())


def _other_addresses(
    raw: wire.Service, skipped: Skipped
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Rule S4: load-balancer addresses, external addresses, and what is neither.

    Hostnames and ``ipMode: Proxy`` do not count; a bad text is dropped, not the service.
    """
    if not _is_rendered(raw.spec, skipped):
        return (), (), ()
    balancer = raw.status.load_balancer if raw.status else None
    bad: set[str] = set()

    def external(field: str, text: str) -> str:
        try:
            return checks.address(field, text)
        except ParseError:
            bad.add(checks.shortened(text))
            return ""

    def ingress(field: str, item: wire.Ingress) -> str:
        if item.ip and item.ip_mode not in (None, "VIP", "Proxy"):
            bad.add(checks.shortened(f"{item.ip} of ipMode {item.ip_mode}"))
        return external(field, item.ip) if item.ip and item.ip_mode in (None, "VIP") else ""

    listed = balancer.ingress if balancer else None
    balancers = set(_each("status.loadBalancer.ingress", listed, ingress, skipped))
    externals = set(_each("spec.externalIPs", raw.spec.external_ips, external, skipped))
    return tuple(sorted(balancers - {""})), tuple(sorted(externals - {""})), tuple(sorted(bad))


def _endpoint_slice(raw: wire.EndpointSlice, skipped: Skipped) -> EndpointSlice:
    ref = checks.ref_of(raw.metadata, checks.SUBDOMAIN)
    labels = raw.metadata.labels or {}
    owner = labels.get(SERVICE_NAME, "")
    reason = _why_ignored(labels, raw.address_type)
    if reason is not None:
        service = Ref(ref.namespace, owner) if checks.LABEL.match(owner) else None
        return EndpointSlice(ref, None, (), (), Ignored(service, *reason))

    def endpoint(field: str, item: wire.Endpoint) -> Endpoint | None:
        return _endpoint(field, item, raw.address_type, ref.namespace, skipped)

    endpoints = _each("endpoints", raw.endpoints, endpoint, skipped)
    return EndpointSlice(
        ref=ref,
        service=Ref(ref.namespace, owner),
        ports=tuple(
            _slice_port(f"ports[{index}]", item, skipped)
            for index, item in enumerate(raw.ports or [])
        ),
        endpoints=tuple(item for item in endpoints if item is not None),
        is_ipv4=raw.address_type == "IPv4",
        triggered=(raw.metadata.annotations or {}).get(TRIGGERED, ""),
    )


def _why_ignored(labels: Mapping[str, str], address_type: str) -> tuple[str, str] | None:
    """The first of the rules S1, E1 and E2 by which a slice offers us nothing; None: it is used."""
    if HEADLESS in labels:
        return "S1", f"metadata.labels: {HEADLESS} is set, whatever its value"
    if not checks.LABEL.match(labels.get(SERVICE_NAME, "")):
        return "E1", f"metadata.labels: {SERVICE_NAME} names no service"
    if address_type not in FAMILIES:
        return "E2", f"addressType: {checks.shortened(address_type)} is not a family of addresses"
    return None


def _slice_port(field: str, raw: wire.SlicePort | None, skipped: Skipped) -> SlicePort:
    """A port that keeps its place among the others; without a number it offers nothing (rule E3).

    The API server takes any number, and one of another protocol finds no port of a service (E4).
    """
    if raw is None:
        if field not in skipped:
            skipped.add(ParseError(field, "is null"))
        return SlicePort("", "", None)
    protocol = raw.protocol or "TCP"
    if protocol not in checks.PROTOCOLS:
        skipped.add(ParseError(f"{field}.protocol", f"{protocol!r} is none that has ports"))
    number = raw.port if raw.port and 1 <= raw.port <= 65535 else None
    return SlicePort(raw.name or "", checks.shortened(protocol), number)


def _endpoint(
    field: str, raw: wire.Endpoint, family: str, namespace: str, skipped: Skipped
) -> Endpoint | None:
    """An endpoint with the first address that can be used (rule E2); None: it has none."""
    convert = checks.ipv4 if family == "IPv4" else checks.ipv6
    address = next(_each(f"{field}.addresses", raw.addresses, convert, skipped), None)
    if address is None:
        return None
    conditions = raw.conditions or _NO_CONDITIONS
    hints = raw.hints or _NO_HINTS
    return Endpoint(
        address=address,
        ready=conditions.ready is not False,
        serving=conditions.serving is not False,
        terminating=conditions.terminating is True,
        node=raw.node_name or None,
        pod=_target_pod(raw.target_ref, namespace),
        zone_hints=_hints(f"{field}.hints.forZones", hints.for_zones, skipped),
        node_hints=_hints(f"{field}.hints.forNodes", hints.for_nodes, skipped),
    )


_NO_CONDITIONS, _NO_HINTS = wire.Conditions(), wire.Hints()


def _hints(
    field: str, listed: Sequence[wire.Hint | None] | None, skipped: Skipped
) -> tuple[str, ...]:
    if not listed:
        return ()
    return tuple(sorted(_each(field, listed, lambda _, hint: hint.name, skipped)))


def _target_pod(raw: wire.TargetRef | None, namespace: str) -> Ref | None:
    if raw is None or raw.kind != "Pod" or not raw.name:
        return None
    return Ref(raw.namespace or namespace, raw.name)


def _node(raw: wire.Node, skipped: Skipped) -> Node:
    spec = raw.spec or wire.NodeSpec()
    status = raw.status or wire.NodeStatus()

    def cidr(field: str, text: str) -> str:
        return str(checks.prefix(field, text))

    cidrs = tuple(_each("spec.podCIDRs", spec.pod_cidrs, cidr, skipped))
    cidrs = cidrs or tuple(_one("spec.podCIDR", spec.pod_cidr, cidr, skipped))
    annotation = (raw.metadata.annotations or {}).get(NODE_IP)
    own = _one(f"metadata.annotations[{NODE_IP}]", annotation, checks.ipv6, skipped)
    taints = set(_each("spec.taints", spec.taints, lambda _, taint: taint.key, skipped))
    listed = set(_each("status.addresses", status.addresses, _node_address, skipped))
    return Node(
        name=checks.name_of(raw.metadata, checks.SUBDOMAIN),
        pod_cidrs=cidrs,
        addresses=tuple(sorted(listed - {""})),
        node_ip=next(own, ""),
        zone=(raw.metadata.labels or {}).get(ZONE, ""),
        is_leaving=raw.metadata.deletion_timestamp is not None or LEAVING in taints,
    )


def _node_address(field: str, item: wire.NodeAddress) -> str:
    """An address of any type: a Hostname may be one too (spec/services.md 2.9); "": it is none."""
    try:
        return checks.address(f"{field}.address", item.address)
    except ParseError:
        if item.type in ("InternalIP", "ExternalIP"):
            raise
        return ""


def _pod(raw: wire.Pod, skipped: Skipped) -> Pod:
    """A pod on the host's network has no namespace of its own, one that has ended has none left."""
    ref, spec = checks.ref_of(raw.metadata, checks.SUBDOMAIN), raw.spec or wire.PodSpec()
    status = raw.status or wire.PodStatus()
    if spec.host_network or status.phase in ("Succeeded", "Failed"):
        return Pod(ref, spec.node_name or "")

    def address(field: str, item: wire.PodIP) -> str:
        return checks.address(f"{field}.ip", item.ip)

    own = set(_each("status.podIPs", status.pod_ips, address, skipped))
    own = own or set(_one("status.podIP", status.pod_ip, checks.address, skipped))
    marks = raw.metadata.annotations or {}
    wiring = podwiring.wiring_of(marks)
    return Pod(ref, spec.node_name or "", tuple(sorted(own)), mesh.interception_of(marks), wiring)


_KINDS: dict[str, tuple[Any, Any]] = {
    "Service": (wire.Service, _service),
    "EndpointSlice": (wire.EndpointSlice, _endpoint_slice),
    "Node": (wire.Node, _node),
    "Pod": (wire.Pod, _pod),
}
KINDS = tuple(_KINDS)
