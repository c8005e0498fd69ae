"""Logs that are cut, torn or damaged: what is whole is read, what is not is said."""

from __future__ import annotations

import pytest
from agentlogs import NOISE, LogWriter
from hypothesis import given
from hypothesis import strategies as st
from test_formats_txnlog import (
    ERROR,
    LOCALSID,
    LOCALSID_JSON,
    POLICY,
    READ,
    STEERING,
    VALUES,
    both,
    read,
    whole,
)

from srv6kv.agentlog.entries import Kind
from srv6kv.agentlog.remarks import Remark
from srv6kv.ligato.schema import Api


@both
def test_every_beginning(api: Api) -> None:
    """A log that begins anywhere gives whole pairs only, all of what follows, and a remark."""
    writer = whole(api)
    size = len(writer.text.splitlines())
    writer.change([(STEERING, b'{"name":"s1"}')])
    lines = writer.text.splitlines()
    last = [(STEERING, {"name": "s1"})]
    arguments = next(n for n, line in enumerate(lines) if "* transaction arguments" in line)
    for start in range(1, size):
        found, remarks = read(lines[start:])

        assert found[-1].values == last
        assert not any(one.is_bad for one in remarks)
        pairs = [pair for one in found[:-1] for pair in one.values]
        assert pairs == READ[len(READ) - len(pairs) :]
        assert bool(remarks) == (start > arguments + 1), lines[start]


@both
@pytest.mark.parametrize("kind", ["", "Full Resync"])
def test_every_end(api: Api, kind: str) -> None:
    """A log that ends anywhere gives whole pairs only; all of a resync or no deletions."""
    writer = LogWriter(api)
    if kind:
        writer.resync(dict(VALUES))
    else:
        writer.change(VALUES)
    lines = writer.text.splitlines()
    ended = next(number for number, line in enumerate(lines) if not line)
    for end in range(2, len(lines)):
        found, remarks = read(lines[:end])
        pairs = [pair for one in found for pair in one.values]

        assert pairs == READ[: len(pairs)]
        assert not any(one.is_bad for one in remarks)
        if end <= ended:
            assert remarks
            assert all(one.kind is Kind.CHANGE for one in found)
        else:
            assert pairs == READ
            assert found[0].kind is (Kind.RESYNC if kind else Kind.CHANGE)


@pytest.mark.parametrize("kind", ["retry", "notification"])
def test_a_beginning_within_what_is_not_ours(kind: str) -> None:
    """Where the footer of a cut transaction tells that it is none of the north's, it is none."""
    writer = LogWriter("v3")
    if kind == "retry":
        writer.retry(VALUES, of=0, attempt=1)
    else:
        writer.notification(LOCALSID, LOCALSID_JSON)
    lines = writer.text.splitlines()
    start = next(number for number, line in enumerate(lines) if "- values:" in line) + 1

    assert read(lines[start:]) == ([], [])


def test_a_gap() -> None:
    """Numbers that are missing are told, also at the beginning and after a restart."""
    writer = LogWriter("v3", sequence=3)
    writer.change(VALUES)
    writer.sequence = 7
    writer.change(VALUES)
    writer.sequence = 1
    writer.change(VALUES)
    writer.sequence = 0
    writer.change(VALUES)
    found, remarks = read(writer.text)

    assert [one.sequence for one in found] == [3, 7, 1, 0]
    assert [one.text.partition(" not in")[0] for one in remarks] == ["#0 to #2", "#4 to #6", "#0"]


@pytest.mark.parametrize(
    ("lost", "said", "line"),
    [
        ("val: { sid", f"the value of {LOCALSID} is missing", 8),
        (f"          - key: {LOCALSID}", "a value without a key", 8),
        ("- values:", "transaction #0 is cut before its values", 4),
    ],
)
def test_a_lost_line(lost: str, said: str, line: int) -> None:
    """A line that is missing amid a transaction is bad, and what else is whole is read."""
    writer = whole("v3")
    writer.change([(STEERING, None)])
    lines = writer.text.splitlines()
    at = next(number for number, text in enumerate(lines) if lost in text)
    found, remarks = read([*lines[:at], *lines[at + 1 :]])

    assert found[-1].values == [(STEERING, None)]
    assert [pair for one in found[:-1] for pair in one.values] in ([], READ[1:])
    assert (line, said, True) in remarks


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "{ sidd:1 }",
            f"cannot be read: {LOCALSID}: Message type"
            ' "ligato.vpp.srv6.LocalSID" has no field named "sidd".',
        ),
        ('{ sid:"6666::55" }', f"cannot be read: {LOCALSID}: sid: '6666::55' has another key"),
        pytest.param(
            f'{{ sid:"{"5" * 1_000_000}" }}',
            f"cannot be read: {LOCALSID}: sid: '{'5' * 100}' has another key",
            id="a name as long as a line",
        ),
        ('{ sid:"6666::5', f"the value of {LOCALSID} is cut off"),
    ],
)
def test_a_value_that_cannot_be_read(text: str, said: str) -> None:
    """It is told with its line, key and field; the values beside it are read."""
    writer = LogWriter("v3")
    writer.resync(dict(VALUES))
    lines = writer.text.splitlines()
    lines[8] = f"            val: {text}"
    (found,), remarks = read(lines)

    assert (found.kind, found.values, found.unreadable) == (Kind.RESYNC, READ[1:], {LOCALSID})
    assert remarks == [Remark(8, said, True)]


def test_a_key_that_is_not_utf8() -> None:
    """No etcd key of the agent's is: it is told, and so is its deletion."""
    bad = "config/vpp/v2/route/vrf/0/dst/\udcff/gw/::"
    log = f'- key: {bad}\nval: {{ dst_network:"::/0" }}\n- key: {bad}\nval: <NIL>\n'
    found, remarks = read(log + f"- key: {POLICY}\nval: <NIL>\n")

    assert [one.values for one in found] == [[(POLICY, None)]]
    assert [(one.text, one.is_bad) for one in remarks] == [
        (f"cannot be read: {bad}: not UTF-8", True),
        (f"cannot be read: {bad}: not UTF-8", True),
    ]


@given(
    st.sampled_from(["v2", "v3"]),
    st.lists(st.tuples(st.integers(0, 90), st.sampled_from(["drop", "twice", "half", "noise"]))),
)
def test_any_damage(api: Api, damage: list[tuple[int, str]]) -> None:
    """Whatever happens to its lines, a log is read to its end, and no value is made up."""
    writer = LogWriter(api)
    writer.resync(dict(VALUES))
    writer.retry(VALUES, of=0, attempt=1, error=ERROR)
    writer.change([(POLICY, None)])
    lines = writer.text.splitlines()
    for number, how in damage:
        at = number % len(lines)
        line = lines[at]
        made = {"drop": [], "twice": [line, line], "half": [line[: len(line) // 2]]}
        lines[at : at + 1] = made.get(how, [line, NOISE])
    found, remarks = read(lines)

    for one in found:
        assert all(pair in [*READ, (POLICY, None)] for pair in one.values)
    assert all(0 <= remark.line <= len(lines) for remark in remarks)


def test_only_a_header() -> None:
    """A log that ends after a header tells which transaction is missing."""
    found, remarks = read(LogWriter("v2").text + "| Transaction #7    NBTransaction |\n")

    assert found == []
    assert remarks == [Remark(1, "the log ends after the header of transaction #7")]
