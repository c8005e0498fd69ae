"""Kubernetes JSON or YAML values to model values, or one ``ParseError`` naming object and field.

Rule: every address passes through its canonical form here, every name and number is checked here
(``checks``). An element that cannot be used is skipped, with its field; so is what the API server
accepts and Kubernetes ignores. Only what makes the whole object unreadable is an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from srv6kv import foreign
from srv6kv.kube import checks, mesh, podannotations, servicespec, tolerant, wire
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
    SlicePort,
)
from srv6kv.kube.servicespec import FAMILIES, PROXY_NAME
from srv6kv.kube.tolerant import Skipped, each, one

__all__ = ["HEADLESS", "KINDS", "PROXY_NAME", "TRIGGERED", "ParseError", "Skipped", "parse", "read"]

HEADLESS = "service.kubernetes.io/headless"
SERVICE_NAME = "kubernetes.io/service-name"
ZONE = "topology.kubernetes.io/zone"
NODE_IP = "srv6kv.io/node-ip"
TRIGGERED = "endpoints.kubernetes.io/last-change-trigger-time"
LEAVING = "ToBeDeletedByClusterAutoscaler"


def parse(kind: str, body: Body) -> KubeObject:
    """Read an object and skip what cannot be used of it; ParseError if it is malformed."""
    return read(kind, body)[0]


def read(kind: str, body: Body) -> tuple[KubeObject, Skipped]:
    """Read an object of one of KINDS: its model value, and what of it cannot be used and is
    skipped; ParseError if it is malformed."""
    fields, convert = _KINDS[kind]
    skipped = Skipped()
    try:
        try:
            if isinstance(body, msgspec.Raw):
                raw = foreign.decode(body, fields, most=foreign.MOST_ANSWER_BYTES)
            else:
                raw = foreign.convert(body, fields)
        except foreign.Unreadable:
            plain: object = body
            if isinstance(body, msgspec.Raw):
                plain = foreign.plain(body, most=foreign.MOST_ANSWER_BYTES)
            raw = tolerant.read(plain, fields, skipped)
        return convert(raw, skipped), skipped
    except ParseError:
        raise
    except ValueError as error:
        raise ParseError("", str(error)) from None


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

    endpoints = each("endpoints", raw.endpoints, endpoint, skipped)
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
    address = next(each(f"{field}.addresses", raw.addresses, convert, skipped), None)
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
    return tuple(sorted(each(field, listed, lambda _, hint: hint.name or "", skipped)))


def _target_pod(raw: wire.TargetRef | None, namespace: str) -> Ref | None:
    if raw is None or raw.kind != "Pod" or not raw.name:
        return None
    return Ref(raw.namespace or namespace, raw.name)


def _node(raw: wire.Node, skipped: Skipped) -> Node:
    spec = raw.spec or wire.NodeSpec()
    status = raw.status or wire.NodeStatus()

    def cidr(field: str, text: str) -> str:
        return str(checks.prefix(field, text))

    cidrs = tuple(each("spec.podCIDRs", spec.pod_cidrs, cidr, skipped))
    cidrs = cidrs or tuple(one("spec.podCIDR", spec.pod_cidr, cidr, skipped))
    annotation = (raw.metadata.annotations or {}).get(NODE_IP)
    own = one(f"metadata.annotations[{NODE_IP}]", annotation, checks.ipv6, skipped)
    taints = set(each("spec.taints", spec.taints, lambda _, taint: taint.key, skipped))
    listed = set(each("status.addresses", status.addresses, _node_address, skipped))
    return Node(
        name=checks.name_of(raw.metadata, checks.SUBDOMAIN),
        pod_cidrs=cidrs,
        addresses=tuple(sorted(listed - {""})),
        node_ip=next(own, ""),
        zone=(raw.metadata.labels or {}).get(ZONE, ""),
        is_leaving=raw.metadata.deletion_timestamp is not None or LEAVING in taints,
    )


def _node_address(field: str, item: wire.NodeAddress) -> str:
    """An address of any type: a Hostname may be one too (rule L9); "": it is none."""
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

    own = set(each("status.podIPs", status.pod_ips, address, skipped))
    own = own or set(one("status.podIP", status.pod_ip, checks.address, skipped))
    marks = raw.metadata.annotations or {}
    attachment = podannotations.attachment_of(marks)
    mark = mesh.interception_of(marks)
    return Pod(ref, spec.node_name or "", tuple(sorted(own)), mark, attachment)


_KINDS: dict[str, tuple[Any, Any]] = {
    "Service": (wire.Service, servicespec.service_of),
    "EndpointSlice": (wire.EndpointSlice, _endpoint_slice),
    "Node": (wire.Node, _node),
    "Pod": (wire.Pod, _pod),
}
KINDS = tuple(_KINDS)
