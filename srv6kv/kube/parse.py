"""Kubernetes JSON or YAML values to model values, or one ``ParseError`` naming object and field.

Rule: every address passes through its canonical form here, every name and number is checked here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NoReturn

import msgspec

from srv6kv import addresses
from srv6kv.addresses import Prefix
from srv6kv.kube import wire
from srv6kv.kube.model import (
    Endpoint,
    EndpointSlice,
    KubeObject,
    Node,
    Ref,
    Service,
    ServicePort,
    SlicePort,
)

PROXY_NAME = "service.kubernetes.io/service-proxy-name"
HEADLESS = "service.kubernetes.io/headless"
SERVICE_NAME = "kubernetes.io/service-name"
ZONE = "topology.kubernetes.io/zone"
NODE_IP = "srv6kv.io/node-ip"
PROTOCOLS = ("TCP", "UDP", "SCTP")

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
_SUBDOMAIN = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z"
)


class ParseError(ValueError):
    """A malformed object; the text is ``field: what is wrong``."""


def parse(kind: str, body: Mapping[str, Any]) -> KubeObject:
    """The model value of a plain mapping (YAML or JSON).

    Raises:
        ParseError: the object is malformed.
    """
    fields, convert = _KINDS[kind]
    try:
        return convert(msgspec.convert(body, fields))  # type: ignore[no-any-return]
    except msgspec.ValidationError as error:
        raise ParseError(_located(str(error))) from None


def _located(message: str) -> str:
    """``field: message`` from msgspec's ``message - at `$.field` ``."""
    text, _, path = message.partition(" - at `$")
    path = path.rstrip("`").lstrip(".")
    return f"{path}: {text}" if path else text


def _refuse(field: str, text: str) -> NoReturn:
    raise ParseError(f"{field}: {text}")


def _name(metadata: wire.Metadata, rule: re.Pattern[str]) -> str:
    if not rule.match(metadata.name):
        _refuse("metadata.name", f"{metadata.name!r} is not a Kubernetes name")
    return metadata.name


def _ref(metadata: wire.Metadata, rule: re.Pattern[str]) -> Ref:
    namespace = metadata.namespace or "default"
    if not _LABEL.match(namespace):
        _refuse("metadata.namespace", f"{namespace!r} is not a Kubernetes name")
    return Ref(namespace, _name(metadata, rule))


def _ipv6(field: str, text: str) -> str | None:
    """The canonical address; None for an IPv4 one, which belongs to the other family."""
    if addresses.is_ipv4(text):
        return None
    try:
        return addresses.canonical(text)
    except ValueError as error:
        _refuse(field, str(error))


def _port_number(field: str, number: int) -> int:
    if not 1 <= number <= 65535:
        _refuse(field, f"{number} is not a port number")
    return number


def _protocol(field: str, text: str | None) -> str:
    if (text or "TCP") not in PROTOCOLS:
        _refuse(field, f"{text!r} is not one of {', '.join(PROTOCOLS)}")
    return text or "TCP"


def _policy(field: str, text: str | None) -> bool:
    """Whether a traffic policy is Local."""
    if text not in (None, "", "Cluster", "Local"):
        _refuse(field, f"{text!r} is neither Cluster nor Local")
    return text == "Local"


def _service(raw: wire.Service) -> Service:
    spec = raw.spec
    return Service(
        ref=_ref(raw.metadata, _LABEL),
        created=raw.metadata.creation_timestamp or "",
        cluster_ip=_cluster_ip(spec),
        ports=_service_ports(spec.ports or []),
        other_addresses=_other_addresses(raw),
        proxy_name=(raw.metadata.labels or {}).get(PROXY_NAME, ""),
        is_internal_local=_policy("spec.internalTrafficPolicy", spec.internal_traffic_policy),
        is_external_local=_policy("spec.externalTrafficPolicy", spec.external_traffic_policy),
        has_node_ports=any(port.node_port for port in spec.ports or []),
        has_affinity=spec.session_affinity == "ClientIP",
    )


def _cluster_ip(spec: wire.ServiceSpec) -> str | None:
    """Rules S2 and S3."""
    if spec.cluster_ip in (None, "", "None") and not spec.cluster_ips:
        return None
    if "None" in (spec.cluster_ip, *(spec.cluster_ips or [])) or spec.type == "ExternalName":
        return None
    families = spec.ip_families or []
    if not families or not spec.cluster_ips:
        first = spec.cluster_ip or (spec.cluster_ips or [""])[0]
        return _ipv6("spec.clusterIP", first)
    for index, text in enumerate(spec.cluster_ips[: len(families)]):
        if families[index] == "IPv6":
            address = _ipv6(f"spec.clusterIPs[{index}]", text)
            if address is None:
                _refuse(f"spec.clusterIPs[{index}]", f"{text!r} is not an IPv6 address")
            return address
    return None


def _service_ports(raw: list[wire.ServicePort]) -> tuple[ServicePort, ...]:
    ports: dict[tuple[str, str], ServicePort] = {}
    numbers: set[tuple[str, int]] = set()
    for index, item in enumerate(raw):
        field = f"spec.ports[{index}]"
        port = ServicePort(
            item.name or "",
            _protocol(f"{field}.protocol", item.protocol),
            _port_number(f"{field}.port", item.port),
        )
        if (port.name, port.protocol) in ports:
            _refuse(f"{field}.name", f"{port.name!r} occurs twice")
        if (port.protocol, port.number) in numbers:
            _refuse(f"{field}.port", f"{port.protocol} {port.number} occurs twice")
        ports[port.name, port.protocol] = port
        numbers.add((port.protocol, port.number))
    return tuple(sorted(ports.values()))


