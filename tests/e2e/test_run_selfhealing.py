"""``srv6kv run`` repairs by itself what VPP has lost, and does no more than that."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agent_words import Writer, configured, live_agent, settle
from agentmodel import LiveAgent
from api_bench import ApiBench
from apiserver import FakeApiServer
from history import POLICY, STEERING, History
from processes import MYSERVICE, NODE, Bench, Process, drop_writer, service, srv6kv
from repairing import contents
from tcp_proxy import SECONDS, TcpProxy
from test_run_telemetry import Shown

from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.etcd.store import Etcd3Store

PUT = b'"segment_lists"'
"""In a request that puts a policy, and in no other."""
REPAIRED = "WARNING repaired"
NO_WINDOW = ("srv6kv:", "  replaceWindow: 0s")


@pytest.fixture
def live(bench: Bench, store: Etcd3Store, history: History) -> Iterator[LiveAgent]:
    """An agent that is asked over REST, and a VPP with its encap source."""
    with live_agent(bench, store, history, publishes=False) as agent:
        agent.vpp.set_encap_source("fe10:f00d::1")
        yield agent


def whole(live: LiveAgent) -> dict[str, Any]:
    """What VPP has of SRv6."""
    with live.lock:
        return contents(live.vpp)


def start(bench: Bench, history: History, live: LiveAgent, *settings: str) -> Process:
    """A sidecar with everything in VPP."""
    bench.settings(*NO_WINDOW, *settings)
    process = bench.run("--agent-rest", live.rest_url)
    settle(bench, history)
    live.wait_for(configured(history))
    return process


def restart_vpp(live: LiveAgent) -> None:
    """VPP restarts, and has its encap source at once."""
    live.restart_vpp()
    with live.lock:
        live.vpp.set_encap_source("fe10:f00d::1")


def test_vpp_restarts(bench: Bench, history: History, live: LiveAgent) -> None:
    """All is in VPP again, every key has the bytes that it had, steerings were never away; one line
    and a metric tell it."""
    process = start(bench, history, live)
    shown = Shown(process)
    before, keys, last = whole(live), configured(history), history.last()
    restart_vpp(live)
    process.wait_for(REPAIRED)
    live.wait(lambda _: contents(live.vpp) == before)
    history.catch_up()
    gone = {
        change.key
        for _, changes in history.revisions(last)
        for change in changes
        if change.value is None
    }

    assert configured(history) == keys
    assert MYSERVICE in gone
    assert not any(key.startswith(STEERING) for key in gone)
    assert shown.metric("srv6kv_repairs_total", "rewrite") == 1
    assert process.said("foreign edit") == []
    assert live.vpp.faults == []


def test_vpp_restarts_again_and_again(bench: Bench, history: History, live: LiveAgent) -> None:
    """Two repairs in a row go at once; the third has to wait, and a warning says so."""
    process = start(bench, history, live)
    shown, before = Shown(process), whole(live)
    for number in (1, 2):
        restart_vpp(live)
        process.wait_for(REPAIRED, times=number)
        live.wait(lambda _: contents(live.vpp) == before)
    restart_vpp(live)
    warning = process.wait_for("VppNotRepaired")
    shown.wait(lambda: shown.metric("srv6kv_repair_needed", "rewrite") == 1)

    assert "VPP lacks 15 keys that the agent calls done" in warning
    assert len(process.said(REPAIRED)) == 2


def test_vpp_restarts_while_nothing_runs(bench: Bench, history: History, live: LiveAgent) -> None:
    """The next session sees it, and is sure a second later."""
    process = start(bench, history, live)
    before = whole(live)
    process.stop()
    restart_vpp(live)
    process = bench.run("--agent-rest", live.rest_url)
    process.wait_for(REPAIRED)
    live.wait(lambda _: contents(live.vpp) == before)


def test_the_agent_restarts_with_vpp(bench: Bench, history: History, live: LiveAgent) -> None:
    """It makes everything by itself; nothing is written."""
    process = start(bench, history, live)
    before, last = whole(live), history.last()
    live.restart_both()
    with live.lock:
        live.vpp.set_encap_source("fe10:f00d::1")
    process.wait_for("recreate")
    live.wait(lambda _: contents(live.vpp) == before)
    changed = {change.key for _, changes in history.revisions(last) for change in changes}

    assert not any(key.startswith(("config/vpp/srv6/v2/localsid/", STEERING)) for key in changed)
    assert "means=recreate" in process.said(REPAIRED)[0]


def test_a_late_encap_source(bench: Bench, history: History, live: LiveAgent) -> None:
    """Policies that were made before VPP had its encap source are made again, and only those."""
    with live.lock:
        live.vpp.set_encap_source("::")
    process = start(bench, history, live)
    keys = configured(history)
    with live.lock:
        live.vpp.set_encap_source("fe10:f00d::1")
    line = process.wait_for(REPAIRED)
    live.wait(lambda _: {one.source for _, one in live.vpp.lists.all()} == {"fe10:f00d::1"})
    settle(bench, history)
    live.wait_for(keys)

    assert "policies were made before VPP had its encap source" in line
    assert "means=recreate" in line


def test_without_rest(bench: Bench, store: Etcd3Store, history: History) -> None:
    """The agent's own word that its connection to VPP was lost and is back is reported as a need;
    nothing is written, as nothing is known of what VPP has."""
    with live_agent(bench, store, history, publishes=True) as live:
        bench.settings(*NO_WINDOW)
        process = bench.run("--agent-rest", "none")
        settle(bench, history)
        live.wait_for(configured(history))
        last = history.last()
        agent = Writer(bench, store)
        agent.check("plugin/govpp", state="OK", last_change="1")
        agent.check("plugin/govpp", state="ERROR", last_change="2")
        live.restart_vpp()
        agent.check("plugin/govpp", state="OK", last_change="3")
        process.wait_for("repair is needed: rewrite")
        history.catch_up()
        written = {change.key for _, changes in history.revisions(last) for change in changes}

        assert not any(key.startswith("config/") for key in written)
        assert process.said(REPAIRED) == []


def test_it_can_be_turned_off(bench: Bench, history: History, live: LiveAgent) -> None:
    """Then a warning names the remedy, and that helps."""
    process = start(bench, history, live, "  autoRepair: false")
    before, last = whole(live), history.last()
    restart_vpp(live)
    warning = process.wait_for("VppNotRepaired")
    shown = Shown(process)
    shown.wait(lambda: shown.metric("srv6kv_repair_needed", "rewrite") == 1)
    written = [number for number, _ in history.revisions(last)]
    done = srv6kv(
        *("repair", "--label", bench.label, *bench.etcd),
        *("--agent-rest", live.rest_url, "--take-over"),
    )
    live.wait(lambda _: contents(live.vpp) == before)
    process.wait_for("resolved: Agent")

    assert "srv6kv.autoRepair is false: 'srv6kv repair --take-over' repairs it" in warning
    assert written == []
    assert done.returncode == 0, done.stderr
    assert process.said(REPAIRED) == []


def test_a_repair_by_hand_at_the_same_time(bench: Bench, history: History, live: LiveAgent) -> None:
    """Whichever of the two writes, every key ends as it was, and VPP is whole."""
    process = start(bench, history, live)
    before, keys = whole(live), configured(history)
    restart_vpp(live)
    done = srv6kv(
        *("repair", "--label", bench.label, *bench.etcd),
        *("--agent-rest", live.rest_url, "--take-over"),
    )
    live.wait(lambda _: contents(live.vpp) == before)
    history.wait(lambda: configured(history) == keys)

    assert done.returncode in (0, 1), done.stderr
    assert process.is_running


def test_two_processes(bench: Bench, history: History, live: LiveAgent) -> None:
    """The one on standby writes nothing."""
    first = start(bench, history, live)
    second = bench.run("--agent-rest", live.rest_url)
    second.wait_for("standby")
    before = whole(live)
    restart_vpp(live)
    first.wait_for(REPAIRED)
    live.wait(lambda _: contents(live.vpp) == before)

    assert second.said(REPAIRED) == []
    assert second.is_running


def test_the_agent_is_away_meanwhile(bench: Bench, history: History, live: LiveAgent) -> None:
    """Nothing is known of VPP then, and nothing written; it is looked at when the agent answers."""
    process = start(bench, history, live)
    before, last = whole(live), history.last()
    live.mute()
    restart_vpp(live)
    process.wait_for("AgentUnavailable")
    assert [number for number, _ in history.revisions(last)] == []
    live.unmute()
    process.wait_for(REPAIRED)
    live.wait(lambda _: contents(live.vpp) == before)


@pytest.fixture
def proxy(etcd: EmbeddedEtcd) -> Iterator[TcpProxy]:
    """What lies between srv6kv and etcd."""
    with TcpProxy(etcd.endpoint) as proxy:
        yield proxy


def test_etcd_goes_away_between_the_deletion_and_the_puts(
    bench: Bench, history: History, live: LiveAgent, proxy: TcpProxy
) -> None:
    """The next plan puts what is away, with the same BSIDs: the steerings know them."""
    bench.etcd = ["--etcd", proxy.endpoint]
    process = start(bench, history, live)
    before, keys = whole(live), configured(history)
    proxy.lose_request(PUT)
    restart_vpp(live)
    assert proxy.struck.wait(SECONDS)
    proxy.freeze()
    history.wait(lambda: MYSERVICE not in configured(history))
    proxy.cut()
    proxy.thaw()
    history.wait(lambda: configured(history) == keys)
    live.wait(lambda _: contents(live.vpp) == before)

    assert process.is_running


def test_killed_between_the_deletion_and_the_puts(
    bench: Bench, history: History, live: LiveAgent, proxy: TcpProxy, store: Etcd3Store
) -> None:
    """The next process puts what is away, with the same BSIDs, although one of them was moved and
    would not be chosen again."""
    bench.etcd = ["--etcd", proxy.endpoint]
    process = start(bench, history, live)
    done = srv6kv(
        *("repair", "--label", bench.label, *bench.etcd, "--take-over"),
        *("--means", "rebind", "--key", MYSERVICE),
    )
    assert done.returncode == 0, done.stderr
    history.catch_up()
    keys = configured(history)
    live.wait_for(keys)
    process.wait_for("session", times=2)
    proxy.hold(PUT)
    restart_vpp(live)
    assert proxy.struck.wait(SECONDS)
    process.kill()
    proxy.cut()
    proxy.thaw()
    history.wait(lambda: not any(key.startswith(POLICY) for key in configured(history)))
    drop_writer(store, bench.label)
    bench.run("--agent-rest", live.rest_url)
    history.wait(lambda: configured(history) == keys)
    live.wait_for(keys)
    live.wait(lambda _: len(live.vpp.policies.all()) == sum(k.startswith(POLICY) for k in keys))

    assert MYSERVICE not in keys


def test_vpp_restarts_during_the_repair(
    bench: Bench, history: History, live: LiveAgent, proxy: TcpProxy
) -> None:
    """What the agent makes of it in between does not matter: it is repaired once more."""
    bench.etcd = ["--etcd", proxy.endpoint]
    start(bench, history, live)
    before, keys = whole(live), configured(history)
    proxy.hold(PUT)
    restart_vpp(live)
    assert proxy.struck.wait(SECONDS)
    restart_vpp(live)
    proxy.thaw()
    live.wait(lambda _: contents(live.vpp) == before)
    history.wait(lambda: configured(history) == keys)


def test_a_slow_agent_delays_no_change(bench: Bench, history: History, live: LiveAgent) -> None:
    """VPP's answers come never; a service does."""
    process = start(bench, history, live)
    tell, goes_on = live.vpp.cli, threading.Event()

    def cli(command: str) -> str:
        goes_on.wait(SECONDS)
        return tell(command)

    live.vpp.cli = cli  # type: ignore[method-assign]
    try:
        bench.edit("new.yaml", service("new", "2096::f1", ["2001:0:0:1::5"]))
        settle(bench, history)
    finally:
        goes_on.set()

    assert process.is_running


