"""``verify``: what is the same is no difference, and what is wrong with etcd's own keys."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from verifying import (
    BSID,
    ETCD,
    NAME,
    POLICY_KEY,
    POLICY_SEEN,
    SEEN,
    SID,
    SID_KEY,
    STATES,
    STEERING_KEY,
    TAP,
    Json,
    configured,
    etcd_with,
    held,
    only,
)

import srv6kv
from srv6kv import verify
from srv6kv.ligato import keys
from srv6kv.verify.differences import FOREIGN
from srv6kv.vpp import showsr
from srv6kv.vpp.showsr_read import read
from srv6kv.vpp.showsr_values import Localsid, ShowSr, Steering


def test_no_difference() -> None:
    """What is the same gives nothing, whichever sides are known, in any order of lists."""
    every = held(ETCD)

    assert verify.compare(every, STATES, SEEN) == ()
    assert verify.compare(every, STATES, SEEN, {TAP: "tap4"}) == ()
    assert verify.compare(every, None, SEEN) == ()
    assert verify.compare(every, STATES, None) == ()
    assert verify.compare(every, None, None) == ()


def test_what_was_not_compared_is_told() -> None:
    """Sides that are not known, outputs that are not shown and interfaces without a name."""
    every = held(ETCD)
    part = ShowSr(policies=(POLICY_SEEN,), elided=frozenset({"policies"}))

    assert list(verify.not_compared(every, STATES, SEEN, {TAP: "tap4"})) == []
    assert list(verify.not_compared(every, None, None)) == [
        "the agent (no states)",
        "VPP (no output of 'show sr ...')",
    ]
    assert list(verify.not_compared(every, STATES, part)) == [
        "VPP's localsids (not shown)",
        "missing policies of VPP (a part was cut out)",
        "VPP's steerings (not shown)",
    ]
    assert list(verify.not_compared(every, STATES, SEEN)) == [
        "the interfaces of 1 localsids (give --interfaces)"
    ]


EVERY = st.sampled_from(
    [
        {"base_end_function": {}},
        {"base_end_function": {"psp": True}},
        {"end_function_x": {"next_hop": "2001::1", "outgoing_interface": "a"}},
        {"end_function_t": {"vrf_id": 3}},
        {"end_function_dx2": {"outgoing_interface": "b"}},
        {"end_function_dx4": {"next_hop": "10.0.0.1", "outgoing_interface": "c"}},
        {"end_function_dx6": {"next_hop": "2001:0::2", "outgoing_interface": "d"}},
        {"end_function_dt4": {"vrf_id": 4}},
        {"end_function_dt6": {}},
        {"end_function_ad": {"outgoing_interface": "e", "incoming_interface": "f"}},
    ]
)
LOW = st.integers(0x1000, 0xFFFF).map(lambda low: f"6666:0:0:1::{low:x}")


@given(
    st.dictionaries(LOW, EVERY),
    st.dictionaries(LOW, st.lists(st.integers(1, 9), min_size=1, max_size=4, unique=True)),
    st.dictionaries(st.tuples(LOW, st.integers(0, 2)), LOW),
)
def test_what_our_writer_prints_is_the_same(
    sids: dict[str, Json], bsids: dict[str, list[int]], steered: dict[tuple[str, int], str]
) -> None:
    """Values, and what VPP would print for them, do not differ; without one of them they do."""
    values: dict[str, Json] = {keys.localsid(sid): {"sid": sid, **one} for sid, one in sids.items()}
    for bsid in {*bsids, *steered.values()}:
        lists = [{"weight": n, "segments": [f"7777::{n}"]} for n in bsids.get(bsid, [1])]
        values[keys.policy(bsid)] = {"bsid": bsid, "segment_lists": lists}
    for (address, vrf), bsid in steered.items():
        name = f"{address}-{vrf}"
        traffic = {"prefix_address": f"{address}/128", "installation_vrf_id": vrf}
        value = {"name": name, "policy_bsid": bsid, "l3_traffic": traffic}
        values[keys.steering(name)] = value
    writers = (showsr.show_localsids, showsr.show_policies, showsr.show_steerings)
    shown = read("".join(write(values) for write in writers))

    assert verify.compare(held(values), None, shown) == ()
    for key in values:
        fewer = {other: value for other, value in values.items() if other != key}
        assert verify.compare(held(fewer), None, shown), key
        lacking = read("".join(write(fewer) for write in writers))
        # Of one prefix steered into one policy in two VRFs, VPP does not tell which one is left.
        found = {item.subject for item in verify.compare(held(values), None, lacking)}
        assert found & {
            other for other in values if _shown_as(values, other) == _shown_as(values, key)
        }


def _shown_as(values: dict[str, Json], key: str) -> object:
    """A steering as VPP shows it, without its VRF; another key is itself."""
    value = values[key]
    if "l3_traffic" not in value:
        return key
    return value["l3_traffic"]["prefix_address"], value["policy_bsid"]


def test_addresses_are_compared_by_value() -> None:
    """Another spelling of a SID, a segment or a prefix in etcd is no difference in VPP."""
    sid = "6666:0000:0:1:0:0:0:ABCD"
    values: dict[str, Json] = {
        keys.localsid(sid): {"sid": sid, "base_end_function": {}},
        keys.steering("s"): {
            "name": "s",
            "policy_bsid": BSID,
            "l3_traffic": {"prefix_address": "2096:0:0::1/64"},
        },
    }
    shown = ShowSr((Localsid("6666:0:0:1::abcd", None, "End"),))
    steered = ShowSr(steerings=(Steering("L3", "2096::1/64", BSID),))

    assert verify.compare(held(values), None, shown) == ()
    assert verify.compare(held(values), None, steered) == ()


def test_a_value_that_the_agent_cannot_decode() -> None:
    """It is named with the decoder's reason, also if nobody asks the agent, and once only."""
    every = etcd_with({SID_KEY: b'{"sid": "6666::5", "colour": 1}'})
    states = {key: status for key, status in STATES.items() if key != SID_KEY}
    found = only(verify.compare(every, states, None))

    assert (found.subject, found.where, found.reason) == (SID_KEY, "etcd", "Unreadable")
    assert "colour" in found.what
    assert verify.compare(every, None, None) == (found,)


