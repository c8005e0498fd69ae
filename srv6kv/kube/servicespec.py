"""The fields of a Service to its model value: rules S1 to S4, S6 and S7.

Rule: pure. A field or element that cannot be used is skipped, with its path.
"""

from __future__ import annotations

from srv6kv.kube import checks, wire
from srv6kv.kube.checks import ParseError
from srv6kv.kube.model import Service, ServicePort
from srv6kv.kube.tolerant import Skipped, each, one, word
from srv6kv.net.addresses import is_ipv4

PROXY_NAME = "service.kubernetes.io/service-proxy-name"
TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
FAMILIES = ("IPv4", "IPv6")
NO_SOURCE = ("::/128", "0.0.0.0/32")
"""Source ranges that admit no client, one of each family."""


def service_of(raw: wire.Service, skipped: Skipped) -> Service:
    """Read a Service; ParseError if its name or namespace is none."""
    spec = raw.spec
    ref = checks.ref_of(raw.metadata, checks.LABEL)
    created = raw.metadata.creation_timestamp or ""
    proxy_name = (raw.metadata.labels or {}).get(PROXY_NAME)
    if proxy_name is not None:
        return Service(ref, created, None, (), proxy_name=proxy_name)
    word("spec.type", spec.type, skipped, *TYPES)
    own = _cluster_ips(spec, skipped)
    balancer_ips, external_ips, bad = _other_addresses(raw, skipped)
    affinity = word("spec.sessionAffinity", spec.session_affinity, skipped, "None", "ClientIP")
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


def _is_local(field: str, text: str | None, skipped: Skipped) -> bool:
    """Whether a traffic policy is Local."""
    return word(field, text, skipped, "Cluster", "Local") == "Local"


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
    address shows its family itself, so that an element that is skipped shifts no other.
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

    families = list(each("spec.ipFamilies", spec.ip_families, family, skipped))
    first = [*one("spec.clusterIP", spec.cluster_ip, listed, skipped)]
    every = [*each("spec.clusterIPs", spec.cluster_ips, listed, skipped)]
    return dict(reversed((every or first) if families else (first or every)))


def _service_ports(spec: wire.ServiceSpec, skipped: Skipped) -> tuple[ServicePort, ...]:
    """Rule S7. Of ports that the API server would refuse together, the first counts."""
    names: set[tuple[str, str]] = set()
    numbers: set[tuple[str, int]] = set()

    def port(field: str, item: wire.ServicePort) -> ServicePort:
        protocol = checks.word(f"{field}.protocol", item.protocol, *checks.PROTOCOLS) or "TCP"
        if not 1 <= item.port <= 65535:
            checks.refuse(f"{field}.port", f"{item.port} is not a port number")
        found = ServicePort(item.name or "", protocol, item.port)
        if (found.name, found.protocol) in names:
            checks.refuse(f"{field}.name", f"{found.name!r} occurs twice")
        if (found.protocol, found.number) in numbers:
            checks.refuse(f"{field}.port", f"{found.protocol} {found.number} occurs twice")
        names.add((found.name, found.protocol))
        numbers.add((found.protocol, found.number))
        return found

    return tuple(sorted(each("spec.ports", spec.ports, port, skipped)))


def _source_ranges(spec: wire.ServiceSpec, skipped: Skipped) -> tuple[str, ...]:
    """Return who may use the load balancer. A filter without a usable range admits no client."""

    def prefix(field: str, text: str) -> str:
        return str(checks.prefix(field, text.strip()))

    ranges = spec.load_balancer_source_ranges
    found = tuple(each("spec.loadBalancerSourceRanges", ranges, prefix, skipped))
    return found or (NO_SOURCE if ranges else ())


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
    balancers = set(each("status.loadBalancer.ingress", listed, ingress, skipped))
    externals = set(each("spec.externalIPs", raw.spec.external_ips, external, skipped))
    return tuple(sorted(balancers - {""})), tuple(sorted(externals - {""})), tuple(sorted(bad))
