"""What was measured on the real scheduler about failures holds of the model: invalid values, VPP's
refusals, retries, restarts (agent rules A44, A46 and A47)."""

from __future__ import annotations

import pytest
from agentmodel import Agent, FakeVpp, State
from agentmodel.objects import Localsid, Policy, VppError
from agentvalues import (
    LOCALSID,
    POLICY,
    STEERING,
    Pair,
    calls,
    dx6,
    end,
    interface,
    policy,
    put,
    started,
    steering,
    vrf,
)

SID, BSID = f"{LOCALSID}6666::5", f"{POLICY}5555::1"
EMPTY = put(BSID, bsid="5555::1", srh_encapsulation=True)

# Invalid values -----------------------------------------------------------------------------------


def test_an_invalid_value_that_is_new_does_no_harm() -> None:
    """Nothing is in VPP, nothing is retried, and a valid value works."""
    agent = started()
    agent.change(*EMPTY)
    status = agent.states()[BSID]
    text = "field SegmentLists is invalid: there must be defined at least one segment list"
    assert (status.state, status.error, status.details) == (State.INVALID, text, ("SegmentLists",))
    assert agent.scheduler.next_due is None
    agent.change(*policy())

    assert agent.state(BSID) == State.CONFIGURED


def test_an_invalid_update_leaks() -> None:
    """0.4: the old object stays, dependants are not touched, the next value fails for ever, and a
    delete does nothing."""
    agent = started(vrf(), policy(), steering())
    agent.change(*EMPTY)
    assert calls(agent) == []
    assert agent.state(f"{STEERING}s") == State.CONFIGURED
    agent.change(*policy("5555::1", "6666::2"))
    agent.rest()
    assert agent.state(BSID) == State.FAILED
    assert "(-12)" in agent.states()[BSID].error
    agent.vpp.calls.clear()
    agent.change(BSID, None)

    assert calls(agent) == []
    assert agent.state(BSID) == State.NONEXISTENT
    assert agent.vpp.lists_of("5555::1") == [(("6666::1",), 1)]


@pytest.mark.parametrize(
    ("pair", "field"),
    [
        (put(f"{LOCALSID}x", sid="x", base_end_function={}), "sid"),
        (put(SID, sid="6666::5"), "end_function"),
        (put(SID, sid="6666::5", base_end_function=None), "end_function"),
        (dx6(hop="nowhere"), "end_function_dx6.next_hop"),
        (
            put(SID, sid="6666::5", end_function_dx4={"next_hop": "2001::5"}),
            "end_function_dx4.next_hop",
        ),
        (put(f"{POLICY}x", bsid="x", segment_lists=[{"segments": ["6666::1"]}]), "bsid"),
        (policy("5555::1", "x"), "SegmentLists.segments"),
        (policy("5555::1", "6666::1", "6666:0::1"), "SegmentLists"),
        (steering(bsid="x"), "policy_bsid"),
        (steering(prefix="2096::1"), "l3_traffic.prefix_address"),
        (put(f"{STEERING}s", name="s", policy_bsid="5555::1"), "traffic"),
        (put("config/vpp/v2/route/vrf/0/dst/2096::/64", dst_network="2096::1/64"), "dst_network"),
    ],
)
def test_what_is_invalid(pair: Pair, field: str) -> None:
    """Each of these is refused for that field, and by no other means."""
    agent = started(vrf(), interface())
    agent.change(*pair)

    status = agent.states()[pair[0]]
    assert (status.state, status.details) == (State.INVALID, (field,))


@pytest.mark.parametrize(
    "pair",
    [
        policy("5555::1", ()),
        policy("5555::1", [f"6666::{number + 1:x}" for number in range(17)]),
        put(BSID, bsid="5555::1", segment_lists=[{"segments": ["6666::1"]}]),
        put(f"{POLICY}5.5.5.5", bsid="5.5.5.5", segment_lists=[{"segments": ["6666::1"]}]),
    ],
)
def test_what_is_not_checked(pair: Pair) -> None:
    """4.5: no segments, more than 16 of them, weight 0 and IPv4 text reach VPP."""
    agent = started()
    agent.change(*pair)

    assert calls(agent)[0] == "policy_add"


# Failures -----------------------------------------------------------------------------------------


def test_a_failed_create_is_tried_four_times() -> None:
    """RETRYING after 1, 2 and 4 s, then FAILED (agent rule A40)."""
    agent = started()
    agent.vpp.localsid_add(Localsid("6666::5", 0, "end"))
    agent.change(*end())
    seen = []
    for seconds in (0.9, 0.1, 1.9, 0.1, 3.9, 0.1):
        agent.advance(seconds)
        seen.append((agent.vpp.count("localsid_add") - 1, agent.state(SID)))

    retrying = State.RETRYING
    assert seen[:5] == [(1, retrying), (2, retrying), (2, retrying), (3, retrying), (3, retrying)]
    assert seen[5] == (4, State.FAILED)
    assert agent.scheduler.next_due is None


