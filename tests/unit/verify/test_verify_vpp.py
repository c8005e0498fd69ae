"""``verify``: etcd against VPP's text, each difference with its cause and its remedy."""

from __future__ import annotations

from dataclasses import replace

import pytest
from verifying import (
    ETCD,
    GLOBAL,
    HOST_SEEN,
    HOST_SID,
    LISTS,
    POLICY_KEY,
    POLICY_SEEN,
    SEEN,
    SID,
    SID_KEY,
    SID_SEEN,
    STATES,
    STEERING_KEY,
    STEERING_SEEN,
    TAP,
    configured,
    etcd_with,
    failed,
    held,
    only,
    states_with,
)

from srv6kv import verify
from srv6kv.agent.status import State, ValueStatus
from srv6kv.ligato import keys
from srv6kv.verify import Difference
from srv6kv.vpp.showsr_values import Localsid, Policy, SegmentList, ShowSr, Steering

ITS_VRF = "fib-table N (its own VRF: with another one VPP keeps a part of it for ever)"
LACKING: dict[str, ShowSr] = {
    SID_KEY: replace(SEEN, localsids=(HOST_SEEN,)),
    POLICY_KEY: replace(SEEN, policies=()),
    STEERING_KEY: replace(SEEN, steerings=()),
}


@pytest.mark.parametrize("key", LACKING)
def test_vpp_lacks_what_the_agent_callsconfigured(key: str) -> None:
    """VPP was restarted under a living agent; unknown states are told as such."""
    shown = LACKING[key]
    found = {item.subject: item for item in verify.compare(held(ETCD), STATES, shown)}
    alone = {item.subject: item for item in verify.compare(held(ETCD), None, shown)}

    assert (found[key].where, found[key].reason) == ("VPP", "NotInVpp")
    assert "VPP was restarted under a living agent" in found[key].cause
    assert "--means rewrite" in found[key].remedy.text
    assert "its states are not known" in alone[key].cause


def test_what_the_agent_has_not_done_is_told_once() -> None:
    """Where the agent says that it failed, or waits, VPP need not have the object."""
    states = states_with(
        failed(SID_KEY, -4),
        ValueStatus(STEERING_KEY, State.PENDING, details=("sr-policy-for-steering-exists",)),
    )
    shown = replace(SEEN, localsids=(HOST_SEEN,), steerings=())
    found = verify.compare(held(ETCD), states, shown)

    assert [item.where for item in found] == ["agent", "agent"]


def test_parts_that_were_cut_out_are_not_missing() -> None:
    """What somebody cut out of a text may be there."""
    shown = ShowSr((), (), (), elided=frozenset({"localsids", "policies", "steerings"}))

    assert verify.compare(held(ETCD), STATES, shown) == ()


def test_leaked_and_foreign_objects() -> None:
    """In our ranges it is a leak with the command that removes it; elsewhere somebody else's."""
    leaked = Localsid("6666::9", 128, "DX6", "tap9", "2001::9")
    shown = ShowSr(
        (SID_SEEN, HOST_SEEN, leaked, replace(HOST_SEEN, sid="9300::1")),
        (POLICY_SEEN, replace(POLICY_SEEN, bsid="5555::99"), replace(POLICY_SEEN, bsid="8fff::1")),
        (
            STEERING_SEEN,
            Steering("L3", "2096::99/128", "5555::99"),
            Steering("L3", "2001:db8::/64", "8fff::1"),
        ),
        "fe10::1",
    )
    found = verify.compare(held(ETCD), STATES, shown)

    assert [(item.subject, item.reason) for item in found] == [
        (keys.localsid("6666::9"), "NotInEtcd"),
        (keys.localsid("9300::1"), "Foreign"),
        (keys.policy("5555::99"), "NotInEtcd"),
        (keys.policy("8fff::1"), "Foreign"),
        ("steering 2001:db8::/64", "Foreign"),
        ("steering 2096::99/128", "NotInEtcd"),
    ]
    assert [item.remedy.text.partition(";")[0] for item in found if not item.is_foreign] == [
        f"vppctl sr localsid del prefix 6666::9/128 {ITS_VRF}",
        "vppctl sr policy del bsid 5555::99",
        "vppctl sr steer del l3 2096::99/128 via bsid 5555::99 [fib-table N]",
    ]


