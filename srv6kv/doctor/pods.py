"""Checks how each local pod that a service lists is attached to VPP."""

from __future__ import annotations

from collections.abc import Iterator

from srv6kv.cluster.attachment import Unattached
from srv6kv.cluster.topology import PodEndpoint
from srv6kv.doctor.contract import Seen, Value
from srv6kv.doctor.findings import ERROR, NOT_CHECKED, OK, WARNING, Finding
from srv6kv.net.addresses import host_length, is_ipv4
from srv6kv.notes import Kind, Reason, Subject
from srv6kv.render.node import ENCAPSULATION
from srv6kv.sync.reconciler import Reconciler

CHECK = "pod"
_COLLISIONS = (Reason.SID_COLLISION, Reason.SANDBOX_COLLISION, Reason.INVALID_VALUE)


def pods(reconciler: Reconciler, seen: Seen) -> Iterator[Finding]:
    """A finding for each problem of a pod, or one that it is well."""
    listed = sorted(_local_pods(reconciler))
    if not listed:
        yield Finding(CHECK, OK, "no service lists a pod of this node")
    for address in listed:
        problems = list(_problems(address, reconciler, seen))
        yield from problems or [_well(address, reconciler)]
    if any(map(is_ipv4, listed)):
        yield Finding(
            "accept-local",
            NOT_CHECKED,
            "net.ipv4.conf.all.accept_local in the pods: without it a pod's IPv4 calls of its own"
            " service are lost where they are sent to itself",
            "let the CNI set it to 1 (docs/cni-contract.md)",
        )


def _local_pods(reconciler: Reconciler) -> set[str]:
    """The addresses of this node's pods that slices list."""
    topology = reconciler.renderer.services.topology
    settings, cluster = reconciler.settings, reconciler.cluster
    return {
        item.address
        for ref in cluster.slices
        for entry in cluster.slices_of(ref)
        for item in entry.endpoints
        if (settings.ipv4 or not is_ipv4(item.address))
        and isinstance(found := topology.locate(item, settings.pod_subnet), PodEndpoint)
        and found.node == topology.own_name
    }


def _well(address: str, reconciler: Reconciler) -> Finding:
    name = reconciler.renderer.services.topology.own_name
    found = reconciler.cluster.attachment_of(address, name)
    if isinstance(found, Unattached):
        remedy = "the CNI must write its keys, or the annotations srv6kv.io/... on its Pod"
        if reconciler.settings.pod_annotations is None:
            remedy += ", which count with srv6kv.podAnnotations: true"
        return Finding(CHECK, ERROR, f"{address}: {found.missing}", remedy)
    text = f"{address}: interface {found.interface}, namespace {found.namespace.reference}"
    return Finding(CHECK, OK, text)


def _problems(address: str, reconciler: Reconciler, seen: Seen) -> Iterator[Finding]:
    for note in sorted(reconciler.notes()):
        if note.subject == Subject(Kind.ENDPOINT, address) and note.reason in _COLLISIONS:
            yield Finding(CHECK, ERROR, f"{address}: {note.text} ({note.reason})")
    names = sorted(_interfaces_of(address, reconciler, seen))
    if len(names) > 1:
        text = f"{address}: several interfaces have it: {', '.join(names)}"
        yield Finding(CHECK, ERROR, text, "the CNI must delete the keys of a sandbox that is gone")
    said = _annotated(address, reconciler)
    for name in names or said:
        problems = list(_of_interface(address, name, reconciler, seen))
        if not said:  # else the attachment has what neither keys nor annotations have
            problems += _of_keys(address, name, seen)
        for text, remedy in problems:
            yield Finding(CHECK, ERROR, f"{address}: {text}", remedy)
        if not said and not _host_routes(address, reconciler, seen):
            text = f"{address}: no route to it: services reach it, other packets do not"
            yield Finding(CHECK, WARNING, text, f"the CNI should write a route via {name}")


def _annotated(address: str, reconciler: Reconciler) -> list[str]:
    """The interfaces that annotations name for an address, if the settings let them count."""
    if reconciler.settings.pod_annotations is None:
        return []
    name = reconciler.renderer.services.topology.own_name
    return sorted(
        item.interface for item in reconciler.cluster.pods.annotated_attachments(address, name)
    )


def _host_routes(address: str, reconciler: Reconciler, seen: Seen) -> list[Value]:
    network = f"{address}/{host_length(address)}"
    return seen.routes.get((reconciler.settings.pod_vrf, network), [])


def _interfaces_of(address: str, reconciler: Reconciler, seen: Seen) -> set[str]:
    """Every VPP interface that some key names for an address."""
    routes = _host_routes(address, reconciler, seen)
    names = {
        *(value.get("interface", "") for value in seen.arps.get(address, ())),
        *(value.get("outgoing_interface", "") for value in routes),
        *(value["tap"].get("vpp_tap_if_name", "") for value in seen.ends.get(address, ())),
    }
    return {name for name in names if name}


def _of_interface(
    address: str, name: str, reconciler: Reconciler, seen: Seen
) -> Iterator[tuple[str, str]]:
    """What is wrong with VPP's interface, if its key is there, as problem and remedy."""
    vrf, interface = reconciler.settings.pod_vrf, seen.interfaces.get(name)
    if interface is None:
        return
    if interface.get("vrf", 0) != vrf:
        text = f"interface {name} is in VRF {interface.get('vrf', 0)}, not in the pods' {vrf}"
        yield text, f"set vrf: {vrf}"
    own = reconciler.renderer.services.topology.own
    uplink = reconciler.cluster.attachments.mtu_at(own.ip) if own is not None and own.ip else None
    mtu = max(value.get("mtu", 0) for value in (interface, *seen.ends.get(address, ())))
    if uplink is not None and mtu + ENCAPSULATION > uplink:
        text = f"MTU {mtu} and {ENCAPSULATION} bytes of SRv6 exceed the uplink's {uplink}"
        yield f"{text}: large packets are lost", f"set mtu: {uplink - ENCAPSULATION} or less"


def _of_keys(address: str, name: str, seen: Seen) -> Iterator[tuple[str, str]]:
    """What is missing of the keys around a pod's interface, as problem and remedy."""
    if name not in seen.interfaces:
        yield f"there is no interface {name}", f"the CNI must write interfaces/{name}"
    arps = [value for value in seen.arps.get(address, ()) if value.get("interface") == name]
    if not arps:
        yield f"no ARP entry on {name}", f"the CNI must write arp/{name}/{address}, static"
    elif not arps[0].get("static"):
        text = f"its ARP entry on {name} is not static: it ages, and DX6 does not ask for it again"
        yield text, "set static: true"
    elif not arps[0].get("phys_address"):
        yield f"its ARP entry on {name} has no phys_address", "write the pod's MAC address"
    yield from _of_end(address, name, seen)


def _of_end(address: str, name: str, seen: Seen) -> Iterator[tuple[str, str]]:
    """What is wrong with the Linux end, as problem and remedy."""
    found = seen.ends.get(address, ())
    ends = [value for value in found if value["tap"].get("vpp_tap_if_name", name) == name]
    if not ends:
        text = f"no Linux interface has it, so the network namespace behind {name} is unknown"
        yield text, "the CNI must write the Linux end with this address and its namespace"
    elif not ends[0]["namespace"].get("reference"):
        text = f"Linux interface {ends[0].get('name', '')} names no namespace"
        yield f"{text}: rules would hit the host", "write namespace: type and reference"
