"""What users of the cluster may draw to themselves: external IPs and annotations of Pods.

Rule: nothing by default. Users who may write a Service could otherwise draw any address of the
network to his pods, all ports of it (CVE-2020-8554, rule L7). Users who may create Pods could have
the agent, which is root, enter any network namespace of the node and flush its chains, or take
another pod's interface.
"""

from __future__ import annotations

from posixpath import normpath

from srv6kv.kube.podannotations import PodAnnotations
from srv6kv.net.addresses import EVERY_ADDRESS, Prefix
from srv6kv.settings import file
from srv6kv.settings.file import Findings, Place, Section

EXTERNAL_IPS = "externalIPs"
EXTERNAL_IPS_KEYS: dict[str, file.Kind] = {"enabled": bool, "allowedCIDRs": list}
KEY = "podAnnotations"
DIRECTORIES = "podNamespaceDirectories"
PATTERN = "podInterfacePattern"


def external_ips_of(own: Section, findings: Findings) -> tuple[Prefix, ...]:
    """The prefixes in which external IPs are honoured; enabled without any means everywhere."""
    section = file.section(
        own.nodes.get(EXTERNAL_IPS), own.at(EXTERNAL_IPS), EXTERNAL_IPS_KEYS, True, findings
    )
    allowed = []
    for number, item in enumerate(section.items("allowedCIDRs")):
        place = Place(item.line, f"{section.place.key}.allowedCIDRs[{number}]")
        try:
            allowed.append(Prefix.parse_any(item.value if isinstance(item.value, str) else ""))
        except ValueError:
            findings.refuse(place, f"must be a prefix, not {file.described(item.value)}")
    is_enabled = section.truth("enabled")
    if is_enabled is False and allowed:
        findings.warn(section.at("allowedCIDRs"), "has no effect while enabled is false")
    if is_enabled is False:
        return ()
    return tuple(allowed) or (EVERY_ADDRESS if is_enabled else ())


def pod_annotations_of(own: Section, findings: Findings) -> PodAnnotations | None:
    """What annotations may name; None: they do not count."""
    directories = []
    for number, item in enumerate(own.items(DIRECTORIES)):
        place = Place(item.line, f"{own.place.key}.{DIRECTORIES}[{number}]")
        if problem := _problem_of(item.value):
            findings.refuse(place, f"{problem}, not {file.described(item.value)}")
        directories.append(str(item.value))
    if own.has(DIRECTORIES) and not own.items(DIRECTORIES) and DIRECTORIES not in own.wrong:
        findings.refuse(own.at(DIRECTORIES), f"is empty; name directories, or set {KEY}: false")
    if not own.truth(KEY):
        for key in (DIRECTORIES, PATTERN):
            if own.has(key) and KEY not in own.wrong:
                findings.warn(own.at(key), f"has no effect while {KEY} is false")
        return None
    default = PodAnnotations()
    pattern = own.text(PATTERN) or default.pattern
    return PodAnnotations(tuple(directories) or default.directories, pattern)


def _problem_of(value: object) -> str:
    """Why a value is no directory of namespaces; "" if it may be one."""
    path = value if isinstance(value, str) and value.isprintable() else ""
    if not path.startswith("/") or path.startswith("//") or normpath(path) != path:
        return "must be an absolute path without ., .. or doubled slashes"
    if path == "/" or f"{path}/".startswith("/proc/"):
        return "must hold named network namespaces only, as /run/netns does"
    return ""