def test_a_key_that_does_not_fit_its_value() -> None:
    """The key that the agent makes is named, and that it voids a resync."""
    found = only(
        verify.compare(etcd_with({SID_KEY: ETCD[SID_KEY] | {"sid": "6666::9"}}), None, None)
    )

    assert (found.subject, found.reason) == (SID_KEY, "KeyMismatch")
    assert keys.localsid("6666::9") in found.what
    assert "drops all keys" in found.cause


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        (POLICY_KEY, {"bsid": BSID}, "segment_lists: there must be at least one"),
        (
            POLICY_KEY,
            {"bsid": BSID, "segment_lists": [{"segments": ["x"], "weight": 1}]},
            "'x' is not an IPv6 address",
        ),
        (STEERING_KEY, {"name": NAME, "policy_bsid": BSID}, "l3_traffic.prefix_address: missing"),
        (SID_KEY, {"sid": SID}, "end_function: 0 are set, not one"),
    ],
)
def test_a_value_that_the_agent_must_refuse(key: str, value: Json, what: str) -> None:
    """It is told without the agent."""
    found = only(verify.compare(etcd_with({key: value}), None, None))

    assert (found.subject, found.where, found.reason) == (key, "etcd", "Invalid")
    assert found.what == what


def test_bsids_that_are_the_beginning_of_another() -> None:
    """The shorter one is named with the longer: the agent may take one for the other."""
    shorter = keys.policy("5555::d76")
    found = only(
        verify.compare(etcd_with({shorter: ETCD[POLICY_KEY] | {"bsid": "5555::d76"}}), None, None)
    )

    assert (found.subject, found.reason) == (shorter, "BsidPrefix")
    assert BSID in found.what
    assert "--means rebind" in found.remedy.text


def test_two_steerings_of_one_prefix() -> None:
    """Both keys are named, as VPP has one entry for them; in another VRF it is another prefix."""
    twin = ETCD[STEERING_KEY] | {"name": "twin"}
    apart = twin | {"l3_traffic": {"prefix_address": "2096::d765/128"}, "name": "apart"}
    every = etcd_with({keys.steering("twin"): twin, keys.steering("apart"): apart})
    found = verify.compare(every, None, None)

    assert [(item.subject, item.reason) for item in found] == [
        (STEERING_KEY, "SharedPrefix"),
        (keys.steering("twin"), "SharedPrefix"),
    ]
    assert "2096::d765/128 in VRF 1" in found[0].what


def test_ipv4_text_is_taken_for_its_mapped_form() -> None:
    """As the agent does: VPP shows such a SID as an IPv6 address."""
    value = {"sid": "1.2.3.4", "base_end_function": {}}
    shown = ShowSr((Localsid("::ffff:102:304", None, "End"),))

    assert verify.compare(held({keys.localsid("1.2.3.4"): value}), None, shown) == ()


def test_every_reason_is_documented() -> None:
    """``docs/verify.md`` has a row for each reason that the code knows, and for no other."""
    root = Path(srv6kv.__file__).parent
    code = "\n".join(path.read_text() for path in (root / "verify").glob("*.py"))
    page = (root.parent / "docs" / "verify.md").read_text()
    table = page.partition("## Differences")[2].partition("\n## ")[0]
    cells = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    told = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    known = set(re.findall(r'(?:ETCD|AGENT|VPP),\s+"([A-Z]\w+)"', code))

    assert told == known | {"Failed", "Retrying", FOREIGN}


def test_a_remedy_can_be_done_as_it_stands() -> None:
    """It names the label and the key, so that nothing else is touched; what is not srv6kv's is left
    to whoever writes it."""
    theirs = keys.localsid("9300::1")
    etcd = etcd_with({theirs: {"sid": "9300::1", "base_end_function": {}}})
    found = verify.compare(etcd, configured(etcd), replace(SEEN, localsids=()))
    remedies = {item.subject: item.remedy.text for item in found}

    assert remedies[SID_KEY] == f"srv6kv repair --means rewrite --label node1 --key {SID_KEY}"
    assert remedies[theirs] == "have its writer delete it, wait 2 s and put it again"
