"""Kubernetes JSON or YAML values to model values, or one ``ParseError`` naming object and field.

Rule: every address passes through its canonical form here, every name and number is checked here
(``checks``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from srv6kv import addresses, foreign
from srv6kv.addresses import Prefix
from srv6kv.kube import checks, mesh, podwiring, wire
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

__all__ = ["HEADLESS", "KINDS", "PROXY_NAME", "TRIGGERED", "ParseError", "parse"]

PROXY_NAME = "service.kubernetes.io/service-proxy-name"
HEADLESS = "service.kubernetes.io/headless"
SERVICE_NAME = "kubernetes.io/service-name"
ZONE = "topology.kubernetes.io/zone"
NODE_IP = "srv6kv.io/node-ip"
TRIGGERED = "endpoints.kubernetes.io/last-change-trigger-time"
LEAVING = "ToBeDeletedByClusterAutoscaler"


def parse(kind: str, body: Body) -> KubeObject:
    """The model value of a plain mapping (YAML or JSON), or of raw JSON.

    Raises:
        ParseError: the object is malformed.
    """
    fields, convert = _KINDS[kind]
    try:
        if isinstance(body, msgspec.Raw):
            return convert(foreign.decode(body, fields))  # type: ignore[no-any-return]
        return convert(foreign.convert(body, fields))  # type: ignore[no-any-return]
    except ParseError:
        raise
    except ValueError as error:
        raise ParseError(checks.located(str(error))) from None


def _policy(field: str, text: str | None) -> bool:
    """Whether a traffic policy is Local."""
    return checks.word(field, text, "Cluster", "Local") == "Local"


def _service(raw: wire.Service) -> Service:
    spec = raw.spec
    ref = checks.ref_of(raw.metadata, checks.LABEL)
    created = raw.metadata.creation_timestamp or ""
    checks.word("spec.type", spec.type, "ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
    for index, family in enumerate(spec.ip_families or []):
        checks.word(f"spec.ipFamilies[{index}]", family, "IPv4", "IPv6")
    proxy_name = (raw.metadata.labels or {}).get(PROXY_NAME)
    if proxy_name is not None:
        return Service(ref, created, None, (), proxy_name=proxy_name)
    balancer_ips, external_ips, bad = _other_addresses(raw)
    return Service(
        ref=ref,
        created=created,
        cluster_ip=_cluster_ip(spec, "IPv6"),
        cluster_ipv4=_cluster_ip(spec, "IPv4"),
        ports=_service_ports(spec.ports or []),
        balancer_ips=balancer_ips,
        external_ips=external_ips,
        bad_addresses=bad,
        source_ranges=tuple(text.strip() for text in spec.load_balancer_source_ranges or []),
        is_internal_local=_policy("spec.internalTrafficPolicy", spec.internal_traffic_policy),
        is_external_local=_is_external_local(spec),
        has_node_ports=any(port.node_port for port in spec.ports or []),
        has_affinity=checks.word("spec.sessionAffinity", spec.session_affinity, "None", "ClientIP")
        == "ClientIP",
    )


def _is_external_local(spec: wire.ServiceSpec) -> bool:
    """Rule S6: other services have no external traffic for the policy to govern."""
    is_local = _policy("spec.externalTrafficPolicy", spec.external_traffic_policy)
    return is_local and (spec.type in ("NodePort", "LoadBalancer") or bool(spec.external_ips))


def _is_rendered(spec: wire.ServiceSpec) -> bool:
    """Rule S2: neither headless nor ExternalName; clusterIPs does not count."""
    return spec.cluster_ip not in (None, "", "None") and spec.type != "ExternalName"


def _cluster_ip(spec: wire.ServiceSpec, family: str) -> str | None:
    """Rule S3: the first ClusterIP of a family."""
    if spec.cluster_ip is None or not _is_rendered(spec):
        return None
    families = spec.ip_families or []
    if not families or not spec.cluster_ips:
        address = checks.address("spec.clusterIP", spec.cluster_ip)
        return address if addresses.is_ipv4(address) == (family == "IPv4") else None
    for index, text in enumerate(spec.cluster_ips[: len(families)]):
        if families[index] == family:
            address = checks.address(f"spec.clusterIPs[{index}]", text)
            if addresses.is_ipv4(address) != (family == "IPv4"):
                checks.refuse(f"spec.clusterIPs[{index}]", f"{text!r} is not an {family} address")
            return address
    return None


def _service_ports(raw: list[wire.ServicePort]) -> tuple[ServicePort, ...]:
    ports: dict[tuple[str, str], ServicePort] = {}
    numbers: set[tuple[str, int]] = set()
    for index, item in enumerate(raw):
        field = f"spec.ports[{index}]"
        port = ServicePort(
            item.name or "",
            checks.protocol(f"{field}.protocol", item.protocol),
            checks.port_number(f"{field}.port", item.port),
        )
        if (port.name, port.protocol) in ports:
            checks.refuse(f"{field}.name", f"{port.name!r} occurs twice")
        if (port.protocol, port.number) in numbers:
            checks.refuse(f"{field}.port", f"{port.protocol} {port.number} occurs twice")
        ports[port.name, port.protocol] = port
        numbers.add((port.protocol, port.number))
    return tuple(sorted(ports.values()))


def _other_addresses(
    raw: wire.Service,
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Rule S4: load-balancer addresses, external addresses, and what is neither.

    Hostnames and ``ipMode: Proxy`` do not count; a bad text is dropped, not the service.
    """
    if not _is_rendered(raw.spec):
        return (), (), ()
    balancer = raw.status.load_balancer if raw.status else None
    ingress = [item for item in (balancer.ingress if balancer else None) or [] if item.ip]
    balancers = [str(item.ip) for item in ingress if item.ip_mode in (None, "VIP")]
    good: tuple[set[str], set[str]] = (set(), set())
    modes = (None, "VIP", "Proxy")
    bad = {f"{item.ip} of ipMode {item.ip_mode}" for item in ingress if item.ip_mode not in modes}
    for found, texts in zip(good, (balancers, raw.spec.external_ips or []), strict=True):
        for text in texts:
            try:
                found.add(addresses.canonical_of_any(text))
            except ValueError:
                bad.add(text)
    return tuple(sorted(good[0])), tuple(sorted(good[1])), tuple(sorted(bad))