def test_a_new_value_makes_a_retry_obsolete() -> None:
    """What has been changed since is not retried."""
    agent = started()
    agent.vpp.localsid_add(Localsid("6666::5", 0, "end"))
    agent.change(*end())
    agent.change(SID, None)
    agent.vpp.calls.clear()
    agent.rest()

    assert calls(agent) == []


def test_a_failed_update_is_believed() -> None:
    """0.5: the retry compares the value with itself, and CONFIGURED follows."""
    agent = started(policy("5555::1", "6666::1"))
    agent.vpp.policy_del("5555::1")
    agent.change(*policy("5555::1", "6666::2"))
    assert agent.state(BSID) == State.RETRYING
    agent.rest()

    [op] = agent.history[-1].executed
    assert (op.operation, op.is_noop, op.is_retry) == ("UPDATE", True, True)
    assert agent.state(BSID) == State.CONFIGURED
    assert agent.vpp.policy("5555::1") is None


def test_a_failed_delete_is_forgotten() -> None:
    """0.5: the retry does nothing and the key is gone."""
    agent = started(end())
    agent.vpp.localsid_del("6666::5", 0)
    agent.change(SID, None)
    assert agent.state(SID) == State.RETRYING
    agent.rest()

    [op] = agent.history[-1].executed
    assert (op.operation, op.is_noop, op.is_retry) == ("DELETE", True, True)
    assert agent.state(SID) == State.NONEXISTENT


def test_a_failed_delete_in_a_new_making_ends_in_creates() -> None:
    """The retries try to create what is still there."""
    agent = started(vrf(), interface(), dx6())
    agent.vpp.refusals["localsid_del"] = [-1]
    agent.change(*dx6(hop="2001::6"))
    assert calls(agent) == ["localsid_del"]
    agent.rest()

    assert calls(agent) == ["localsid_add"] * 3
    assert agent.state(SID) == State.FAILED
    assert [sid.next_hop for _, sid in agent.vpp.localsids.all()] == ["2001::5"]


def test_a_policy_that_failed_half_way_stays() -> None:
    """Partial objects stay; who waits for it waits."""
    agent = started(vrf(), policy("5555::1", "6666::1", "6666:0::2"), steering())
    agent.rest()

    assert len(agent.vpp.lists_of("5555::1")) == 2
    assert agent.state(f"{STEERING}s") == State.PENDING


# Return codes (agent rule A47, VPP rule V1) -------------------------------------------------------


def _code(act: object, *arguments: object) -> int:
    with pytest.raises(VppError) as raised:
        act(*arguments)  # type: ignore[operator]
    return raised.value.code


def test_codes_of_localsids() -> None:
    """One SID in VPP whatever the table; no table; a /128 entry; no interface; none to delete."""
    vpp = FakeVpp()
    vpp.add_table("IPV6", 1)
    vpp.localsid_add(Localsid("6666::1", 0, "end"))
    vpp.add_route(0, "6666::2/128", "route")

    assert _code(vpp.localsid_add, Localsid("6666::1", 1, "end")) == -1
    assert _code(vpp.localsid_add, Localsid("6666::3", 2, "end")) == -3
    assert _code(vpp.localsid_add, Localsid("6666::2", 0, "end")) == -4
    assert _code(vpp.localsid_add, Localsid("6666::4", 0, "dx6", "tap9", "2001::1")) == -2
    assert _code(vpp.localsid_del, "6666::4", 0) == -2
    vpp.localsid_add(Localsid("6666::2", 1, "end"))


def test_codes_of_policies() -> None:
    """The BSID exists, as a policy of any table or as a /128 entry of its own; no table; no such
    policy; the last list; no such list."""
    vpp = FakeVpp()
    vpp.add_table("IPV6", 1)
    vpp.policy_add(Policy("5555::1", 0, True, False), ("6666::1",), 1)
    vpp.localsid_add(Localsid("6666::2", 0, "end"))

    assert _code(vpp.policy_add, Policy("5555::1", 1, True, False), ("6666::1",), 1) == -12
    assert _code(vpp.policy_add, Policy("6666::2", 0, True, False), ("6666::1",), 1) == -12
    assert _code(vpp.policy_add, Policy("5555::2", 2, True, False), ("6666::1",), 1) == -13
    assert _code(vpp.list_add, "5555::2", ("6666::1",), 1) == -1
    assert _code(vpp.policy_del, "5555::2") == -1
    assert _code(vpp.list_del, "5555::1", 0) == -21
    vpp.list_add("5555::1", ("6666::2",), 1)
    assert _code(vpp.list_del, "5555::1", 7) == -22


