"""What ``simulate`` is asked and how it finds the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import msgspec

from srv6kv.cli import cluster, destinations, sites, vpptexts
from srv6kv.cli.cluster import Files
from srv6kv.cli.options import read_etcd
from srv6kv.cli.sites import Scene
from srv6kv.cluster.cluster import Cluster
from srv6kv.errors import InputError
from srv6kv.etcd.values import KeyValue
from srv6kv.ligato import keys
from srv6kv.ligato.values import SegmentList
from srv6kv.net.addresses import is_ipv4
from srv6kv.notes import Note
from srv6kv.plan.ownership import own_prefix
from srv6kv.simulate import draw, flowhash
from srv6kv.simulate.answer import Answer, notes_of
from srv6kv.simulate.buckets import table
from srv6kv.simulate.draw import Balanced
from srv6kv.simulate.shift import Shifts, shifts
from srv6kv.sources.manifests import read
from srv6kv.trace import Network, Site
from srv6kv.trace.hops import Hop, Packet, Trace
from srv6kv.trace.state import node_of

SUPPOSED = "pods that no key tells of are taken as wired after the change"


@dataclass(frozen=True, slots=True)
class Hash:
    """How VPP is taken to hash and to fill its tables.

    Attributes:
        label: of the packet; 0 if it is not hashed.
        is_capped: VPP 23.06 or later.
    """

    words: frozenset[str] = flowhash.FIVE_TUPLE
    label: int = 0
    is_capped: bool = True


@dataclass(frozen=True, slots=True)
class Before:
    """What there is before a change.

    Attributes:
        entries: what etcd holds; None: it was not asked.
        files: the manifests, or the API server's objects, if there are any.
    """

    scene: Scene
    entries: tuple[KeyValue, ...] | None
    files: Files | None
    states: Mapping[str, Path]


@dataclass(frozen=True, slots=True)
class After:
    """Agents' keys of the sender's node after a change."""

    values: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    bad_input: tuple[Note, ...] = ()


def sender_of(text: str) -> tuple[str, int | None]:
    """``--from`` without its port, as ``trace`` takes it, and the port.

    Raises:
        InputError: the port is none.
    """
    node, slash, address = text.partition("/")
    if address.startswith("["):
        address, _, rest = address[1:].partition("]")
        colon, port = rest[:1], rest[1:]
        if rest and colon != ":":
            raise InputError(f"--from {text}: what follows ] is no port")
    elif slash:
        is_plain = address.count(":") != 1
        address, colon, port = (address, "", "") if is_plain else address.partition(":")
    else:
        node, colon, port = node.partition(":")
    if colon and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise InputError(f"--from {text}: {port!r} is not a port")
    return f"{node}{slash}{address}", int(port) if colon else None


def destination_of(text: str, protocol: str, known: Cluster) -> str:
    """The destination as ``trace`` takes it: with the port of a service that has only one, and with
    the protocol that is asked for.

    Args:
        protocol: in upper case; "" if none is asked for.

    Raises:
        InputError: the text says another protocol, or the service has not one port.
    """
    where, slash, told = text.rpartition("/")
    if not slash or told.upper() not in destinations.PROTOCOLS:
        where, told = text, protocol
    elif protocol and told.upper() != protocol:
        raise InputError(f"{text}: --protocol {protocol.lower()} is another one")
    if where and ":" not in where and not destinations.is_address(where):
        service = destinations.service_of(text, where, known)
        ports = [one for one in service.ports if told.upper() in ("", one.protocol)]
        if len(ports) != 1:
            has = ", ".join(f"{one.number}/{one.protocol}" for one in service.ports)
            raise InputError(f"{text}: give one of its ports: {has or 'it has none'}")
        where, told = f"{where}:{ports[0].number}", ports[0].protocol
    return f"{where}/{told}" if told else where


def read_before(
    files: Files | None, states: Mapping[str, Path], etcd: Mapping[str, Any], node: str
) -> Before:
    """The nodes as they are: what etcd holds if it is asked, else what the manifests make.

    Raises:
        InputError: as ``sites``.
        Unavailable: etcd is out of reach.
    """
    if not etcd["endpoints"]:
        assert files is not None
        return Before(sites.rendered_files(files, states), None, files, states)
    entries = read_etcd(etcd, [keys.AGENT, own_prefix(node)])
    return Before(sites.held(entries, files), entries, files, states)


def read_after(
    before: Before, node: str, paths: Sequence[Path], then: Sequence[Path], config: Path | None
) -> After:
    """The node's keys when the manifests ``then`` are there; without any when what ``before`` has
    read as the cluster is written to etcd.

    Args:
        paths: manifests before; those of ``then`` take the place of what they define too, unless
            ``then`` has Nodes: then it is the whole cluster.

    Raises:
        InputError: the node is not there, before or after.
        SettingsError: the settings are refused.
    """
    site_of(before.scene, node)
    files = _changed(before, node, paths, then, config) if then else before.files
    assert files is not None
    if node not in files.reconciler.cluster.nodes:
        more = "; give the rest of the cluster with -f" if then else ""
        raise InputError(f"after the change there is no Node {node}{more}")
    is_wired = bool(then) and node not in before.states
    values = sites.planned(files, _held(before, node), is_wired=is_wired)
    bad = (*files.notes, *files.reconciler.intake.notes()) if files.has_bad_input else ()
    return After(values, (SUPPOSED,) if is_wired and before.entries is not None else (), bad)


def _changed(
    before: Before, node: str, paths: Sequence[Path], then: Sequence[Path], config: Path | None
) -> Files:
    """The manifests after the change, with the settings before it unless they are among them."""
    objects, _ = read(then)
    has_nodes = any(item.identity[0] == "Node" for item in objects)
    has_settings = any(item.settings is not None for item in objects)
    settings = None
    if before.files is not None and not has_settings:
        settings = before.files.reconciler.settings
    every = then if has_nodes else [*paths, *then]
    return cluster.read_files(every, config, node, None, settings, needs_node=False)


def _held(before: Before, node: str) -> Sequence[KeyValue]:
    if before.entries is not None:
        return before.entries
    site = site_of(before.scene, node)
    prefix = keys.agent_prefix(node)
    return [
        KeyValue(prefix + key, msgspec.json.encode(value), revision)
        for revision, (key, value) in enumerate(site.values.items(), start=1)
    ]


def site_of(scene: Scene, node: str) -> Site:
    """The site of a node.

    Raises:
        InputError: it is not there.
    """
    for site in scene.sites:
        if site.name == node:
            return site
    names = ", ".join(sorted(site.name for site in scene.sites))
    raise InputError(f"--from {node}: no such node; there are: {names or 'none'}")


def answer(
    before: Before,
    destination: str,
    sender: str,
    port: int | None,
    hashed: Hash,
    files: Sequence[Path],
    after: After | None,
) -> Answer:
    """Everything that is asked for.

    Args:
        files: what VPP on the sender's node has printed.

    Raises:
        InputError: sender or destination is none that is there, or a file cannot be read.
    """
    scene = before.scene
    source = destinations.source_of(sender, Network(scene.sites))
    site = shown = site_of(scene, source.node)
    known: frozenset[str] = frozenset()
    notes: list[str] = [*scene.notes, *(after.notes if after is not None else ())]
    if files:
        shown, known, more = draw.as_shown(site, vpptexts.read_files(files))
        notes += more
    network = Network(shown if one is site else one for one in scene.sites)
    target = destinations.target_of(destination, source, scene.cluster)
    question = destinations.question_of(source, target, network)
    choices = destinations.choices_of(source, target, scene.cluster, ipv4=is_ipv4(target.address))
    found = network.trace(question, choices)
    made = _answer(found, shown, known, port, hashed)
    if files and made.balanced is not None and not made.balanced.is_order_known:
        notes.append(f"VPP does not show policy {made.balanced.bsid}")
    if after is not None:
        change = _change(site, shown, after, is_capped=hashed.is_capped)
        made = replace(made, change=change)
        made = replace(made, then=_then(made, change, hashed))
    return replace(made, notes=(*notes, *found.notes, *notes_of(made)))


def _answer(
    found: Trace, site: Site, known: frozenset[str], port: int | None, hashed: Hash
) -> Answer:
    hop = draw.policy_hop(found)
    words = tuple(word for word in flowhash.BITS if word in hashed.words)
    label = hashed.label if "flowlabel" in words else None
    bare = Answer(found.question, port, words, label, hashed.is_capped, None, (), None, None, None)
    if hop is None or hop.node != site.name:
        return replace(bare, ends=tuple(dict.fromkeys(found.ends())))
    policy = node_of(site).policies[hop.what]
    balanced = draw.balanced(
        hop, policy, is_order_known=hop.what in known, is_capped=hashed.is_capped
    )
    return _with_draws(replace(bare, balanced=balanced), hop, balanced, hashed)


def _with_draws(bare: Answer, hop: Hop, balanced: Balanced, hashed: Hash) -> Answer:
    """With what the flow gets, if enough is known of it."""
    packet: Packet = hop.packet
    needs_port = "sport" in hashed.words and packet.protocol != "SCTP"
    if not packet.source or (needs_port and bare.source_port is None):
        return bare
    flow = draw.flow_of(packet, bare.source_port or 0, hashed.label)
    weights = [item.weight for item in balanced.backends]
    buckets = table(weights, is_capped=hashed.is_capped)
    try:
        drawn = draw.draw(flow, buckets, hashed.words)
    except ValueError as error:
        raise InputError(f"--flow-hash: {error}") from None
    fragments = None
    if ":" in packet.source and packet.protocol != "SCTP":
        fragments = draw.draw(draw.fragment_of(flow), buckets, hashed.words)
    return replace(bare, flow=drawn, fragments=fragments)


def _change(site: Site, shown: Site, after: After, *, is_capped: bool) -> Shifts:
    held, old, new = (
        draw.steered(node_of(one)) for one in (shown, site, replace(site, values=after.values))
    )
    return shifts(site.name, held, old, new, is_capped=is_capped)


def _then(made: Answer, change: Shifts, hashed: Hash) -> tuple[str, ...] | None:
    """The segments that the flow gets after the change; none: it is dropped; None: not known."""
    if made.balanced is None or made.flow is None:
        return None
    backends = made.balanced.backends
    lists = [SegmentList(item.segments, item.weight) for item in backends]
    for one in change.policies:
        if one.before == made.balanced.bsid:
            lists = list(one.then)
    weights = [item.weight for item in lists]
    index = table(weights, is_capped=hashed.is_capped).owner(made.flow.hash)
    return () if index is None else lists[index].segments


def version_is_capped(text: str) -> bool:
    """Whether a version of VPP, ``23.06`` or ``v23.06-release``, has the cap of 8192 buckets.

    Raises:
        BadParameter: it is none.
    """
    year, dot, rest = text.removeprefix("v").partition(".")
    if not (dot and year.isdigit() and rest[:2].isdigit()):
        raise click.BadParameter(f"{text!r} is not a version such as 23.06")
    return (int(year), int(rest[:2])) >= (23, 6)
