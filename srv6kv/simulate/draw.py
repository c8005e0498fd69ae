"""Which endpoint VPP draws for a flow at the first SR policy on its path, and all shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from srv6kv.ligato import keys
from srv6kv.ligato.values import Policy, SegmentList
from srv6kv.net.addresses import canonical_of_any
from srv6kv.simulate.buckets import Table, table
from srv6kv.simulate.flowhash import Flow, flow_hash
from srv6kv.trace.hops import End, Hop, Site, Trace
from srv6kv.trace.state import Node, node_of
from srv6kv.vpp.showsr_values import ShowSr


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A segment list of a policy and what it gets.

    Attributes:
        buckets: how many it has; 0: it is cut off.
        share: of all flows, between 0 and 1.
        fair_share: what its weight asks for.
        ends: who gets its packets; several if a host behind it chooses again.
    """

    segments: tuple[str, ...]
    weight: int
    buckets: int
    share: float
    fair_share: float
    ends: tuple[End, ...]


@dataclass(frozen=True, slots=True)
class Balanced:
    """A policy as VPP spreads flows over it.

    Attributes:
        key: the agent's key that says so (``config/...``).
        is_order_known: the lists are in the order in which VPP shows them, else in that of the
            agent's value, which a fresh create gives.
        buckets: how many there are in all; 0: every packet is dropped.
    """

    node: str
    bsid: str
    key: str
    is_order_known: bool
    buckets: int
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class Draw:
    """What one flow gets: a bucket and the index of an endpoint; None: its packets are dropped."""

    hash: int
    bucket: int | None
    endpoint: int | None


def policy_hop(trace: Trace) -> Hop | None:
    """The first policy on the path, before which nothing else chooses; None: there is none."""
    hop = trace.path
    while hop.kind != "policy":
        if len(hop.branches) != 1:
            return None
        hop = hop.branches[0].hop
    return hop if hop.branches else None


def balanced(hop: Hop, policy: Policy, *, is_order_known: bool, is_capped: bool) -> Balanced:
    """Shares of the endpoints of a policy, which was traced at this hop."""
    lists = policy.segment_lists
    weights = [item.weight for item in lists]
    found = table(weights, is_capped=is_capped)
    if not any(weights):
        weights = [1] * len(lists)
    endpoints = tuple(
        Endpoint(
            item.segments,
            item.weight,
            found.count(index),
            found.count(index) / found.size if found.size else 0.0,
            weight / sum(weights),
            tuple(dict.fromkeys(replace(end, reply="") for end in branch.hop.ends())),
        )
        for index, (item, weight, branch) in enumerate(
            zip(lists, weights, hop.branches, strict=True)
        )
    )
    return Balanced(hop.node, policy.bsid, hop.key, is_order_known, found.size, endpoints)


def draw(flow: Flow, buckets: Table, config: frozenset[str]) -> Draw:
    """The bucket and the list that a flow gets; errors are those of ``flow_hash``."""
    number = flow_hash(flow, config)
    return Draw(number, *buckets.choice(number))


def as_shown(site: Site, shown: ShowSr) -> tuple[Site, frozenset[str], tuple[str, ...]]:
    """A node whose policies have the segment lists that VPP shows, in its order.

    Returns:
        the node, the BSIDs of the policies that VPP shows, and where it differs from the agent.
    """
    values: dict[str, Any] = dict(site.values)
    policies = node_of(site).policies
    known, differences = set(), []
    for found in shown.policies or ():
        key = keys.policy(found.bsid)
        if found.bsid not in policies or key not in values:
            continue
        if found.kind != "Default":
            text = f"{key}: VPP shows type {found.kind}, which it does not balance"
            differences.append(text)
            continue
        known.add(found.bsid)
        lists = tuple(SegmentList(item.segments, item.weight) for item in found.lists)
        if set(lists) != set(canonical_lists(policies[found.bsid].segment_lists)):
            differences.append(f"{key}: VPP has other segment lists, and they count here")
        plain = [{"segments": item.segments, "weight": item.weight} for item in lists]
        values[key] = {**values[key], "segment_lists": plain}
    return replace(site, values=values), frozenset(known), tuple(differences)


def canonical_lists(lists: Sequence[SegmentList]) -> tuple[SegmentList, ...]:
    """The lists with every address in its one spelling, so that equal ones are equal."""
    return tuple(
        SegmentList(tuple(map(canonical_of_any, item.segments)), item.weight) for item in lists
    )


def steered(node: Node) -> Mapping[tuple[int, str], Policy]:
    """The policy of each steered VRF and prefix of a node."""
    found = {}
    for item in node.steerings:
        place = (item.l3_traffic.installation_vrf_id, item.l3_traffic.prefix_address)
        found[place] = node.policies[item.policy_bsid]
    return found
