"""``srv6kv run`` beside an agent that is configured in process: the wiring of its pods is not in
etcd, the agent's REST server tells it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import pytest
from agent_words import configured, written
from agentmodel import LiveAgent
from history import History, State
from processes import AGENT_STATE, MYSERVICE, NODE, Bench, Process, drop_writer, srv6kv

from srv6kv.agent.attachments import MODELS
from srv6kv.cli import cluster
from srv6kv.etcd.store import Etcd3Store
from srv6kv.etcd.values import KeyValue
from srv6kv.txn.transaction import FullKey

NO_WINDOW = ("srv6kv:", "  replaceWindow: 0s")
POD = "2001:0:0:1::5"
LOCALSID = "config/vpp/srv6/v2/localsid/6666:0:0:1::5"
ROUNDS = 2
WIRING = {
    key: json.dumps(value).encode() for key, value in json.loads(AGENT_STATE.read_text()).items()
}
BASE = {
    "config/vpp/v2/interfaces/tap-vpp2": b'{"name":"tap-vpp2","type":"TAP","enabled":true}',
}
TOLD = WIRING | BASE


def of_pod(values: Mapping[str, bytes], address: str = POD) -> dict[str, bytes]:
    """The keys of one pod: those that name it, and the interface that they name."""
    taps = {key.split("/")[4] for key in values if key.startswith("config/vpp/v2/arp/")}
    (tap,) = (name for name in taps if f"config/vpp/v2/arp/{name}/{address}" in values)
    return {k: v for k, v in values.items() if tap in k or tap.encode() in v}


def moved(values: Mapping[str, bytes], name: str) -> dict[str, bytes]:
    """A pod's keys with another sandbox."""
    (tap,) = (key.rpartition("/")[2] for key in values if key.startswith("config/vpp/v2/interf"))
    old, new = tap.removeprefix("vpp-tap-"), name
    short = old[: 63 - len("linux-tap-")]

    def other(text: str) -> str:
        return text.replace(old, new).replace(short, new).replace("/proc/4102/", "/proc/5102/")

    return {other(key): other(value.decode()).encode() for key, value in values.items()}


@pytest.fixture
def live(bench: Bench, store: Etcd3Store, history: History) -> Iterator[LiveAgent]:
    """An agent that etcd tells nothing, since an hour."""
    store.delete_prefix(bench.prefix)
    bench.foreign.clear()
    history.wait(lambda: not configured(history))
    bench.settings(*NO_WINDOW)
    address = bench.server.endpoint.removeprefix("http://")
    with LiveAgent(address, bench.label, publishes_status=False, age=3600) as agent:
        agent.give(TOLD)
        yield agent


def start(bench: Bench, live: LiveAgent, *more: str) -> Process:
    """Run beside the agent."""
    return bench.run("--agent-rest", live.rest_url, *more)


def expected(bench: Bench, told: Mapping[str, bytes]) -> State:
    """What etcd is to hold if the agent tells this."""
    files = cluster.read_files([bench.manifests], bench.config, NODE, bench.label)
    files.reconciler.cluster.replace_reported(told, ())
    files.reconciler.reset(
        KeyValue(FullKey(bench.prefix + key), value, number)
        for number, (key, value) in enumerate(bench.foreign.items(), start=1)
    )
    wanted = files.reconciler.plan().values
    return bench.foreign | {key: value for key, value in wanted.items() if value is not None}


def settle(bench: Bench, history: History, told: Mapping[str, bytes] = TOLD) -> None:
    """Return when etcd holds what it should."""
    wanted = expected(bench, told)
    history.wait(lambda: configured(history) == wanted)


def interface_of(state: State) -> str:
    """Where the pod's localsid leads."""
    return str(json.loads(state[LOCALSID])["end_function_dx6"]["outgoing_interface"])


def rounds(live: LiveAgent, path: str = "status") -> None:
    """Return when the agent was asked so often for its states, or for its wiring."""
    least = live.agent.asked[f"/scheduler/{path}"] + ROUNDS * (
        1 if path == "status" else len(MODELS)
    )
    live.wait(lambda agent: agent.asked[f"/scheduler/{path}"] >= least)


def test_pods_that_etcd_has_no_keys_of(bench: Bench, live: LiveAgent, history: History) -> None:
    """Localsids lead to the interfaces that the agent has, and the agent can make them."""
    process = start(bench, live)
    settle(bench, history)
    live.wait_for(configured(history))

    state = configured(history)
    assert f"config/vpp/v2/arp/{interface_of(state)}/{POD}" in TOLD
    assert not state.keys() & TOLD.keys()
    assert {str(one.state) for key, one in live.states().items() if "srv6" in key} == {"CONFIGURED"}
    assert process.said("PodAttachmentUnknown") == []


