"""Whole logs in the agents' own words, written by hand from measured ones."""

from __future__ import annotations

from test_formats_txnlog import POLICY, STEERING, read, values

from srv6kv.agentlog.entries import Kind
from srv6kv.ligato import keys

LOCALSID = keys.localsid("6666::5")

PLANNED = """
+======================================================================================================================+
| #4 - RetryFailedOps                                                               retrying failed TXN #1 (attempt 3) |
+======================================================================================================================+
  * transaction arguments:
      - seqNum: 4
      - type: Retry Transaction (for txn #1, attempt #3)
      - values:
          - key: config/vpp/srv6/v2/localsid/6666::5
            val: { sid:"6666::5" base_end_function:{} }
  * planned operations:
      1. CREATE [RETRY]:
          - key: config/vpp/srv6/v2/localsid/6666::5
          - value: { sid:"6666::5" base_end_function:{} }\x20
          - prev-error: failed to add local sid 6666::5: VPPApiError: Unspecified Error (-1)

o----------------------------------------------------------------------------------------------------------------------o
  * executed operations (2026-11-22 23:27:51.552 +0000 UTC -> 2026-11-22 23:27:51.552 +0000 UTC, dur: 0s):
      1. CREATE [RETRY FAILED]:
          - key: config/vpp/srv6/v2/localsid/6666::5
          - value: { sid:"6666::5" base_end_function:{} }\x20
          - error: failed to add local sid 6666::5: VPPApiError: Unspecified Error (-1)
x----------------------------------------------------------------------------------------------------------------------x
| #4 - RetryFailedOps                                                                                       took 400us |
x----------------------------------------------------------------------------------------------------------------------x
"""  # noqa: E501  # the agent's frame is 120 wide

CHANGED = """
+======================================================================================================================+
| #7 - NBTransaction                                                                                                   |
+======================================================================================================================+
  * transaction arguments:
      - seqNum: 7
      - type: NB Transaction
      - Description: moved by hand
          in two lines
      - values:
          - key: config/vpp/srv6/v2/policy/5555::d765
time="2026-11-22 23:27:51" level=info msg="Transaction #6 successful! (took 1ms)" logger=kvscheduler
            val: { bsid:"5555::d765"  segment_lists:{weight:1  segments:"6666:0:0:1::6"} }
          - key: config/vpp/srv6/v2/steering/s1
            val: <NIL>

o----------------------------------------------------------------------------------------------------------------------o
  * executed operations (2026-11-22 23:27:51.552 +0000 UTC -> 2026-11-22 23:27:51.552 +0000 UTC, dur: 0s):
      1. UPDATE [NOOP INVALID]:
          - key: config/vpp/srv6/v2/policy/5555::d765
          - prev-value: { bsid:"5555::d765" srh_encapsulation:true segment_lists:{weight:1 segments:"6666::6"} }\x20
          - new-value: { bsid:"5555::d765" }\x20
          - error: field SegmentLists is invalid: there must be defined at least one segment list
x----------------------------------------------------------------------------------------------------------------------x
| #7 - NBTransaction                                                                                        took 400us |
x----------------------------------------------------------------------------------------------------------------------x
"""  # noqa: E501  # the agent's frame is 120 wide

OLD = """
+======================================================================================================================+
| Transaction #0                                                                          NB transaction (full resync) |
+======================================================================================================================+
  * transaction arguments:
      - seq-num: 0
      - type: NBTransaction
      - values:
          - key: config/vpp/srv6/v2/localsid/6666::5
            val: { sid:"6666::5" installation_vrf_id:1 end_function_DT6:<vrf_id:1 > }
          - key: config/vpp/v2/interfaces/loop0
            val: { name:"loop0" type:SOFTWARE_LOOPBACK enabled:true }
          - key: config/linux/iptables/v2/rulechain/c
            val: { name:"c" protocol:IPv6 table:NAT chain_type:OUTPUT }
o----------------------------------------------------------------------------------------------------------------------o
  * executed operations:
<NONE>
x----------------------------------------------------------------------------------------------------------------------x
"""  # noqa: E501  # the agent's frame is 120 wide

EMPTY = """
  * transaction arguments:
      - seqNum: 8
      - type: NB Transaction, NB Sync
      - values: NONE
  * planned operations:
<NONE>
"""


def test_a_retry() -> None:
    """A retry, with plan and error, gives nothing but the failure; the plan is not counted."""
    found, remarks = read(PLANNED)

    assert found == []
    assert [one.text for one in remarks] == [
        "1 operation failed; the values are those that the agent was asked for",
        "#0 to #3 not in the log before #4: what the agent was given there is missing, until its"
        " next full resync",
        f"CREATE of {LOCALSID} failed: failed to add local sid 6666::5: VPPApiError: Unspecified"
        " Error (-1)",
    ]


def test_a_change() -> None:
    """Double blanks, a description of two lines and another logger's line are no hindrance."""
    assert values(CHANGED) == [
        [
            (
                POLICY,
                {
                    "bsid": "5555::d765",
                    "segment_lists": [{"weight": 1, "segments": ["6666:0:0:1::6"]}],
                },
            ),
            (STEERING, None),
        ],
    ]


def test_an_old_log() -> None:
    """A log of an agent 2.x is read into today's names, and its header tells that it is a full
    resync where the type does not."""
    (found,), remarks = read(OLD)

    assert found.kind is Kind.RESYNC
    assert found.values == [
        (
            LOCALSID,
            {"sid": "6666::5", "installation_vrf_id": 1, "end_function_dt6": {"vrf_id": 1}},
        ),
        (
            keys.rule_chain("c"),
            {"name": "c", "protocol": "IPV6", "table": "NAT", "chain_type": "OUTPUT"},
        ),
    ]
    assert [one.text.partition(":")[0] for one in remarks] == ["config/vpp/v2/interfaces/"]


def test_an_empty_sync() -> None:
    """An NB sync without values wants nothing to be left."""
    (found,), _ = read(EMPTY)

    assert (found.kind, found.values) == (Kind.RESYNC, [])


def test_several() -> None:
    """One after the other they are what they are alone."""
    alone = [one for text in (PLANNED, CHANGED, EMPTY, OLD) for one in values(text)]

    assert values(PLANNED + CHANGED + EMPTY + OLD) == alone
