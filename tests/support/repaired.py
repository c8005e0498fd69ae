"""``srv6kv repair`` on a node in a real etcd, beside the model of the agent."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from agentmodel import Agent, FakeVpp, LiveAgent
from history import LOCALSID, POLICY, STEERING, History, State
from processes import NODE, Bench, Process, srv6kv
from repairing import contents

from srv6kv.cli import cluster
from srv6kv.etcd.store import Etcd3Store
from srv6kv.etcd.values import Snapshot
from srv6kv.oneshot import writing
from srv6kv.txn.transaction import Operation, Transaction

SOURCE = "fe10:f00d::1"
SRV6 = (LOCALSID, POLICY, STEERING)


def repair(bench: Bench, *more: str | Path) -> subprocess.CompletedProcess[str]:
    """What ``repair`` does for a node."""
    return srv6kv("repair", "--label", bench.label, *bench.etcd, *more)


def begin(bench: Bench, *more: str | Path) -> Process:
    """A repair that goes on."""
    process = Process("repair", "--label", bench.label, *bench.etcd, *more)
    bench.processes.append(process)
    return process


def rest(agent: LiveAgent) -> tuple[str, str]:
    """The option that names the agent."""
    return ("--agent-rest", agent.rest_url)


def ours(history: History) -> State:
    """The agent's configuration in etcd."""
    return {k: v for k, v in history.state().items() if k.startswith("config/")}


def as_new(state: State, source: str = SOURCE) -> dict[str, object]:
    """What a new VPP holds below a new agent on these keys."""
    vpp = FakeVpp()
    vpp.encap_source = source
    agent = Agent(vpp)
    agent.resync(state)
    agent.rest()
    return contents(vpp)


def odd(agent: LiveAgent) -> set[str]:
    """The keys that are not CONFIGURED."""
    return {k for k, one in agent.states().items() if one.state not in ("CONFIGURED", "OBTAINED")}


def configuration(history: History, after: int) -> list[int]:
    """The revisions that change configuration."""
    return [
        number
        for number, changes in history.revisions(after)
        if any(change.key.startswith("config/") for change in changes)
    ]


def settle(bench: Bench, history: History, store: Etcd3Store) -> Bench:
    """A node whose keys are written; of its host's interface too the agent knows."""
    tap = {"name": "tap-vpp2", "type": "TAP"}
    bench.put_foreign(store, "config/vpp/v2/interfaces/tap-vpp2", json.dumps(tap))
    write(bench, store)
    history.wait_for(bench.expected())
    return bench


def agent_of(bench: Bench) -> LiveAgent:
    """Its agent, with all of it in VPP."""
    vpp = FakeVpp()
    vpp.encap_source = SOURCE
    agent = LiveAgent(bench.server.endpoint, bench.label, vpp=vpp)
    agent.wait_for(bench.expected())
    return agent


@dataclass(frozen=True, slots=True)
class Steps:
    """What a node's plan writes."""

    steps: list[tuple[Transaction, tuple[Operation, ...]]]
    followers: frozenset[str] = frozenset()


def write(bench: Bench, store: Etcd3Store) -> None:
    """What ``run --once`` does."""
    reconciler = cluster.read_files([bench.manifests], bench.config, NODE, bench.label).reconciler

    def make(snapshot: Snapshot) -> Steps:
        reconciler.reset(snapshot.entries)
        plan = reconciler.plan()
        steps = enumerate(plan.transactions)
        return Steps([(one, reconciler.bookkeeping(plan, index)) for index, one in steps])

    writing.write(store, bench.label, reconciler.prefixes, make)