def _other_addresses(raw: wire.Service) -> tuple[str, ...]:
    """Rule S4; hostnames, IPv4 and ``ipMode: Proxy`` do not count, bad texts are dropped."""
    balancer = raw.status.load_balancer if raw.status else None
    texts = list(raw.spec.external_ips or [])
    for ingress in (balancer.ingress if balancer else None) or []:
        if ingress.ip and ingress.ip_mode in (None, "VIP"):
            texts.append(ingress.ip)
    found = set()
    for text in texts:
        try:
            found.add(addresses.canonical(text))
        except ValueError:
            continue
    return tuple(sorted(found))


def _endpoint_slice(raw: wire.EndpointSlice) -> EndpointSlice:
    ref = _ref(raw.metadata, _SUBDOMAIN)
    labels = raw.metadata.labels or {}
    owner = labels.get(SERVICE_NAME, "")
    is_for_us = PROXY_NAME not in labels and HEADLESS not in labels
    if raw.address_type not in ("IPv4", "IPv6", "FQDN"):
        _refuse("addressType", f"{raw.address_type!r} is not one of IPv4, IPv6, FQDN")
    if not owner or raw.address_type != "IPv6" or not is_for_us:
        return EndpointSlice(ref, None, (), ())
    if not _LABEL.match(owner):
        _refuse(f"metadata.labels[{SERVICE_NAME}]", f"{owner!r} is not a Kubernetes name")
    return EndpointSlice(
        ref=ref,
        service=Ref(ref.namespace, owner),
        ports=tuple(_slice_port(i, port) for i, port in enumerate(raw.ports or [])),
        endpoints=tuple(
            _endpoint(f"endpoints[{i}]", item)
            for i, item in enumerate(raw.endpoints or [])
            if item.addresses
        ),
    )


def _slice_port(index: int, raw: wire.SlicePort) -> SlicePort:
    field = f"ports[{index}]"
    number = raw.port or None
    if number is not None:
        _port_number(f"{field}.port", number)
    return SlicePort(raw.name, _protocol(f"{field}.protocol", raw.protocol), number)


def _endpoint(field: str, raw: wire.Endpoint) -> Endpoint:
    address = _ipv6(f"{field}.addresses[0]", raw.addresses[0])
    if address is None:
        _refuse(f"{field}.addresses[0]", f"{raw.addresses[0]!r} is not an IPv6 address")
    conditions = raw.conditions or wire.Conditions()
    hints = raw.hints or wire.Hints()
    return Endpoint(
        address=address,
        ready=conditions.ready is not False,
        serving=conditions.serving is not False,
        terminating=conditions.terminating is True,
        node=raw.node_name or None,
        pod=_target_pod(raw.target_ref),
        zone_hints=tuple(sorted(hint.name for hint in hints.for_zones or [])),
        node_hints=tuple(sorted(hint.name for hint in hints.for_nodes or [])),
    )


def _target_pod(raw: wire.TargetRef | None) -> Ref | None:
    if raw is None or raw.kind != "Pod" or not raw.name:
        return None
    return Ref(raw.namespace or "default", raw.name)


def _node(raw: wire.Node) -> Node:
    spec = raw.spec or wire.NodeSpec()
    listed = [(f"spec.podCIDRs[{i}]", text) for i, text in enumerate(spec.pod_cidrs or [])]
    if not listed and spec.pod_cidr:
        listed = [("spec.podCIDR", spec.pod_cidr)]
    annotation = (raw.metadata.annotations or {}).get(NODE_IP, "")
    field = f"metadata.annotations[{NODE_IP}]"
    node_ip = _ipv6(field, annotation) if annotation else ""
    if node_ip is None:
        _refuse(field, f"{annotation!r} is not an IPv6 address")
    return Node(
        name=_name(raw.metadata, _SUBDOMAIN),
        pod_cidrs=tuple(cidr for field, text in listed for cidr in _pod_cidr(field, text)),
        addresses=_node_addresses(raw.status or wire.NodeStatus()),
        node_ip=node_ip,
        zone=(raw.metadata.labels or {}).get(ZONE, ""),
    )


def _pod_cidr(field: str, text: str) -> tuple[str, ...]:
    address, _, length = text.partition("/")
    if addresses.is_ipv4(address) and length.isdigit():
        return ()
    try:
        return (str(Prefix.parse(text)),)
    except ValueError as error:
        _refuse(field, str(error))


def _node_addresses(status: wire.NodeStatus) -> tuple[str, ...]:
    """IPv6 addresses of any type: a Hostname may be an address too (spec/services.md 2.9)."""
    found = set()
    for index, item in enumerate(status.addresses or []):
        if item.type in ("InternalIP", "ExternalIP"):
            address = _ipv6(f"status.addresses[{index}].address", item.address)
            if address is not None:
                found.add(address)
        elif ":" in item.address:
            try:
                found.add(addresses.canonical(item.address))
            except ValueError:
                continue
    return tuple(sorted(found))


_KINDS: dict[str, tuple[Any, Any]] = {
    "Service": (wire.Service, _service),
    "EndpointSlice": (wire.EndpointSlice, _endpoint_slice),
    "Node": (wire.Node, _node),
}
KINDS = tuple(_KINDS)
