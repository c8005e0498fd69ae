"""Kubernetes objects as srv6kv uses them: small frozen values, addresses in canonical text.

They hold only what a rule of the design reads. Anything malformed was refused in ``parse``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Ref(NamedTuple):
    """Namespace and name of an object."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


Identity = tuple[str, str, str]
"""Kind, namespace ("" for nodes) and name."""


class ServicePort(NamedTuple):
    """A port of a service; its identity is name and protocol (kube-proxy rule S7)."""

    name: str
    protocol: str
    number: int


@dataclass(frozen=True, slots=True)
class Service:
    """A service.

    Attributes:
        created: creation timestamp as Kubernetes writes it, "" if unset; sorts by time.
        cluster_ip: its IPv6 ClusterIP; None when the service has none to render (rules S2, S3).
        other_addresses: external and load-balancer IPv6 addresses (rule S4).
        proxy_name: the foreign proxy that implements the service, "" for none (rule S1).
        is_internal_local: internalTrafficPolicy is Local (rule S6).
        has_affinity: sessionAffinity is ClientIP.
    """

    ref: Ref
    created: str
    cluster_ip: str | None
    ports: tuple[ServicePort, ...]
    other_addresses: tuple[str, ...] = ()
    proxy_name: str = ""
    is_internal_local: bool = False
    is_external_local: bool = False
    has_node_ports: bool = False
    has_affinity: bool = False

    @property
    def is_externally_accessible(self) -> bool:
        """Rule S5."""
        return self.has_node_ports or bool(self.other_addresses)


class SlicePort(NamedTuple):
    """A port of a slice; ``number`` is the target port in the pod. None: not usable (rule E3)."""

    name: str | None
    protocol: str
    number: int | None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint of a slice, with its first address (rule E2) and conditions (rule E5)."""

    address: str
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    node: str | None = None
    pod: Ref | None = None
    zone_hints: tuple[str, ...] = ()
    node_hints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EndpointSlice:
    """An IPv6 slice of a service (rules E1, E2).

    Attributes:
        service: the service that it belongs to; None when it belongs to none that we render.
    """

    ref: Ref
    service: Ref | None
    ports: tuple[SlicePort, ...]
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A node.

    Attributes:
        pod_cidrs: its IPv6 pod CIDRs as ``address/length``, canonical.
        addresses: its IPv6 ``status.addresses``.
        node_ip: annotation ``srv6kv.io/node-ip``, "" if unset.
        zone: label ``topology.kubernetes.io/zone``, "" if unset.
    """

    name: str
    pod_cidrs: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    node_ip: str = ""
    zone: str = ""


KubeObject = Service | EndpointSlice | Node
