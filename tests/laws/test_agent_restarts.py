"""What becomes of all that srv6kv has written when the agent or VPP restarts or etcd is away
(agent rules A38 and A46), with a real etcd."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from agentmodel import Agent, LiveAgent, State
from agentruns import LOCALSID, POLICY, ROUTE, SRV6, STEERING, assert_done, assert_held
from clusters import base_keys, settings_of, vrf_keys
from contivs import CASES, canonical
from etcd_server import etcdctl
from sidecar import Sidecar

from srv6kv.agent.rest import AgentRest
from srv6kv.agent.status import parse_agent, parse_status
from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.etcd.store import Etcd3Store

Start = Callable[..., LiveAgent]


def _written() -> dict[str, bytes]:
    """All keys of a recorded cluster."""
    case = CASES[0]
    wiring = {**base_keys(1, "fe10:f00d::ff1"), **vrf_keys(), **case["agent"]}
    sidecar = Sidecar(settings_of(case["config"]), case["node"])
    sidecar.put(*case["objects"]).wire(wiring).settle()
    return {key: canonical(json.loads(text)) for key, text in sidecar.texts().items()}


STATE = _written()
FIRST_POLICY = min(key for key in STATE if key.startswith(POLICY))
BSID = FIRST_POLICY.removeprefix(POLICY)


class Etcd:
    """The agent's part of an etcd."""

    def __init__(self, store: Etcd3Store, label: str) -> None:
        self.store = store
        self.prefix = f"/vnf-agent/{label}/"
        self.state: dict[str, bytes] = {}

    def put(self, state: dict[str, bytes]) -> None:
        """Keys come or change."""
        self.state |= state
        for key, text in state.items():
            self.store.put(self.prefix + key, text)

    def delete(self, *keys: str) -> None:
        """Keys go."""
        for key in keys:
            del self.state[key]
            self.store.delete(self.prefix + key)

    def published(self) -> dict[str, State]:
        """The states that the agent has written down."""
        prefix = f"{self.prefix}config-status/"
        found = {}
        for entry in self.store.read([prefix]).entries:
            status = parse_status(entry.key.removeprefix(self.prefix), entry.value)
            found[status.key] = State(status.state)
        return found


@pytest.fixture
def cluster(store: Etcd3Store, label: str) -> Etcd:
    """An etcd with the recorded cluster in it."""
    etcd = Etcd(store, label)
    etcd.put(STATE)
    return etcd


@pytest.fixture
def start(etcd: EmbeddedEtcd, label: str) -> Iterator[Start]:
    """Starts agents for the test's label; they end with the test."""
    with ExitStack() as agents:
        yield lambda **options: agents.enter_context(LiveAgent(etcd.endpoint, label, **options))


def _rest(agent: Agent) -> bool:
    return agent.scheduler.next_due is None


def _srv6(live: LiveAgent, state: dict[str, bytes]) -> dict[str, set[str]]:
    """The states of the keys of each kind of SRv6."""
    states = live.states()
    return {
        kind: {str(states[key].state) for key in state if key.startswith(kind)}
        for kind in (LOCALSID, POLICY, STEERING)
    }


ALL_WELL = {LOCALSID: {"CONFIGURED"}, POLICY: {"CONFIGURED"}, STEERING: {"CONFIGURED"}}


def test_an_agent_follows_etcd(cluster: Etcd, start: Start) -> None:
    """From the first resync on, key by key, and says the same in etcd and by REST."""
    live = start()
    live.wait_for(cluster.state)
    body = json.loads(STATE[FIRST_POLICY])
    body["segment_lists"].append({"segments": ["6666:0:0:2::77"], "weight": 1})
    cluster.put({FIRST_POLICY: canonical(body)})
    live.wait_for(cluster.state)

    assert_done(live.agent, cluster.state)
    rest = AgentRest(live.rest_url)
    assert cluster.published() == {
        key: State(status.state) for key, status in rest.statuses().items() if key in STATE
    }
    assert set(cluster.published().values()) == {State.CONFIGURED}
    assert "6666:0:0:2::77, \b\b > weight: 1" in rest.vpp_command("sh sr policies")
    assert len(rest.dump(POLICY)) == sum(key.startswith(POLICY) for key in STATE)
    assert rest.history()[-1]["Executed"][0]["Operation"] == "UPDATE"


