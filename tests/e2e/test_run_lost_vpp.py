"""``srv6kv run`` and the other commands, when the agent has lost VPP and does not connect again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from agent_words import Writer, live_agent, settle
from agentmodel import LiveAgent
from history import History
from processes import Bench, srv6kv
from test_run_telemetry import Shown

from srv6kv.etcd.store import Etcd3Store


@pytest.fixture
def live(bench: Bench, store: Etcd3Store, history: History) -> Iterator[LiveAgent]:
    """An agent that publishes what it makes of its values."""
    with live_agent(bench, store, history, publishes=True) as agent:
        yield agent


def health(shown: Shown) -> tuple[int, int]:
    """The codes of /healthz, of which the first asks about the agent."""
    return shown.page("/healthz?agent")[0], shown.page("/healthz")[0]


@pytest.mark.parametrize("is_asked", [True, False])
def test_it_is_said_until_both_are_restarted(
    bench: Bench, history: History, live: LiveAgent, is_asked: bool
) -> None:
    """A warning with the remedy, a metric, the need of a restart, and /healthz for who asks."""
    process = bench.run("--agent-rest", live.rest_url if is_asked else "none")
    shown = Shown(process)
    settle(bench, history)
    shown.wait(
        lambda: (
            shown.metric("srv6kv_agent_lost_vpp") == 0 and not shown.details()["agent"]["repair"]
        )
    )
    before = health(shown)
    live.lose_vpp()
    warning = process.wait_for("AgentLostVpp")
    process.wait_for("repair is needed: restart: the agent: it has lost VPP")
    shown.wait(lambda: shown.metric("srv6kv_agent_lost_vpp") == 1)
    lost = health(shown)
    found = shown.details()["agent"]
    live.restart_both()
    process.wait_for("resolved: Agent: it has lost VPP")
    process.wait_for("repair is no longer needed: restart")
    shown.wait(lambda: shown.metric("srv6kv_agent_lost_vpp") == 0)

    assert "restart the agent and VPP together" in warning
    assert (before, lost, health(shown)) == ((200, 200), (503, 200), (200, 200))
    assert (found["vpp"], found["hasLostVpp"], set(found["states"])) == (
        "ERROR",
        True,
        {"CONFIGURED"},
    )
    assert [need["means"] for need in found["repair"]] == ["restart"]


def test_the_commands_say_it(bench: Bench, history: History, live: LiveAgent) -> None:
    """verify and doctor name it and the remedy, repair refuses; also by what etcd has alone."""
    process = bench.run()
    settle(bench, history)
    process.stop()
    live.lose_vpp()
    rest = ("--agent-rest", live.rest_url)
    at = ("--label", bench.label, "--etcd", bench.server.endpoint)
    asked, read = (srv6kv("verify", *at, *more, "-o", "json") for more in (rest, ()))
    doctor = srv6kv("doctor", *bench.options(), *rest, "-o", "json")
    repairs = [srv6kv("repair", *at, *more) for more in (rest, ())]
    checks = {one["check"]: one for one in json.loads(doctor.stdout)["checks"]}

    for done in (asked, read):
        (found,) = json.loads(done.stdout)["differences"]
        assert (done.returncode, found["reason"]) == (1, "LostVpp")
        assert "restart the agent and VPP together" in found["remedy"]
    for name in ("agent", "agent-rest"):
        assert checks[name]["verdict"] == "error"
        assert checks[name]["remedy"] == "restart the agent and VPP together"
    assert checks["vpp"]["verdict"] == "not checked"
    for done in repairs:
        assert done.returncode == 3
        assert "restart the agent and VPP together" in done.stderr


def test_states_of_an_agent_that_is_gone(bench: Bench, history: History, store: Etcd3Store) -> None:
    """What it published stands there still, and counts for nothing; that is said."""
    agent = Writer(bench, store)
    process = bench.run("--agent-rest", "none")
    shown = Shown(process)
    settle(bench, history)
    agent.say("config/vpp/srv6/v2/policy/5555::5", "FAILED", error="old")
    agent.check("agent", state="OK", start_time="5", last_update=str(int(time.time()) - 300))
    warning = process.wait_for("AgentUnavailable")
    done = srv6kv("verify", "--label", bench.label, "--etcd", bench.server.endpoint)
    agent.check("agent", state="OK", start_time="5", last_update=str(int(time.time())))
    process.wait_for("resolved: Agent: it last reported")

    assert "its states in etcd count for nothing" in warning
    assert done.returncode == 2
    assert "its states in etcd count for nothing" in done.stderr
    shown.wait(lambda: shown.details()["agent"]["source"] in ("etcd", None))
