"""The settings of srv6kv: what Contiv's contiv.conf says, and our own options under ``srv6kv:``.

Rule: pure. ``load`` turns a text into ``Settings`` or refuses it with one line that names file,
line and key; which file is read is decided in ``offline.settingsfile``.

Contiv renamed its options after 3.1; both generations are read. The generation decides the SID
prefixes that are not given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from srv6kv import yamllines
from srv6kv.kube.podannotations import PodAnnotations
from srv6kv.net.addresses import Prefix, is_ipv4
from srv6kv.settings import configmap, file
from srv6kv.settings.file import Findings, Place, Section
from srv6kv.settings.sids import SidPrefixes, sids_of
from srv6kv.settings.subnets import gateway_of, networks_of
from srv6kv.settings.trust import external_ips_of, pod_annotations_of
from srv6kv.yamllines import Excerpt, Node

__all__ = ["Settings", "SidPrefixes", "load", "load_excerpt"]

DEFAULT_MAIN_VRF = 0
DEFAULT_POD_VRF = 1
DEFAULT_MTU = 0  # Contiv's "not set"
DEFAULT_TRANSPORT = "vxlan"
DEFAULT_NODE_PLUMBING = "full"
DEFAULT_KUBE_PROXY = "present"
DEFAULT_REPLACE_WINDOW = 300  # milliseconds
MAX_REPLACE_WINDOW = 10_000
DEFAULT_FULL_COMPARISON = 300.0  # seconds
MIN_FULL_COMPARISON, MAX_FULL_COMPARISON = 1.0, 86_400.0

_OLD = ("useNoOverlay", "useSRv6Interconnect")
_NEW = ("nodeToNodeTransport", "useSRv6ForServices")
_OLD_NAMES = "useNoOverlay and useSRv6Interconnect are names of Contiv 3.1"
_ON = "nodeToNodeTransport: srv6 and useSRv6ForServices: true"
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(ms|s|m|h)")
_UNSUPPORTED = {
    "useDX6ForSrv6NodetoNodeTransport": "tunnels that end in DX6 are not supported; remove it",
    "stealFirstNIC": "sharing a NIC with the host (STN) is not supported; remove it",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that an operator decides about one cluster.

    Attributes:
        service_cidrs: at least one, of IPv6 unless ``ipv4``.
        default_gateway: the address that node addresses avoid, if there is an IPv6 one.
        transport: what carries traffic between nodes: vxlan, srv6 or nooverlay.
        route_service_cidr_to_vpp: whether the main VRF routes the service CIDR to the pod VRF.
        mtu: of pod interfaces; 0 if not set.
        node_plumbing: full, segments or none: what is created if absent.
        kube_proxy: present, masqueradeAll or absent.
        replace_window: seconds that a growing or shrinking policy waits for its counterpart.
        full_comparison: seconds from one comparison of everything in etcd to the next; 0: none.
        ipv4: whether IPv4 addresses of services are rendered too, each family by itself.
        reserved: addresses of servers that srv6kv itself needs; no service may take them.
        pod_annotations: what annotations of Pods may name; None: they do not count.
        auto_repair: whether ``run`` repairs what VPP has lost by a restart.
    """

    pod_subnet: Prefix
    pod_subnet_one_node_len: int
    host_subnet: Prefix
    host_subnet_one_node_len: int
    node_interconnect: Prefix
    service_cidrs: tuple[Prefix, ...]
    default_gateway: str | None
    main_vrf: int
    pod_vrf: int
    transport: str
    sid: SidPrefixes
    route_service_cidr_to_vpp: bool
    mtu: int
    node_plumbing: str
    kube_proxy: str
    replace_window: float
    full_comparison: float = DEFAULT_FULL_COMPARISON
    external_ips: tuple[Prefix, ...] = ()
    ipv4: bool = False
    reserved: tuple[str, ...] = ()
    pod_annotations: PodAnnotations | None = None
    auto_repair: bool = True

    @property
    def has_tunnels(self) -> bool:
        """Whether the tunnels between nodes are srv6kv's: the transport is SRv6, and nodePlumbing
        leaves them to no other program."""
        return self.transport == "srv6" and self.node_plumbing == "full"

    def allows_external_ip(self, address: str) -> bool:
        """Whether ``spec.externalIPs`` may hold an address; ``::/0`` allows none of IPv4."""
        family = is_ipv4(address)
        return any(address in item for item in self.external_ips if item.is_ipv4 == family)