def _endpoint_slice(raw: wire.EndpointSlice) -> EndpointSlice:
    ref = checks.ref_of(raw.metadata, checks.SUBDOMAIN)
    labels = raw.metadata.labels or {}
    owner = labels.get(SERVICE_NAME, "")
    if raw.address_type not in ("IPv4", "IPv6", "FQDN"):
        checks.refuse("addressType", f"{raw.address_type!r} is not one of IPv4, IPv6, FQDN")
    reason = _why_ignored(labels, raw.address_type)
    if reason is not None:
        service = Ref(ref.namespace, owner) if owner else None
        return EndpointSlice(ref, None, (), (), Ignored(service, *reason))
    if not checks.LABEL.match(owner):
        checks.refuse(f"metadata.labels[{SERVICE_NAME}]", f"{owner!r} is not a Kubernetes name")
    return EndpointSlice(
        ref=ref,
        service=Ref(ref.namespace, owner),
        ports=tuple(_slice_port(i, port) for i, port in enumerate(raw.ports or [])),
        endpoints=tuple(
            _endpoint(f"endpoints[{i}]", item, raw.address_type, ref.namespace)
            for i, item in enumerate(raw.endpoints or [])
            if item.addresses
        ),
        is_ipv4=raw.address_type == "IPv4",
        triggered=(raw.metadata.annotations or {}).get(TRIGGERED, ""),
    )


def _why_ignored(labels: Mapping[str, str], address_type: str) -> tuple[str, str] | None:
    """The first of the rules S1, E1 and E2 by which a slice offers us nothing; None: it is used."""
    for label in (PROXY_NAME, HEADLESS):
        if label in labels:
            return "S1", f"metadata.labels: {label} is set, whatever its value"
    if not labels.get(SERVICE_NAME):
        return "E1", f"metadata.labels: {SERVICE_NAME} names no service"
    if address_type == "FQDN":
        return "E2", "addressType: FQDN is not a family of addresses"
    return None


def _slice_port(index: int, raw: wire.SlicePort) -> SlicePort:
    field = f"ports[{index}]"
    number = raw.port or None
    if number is not None:
        checks.port_number(f"{field}.port", number)
    return SlicePort(raw.name, checks.protocol(f"{field}.protocol", raw.protocol), number)