def test_a_leaked_localsid_of_an_old_version() -> None:
    """Before 20.05, and with a length of 0, VPP deletes it by another word."""
    old = Localsid("6666::9", None, "End")
    command = f"vppctl sr localsid del address 6666::9 {ITS_VRF}"

    for leaked, others in ((old, ()), (replace(old, length=0), (SID_SEEN, HOST_SEEN))):
        shown = ShowSr((leaked, *others))
        found = verify.compare(held({}), None, shown)
        remedies = [item.remedy.text for item in found if item.subject == keys.localsid("6666::9")]

        assert [remedy.partition(";")[0] for remedy in remedies] == [command]


@pytest.mark.parametrize(
    ("has", "what"),
    [
        (
            replace(POLICY_SEEN, lists=LISTS[:1]),
            f"it lacks < {SID} > weight 1",
        ),
        (
            replace(POLICY_SEEN, lists=(*LISTS, SegmentList(("6666::7",), 1))),
            "it has < 6666::7 > weight 1 that etcd has not",
        ),
        (
            replace(POLICY_SEEN, lists=(LISTS[0], replace(LISTS[1], weight=11))),
            f"it lacks < {SID} > weight 1; it has < {SID} > weight 11 that etcd has not",
        ),
        (
            replace(POLICY_SEEN, lists=(*LISTS, LISTS[1])),
            f"it has < {SID} > weight 1 that etcd has not",
        ),
        (replace(POLICY_SEEN, is_encap=False), "it inserts instead of what etcd has: encapsulates"),
        (replace(POLICY_SEEN, kind="Spray"), "its type is Spray instead of Default"),
        (replace(POLICY_SEEN, kind="TEF"), "its type is TEF instead of Default"),
        (replace(POLICY_SEEN, table=1), "its FIB table is 1 instead of 0"),
    ],
)
def test_another_policy(has: Policy, what: str) -> None:
    """Lists, weights, behaviour, type and table: each is named; the remedy: recreate."""
    found = only(verify.compare(held(ETCD), STATES, replace(SEEN, policies=(has,))))

    assert (found.subject, found.where, found.reason) == (POLICY_KEY, "VPP", "PolicyDiffers")
    assert found.what == what
    assert "--means recreate" in found.remedy.text


def test_weights_of_old_versions_are_not_trusted() -> None:
    """Digits behind the right weight may be junk of a VPP before 20.05; others are differences."""
    old = ShowSr(policies=(replace(POLICY_SEEN, encap_source=None),))
    assert old.policies is not None

    def seen(weight: int) -> tuple[Difference, ...]:
        lists = (LISTS[0], replace(LISTS[1], weight=weight))
        policy = replace(POLICY_SEEN, encap_source=None, lists=lists)
        return verify.compare(held(ETCD), STATES, replace(old, policies=(policy,)))

    assert seen(17) == seen(1) == ()
    assert only(seen(71)).reason == "PolicyDiffers"


def test_a_policy_with_more_than_255_lists() -> None:
    """The text shows them all, so they are compared one by one."""
    lists = [{"weight": 1, "segments": [f"6666::{n:x}"]} for n in range(1, 301)]
    every = etcd_with({POLICY_KEY: ETCD[POLICY_KEY] | {"segment_lists": lists}})
    seen = tuple(SegmentList((f"6666::{n:x}",), 1, n) for n in range(1, 301))
    same = replace(SEEN, policies=(replace(POLICY_SEEN, lists=seen),))
    wrapped = replace(SEEN, policies=(replace(POLICY_SEEN, lists=seen[:44]),))

    assert verify.compare(every, STATES, same) == ()
    assert "and 252 more" in only(verify.compare(every, STATES, wrapped)).what


@pytest.mark.parametrize(
    ("has", "what"),
    [
        (Localsid(SID, 128, "DT6", table=0), "its behaviour is DT6 instead of DX6"),
        (replace(SID_SEEN, next_hop="2001::6"), "its next hop is 2001::6 instead of 2001:0:0:1::5"),
        (replace(SID_SEEN, interface="memif0/0"), f"it sends to memif0/0, and {TAP} is TAP"),
        (replace(HOST_SEEN, table=2), "it looks up table 2 instead of 1"),
    ],
)
def test_another_localsid(has: Localsid, what: str) -> None:
    """Behaviour, next hop, table, and an interface of another kind."""
    others = tuple(item for item in (SID_SEEN, HOST_SEEN) if item.sid != has.sid)
    found = only(verify.compare(held(ETCD), STATES, replace(SEEN, localsids=(*others, has))))

    assert (found.subject, found.reason, found.what) == (
        *(keys.localsid(has.sid), "LocalsidDiffers", what),
    )
    assert "--means rewrite" in found.remedy.text


