"""``verify``: etcd against the agent's states, each difference with its cause and its remedy."""

from __future__ import annotations

from dataclasses import replace

import pytest
from podchains import chain_keys
from verifying import (
    BSID,
    ETCD,
    HOST_SID,
    POLICY_KEY,
    SEEN,
    SID_KEY,
    STATES,
    STEERING_KEY,
    TABLE,
    TAP,
    TAP_KEY,
    Json,
    etcd_with,
    failed,
    held,
    only,
    states_with,
)

from srv6kv import verify
from srv6kv.agent.status import State, ValueStatus
from srv6kv.ligato import keys
from srv6kv.verify.agentstate import needed, plain_of, text_of, worse_of
from srv6kv.vpp.showsr_values import ShowSr


def test_an_agent_that_reads_nothing() -> None:
    """One difference says so, instead of one for every key, in VPP too."""
    found = only(verify.compare(held(ETCD), {}, ShowSr((), (), ())))

    assert (found.where, found.reason) == ("agent", "AgentReadsNothing")
    assert "label" in found.cause
    assert "MICROSERVICE_LABEL" in found.remedy.text


@pytest.mark.parametrize("state", [None, State.REMOVED, State.NONEXISTENT])
def test_a_key_that_the_agent_does_not_know(state: State | None) -> None:
    """No state, or that of a value that is gone: it has missed the change."""
    states = dict(STATES)
    del states[POLICY_KEY]
    if state is not None:
        states[POLICY_KEY] = ValueStatus(POLICY_KEY, state)
    found = only(verify.compare(held(ETCD), states, None))

    assert (found.subject, found.reason) == (POLICY_KEY, "NotInAgent")
    assert "--means resend" in found.remedy.text


def test_a_value_that_the_agent_has_kept() -> None:
    """A state without a key is a leftover of ours, or somebody else's and nothing wrong."""
    ours, others = keys.policy("5555::1"), keys.policy("8fff::1")
    removed = ValueStatus(keys.policy("5555::2"), State.REMOVED)
    extra = (ValueStatus(ours, State.CONFIGURED), ValueStatus(others, State.CONFIGURED), removed)
    found = verify.compare(held(ETCD), states_with(*extra), None)

    assert [(item.subject, item.reason, item.is_foreign) for item in found] == [
        (ours, "NotInEtcd", False),
        (others, "Foreign", True),
    ]
    assert "--means resend" in found[0].remedy.text


PENDING = [
    (SID_KEY, "sr-localsid-outgoing-interface-exists", TAP_KEY, f"interface '{TAP}'"),
    (SID_KEY, "sr-localsid-installation-vrf-table-exists", TABLE, "the IPV6 table of VRF 1"),
    (STEERING_KEY, "sr-policy-for-steering-exists", POLICY_KEY, f"policy {BSID}"),
    (STEERING_KEY, "sr-steering-vrf-table-exists", TABLE, "the IPV6 table of VRF 1"),
    (keys.localsid(HOST_SID), "sr-localsid-routing-lookup-vrf-table-exists", TABLE, "the IPV6"),
]


@pytest.mark.parametrize(("key", "label", "needs", "name"), PENDING)
def test_pending(key: str, label: str, needs: str, name: str) -> None:
    """What a value waits for is named: nobody wrote it, or the agent has not done that either."""
    pending = ValueStatus(key, State.PENDING, details=(label,))
    states = states_with(pending)
    without = {k: v for k, v in states.items() if k != needs}
    missing = only(verify.compare(etcd_with({needs: None}), without, None))
    undone = verify.compare(held(ETCD), states_with(pending, failed(needs, -1)), None)
    done = only(verify.compare(held(ETCD), states, None))
    waits = [item.cause for item in undone if item.subject == key]

    assert (missing.subject, missing.where, missing.reason) == (key, "agent", "Pending")
    assert missing.what.startswith(f"it waits for {name}")
    assert missing.what.endswith(f"({label})")
    assert missing.cause == f"{needs} is not in etcd"
    assert waits == [f"{needs} is in etcd, but the agent has it FAILED"]
    assert done.cause == f"the agent has {needs} by now"


def test_pending_on_several_and_on_nothing() -> None:
    """Each dependency has a line; a localsid without interface waits for ever."""
    labels = (PENDING[0][1], PENDING[1][1])
    value = ETCD[SID_KEY] | {"end_function_dx6": {"next_hop": "2001:0:0:1::5"}}
    waiting = ValueStatus(SID_KEY, State.PENDING, details=labels)
    both = verify.compare(etcd_with({TAP_KEY: None, TABLE: None}), {SID_KEY: waiting}, None)
    never = ValueStatus(SID_KEY, State.PENDING, details=(PENDING[0][1],))
    found = only(verify.compare(etcd_with({SID_KEY: value}), states_with(never), None))

    assert [item.what for item in both if item.subject == SID_KEY] == [
        f"it waits for interface '{TAP}' ({labels[0]})",
        f"it waits for the IPV6 table of VRF 1 ({labels[1]})",
    ]
    assert found.cause == "the value names no interface: it waits for ever"


