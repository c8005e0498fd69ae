"""The subnets of the settings.

Rule: pure. A value that is refused is None here; the findings say why.
"""

from __future__ import annotations

from dataclasses import dataclass

from srv6kv.net import addresses
from srv6kv.net.addresses import Prefix
from srv6kv.settings.file import Findings, Place, Section, shown

DEFAULT_ONE_NODE_LENGTH = 24  # Contiv's, made for IPv4
MAX_ONE_NODE_LENGTH = 126  # hosts 1 and 2 of a node's subnet are taken: gateway and Linux end
MIN_CONTIV_BITS = 18

_PODS, _HOSTS, _NODES = "podSubnetCIDR", "vppHostSubnetCIDR", "nodeInterconnectCIDR"
_LENGTHS = ("podSubnetOneNodePrefixLen", "vppHostSubnetOneNodePrefixLen")


@dataclass(frozen=True, slots=True)
class Networks:
    """The subnets of the cluster.

    Attributes:
        pods_one_node: prefix length of one node's part of it; IPv4 counts as mapped, 96 more.
        services: the IPv6 ones, and those of IPv4 where the settings turn it on.
        places: each subnet again with the place that gave it.
    """

    pods: Prefix
    pods_one_node: int
    hosts: Prefix
    hosts_one_node: int
    nodes: Prefix
    services: tuple[Prefix, ...]
    places: tuple[tuple[Place, Prefix], ...]


def networks_of(ipam: Section, findings: Findings, *, ipv4: bool) -> Networks | None:
    """The subnets of ``ipamConfig``, given one by one or by contivCIDR. With ``ipv4`` pods, hosts
    and services may have IPv4 addresses; nodes never, SRv6 is between them."""
    services = _service_cidrs(ipam, findings, ipv4=ipv4)
    if ipam.truth("nodeInterconnectDHCP"):
        findings.warn(ipam.at("nodeInterconnectDHCP"), _DHCP)
    if ipam.has("contivCIDR"):
        found = _by_contiv_cidr(ipam, findings)
        pods_one_node: int | None = 121
        hosts_one_node: int | None = 121
    else:
        found = {key: _subnet(ipam, key, findings, ipv4=ipv4) for key in (_PODS, _HOSTS)}
        found[_NODES] = _subnet(ipam, _NODES, findings)
        pods_one_node = _one_node_length(ipam, "podSubnet", found[_PODS], findings)
        hosts_one_node = _one_node_length(ipam, "vppHostSubnet", found[_HOSTS], findings)
    pods, hosts, nodes = found[_PODS], found[_HOSTS], found[_NODES]
    if pods is None or hosts is None or nodes is None or services is None:
        return None
    if pods_one_node is None or hosts_one_node is None:
        return None
    places = [(_giver(ipam, key), prefix) for key, prefix in found.items() if prefix is not None]
    places += [(ipam.at("serviceCIDR"), prefix) for prefix in services]
    return Networks(pods, pods_one_node, hosts, hosts_one_node, nodes, services, tuple(places))


def _giver(ipam: Section, key: str) -> Place:
    is_derived = ipam.has("contivCIDR") and not (key == _NODES and ipam.has(key))
    return ipam.at("contivCIDR" if is_derived else key)


def _by_contiv_cidr(ipam: Section, findings: Findings) -> dict[str, Prefix | None]:
    for key in (_PODS, _HOSTS, *_LENGTHS):
        if ipam.has(key):
            findings.warn(ipam.at(key), "ignored, contivCIDR decides; remove one of the two")
    whole = prefix_at(ipam, "contivCIDR", findings)
    if whole is not None and 128 - whole.length < MIN_CONTIV_BITS:
        longest = 128 - MIN_CONTIV_BITS
        findings.refuse(
            ipam.at("contivCIDR"), f"{whole} is too small; the length must be {longest} at most"
        )
        whole = None
    nodes = _subnet(ipam, _NODES, findings) if ipam.has(_NODES) else _part(whole, 256, 119)
    return {_PODS: _part(whole, 0, 112), _HOSTS: _part(whole, 1, 112), _NODES: nodes}


def _part(whole: Prefix | None, number: int, length: int) -> Prefix | None:
    if whole is None:
        return None
    return Prefix(whole.network | number << (128 - length), length)


