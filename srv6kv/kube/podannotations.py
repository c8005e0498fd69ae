"""Annotations about a pod's attachment, for CNIs whose keys are not in the agent's etcd.

Rule (decision 0030): they count where the agent's keys say nothing, and only if the
settings say so. Their author may be a tenant, while the agent that follows them is root, so they
are confined to named namespaces and to pods' interfaces, and never take what another pod has. A
mistake in them is the reason why the pod waits; the rest of the Pod counts all the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from posixpath import normpath

from srv6kv.kube.model import PodAttachment
from srv6kv.ligato import keys

INTERFACE = "srv6kv.io/interface"
MAC = "srv6kv.io/mac"
NETNS = "srv6kv.io/netns"

_INTERFACE = re.compile(r"[\x21-\x23\x25-\x7e]{1,63}\Z")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}\Z")
_NETNS = re.compile(r"(/[A-Za-z0-9_.@:+-]+)+\Z")


@dataclass(frozen=True, slots=True)
class PodAnnotations:
    """What annotations may name: namespaces directly or deeper in one of these directories, and
    interfaces that match a shell's pattern, case-sensitive."""

    directories: tuple[str, ...] = ("/run/netns", "/var/run/netns")
    pattern: str = "vpp-tap-*"

    def refusal(self, said: PodAttachment) -> str:
        """Why a pod's annotations do not count, naming the first; "" if they do."""
        if said.fault:
            return said.fault
        if not fnmatchcase(said.interface, self.pattern):
            what = f"does not match srv6kv.podInterfacePattern {self.pattern}"
            return f"{_field(INTERFACE)}: {said.interface!r} {what}"
        if said.interface == keys.HOST_INTERCONNECT:
            return f"{_field(INTERFACE)}: {said.interface!r} is the host's interface"
        if said.netns and not any(said.netns.startswith(f"{one}/") for one in self.directories):
            listed = ", ".join(self.directories)
            what = f"lies in no directory of srv6kv.podNamespaceDirectories ({listed})"
            return f"{_field(NETNS)}: {said.netns!r} {what}"
        return ""


def attachment_of(annotations: Mapping[str, str]) -> PodAttachment | None:
    """Return the attachment in the annotations; None if there is none."""
    interface, mac, netns = (annotations.get(name, "") for name in (INTERFACE, MAC, NETNS))
    if not (interface or mac or netns):
        return None
    fault = _fault_of(interface, mac.lower(), netns)
    return PodAttachment(fault=fault) if fault else PodAttachment(interface, mac.lower(), netns)


def _fault_of(interface: str, mac: str, netns: str) -> str:
    """The first thing that is wrong, with its annotation; "" if nothing is."""
    if not _INTERFACE.match(interface):
        what = "is not the name of an interface, of 1 to 63 plain characters"
        return f"{_field(INTERFACE)}: {interface!r} {what}"
    if mac and (not _MAC.match(mac) or int(mac[:2], 16) & 1 or not mac.strip("0:")):
        return f"{_field(MAC)}: {mac!r} is not the address of one interface, as 02:fe:00:00:00:05"
    if netns and (not _NETNS.match(netns) or normpath(netns) != netns):
        return f"{_field(NETNS)}: {netns!r} is not an absolute path without ., .. and //"
    if f"{netns}/".startswith("/proc/"):
        what = "names a process, which is another one after a reboot; give a path in /run/netns"
        return f"{_field(NETNS)}: {netns!r} {what}"
    return ""


def _field(name: str) -> str:
    return f"metadata.annotations[{name}]"