def test_codes_of_steerings() -> None:
    """No such policy; none to delete; IPv4 into a policy that inserts; an entry is re-pointed."""
    vpp = FakeVpp()
    vpp.policy_add(Policy("5555::1", 0, False, False), ("6666::1",), 1)
    vpp.policy_add(Policy("5555::2", 0, True, False), ("6666::1",), 1)

    assert _code(vpp.steering_add, 0, "2096::1/128", "5555::3") == -2
    assert _code(vpp.steering_del, 0, "2096::1/128") == -4
    assert _code(vpp.steering_add, 0, "10.0.0.1/32", "5555::1") == -5
    vpp.steering_add(0, "2096::1/128", "5555::1")
    vpp.steering_add(0, "2096::1/128", "5555::2")
    assert vpp.steered() == {(0, "2096::1/128"): "5555::2"}


def test_indexes_are_global_and_used_again() -> None:
    """Those of lists run over all policies (VPP rule V2)."""
    vpp = FakeVpp()
    for bsid in ("5555::1", "5555::2"):
        vpp.policy_add(Policy(bsid, 0, True, False), ("6666::1",), 1)
    vpp.list_add("5555::1", ("6666::2",), 1)
    vpp.list_del("5555::1", 0)
    vpp.list_add("5555::2", ("6666::3",), 1)
    found = [policy.lists for _, policy in vpp.policies.all()]

    assert found == [[2], [1, 0]]


# Restarts (agent rule A46) ------------------------------------------------------------------------

ALL = (vrf(), interface(), dx6(), policy(), steering())
SRV6 = (SID, BSID, f"{STEERING}s")


def _states(agent: Agent) -> list[State]:
    return [agent.state(key) for key in SRV6]


def test_a_resync_of_what_is_there_does_nothing() -> None:
    """Both alive: SRv6 is believed to be in place; what etcd lacks goes."""
    agent = started(*ALL)
    agent.resync(dict(ALL))
    assert calls(agent) == []
    agent.resync(dict(ALL[:3]))

    assert calls(agent) == ["steering_del", "policy_del"]


def test_vpp_restarts_under_the_agent() -> None:
    """What can be read back comes again, SRv6 stays CONFIGURED and is not in VPP. The cure: delete
    every key, wait 2 s, put them again."""
    agent = started(*ALL)
    agent.vpp.restart()
    missing = [op.key for op in agent.history[-1].executed if op.old_state == State.MISSING]
    assert missing == [ALL[1][0], ALL[0][0]]
    assert _states(agent) == [State.CONFIGURED] * 3
    assert (agent.vpp.localsids.all(), agent.vpp.policies.all()) == ([], [])
    assert agent.vpp.steered() == {}
    for key in reversed(SRV6):
        agent.change(key, None)
    agent.advance(2.0)
    for pair in ALL[2:]:
        agent.change(*pair)
    agent.rest()

    assert _states(agent) == [State.CONFIGURED] * 3
    assert agent.vpp.steered() == {(1, "2096::1/128"): "5555::1"}


def test_vpp_restarts_under_an_agent_that_looks_at_all_dependants() -> None:
    """Then a localsid with two missing dependencies goes (which fails), and its retry makes it
    anew; policies and steerings are not there all the same."""
    agent = started(*ALL, rechecks=True)
    agent.vpp.restart()
    assert agent.state(SID) == State.RETRYING
    agent.rest()

    assert _states(agent) == [State.CONFIGURED] * 3
    assert [sid.address for _, sid in agent.vpp.localsids.all()] == ["6666::5"]
    assert agent.vpp.policies.all() == []


def test_the_agent_restarts_over_vpp() -> None:
    """Creates fail with -1 and -12, steerings wait, and what etcd does not have any more stays in
    VPP for ever. The cure: restart VPP."""
    agent = started(*ALL, end("6666::9"))
    agent.restart(dict(ALL))
    agent.rest()
    assert _states(agent) == [State.FAILED, State.FAILED, State.PENDING]
    errors = " ".join(status.error for status in agent.states().values())
    assert "(-1)" in errors
    assert "(-12)" in errors
    assert "6666::9" in {sid.address for _, sid in agent.vpp.localsids.all()}
    agent.vpp.restart()
    agent.rest()

    assert _states(agent) == [State.CONFIGURED] * 3
    assert {sid.address for _, sid in agent.vpp.localsids.all()} == {"6666::5"}