def test_commands_that_ask_the_agent(bench: Bench, live: LiveAgent, history: History) -> None:
    """They see the pods as run does; without the agent they would delete what it made."""
    assert start(bench, live, "--once").wait() == 0
    settle(bench, history)
    told = ("--agent-rest", live.rest_url)
    blind = srv6kv("plan", "--check", *bench.options())
    seen = srv6kv("plan", "--check", *bench.options(), *told)
    why = srv6kv("explain", "kube-system/kube-dns", *bench.options(), *told, "-o", "json")
    checks = srv6kv("doctor", *bench.options(), *told, "-o", "json")
    away = srv6kv("plan", *bench.options(), "--agent-rest", "http://127.0.0.1:1")

    assert (blind.returncode, LOCALSID in blind.stdout) == (1, True)
    assert (seen.returncode, seen.stdout) == (0, "")
    assert (why.returncode, "PodAttachmentUnknown" in why.stdout) == (0, False)
    pods = [one for one in json.loads(checks.stdout)["checks"] if one["check"] == "pod"]
    assert {one["verdict"] for one in pods} == {"ok"}
    assert away.returncode == 3
    assert "/scheduler/dump" in away.stderr


def test_a_sandbox_that_is_replaced(bench: Bench, live: LiveAgent, history: History) -> None:
    """The localsid moves to the new interface at once, and is there all the time."""
    start(bench, live)
    settle(bench, history)
    old = of_pod(TOLD)
    new = moved(old, "0123abcd")
    before = history.last()
    live.give(dict.fromkeys(old) | new)
    told = {key: value for key, value in TOLD.items() if key not in old} | new
    settle(bench, history, told)
    rounds(live)

    values = [
        change.value
        for _, all_ in written(history, before)
        for change in all_
        if change.key == LOCALSID
    ]
    assert [value is None for value in values] == [False]
    assert interface_of(configured(history)) == "vpp-tap-0123abcd"


def test_a_pod_that_goes(bench: Bench, live: LiveAgent, history: History) -> None:
    """What two answers lack is gone, and comes back with the next that has it."""
    start(bench, live)
    settle(bench, history)
    live.give(dict.fromkeys(of_pod(TOLD)))
    settle(bench, history, {key: TOLD[key] for key in TOLD.keys() - of_pod(TOLD).keys()})
    assert LOCALSID not in configured(history)
    live.give(of_pod(TOLD))
    settle(bench, history)


def test_the_agent_is_away(bench: Bench, live: LiveAgent, history: History) -> None:
    """What is known stays, and services go on changing."""
    process = start(bench, live)
    settle(bench, history)
    live.mute()
    process.wait_for("AgentUnavailable")
    bench.change()
    settle(bench, history)
    bench.restore()
    settle(bench, history)
    before = history.last()
    live.unmute()
    process.wait_for("resolved: Agent")

    assert written(history, before) == []
    assert not any(
        change.value is None and change.key == LOCALSID
        for _, changes in written(history)
        for change in changes
    )


def test_the_agent_begins_anew(bench: Bench, live: LiveAgent, history: History) -> None:
    """Its answers are empty until it is configured again: nothing is written meanwhile, nor when
    it has all."""
    start(bench, live)
    settle(bench, history)
    before = history.last()
    live.restart_agent()
    assert live.agent.given == {}
    rounds(live, "dump")
    live.give(TOLD)
    rounds(live)

    assert written(history, before) == []


@pytest.mark.parametrize("is_new", [False, pytest.param(True, marks=pytest.mark.faults)])
def test_a_restart_while_the_agent_is_away(
    bench: Bench, live: LiveAgent, history: History, store: Etcd3Store, is_new: bool
) -> None:
    """Nothing is written before the agent has told all that it has; also if both begin anew."""
    process = start(bench, live)
    settle(bench, history)
    process.kill()
    drop_writer(store, bench.label)
    before = history.last()
    live.mute()
    if is_new:
        live.restart_agent()
    again = start(bench, live)
    again.wait_for("DeletesHeld")
    live.unmute()
    again.wait_for("resolved: Agent")
    if is_new:
        rounds(live, "dump")
        live.give(TOLD)
    again.wait_for("resolved: Cluster")

    assert written(history, before) == []
    bench.change()
    settle(bench, history)
    assert MYSERVICE in configured(history)
