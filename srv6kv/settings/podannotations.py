"""How far annotations of Pods are trusted: ``srv6kv.podAnnotations`` and what confines them.

Rule: not at all by default. Users who may create Pods could otherwise have the agent, which is
root, enter any network namespace of the node and flush its chains, or take another pod's interface.
"""

from __future__ import annotations

from posixpath import normpath

from srv6kv.kube.podannotations import PodAnnotations
from srv6kv.settings import file
from srv6kv.settings.file import Findings, Place, Section

KEY = "podAnnotations"
DIRECTORIES = "podNamespaceDirectories"
PATTERN = "podInterfacePattern"


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
