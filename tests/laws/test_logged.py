"""Laws of agents' logs: a recording that is logged and read again is the same recording."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

import msgspec
from agentlogs import NOISE, LogWriter
from hypothesis import given
from hypothesis import strategies as st
from test_formats_roundtrip import EVERY_KIND, messages

from srv6kv.agentlog import transactions
from srv6kv.agentlog.entries import Kind, Logged
from srv6kv.ligato import keys, schema
from srv6kv.ligato.schema import Api
from srv6kv.oneshot.replay import Reading
from srv6kv.txn import recording
from srv6kv.txn.recording import Recorded
from srv6kv.txn.transaction import FullKey, Operation, Transaction

PREFIX = "/vnf-agent/n1/"
SPARES = sorted(EVERY_KIND) + sorted(f"{key}0" for key in EVERY_KIND - {schema.SRV6_GLOBAL})
"""Two keys of each model."""
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1))


def named(key: str) -> dict[str, str]:
    """The field of a value that its key is made of, for models where it is one."""
    fields = {
        keys.LOCALSID: "sid",
        keys.POLICY: "bsid",
        keys.STEERING: "name",
        keys.LINUX_INTERFACE: "name",
        keys.RULE_CHAIN: "name",
    }
    return {
        name: key.removeprefix(prefix) for prefix, name in fields.items() if key.startswith(prefix)
    }


@st.composite
def changes(draw: st.DrawFn) -> dict[str, bytes | None]:
    """Values for some keys, or their deletion, in the order of an agent's log."""
    found = {}
    for key in sorted(draw(st.sets(st.sampled_from(SPARES), max_size=4))):
        value = draw(st.none() | messages(schema.known_message(key).DESCRIPTOR))
        if value is not None:
            value |= named(key)
        found[key] = None if value is None else msgspec.json.encode(value, order="sorted")
    return found


@st.composite
def recordings(draw: st.DrawFn) -> list[Recorded]:
    """A recording of an agent's life; deletes only what is there."""
    present: set[str] = set()
    found = []
    for number, wanted in enumerate(draw(st.lists(changes(), min_size=1, max_size=5)), start=1):
        operations = []
        for key, value in wanted.items():
            if value is not None or key in present:
                operations.append(
                    Operation(FullKey(PREFIX + key), value, 1 if key in present else 0)
                )
                (present.discard if value is None else present.add)(key)
        moment = draw(TIMES) if operations else None
        time = f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z" if moment else ""
        found.append(Recorded(number, Transaction(tuple(operations)), time))
    return found


def short(transaction: Transaction) -> list[tuple[str, bytes | None]]:
    """The changes of a transaction as an agent sees them."""
    return [(one.key.removeprefix(PREFIX), one.value) for one in transaction.operations]


def go_time(time: str) -> str:
    """A time as Go prints it: without zeros at the end."""
    date, _, rest = time.removesuffix("Z").partition("T")
    seconds, _, thousandths = rest.partition(".")
    fraction = f".{thousandths}".rstrip("0").rstrip(".")
    return f"{date} {seconds}{fraction} +0000 UTC"


def read(text: str) -> list[Recorded]:
    """The recording that a log stands for."""
    return list(Reading(io.StringIO(text), "agent.log", "n1"))


def disturb(writer: LogWriter, how: int) -> None:
    """Something that an agent does by itself, or logs for other reasons."""
    match how:
        case 0:
            writer.sb_sync()
        case 1:
            writer.notification(SPARES[0])
        case 2:
            writer.retry([(SPARES[0], b"{}")], of=0, attempt=1, error="no")
        case 3:
            writer.text += NOISE


DISTURBANCES = st.lists(st.integers(0, 4), min_size=5, max_size=5)
APIS: st.SearchStrategy[Api] = st.sampled_from(["v2", "v3"])


@given(recordings(), APIS, DISTURBANCES)
def test_a_logged_recording_is_the_recording(
    found: Sequence[Recorded], api: Api, disturbances: list[int]
) -> None:
    """Whatever an agent does by itself in between, and however it spells the values."""
    writer = LogWriter(api)
    for one, how in zip(found, disturbances, strict=False):
        disturb(writer, how)
        writer.change(short(one.transaction), start=go_time(one.time) if one.time else "")
    again = read(writer.text)

    assert again == found
    assert recording.load("".join(map(recording.dump, again))) == found


@given(st.lists(st.tuples(changes(), st.booleans()), min_size=1, max_size=5), APIS)
def test_a_log_ends_with_what_the_agent_was_given(
    steps: list[tuple[dict[str, bytes | None], bool]], api: Api
) -> None:
    """Changes and full resyncs in any order; a resync writes what differs and nothing else."""
    writer = LogWriter(api)
    state: dict[str, bytes] = {}
    states = [state]
    for step, is_resync in steps:
        if is_resync:
            gone = state.keys() - step.keys()
            state = {key: value for key, value in step.items() if value is not None}
            writer.resync(state, gone)
        else:
            state = {key: value for key, value in {**state, **step}.items() if value is not None}
            writer.change(list(step.items()))
        states.append(state)
    found = read(writer.text)

    for number, (before, after) in enumerate(pairwise(states), start=1):
        assert recording.state_of(found[:number]) == {PREFIX + k: v for k, v in after.items()}
        if steps[number - 1][1]:
            assert {
                one.key.removeprefix(PREFIX) for one in found[number - 1].transaction.operations
            } == {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def test_a_resync_keeps_what_could_not_be_read() -> None:
    """A key that a resync lists, but unreadably, stays as it was; one that it lacks goes."""
    lines = [
        Logged(1, values=[("a", {"sid": "::1"}), ("b", {"sid": "::2"})]),
        Logged(9, kind=Kind.RESYNC, unreadable={"b"}),
    ]
    _, second = transactions.recorded(lines)

    assert second.transaction == Transaction((Operation(FullKey("a"), None, 1),))


def test_guards() -> None:
    """A guard says whether the log has put the key; deleting an unknown key is nothing."""
    lines = [
        Logged(1, values=[("a", {}), ("b", None)]),
        Logged(2, values=[("a", {"sid": "::1"})]),
        Logged(3, values=[("a", None)]),
        Logged(4, values=[("a", {})]),
    ]

    assert [
        [(one.key, one.value, one.guard) for one in recorded.transaction.operations]
        for recorded in transactions.recorded(lines)
    ] == [
        [("a", b"{}", 0)],
        [("a", b'{"sid":"::1"}', 1)],
        [("a", None, 1)],
        [("a", b"{}", 0)],
    ]
