"""What an agent was given, read from its log: both generations, and what comes in between."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from agentlogs import NOISE, LogWriter, created
from test_formats_agentlog import SEED, SEED_VALUES

from srv6kv.agentlog.entries import Kind, Logged, kind_of, time_of
from srv6kv.agentlog.reader import LogReader
from srv6kv.agentlog.remarks import Remark
from srv6kv.ligato import keys
from srv6kv.ligato.schema import Api

LOCALSID = keys.localsid("6666::5")
POLICY = keys.policy("5555::d765")
STEERING = keys.steering("s1")
CHAIN = keys.rule_chain("c")
LOCALSID_JSON = b'{"end_function_dt6":{"vrf_id":1},"sid":"6666::5"}'
POLICY_JSON = b'{"bsid":"5555::d765","segment_lists":[{"segments":["6666::5"],"weight":1}]}'
LOCALSID_VALUE = {"sid": "6666::5", "end_function_dt6": {"vrf_id": 1}}
POLICY_VALUE = {"bsid": "5555::d765", "segment_lists": [{"segments": ["6666::5"], "weight": 1}]}
VALUES = [(LOCALSID, LOCALSID_JSON), (POLICY, POLICY_JSON)]
READ: list[tuple[str, dict[str, Any] | None]] = [
    (LOCALSID, LOCALSID_VALUE),
    (POLICY, POLICY_VALUE),
]
ERROR = "failed to add local sid 6666::5: VPPApiError: Unspecified Error (-1)"

both = pytest.mark.parametrize("api", ["v2", "v3"])


def read(log: str | Iterable[str]) -> tuple[list[Logged], list[Remark]]:
    """The transactions and remarks of a log."""
    reader = LogReader()
    lines = log.splitlines() if isinstance(log, str) else log
    return list(reader.read(lines)), reader.remarks()


def values(log: str) -> list[list[tuple[str, dict[str, Any] | None]]]:
    """The values of each transaction."""
    return [one.values for one in read(log)[0]]


def whole(api: Api) -> LogWriter:
    """A log of one transaction that was done."""
    writer = LogWriter(api)
    writer.change(VALUES)
    return writer


@both
def test_changes(api: Api) -> None:
    """Each transaction has its values with today's names, its number, line and time."""
    writer = whole(api)
    writer.change([(POLICY, None)])
    first, second = read(writer.text)[0]

    assert first == Logged(4, 0, Kind.CHANGE, READ, set(), "2026-11-22T23:27:51.552Z")
    assert (second.sequence, second.kind, second.values) == (1, Kind.CHANGE, [(POLICY, None)])
    assert read(writer.text)[1] == []


@both
@pytest.mark.parametrize("kind", ["Full Resync", "NB Sync"])
def test_resyncs(api: Api, kind: str) -> None:
    """A full resync and an NB sync have all values there are, possibly none."""
    writer = LogWriter(api)
    writer.sb_sync()
    writer.resync(dict(VALUES), kind=kind)
    writer.resync({}, kind=kind)
    found, remarks = read(writer.text)

    assert [(one.kind, one.values) for one in found] == [(Kind.RESYNC, READ), (Kind.RESYNC, [])]
    assert remarks == []


@both
def test_what_does_not_come_from_the_north(api: Api) -> None:
    """An SB sync, a retry and a notification are none of ours."""
    writer = whole(api)
    writer.retry(VALUES, of=0, attempt=1)
    writer.notification(STEERING)
    writer.sb_sync()

    assert values(writer.text) == [READ]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("NB Transaction", Kind.CHANGE),
        ("NBTransaction", Kind.CHANGE),
        ("NB transaction, Full-Resync", Kind.RESYNC),
        ("NBTransaction, Full Resync", Kind.RESYNC),
        ("NB Transaction, NB Sync", Kind.RESYNC),
        ("NB Transaction, UpstreamResync", Kind.RESYNC),
        ("NB Transaction, SB Sync", Kind.OTHER),
        ("NBTransaction, Downstream-Resync", Kind.OTHER),
        ("SB Notification", Kind.OTHER),
        ("SBNotification", Kind.OTHER),
        ("Retry Transaction (for txn #1, attempt #3)", Kind.OTHER),
        ("RetryFailedOps (for txn 1, attempt #3)", Kind.OTHER),
        ("UndefinedTxnType", Kind.OTHER),
    ],
)
def test_types(text: str, kind: Kind) -> None:
    """The words of every generation are known."""
    assert kind is kind_of(text)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("(2026-11-22 23:27:51.552 +0000 UTC -> x", "2026-11-22T23:27:51.552Z"),
        ("(2026-11-22 23:27:51.5 +0200 CEST -> x", "2026-11-22T21:27:51.500Z"),
        ("(2026-11-22 23:27:51 +0530 +0530 -> x", "2026-11-22T17:57:51.000Z"),
        ("(2026-13-22 23:27:51 +0000 UTC -> x", ""),
        ("(0001-01-01 00:00:00 +0100 CET -> x", ""),
        ("", ""),
    ],
)
def test_times(text: str, time: str) -> None:
    """The start of an execution is a time in UTC, or unknown."""
    assert time == time_of(f"* executed operations {text}")