def test_the_agent_says_that_it_is_alive(cluster: Etcd, start: Start) -> None:
    """Its own state is there without publishing, and outlives it; the states of values are leased
    and do not."""
    live = start()
    live.wait_for(cluster.state)
    text, _ = cluster.store.get(f"{cluster.prefix}check/status/v1/agent")
    assert parse_agent(text).state == "OK"
    assert cluster.published()
    live.stop()

    assert cluster.published() == {}
    text, _ = cluster.store.get(f"{cluster.prefix}check/status/v1/agent")
    assert parse_agent(text).state == "OK"


def test_an_agent_that_does_not_publish(cluster: Etcd, start: Start) -> None:
    """Its states are known by REST alone."""
    live = start(publishes_status=False)
    live.wait_for(cluster.state)

    assert cluster.published() == {}
    assert len(AgentRest(live.rest_url).statuses()) >= len(STATE)


def test_a_key_that_is_gone_is_removed(cluster: Etcd, start: Start) -> None:
    """Its published state stays as REMOVED."""
    live = start()
    live.wait_for(cluster.state)
    steering = min(key for key in STATE if key.startswith(STEERING))
    cluster.delete(steering)
    live.wait_for(cluster.state)

    assert cluster.published()[steering] == State.REMOVED
    assert steering not in AgentRest(live.rest_url).statuses()


# Restarts -----------------------------------------------------------------------------------------


def test_the_agent_restarts_over_a_living_vpp(cluster: Etcd, start: Start) -> None:
    """Every localsid and policy ends FAILED, every steering PENDING, while VPP goes on with what it
    had; what can be read back is CONFIGURED. A restart of VPP cures it."""
    live = start()
    live.wait_for(cluster.state)
    before = live.vpp.show_sr_policies()
    live.restart_agent()
    live.wait(_rest)

    assert _srv6(live, STATE) == {LOCALSID: {"FAILED"}, POLICY: {"FAILED"}, STEERING: {"PENDING"}}
    assert live.vpp.show_sr_policies() == before
    routes = {live.states()[key].state for key in STATE if key.startswith(ROUTE)}
    assert routes == {State.CONFIGURED}
    assert cluster.published()[FIRST_POLICY] == State.FAILED
    live.restart_vpp()
    live.wait(_rest)
    assert _srv6(live, STATE) == ALL_WELL
    assert_held(live.vpp, cluster.state)


def test_vpp_restarts_under_a_living_agent(cluster: Etcd, start: Start) -> None:
    """Everything says CONFIGURED, and VPP has no SRv6 at all: only VPP itself can tell."""
    live = start()
    live.wait_for(cluster.state)
    live.restart_vpp()
    live.wait(_rest)

    assert _srv6(live, STATE) == ALL_WELL
    assert set(cluster.published().values()) == {State.CONFIGURED}
    assert live.vpp.show_sr_policies() == "SR policies:\n"
    assert live.vpp.localsids.all() == []
    assert {key for key in live.vpp.plain if key.startswith(ROUTE)} == {
        key for key in STATE if key.startswith(ROUTE)
    }


def test_keys_that_go_and_come_cure_a_restarted_vpp(cluster: Etcd, start: Start) -> None:
    """The deletes fail and are dropped after their retries; then the puts make everything anew."""
    live = start()
    live.wait_for(cluster.state)
    live.restart_vpp()
    srv6 = {key: text for key, text in STATE.items() if key.startswith(SRV6)}
    cluster.delete(*srv6)
    live.wait_for(cluster.state)
    assert not [key for key in live.states() if key.startswith(SRV6)]
    cluster.put(srv6)
    live.wait_for(cluster.state)

    assert _srv6(live, STATE) == ALL_WELL
    assert_held(live.vpp, cluster.state)


