"""A law with the model of the agent: what its log tells is what it was fed, whatever happened."""

from __future__ import annotations

import io
from typing import Any

import pytest
from agentmodel import Agent, FakeVpp
from agentvalues import dx6, end, interface, policy, put, vrf, weighted
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from srv6kv.agentlog import spelling
from srv6kv.ligato import schema
from srv6kv.ligato.schema import Api
from srv6kv.oneshot.replay import Reading
from srv6kv.txn import recording

PREFIX = "/vnf-agent/n1/"
STEERING = "config/vpp/srv6/v2/steering/"
L3 = {"prefix_address": "2096::a/128"}
PAIRS = [
    vrf(),
    interface(),
    end(),
    dx6("6666::7"),
    dx6("6666::6"),
    dx6("6666::6", hop="2001::6"),
    policy("5555::1001"),
    policy("5555::1001", ("7766::2", "6666::6"), "6666::5"),
    weighted("5555::1002", ("6666::5", 3), ("6666::6", 1)),
    policy("5555::1002", srh_encapsulation=False),
    put(f"{STEERING}a", name="a", policy_bsid="5555::1001", l3_traffic=L3),
    put(f"{STEERING}a", name="a", policy_bsid="5555::1002", l3_traffic=L3),
]
"""Values of a few keys that depend on each other; some are changes that VPP refuses."""

STEPS = st.one_of(
    st.sampled_from(PAIRS).map(lambda pair: ("put", pair)),
    st.sampled_from(PAIRS).map(lambda pair: ("delete", pair)),
    st.sampled_from(PAIRS).map(lambda pair: ("delete unseen", pair)),
    st.sampled_from(["resync", "restart", "vpp restart", "wait"]).map(lambda one: (one, PAIRS[0])),
)


def canonical(key: str, value: bytes) -> Any:
    """A value with today's names and without defaults."""
    message = schema.parse_json(key, value)
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def spelled(etcd: dict[str, bytes], api: Api) -> dict[str, bytes]:
    """What etcd holds, as this generation of agents reads it."""
    return {key: spelling.value(key, value, api) for key, value in etcd.items()}


@pytest.mark.parametrize("api", ["v2", "v3"])
@given(steps=st.lists(STEPS, max_size=20))
@settings(max_examples=60)
def test_the_models_log_tells_what_it_was_fed(
    api: Api, steps: list[tuple[str, tuple[str, bytes]]]
) -> None:
    """Through failures, retries, lost events, resyncs and restarts of both; the last one tells."""
    vpp = FakeVpp()
    agent = Agent(vpp, api)
    agent.resync({})
    etcd: dict[str, bytes] = {}
    for what, (key, value) in steps:
        match what:
            case "put":
                etcd[key] = value
                agent.change(key, spelling.value(key, value, api))
            case "delete" if etcd.pop(key, None) is not None:
                agent.change(key, None)
            case "delete unseen":
                etcd.pop(key, None)
            case "resync":
                agent.resync(spelled(etcd, api))
            case "restart":
                agent.restart(spelled(etcd, api))
            case "vpp restart":
                vpp.restart()
            case "wait":
                agent.rest()
    agent.restart(spelled(etcd, api))
    reading = Reading(io.StringIO(agent.log), "agent.log", "n1")
    found = recording.state_of(reading)

    assert {k: canonical(k.removeprefix(PREFIX), v) for k, v in found.items()} == {
        PREFIX + key: canonical(key, value)
        for key, value in etcd.items()
        if schema.message_of(key) is not None
    }
    assert [one for one in reading.remarks() if one.is_bad] == []
