"""What kube-proxy would do with a service, from the Kubernetes objects themselves, slowly.

Rule: one plain loop for each rule S, E and C of docs/rules, in its order and words;
where kube-proxy's own code (pkg/proxy/endpointslicecache.go, topology.go) says otherwise, as it has
it; nothing of srv6kv is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Any, Literal, NamedTuple

Json = dict[str, Any]
PROXY_NAME = "service.kubernetes.io/service-proxy-name"


@dataclass(frozen=True, slots=True)
class Offer:
    """An endpoint of one service port, with what its slice says about it."""

    address: str
    target: int
    node: str | None
    ready: bool
    serving: bool
    terminating: bool
    zones: tuple[str, ...]
    nodes: tuple[str, ...]
    slice_name: str


Port = tuple[str, str, int]
Pair = tuple[str, int]
"""Address and target port: what makes an endpoint of a port one and the same (rule E7)."""


def cluster_ip(service: Mapping[str, Any]) -> str | None:
    """Rules S1 to S3: the IPv6 ClusterIP of a service that is ours."""
    spec = service["spec"]
    if PROXY_NAME in (service["metadata"].get("labels") or {}):
        return None
    if spec["clusterIP"] in ("", "None") or spec["type"] == "ExternalName":
        return None
    for family, address in zip(spec["ipFamilies"], spec["clusterIPs"], strict=True):
        if family == "IPv6":
            return str(IPv6Address(address))
    return None


def ports_of(service: Mapping[str, Any]) -> list[Port]:
    """Rule S7: name, protocol and number of each port."""
    return [
        (port["name"] or "", port["protocol"] or "TCP", port["port"])
        for port in service["spec"]["ports"]
    ]


def offers(objects: Iterable[Json], service: Mapping[str, Any]) -> dict[Port, list[Offer]]:
    """Rules E1 to E8: every endpoint of each port, duplicates resolved."""
    found: dict[Port, list[Offer]] = {port: [] for port in ports_of(service)}
    for port in found:
        same: dict[Pair, list[Offer]] = {}
        for item in objects:
            if item["kind"] == "EndpointSlice" and _belongs(item, service):
                for pair, offer in _of_slice(item, port).items():
                    same.setdefault(pair, []).append(offer)
        found[port] = [_best(group) for group in same.values()]
    return found


def _of_slice(item: Json, port: Port) -> dict[Pair, Offer]:
    """Rule E8 within a slice, as addEndpoints fills its endpointSet."""
    endpoint_set: dict[Pair, Offer] = {}
    for offer in _offered(item, port):
        exists = (offer.address, offer.target) in endpoint_set
        if not exists or not offer.terminating:
            endpoint_set[offer.address, offer.target] = offer
    return endpoint_set


def _best(group: list[Offer]) -> Offer:
    """Rule E8 among slices that offer one address and target: kube-proxy takes them as Go's map
    gives them; rule E8 says not terminating, ready, lowest name."""
    living = [offer for offer in group if not offer.terminating] or group
    ready = [offer for offer in living if offer.ready] or living
    names = sorted(offer.slice_name for offer in ready)
    return next(offer for offer in ready if offer.slice_name == names[0])


def _belongs(item: Json, service: Mapping[str, Any]) -> bool:
    labels = item["metadata"]["labels"]
    return (
        item["addressType"] == "IPv6"
        and item["metadata"]["namespace"] == service["metadata"]["namespace"]
        and labels.get("kubernetes.io/service-name") == service["metadata"]["name"]
        and "service.kubernetes.io/headless" not in labels
    )


def _offered(item: Json, port: Port) -> Iterable[Offer]:
    for slice_port in item["ports"]:
        if not slice_port["port"]:
            continue
        if (slice_port["name"] or "", slice_port["protocol"] or "TCP") != port[:2]:
            continue
        for entry in item["endpoints"]:
            if not entry["addresses"]:
                continue
            conditions = entry["conditions"]
            yield Offer(
                address=str(IPv6Address(entry["addresses"][0])),
                target=slice_port["port"],
                node=entry["nodeName"],
                ready=conditions["ready"] is not False,
                serving=conditions["serving"] is not False,
                terminating=conditions["terminating"] is True,
                zones=tuple(hint["name"] for hint in entry["hints"]["forZones"]),
                nodes=tuple(hint["name"] for hint in entry["hints"]["forNodes"]),
                slice_name=item["metadata"]["name"],
            )


class Policies(NamedTuple):
    """Rules S5 and S6: what a service's own fields say about its traffic."""

    internal_local: bool = False
    external_local: bool = False
    accessible: bool = False


def policies_of(service: Mapping[str, Any]) -> Policies:
    """Rules S5 and S6."""
    spec = service["spec"]
    has_node_port = any(port.get("nodePort") for port in spec["ports"])
    has_external_ip = bool(spec.get("externalIPs"))
    has_balancer = bool(balancer_addresses(service))
    may_be_external = spec.get("type") in ("NodePort", "LoadBalancer") or has_external_ip
    return Policies(
        internal_local=spec.get("internalTrafficPolicy") == "Local",
        external_local=may_be_external and spec.get("externalTrafficPolicy") == "Local",
        accessible=has_node_port or has_external_ip or has_balancer,
    )


