"""Values for the model of the agent, written by hand: a key and its bytes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from agentmodel import Agent, FakeVpp

Json = dict[str, Any]
Pair = tuple[str, bytes]

LOCALSID = "config/vpp/srv6/v2/localsid/"
POLICY = "config/vpp/srv6/v2/policy/"
STEERING = "config/vpp/srv6/v2/steering/"
GLOBAL = "config/vpp/srv6/v2/srv6-global"


def put(key: str, **value: Any) -> Pair:
    """A key with these fields."""
    return key, json.dumps(value).encode()


def vrf(number: int = 1, family: str = "IPV6") -> Pair:
    """A VRF table."""
    key = f"config/vpp/v2/vrf-table/id/{number}/protocol/{family}"
    return put(key, id=number, protocol=family)


def interface(name: str = "tap1", **more: Any) -> Pair:
    """A TAP."""
    return put(f"config/vpp/v2/interfaces/{name}", name=name, type="TAP", **more)


def end(sid: str = "6666::5", **more: Any) -> Pair:
    """A localsid with End in VRF 0."""
    return put(LOCALSID + sid, sid=sid, **{"base_end_function": {}, **more})


def dx6(sid: str = "6666::5", hop: str = "2001::5", name: str = "tap1", table: int = 1) -> Pair:
    """A localsid with End.DX6."""
    function = {"outgoing_interface": name, "next_hop": hop}
    return put(LOCALSID + sid, sid=sid, installation_vrf_id=table, end_function_dx6=function)


def policy(bsid: str = "5555::1", *lists: Iterable[str] | str, **more: Any) -> Pair:
    """A policy with one list for each SID or sequence of SIDs; weights are 1."""
    listed = [[one] if isinstance(one, str) else list(one) for one in lists or ("6666::1",)]
    items = [{"segments": one, "weight": 1} for one in listed]
    fields = {"srh_encapsulation": True, "segment_lists": items, **more}
    return put(POLICY + bsid, bsid=bsid, **fields)


def weighted(bsid: str, *lists: tuple[str, int], **more: Any) -> Pair:
    """A policy with a weight for each SID."""
    items = [{"segments": [sid], "weight": weight} for sid, weight in lists]
    return put(POLICY + bsid, bsid=bsid, srh_encapsulation=True, segment_lists=items, **more)


def steering(
    name: str = "s", bsid: str = "5555::1", prefix: str = "2096::1/128", table: int = 1
) -> Pair:
    """A steering of a prefix in a VRF."""
    traffic = {"prefix_address": prefix, "installation_vrf_id": table}
    return put(STEERING + name, name=name, policy_bsid=bsid, l3_traffic=traffic)


def started(*pairs: Pair, **options: Any) -> Agent:
    """An agent over a new VPP, with that in etcd."""
    agent = Agent(FakeVpp(), **options)
    agent.resync(dict(pairs))
    agent.vpp.calls.clear()
    return agent


def calls(agent: Agent) -> list[str]:
    """The names of the SRv6 calls since the start or the last question, without the CLI."""
    found = [call.name for call in agent.vpp.calls if call.name not in ("cli", "plain_add")]
    agent.vpp.calls.clear()
    return [name for name in found if name != "plain_del"]
