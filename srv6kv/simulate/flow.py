"""Which endpoint gets a flow, before and after a change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from srv6kv.errors import InputError
from srv6kv.etcd.values import KeyValue
from srv6kv.ligato import keys
from srv6kv.ligato.values import SegmentList
from srv6kv.notes import Note
from srv6kv.offline.files import Files
from srv6kv.simulate import draw, flowhash
from srv6kv.simulate.answer import Answer, notes_of
from srv6kv.simulate.buckets import table
from srv6kv.simulate.draw import Balanced
from srv6kv.simulate.shift import Shifts, shifts
from srv6kv.trace import Network, Site, destinations, sites
from srv6kv.trace.hops import Hop, Packet, Trace
from srv6kv.trace.sites import Scene
from srv6kv.trace.state import node_of
from srv6kv.vpp.showsr_values import ShowSr

ASSUMED = "pods without keys count as attached after the change"


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
        entries: what etcd holds; None: it was not read.
        files: the manifests, or the API server's objects, if there are any.
        stated: the nodes whose agent's keys were given.
    """

    scene: Scene
    entries: tuple[KeyValue, ...] | None
    files: Files | None
    stated: frozenset[str]


@dataclass(frozen=True, slots=True)
class After:
    """Agents' keys of the sender's node after a change."""

    values: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    bad_input: tuple[Note, ...] = ()


def before_of(
    files: Files | None,
    states: Mapping[str, Sequence[KeyValue]],
    entries: tuple[KeyValue, ...] | None,
) -> Before:
    """Return the nodes as they are: what etcd holds if it was read, else what the manifests make.

    Args:
        states: the keys of the nodes' agents, where no etcd was read.
        entries: what etcd holds; None: it was not read.

    Raises:
        InputError: as ``sites``.
    """
    if entries is not None:
        return Before(sites.in_etcd(entries, files), entries, files, frozenset())
    assert files is not None
    return Before(sites.rendered(files, states), None, files, frozenset(states))


def after_of(before: Before, node: str, then: Files | None) -> After:
    """Return the node's keys after a change.

    Args:
        then: the cluster after it; None: the cluster of ``before`` is written to etcd.

    Raises:
        InputError: the node is not there, before or after.
    """
    site_of(before.scene, node)
    files = before.files if then is None else then
    assert files is not None
    if node not in files.reconciler.cluster.nodes:
        more = "; give the rest of the cluster with -f" if then is not None else ""
        raise InputError(f"after the change there is no Node {node}{more}")
    is_attached = then is not None and node not in before.stated
    values = sites.planned(files, _actual(before, node), is_attached=is_attached)
    notes = (ASSUMED,) if is_attached and before.entries is not None else ()
    return After(values, notes, files.bad_input())


def _actual(before: Before, node: str) -> Sequence[KeyValue]:
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
    vpp: ShowSr | None,
    after: After | None,
) -> Answer:
    """Find everything that is asked for.

    Args:
        vpp: what VPP on the sender's node shows, if it is known.

    Raises:
        InputError: sender or destination is none that is there.
    """
    scene = before.scene
    source = destinations.source_of(sender, Network(scene.sites))
    site = shown = site_of(scene, source.node)
    known: frozenset[str] = frozenset()
    notes: list[str] = [*scene.notes, *(after.notes if after is not None else ())]
    if vpp is not None:
        shown, known, more = draw.as_shown(site, vpp)
        notes += more
    network = Network(shown if one is site else one for one in scene.sites)
    found = destinations.traced(network, scene.cluster, source, destination)
    made = _answer(found, shown, known, port, hashed)
    if vpp is not None and made.balanced is not None and not made.balanced.is_order_known:
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
    weights = [item.weight for item in balanced.endpoints]
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
    endpoints = made.balanced.endpoints
    lists = [SegmentList(item.segments, item.weight) for item in endpoints]
    for one in change.policies:
        if one.before == made.balanced.bsid:
            lists = list(one.then)
    weights = [item.weight for item in lists]
    index = table(weights, is_capped=hashed.is_capped).owner(made.flow.hash)
    return () if index is None else lists[index].segments