def test_what_is_met_by_now_is_not_waited_for() -> None:
    """The agent's details keep a dependency that has come meanwhile: only the others are told."""
    labels = (PENDING[2][1], PENDING[3][1])
    pending = ValueStatus(STEERING_KEY, State.PENDING, details=labels)
    states = states_with(pending, failed(POLICY_KEY, -12))
    found = verify.compare(held(ETCD), states, None)

    assert [item.what for item in found if item.subject == STEERING_KEY] == [
        f"it waits for policy {BSID} (sr-policy-for-steering-exists)"
    ]


def test_invalid() -> None:
    """The field and the agent's word are told, and what an earlier value left in VPP."""
    status = ValueStatus(SID_KEY, State.INVALID, "VALIDATE", "invalid next hop", ("next_hop",))
    found = only(verify.compare(held(ETCD), states_with(status), None))

    assert (found.reason, found.what) == ("Invalid", "INVALID (next_hop): invalid next hop")
    assert "stays in VPP" in found.cause


@pytest.mark.parametrize(
    ("key", "code", "cause", "remedy"),
    [
        (SID_KEY, -1, "VPP has this SID already, in whichever VRF", "restart VPP and the agent"),
        (SID_KEY, -2, "no such interface", "--means resend"),
        (SID_KEY, -3, "no table of that VRF", "--means resend"),
        (SID_KEY, -4, "an entry for exactly this address", "remove that entry"),
        (SID_KEY, -5, "adjacency", "next hop"),
        (SID_KEY, -6, "plugin", "VPP's log"),
        (POLICY_KEY, -12, "has this BSID already (the agent was restarted", "--means rebind"),
        (POLICY_KEY, -13, "no table of that VRF", "VRF table"),
        (POLICY_KEY, -1, "no such policy", "--means rewrite"),
        (POLICY_KEY, -21, "last segment list", "--means recreate"),
        (POLICY_KEY, -22, "index of it is stale", "--means recreate"),
        (STEERING_KEY, -1, "no such kind of traffic", "correct"),
        (STEERING_KEY, -2, "no policy with this BSID", "--means rewrite"),
        (STEERING_KEY, -3, "hardware interface", "another interface"),
        (STEERING_KEY, -4, "no such steering", "--means rewrite"),
        (STEERING_KEY, -5, "inserts instead of encapsulating", "correct the policy"),
        (STEERING_KEY, -99, "not known for it (-99)", "VPP's log"),
    ],
)
def test_what_a_code_really_means(key: str, code: int, cause: str, remedy: str) -> None:
    """VPP's code is told in SRv6's meaning, not by the name that the agent gives it."""
    found = only(verify.compare(held(ETCD), states_with(failed(key, code)), None))

    assert (found.subject, found.where, found.reason) == (key, "agent", "Failed")
    assert f"({code})" in found.what
    assert cause in found.cause
    assert remedy in found.remedy.text


def test_a_bsid_that_vpp_does_not_have_as_a_policy() -> None:
    """-12 where VPP is seen without the policy is an entry of its table; with it, the policy."""
    states = states_with(failed(POLICY_KEY, -12))
    without = verify.compare(held(ETCD), states, replace(SEEN, policies=(), steerings=None))
    having = verify.compare(held(ETCD), states, SEEN)

    assert "such as a /128 route" in only(without).cause
    assert "restarted over a living VPP" in only(having).cause


def test_other_failures() -> None:
    """Deletions, lists that the agent did not find, and errors that are not VPP's."""
    dump = "can't find index for policy with bsid 5555::a in dump \"sr policies:\\n" + "x" * 9000
    gone = only(verify.compare(held(ETCD), states_with(failed(SID_KEY, -2, "DELETE")), None))
    index = only(verify.compare(held(ETCD), states_with(failed(POLICY_KEY, dump)), None))
    strange = only(verify.compare(held(ETCD), states_with(failed(SID_KEY, "tilt\n" * 99)), None))
    retrying = replace(failed(SID_KEY, -4), state=State.RETRYING)
    again = only(verify.compare(held(ETCD), states_with(retrying), None))

    assert "no such object any more" in gone.cause
    assert "does not find its lists" in index.cause
    assert index.what == "CREATE FAILED: can't find index for policy with bsid 5555::a"
    assert "what VPP has is not known" in strange.cause
    assert len(strange.what) < 250
    assert again.reason == "Retrying"
    assert again.remedy.text.startswith("ask again in 10 s")


