"""What is wrong and by which means it is mended, from what the agent and VPP say of one node."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest
from verifying import (
    ETCD,
    HOST_SEEN,
    HOST_SID,
    LABEL,
    POLICY_KEY,
    POLICY_SEEN,
    RANGES,
    SEEN,
    STATES,
    STEERING_KEY,
    TABLE,
    Json,
)

from srv6kv.agent.needs import Means
from srv6kv.agent.status import State, ValueStatus
from srv6kv.errors import InputError
from srv6kv.etcd.values import KeyValue
from srv6kv.ligato import keys
from srv6kv.repair.asked import asked
from srv6kv.repair.choose import Known, faults, is_deaf, leftovers
from srv6kv.repair.ground import Ground
from srv6kv.vpp.showsr_values import Policy, SegmentList, ShowSr, Steering

GLOBAL = "config/vpp/srv6/v2/srv6-global"


def ground(values: Mapping[str, Json | None] | None = None, shared: str = "{}") -> Ground:
    """The sample node in etcd, with other or no values for these keys."""
    prefix = keys.agent_prefix(LABEL)
    every = {**ETCD, **(values or {})}
    entries = [
        KeyValue(prefix + key, json.dumps(value).encode(), 1)
        for key, value in every.items()
        if value is not None
    ]
    own = f"/srv6kv/{LABEL}/"
    notes = [KeyValue(f"{own}ranges", RANGES.dump(), 1)]
    notes.append(KeyValue(f"{own}shared", shared.encode(), 1))
    found = Ground(LABEL)
    found.read([*entries, *notes], 1)
    return found


def means(shown: ShowSr) -> dict[str, Means | None]:
    """What mends what, on a node whose agent calls everything CONFIGURED."""
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
    """It recreations."""
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
    """Policies, localsids and steerings of ours that nobody knows of are named, not those of
    others, nor what the agent still has."""
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
