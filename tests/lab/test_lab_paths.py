"""Calls reach the endpoints they should, on both nodes, over VPP as it is."""

from __future__ import annotations

import re

import pytest

from lab import traffic
from lab.lab import Lab
from lab.topology import NODES, pod
from lab.traffic import Target

CLIENTS = ("client-1", "client-2", "host1", "host2")
PATHS = {
    Target("2096::d765", 80): {"myservice-a"},
    Target("2096::6457", 80): {"podthere-a"},
    Target("2096::5ce9", 2379): {"host1"},
    Target("2096::1", 443): {"host1"},
    Target("2096::beef", 9100): {"host2"},
    Target("2096::a", 9153): {"coredns-a", "coredns-b"},
    Target("2096::a", 53): {"coredns-a", "coredns-b"},
    Target("2096::a", 53, "UDP"): {"coredns-a", "coredns-b"},
}
"""Those of ``examples/seed``: local and remote pods and hosts, as each node sees them."""
SPREAD = {"web-1a", "web-1b", "web-2a", "web-2b"}
KINDS = {
    Target("2096::51", 80): SPREAD,
    Target("2096::51", 81): SPREAD,
    Target("2096::51", 5353, "UDP"): SPREAD,
    Target("2abc::b0", 80): {"web-1a", "web-2a"},
    Target("2abc::b0", 5353, "UDP"): {"web-1a", "web-2a"},
    Target("2abc::b1", 80): {"web-1b", "web-2b"},
    Target("2abc::e0", 80): {"web-1c", "web-2c"},
    Target("10.96.0.51", 80): SPREAD,
    Target("10.96.0.51", 5353, "UDP"): SPREAD,
    Target("10.96.0.52", 81): {"web-1a", "web-2a"},
    Target("2096::5a", 81): {"web-1a", "web-2a"},
    Target("203.0.113.10", 80): {"web-1a", "web-2b"},
}
"""Services of every kind, from pods."""
OUTSIDE = {
    Target("2abc::b0", 80): SPREAD - {"web-1b", "web-2b"},
    Target("2abc::b0", 81): SPREAD - {"web-1b", "web-2b"},
    Target("2abc::b0", 5353, "UDP"): SPREAD - {"web-1b", "web-2b"},
    Target("2abc::e0", 80): {"web-1c", "web-2c"},
    Target("203.0.113.10", 80): {"web-1a", "web-2b"},
    Target("203.0.113.10", 5353, "UDP"): {"web-1a", "web-2b"},
}
"""Addresses of load balancers and external ones, from outside."""


def _name(value: object) -> str:
    """Of a parameter; a set has no order of its own, and each worker would name it otherwise."""
    return "+".join(sorted(value)) if isinstance(value, set) else str(value)


def _check(lab: Lab, client: str, target: Target, servers: set[str], count: int = 40) -> None:
    """Every call is answered, late at most, and each server had its share."""
    tally = traffic.calls(lab.place(client), target, count)

    assert (tally.answered, set(tally.servers)) == (count, servers), f"{client} {target}: {tally}"


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("target", PATHS, ids=_name)
def test_the_samples_paths(lab: Lab, client: str, target: Target) -> None:
    """Pods and hosts of both nodes reach local and remote pods and hosts."""
    _check(lab, client, target, PATHS[target])


@pytest.mark.parametrize("client", ["client-1", "client-2"])
@pytest.mark.parametrize("target", KINDS, ids=_name)
def test_every_kind_of_service(lab: Lab, client: str, target: Target) -> None:
    """UDP, other target ports, external addresses, IPv4, whatever the policy from outside is."""
    _check(lab, client, target, KINDS[target])


@pytest.mark.parametrize("client", ["outside1", "outside2"])
@pytest.mark.parametrize("target", OUTSIDE, ids=_name)
def test_clients_outside(lab: Lab, client: str, target: Target) -> None:
    """A client that comes in at the uplink's VRF of any node reaches endpoints of both."""
    _check(lab, client, target, OUTSIDE[target])


@pytest.mark.parametrize(
    ("client", "servers"), [("outside1", {"web-1b"}), ("outside2", {"web-2b"})]
)
def test_the_local_policy_from_outside(lab: Lab, client: str, servers: set[str]) -> None:
    """With externalTrafficPolicy Local a node sends to its own endpoints alone."""
    _check(lab, client, Target("2abc::b1", 80), servers)


@pytest.mark.parametrize(
    ("client", "servers"), [("client-1", {"web-1a"}), ("client-2", {"web-2a"})]
)
def test_the_local_policy_inside(lab: Lab, client: str, servers: set[str]) -> None:
    """With internalTrafficPolicy Local a node sends to its own endpoints alone."""
    _check(lab, client, Target("2096::54", 80), servers)