def test_interfaces_by_their_names() -> None:
    """With names a wrong interface is told; without, one of the same kind cannot be told."""
    other = replace(SEEN, localsids=(replace(SID_SEEN, interface="tap5"), HOST_SEEN))
    found = only(verify.compare(held(ETCD), STATES, other, {TAP: "tap4"}))

    assert found.what == f"it sends to tap5 instead of tap4 ({TAP})"
    assert verify.compare(held(ETCD), STATES, other) == ()


def test_psp_that_the_agent_has_ignored() -> None:
    """A change of PSP alone does nothing in the agent, so VPP has the old one."""
    value = {"sid": SID, "base_end_function": {"psp": True}}
    shown = replace(SEEN, localsids=(Localsid(SID, 128, "End"), HOST_SEEN))
    found = only(verify.compare(etcd_with({SID_KEY: value}), STATES, shown))

    assert found.what == "PSP is off"
    assert "ignores one of PSP" in found.cause


def test_the_table_of_an_old_version_is_an_index() -> None:
    """Where no length is printed the number may be VPP's index of the table: it is not compared."""
    shown = ShowSr((replace(SID_SEEN, length=None), replace(HOST_SEEN, length=None, table=7)))

    assert verify.compare(held(ETCD), STATES, shown) == ()


def test_a_deleted_interface() -> None:
    """It is named, with the danger that somebody else gets its packets."""
    gone = replace(SID_SEEN, interface="DELETED (7)")
    found = only(verify.compare(held(ETCD), STATES, replace(SEEN, localsids=(gone, HOST_SEEN))))

    assert (found.reason, TAP in found.what) == ("InterfaceDeleted", True)
    assert "its packets are lost" in found.cause


def test_localsids_that_vpp_cannot_print() -> None:
    """A DX2 that VPP does not print may be one of those that it cannot."""
    value = {"sid": SID, "end_function_dx2": {"outgoing_interface": TAP}}
    every = etcd_with({SID_KEY: value})
    shown = replace(SEEN, localsids=(HOST_SEEN,))

    assert verify.compare(every, STATES, replace(shown, unsupported=1)) == ()
    assert only(verify.compare(every, STATES, shown)).reason == "NotInVpp"


def test_the_encap_source_of_policies() -> None:
    """A source of :: is told with start-up file and remedy; another than srv6-global's too."""
    etcd = etcd_with({GLOBAL: {"encap_source_address": "fe10:0::1"}})
    states = STATES | configured(etcd)
    unset = replace(SEEN, policies=(replace(POLICY_SEEN, encap_source="::"),))
    other = replace(SEEN, policies=(replace(POLICY_SEEN, encap_source="fe10::2"),))
    found = only(verify.compare(etcd, states, unset))
    differs = only(verify.compare(etcd, states, other))

    assert verify.compare(etcd, states, SEEN) == ()
    assert verify.compare(held(ETCD), STATES, other) == ()
    assert (found.subject, found.reason) == (POLICY_KEY, "EncapSourceUnset")
    assert "makes policies before srv6-global" in found.cause
    assert "srv6kv vpp-exec" in found.remedy.text
    assert "--means recreate" in found.remedy.text
    assert (differs.subject, differs.reason) == (POLICY_KEY, "EncapSourceDiffers")


def test_the_encap_source_of_vpp() -> None:
    """VPP's own source counts for new policies; without policies that encapsulate for nothing."""
    unset = replace(SEEN, encap_source="::")
    found = only(verify.compare(held(ETCD), STATES, unset))
    none = held({})

    assert (found.subject, found.reason) == (GLOBAL, "EncapSourceUnset")
    assert verify.compare(none, {}, ShowSr((), (), (), "::")) == ()


def test_the_order_is_stable() -> None:
    """Differences come in the order in which keys are written, whatever order they were read in."""
    shown = ShowSr((), (), ())
    found = verify.compare(held(ETCD), STATES, shown)
    backwards = held(dict(reversed(ETCD.items())))

    assert [item.subject for item in found] == [
        *(keys.localsid(HOST_SID), SID_KEY, POLICY_KEY, STEERING_KEY),
    ]
    assert verify.compare(backwards, dict(reversed(STATES.items())), shown) == found
