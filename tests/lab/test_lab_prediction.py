"""What ``simulate`` and ``trace`` say, and what happens."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from processes import srv6kv

from lab import traffic
from lab.cluster import service
from lab.lab import Lab
from lab.topology import PODS, pod
from lab.traffic import Ending, Target

FIRST_PORT = 21000
FLOWS = 25
"""Of each client to each target: 500 in all."""
TARGETS = (
    Target("2096::51", 80),
    Target("2096::51", 5353, "UDP"),
    Target("2096::a", 9153),
    Target("2096::53", 80),
    Target("2abc::b0", 80),
)
CLIENTS = ("client-1", "client-2", "web-1a", "web-2b")
NAMES = {address: one.name for one in PODS for address in one.addresses}


def _answer(lab: Lab, command: str, target: Target, sender: str, *more: str) -> dict[str, Any]:
    """What a command says of a packet; its code is 1 if it is lost."""
    done = srv6kv(
        *(command, str(target), "--from", sender, "--config", str(lab.config), *more),
        *("--etcd", lab.endpoint, "-o", "json"),
    )
    assert done.returncode in (0, 1), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_simulate_names_the_endpoint(lab: Lab, client: str, target: Target, tmp_path: Any) -> None:
    """For every flow of known ports it names the pod that answers."""
    one = pod(client)
    ports = range(FIRST_PORT, FIRST_PORT + FLOWS)
    answered = _servers(lab, client, target, ports)
    policies = tmp_path / "policies.txt"
    policies.write_text(lab.nodes[one.node].vpp.ctl("show", "sr", "policies"))
    predicted = {}
    for port in ports:
        sender = f"node{one.node}/[{one.addresses[0]}]:{port}"
        said = _answer(lab, "simulate", target, sender, "--vpp", str(policies))
        [end] = said["balanced"]["endpoints"][said["flow"]["endpoint"]]["ends"]
        predicted[port] = NAMES[end["address"]]

    assert answered == predicted


def _servers(lab: Lab, client: str, target: Target, ports: Iterable[int]) -> dict[int, str]:
    """Who answers which flow; a call that a busy machine has lost is made again."""
    found: dict[int, str] = {}
    for _ in range(3):
        left = [port for port in ports if not found.get(port)]
        made = traffic.each_call(lab.place(client), target, left)
        found |= {call.port: call.server for call in made}
    return found


def _ends(path: dict[str, Any]) -> list[dict[str, Any]]:
    """All ends in a trace."""
    found = []
    for branch in path["branches"]:
        hop = branch["hop"]
        found += [hop["end"]] if hop["end"] else []
        found += _ends(hop)
    return found


def _name(end: dict[str, Any]) -> str:
    return NAMES[end["address"]] if end["kind"] == "pod" else f"host{end['node'][-1]}"


SENDERS = {
    "client-1": "node1/2001:0:0:1::a",
    "client-2": "node2/2001:0:0:2::a",
    "outside1": "outside@node1/2abc:ffff:1::2",
    "outside2": "outside@node2/2abc:ffff:2::2",
    "host1": "node1",
}
TRACED = (
    *TARGETS,
    Target("2096::d765", 80),
    Target("2096::6457", 80),
    Target("2096::5ce9", 2379),
    Target("2096::beef", 9100),
    Target("2096::54", 80),
    Target("2096::59", 80),
    Target("2096::51", 4444),
    Target("2096::dead", 80),
    Target("2abc::b1", 80),
    Target("2abc::b2", 80),
    Target("2abc::b3", 80),
    Target("2abc::e0", 80),
    Target("2001:0:0:1::11", 8080),
    Target("2001:0:0:2::11", 8080),
    Target("fd00::101", 6443),
    Target("fd00::102", 9100),
)


PAIRS = [
    (client, target)
    for client in SENDERS
    for target in TRACED
    # What a host sends to a service goes by kube-proxy, of which etcd knows nothing.
    if not client.startswith("host") or target.address.startswith(("2001:", "fd00:"))
]


@pytest.mark.parametrize(("client", "target"), PAIRS, ids=str)
def test_trace_names_the_ends(lab: Lab, client: str, target: Target) -> None:
    """It names those who answer, and says that a packet is lost if and only if no one does."""
    said = _answer(lab, "trace", target, SENDERS[client])
    ends = _ends({"branches": [{"hop": {"end": None, **said["path"]}}]})
    named = {_name(end) for end in ends if end["kind"] in ("pod", "host")}
    is_lost = any(end["kind"] not in ("pod", "host") for end in ends)
    tally = traffic.calls(lab.place(client), target, 32, workers=32, seconds=2.0)

    assert (named, is_lost) == (
        set(tally.servers),
        tally.endings[Ending.LOST] + tally.endings[Ending.RESET] > 0,
    ), f"{tally}; {ends}"


@pytest.mark.parametrize("client", SENDERS)
@pytest.mark.parametrize(
    "target", [Target("2abc::b0", 80), Target("2001:0:0:2::11", 8080)], ids=str
)
def test_trace_knows_the_way_back(lab: Lab, client: str, target: Target) -> None:
    """Where calls are answered, it says how."""
    said = _answer(lab, "trace", target, SENDERS[client])
    ends = _ends({"branches": [{"hop": {"end": None, **said["path"]}}]})
    tally = traffic.calls(lab.place(client), target, 8)

    assert tally.answered == 8
    assert [end["reply"] for end in ends if "dropped" in end["reply"]] == []


def test_simulate_after_endpoints_have_changed(lab: Lab, tmp_path: Any) -> None:
    """With what VPP shows it knows the order of lists that edits have left."""
    spread = service("spread")
    before = type(spread)(spread.name, spread.addresses, ("web-1b", "web-2a", "web-2c"))
    with lab.changed(before):
        pass
    test_simulate_names_the_endpoint(lab, "client-1", TARGETS[0], tmp_path)
