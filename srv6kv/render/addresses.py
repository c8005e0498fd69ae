"""Which addresses a service asks for, which of them it may have, and in which VRFs they are served.

Rules: rule S3, by family: without a ClusterIP of a family no address of that family is
the service's; S4; L3 for traffic policies by VRF; L7 for what is never steered.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from srv6kv.cluster.topology import Topology
from srv6kv.kube.model import Service
from srv6kv.net.addresses import is_ipv4, is_ordinary
from srv6kv.notes import Kind, Note, Reason, Subject
from srv6kv.settings import Settings


class Role(IntEnum):
    """What an address is to its service; the lower one has the better right to it (rule L5)."""

    CLUSTER_IP = 0
    LOAD_BALANCER = 1
    EXTERNAL_IP = 2


FIELDS = {
    Role.CLUSTER_IP: "spec.clusterIP",
    Role.LOAD_BALANCER: "status.loadBalancer",
    Role.EXTERNAL_IP: "spec.externalIPs",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """The addresses that a service asks for.

    Attributes:
        roles: the addresses that it may have, as far as other services do not matter.
        denials: why it may not have others.
    """

    roles: dict[str, Role]
    denials: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """One VRF in which an address is steered, and by which traffic policy."""

    vrf: int
    local_only: bool


def asked_by(service: Service, topology: Topology, settings: Settings) -> Asked:
    """Find the addresses of a service that only another service could keep from it."""
    roles: dict[str, Role] = {}
    denials = []
    for address, role in wishes(service).items():
        if is_ipv4(address) and not settings.ipv4:
            continue
        reason = denial_of(address, role, service, topology, settings)
        if reason is None:
            roles[address] = role
        else:
            text = f"{FIELDS[role]}: {address} {reason}; the service is not rendered for it"
            name = Reason.ADDRESS_DENIED if role is Role.CLUSTER_IP else Reason.EXTERNAL_IP_DENIED
            if reason is _SOURCE_RANGES:
                name = Reason.SOURCE_RANGES_UNSUPPORTED
            denials.append(Note(Subject(Kind.SERVICE, service.ref), name, text))
    return Asked(roles, tuple(denials))


def places_of(role: Role, service: Service, settings: Settings) -> tuple[Place, ...]:
    """Where an address is steered: a ClusterIP for pods only, others for everyone (rule L3).

    Pods that use an external address are in the cluster: externalTrafficPolicy is not for them.
    """
    if role is Role.CLUSTER_IP:
        return (Place(settings.pod_vrf, service.is_internal_local),)
    return (
        Place(settings.pod_vrf, local_only=False),
        Place(settings.main_vrf, service.is_external_local),
    )


def denial_of(
    address: str, role: Role, service: Service, topology: Topology, settings: Settings
) -> str | None:
    """Why a service may not take an address (rule L7); None if it may.

    Steering takes all ports of an address, so what the cluster itself needs is never given away.
    """
    if not is_ordinary(address):
        return "is not a unicast address beyond its link"
    if address in topology.owners:
        return f"is an address of Node {topology.owners[address][0]}"
    if address == settings.default_gateway:
        return "is the default gateway"
    if address in settings.reserved and role is not Role.CLUSTER_IP:
        return "is where srv6kv reaches a server of its own"
    if any(address in prefix for prefix in (settings.pod_subnet, *topology.stray_prefixes)):
        return "lies in a pod CIDR"
    if address in settings.host_subnet:
        return "lies in vppHostSubnetCIDR, where the nodes' hosts are"
    for prefix in settings.sid.all():
        if address in prefix:
            return f"lies in the SID range {prefix}"
    if role is Role.EXTERNAL_IP and not settings.allows_external_ip(address):
        return "is not allowed by srv6kv.externalIPs"
    if role is Role.LOAD_BALANCER and _is_ranged(address, service):
        return _SOURCE_RANGES
    return None


def _is_ranged(address: str, service: Service) -> bool:
    """Whether only some may use an address; as kube-proxy, each family by its own ranges."""
    mine = [text for text in service.source_ranges if ("." in text) == is_ipv4(address)]
    return bool(mine) and not any(text.endswith("/0") for text in mine)


_SOURCE_RANGES = "has loadBalancerSourceRanges, which SRv6 cannot enforce"


def wishes(service: Service) -> dict[str, Role]:
    """Return every address of a service in its best role, of its own families (rule S3)."""
    families = service.families
    return {one: role for one, role in named(service).items() if is_ipv4(one) in families}


def named(service: Service) -> dict[str, Role]:
    """Return every address that a service names in its best role, its own or not."""
    found = dict.fromkeys(service.external_ips, Role.EXTERNAL_IP)
    found |= dict.fromkeys(service.balancer_ips, Role.LOAD_BALANCER)
    own = (service.cluster_ip, service.cluster_ipv4)
    return found | dict.fromkeys(filter(None, own), Role.CLUSTER_IP)


def not_own(service: Service) -> list[str]:
    """Return the addresses that a service names and that are not its own, without a ClusterIP of
    their family: kube-proxy leaves them to the routes, and so do we (rule S3)."""
    return sorted(named(service).keys() - wishes(service).keys())