def load(text: str, name: str, first_line: int = 1) -> tuple[Settings, tuple[str, ...]]:
    """The settings in a contiv.conf, or in manifests with its ConfigMap, and the warnings;
    SettingsError names file, line, key and remedy. The text begins at ``first_line``."""
    source = Excerpt(text, name, first_line, True)
    findings = Findings(source)
    found = _documents(source, findings)
    if not any(configmap.is_manifest(node) for node in found):
        return _load(found, findings)
    inner = configmap.find(found, name)
    if inner is None:
        missing = f"ConfigMap {configmap.CONFIG_MAP} with a text {configmap.CONFIG_KEY}"
        findings.refuse(Place(found[0].line), f"manifests, but no {missing} under data")
        raise findings.first()
    return load_excerpt(replace(inner, line=inner.line + first_line - 1))


def load_excerpt(source: Excerpt) -> tuple[Settings, tuple[str, ...]]:
    """The settings in a contiv.conf that is part of another file, and the warnings, as ``load``."""
    findings = Findings(source)
    return _load(_documents(source, findings), findings)


def _documents(source: Excerpt, findings: Findings) -> list[Node]:
    try:
        found = [node for node in yamllines.documents(source.text) if node.value is not None]
    except yamllines.TextError as error:
        findings.refuse(Place(error.line), f"{error.problem}; give valid YAML")
        raise findings.first() from None
    if not found:
        findings.refuse(Place(1), "the settings are empty; at least ipamConfig is needed")
        raise findings.first()
    return found


def _load(documents: list[Node], findings: Findings) -> tuple[Settings, tuple[str, ...]]:
    root = documents[0]
    if not isinstance(root.value, dict):
        what = file.described(root.value)
        findings.refuse(Place(root.line), f"the settings must be a mapping of keys, not {what}")
        raise findings.first()
    if len(documents) > 1:
        findings.refuse(Place(documents[1].line), "a second document; settings are one document")
    return _settings(root, findings), findings.warnings()


def _settings(root: Node, findings: Findings) -> Settings:
    top = file.section(root, Place(root.line), file.TOP, False, findings)
    ipam = _inner(top, "ipamConfig", file.IPAM, findings)
    srv6 = _inner(ipam, "srv6", file.SIDS, findings)
    own = _inner(top, "srv6kv", file.OWN, findings)
    transport, is_old = _transport(top, findings)
    main_vrf, pod_vrf = _vrfs(top, findings)
    ipv4 = own.truth("ipv4") or False
    networks = None if "ipamConfig" in top.wrong else networks_of(ipam, findings, ipv4=ipv4)
    gateway = gateway_of(ipam, findings)
    sid = None if "srv6" in ipam.wrong else sids_of(srv6, is_old, networks, findings)
    replace_window = _replace_window(own, findings)
    full_comparison = _full_comparison(own, findings)
    external_ips = external_ips_of(own, findings)
    pod_annotations = pod_annotations_of(own, findings)
    _refuse_unsupported(top, findings)
    if findings.has_refusals() or networks is None or sid is None:
        raise findings.first()
    return Settings(
        pod_subnet=networks.pods,
        pod_subnet_one_node_len=networks.pods_one_node,
        host_subnet=networks.hosts,
        host_subnet_one_node_len=networks.hosts_one_node,
        node_interconnect=networks.nodes,
        service_cidrs=networks.services,
        default_gateway=gateway,
        main_vrf=main_vrf,
        pod_vrf=pod_vrf,
        transport=transport,
        sid=sid,
        route_service_cidr_to_vpp=top.truth("routeServiceCIDRToVPP") or False,
        mtu=top.number("mtuSize") or DEFAULT_MTU,
        node_plumbing=own.text("nodePlumbing") or DEFAULT_NODE_PLUMBING,
        kube_proxy=own.text("kubeProxy") or DEFAULT_KUBE_PROXY,
        replace_window=replace_window,
        full_comparison=full_comparison,
        external_ips=external_ips,
        ipv4=ipv4,
        pod_annotations=pod_annotations,
        auto_repair=own.truth("autoRepair") is not False,
    )


def _inner(outer: Section, key: str, kinds: Mapping[str, file.Kind], findings: Findings) -> Section:
    return file.section(outer.nodes.get(key), outer.at(key), kinds, True, findings)


