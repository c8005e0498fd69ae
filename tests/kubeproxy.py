"""What kube-proxy would do with a service, from the Kubernetes objects themselves, slowly.

Rule: one plain loop for each rule E and C of spec/services.md section 3; nothing of srv6kv is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Any

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

    @property
    def preference(self) -> tuple[bool, bool, str]:
        """Rule E8: not terminating, then ready, then the lowest slice name."""
        return self.terminating, not self.ready, self.slice_name


Port = tuple[str, str, int]


def cluster_ip(service: Mapping[str, Any]) -> str | None:
    """Rules S1 to S3: the IPv6 ClusterIP of a service that is ours."""
    spec = service["spec"]
    if (service["metadata"].get("labels") or {}).get(PROXY_NAME):
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
    for port, listed in found.items():
        for item in objects:
            if item["kind"] == "EndpointSlice" and _belongs(item, service):
                listed.extend(_offered(item, port))
        best: dict[tuple[str, int], Offer] = {}
        for offer in listed:
            key = offer.address, offer.target
            if key not in best or offer.preference < best[key].preference:
                best[key] = offer
        found[port] = list(best.values())
    return found


def _belongs(item: Json, service: Mapping[str, Any]) -> bool:
    labels = item["metadata"]["labels"]
    return (
        item["addressType"] == "IPv6"
        and item["metadata"]["namespace"] == service["metadata"]["namespace"]
        and labels.get("kubernetes.io/service-name") == service["metadata"]["name"]
        and "service.kubernetes.io/headless" not in labels
        and PROXY_NAME not in labels
    )


def _offered(item: Json, port: Port) -> Iterable[Offer]:
    for slice_port in item["ports"]:
        if slice_port["name"] is None or not slice_port["port"]:
            continue
        if (slice_port["name"], slice_port["protocol"] or "TCP") != port[:2]:
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


def selected(listed: list[Offer], node: str, zone: str, *, is_local: bool) -> set[str]:
    """Rules C2 to C6 and C10: the addresses that internal traffic of one port may reach."""
    if is_local:
        listed = [offer for offer in listed if offer.node == node]
    ready = [offer for offer in listed if offer.ready]
    if not ready:
        return {offer.address for offer in listed if offer.serving and offer.terminating}
    if not is_local:
        if all(offer.nodes for offer in ready) and any(node in offer.nodes for offer in ready):
            ready = [offer for offer in ready if node in offer.nodes]
        elif (
            zone
            and all(offer.zones for offer in ready)
            and any(zone in offer.zones for offer in ready)
        ):
            ready = [offer for offer in ready if zone in offer.zones]
    return {offer.address for offer in ready}


def reached(
    objects: Iterable[Json], service: Mapping[str, Any], node: str
) -> dict[str, str | None]:
    """The addresses that traffic to a service may reach, over all ports, with their nodes."""
    objects = list(objects)
    zone = ""
    for item in objects:
        if item["kind"] == "Node" and item["metadata"]["name"] == node:
            zone = (item["metadata"].get("labels") or {}).get("topology.kubernetes.io/zone", "")
    is_local = service["spec"].get("internalTrafficPolicy") == "Local"
    found: dict[str, str | None] = {}
    for listed in offers(objects, service).values():
        chosen = selected(listed, node, zone, is_local=is_local)
        found |= {offer.address: offer.node for offer in listed if offer.address in chosen}
    return found


def winner(objects: Iterable[Json], address: str) -> Json | None:
    """The service that has an address: of several the oldest, then the first by name."""
    owners = [item for item in objects if item["kind"] == "Service" and cluster_ip(item) == address]
    return min(owners, key=_age, default=None)


def _age(service: Json) -> tuple[str, str, str]:
    metadata = service["metadata"]
    return metadata["creationTimestamp"] or "", metadata["namespace"], metadata["name"]
