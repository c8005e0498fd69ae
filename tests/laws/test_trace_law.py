"""trace and the tests' own interpreter of packets, which know nothing of each other, agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dataplane
from dataplane import Delivered, Dropped, Left, Outcome, ToHost
from hypothesis import HealthCheck, given, settings
from strategies import ADDRESSES, BALANCED, Scene, scenes

from srv6kv.trace import Network, Question, Site
from srv6kv.trace.hops import End, Sender

NOBODY = Dropped("")
CLIENT, OWN = "2abc:ffff::2", "2abc:ffff::1"
NEIGHBOUR = "fe10:f00d::99"
"""On the uplinks' network."""


def _with_host_routes(scene: Scene, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """As Contiv routes to the addresses of a node's host (rule N3)."""
    linux = values["config/linux/interfaces/v2/interface/tap-vpp1"]
    hop = linux["ip_addresses"][0].partition("/")[0]
    vrf = values["config/vpp/v2/interfaces/tap-vpp2"]["vrf"]
    found = dict(values)
    for address in {hop, *_hosts(scene, name)}:
        key = f"config/vpp/v2/route/if/tap-vpp2/vrf/{vrf}/dst/{address}/128/gw/{hop}"
        found[key] = {
            "vrf_id": vrf,
            "dst_network": f"{address}/128",
            "next_hop_addr": hop,
            "outgoing_interface": "tap-vpp2",
        }
    return found


def _hosts(scene: Scene, name: str) -> list[str]:
    (body,) = (item for item in scene.objects if item["metadata"]["name"] == name)
    return [
        item["address"]
        for item in body["status"]["addresses"]
        if ":" in item["address"] and item["address"] != scene.ips[name]
    ]


def _with_a_link(values: Mapping[str, Any]) -> dict[str, Any]:
    """With a client on a link of its own, in the main VRF."""
    link = {**values["config/vpp/v2/interfaces/uplink"], "name": "outside"}
    link["ip_addresses"] = [f"{OWN}/64"]
    return {**values, "config/vpp/v2/interfaces/outside": link}


def _outcome(end: End) -> Outcome:
    match end.kind:
        case "pod":
            return Delivered(end.node, end.address, end.port)
        case "host":
            return ToHost(end.node)
        case "left":
            return Left(end.node)
        case "unknown":
            raise AssertionError(end.why)
    return NOBODY


def _same(found: frozenset[Outcome]) -> set[Outcome]:
    return {NOBODY if isinstance(item, Dropped) else item for item in found}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scenes())
def test_both_find_the_same_ends(scene: Scene) -> None:
    """From pods, hosts and outside to services, pods and hosts."""
    values = {
        name: _with_host_routes(scene, name, scene.sidecar(name).settle().values())
        for name in scene.numbers
    }
    first = min(values)
    values[first] = _with_a_link(values[first])
    theirs = dataplane.Network(values)
    ours = Network([Site(name, found) for name, found in values.items()])
    targets = [*ADDRESSES, *BALANCED, "2096::3:77", CLIENT, OWN, NEIGHBOUR]
    targets += [pods[-1] for pods in scene.wired.values()]
    for name, pods in scene.wired.items():
        hosts = [host for other in scene.wired if other != name for host in _hosts(scene, other)]
        for target in [*targets, *hosts]:
            for protocol, port in (("TCP", 80), ("UDP", 53)):
                senders: list[tuple[Sender, str]] = [("host", ""), ("outside", "")]
                senders += [("pod", pod) for pod in pods]
                for sender, source in senders:
                    trace = ours.trace(Question(name, sender, source, target, protocol, port))
                    expected = theirs.trace(name, source or None, target, protocol, port)

                    assert _same(expected) == {_outcome(end) for end in trace.path.ends()}
                    assert not trace.assumptions