def test_a_bsid_put_again_after_an_agent_restart_fails_again(cluster: Etcd, start: Start) -> None:
    """Deleting and putting the keys gives -12 as before; a fresh BSID and a moved steering work."""
    live = start()
    live.wait_for(cluster.state)
    live.restart_agent()
    live.wait(_rest)
    cluster.delete(FIRST_POLICY)
    live.wait_for(cluster.state)
    cluster.put({FIRST_POLICY: STATE[FIRST_POLICY]})
    live.wait_for(cluster.state)
    assert "(-12)" in live.states()[FIRST_POLICY].error
    fresh = "5555:1::77"
    cluster.put({POLICY + fresh: canonical({**json.loads(STATE[FIRST_POLICY]), "bsid": fresh})})
    [(key, steering)] = [
        (key, value)
        for key, text in STATE.items()
        if key.startswith(STEERING) and (value := json.loads(text))["policy_bsid"] == BSID
    ]
    cluster.put({key: canonical({**steering, "policy_bsid": fresh})})
    live.wait_for(cluster.state)

    assert live.states()[key].state == State.CONFIGURED
    traffic = steering["l3_traffic"]
    place = (traffic.get("installation_vrf_id", 0), traffic["prefix_address"])
    assert live.vpp.steered()[place] == fresh


def test_both_restart(cluster: Etcd, start: Start) -> None:
    """As the agent's images do it: all is made anew and nothing fails."""
    live = start()
    live.wait_for(cluster.state)
    live.restart_both()
    live.wait(_rest)

    assert _srv6(live, STATE) == ALL_WELL
    assert live.agent.errors() == []
    assert_held(live.vpp, cluster.state)


# etcd is away -------------------------------------------------------------------------------------


def _changed(key: str) -> bytes:
    body: dict[str, Any] = json.loads(STATE[key])
    body["segment_lists"] = [{"segments": ["6666:0:0:2::77"], "weight": 1}]
    return canonical(body)


def test_an_agent_that_was_cut_off_catches_up(cluster: Etcd, start: Start) -> None:
    """Its watches go on where they were."""
    live = start()
    live.wait_for(cluster.state)
    live.disconnect()
    cluster.put({FIRST_POLICY: _changed(FIRST_POLICY)})
    live.reconnect()
    live.wait_for(cluster.state)

    assert_held(live.vpp, cluster.state)


def test_a_compaction_while_the_agent_is_cut_off_loses_changes(
    start_etcd: Callable[..., EmbeddedEtcd], connect: Callable[..., Etcd3Store]
) -> None:
    """What changed before the compaction is lost to the living agent; the same bytes again bring it
    up to date (rule 24)."""
    server = start_etcd()
    cluster = Etcd(connect(server.endpoint), "n")
    cluster.put(STATE)
    with LiveAgent(server.endpoint, "n") as live:
        live.wait_for(cluster.state)
        live.disconnect()
        lost = {FIRST_POLICY: _changed(FIRST_POLICY)}
        cluster.put(lost)
        cluster.store.put("something/else", b"")
        etcdctl(server, "compact", str(cluster.store.read([cluster.prefix]).revision))
        live.reconnect()
        cluster.put(dict([_end("6666::99")]))
        live.wait(lambda agent: agent.state(f"{LOCALSID}6666::99") == State.CONFIGURED)
        assert live.agent.values[FIRST_POLICY] == STATE[FIRST_POLICY]
        assert live.states()[FIRST_POLICY].state == State.CONFIGURED
        cluster.put(lost)
        live.wait_for(cluster.state)

        assert live.vpp.lists_of(BSID) == [(("6666:0:0:2::77",), 1)]
        assert_held(live.vpp, cluster.state)


def _end(sid: str) -> tuple[str, bytes]:
    return LOCALSID + sid, canonical({"sid": sid, "base_end_function": {}})
