"""The model prints its transactions as the agent does (agent rule A48), and VPP's objects as
VPP does (VPP rule V12)."""

from __future__ import annotations

import json

import pytest
from agentmodel import FakeVpp
from agentmodel.log import value_text
from agentmodel.objects import Localsid, Policy
from agentmodel.values import Api, decode
from agentvalues import LOCALSID, POLICY, end, policy, put, started, steering, vrf

from srv6kv.agentlog.writer import parse_value

RECREATED = """\
+======================================================================================================================+
| #7 - NBTransaction                                                                                                   |
+======================================================================================================================+
  * transaction arguments:
      - seqNum: 7
      - type: NB Transaction
      - values:
          - key: config/vpp/srv6/v2/policy/5555::d765
            val: { bsid:"5555::d765" segment_lists:{weight:1 segments:"6666:0:0:1::6"} }

o----------------------------------------------------------------------------------------------------------------------o
  * executed operations (2026-11-22 23:27:51.552 +0000 UTC -> 2026-11-22 23:27:51.552 +0000 UTC, dur: 0s):
      1. DELETE [IS-PENDING]:
          - key: config/vpp/srv6/v2/steering/s1
          - value: { name:"s1" policy_bsid:"5555::d765" l3_traffic:{installation_vrf_id:1 prefix_address:"2096::d765/128"} }$
      2. DELETE [RECREATE]:
          - key: config/vpp/srv6/v2/policy/5555::d765
          - value: { bsid:"5555::d765" srh_encapsulation:true segment_lists:{weight:1 segments:"6666:0:0:1::6"} }$
      3. CREATE [RECREATE]:
          - key: config/vpp/srv6/v2/policy/5555::d765
          - value: { bsid:"5555::d765" segment_lists:{weight:1 segments:"6666:0:0:1::6"} }$
      4. CREATE [WAS-PENDING]:
          - key: config/vpp/srv6/v2/steering/s1
          - value: { name:"s1" policy_bsid:"5555::d765" l3_traffic:{installation_vrf_id:1 prefix_address:"2096::d765/128"} }$
x----------------------------------------------------------------------------------------------------------------------x
| #7 - NBTransaction                                                                                        took 400us |
x----------------------------------------------------------------------------------------------------------------------x
"""  # noqa: E501  # as it was printed; $ stands for a blank at the end of a line

RETRIED = """\
| #4 - RetryFailedOps                                                               retrying failed TXN #1 (attempt 3) |
  * planned operations:
      1. CREATE [RETRY]:
          - key: config/vpp/srv6/v2/localsid/6666::5
          - value: { sid:"6666::5" base_end_function:{} }$
          - prev-error: failed to add local sid 6666::5: VPPApiError: Unspecified Error (-1)
      1. CREATE [RETRY FAILED]:
          - key: config/vpp/srv6/v2/localsid/6666::5
          - value: { sid:"6666::5" base_end_function:{} }$
          - prev-error: failed to add local sid 6666::5: VPPApiError: Unspecified Error (-1)
          - error: failed to add local sid 6666::5: VPPApiError: Unspecified Error (-1)
"""  # noqa: E501


def _marked(text: str) -> str:
    return text.replace(" \n", "$\n")


def test_a_policy_that_is_made_anew() -> None:
    """The worked example, byte for byte."""
    agent = started(vrf())
    pair = policy("5555::d765", "6666:0:0:1::6")
    agent.change(*pair)
    agent.change(*steering("s1", "5555::d765", "2096::d765/128"))
    for sid in ("6666::1", "6666::2", "6666::3"):
        agent.change(*end(sid))
    agent.change(*policy("5555::d765", "6666:0:0:1::6", srh_encapsulation=False))

    assert _marked(agent.log).endswith(RECREATED)


def test_a_retry_with_its_plan() -> None:
    """The worked example of a retry, line by line in their order."""
    agent = started(version=(3, 2))
    agent.vpp.localsid_add(Localsid("6666::5", 0, "end"))
    agent.change(*end())
    agent.rest()
    last = _marked(agent.log).rpartition("+\n| #4")
    lines = iter((last[1][2:] + last[2]).splitlines())

    for line in RETRIED.splitlines():
        assert line in lines, line


def test_what_is_invalid_and_what_waits() -> None:
    """Both are operations that do nothing."""
    agent = started(policy())
    agent.change(*put(f"{POLICY}5555::1", bsid="5555::1"))
    error = "- error: field SegmentLists is invalid: there must be defined at least one segment"
    assert "      1. UPDATE [NOOP INVALID]:\n" in agent.log
    assert error in agent.log
    agent.change(*steering(bsid="5555::2"))

    assert "      1. CREATE [NOOP IS-PENDING]:\n" in agent.log


