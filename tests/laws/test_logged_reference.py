"""Agents' logs of the recorded clusters: what was fed is read, and compared as it should be."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping

import pytest
from agentlogs import LogWriter
from clusters import Json, identity, settings_of
from test_reference import CASES

from srv6kv.etcd.values import KeyValue
from srv6kv.ligato import schema
from srv6kv.ligato.schema import Api
from srv6kv.oneshot.replay import Reading
from srv6kv.plan.plan import Plan
from srv6kv.sync.reconciler import Reconciler
from srv6kv.txn import recording
from srv6kv.txn.transaction import FullKey

SOME = [case for case in CASES if case["expected"]][::6]
PREFIX = "/vnf-agent/n1/"

some_cases = pytest.mark.parametrize("case", SOME, ids=lambda case: case["name"])
both = pytest.mark.parametrize("api", ["v2", "v3"])


def plan_of(case: Json, held: Mapping[str, bytes]) -> Plan:
    """What the node of a case would write beside these keys."""
    node = Reconciler(settings_of(case["config"]), case["node"], "n1")
    node.intake.apply_all((identity(body), body) for body in case["objects"])
    node.reset(KeyValue(FullKey(PREFIX + key), text, 1) for key, text in held.items())
    return node.plan()


def fed(case: Json) -> dict[str, bytes]:
    """The keys of the agent, with those that the node writes."""
    state = {key: json.dumps(value).encode() for key, value in case["agent"].items()}
    wanted = plan_of(case, state).values
    return state | {key: value for key, value in wanted.items() if value is not None}


def logged(case: Json, api: Api) -> str:
    """What the agent of the node logs when it starts with half of its keys and gets the rest."""
    state = fed(case)
    first = dict(sorted(state.items())[::2])
    writer = LogWriter(api)
    writer.resync(first)
    for key, value in state.items():
        if key not in first:
            writer.change([(key, value)])
    return writer.text


def read(log: str) -> dict[str, bytes]:
    """The state that a log ends with."""
    state = recording.state_of(Reading(io.StringIO(log), "agent.log", "n1"))
    return {key.removeprefix(PREFIX): value for key, value in state.items()}


@some_cases
@both
def test_what_was_fed_is_read(case: Json, api: Api) -> None:
    """The log of a cluster ends with every value that was fed, but for unknown models; ours have
    the same bytes."""
    given = {k: value for k, value in fed(case).items() if schema.message_of(k) is not None}
    found = read(logged(case, api))

    assert {k: json.loads(v) for k, v in found.items()} == {
        key: json.loads(value) for key, value in given.items()
    }
    assert [k for k in given if k not in case["agent"] and given[k] != found[k]] == []


@some_cases
@both
def test_the_log_of_a_cluster_agrees_with_it(case: Json, api: Api) -> None:
    """With what its agent was given, a cluster needs nothing; with a key less, that key."""
    others = {
        key: json.dumps(value).encode()
        for key, value in case["agent"].items()
        if schema.message_of(key) is None
    }
    state = others | read(logged(case, api))
    ours = sorted(state.keys() - case["agent"].keys())
    lost = ours[len(ours) // 2]
    same = plan_of(case, state)
    other = plan_of(case, {key: value for key, value in state.items() if key != lost})

    assert same.transactions == ()
    assert PREFIX + lost in [o.key for t in other.transactions for o in t.operations]