def _transport(top: Section, findings: Findings) -> tuple[str, bool]:
    """What carries traffic between nodes, and whether only options of Contiv 3.1 are used."""
    old = [key for key in _OLD if top.has(key)]
    new = [key for key in _NEW if top.has(key)]
    is_old = bool(old) and not new
    overlay_off, interconnect = (top.truth(key) is True for key in _OLD)
    implied = "srv6" if interconnect else "nooverlay" if overlay_off else DEFAULT_TRANSPORT
    transport = top.text(_NEW[0]) or implied
    services = top.truth(_NEW[1])
    services = interconnect if services is None else services
    if top.wrong.intersection(_OLD + _NEW):
        return transport, is_old
    if interconnect and not overlay_off:
        place = top.at("useSRv6Interconnect")
        findings.refuse(place, f"true needs useNoOverlay: true beside it; or set {_ON} instead")
    elif said := _disagreement(top, transport, services):
        findings.refuse(*said)
    elif not services:
        key = next((key for key in (_NEW[1], _OLD[1]) if top.has(key)), _NEW[1])
        findings.refuse(top.at(key), f"SRv6 services are off; set {_ON}")
    elif old:
        instead = "remove it, the new names say the same" if new else f"write {_ON}"
        findings.warn(top.at(old[0]), f"{_OLD_NAMES}; {instead}")
    return transport, is_old


def _disagreement(top: Section, transport: str, services: bool) -> tuple[Place, str] | None:
    """The first old option that contradicts what the new ones say."""
    contradictions = (
        ("useNoOverlay", True, _NEW[0], transport == "vxlan"),
        ("useNoOverlay", False, _NEW[0], transport != "vxlan"),
        ("useSRv6Interconnect", True, _NEW[0], transport != "srv6"),
        ("useSRv6Interconnect", False, _NEW[0], transport == "srv6"),
        ("useSRv6Interconnect", True, _NEW[1], not services),
    )
    for old, value, new, is_contrary in contradictions:
        if top.truth(old) is value and is_contrary:
            said = transport if new == _NEW[0] else file.described(services)
            text = f"{file.described(value)} disagrees with {new}: {said}; remove {old}"
            return top.at(old), text
    return None


def _vrfs(top: Section, findings: Findings) -> tuple[int, int]:
    main, pod = top.number("mainVRFID") or DEFAULT_MAIN_VRF, top.number("podVRFID")
    pod = DEFAULT_POD_VRF if pod is None else pod
    if main == pod and not top.wrong.intersection(("mainVRFID", "podVRFID")):
        key = "podVRFID" if top.has("podVRFID") else "mainVRFID"
        findings.refuse(top.at(key), f"mainVRFID and podVRFID are both {pod}; set two numbers")
    return main, pod


def _replace_window(own: Section, findings: Findings) -> float:
    """Seconds, of milliseconds or of a text with its unit."""
    value = own.value("replaceWindow")
    if value is None:
        milliseconds = float(DEFAULT_REPLACE_WINDOW)
    elif isinstance(value, int) and not isinstance(value, bool):
        milliseconds = float(min(max(value, -1), MAX_REPLACE_WINDOW + 1))
    else:
        milliseconds = _duration(value, {"ms": 1, "s": 1000})
    if not 0 <= milliseconds <= MAX_REPLACE_WINDOW:
        right = "must be 0 to 10000 milliseconds, as 300, 300ms or 1s"
        findings.refuse(own.at("replaceWindow"), f"{right}, not {file.described(value)}")
    return milliseconds / 1000


def _full_comparison(own: Section, findings: Findings) -> float:
    """Seconds, of a text with its unit; 0 turns it off."""
    value = own.value("fullComparison")
    if value is None:
        return DEFAULT_FULL_COMPARISON
    is_off = value == 0 and isinstance(value, int) and not isinstance(value, bool)
    seconds = 0.0 if is_off else _duration(value, {"s": 1, "m": 60, "h": 3600})
    if seconds and not MIN_FULL_COMPARISON <= seconds <= MAX_FULL_COMPARISON:
        right = "must be 0 (off) or 1s to 24h with its unit, as 90s or 5m"
        findings.refuse(own.at("fullComparison"), f"{right}, not {file.described(value)}")
    return seconds


def _duration(value: object, units: Mapping[str, int]) -> float:
    """The time that a text with one of these units says; -1: it is none."""
    parts = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    return float(parts[1]) * units[parts[2]] if parts and parts[2] in units else -1.0


def _refuse_unsupported(top: Section, findings: Findings) -> None:
    for key, text in _UNSUPPORTED.items():
        if top.truth(key):
            findings.refuse(top.at(key), text)
    if top.text("stealInterface"):
        findings.refuse(top.at("stealInterface"), _UNSUPPORTED["stealFirstNIC"])
    for number, item in enumerate(top.items("nodeConfig")):
        place = Place(item.line, f"nodeConfig[{number}]")
        if not isinstance(item.value, dict):
            what = file.described(item.value)
            findings.refuse(place, f"must be a mapping, not {what}")
        node = file.section(item, place, file.NODE, False, findings)
        if node.text("stealInterface"):
            findings.refuse(node.at("stealInterface"), _UNSUPPORTED["stealFirstNIC"])