def balancer_addresses(service: Mapping[str, Any]) -> list[str]:
    """Rule S4: the load balancer's IPv6 addresses that are not a proxy's, canonical."""
    balancer = (service.get("status") or {}).get("loadBalancer") or {}
    found = []
    for ingress in balancer.get("ingress") or []:
        if ":" in (ingress.get("ip") or "") and ingress.get("ipMode") in (None, "VIP"):
            found.append(str(IPv6Address(ingress["ip"])))
    return found


@dataclass(frozen=True, slots=True)
class Categories:
    """What kube-proxy's CategorizeEndpoints answers for one port on one node."""

    cluster: set[Pair]
    local: set[Pair]
    has_any: bool


def categorize(listed: Iterable[Offer], node: str, zone: str, policies: Policies) -> Categories:
    """Rules C1, C4 to C7 and C10, one after the other."""
    listed = list(listed)
    uses_cluster = not policies.internal_local or policies.accessible
    uses_local = policies.internal_local or (policies.external_local and policies.accessible)
    cluster, local = set[Pair](), set[Pair]()
    has_any = False
    if uses_cluster:
        mode = topology_mode(listed, node, zone)
        for offer in listed:
            if offer.ready and (
                mode == "none"
                or (mode == "SameNode" and node in offer.nodes)
                or (mode == "SameZone" and zone in offer.zones)
            ):
                cluster.add((offer.address, offer.target))
        if not cluster:
            cluster = _serving_and_terminating(listed)
        has_any = bool(cluster)
    if uses_local:
        here = []
        for offer in listed:
            if offer.node is not None and offer.node == node:
                here.append(offer)
            if offer.ready or (offer.serving and offer.terminating):
                has_any = True
        for offer in here:
            if offer.ready:
                local.add((offer.address, offer.target))
        if not local:
            local = _serving_and_terminating(here)
    return Categories(cluster, local, has_any)


def _serving_and_terminating(listed: Iterable[Offer]) -> set[Pair]:
    found = set[Pair]()
    for offer in listed:
        if offer.serving and offer.terminating:
            found.add((offer.address, offer.target))
    return found


def topology_mode(listed: Iterable[Offer], node: str, zone: str) -> str:
    """Rule C2: how the hints of the ready endpoints are used, by counting."""
    ready = for_nodes = for_us = for_zones = for_our_zone = 0
    for offer in listed:
        if offer.ready:
            ready += 1
            for_nodes += 1 if offer.nodes else 0
            for_us += offer.nodes.count(node)
            for_zones += 1 if offer.zones else 0
            for_our_zone += offer.zones.count(zone)
    if ready and for_nodes == ready and for_us >= 1:
        return "SameNode"
    if ready and for_zones == ready and for_our_zone >= 1:
        return "SameZone"
    return "none"


TRAFFIC = ("to the ClusterIP", "of pods to an external address", "from outside")


def verdict(
    found: Categories, policies: Policies, traffic: str
) -> set[Pair] | Literal["DROP", "REJECT"]:
    """Rules C8 and C9: where traffic of a kind goes, or how kube-proxy refuses it."""
    match traffic:
        case "to the ClusterIP":
            is_local = policies.internal_local
        case "of pods to an external address":
            is_local = False
        case "from outside":
            is_local = policies.external_local
        case _:
            raise AssertionError(traffic)
    if not found.has_any:
        return "REJECT"
    return (found.local if is_local else found.cluster) or "DROP"


def reached(
    objects: Iterable[Json],
    service: Mapping[str, Any],
    node: str,
    traffic: str = "to the ClusterIP",
) -> dict[str, str | None]:
    """The addresses that traffic to a service may reach, over all ports, with their nodes."""
    objects = list(objects)
    zone = zone_of(objects, node)
    policies = policies_of(service)
    found: dict[str, str | None] = {}
    for listed in offers(objects, service).values():
        chosen = verdict(categorize(listed, node, zone, policies), policies, traffic)
        for offer in listed:
            if not isinstance(chosen, str) and (offer.address, offer.target) in chosen:
                found[offer.address] = offer.node
    return found


def zone_of(objects: Iterable[Json], node: str) -> str:
    """The zone of a node, "" if it has none."""
    zone = ""
    for item in objects:
        if item["kind"] == "Node" and item["metadata"]["name"] == node:
            zone = (item["metadata"].get("labels") or {}).get("topology.kubernetes.io/zone", "")
    return zone


def winner(objects: Iterable[Json], address: str) -> Json | None:
    """The service that has an address: of several the oldest, then the first by name."""
    owners = [item for item in objects if item["kind"] == "Service" and cluster_ip(item) == address]
    return min(owners, key=age, default=None)


def age(service: Json) -> tuple[str, str, str]:
    """What decides between services that want the same: the older, then the first by name."""
    metadata = service["metadata"]
    return metadata["creationTimestamp"] or "", metadata["namespace"], metadata["name"]