def _endpoint(field: str, raw: wire.Endpoint, family: str, namespace: str) -> Endpoint:
    address = checks.address(f"{field}.addresses[0]", raw.addresses[0])
    if addresses.is_ipv4(address) != (family == "IPv4"):
        checks.refuse(f"{field}.addresses[0]", f"{raw.addresses[0]!r} is not an {family} address")
    conditions = raw.conditions or wire.Conditions()
    hints = raw.hints or wire.Hints()
    return Endpoint(
        address=address,
        ready=conditions.ready is not False,
        serving=conditions.serving is not False,
        terminating=conditions.terminating is True,
        node=raw.node_name or None,
        pod=_target_pod(raw.target_ref, namespace),
        zone_hints=tuple(sorted(hint.name for hint in hints.for_zones or [])),
        node_hints=tuple(sorted(hint.name for hint in hints.for_nodes or [])),
    )


def _target_pod(raw: wire.TargetRef | None, namespace: str) -> Ref | None:
    if raw is None or raw.kind != "Pod" or not raw.name:
        return None
    return Ref(raw.namespace or namespace, raw.name)


def _node(raw: wire.Node) -> Node:
    spec = raw.spec or wire.NodeSpec()
    listed = [(f"spec.podCIDRs[{i}]", text) for i, text in enumerate(spec.pod_cidrs or [])]
    if not listed and spec.pod_cidr:
        listed = [("spec.podCIDR", spec.pod_cidr)]
    annotation = (raw.metadata.annotations or {}).get(NODE_IP, "")
    field = f"metadata.annotations[{NODE_IP}]"
    node_ip = checks.ipv6(field, annotation) if annotation else ""
    if node_ip is None:
        checks.refuse(field, f"{annotation!r} is not an IPv6 address")
    return Node(
        name=checks.name_of(raw.metadata, checks.SUBDOMAIN),
        pod_cidrs=tuple(cidr for field, text in listed for cidr in _pod_cidr(field, text)),
        addresses=_node_addresses(raw.status or wire.NodeStatus()),
        node_ip=node_ip,
        zone=(raw.metadata.labels or {}).get(ZONE, ""),
        is_leaving=raw.metadata.deletion_timestamp is not None
        or any(taint.key == LEAVING for taint in spec.taints or []),
    )


def _pod_cidr(field: str, text: str) -> tuple[str, ...]:
    try:
        return (str(Prefix.parse_any(text)),)
    except ValueError as error:
        checks.refuse(field, str(error))


def _node_addresses(status: wire.NodeStatus) -> tuple[str, ...]:
    """Addresses of any type: a Hostname may be an address too (spec/services.md 2.9)."""
    found = set()
    for index, item in enumerate(status.addresses or []):
        if item.type in ("InternalIP", "ExternalIP"):
            found.add(checks.address(f"status.addresses[{index}].address", item.address))
        elif ":" in item.address or addresses.is_ipv4(item.address):
            try:
                found.add(addresses.canonical_of_any(item.address))
            except ValueError:
                continue
    return tuple(sorted(found))


def _pod(raw: wire.Pod) -> Pod:
    """A pod on the host's network has no namespace of its own, one that has ended has none left."""
    ref, spec = checks.ref_of(raw.metadata, checks.SUBDOMAIN), raw.spec or wire.PodSpec()
    status = raw.status or wire.PodStatus()
    if spec.host_network or status.phase in ("Succeeded", "Failed"):
        return Pod(ref, spec.node_name or "")
    texts = [(f"status.podIPs[{i}].ip", item.ip) for i, item in enumerate(status.pod_ips or [])]
    if not texts:
        texts = [("status.podIP", status.pod_ip)]
    own = tuple(sorted({checks.address(field, text) for field, text in texts if text}))
    marks = raw.metadata.annotations or {}
    wiring = podwiring.wiring_of(marks)
    return Pod(ref, spec.node_name or "", own, mesh.interception_of(marks), wiring)


_KINDS: dict[str, tuple[Any, Any]] = {
    "Service": (wire.Service, _service),
    "EndpointSlice": (wire.EndpointSlice, _endpoint_slice),
    "Node": (wire.Node, _node),
    "Pod": (wire.Pod, _pod),
}
KINDS = tuple(_KINDS)