def test_a_copy_of_rules_that_is_made_again_is_no_difference() -> None:
    """For a second after each change of a pod's services; one that cannot be made is one."""
    copy = chain_keys("five")[1]
    etcd = etcd_with({copy: {"name": copy.rpartition("/")[2]}})
    passing = replace(failed(copy, "busy", "UPDATE"), state=State.RETRYING)
    broken = replace(failed(copy, "no such target"), state=State.RETRYING)

    assert verify.compare(etcd, states_with(passing), None) == ()
    assert only(verify.compare(etcd, states_with(broken), None)).reason == "Retrying"


def test_an_image_without_the_plugin() -> None:
    """A value that the agent cannot make at all names the image."""
    status = ValueStatus(SID_KEY, State.UNIMPLEMENTED)
    found = only(verify.compare(held(ETCD), states_with(status), None))

    assert (found.reason, found.what) == ("Unimplemented", "it says UNIMPLEMENTED")
    assert "an image with the plugin" in found.remedy.text


@pytest.mark.parametrize(("details", "what"), [(("tilt",), "tilt"), ((), "something")])
def test_pending_on_what_is_not_of_srv6(details: tuple[str, ...], what: str) -> None:
    """The agent's own word is told, if it says one."""
    status = ValueStatus(SID_KEY, State.PENDING, details=details)
    found = only(verify.compare(held(ETCD), states_with(status), None))

    assert (found.reason, found.what) == ("Pending", f"it waits for {what}")


def test_an_interface_that_the_agent_has_forgotten() -> None:
    """An error about an index of it names the interface as the cause."""
    text = "interface tap doesn't exist sw index"
    found = only(verify.compare(held(ETCD), states_with(failed(SID_KEY, text)), None))

    assert "does not know the interface any more" in found.cause
    assert found.remedy.text.startswith("see that the interface is there, then ")


NEEDS: list[tuple[Json, str, str]] = [
    ({"end_function_ad": {"incoming_interface": "b"}}, "incoming-interface", "interface 'b'"),
    ({"end_function_dt4": {"vrf_id": 3}}, "routing-lookup-vrf-table", "the IPV4 table of VRF 3"),
    ({"tilt": 1}, "routing-lookup-vrf-table", "the IPV6 table of VRF 0"),
]


@pytest.mark.parametrize(("value", "label", "name"), NEEDS)
def test_what_a_localsid_needs(value: Json, label: str, name: str) -> None:
    """An end function's interface or table, that of VRF 0 if it has no end function."""
    assert needed(SID_KEY, value, f"sr-localsid-{label}-exists")[0] == name


def test_what_a_steering_needs() -> None:
    """The table of its prefix's family, or the interface whose packets are steered."""
    four: Json = {"l3_traffic": {"prefix_address": "10.0.0.1/32"}}
    two: Json = {"l2_traffic": {"interface_name": "a"}}
    table, link = "sr-steering-vrf-table-exists", "sr-steering-l2-interface-exists"

    assert needed(STEERING_KEY, four, table) == (
        "the IPV4 table of VRF 0",
        keys.vrf_table(0, "IPV4"),
    )
    assert needed(STEERING_KEY, two, link) == ("interface 'a'", f"{keys.INTERFACE}a")


@pytest.mark.parametrize(
    ("status", "text", "plain"),
    [
        (None, "unknown", {"state": "unknown"}),
        (STATES[SID_KEY], "CONFIGURED", {"state": "CONFIGURED"}),
        (
            ValueStatus(SID_KEY, State.PENDING, details=(PENDING[0][1], "tilt")),
            f"PENDING: waits for interface '{TAP}', tilt",
            {"state": "PENDING", "details": [PENDING[0][1], "tilt"]},
        ),
        (
            ValueStatus(SID_KEY, State.FAILED, error="no"),
            "FAILED: no",
            {"state": "FAILED", "error": "no"},
        ),
    ],
)
def test_a_state_in_words(status: ValueStatus | None, text: str, plain: Json) -> None:
    """State, and what is known of why."""
    assert text_of(status, ETCD[SID_KEY]) == text
    assert plain_of(status) == plain


def test_the_worse_of_two_states() -> None:
    """What is not there yet counts before what is unknown, and that before what is there."""
    good, bad = STATES[SID_KEY], ValueStatus(POLICY_KEY, State.FAILED)

    assert worse_of(good, bad) is bad
    assert worse_of(bad, None) is bad
    assert worse_of(good, None) is None
    assert worse_of(None, good) is None
    assert worse_of(good, STATES[POLICY_KEY]) is good
