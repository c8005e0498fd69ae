"""``srv6kv run`` shows and logs what the agent says of its values and of itself."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from agent_words import (
    Writer,
    configured,
    live_agent,
    settle,
)
from agentmodel import LiveAgent
from history import History
from processes import MYSERVICE, Bench
from test_run_telemetry import Shown

from srv6kv.agent.status import CHECK_PLUGIN, status_key
from srv6kv.etcd.store import Etcd3Store

EXISTS = "VPPApiError: System call error #2 (-12)"


@pytest.fixture
def live(bench: Bench, store: Etcd3Store, history: History) -> Iterator[LiveAgent]:
    """An agent that publishes what it makes of its values."""
    with live_agent(bench, store, history, publishes=True) as agent:
        yield agent


@pytest.fixture
def agent(bench: Bench, store: Etcd3Store) -> Writer:
    """An agent that says only what it is told to; nothing yet."""
    return Writer(bench, store)


def test_states_are_counted_and_shown(bench: Bench, history: History, live: LiveAgent) -> None:
    """All our keys are CONFIGURED, and that is what metrics and /statusz say."""
    shown = Shown(bench.run())
    settle(bench, history)
    shown.wait(lambda: set(shown.details()["agent"]["states"]) == {"CONFIGURED"})
    found = shown.details()["agent"]

    assert shown.metric("srv6kv_agent_keys", "CONFIGURED") == found["states"]["CONFIGURED"] > 20
    assert (found["source"], found["vpp"], found["bad"], found["repair"]) == ("etcd", "OK", [], [])
    assert found["startTime"] > 1_700_000_000


def test_a_key_turns_bad_and_well(bench: Bench, history: History, agent: Writer) -> None:
    """One line each; other agents' words, garbage and look-alikes stop nothing."""
    process = bench.run()
    shown = Shown(process)
    settle(bench, history)
    agent.say(MYSERVICE, "FAILED", last_operation="CREATE", error=EXISTS)
    agent.say("config/vpp/srv6/v2/policy/1::1", "FAILED", error="not ours")
    line = process.wait_for("WARNING agent")
    shown.wait(lambda: shown.metric("srv6kv_agent_keys", "FAILED") == 1)
    (bad,) = shown.details()["agent"]["bad"]
    repair = process.wait_for("WARNING repair")
    shown.wait(lambda: shown.metric("srv6kv_repair_needed", "rebind") == 1)
    agent.say(MYSERVICE, "CONFIGURED", last_operation="CREATE")
    well = process.wait_for("is CONFIGURED again")
    over = process.wait_for("repair is no longer needed")

    assert line.endswith(f"WARNING agent: {MYSERVICE} is FAILED: {EXISTS}")
    assert (bad["key"], bad["error"]) == (MYSERVICE, EXISTS)
    assert "repair is needed: rebind: VPP has the BSID already" in repair
    assert " INFO agent" in well
    assert over.endswith("rebind")
    assert (len(process.said(" agent: ")), len(process.said(" repair is "))) == (2, 2)


def test_garbage_stops_nothing(
    bench: Bench, history: History, store: Etcd3Store, agent: Writer
) -> None:
    """Values that make no sense are shown as such, and changes go on."""
    process = bench.run()
    shown = Shown(process)
    settle(bench, history)
    garbage: tuple[str | bytes, ...] = (
        b"\xff\x00",
        "",
        "[]",
        '{"state":77}',
        '{"state":"UP"}',
        "[",
    )
    for number, value in enumerate(garbage):
        key = f"config/vpp/srv6/v2/policy/5555::{number}"
        store.put(bench.prefix + status_key(key), value)
        store.put(f"{bench.prefix}check/status/v1/agent", value)
        store.put(f"{bench.prefix}{CHECK_PLUGIN}govpp", value)
        store.put(f"{bench.prefix}config-statuses/{number}", value)
        store.put(f"{bench.prefix}check/status/v1/agent{number}", value)
    shown.wait(lambda: len(shown.details()["agent"]["unreadable"]) == len(garbage))
    bench.change()
    settle(bench, history)

    assert process.said("etcd:") == []
    assert len(process.said(" session ")) == 1


def test_what_the_agent_writes_costs_nothing(bench: Bench, history: History, agent: Writer) -> None:
    """Its own status, and states that stay as they are, cause no plan and no line."""
    process = bench.run()
    shown = Shown(process)
    settle(bench, history)
    shown.wait(lambda: shown.statuses() == (200, 200, 200))
    agent.say(MYSERVICE, "CONFIGURED", last_operation="UPDATE")
    process.wait_for("the agent's states come from etcd")
    said, syncs = len(process.lines), shown.details()["sync"]["count"]
    for number in range(200):
        when = str(int(time.time()) + number)
        agent.check("agent", state="OK", start_time="5", last_update=when)
        agent.check("plugin/govpp", state="OK", last_change="5", last_update=when)
        agent.say(MYSERVICE, "CONFIGURED", last_operation="UPDATE")
    agent.say(MYSERVICE, "PENDING")
    shown.wait(lambda: shown.metric("srv6kv_agent_keys", "PENDING") == 1)

    assert shown.details()["sync"]["count"] == syncs
    assert len(process.lines) == said


def test_vpp_restarts_under_the_agent(
    bench: Bench, history: History, store: Etcd3Store, agent: Writer
) -> None:
    """The connection that breaks and comes back asks for a rewrite, until all is written again;
    here by hand."""
    bench.settings("srv6kv:", "  autoRepair: false")
    process = bench.run()
    shown = Shown(process)
    settle(bench, history)
    agent.check("agent", state="OK", start_time="5")
    for state, since in (("OK", "6"), ("ERROR", "9"), ("OK", "12")):
        agent.check("plugin/govpp", state=state, last_change=since)
    line = process.wait_for("WARNING repair is needed")
    shown.wait(lambda: shown.metric("srv6kv_repair_needed", "rewrite") == 1)
    (need,) = shown.details()["agent"]["repair"]
    agent.check("agent", state="OK", start_time="13")
    process.wait_for("repair is no longer needed: rewrite")

    assert "rewrite: VPP has restarted under the same agent" in line
    assert (need["means"], MYSERVICE in need["keys"]) == ("rewrite", True)
    shown.wait(lambda: shown.metric("srv6kv_repair_needed", "rewrite") == 0)


def test_the_agent_restarts_over_a_living_vpp(
    bench: Bench, history: History, live: LiveAgent
) -> None:
    """It cannot create what VPP has: policies can be moved, localsids need a restart of both."""
    process = bench.run()
    shown = Shown(process)
    settle(bench, history)
    live.wait_for(configured(history))
    live.restart_agent()
    lines = [process.wait_for("WARNING repair is needed", times=number) for number in (1, 2)]
    found = shown.details()["agent"]
    live.restart_both()
    process.wait_for("repair is no longer needed", times=2)
    shown.wait(lambda: set(shown.details()["agent"]["states"]) == {"CONFIGURED"})

    assert sorted(line.partition("needed: ")[2].partition(":")[0] for line in lines) == [
        "rebind",
        "restart",
    ]
    assert {need["means"] for need in found["repair"]} == {"rebind", "restart"}
    assert found["states"]["FAILED"] + found["states"].get("RETRYING", 0) > 10
    assert (len(found["bad"]), found["bad"][0]["state"]) == (20, "FAILED")


def test_no_url(bench: Bench) -> None:
    """What is no URL ends the start with one line."""
    process = bench.run("--agent-rest", "localhost:9191")

    assert process.wait() == 2
    assert len(process.said("is no URL")) == 1
