"""The prefixes that SIDs and BSIDs are made of: defaults, and what makes one unusable.

Rule: pure. A value that is refused is None here; the findings say why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from srv6kv.net.addresses import Prefix
from srv6kv.settings.file import Findings, Place, Section
from srv6kv.settings.subnets import Networks, prefix_at

MAX_BSID_LENGTH = 112  # the 16 bits after the prefix keep BSIDs apart that clash

# SIDs the agent or VPP would not take: it prints the first two with dots.
_UNFIT = (
    ("IPv4-mapped addresses", Prefix(0xFFFF << 32, 96)),
    ("the addresses below ::1:0:0", Prefix(0, 96)),
    ("link-local addresses", Prefix(0xFE80 << 112, 10)),
    ("multicast addresses", Prefix(0xFF << 120, 8)),
)


@dataclass(frozen=True, slots=True)
class SidPrefixes:
    """The prefixes that SIDs and BSIDs are made of.

    Attributes:
        service_bsid: of service policies, filled up with the service address.
        pod: of the localsids of endpoint pods, filled up with the pod address.
        host: of the localsids of host endpoints.
        node: of the localsids that end the first segment, filled up with the node address.
        tunnel_pod: of the localsids that end a tunnel for pod traffic; as the other three are.
    """

    service_bsid: Prefix
    pod: Prefix
    host: Prefix
    node: Prefix
    tunnel_pod: Prefix
    tunnel_host: Prefix
    tunnel_pod_bsid: Prefix
    tunnel_host_bsid: Prefix

    def all(self) -> tuple[Prefix, ...]:
        """Every prefix, BSIDs included."""
        return tuple(getattr(self, name) for name, *_ in SID_KEYS)


# Field, key, default of Contiv 3.1 (useSRv6Interconnect), default from 3.2 on.
SID_KEYS = (
    ("service_bsid", "servicePolicyBSIDSubnetCIDR", "5555::/16", "8fff::/16"),
    ("pod", "servicePodLocalSIDSubnetCIDR", "6666::/16", "9300::/16"),
    ("host", "serviceHostLocalSIDSubnetCIDR", "6655::/16", "9300::/16"),
    ("node", "serviceNodeLocalSIDSubnetCIDR", "7766::/16", "9000::/16"),
    ("tunnel_pod", "nodeToNodePodLocalSIDSubnetCIDR", "7777::/16", "9501::/16"),
    ("tunnel_host", "nodeToNodeHostLocalSIDSubnetCIDR", "7799::/16", "9500::/16"),
    ("tunnel_pod_bsid", "nodeToNodePodPolicySIDSubnetCIDR", "8888::/16", "8501::/16"),
    ("tunnel_host_bsid", "nodeToNodeHostPolicySIDSubnetCIDR", "9999::/16", "8500::/16"),
)
_KEY = {field: key for field, key, _, _ in SID_KEYS}
_NODE_DERIVED = ("node", "tunnel_pod", "tunnel_host")  # SIDs made of the same address


def sids_of(
    srv6: Section, is_old: bool, networks: Networks | None, findings: Findings
) -> SidPrefixes | None:
    """The SID prefixes, those not given as the generation of the options has them."""
    found: dict[str, Prefix] = {}
    for field, key, old, new in SID_KEYS:
        given = prefix_at(srv6, key, findings)
        if given is not None and _is_fit(field, given, srv6.at(key), findings):
            found[field] = given
        elif not srv6.has(key):
            found[field] = Prefix.parse(old if is_old else new)
    _check_bsids(srv6, found, findings)
    for one, other in combinations(_NODE_DERIVED, 2):
        if one in found and found[one] == found.get(other):
            at, beside = (other, one) if srv6.has(_KEY[other]) else (one, other)
            said = f"{found[at]} is also {_KEY[beside]}; both SIDs of a node would be one"
            findings.refuse(srv6.at(_KEY[at]), said)
    if networks is not None:
        _check_networks(srv6, found, networks, findings)
    return SidPrefixes(**found) if len(found) == len(SID_KEYS) else None


def _is_fit(field: str, prefix: Prefix, place: Place, findings: Findings) -> bool:
    if field.endswith("bsid") and prefix.length > MAX_BSID_LENGTH:
        said = f"{prefix} is too long; BSIDs that clash need 16 bits, so {MAX_BSID_LENGTH} at most"
        findings.refuse(place, said)
        return False
    for what, block in _UNFIT:
        if _overlap(prefix, block):
            findings.refuse(place, f"{prefix} can make {what}; give a prefix that cannot")
            return False
    return True


def _check_bsids(srv6: Section, found: Mapping[str, Prefix], findings: Findings) -> None:
    """BSIDs and SIDs are looked up in one table: no prefix of the one may reach into the other."""
    bsids = [field for field in found if field.endswith("bsid")]
    sids = [field for field in found if field not in bsids]
    for one, other in ((bsid, sid) for bsid in bsids for sid in sids):
        if _overlap(found[one], found[other]):
            at, beside = (one, other) if srv6.has(_KEY[one]) else (other, one)
            said = f"{found[at]} overlaps {found[beside]} of {_KEY[beside]}; choose another"
            findings.refuse(srv6.at(_KEY[at]), said)


def _check_networks(
    srv6: Section, found: Mapping[str, Prefix], networks: Networks, findings: Findings
) -> None:
    for field, prefix in found.items():
        for place, network in networks.places:
            if not _overlap(prefix, network):
                continue
            if srv6.has(_KEY[field]):
                said = f"{prefix} overlaps {network} of {place.key}; choose another"
                findings.refuse(srv6.at(_KEY[field]), said)
            else:
                said = f"{network} overlaps {prefix}, the default of {_KEY[field]}; set that one"
                findings.refuse(place, said)


def _overlap(one: Prefix, other: Prefix) -> bool:
    return one.covers(other) or other.covers(one)
