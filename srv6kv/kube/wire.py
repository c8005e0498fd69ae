"""The fields of Kubernetes objects that are read, as the API writes them.

Rule: null means absent; unknown fields are skipped, so newer servers do no harm. What a value means
is decided in ``parse``.
"""

from __future__ import annotations

import msgspec


class Wire(msgspec.Struct, gc=False, rename="camel"):
    pass


class Metadata(Wire):
    name: str
    namespace: str | None = None
    creation_timestamp: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class ServicePort(Wire):
    port: int
    name: str | None = None
    protocol: str | None = None
    node_port: int | None = None


class ServiceSpec(Wire):
    type: str | None = None
    cluster_ip: str | None = msgspec.field(default=None, name="clusterIP")
    cluster_ips: list[str] | None = msgspec.field(default=None, name="clusterIPs")
    ip_families: list[str] | None = None
    ports: list[ServicePort] | None = None
    external_ips: list[str] | None = msgspec.field(default=None, name="externalIPs")
    internal_traffic_policy: str | None = None
    external_traffic_policy: str | None = None
    session_affinity: str | None = None


class Ingress(Wire):
    ip: str | None = None
    ip_mode: str | None = None


class LoadBalancer(Wire):
    ingress: list[Ingress] | None = None


class ServiceStatus(Wire):
    load_balancer: LoadBalancer | None = None


class Service(Wire):
    metadata: Metadata
    spec: ServiceSpec
    status: ServiceStatus | None = None


class Conditions(Wire):
    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class Hint(Wire):
    name: str


class Hints(Wire):
    for_zones: list[Hint] | None = None
    for_nodes: list[Hint] | None = None


class TargetRef(Wire):
    kind: str | None = None
    namespace: str | None = None
    name: str | None = None


class Endpoint(Wire):
    addresses: list[str]
    conditions: Conditions | None = None
    node_name: str | None = None
    target_ref: TargetRef | None = None
    hints: Hints | None = None


class SlicePort(Wire):
    name: str | None = None
    protocol: str | None = None
    port: int | None = None


class EndpointSlice(Wire):
    metadata: Metadata
    address_type: str
    endpoints: list[Endpoint] | None = None
    ports: list[SlicePort] | None = None


class NodeAddress(Wire):
    type: str
    address: str


class NodeSpec(Wire):
    pod_cidr: str | None = msgspec.field(default=None, name="podCIDR")
    pod_cidrs: list[str] | None = msgspec.field(default=None, name="podCIDRs")


class NodeStatus(Wire):
    addresses: list[NodeAddress] | None = None


class Node(Wire):
    metadata: Metadata
    spec: NodeSpec | None = None
    status: NodeStatus | None = None
