"""``verify``: etcd's steerings against those that VPP shows, whose VRFs it does not tell."""

from __future__ import annotations

from dataclasses import replace

from verifying import (
    BSID,
    ETCD,
    POLICY_KEY,
    POLICY_SEEN,
    SEEN,
    STATES,
    STEERING_KEY,
    STEERING_SEEN,
    configured,
    etcd_with,
    held,
    only,
)

from srv6kv import verify
from srv6kv.agent.status import State, ValueStatus
from srv6kv.ligato import keys
from srv6kv.vpp.showsr_values import Steering


def test_a_steering_into_another_policy() -> None:
    """Where both policies are there it was moved; else its policy has gone under it."""
    other = Steering("L3", "2096::d765/128", "5555::99")
    both = (POLICY_SEEN, replace(POLICY_SEEN, bsid="5555::99"))
    every = etcd_with({keys.policy("5555::99"): ETCD[POLICY_KEY] | {"bsid": "5555::99"}})
    moved = only(verify.compare(every, None, replace(SEEN, policies=both, steerings=(other,))))
    lost = verify.compare(every, None, replace(SEEN, policies=both[1:], steerings=(other,)))
    gone = next(item for item in lost if item.subject == STEERING_KEY)

    assert (moved.subject, moved.reason) == (STEERING_KEY, "SteeringDiffers")
    assert moved.what == f"VPP steers into 5555::99 instead of {BSID}"
    assert "a change of the steering failed" in moved.cause
    assert "its policy was deleted under the steering" in gone.cause


def test_a_steering_whose_policy_is_gone() -> None:
    """It is told beside the missing policy: its packets are dropped."""
    found = verify.compare(held(ETCD), STATES, replace(SEEN, policies=()))

    assert [(item.subject, item.reason) for item in found] == [
        (POLICY_KEY, "NotInVpp"),
        (STEERING_KEY, "StaleSteering"),
    ]
    assert "all its packets are dropped" in found[1].cause


def test_one_prefix_in_two_vrfs() -> None:
    """VPP does not tell VRFs: two steerings of a prefix are compared as a pair."""
    second = keys.steering("main")
    value = {"name": "main", "policy_bsid": "5555::99"}
    every = etcd_with(
        {
            second: value | {"l3_traffic": {"prefix_address": "2096::d765/128"}},
            keys.policy("5555::99"): ETCD[POLICY_KEY] | {"bsid": "5555::99"},
        }
    )
    policies = (POLICY_SEEN, replace(POLICY_SEEN, bsid="5555::99"))
    other = Steering("L3", "2096::d765/128", "5555::99")
    shown = replace(SEEN, policies=policies, steerings=(other, STEERING_SEEN))
    one = only(
        verify.compare(every, STATES | configured(every), replace(shown, steerings=(other,)))
    )

    assert verify.compare(every, None, shown) == ()
    assert (one.subject, one.reason) == (STEERING_KEY, "NotInVpp")


def test_one_prefix_into_one_policy_in_two_vrfs() -> None:
    """VPP does not tell which of them is missing; one that waits in the agent is taken for it."""
    second = keys.steering("main")
    traffic = {"prefix_address": "2096::d765/128"}
    every = etcd_with({second: {"name": "main", "policy_bsid": BSID, "l3_traffic": traffic}})
    states = STATES | configured(every)
    waits = ValueStatus(second, State.PENDING, details=("sr-steering-vrf-table-exists",))
    found = only(verify.compare(every, states, SEEN))
    told = only(verify.compare(every, states | {second: waits}, SEEN))

    assert (found.reason, "in each of the VRFs 0, 1" in found.what) == ("NotInVpp", True)
    assert (told.subject, told.where, told.reason) == (second, "agent", "Pending")


def test_l2_steerings() -> None:
    """They are compared by VPP's name of the interface, if that is known."""
    value = {"name": "l2", "policy_bsid": BSID, "l2_traffic": {"interface_name": "uplink"}}
    key = keys.steering("l2")
    every = etcd_with({key: value})
    states = STATES | configured(every)
    l2 = Steering("L2", "memif0/0", BSID)
    shown = replace(SEEN, steerings=(STEERING_SEEN, l2))

    assert verify.compare(every, states, shown) == ()
    assert verify.compare(every, states, shown, {"uplink": "memif0/0"}) == ()
    assert only(verify.compare(every, states, SEEN, {"uplink": "memif0/0"})).subject == key
    assert [item.subject for item in verify.compare(every, states, shown, {"uplink": "x"})] == [
        *(key, "steering memif0/0"),
    ]
