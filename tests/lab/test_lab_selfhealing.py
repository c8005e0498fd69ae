"""What ``srv6kv run`` repairs by itself: a VPP that has restarted, a late encap source."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from figures import Figures, Timed
from processes import srv6kv

from lab.lab import Lab, LabNode
from lab.netns import Netns
from lab.topology import NODES
from lab.traffic import Ending, Target, call

SERVICE = Target("2096::51", 80, "TCP")
"""It has endpoints on both nodes."""
CLIENTS = ("client-1", "host1")
START_AGENT = Path(__file__).parents[2] / "deploy" / "start-agent.sh"
ROUNDS, STARTS = 10, 5
SECONDS = 60.0


@pytest.fixture
def node(lab: Lab) -> Iterator[LabNode]:
    """The first node, which is as before afterwards."""
    node = lab.nodes[1]
    yield node
    node.stop_run()
    node.agent.configure()
    node.restart()
    node.start_run()
    lab.wait_until_programmed()


def first_answers(lab: Lab) -> float:
    """Return the time until a service answers each client."""
    began = time.monotonic()
    for client in CLIENTS:
        place = lab.place(client)
        wait_until(lambda place=place: answers(place))  # type: ignore[misc]
    return time.monotonic() - began


def answers(place: Netns) -> bool:
    """Whether the service does."""
    return call(place, SERVICE, seconds=0.4).ending is Ending.OK


def wait_until(holds: Callable[[], bool]) -> None:
    """Return when that holds; fails if it does not come to hold."""
    deadline = time.monotonic() + SECONDS
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail("waited in vain")


def sources(node: LabNode) -> list[str]:
    """The encap source of each policy."""
    return re.findall(r"EncapSrcIP: (\S+)", node.vpp.ctl("show", "sr", "policies"))


def restart_vpp(node: LabNode) -> None:
    """VPP ends as in a crash and comes back at once, with its encap source."""
    node.vpp.kill()
    node.vpp.start()


def restart_run(lab: Lab, node: LabNode) -> None:
    """A new process, which has not repaired anything yet."""
    node.stop_run()
    node.start_run()
    assert node.run is not None
    node.run.wait_for("plumbing")
    lab.wait_until_programmed([node.node.number])


def repaired(node: LabNode) -> list[str]:
    """What it says of repairs."""
    assert node.run is not None
    return node.run.said("WARNING repaired")


def verify(lab: Lab, node: LabNode) -> str:
    """What is wrong between etcd, agent and VPP."""
    done = srv6kv(
        *("verify", "--label", node.name, "--etcd", lab.endpoint, "--agent-rest", node.agent.url)
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_vpp_restarts_under_a_living_agent(
    lab: Lab, node: LabNode, figures: Figures, timed: Timed
) -> None:
    """Within seconds after VPP's return its services work again, every key has the bytes that it
    had, and one line tells it."""
    before, outages = node.keys(), []
    for number in range(ROUNDS):
        restart_run(lab, node)
        restart_vpp(node)
        outages.append(first_answers(lab))
        lab.wait_until_programmed([node.node.number])
        print(f"round {number + 1}: {outages[-1]:.2f} s")
        assert node.keys() == before
        assert len(repaired(node)) == 1
        assert verify(lab, node) == ""

    figures.seconds("service after VPP's return", outages)
    timed("the longest of them", max(outages), 5.0)


def test_the_agent_takes_long_to_notice(
    lab: Lab, node: LabNode, figures: Figures, timed: Timed
) -> None:
    """An agent that waits for VPP's answers for 5 s connects to the new one so much later."""
    node.agent.configure(reply_seconds=5)
    node.restart()
    lab.wait_until_programmed([node.node.number])
    first_answers(lab)
    assert verify(lab, node) == ""
    restart_vpp(node)
    outage = first_answers(lab)

    figures.seconds("service after VPP's return, slow agent", [outage])
    timed("the same", outage, 9.0)
    assert len(repaired(node)) == 1


def test_the_source_is_set_before_the_agent_starts(
    lab: Lab, node: LabNode, figures: Figures, timed: Timed
) -> None:
    """With the script of deploy/ no policy is made without its encap source."""
    times = []
    folder = Path(node.vpp.control[-1]).parent
    commands = folder / "vpp.exec"
    commands.write_text("".join(f"{line}\n" for line in node.vpp.commands))
    more = {
        "VPP_CLI_SOCKET": node.vpp.control[-1],
        "VPP_COMMANDS": str(commands),
        "PATH": f"{Path(node.vpp.control[0]).parent}:{os.environ['PATH']}",
    }
    for number in range(STARTS):
        node.stop_run()
        node.agent.stop()
        node.vpp.stop()
        node.vpp.start(is_told=False)
        node.agent.start(["sh", START_AGENT], **more)
        times.append(first_answers(lab))
        print(f"start {number + 1}: {times[-1]:.2f} s")
        assert set(sources(node)) == {node.node.address}

    figures.seconds("service after the start of VPP and agent", times)
    timed("the longest start", max(times), 5.0)


def test_a_late_encap_source(lab: Lab, node: LabNode, figures: Figures) -> None:
    """Policies that were made without it are recreated as soon as VPP has it."""
    node.agent.stop()
    node.vpp.stop()
    node.vpp.start(is_told=False)
    node.agent.start()
    lab.wait_until_programmed([node.node.number])
    assert set(sources(node)) == {"::"}
    began, before = time.monotonic(), node.keys()
    for line in node.vpp.commands:
        node.vpp.ctl(*line.split())
    wait_until(lambda: set(sources(node)) == {node.node.address})
    spent = time.monotonic() - began
    lab.wait_until_programmed([node.node.number])

    figures.seconds("all policies have a late encap source", [spent])
    assert node.keys() == before
    assert "means=recreate" in repaired(node)[-1]
    assert verify(lab, node) == ""
    assert {number: lab.nodes[number].unfinished() for number in NODES} == {1: {}, 2: {}}
