"""What is wrong and by which means it is repaired, from what the agent and VPP say of one node."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest
from podchains import chain_keys
from verifying import (
    ETCD,
    HOST_SEEN,
    HOST_SID,
    LABEL,
    POLICY_KEY,
    POLICY_SEEN,
    RANGES,
    SEEN,
    SID_KEY,
    STATES,
    STEERING_KEY,
    TABLE,
    Json,
    failed,
)

from srv6kv.agent.needs import Means
from srv6kv.agent.status import State, ValueStatus
from srv6kv.errors import InputError
from srv6kv.etcd.values import KeyValue
from srv6kv.ligato import keys
from srv6kv.repair.asked import asked
from srv6kv.repair.choose import Known, faults, is_deaf, leftovers, task_of
from srv6kv.repair.ground import Ground
from srv6kv.repair.means import plan_repair
from srv6kv.txn.transaction import FullKey
from srv6kv.vpp.showsr_values import Policy, SegmentList, ShowSr, Steering

GLOBAL = "config/vpp/srv6/v2/srv6-global"


def ground(values: Mapping[str, Json | None] | None = None, shared: str = "{}") -> Ground:
    """The sample node in etcd, with other or no values for these keys."""
    prefix = keys.agent_prefix(LABEL)
    every = {**ETCD, **(values or {})}
    entries = [
        KeyValue(FullKey(prefix + key), json.dumps(value).encode(), 1)
        for key, value in every.items()
        if value is not None
    ]
    own = f"/srv6kv/{LABEL}/"
    notes = [KeyValue(FullKey(f"{own}ranges"), RANGES.dump(), 1)]
    notes.append(KeyValue(FullKey(f"{own}shared"), shared.encode(), 1))
    found = Ground(LABEL)
    found.read([*entries, *notes], 1)
    return found


def test_a_copy_of_rules_that_is_made_again_needs_no_repair() -> None:
    """The agent is at it; one that it cannot make is put again."""
    copy = chain_keys("five")[1]
    there = ground({copy: {"name": copy.rpartition("/")[2]}})
    for operation, found in (("UPDATE", []), ("CREATE", [copy])):
        status = ValueStatus(copy, State.RETRYING, operation, "x")
        assert [one.key for one in faults(there, Known({**STATES, copy: status}))] == found


def means(shown: ShowSr) -> dict[str, Means | None]:
    """What repairs what, on a node whose agent calls everything CONFIGURED."""
    return {one.key: one.means for one in faults(ground(), Known(STATES, shown))}


def with_policy(policy: Policy) -> ShowSr:
    """What VPP shows, with another policy."""
    return replace(SEEN, policies=(policy,))


def test_a_healthy_node() -> None:
    """Nothing is wrong, and nothing too many."""
    known = Known(STATES, SEEN)

    assert faults(ground(), known) == []
    assert leftovers(ground(), known) == []


def test_digits_that_an_old_vpp_prints_behind_a_weight() -> None:
    """They are no other weight, so that no healthy policy is recreated; where VPP is known to be
    newer, they are one."""
    junk = tuple(replace(one, weight=one.weight * 10 + 7) for one in POLICY_SEEN.lists)
    old = replace(POLICY_SEEN, lists=junk, encap_source=None)
    sids = tuple(replace(one, length=None) for one in SEEN.localsids or ())
    before = ShowSr(sids, (old,), SEEN.steerings)

    assert means(before) == {}
    assert means(with_policy(replace(POLICY_SEEN, lists=junk))) == {POLICY_KEY: Means.RECREATE}


@pytest.mark.parametrize("source", ["::", "fe10::1"])
def test_no_encap_source(source: str) -> None:
    """Without one in VPP no means helps: it is said once, however many policies there are, and
    whether they still have one or not."""
    shown = with_policy(replace(POLICY_SEEN, encap_source=source))
    found = faults(ground(), Known(STATES, replace(shown, encap_source="::")))

    assert [(one.key, one.means) for one in found] == [(GLOBAL, None)]
    assert "'set sr encaps source addr ADDRESS' in VPP" in found[0].why


def test_a_policy_that_was_made_before_the_encap_source() -> None:
    """It is recreated."""
    shown = with_policy(replace(POLICY_SEEN, encap_source="::"))

    assert means(shown) == {POLICY_KEY: Means.RECREATE}


def test_a_localsid_that_looks_up_another_table() -> None:
    """It is rewritten; before 20.05 the number may be an index, and tells nothing."""
    there = (SEEN.localsids or ())[0]
    seen = replace(SEEN, localsids=(there, replace(HOST_SEEN, table=7)))
    old = replace(SEEN, localsids=(there, replace(HOST_SEEN, table=7, length=None)))

    assert means(seen) == {keys.localsid(HOST_SID): Means.REWRITE}
    assert means(old) == {}


def test_what_is_left_in_vpp() -> None:
    """Policies, localsids and steerings of ours that neither etcd nor the agent knows are named,
    not those of others, nor what the agent still has."""
    lists = (SegmentList(("9300::1",), 1),)
    policies = tuple(Policy(bsid, True, "Default", 0, lists) for bsid in ("5555::9", "8fff::1"))
    steerings = (Steering("L3", "2096::9/128", "5555::9"), Steering("L3", "::/0", "8fff::1"))
    shown = replace(
        SEEN,
        policies=(POLICY_SEEN, *policies),
        steerings=(*(SEEN.steerings or ()), *steerings),
    )
    late = {**STATES, keys.policy("5555::9"): ValueStatus(keys.policy("5555::9"), State.FAILED)}

    assert set(leftovers(ground(), Known(STATES, shown))) == {
        keys.policy("5555::9"),
        "steering 2096::9/128",
    }
    assert leftovers(ground(), Known(late, shown)) == ["steering 2096::9/128"]


def test_an_agent_of_another_label_has_none_of_the_keys() -> None:
    """It is told from one that lacks some, and from an etcd without any."""
    other = {"config/vpp/srv6/v2/localsid/9300::1": ValueStatus("x", State.CONFIGURED)}
    removed = {key: ValueStatus(key, State.REMOVED) for key in STATES}
    empty = ground(dict.fromkeys(ETCD))

    assert is_deaf(ground(), Known(other))
    assert is_deaf(ground(), Known(removed))
    assert not is_deaf(ground(), Known({POLICY_KEY: STATES[POLICY_KEY]}))
    assert not is_deaf(ground(), Known(None, SEEN))
    assert not is_deaf(empty, Known(other))


def test_what_srv6kv_made_because_it_was_absent_is_touched_too() -> None:
    """A VRF table that the agent has missed is put again, if it has the bytes that srv6kv wrote;
    no other means is for it."""
    text = json.dumps(ETCD[TABLE])
    ours = ground(shared=json.dumps({TABLE: text}))
    theirs = ground(shared=json.dumps({TABLE: "{}"}))
    lost = Known({key: status for key, status in STATES.items() if key != TABLE})

    assert [(one.key, one.means) for one in faults(ours, lost)] == [(TABLE, Means.RESEND)]
    assert faults(theirs, lost) == []
    assert TABLE in asked(Means.RESEND, ours, Known(), (), ())[Means.RESEND]
    assert asked(Means.RESEND, ours, Known(), (TABLE,), ()) == {Means.RESEND: frozenset({TABLE})}
    assert TABLE not in asked(Means.REWRITE, ours, Known(), (), ())[Means.REWRITE]
    with pytest.raises(InputError, match="no key of srv6kv's"):
        asked(Means.RESEND, theirs, Known(), (TABLE,), ())


def test_a_policy_that_is_gone_takes_its_steering_along() -> None:
    """Both are rewritten."""
    assert means(replace(SEEN, policies=())) == {
        POLICY_KEY: Means.REWRITE,
        STEERING_KEY: Means.REWRITE,
    }


@pytest.mark.parametrize(
    ("key", "status", "repaired_by"),
    [
        (POLICY_KEY, failed(POLICY_KEY, -12), Means.REBIND),
        (POLICY_KEY, failed(POLICY_KEY, "failed to find index for it"), Means.REBIND),
        (POLICY_KEY, failed(POLICY_KEY, -13), Means.RESEND),
        (SID_KEY, failed(SID_KEY, -1), Means.RESTART),
        (SID_KEY, ValueStatus(SID_KEY, State.INVALID), Means.RESTART),
        (SID_KEY, ValueStatus(SID_KEY, State.PENDING), None),
    ],
)
def test_what_a_state_calls_for(key: str, status: ValueStatus, repaired_by: Means | None) -> None:
    """What VPP has already is rebound, or needs a restart; other failures are sent again; what the
    agent waits for is no fault."""
    found = faults(ground(), Known({**STATES, key: status}))

    assert [(one.key, one.means) for one in found] == ([(key, repaired_by)] if repaired_by else [])
    assert task_of(found) == (
        {repaired_by: {key}} if repaired_by not in (None, Means.RESTART) else {}
    )


@pytest.mark.parametrize(("state", "lost"), [(State.CONFIGURED, True), (State.OBTAINED, False)])
def test_what_the_agent_still_has(state: State, lost: bool) -> None:
    """A key of ours that etcd has no more is sent again, unless the agent has read it from VPP."""
    key = keys.policy("5555::9")
    known = Known({**STATES, key: ValueStatus(key, state)})

    assert [one.key for one in faults(ground(), known)] == ([key] if lost else [])


def test_what_others_have_written_is_not_compared() -> None:
    """A value that srv6kv could not have written is no fault, whatever VPP has."""
    theirs = keys.localsid("8fff::1")
    bad: Json = {"sid": 5}

    assert faults(ground({theirs: bad}), Known(STATES, SEEN)) == []


NAMED = [
    (Means.RESEND, keys.policy("8fff::1"), "no key of srv6kv's below /vnf-agent/node1/"),
    (Means.REBIND, SID_KEY, "rebind is for policy only"),
    (Means.RECREATE, keys.policy("5555::9"), "is not in etcd"),
]


@pytest.mark.parametrize(("wished", "name", "text"), NAMED)
def test_a_key_that_a_means_is_not_for(wished: Means, name: str, text: str) -> None:
    """It is refused by its name."""
    with pytest.raises(InputError, match=f"^{name}: {text}"):
        asked(wished, ground(), Known(), (name,), ())


def test_named_keys() -> None:
    """They are taken in short or full form; a lost key that only the agent has can be sent."""
    full, lost = keys.agent_prefix(LABEL) + POLICY_KEY, keys.policy("5555::9")

    assert asked(Means.RECREATE, ground(), Known(), (full,), ()) == {Means.RECREATE: {POLICY_KEY}}
    assert asked(Means.RESEND, ground(), Known(), (lost,), ()) == {Means.RESEND: {lost}}


def test_kinds() -> None:
    """Only keys of these kinds; a kind that the means is not for is refused."""
    with pytest.raises(InputError, match="recreate is for policy only"):
        asked(Means.RECREATE, ground(), Known(), (), ("localsid",))

    assert asked(Means.REWRITE, ground(), Known(), (), ("policy",)) == {Means.REWRITE: {POLICY_KEY}}
    assert asked(Means.RESEND, ground(), Known(), (), ("rulechain",)) == {}


def test_only_policies_with_a_fault_are_rebound() -> None:
    """Where states are known: those that VPP has already, and those that the agent confuses."""
    other: dict[str, Json] = {keys.policy("5555::d7"): {**ETCD[POLICY_KEY], "bsid": "5555::d7"}}
    fault = Known({**STATES, POLICY_KEY: failed(POLICY_KEY, -12)})

    assert asked(Means.REBIND, ground(), Known(STATES), (), ()) == {}
    assert asked(Means.REBIND, ground(), fault, (), ()) == {Means.REBIND: {POLICY_KEY}}
    assert asked(Means.REBIND, ground(other), Known(STATES), (), ()) == {Means.REBIND: {POLICY_KEY}}


def test_without_states() -> None:
    """What VPP shows tells of faults alone; all policies are recreated, whatever is known."""
    shown = replace(SEEN, policies=())
    everything = {Means.RECREATE: {POLICY_KEY}}

    assert {one.key for one in faults(ground(), Known(None, shown))} == {POLICY_KEY, STEERING_KEY}
    assert asked(Means.RECREATE, ground(), Known(), (), ()) == everything
    assert asked(Means.RECREATE, ground(), Known(STATES), (), ()) == everything


def left(found: Ground) -> dict[str, str]:
    """Why the policy cannot be rebound."""
    return plan_repair({Means.REBIND: frozenset({POLICY_KEY})}, found).left


def test_policies_that_cannot_be_rebound() -> None:
    """Nothing is steered into it, another writer's steering is, or its BSID is in no range."""
    name = keys.steering("theirs")
    theirs: dict[str, Json] = {name: {**ETCD[STEERING_KEY], "name": "theirs"}}
    elsewhere = ground()
    elsewhere.ranges = replace(RANGES, bsids=(), keys=(POLICY_KEY,))

    assert left(ground()) == {}
    assert left(ground({STEERING_KEY: None})) == {POLICY_KEY: "nothing is steered into it"}
    assert left(ground(theirs)) == {POLICY_KEY: f"{name} is steered into it, which is not srv6kv's"}
    assert left(elsewhere) == {POLICY_KEY: "its BSID lies in no range of srv6kv's"}


def test_a_step_whose_answer_was_lost() -> None:
    """It is done if every key has its value, and a revision that it had not before."""
    found = ground()
    entries = [
        KeyValue(FullKey(found.prefix + key), entry.value, entry.revision)
        for key, entry in found.actual.entries.items()
    ]
    notes = KeyValue(FullKey(f"/srv6kv/{LABEL}/ranges"), RANGES.dump(), 1)
    resend = plan_repair({Means.RESEND: frozenset({SID_KEY})}, found).steps[0]
    rewrite = plan_repair({Means.REWRITE: frozenset({SID_KEY})}, found).steps[0]
    gone = [one for one in entries if not one.key.endswith(SID_KEY)]

    assert not found.read([*entries, notes], 2, rewrite)
    assert not found.read([*entries, notes], 2, resend)
    assert found.read([*gone, notes], 3, rewrite)
    assert found.owed.keys() == {SID_KEY}
