"""All that srv6kv renders for the recorded clusters and the scenarios is CONFIGURED by the model of
the agent, with no error, in whatever order its watches deliver it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import test_ipv4
from agentmodel import Agent, FakeVpp
from agentmodel.values import LINUX_INTERFACE
from agentruns import Change, apply, assert_done, deliver, interleaved
from clusters import base_keys, settings_of, vrf_keys
from contivs import CASES, canonical
from sidecar import AGENT_PREFIX, Sidecar
from test_run_scenarios import blocks_of, played, scenarios

Json = dict[str, Any]

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
every_scenario = pytest.mark.parametrize("path", list(scenarios()))
SEEDS = range(3)


def _wiring(case: Json) -> dict[str, Json]:
    """What the CNI has written: the host interconnect, VRF tables and pods."""
    number = int("".join(filter(str.isdigit, case["node"])) or 1)
    return {**base_keys(number, f"fe10:f00d::ff{number}"), **vrf_keys(), **case["agent"]}


def _rendered(case: Json) -> list[Change]:
    """The keys of a recorded cluster, in the order of their writing."""
    wiring = _wiring(case)
    sidecar = Sidecar(settings_of(case["config"]), case["node"])
    sidecar.put(*case["objects"]).wire(wiring)
    written = [
        (operation.key.removeprefix(AGENT_PREFIX), operation.value)
        for operation in sidecar.steps(sidecar.plan())
    ]
    return [*((key, canonical(value)) for key, value in wiring.items()), *written]


def _state(changes: Iterable[Change]) -> dict[str, bytes]:
    state: dict[str, bytes] = {}
    apply(state, changes)
    return state


def _followed(changes: Iterable[Change]) -> Agent:
    agent = Agent(FakeVpp())
    agent.resync({})
    deliver(agent, changes)
    return agent


@every_case
def test_a_recorded_cluster_by_resync(case: Json) -> None:
    """The agent starts when all is written; a second resync asks VPP for nothing of SRv6."""
    state = _state(_rendered(case))
    agent = Agent(FakeVpp())
    agent.resync(state)
    assert_done(agent, state)
    agent.vpp.calls.clear()
    agent.resync(state)

    assert {call.name for call in agent.vpp.calls} <= {"plain_add"}
    assert_done(agent, state)


@every_case
def test_a_recorded_cluster_key_by_key(case: Json) -> None:
    """In the order of the plan nothing is taken back on the way;
    further lists of policies; in another order that watches may give, the same objects come."""
    changes = _rendered(case)
    state = _state(changes)
    planned = _followed(changes)
    assert_done(planned, state)
    for kind in ("localsid", "policy", "steering"):
        assert planned.vpp.count(f"{kind}_del") == 0
    mixed = _followed(interleaved(changes, random.Random(case["name"])))
    assert_done(mixed, state)


@every_scenario
def test_a_scenario_step_by_step(path: Path) -> None:
    """After each revision everything is CONFIGURED, and the orders of watches do not matter."""
    bench, _ = played(blocks_of(path.read_text()), lambda objects: objects)
    for seed in (None, *SEEDS):
        agent = _followed([])
        state: dict[str, bytes] = {}
        for _, found in bench.history:
            changes: list[tuple[str, bytes | None]] = [(one.key, one.value) for one in found]
            if seed is not None:
                changes = list(interleaved(changes, random.Random(f"{seed} {len(changes)}")))
            apply(state, changes)
            deliver(agent, changes)
        assert_done(agent, state)


@every_scenario
def test_a_scenario_at_once(path: Path) -> None:
    """All revisions together, each model's keys in their order, end in the same."""
    bench, _ = played(blocks_of(path.read_text()), lambda objects: objects)
    changes = [(change.key, change.value) for _, found in bench.history for change in found]
    state = _state(changes)
    for seed in SEEDS:
        agent = _followed(interleaved(changes, random.Random(seed)))
        assert_done(agent, state)


def test_a_dual_stack_service() -> None:
    """IPv4 steerings, DX4 localsids and IPv4 chains end CONFIGURED too, in any order."""
    texts = test_ipv4._dual().texts()
    for key, text in texts.items():
        if key.startswith(LINUX_INTERFACE):  # the test there leaves its name out
            texts[key] = canonical({**json.loads(text), "name": key.removeprefix(LINUX_INTERFACE)})
    for seed in SEEDS:
        agent = _followed(interleaved(list(texts.items()), random.Random(seed)))
        assert_done(agent, texts)
    behaviours = {sid.behaviour for _, sid in agent.vpp.localsids.all()}

    assert {"dx4", "dx6", "end"} <= behaviours
    assert (1, f"{test_ipv4.VIP4}/32") in agent.vpp.steered()
