"""Reading VPP's ``show sr ...``: every version, every way a text comes here, and no other error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from showsr_texts import Dialect, outputs, session, shown, shuffled, terminal

from srv6kv.errors import InputError
from srv6kv.ligato import keys
from srv6kv.vpp import showsr
from srv6kv.vpp.showsr_read import merged, read
from srv6kv.vpp.showsr_values import Localsid, Policy, SegmentList, ShowSr, Steering

SAMPLE_STEERINGS = """\
vpp# sh sr steering-policies
SR steering policies:
Traffic SR policy BSID
L3 2096::a/128 5555::a
L3 2096::d765/128 5555::d765
"""
SAMPLE_POLICIES = """\
vpp# sh sr policies
SR policies:
[0].- BSID: 5555::a
Behavior: Encapsulation
Type: Default
FIB table: 0
Segment Lists:
[0].- < 6666:0:0:1::2 > weight: 1
[1].- < 6666:0:0:1::3 > weight: 1
-----------
[1].- BSID: 5555::5ce9
Behavior: Encapsulation
Type: Default
FIB table: 0
Segment Lists:
[2].- < 6655::1 > weight: 1
-----------
...
"""
SAMPLE_LOCALSIDS = """\
vpp# sh sr localsids
SRv6 - My LocalSID Table:
=========================
Address: 7766:f00d::1
Behavior: End
Good traffic: [0 packets : 0 bytes]
Bad traffic: [0 packets : 0 bytes]
--------------------
...
--------------------
Address: 6666:0:0:1::5
Behavior: DX6 (Endpoint with decapsulation and IPv6 cross-connect)
Iface: tap4
Next hop: 2001:0:0:1::5
Good traffic: [0 packets : 0 bytes]
Bad traffic: [0 packets : 0 bytes]
--------------------"""
"""As the page about Contiv's services shows them, with parts cut out."""
SEEN = ShowSr(
    (
        Localsid("7766:f00d::1", None, "End"),
        Localsid("6666:0:0:1::5", None, "DX6", "tap4", "2001:0:0:1::5"),
    ),
    (
        Policy(
            *("5555::a", True, "Default", 0),
            (SegmentList(("6666:0:0:1::2",), 1, 0), SegmentList(("6666:0:0:1::3",), 1, 1)),
        ),
        Policy("5555::5ce9", True, "Default", 0, (SegmentList(("6655::1",), 1, 2),), index=1),
    ),
    (Steering("L3", "2096::a/128", "5555::a"), Steering("L3", "2096::d765/128", "5555::d765")),
    elided=frozenset({"localsids", "policies"}),
)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_the_samples_of_contiv(ending: str) -> None:
    """All three are read, alone and one after the other, and what is cut out is told."""
    texts = [
        text.replace("\n", ending) for text in (SAMPLE_STEERINGS, SAMPLE_POLICIES, SAMPLE_LOCALSIDS)
    ]

    assert read(ending.join(texts)) == SEEN
    assert merged(map(read, texts)) == SEEN


@given(outputs(), st.integers(0, 99))
def test_every_version_is_read(drawn: tuple[ShowSr, Dialect], seed: int) -> None:
    """What any VPP shows is read back equal, in any order and however it came here."""
    what, dialect = drawn

    assert read(shown(what, dialect, shuffled(seed))) == what


ADDRESS = st.integers(1, 0xFFFF).map(lambda low: f"6666:0:0:1::{low:x}")
FUNCTIONS: tuple[dict[str, Any], ...] = (
    {"base_end_function": {}},
    {"base_end_function": {"psp": True}},
    {"end_function_x": {"next_hop": "2001::1", "outgoing_interface": "tap1"}},
    {"end_function_t": {"vrf_id": 3}},
    {"end_function_dx2": {"outgoing_interface": "memif0/0"}},
    {"end_function_dx4": {"next_hop": "10.0.0.1", "outgoing_interface": "tap2"}},
    {"end_function_dx6": {"next_hop": "2001::2", "outgoing_interface": "tap3"}},
    {"end_function_dt4": {"vrf_id": 4}},
    {"end_function_dt6": {}},
    {"end_function_ad": {"outgoing_interface": "tap5", "incoming_interface": "tap6"}},
)
LISTS = st.lists(
    st.fixed_dictionaries(
        {"weight": st.integers(1, 9), "segments": st.lists(ADDRESS, min_size=1, max_size=3)}
    ),
    min_size=1,
    max_size=3,
)


