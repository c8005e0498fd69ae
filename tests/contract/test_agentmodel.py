"""What was measured on the real scheduler and the real SRv6 descriptors holds of the model: values
that come, change and go (agent rules A40 to A45)."""

from __future__ import annotations

import pytest
from agentmodel import State
from agentvalues import (
    GLOBAL,
    LOCALSID,
    POLICY,
    STEERING,
    calls,
    dx6,
    end,
    interface,
    policy,
    put,
    started,
    steering,
    vrf,
    weighted,
)

# Transactions (agent rules A36 and A40) -----------------------------------------------------------


def test_one_key_is_one_transaction() -> None:
    """Each key that changes is a transaction of its own, also one that changes nothing."""
    agent = started()
    before = len(agent.history)
    for _ in range(2):
        agent.change(*end("6666::1"))
        agent.change(*end("6666::2"))

    assert len(agent.history) == before + 4
    assert calls(agent) == ["localsid_add", "localsid_add"]


def test_a_resync_goes_by_kind_of_operation_and_key() -> None:
    """Deletes, re-creates, creates, updates; in each by key text."""
    agent = started(
        end("6666::9"), policy("5555::2"), policy("5555::3", "6666::1"), policy("5555::4")
    )
    agent.resync(
        dict(
            [
                policy("5555::3", "6666::2"),
                policy("5555::2", spray_behaviour=True),
                policy("5555::1"),
                end("6666::8"),
            ]
        )
    )

    done = [(op.operation, op.key.rpartition("/")[2]) for op in agent.history[-1].executed]
    assert done == [
        ("DELETE", "6666::9"),
        ("DELETE", "5555::4"),
        ("DELETE", "5555::2"),
        ("CREATE", "5555::2"),
        ("CREATE", "6666::8"),
        ("CREATE", "5555::1"),
        ("UPDATE", "5555::3"),
    ]


def test_what_waits_is_made_in_the_transaction_of_what_it_waits_for() -> None:
    """A steering waits for its policy and for its VRF, and comes with the last of them."""
    agent = started()
    agent.change(*steering())
    assert agent.states()[f"{STEERING}s"].details == (
        "sr-policy-for-steering-exists",
        "sr-steering-vrf-table-exists",
    )
    agent.change(*vrf())
    assert agent.state(f"{STEERING}s") == State.PENDING
    agent.change(*policy())

    assert [op.key for op in agent.history[-1].executed] == [f"{POLICY}5555::1", f"{STEERING}s"]
    assert agent.vpp.steered() == {(1, "2096::1/128"): "5555::1"}


def test_what_depends_goes_first_and_waits() -> None:
    """Before a policy goes its steering goes, and waits as PENDING."""
    agent = started(vrf(), policy(), steering())
    agent.change(f"{POLICY}5555::1", None)

    assert calls(agent) == ["steering_del", "policy_del"]
    assert agent.state(f"{STEERING}s") == State.PENDING
    assert agent.state(f"{POLICY}5555::1") == State.NONEXISTENT


@pytest.mark.parametrize(
    ("pair", "missing"),
    [
        (end("6666::5", installation_vrf_id=2), "sr-localsid-installation-vrf-table-exists"),
        (
            put(f"{LOCALSID}6666::5", sid="6666::5", end_function_dt6={"vrf_id": 2}),
            "sr-localsid-routing-lookup-vrf-table-exists",
        ),
        (
            put(f"{LOCALSID}6666::5", sid="6666::5", end_function_dt4={"vrf_id": 1}),
            "sr-localsid-routing-lookup-vrf-table-exists",
        ),
        (dx6(name="tap2"), "sr-localsid-outgoing-interface-exists"),
        (dx6(name=""), "sr-localsid-outgoing-interface-exists"),
        (policy("5555::1", installation_vrf_id=2), "sr-policy-vrf-table-exists"),
        (steering(bsid="5555::2"), "sr-policy-for-steering-exists"),
        (steering(bsid="5555:0::1"), "sr-policy-for-steering-exists"),
        (steering(table=2), "sr-steering-vrf-table-exists"),
        (steering(prefix="10.96.0.1/32"), "sr-steering-vrf-table-exists"),
    ],
)
def test_dependencies_are_compared_as_text(pair: tuple[str, bytes], missing: str) -> None:
    """4.2: each of these waits for ever, for exactly that."""
    agent = started(vrf(), interface(), policy("5555::1"))
    agent.change(*pair)

    status = agent.states()[pair[0]]
    expected = State.PENDING
    assert (status.state, status.details) == (expected, (missing,))


