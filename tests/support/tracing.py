"""What the tests of trace share: nodes to ask about, ways to change them, parts of the answer."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

from processes import SEED

from srv6kv.cli import cluster
from srv6kv.trace import Network, Question, Site, sites
from srv6kv.trace.hops import End, Hop, Sender, Trace

CLIENT, OWN, REMOTE = "2001:0:0:1::2", "2001:0:0:1::5", "2001:0:0:2::7"
LOCALSID = "config/vpp/srv6/v2/localsid/"
POLICY = "config/vpp/srv6/v2/policy/"
STEERING = "config/vpp/srv6/v2/steering/"
ROUTE = "config/vpp/v2/route/"
CHAIN = "config/linux/iptables/v2/rulechain/srv6kv-"
TAP = "vpp-tap-default-podthere-a"
Values = dict[str, dict[str, Any]]


@lru_cache
def rendered() -> tuple[Site, ...]:
    """Nodes of the seed with ``examples/paths``, rendered from nothing but manifests."""
    paths = [SEED / "manifests", SEED.parent / "paths"]
    files = cluster.read_files(paths, SEED / "contiv.conf", "", None)
    return sites.rendered(files, {}).sites


def network_of(change: Callable[[Values], object] | None = None, **fields: Any) -> Network:
    """The nodes after a change of their keys."""
    values = {site.name: copy.deepcopy(dict(site.values)) for site in rendered()}
    if change is not None:
        change(values)
    return Network([replace(site, values=values[site.name], **fields) for site in rendered()])


def traced(
    to: str,
    port: int = 80,
    sender: Sender = "pod",
    source: str = CLIENT,
    protocol: str = "TCP",
    network: Network | None = None,
) -> Trace:
    """The path of a packet from node 1, of a pod unless it is said."""
    question = Question("node1", sender, source, to, protocol, port)
    return (network or network_of()).trace(question)


def ways_of(hop: Hop) -> list[list[Hop]]:
    """The hops of every way from here on."""
    if hop.end is not None:
        return [[hop]]
    return [[hop, *way] for branch in hop.branches for way in ways_of(branch.hop)]


def hops(trace: Trace, way: int = 0) -> list[Hop]:
    """The hops of a way."""
    return ways_of(trace.path)[way]


def keys_of(trace: Trace, way: int = 0) -> list[str]:
    """The keys that decide on a way."""
    return [hop.key for hop in hops(trace, way) if hop.key]


def places(trace: Trace, way: int = 0) -> list[str]:
    """Node and place of each hop of a way."""
    return [f"{hop.node} {hop.place}" for hop in hops(trace, way)]


def end_of(trace: Trace) -> End:
    """The only end."""
    (end,) = trace.path.ends()
    return end


def put(node: str, key: str, **value: Any) -> Callable[[Values], object]:
    """A change: fields of a key."""

    def change(values: Values) -> None:
        values[node][key] = {**values[node].get(key, {}), **value}

    return change


def pop(node: str, key: str) -> Callable[[Values], object]:
    """A change: a key is gone."""
    return lambda values: values[node].pop(key)