def test_a_resync_says_so() -> None:
    """The start of an agent of 3.3 and later is an SB sync and a full resync."""
    agent = started(end())
    lines = agent.log.splitlines()

    assert lines[1].endswith("DownstreamResync |")
    assert "      - type: NB Transaction, SB Sync" in lines
    assert "      - type: NB Transaction, Full Resync" in lines


def test_a_log_of_v2() -> None:
    """Another header, angle brackets with a blank before the last, upper case in end functions."""
    agent = started(api="v2")
    function = {"outgoing_interface": "tap1", "next_hop": "2001::5"}
    agent.change(*put(f"{LOCALSID}6666::5", sid="6666::5", end_function_DX6=function))

    assert "| Transaction #1 " in agent.log
    assert "      - seq-num: 1\n" in agent.log
    assert (
        '            val: { sid:"6666::5" '
        'end_function_DX6:<outgoing_interface:"tap1" next_hop:"2001::5" > }\n'
    ) in agent.log


@pytest.mark.parametrize("api", ["v2", "v3"])
def test_srv6kv_reads_the_values_of_the_log(api: Api) -> None:
    """What srv6kv reads from a value's text is what the agent was given."""
    agent = started(api=api)
    key, text = policy("5555::1", "6666::1", "6666::2")
    agent.change(key, text)
    [line] = [line for line in agent.log.splitlines() if line.startswith("            val: ")]

    assert parse_value(key, line.partition("val:")[2]) == json.loads(text)


def test_value_texts() -> None:
    """Deleted and empty values; defaults are not printed, an empty End is."""
    key = f"{LOCALSID}6666::5"

    assert value_text(None) == "<NIL>"
    assert value_text(decode(key, b"{}")) == "<EMPTY>"
    assert value_text(decode(key, b'{"base_end_function":{}}')) == "{ base_end_function:{} }"


# VPP's own texts ----------------------------------------------------------------------------------


def _vpp(version: str) -> FakeVpp:
    vpp = FakeVpp(version)
    vpp.add_interface("tap-a", "TAP", 0, [])
    vpp.localsid_add(Localsid("6666::1", 0, "end"))
    vpp.localsid_add(Localsid("6666::2", 0, "dx6", "tap-a", "2001::5"))
    vpp.policy_add(Policy("5555::1", 0, True, False), ("6666::1", "6666::2"), 1)
    vpp.policy_add(Policy("5555::2", 0, False, False), ("6666::2",), 3)
    vpp.steering_add(0, "2096::1/128", "5555::1")
    return vpp


def test_policies_as_printed() -> None:
    """With backspaces, indexes over all policies, and the encap source since 23.06."""
    vpp = _vpp("23.06")

    assert vpp.cli("sh sr policies") == (
        "SR policies:\n"
        "[0].-\tBSID: 5555::1\n\tBehavior: Encapsulation\n\tEncapSrcIP: ::\n\tType: Default\n"
        "\tFIB table: 0\n\tSegment Lists:\n  \t[0].- < 6666::1, 6666::2, \b\b > weight: 1\n"
        "-----------\n"
        "[1].-\tBSID: 5555::2\n\tBehavior: SRH insertion\n\tType: Default\n"
        "\tFIB table: 0\n\tSegment Lists:\n  \t[1].- < 6666::2, \b\b > weight: 3\n"
        "-----------\n"
    )
    assert "EncapSrcIP" not in vpp.show_sr_policies("22.10")


@pytest.mark.parametrize(
    ("version", "texts"),
    [
        ("20.01", ["6666::1", "6666::2"]),
        ("23.06", ["6666::1", "6666::2/128"]),
        ("25.02", ["6666::1/128", "6666::2/128"]),
    ],
)
def test_localsids_as_printed(version: str, texts: list[str]) -> None:
    """The length behind an address depends on the version."""
    text = _vpp(version).show_sr_localsids()
    counters = "\tGood traffic: \t[0 packets : 0 bytes]\n\tBad traffic:  \t[0 packets : 0 bytes]\n"

    assert text == (
        f"SRv6 - My LocalSID Table:\n=========================\n"
        f"\tAddress: \t{texts[0]}\n\tBehavior: \tEnd\n{counters}--------------------\n"
        f"\tAddress: \t{texts[1]}\n"
        "\tBehavior: \tDX6 (Endpoint with decapsulation and IPv6 cross-connect)\n"
        f"\tIface:  \ttap0\n\tNext hop: \t2001::5\n{counters}--------------------\n"
    )


def test_steerings_as_printed() -> None:
    """Without their table."""
    text = "SR steering policies:\nTraffic\t\tSR policy BSID\nL3 2096::1/128\t5555::1\n"

    assert _vpp("23.06").show_sr_steering_policies() == text