def test_the_main_vrf_is_always_there() -> None:
    """VRF 0 is read from VPP: OBTAINED, and good enough for a localsid."""
    agent = started()
    agent.change(*end())

    assert agent.state("config/vpp/v2/vrf-table/id/0/protocol/IPV6") == State.OBTAINED
    assert agent.state(f"{LOCALSID}6666::5") == State.CONFIGURED


# Localsids and steerings (agent rules A42 and A43) ------------------------------------------------


def test_a_changed_localsid_goes_and_comes() -> None:
    """There is no update: every change is a delete and a create."""
    agent = started(vrf(), interface(), dx6())
    agent.change(*dx6(hop="2001::6"))

    assert calls(agent) == ["localsid_del", "localsid_add"]


def test_equal_localsids() -> None:
    """PSP of End does not count, nor the case of an interface; the next hop of DX6 is text."""
    agent = started(vrf(), interface(), dx6(), end("6666::1"))
    agent.change(*end("6666::1", base_end_function={"psp": True}))
    agent.change(*dx6())
    assert calls(agent) == []
    agent.change(*dx6(hop="2001:0::5"))
    assert calls(agent) == ["localsid_del", "localsid_add"]


def test_a_changed_steering_goes_and_comes() -> None:
    """In one transaction; another spelling of the BSID is another policy for the dependency."""
    agent = started(vrf(), policy("5555::1"), policy("5555::2"), steering())
    agent.change(*steering(bsid="5555::2"))
    assert calls(agent) == ["steering_del", "steering_add"]
    agent.change(*steering(bsid="5555::2"))
    assert calls(agent) == []


def test_two_steerings_of_one_prefix_share_an_entry() -> None:
    """0.9: the last create wins, the deletion of either removes it."""
    agent = started(vrf(), policy("5555::1"), policy("5555::2"), steering("a"))
    agent.change(*steering("b", bsid="5555::2"))
    assert agent.vpp.steered() == {(1, "2096::1/128"): "5555::2"}
    agent.change(f"{STEERING}a", None)

    assert agent.vpp.steered() == {}
    assert agent.state(f"{STEERING}b") == State.CONFIGURED


def test_a_steering_by_index_is_invalid_since_3_5() -> None:
    """Before, it was tried, and VPP knows no index."""
    pair = put(f"{STEERING}i", name="i", policy_index=1, l3_traffic={"prefix_address": "2096::/64"})
    new, old = started(), started(version=(3, 4))
    for agent in (new, old):
        agent.change(*pair)
        agent.rest()

    assert new.state(pair[0]) == State.INVALID
    assert "(-2)" in old.states()[pair[0]].error


# Policies (agent rule A44) ------------------------------------------------------------------------


def test_lists_are_made_before_they_are_broken() -> None:
    """0.8: a change of the lists alone adds what is new, then deletes what is old."""
    agent = started(vrf(), policy("5555::1", "6666::1", "6666::2"), steering())
    agent.change(*policy("5555::1", "6666::2", "6666::3"))

    assert calls(agent) == ["list_add", "list_del"]
    assert agent.vpp.lists_of("5555::1") == [(("6666::3",), 1), (("6666::2",), 1)]


def test_order_of_lists_does_not_matter() -> None:
    """Reordering is no change."""
    agent = started(policy("5555::1", "6666::1", "6666::2"))
    agent.change(*policy("5555::1", "6666::2", "6666::1"))

    assert calls(agent) == []


def test_a_weight_is_changed_by_another_list() -> None:
    """A list with the new weight comes, the old one goes."""
    agent = started(weighted("5555::1", ("6666::1", 1), ("6666::2", 1)))
    agent.change(*weighted("5555::1", ("6666::1", 3), ("6666::2", 1)))

    assert calls(agent) == ["list_add", "list_del"]


@pytest.mark.parametrize(
    "more", [{"spray_behaviour": True}, {"srh_encapsulation": False}, {"installation_vrf_id": 1}]
)
def test_anything_else_makes_a_policy_anew(more: dict[str, object]) -> None:
    """0.8: the steerings go, the policy goes, the policy comes, the steerings come."""
    agent = started(vrf(), policy("5555::1", "6666::1", "6666::2"), steering())
    agent.change(*policy("5555::1", "6666::1", "6666::2", **more))

    assert calls(agent) == ["steering_del", "policy_del", "policy_add", "list_add", "steering_add"]