def test_history_as_text() -> None:
    """What an agent's REST server tells of its history reads like its log."""
    text = """\
Transaction #0:
    * transaction arguments:
        - seqNum: 0
        - type: NB Transaction, Full Resync
        - values:
            - key: config/vpp/srv6/v2/localsid/6666::5
              val: { sid:"6666::5"  end_function_dt6:{vrf_id:1} }
    * executed operations (2026-11-22 23:27:51 +0000 UTC -> 2026-11-22 23:27:51 +0000 UTC, dur: 0s):
        1. CREATE:
            - key: config/vpp/srv6/v2/localsid/6666::5
            - value: { sid:"6666::5"  end_function_dt6:{vrf_id:1} }\x20
            - prev-state: NONEXISTENT\x20
            - new-state: CONFIGURED\x20

Transaction #1:
    * transaction arguments:
        - seqNum: 1
        - type: NB Transaction
        - Description: moved by hand
            in two lines
        - values:
            - key: config/vpp/srv6/v2/localsid/6666::5
              val: <NIL>
    * executed operations:
        <NONE>
"""
    found, remarks = read(text)

    assert [(one.kind, one.values, one.time) for one in found] == [
        (Kind.RESYNC, [(LOCALSID, LOCALSID_VALUE)], "2026-11-22T23:27:51.000Z"),
        (Kind.CHANGE, [(LOCALSID, None)], ""),
    ]
    assert remarks == []


def test_errors_before_execution() -> None:
    """What agents 2.0 say about values they cannot decode does not belong to the values."""
    text = f"""\
  * transaction arguments:
      - seq-num: 0
      - type: NB transaction
      - values:
          - key: {LOCALSID}
            val: {{ sid:"6666::5" }}
  * pre-processing errors:
      - key: {POLICY}
        error: unimplemented key
"""

    assert values(text) == [[(LOCALSID, {"sid": "6666::5"})]]


@both
def test_failures(api: Api) -> None:
    """Operations that failed are counted and named; the values are what was asked for."""
    writer = LogWriter(api)
    operations = [created(*VALUES[0], api, "", ERROR), created(*VALUES[1], api, "INVALID", "no")]
    writer.change(VALUES, operations)
    writer.retry(VALUES[:1], of=0, attempt=1, error=ERROR)
    found, remarks = read(writer.text)
    lines = writer.text.splitlines()

    assert [one.values for one in found] == [READ]
    assert [(one.text, one.is_bad) for one in remarks] == [
        ("3 operations failed; the values are those that the agent was asked for", False),
        (f"CREATE of {POLICY} failed: no", False),
        (f"CREATE of {LOCALSID} failed 2 times, here the last time: {ERROR}", False),
    ]
    assert lines[remarks[1].line - 1].endswith("- error: no")
    assert remarks[2].line == max(n for n, line in enumerate(lines, 1) if ERROR in line)


def test_models_that_nobody_knows() -> None:
    """Keys of other models are left out and counted by model, each key once."""
    writer = LogWriter("v3")
    names = ["loop0", "tap0", "tap0"]
    for name in names:
        writer.change([(keys.INTERFACE + name, b"{}"), (LOCALSID, LOCALSID_JSON)])
    writer.change([("config/vpp/nat/v2/nat44-global", b"{}"), ("linux/x/y", None)])
    found, remarks = read(writer.text)

    assert [one.values for one in found] == [[(LOCALSID, LOCALSID_VALUE)]] * 3 + [[]]
    assert [one.text.partition(" of a kind")[0] for one in remarks] == [
        "config/vpp/nat/v2/nat44-global: 1 key",
        "config/vpp/v2/interfaces/: 2 keys",
        "linux/: 1 key",
    ]


def test_labels_in_keys() -> None:
    """A label in front of the keys is taken off and told."""
    text = whole("v3").text.replace(" config/", " /vnf-agent/n1/config/")
    reader = LogReader()

    assert [one.values for one in reader.read(text.splitlines())] == [READ]
    assert reader.labels == {"n1"}


def test_other_lines_between() -> None:
    """Lines of the agent's own logger may stand between any two lines."""
    lines = whole("v2").text.splitlines()
    mixed = [line for one in lines for line in (one, NOISE.rstrip())]

    assert read(mixed)[0][0].values == READ
    assert read(mixed)[1] == []


@both
def test_a_description(api: Api) -> None:
    """Whatever it says, it is no key: the values that follow are whole."""
    writer = whole(api)
    text = writer.text.replace(
        "      - values:",
        f"      - Description: resync\n          - key: {STEERING}\n      - values:",
        1,
    )

    assert (values(text), read(text)[1]) == ([READ], [])


@both
def test_a_value_that_is_wrapped(api: Api) -> None:
    """A value that somebody's terminal has wrapped goes on until its brackets are closed."""
    lines = whole(api).text.splitlines()
    at = next(number for number, line in enumerate(lines) if "val: { bsid" in line)
    line = lines[at]
    for cut in range(line.index("val:") + 4, len(line)):
        wrapped = [*lines[:at], line[:cut], NOISE, line[cut:], *lines[at + 1 :]]

        assert read(wrapped)[0][0].values == READ
        assert read(wrapped)[1] == []


def test_the_seeds_lines() -> None:
    """Lines without any header, as somebody cuts them out of a log, are one transaction."""
    (found,), remarks = read(SEED)

    assert (found.kind, found.values) == (Kind.CHANGE, SEED_VALUES)
    assert remarks == []


def test_no_log() -> None:
    """A text without any values has no transactions."""
    assert read(["", 'level=info msg="Starting agent"']) == ([], [])