@given(
    st.dictionaries(ADDRESS, st.sampled_from(FUNCTIONS)),
    st.dictionaries(ADDRESS, LISTS),
    st.dictionaries(ADDRESS, ADDRESS),
)
def test_what_srv6kv_writes_is_read(
    sids: dict[str, dict[str, Any]],
    bsids: dict[str, list[dict[str, Any]]],
    steered: dict[str, str],
) -> None:
    """What our own writer prints for values is read back with their fields."""
    values: dict[str, dict[str, Any]] = {
        **{keys.localsid(sid): {"sid": sid, **one} for sid, one in sids.items()},
        **{keys.policy(b): {"bsid": b, "segment_lists": lists} for b, lists in bsids.items()},
        **{
            keys.steering(f"s{prefix}"): {
                "name": f"s{prefix}",
                "policy_bsid": bsid,
                "l3_traffic": {"prefix_address": f"{prefix}/128"},
            }
            for prefix, bsid in steered.items()
        },
    }
    writers = (showsr.show_localsids, showsr.show_policies, showsr.show_steerings)
    found = read("".join(write(values) for write in writers))

    assert {(p.bsid, x.segments, x.weight) for p in found.policies or () for x in p.lists} == {
        (bsid, tuple(x["segments"]), x["weight"]) for bsid, lists in bsids.items() for x in lists
    }
    assert {(s.traffic, s.bsid) for s in found.steerings or ()} == {
        (f"{prefix}/128", bsid) for prefix, bsid in steered.items()
    }
    assert {item.sid: _fields(item) for item in found.localsids or ()} == {
        sid: _expected(*next(iter(one.items()))) for sid, one in sids.items()
    }


def _fields(item: Localsid) -> tuple[Any, ...]:
    return item.behaviour, item.interface, item.next_hop, item.table, item.has_psp


def _expected(name: str, function: dict[str, Any]) -> tuple[Any, ...]:
    letters = name.removeprefix("end_function_")
    behaviour = {"base_end_function": "End", "ad": "End.AD"}.get(letters, letters.upper())
    interface = function.get("outgoing_interface") if letters != "ad" else None
    table = function.get("vrf_id", 0) if letters in ("t", "dt4", "dt6") else None
    return behaviour, interface, function.get("next_hop"), table, bool(function.get("psp"))


LINES = st.lists(
    st.sampled_from("\n".join([SAMPLE_STEERINGS, SAMPLE_POLICIES, SAMPLE_LOCALSIDS]).split("\n"))
    | st.text(max_size=20)
)


@given(st.text() | LINES.map("\n".join) | st.binary().map(lambda raw: raw.decode(errors="replace")))
@example("SR policies:\n[99999999999999].-\tBSID: ::\n")
@example("SR policies:\n[0].-\tBSID: ::\n[0].- < \ud800 > weight: 1")
@example("SR steering policies:\nL3 ::/٣\t::")
@example("SRv6 - My LocalSID Table:\nAddress: ::/" + "9" * 5000 + "\nBehavior: End\n" + "-" * 20)
@example("SR policies:\n[0].-\tBSID: ::\n[1].- < ::1 > weight: " + "9" * 5000)
def test_junk_is_one_kind_of_error(text: str) -> None:
    """Whatever a text is, it is read, or refused with a line; nothing else is raised."""
    try:
        said = f"line 1: {read(text)}"
    except InputError as error:
        said = str(error)

    assert said.startswith("line ")


POLICY = "SR policies:\n[0].-\tBSID: 5555::a\n\tBehavior: Encapsulation\n"
LOCALSID = "SRv6 - My LocalSID Table:\n\tAddress: \t6666::1\n"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "line 1: there is no output of 'show sr ...' in it"),
        ("hello\n", "line 1: there is no output"),
        (POLICY, "line 4: the entry that begins in line 2 does not end"),
        (POLICY + "vpp# ", "line 4: the entry that begins in line 2 does not end"),
        (POLICY + "-----------\n", "line 4: the entry that begins in line 2 has no 'FIB table'"),
        (POLICY + "\tFIB table: x\n-----------", "line 5: FIB table: 'x' is not a number"),
        (POLICY + "\tBehavior: SRH insertion", "line 4: the entry that begins in line 2 has"),
        (POLICY + "\tColour: red\n", "line 4: 'Colour: red' is no part of a policy"),
        (POLICY + "  \t[0].- < 6666::zz > weight: 1", "line 4: '6666::zz' is not an IPv6"),
        ("SR policies:\n[0].-\tBSID: x\n", "line 2: 'x' is not an IPv6 address"),
        ("SR policies:\n[0].- < ::1 > weight: 1\n", "line 2: a segment list outside of a policy"),
        ("SR policies:\nSR policies:\n", "line 2: the policies are shown twice"),
        ("SR policies:\nhello you\n", "line 2: 'hello you' is nothing that 'show sr policies'"),
        ("SR steering policies:\nL3\n", "line 2: 'L3' is nothing that 'show sr steering-policies'"),
        (LOCALSID + "--------------------", "line 3: the entry that begins in line 2 has no"),
        (LOCALSID + "\tBehavior: \tEnd\n\tIface: \ttap0", "line 4: 'Iface: tap0' is no part"),
        (
            LOCALSID + "\tBehavior: \tDX6 (x)\n\tIface: \ttap0\n--------------------",
            "line 5: the entry that begins in line 2 has no 'Next hop'",
        ),
        ("SR steering policies:\nL3 ::/129\t::1", "line 2: '::/129' is not a prefix"),
        ("SR encaps source addr = ::\nSR encaps source addr = ::1\n", "line 2: the encap source"),
    ],
)
def test_an_error_names_its_line(text: str, error: str) -> None:
    """What cannot be read is named with the line in which it is."""
    with pytest.raises(InputError) as raised:
        read(text)

    assert str(raised.value).startswith(error)