def test_a_spelling_that_vpp_does_not_print_fails_though_vpp_has_the_policy() -> None:
    """0.6: the lookup of the indexes is by text; retries find the BSID in use."""
    agent = started(vrf(), policy("5555::1", "6666:0::1"), steering())

    assert agent.vpp.policy("5555::1") is not None
    assert "can't find index for segment list" in agent.states()[f"{POLICY}5555::1"].error
    agent.rest()
    assert agent.state(f"{POLICY}5555::1") == State.FAILED
    assert "(-12)" in agent.states()[f"{POLICY}5555::1"].error
    assert agent.state(f"{STEERING}s") == State.PENDING


def test_upper_case_is_found() -> None:
    """The lookup compares in lower case, so only zeros matter."""
    agent = started(policy("555A::1", "666A::1"))

    assert agent.state(f"{POLICY}555A::1") == State.CONFIGURED


@pytest.mark.parametrize(("long", "short"), [("5555::11", "5555::1"), ("5555::1", "5555::")])
def test_a_bsid_that_begins_another_finds_the_wrong_block(long: str, short: str) -> None:
    """4.5b: the first block whose BSID begins with the text counts."""
    agent = started(policy(long, "6666::1"))
    agent.change(*policy(short, "6666::2"))
    assert agent.state(POLICY + short) == State.RETRYING
    other = started(policy(short, "6666::2"))
    other.change(*policy(long, "6666::1"))
    assert other.state(POLICY + long) == State.CONFIGURED


def test_weights_that_begin_each_other_confuse_the_indexes() -> None:
    """4.5c: with weights 10 and 1 on the same segments the list that goes is the wrong one."""
    agent = started(weighted("5555::1", ("6666::1", 10), ("6666::1", 1)))
    agent.change(*weighted("5555::1", ("6666::1", 10)))

    assert agent.state(f"{POLICY}5555::1") == State.RETRYING
    assert agent.vpp.lists_of("5555::1") == [(("6666::1",), 1)]


def test_a_list_that_was_spelt_otherwise_cannot_go() -> None:
    """Another spelling is no change, but the agent forgets the index of the list by it."""
    agent = started(policy("5555::1", "6666::a", "6666::b"))
    agent.change(*policy("5555::1", "6666::A", "6666::b"))
    assert calls(agent) == []
    agent.change(*policy("5555::1", "6666::b"))

    text = "failed to find index for segment list"
    assert text in agent.states()[f"{POLICY}5555::1"].error
    agent.rest()
    assert agent.state(f"{POLICY}5555::1") == State.CONFIGURED
    assert len(agent.vpp.lists_of("5555::1")) == 2


def test_the_same_bytes_again_do_no_harm() -> None:
    """A list can go after its policy was written again as it is."""
    agent = started(policy("5555::1", "6666::a", "6666::b"))
    agent.change(*policy("5555::1", "6666::a", "6666::b"))
    agent.change(*policy("5555::1", "6666::b"))

    assert calls(agent) == ["list_del"]


# The encap source (agent rule A45) ----------------------------------------------------------------

SOURCE = put(GLOBAL, encap_source_address="fe10::1")


def _sources(agent: object) -> list[str]:
    vpp = agent.vpp  # type: ignore[attr-defined]
    return [one.source for _, one in vpp.lists.all()]


def test_a_resync_makes_policies_before_the_encap_source() -> None:
    """By key text; each list keeps the source of its birth, and a change of weights renews it."""
    agent = started(SOURCE, policy("5555::1", "6666::1"))
    assert _sources(agent) == ["::"]
    agent.change(*weighted("5555::1", ("6666::1", 2)))
    assert _sources(agent) == ["fe10::1"]
    agent.change(GLOBAL, None)
    assert _sources(agent) == ["fe10::1"]
    assert agent.vpp.encap_source == "::"


def test_a_policy_that_waits_for_its_vrf_gets_the_source() -> None:
    """4.6: its VRF comes later by key text than the source."""
    agent = started(SOURCE, vrf(), policy("5555::1", installation_vrf_id=1))

    assert _sources(agent) == ["fe10::1"]


def test_a_bad_encap_source_fails_as_an_operation() -> None:
    """It is not validated: RETRYING, then FAILED."""
    agent = started()
    agent.change(*put(GLOBAL, encap_source_address="nonsense"))
    assert agent.state(GLOBAL) == State.RETRYING
    agent.rest()
    assert agent.state(GLOBAL) == State.FAILED
