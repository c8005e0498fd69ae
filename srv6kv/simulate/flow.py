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
from srv6kv.simulate.answer import Answer, assumptions_of
from srv6kv.simulate.buckets import table
from srv6kv.simulate.draw import Balanced
from srv6kv.simulate.moves import Shifts, shifts
from srv6kv.trace import Network, Site, destinations, sites
from srv6kv.trace.hops import Hop, Trace
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
    assumptions: tuple[str, ...] = ()
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
    """
    if entries is not None:
        return Before(sites.in_etcd(entries, files), entries, files, frozenset())
    assert files is not None
    return Before(sites.rendered(files, states), None, files, frozenset(states))


def after_of(before: Before, node: str, then: Files | None) -> After:
    """Return the node's keys after a change.

    Args:
        then: the cluster after it; None: the cluster of ``before`` is written to etcd.
    """
    site = _site_of(before.scene, node)
    files = before.files if then is None else then
    assert files is not None
    if node not in files.reconciler.cluster.nodes:
        more = "; give the rest of the cluster with -f" if then is not None else ""
        raise InputError(f"after the change there is no Node {node}{more}")
    is_attached = then is not None and node not in before.stated
    actual: Sequence[KeyValue] = before.entries or [
        KeyValue(keys.full(keys.agent_prefix(node), key), msgspec.json.encode(value), revision)
        for revision, (key, value) in enumerate(site.values.items(), start=1)
    ]
    values = sites.planned(files, actual, is_attached=is_attached)
    assumptions = (ASSUMED,) if is_attached and before.entries is not None else ()
    return After(values, assumptions, files.bad_input())


def _site_of(scene: Scene, node: str) -> Site:
    by_name = {site.name: site for site in scene.sites}
    if node not in by_name:
        raise InputError(f"--from {node}: {destinations.there_are('node', sorted(by_name))}")
    return by_name[node]


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
    """
    scene = before.scene
    source = destinations.source_of(sender, Network(scene.sites))
    site = shown = _site_of(scene, source.node)
    known: frozenset[str] = frozenset()
    assumed = [*scene.assumptions, *(after.assumptions if after is not None else ())]
    if vpp is not None:
        shown, known, more = draw.as_shown(site, vpp)
        assumed += more
    network = Network(shown if one is site else one for one in scene.sites)
    found = destinations.traced(network, scene.cluster, source, destination)
    made = _answer(found, shown, known, port, hashed)
    if vpp is not None and made.balanced is not None and not made.balanced.is_order_known:
        assumed.append(f"VPP does not show policy {made.balanced.bsid}")
    if after is not None:
        then = replace(site, values=after.values)
        held, old, new = (draw.steered(node_of(one)) for one in (shown, site, then))
        change = shifts(site.name, held, old, new, is_capped=hashed.is_capped)
        made = replace(made, change=change, then=_then(made, change, hashed))
    return replace(made, assumptions=(*assumed, *found.assumptions, *assumptions_of(made)))


def _answer(
    found: Trace, site: Site, known: frozenset[str], port: int | None, hashed: Hash
) -> Answer:
    hop = draw.policy_hop(found)
    words = tuple(word for word in flowhash.BITS if word in hashed.words)
    label = hashed.label if "flowlabel" in words else None
    bare = Answer(found.question, port, words, label, hashed.is_capped)
    if hop is None or hop.node != site.name:
        return replace(bare, ends=tuple(dict.fromkeys(found.path.ends())))
    policy = node_of(site).policies[hop.what]
    balanced = draw.balanced(
        hop, policy, is_order_known=hop.what in known, is_capped=hashed.is_capped
    )
    return _with_draws(replace(bare, balanced=balanced), hop, balanced, hashed)


def _with_draws(bare: Answer, hop: Hop, balanced: Balanced, hashed: Hash) -> Answer:
    """With what the flow gets, if enough is known of it."""
    packet, port = hop.packet, bare.source_port
    needs_port = "sport" in hashed.words and packet.protocol != "SCTP"
    if not packet.source or (needs_port and port is None):
        return bare
    flow = flowhash.Flow(
        packet.source,
        packet.destination,
        flowhash.PROTOCOLS[packet.protocol],
        port or 0,
        packet.port,
        hashed.label,
    )
    weights = [item.weight for item in balanced.endpoints]
    buckets = table(weights, is_capped=hashed.is_capped)
    try:
        drawn = draw.draw(flow, buckets, hashed.words)
    except ValueError as error:
        raise InputError(f"--flow-hash: {error}") from None
    fragments = None
    if ":" in packet.source and packet.protocol != "SCTP":
        fragment = replace(flow, protocol=flowhash.FRAGMENT, source_port=0, port=0)
        fragments = draw.draw(fragment, buckets, hashed.words)
    return replace(bare, flow=drawn, fragments=fragments)


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
    _, index = table(weights, is_capped=hashed.is_capped).choice(made.flow.hash)
    return () if index is None else lists[index].segments
