"""The four faults on a real etcd, beside the model of the agent, and ``srv6kv repair``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from agentmodel import LiveAgent
from history import LOCALSID, POLICY, History
from processes import Bench
from repaired import (
    SOURCE,
    SRV6,
    agent_of,
    as_new,
    configuration,
    odd,
    ours,
    repair,
    rest,
    settle,
    write,
)
from repairing import contents

from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.etcd.store import Etcd3Store


@pytest.fixture
def synced(bench: Bench, history: History, store: Etcd3Store) -> Bench:
    """A node whose keys are written."""
    return settle(bench, history, store)


@pytest.fixture
def agent(synced: Bench) -> Iterator[LiveAgent]:
    """Its agent, with all of it in VPP."""
    with agent_of(synced) as agent:
        yield agent


@pytest.mark.parametrize("asks", [True, False], ids=["rest", "published"])
def test_vpp_has_outlived_the_agent(
    synced: Bench, history: History, agent: LiveAgent, asks: bool
) -> None:
    """Policies move, in one transaction each; localsids are said to need a restart of VPP, and do
    their work as before. The sidecar then finds nothing to do."""
    before = ours(history)
    agent.restart_agent()
    agent.wait(lambda one: one.scheduler.next_due is None)
    failed = odd(agent)
    agent.vpp.faults.clear()
    revision = history.last()
    done = repair(synced, *(rest(agent) if asks else ()), "-o", "json")
    said = json.loads(done.stdout)
    policies = [key for key in before if key.startswith(POLICY)]
    localsids = {key for key in before if key.startswith(LOCALSID)}
    history.wait(lambda: len(configuration(history, revision)) == len(policies))
    agent.wait_for(ours(history))

    assert failed >= {*policies, *localsids}
    assert (done.returncode, said["transactions"]) == (1, len(policies))
    assert said["means"] == {"rebind": sorted(policies)}
    assert {line.split()[1] for line in done.stderr.splitlines() if line.startswith("left")} == {
        f"{synced.prefix}{key}:" for key in localsids
    }
    assert odd(agent) == localsids
    old = [key.removeprefix(POLICY) for key in policies]
    assert contents(agent.vpp, old) == as_new(ours(history))
    assert agent.vpp.faults == []
    revision = history.last()
    assert synced.run("--once").wait() == 0
    assert history.last() == revision


@pytest.mark.parametrize("asks", [True, False], ids=["rest", "published"])
def test_vpp_has_restarted_under_the_agent(
    synced: Bench, history: History, agent: LiveAgent, asks: bool
) -> None:
    """All SRv6 keys go and come back when the agent has forgotten them; VPP is as new. Where it
    cannot be asked, the means has to be named."""
    before = ours(history)
    agent.restart_vpp()
    agent.vpp.encap_source = SOURCE
    assert contents(agent.vpp) == {}
    done = repair(synced, *(rest(agent) if asks else ("--means", "rewrite")), "-o", "json")
    agent.wait_for(ours(history))

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["means"].keys() == {"rewrite"}
    history.wait(lambda: ours(history) == before)
    assert contents(agent.vpp) == as_new(before)
    assert odd(agent) == set()


def test_the_encap_source_came_after_the_policies(
    synced: Bench, history: History, agent: LiveAgent
) -> None:
    """Policies are recreated with today's source, and steerings end where they
    were."""
    before = ours(history)
    agent.vpp.set_encap_source("fe10:f00d::99")
    done = repair(synced, *rest(agent), "--pause", "0", "-o", "json")
    agent.wait_for(ours(history))

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["means"].keys() == {"recreate"}
    assert contents(agent.vpp) == as_new(before, "fe10:f00d::99")
    assert ours(history) == before
    assert odd(agent) == set()


def test_events_are_lost(
    tmp_path: Path, start_etcd: Callable[..., EmbeddedEtcd], connect: Callable[..., Etcd3Store]
) -> None:
    """After a compaction the agent's watches go on behind the gap: what was put in it is put again,
    what was deleted in it is put and deleted."""
    server = start_etcd()
    store = connect(server.endpoint)
    bench = Bench(tmp_path / "bench", server, "n")
    bench.load_agent_state(store)
    write(bench, store)
    with agent_of(bench) as agent:
        agent.disconnect()
        bench.change()
        (bench.manifests / "hosthere.yaml").unlink()
        write(bench, store)
        snapshot = store.read(["/vnf-agent/n/config/"])
        store.compact(snapshot.revision)
        agent.reconnect()
        wanted = bench.expected()
        assert {k: v for k, v in agent.agent.values.items() if k.startswith(SRV6)} != {
            k: v for k, v in wanted.items() if k.startswith(SRV6)
        }
        done = repair(bench, "--means", "resend")
        agent.wait_for(wanted)
        found = contents(agent.vpp)
        nothing = repair(bench, *rest(agent))

    assert done.returncode == 0, done.stderr
    assert found == as_new(wanted)
    assert nothing.stdout == "nothing needs repair\n"