def _subnet(ipam: Section, key: str, findings: Findings, *, ipv4: bool = False) -> Prefix | None:
    if not ipam.has(key):
        findings.refuse(ipam.at(key), "missing; give an IPv6 prefix, or contivCIDR for all")
    return prefix_at(ipam, key, findings, ipv4=ipv4)


def prefix_at(
    section: Section, key: str, findings: Findings, *, ipv4: bool = False
) -> Prefix | None:
    """The prefix under a key, if there is one; of IPv6 unless ``ipv4`` allows both families."""
    text = section.text(key)
    if text is None:
        return None
    if _is_ipv4_prefix(text) and ipv4:
        return Prefix.parse_any(text)
    if _is_ipv4_prefix(text):
        findings.refuse(section.at(key), f"{text} is IPv4; {_IPV4.get(key, _ONLY_IPV6)}")
        return None
    try:
        return Prefix.parse(text)
    except ValueError as error:
        findings.refuse(section.at(key), _prefix_problem(text, error))
        return None


_DHCP = "node addresses come from the records of Contiv or the annotation srv6kv.io/node-ip only"
_ONLY_IPV6 = "give an IPv6 prefix, SRv6 has no other addresses"
_IPV4 = dict.fromkeys((_PODS, _HOSTS), "give an IPv6 prefix, or set srv6kv.ipv4: true")


def _prefix_problem(text: str, error: ValueError) -> str:
    if "mapped" in str(error):
        return f"{shown(text)} is an IPv4-mapped address; give an IPv6 prefix"
    return f"{shown(text, always=True)} is not a prefix; give address/length, such as 2001:db8::/48"


def _is_ipv4_prefix(text: str) -> bool:
    address, slash, length = text.partition("/")
    is_length = length.isascii() and length.isdigit() and len(length) <= 2 and int(length) <= 32
    return bool(slash) and is_length and addresses.is_ipv4(address)


def _service_cidrs(ipam: Section, findings: Findings, *, ipv4: bool) -> tuple[Prefix, ...] | None:
    place, text = ipam.at("serviceCIDR"), ipam.text("serviceCIDR")
    if text is None:
        if not ipam.has("serviceCIDR"):
            findings.refuse(place, "missing; give the service CIDR of the Kubernetes API server")
        return None
    found: list[Prefix] = []
    for part in (item.strip() for item in text.split(",")):
        if _is_ipv4_prefix(part) and not ipv4:
            continue
        try:
            found.append(Prefix.parse_any(part))
        except ValueError as error:
            findings.refuse(place, _prefix_problem(part, error))
            return None
    if not found:
        findings.refuse(place, f"{shown(text)} holds no IPv6 prefix; services here need one")
        return None
    return tuple(found)


def _one_node_length(
    ipam: Section, stem: str, subnet: Prefix | None, findings: Findings
) -> int | None:
    key = f"{stem}OneNodePrefixLen"
    if subnet is None or key in ipam.wrong:
        return None
    given = ipam.number(key)
    length = DEFAULT_ONE_NODE_LENGTH if given is None else given
    mapped = 96 if subnet.is_ipv4 else 0
    least, most = subnet.length - mapped + 1, MAX_ONE_NODE_LENGTH - mapped
    if least <= length <= most:
        return mapped + length
    what = f"{length} is" if given is not None else f"not set, and the default {length} is"
    limits = f"from {least} to {most}"
    if least > most:
        limits = f"at most {most}, and {stem}CIDR shorter"
    if length > most:
        said = f"{what} too long: a node's part holds its hosts 1 and 2; set it {limits}"
    else:
        said = f"{what} not longer than {stem}CIDR {subnet}; set it {limits}"
    findings.refuse(ipam.at(key), said)
    return None


def gateway_of(ipam: Section, findings: Findings) -> str | None:
    """The default gateway if it is IPv6; an IPv4 one concerns us not."""
    text = ipam.text("defaultGateway")
    if text is None:
        return None
    address = text.partition("/")[0] if _is_ipv4_prefix(text) or _is_prefix(text) else text
    try:
        if addresses.is_ipv4(address):
            return None
        return addresses.canonical(address)
    except ValueError:
        said = f"{shown(text, always=True)} is not an address; give one such as fe10::1"
        findings.refuse(ipam.at("defaultGateway"), said)
        return None


def _is_prefix(text: str) -> bool:
    try:
        Prefix.parse(text)
    except ValueError:
        return False
    return True
