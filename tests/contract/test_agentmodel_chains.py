"""What was measured of rule chains on a real agent holds of the model (agent rules A32, A50)."""

from __future__ import annotations

import json
from typing import Any

from agentmodel import Agent, FakeVpp, State
from podchains import PREFIX

TABLE = ("FD /run/netns/p", "IPV6", "nat")
RULE, OTHER = (
    "-d 2096::1/128 -j DNAT --to-destination [2001::5]:80",
    "-d 2096::2/128 -j DNAT --to-destination [2001::5]:80",
)
A, B, PREROUTING = "srv6kv-p-DNAT-a", "srv6kv-p-DNAT-b", "srv6kv-p-PREROUTING"
JUMPS = ("-j srv6kv-a", "-j srv6kv-b")


def put(agent: Agent, name: str, *rules: str) -> None:
    """A chain of the pod has these rules in etcd."""
    agent.change(*chain(name, *rules))


def chain(name: str, *rules: str) -> tuple[str, bytes]:
    """Key and value of a chain of the pod."""
    value: dict[str, Any] = {
        "name": name,
        "namespace": {"type": "FD", "reference": "/run/netns/p"},
        "protocol": "IPV6",
        "table": "NAT",
        "rules": list(rules),
    }
    kind = {"chain_type": name.rpartition("-")[2]}
    value |= {"chain_name": f"srv6kv-{name[-1]}"} if name[-1] in "ab" else kind
    return PREFIX + name, json.dumps(value).encode()


def started() -> Agent:
    """An agent with two copies of one rule and the chain that jumps to them."""
    agent = Agent(FakeVpp())
    agent.resync({})
    for name in (A, B):
        put(agent, name, RULE)
    put(agent, PREROUTING, *JUMPS)
    return agent


def met(agent: Agent) -> tuple[str, ...]:
    """The rules that a packet meets."""
    return agent.vpp.iptables.met(TABLE, "PREROUTING")


def test_a_chain_that_is_jumped_to_is_made_again_a_second_later() -> None:
    """Until then it is RETRYING and empty; its deletion has failed."""
    agent = started()
    put(agent, B, RULE, OTHER)
    status = agent.states()[PREFIX + B]

    assert (status.state, status.operation) == (State.RETRYING, "UPDATE")
    assert "Device or resource busy" in status.error
    assert met(agent) == (RULE,)
    agent.advance(1.1)
    assert agent.state(PREFIX + B) == State.CONFIGURED
    assert met(agent) == (RULE, RULE, OTHER)


def test_a_second_put_makes_it_at_once() -> None:
    """What has failed is created, not updated."""
    agent = started()
    for _ in range(2):
        put(agent, B, OTHER)

    assert agent.state(PREFIX + B) == State.CONFIGURED
    assert met(agent) == (RULE, OTHER)


def test_a_jump_needs_its_chain() -> None:
    """A chain that comes later is too late, and one that goes first stays."""
    agent = Agent(FakeVpp())
    agent.resync({})
    put(agent, PREROUTING, *JUMPS)
    assert agent.state(PREFIX + PREROUTING) == State.RETRYING
    agent = started()
    agent.change(PREFIX + A, None)

    assert agent.state(PREFIX + A) == State.RETRYING
    assert met(agent) == (RULE,)
    for name in (PREROUTING, B):
        agent.change(PREFIX + name, None)
    assert met(agent) == ()


def test_a_built_in_chain_is_empty_while_it_changes() -> None:
    """A chain of an earlier version becomes jumps with all rules gone for a moment."""
    agent = Agent(FakeVpp())
    agent.resync({})
    put(agent, PREROUTING, RULE)
    for name in (A, B):
        put(agent, name, RULE)
    agent.vpp.iptables.moments.clear()
    put(agent, PREROUTING, *JUMPS)
    seen = [rules for _, chain, rules in agent.vpp.iptables.moments if chain == "PREROUTING"]

    assert seen == [(), (), (RULE,), (RULE, RULE)]


def test_a_resync_makes_built_in_chains_again_and_no_others() -> None:
    """They are read back with their policy; custom ones as they are."""
    agent = started()
    txn = agent.resync(agent.values)
    assert txn is not None

    assert {op.key for op in txn.executed} == {PREFIX + PREROUTING}
    assert met(agent) == (RULE, RULE)


def test_a_new_agent_makes_all_again_over_what_is_there() -> None:
    """By key: the copies one after the other, and then the chain that jumps to them."""
    agent = started()
    agent.vpp.iptables.moments.clear()
    agent.restart()

    assert {agent.state(PREFIX + name) for name in (A, B, PREROUTING)} == {State.CONFIGURED}
    assert met(agent) == (RULE, RULE)
    seen = [rules for _, chain, rules in agent.vpp.iptables.moments if chain == "PREROUTING"]
    assert seen.count(()) == 1
