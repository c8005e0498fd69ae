"""An agent whose VPP was away for too long, and what is said of it."""

from __future__ import annotations

import json
from http.client import HTTPConnection

import pytest
from processes import Process, srv6kv

from lab.lab import Lab
from lab.topology import NODES


def page(process: Process, path: str) -> tuple[int, str]:
    """Status and body of what a process shows."""
    address = process.wait_for(" start ").partition("listen=")[2].split()[0]
    connection = HTTPConnection(address, timeout=20)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("number", NODES[:1])
def test_an_agent_that_has_lost_vpp(lab: Lab, number: int) -> None:
    """It is said from a few seconds after VPP's crash until both were restarted, and VPP's return
    changes nothing."""
    node = lab.nodes[number]
    assert node.run is not None
    options = ("--label", node.name, "--etcd", lab.endpoint, "--agent-rest", node.agent.url)
    try:
        node.vpp.kill()
        node.run.wait_for("AgentLostVpp")
        node.run.wait_for("repair is needed: restart")
        agent = json.loads(page(node.run, "/statusz")[1])["agent"]
        node.vpp.start()
        done = srv6kv("verify", *options, "-o", "json")
        asked = (page(node.run, "/healthz?agent")[0], page(node.run, "/healthz")[0])
    finally:
        node.restart()
    node.run.wait_for("resolved: Agent: it has lost VPP")
    lab.wait_until_programmed()

    assert (agent["hasLostVpp"], set(agent["states"])) == (True, {"CONFIGURED"})
    assert [item["reason"] for item in json.loads(done.stdout)["differences"]] == ["LostVpp"]
    assert asked == (503, 200)
    assert srv6kv("verify", *options).returncode == 0