def test_an_event_of_the_node(
    tmp_path: Path,
    etcd: EmbeddedEtcd,
    store: Etcd3Store,
    label: str,
    api: FakeApiServer,
    history: History,
) -> None:
    """Where the objects come from the API server, it gets an event."""
    bench = ApiBench(tmp_path / "api-bench", etcd, label, api)
    bench.load_agent_state(store)
    with live_agent(bench, store, history, publishes=False) as live:
        live.vpp.set_encap_source("fe10:f00d::1")
        process = start(bench, history, live)
        restart_vpp(live)
        process.wait_for(REPAIRED)
        history.wait(lambda: bool(api.store.now("events")))
        bench.end()
    (event,) = api.store.now("events").values()

    assert (event["reason"], event["involvedObject"]["name"]) == ("Repaired", NODE)
    assert "14 keys were written again (rewrite)" in event["message"]


@pytest.mark.faults
def test_an_agent_that_lies(bench: Bench, history: History, live: LiveAgent) -> None:
    """It says that VPP has nothing, whatever is written: after one repair a warning says that
    repairs do not help, and it is tried less and less often."""
    process = start(bench, history, live)
    tell = live.vpp.cli

    def cli(command: str) -> str:
        text = tell(command)
        return "\n".join(text.split("\n")[:2]) + "\n" if " sr local" in command else text

    live.vpp.cli = cli  # type: ignore[method-assign]
    restart_vpp(live)
    warning = process.wait_for("a repair has not helped", 40)

    assert "restart the agent and VPP together" in warning
    assert len(process.said(REPAIRED)) <= 2