def test_the_same_output_in_two_files() -> None:
    """Two texts with the same output are refused: nobody knows which one counts."""
    with pytest.raises(InputError, match="the policies are shown twice"):
        merged([read(SAMPLE_POLICIES), read(SAMPLE_POLICIES)])


def test_junk_behind_a_weight_may_break_the_line() -> None:
    """What lies in memory behind a weight of 20.01 is passed over, even if it has line ends."""
    text = POLICY + (
        "\tType: Default\n\tFIB table: 0\n\tSegment Lists:\n"
        "  \t[0].- < 6666::1, 7777::2, \b\b > weight: 4\x7f\x01\b\nrubbish\n-----------\n"
    )
    found = read(text).policies

    assert found is not None
    assert found[0].lists == (SegmentList(("6666::1", "7777::2"), 4, 0),)


def test_an_answer_of_a_vpp_that_does_not_know_a_command() -> None:
    """An output is over where VPP says that it does not know the next command."""
    text = "SR steering policies:\nTraffic\t\tSR policy BSID\nL3 2096::a/128\t5555::a\n"
    found = read(f"{text}show sr: unknown input `encaps source addr'\n")

    assert (found.steerings, found.encap_source) == (
        *((Steering("L3", "2096::a/128", "5555::a"),), None),
    )


@pytest.mark.parametrize(
    "line",
    [
        *("vpp# ", "root@node1:~# ", "[root@node1 ~]# exit", "~ # ", "/ # ls", "$ "),
        *("exit", "logout", "^C", "Connection to node1 closed."),
        "command terminated with exit code 1",
    ],
)
def test_what_ends_a_session_ends_an_output(line: str) -> None:
    """A prompt of any usual shell, the word that ends it, or who ran it says that it is over."""
    text = f"\ufeffSR steering policies:\r\nL3 2096::a/128\t5555::a\r\n{line}\r\n"

    assert read(text).steerings == (Steering("L3", "2096::a/128", "5555::a"),)


REAL = """\
$ vppctl show sr policies (objects present)
SR policies:
[0].-\tBSID: fd11:b::2
\tBehavior: SRH insertion
\tType: Spray
\tFIB table: 11010
\tSegment Lists:
  \t[0].- < fd11:54::1,  > weight: 1
-----------
$ vppctl show sr steering-policies
SR steering policies:
Traffic\t\tSR policy BSID
L3 10.11.12.0/24\tfd11:b::2

SR encaps hop-limit = 64
SR encaps source addr = fd11:a::1
SR MPLS policies:
[0].-\tBSID: 11600
"""
"""Recorded by a tool that dropped the backspaces and nothing before them."""


def test_backspaces_that_were_dropped_and_other_outputs() -> None:
    """The comma that they rub out does not matter, nor do other outputs that come between."""
    lists = (SegmentList(("fd11:54::1",), 1, 0),)

    assert read(REAL) == ShowSr(
        policies=(Policy("fd11:b::2", False, "Spray", 11010, lists),),
        steerings=(Steering("L3", "10.11.12.0/24", "fd11:b::2"),),
        encap_source="fd11:a::1",
    )


def test_empty_lists_are_not_absent() -> None:
    """A VPP without objects shows empty lists; what was not shown at all is None."""
    found = read(session(terminal("SR policies:\n")))

    assert (found.policies, found.localsids, found.steerings) == ((), None, None)


def test_deleted_interfaces() -> None:
    """Old and new words for an interface that is gone say the same, also for a steering."""
    line = "\tBehavior: \tDX2 (Endpoint with decapulation and Layer-2 cross-connect)\n\tIface:  \t"
    texts = [
        f"{LOCALSID}{line}{name}\n--------------------\n" for name in ("DELETED", "DELETED (7)")
    ]
    found = [read(text).localsids or () for text in texts]
    steering = read("SR steering policies:\nL2 DELETED (7)\t5555::a\n").steerings

    assert [item.is_deleted for items in found for item in items] == [True, True]
    assert steering == (Steering("L2", "DELETED (7)", "5555::a"),)


def test_json_text_of_rest_is_the_same() -> None:
    """Backspaces and tabs survive the JSON string in which the agent's REST server sends a text."""
    text = POLICY + "\tFIB table: 0\n  \t[0].- < ::1, \b\b > weight: 1\n-----------\n"

    assert read(json.loads(json.dumps(text))) == read(text)
