"""What srv6kv writes, given to the model of the agent; and what its VPP must hold then.

The expectation is read from the plain JSON of the keys, by none of srv6kv's code and none of the
model's.
"""

from __future__ import annotations

import json
import random
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Any

from agentmodel import Agent, FakeVpp, State
from agentmodel.values import MODELS

Json = dict[str, Any]
Change = tuple[str, bytes | None]

LOCALSID = "config/vpp/srv6/v2/localsid/"
POLICY = "config/vpp/srv6/v2/policy/"
STEERING = "config/vpp/srv6/v2/steering/"
ROUTE = "config/vpp/v2/route/"
SRV6 = "config/vpp/srv6/"
ABSENT = (State.NONEXISTENT, State.REMOVED)
OWN_TABLE = "config/vpp/v2/vrf-table/id/0/"


def apply(state: dict[str, bytes], changes: Iterable[Change]) -> None:
    """What etcd holds after some changes."""
    for key, text in changes:
        if text is None:
            state.pop(key, None)
        else:
            state[key] = text


def prefix_of(key: str) -> str:
    """Whose watch a key is in; keys of no model are in nobody's."""
    return next((model.prefix for model in MODELS if model.matches(key)), "")


def interleaved(changes: Sequence[Change], dice: random.Random) -> Iterator[Change]:
    """As several watches may deliver them: in order within a model, in any order across."""
    queues: dict[str, deque[Change]] = {}
    for change in changes:
        queues.setdefault(prefix_of(change[0]), deque()).append(change)
    while queues:
        prefix = dice.choice(sorted(queues))
        yield queues[prefix].popleft()
        if not queues[prefix]:
            del queues[prefix]


def deliver(agent: Agent, changes: Iterable[Change]) -> None:
    """Key by key."""
    for key, text in changes:
        agent.change(key, text)


def failures(agent: Agent) -> list[str]:
    """Errors but for deletions of chains that others jump to: they are tried again and made (agent
    rule A50)."""
    return [text for text in agent.errors() if "Device or resource busy" not in text]


def assert_done(agent: Agent, state: Mapping[str, bytes]) -> None:
    """Every key is CONFIGURED, nothing failed on the way, and VPP holds what the keys say."""
    agent.rest()
    assert failures(agent) == []
    assert agent.said == []
    assert agent.vpp.faults == []
    states = agent.states()
    for key in state:
        if prefix_of(key):
            found = states[key]
            assert found.state == State.CONFIGURED, found
    strange = [
        one
        for key, one in states.items()
        if key not in state and one.state not in ABSENT and not key.startswith(OWN_TABLE)
    ]
    assert strange == []
    assert_held(agent.vpp, state)


def assert_held(vpp: FakeVpp, state: Mapping[str, bytes]) -> None:
    """VPP has exactly the policies, lists, localsids, steerings and routes of these keys."""
    values = {key: json.loads(text) for key, text in state.items() if prefix_of(key)}
    assert _localsids(vpp) == {
        _plain(value["sid"]): _localsid(value) for value in _under(LOCALSID, values)
    }
    assert _policies(vpp) == {
        _plain(value["bsid"]): (
            value.get("installation_vrf_id", 0),
            value.get("srh_encapsulation", False),
            Counter(
                (tuple(map(_plain, item["segments"])), item.get("weight", 0))
                for item in value["segment_lists"]
            ),
        )
        for value in _under(POLICY, values)
    }
    assert vpp.steered() == {
        (
            value["l3_traffic"].get("installation_vrf_id", 0),
            value["l3_traffic"]["prefix_address"],
        ): _plain(value["policy_bsid"])
        for value in _under(STEERING, values)
    }
    routes = {key for key in vpp.plain if key.startswith(ROUTE)}
    assert routes == {key for key in values if key.startswith(ROUTE)}


def _under(prefix: str, values: Mapping[str, Json]) -> list[Json]:
    return [value for key, value in values.items() if key.startswith(prefix)]


def _plain(text: str) -> str:
    return str(ip_address(text))


def _localsid(value: Json) -> tuple[object, ...]:
    [(name, end)] = [(name, one) for name, one in value.items() if "end_function" in name]
    behaviour = "end" if name == "base_end_function" else name.rpartition("_")[2]
    hop = end.get("next_hop", "")
    return (
        value.get("installation_vrf_id", 0),
        behaviour,
        end.get("outgoing_interface", ""),
        _plain(hop) if hop else "",
        end.get("vrf_id", 0),
    )


def _localsids(vpp: FakeVpp) -> dict[str, tuple[object, ...]]:
    return {
        sid.address: (sid.vrf, sid.behaviour, sid.interface, sid.next_hop, sid.table)
        for _, sid in vpp.localsids.all()
    }


def _policies(vpp: FakeVpp) -> dict[str, tuple[object, ...]]:
    return {
        policy.bsid: (policy.vrf, policy.is_encap, Counter(vpp.lists_of(policy.bsid)))
        for _, policy in vpp.policies.all()
    }
