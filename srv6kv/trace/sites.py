"""The nodes of a trace: from manifests that are rendered, or from what etcd holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from srv6kv import foreign
from srv6kv.cluster.cluster import Cluster
from srv6kv.cluster.topology import Peer, host_end_of, topology_of
from srv6kv.errors import InputError
from srv6kv.etcd.values import KeyValue
from srv6kv.kube.model import Body, Identity, Pod
from srv6kv.kube.parse import ParseError, parse
from srv6kv.ligato import keys
from srv6kv.net.addresses import network_of
from srv6kv.notes import Note
from srv6kv.offline.files import Files
from srv6kv.settings import Settings
from srv6kv.sync.reconciler import Reconciler
from srv6kv.trace.hops import Site


@dataclass(frozen=True, slots=True)
class Scene:
    """The nodes, and the cluster in the manifests, if there are any.

    Attributes:
        assumptions: what was taken to be so.
        bad_input: what of the manifests was left out, and why.
    """

    sites: tuple[Site, ...]
    cluster: Cluster
    assumptions: tuple[str, ...] = ()
    bad_input: tuple[Note, ...] = ()


def rendered(files: Files, states: Mapping[str, Sequence[KeyValue]]) -> Scene:
    """Render every node of the manifests, as ``render`` does.

    Args:
        states: the keys of each node's agent; without them its pods count as attached.
    """
    known = files.reconciler.cluster
    for name in states:
        if name not in known.nodes:
            raise InputError(f"--agent-state {name}: the manifests hold no such Node")
    values, assumptions = {}, []
    for name in sorted(known.nodes):
        reconciler = Reconciler(files.reconciler.settings, name, name)
        reconciler.intake.apply_all(files.objects)
        state = states.get(name)
        if state is None:
            state = list(_assumed(name, files.objects, reconciler))
            if state:
                text = f"Node {name}: no --agent-state for it: its pods count as attached"
                assumptions.append(text)
        values[name] = _values(reconciler, state)
    return Scene(_sites(values, files), known, tuple(assumptions), files.bad_input())


def in_etcd(entries: Sequence[KeyValue], files: Files | None) -> Scene:
    """Return every agent of which etcd holds keys; its label is the name of its node.

    Args:
        entries: all keys below ``/vnf-agent/``.
        files: the manifests, if there are any: they know addresses of nodes.
    """
    by_label: dict[str, dict[str, Any]] = {}
    unread = []
    for entry in entries:
        label, _, key = entry.key.removeprefix(keys.AGENT).partition("/")
        if key.startswith(keys.CONFIG) and entry.value is not None:
            try:
                by_label.setdefault(label, {})[key] = foreign.plain(entry.value, is_unique=True)
            except foreign.Unreadable as error:
                unread.append(f"{entry.key}: {error}")
    if files is None:
        sites = tuple(Site(label, values) for label, values in sorted(by_label.items()))
        return Scene(sites, Cluster(), tuple(unread))
    known = files.reconciler.cluster
    return Scene(_sites(by_label, files), known, tuple(unread), files.bad_input())


def planned(files: Files, actual: Sequence[KeyValue], *, is_attached: bool) -> dict[str, Any]:
    """Return what the agent of the node of ``files`` has when the plan for them is written.

    Args:
        actual: what is in etcd before.
        is_attached: whether pods count as attached of which no key says so.
    """
    reconciler = files.reconciler
    there = {item.key for item in actual}
    assumed = _assumed(reconciler.node, files.objects, reconciler) if is_attached else ()
    return _values(reconciler, [*actual, *(item for item in assumed if item.key not in there)])


def _sites(by_name: Mapping[str, Mapping[str, Any]], files: Files) -> tuple[Site, ...]:
    settings, known = files.reconciler.settings, files.reconciler.cluster
    topology = topology_of(known.nodes.values(), "", settings, known.records.by_name())
    found = []
    for name, values in sorted(by_name.items()):
        peer = topology.peers.get(name)
        addresses = (peer.ip,) if peer is not None and peer.ip is not None else ()
        hosts = tuple(_hosts(peer, settings)) if peer is not None else ()
        found.append(Site(name, values, addresses, hosts, settings.main_vrf, settings.pod_vrf))
    return tuple(found)


def _hosts(peer: Peer, settings: Settings) -> Iterator[str]:
    """The host's addresses, first the one at the interconnect, which it sends with."""
    if peer.id is not None:
        with suppress(ValueError):  # render has a warning on it
            yield host_end_of(peer.id, settings)
    yield from peer.addresses


def _values(reconciler: Reconciler, state: Sequence[KeyValue]) -> dict[str, Any]:
    """What a node's agent has when everything is written."""
    reconciler.reset(state)
    found: dict[str, bytes | None] = {
        keys.short(reconciler.prefix, item.key): item.value for item in state
    }
    found |= reconciler.plan().values
    values = {}
    for key, value in found.items():
        if value is not None:
            with suppress(foreign.Unreadable):  # the agent has no use for it either
                values[key] = foreign.plain(value, is_unique=True)
    return values


def _assumed(
    node: str, objects: Sequence[tuple[Identity, Body]], reconciler: Reconciler
) -> Iterator[KeyValue]:
    """The keys that a CNI writes for the pods of a node (rule N4)."""
    made: dict[str, Any] = {}
    for (kind, *_), body in objects:
        if kind == "Pod":
            with suppress(ParseError):  # the intake has a warning on it
                pod = parse(kind, body)
                if isinstance(pod, Pod) and pod.node == node and pod.addresses:
                    made |= _attachment_of(pod, reconciler.settings)
    for revision, (key, value) in enumerate(made.items(), start=1):
        yield KeyValue(keys.full(reconciler.prefix, key), msgspec.json.encode(value), revision)


def _attachment_of(pod: Pod, settings: Settings) -> dict[str, Any]:
    vrf, sandbox = settings.pod_vrf, f"{pod.ref.namespace}-{pod.ref.name}"
    tap, namespace = f"vpp-tap-{sandbox}", f"/run/netns/{sandbox}"
    if settings.pod_annotations is not None and pod.attachment is not None:
        tap = pod.attachment.interface or tap
        namespace = pod.attachment.netns or namespace
    made: dict[str, Any] = {
        keys.INTERFACE + tap: {"name": tap, "vrf": vrf},
        f"{keys.LINUX_INTERFACE}linux-tap-{sandbox}": {
            "namespace": {"type": "FD", "reference": namespace},
            "ip_addresses": list(pod.addresses),
            "tap": {"vpp_tap_if_name": tap},
        },
    }
    for address in pod.addresses:
        neighbour = {"interface": tap, "ip_address": address, "static": True}
        made[f"{keys.ARP}{tap}/{address}"] = neighbour
        made[keys.route(vrf, network_of(address), address, tap)] = {
            "vrf_id": vrf,
            "dst_network": network_of(address),
            "next_hop_addr": address,
            "outgoing_interface": tap,
        }
    return made