@pytest.mark.parametrize(
    ("client", "target", "servers"),
    [
        ("client-1", Target("2096::52", 80), {"client-1"}),
        ("client-1", Target("2096::52", 5353, "UDP"), {"client-1"}),
        ("client-2", Target("2096::52", 80), {"client-1"}),
        ("client-2", Target("2096::53", 80), {"client-2", "web-1a"}),
        ("web-2a", Target("10.96.0.51", 80), SPREAD),
    ],
    ids=_name,
)
def test_a_pod_calls_a_service_of_its_own(
    lab: Lab, client: str, target: Target, servers: set[str]
) -> None:
    """A pod reaches itself by its service, and others by it."""
    _check(lab, client, target, servers)


def test_over_ipv4_it_needs_accept_local(lab: Lab) -> None:
    """Without it what is balanced to the pod itself is lost, and nothing else."""
    place = lab.place("web-2a")
    place.accept_local(0)
    try:
        tally = traffic.calls(place, Target("10.96.0.51", 80), 40, seconds=2.0)
    finally:
        place.accept_local(1)

    assert set(tally.servers) == SPREAD - {"web-2a"}, str(tally)
    assert 0 < tally.endings[traffic.Ending.LOST] < 40, str(tally)


@pytest.mark.parametrize(
    ("client", "target"),
    [
        ("client-1", Target("2096::59", 80)),
        ("client-1", Target("2abc::b3", 80)),
        ("outside1", Target("2abc::b3", 80)),
        ("client-1", Target("2096::51", 4444)),
        ("client-2", Target("2096::51", 80, "UDP")),
        ("client-1", Target("2096::dead", 80)),
        ("client-1", Target("10.96.0.99", 80)),
        ("outside1", Target("2096::51", 80)),
        ("outside2", Target("2abc::b2", 80)),
    ],
    ids=_name,
)
def test_what_is_lost(lab: Lab, client: str, target: Target) -> None:
    """No endpoint, an undeclared port or protocol, an unknown address, a ClusterIP from outside, no
    local endpoint: no one answers."""
    tally = traffic.calls(lab.place(client), target, 4, seconds=1.5)

    assert (tally.answered, tally.total) == (0, 4), str(tally)


@pytest.mark.parametrize("client", ["client-1", "client-2"])
@pytest.mark.parametrize("target", ["web-1a", "web-2a"])
def test_pods_reach_pods(lab: Lab, client: str, target: str) -> None:
    """Without a service, by tunnels and by routes, and the server sees the client's own address."""
    for family in (0, 1):
        address = pod(target).addresses[family]
        call = traffic.call(lab.place(client), Target(address, 8080))

        assert (call.server, call.client) == (target, pod(client).addresses[family])


def _carried(lab: Lab, number: int) -> dict[str, int]:
    """How many packets each localsid of a node has taken."""
    text = lab.nodes[number].vpp.ctl("show", "sr", "localsids")
    found = COUNTER.findall(text)
    return {sid: int(packets) for sid, packets in found}


COUNTER = re.compile(r"Address:\s+([^/\s]+).*?Good traffic:\s+\[(\d+) packets", re.DOTALL)
TUNNELS = {
    ("client-1", "2001:0:0:2::11", 8080): {"7777:f00d::2", "7777:f00d::1"},
    ("client-1", "2096::6457", 80): {"6666:0:0:2::7", "7766:f00d::2", "7777:f00d::1"},
    ("client-1", "2096::d765", 80): {"6666:0:0:1::5"},
    ("client-1", "2096::beef", 9100): {"6655::1", "7766:f00d::2", "7777:f00d::1"},
    ("host1", "2001:0:0:2::11", 8080): {"7777:f00d::2", "7799:f00d::1"},
    ("host1", "2001:0:0:1::11", 8080): set(),
}
"""For what is called, the localsids of both nodes that carry it and its replies."""


@pytest.mark.parametrize(("client", "address", "port"), TUNNELS)
def test_what_carries_a_call_and_its_reply(lab: Lab, client: str, address: str, port: int) -> None:
    """Services go by their segments, all else between nodes by tunnels, and so do replies."""
    before = [_carried(lab, number) for number in NODES]
    tally = traffic.calls(lab.place(client), Target(address, port), 20)
    after = [_carried(lab, number) for number in NODES]
    grown = {
        sid
        for old, new in zip(before, after, strict=True)
        for sid in new
        if new[sid] - old[sid] >= tally.answered
    }

    assert (tally.answered, grown) == (20, TUNNELS[client, address, port])


@pytest.mark.parametrize("target", ["2096::51", "2096::6457", "2096::d765", "10.96.0.51"])
@pytest.mark.parametrize("client", ["client-1", "client-2"])
def test_much_data(lab: Lab, client: str, target: str) -> None:
    """A million bytes go up and come down, in packets as large as the pods' MTU allows."""
    for _ in range(4):
        size = 1_000_000
        place = lab.place(client)

        assert traffic.upload(place, Target(target, 80), size) == size
        assert traffic.download(place, Target(target, 80), size) == size
