"""The text form of transactions, and how other projects use a recording in their tests."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from srv6kv.errors import InputError
from srv6kv.txn import recording
from srv6kv.txn.recording import Recorded
from srv6kv.txn.transaction import FullKey, Operation, Transaction

SEED = Path(__file__).parents[2] / "recorded" / "seed.txn"
PREFIX = "/vnf-agent/node1/config/vpp/srv6/v2/"


def test_example() -> None:
    """Example: a recording of ``run --record`` read in a test of one's own.

    Each item has the number, the time and the operations of one etcd revision, in their order.
    """
    first, sync, change = recording.load(SEED.read_text(encoding="utf-8"), str(SEED))

    assert not first.transaction
    assert len(sync.transaction) == 42
    assert [
        msgspec.json.decode(operation.value)["segment_lists"]
        for operation in change.transaction.operations
        if operation.value is not None and operation.key == PREFIX + "policy/5555::d765"
    ] == [
        [
            {"segments": ["6666:0:0:1::5"], "weight": 1},
            {"segments": ["6666:0:0:1::6"], "weight": 1},
        ]
    ]
    assert (
        recording.state_of([first, sync]).keys() < recording.state_of([first, sync, change]).keys()
    )


KEYS = st.text(st.characters(codec="utf-8") | st.sampled_from(" \n\r%"), min_size=1).map(
    "/".__add__
)
SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text()
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5
)
OPERATIONS = st.builds(
    Operation,
    KEYS,
    st.none()
    | JSON.map(msgspec.json.encode)
    | JSON.map(lambda one: b"  " + msgspec.json.encode(one)),
    st.integers(0, 2**62),
)
RECORDED = st.builds(
    Recorded,
    st.integers(0, 2**31),
    st.lists(OPERATIONS, unique_by=lambda one: one.key).map(
        lambda found: Transaction(tuple(found))
    ),
    st.sampled_from(["", "2026-11-22T10:00:00.000Z"]),
)


@given(st.lists(RECORDED))
def test_round_trip(recordings: list[Recorded]) -> None:
    """What is written is read as it was."""
    text = "".join(map(recording.dump, recordings))

    assert recording.load(text) == recordings


@given(st.lists(RECORDED), st.data())
def test_any_cut(recordings: list[Recorded], data: st.DataObject) -> None:
    """A recording that is cut after any line is the beginning of what it was."""
    lines = "".join(map(recording.dump, recordings)).splitlines(keepends=True)
    whole = "".join(map(recording.dump, recordings)).split("\n")[:-1]
    count = data.draw(st.integers(0, len(whole)))
    cut = recording.load("\n".join(whole[:count]))

    assert len(lines) >= len(whole)
    assert cut[:-1] == recordings[: len(cut)][:-1]


@given(
    st.text() | st.lists(st.sampled_from(["txn 1", "put 0 /a {}", "del 1 /a", "x"])).map("\n".join)
)
def test_any_text(text: str) -> None:
    """Any text is a recording or one line that says which line is none."""
    try:
        problem = ""
        recording.load(text, "f.txn")
    except InputError as error:
        problem = str(error)

    assert not problem or problem.startswith("f.txn:")
    assert "\n" not in problem


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("put 0 /a {}", "f:1", "an operation before the first txn line"),
        ("txn", "f:1", "before the first txn line"),
        ("txn one", "f:1", "not 'txn <number> [<time>]'"),
        ("txn 1 a b", "f:1", "not 'txn <number> [<time>]'"),
        ("txn 1\n\nput x /a {}", "f:3", "'x' is not a mod revision"),
        ("# c\ntxn 1\nput 0 a {}", "f:3", "'a' is not a full key"),
        ("txn 1\nput 0 /a", "f:2", "put takes a value, del takes none"),
        ("txn 1\ndel 1 /a {}", "f:2", "put takes a value, del takes none"),
        ("txn 1\nput 0 /a {", "f:2", "/a: "),
        ("txn 1\nget 0 /a", "f:2", "'get' is neither txn, put nor del"),
        ("txn 7\nput 0 /a {}\ndel 1 /a", "f: txn 7", "/a occurs twice"),
        ('txn 7\nput 0 /a {"b":1,"b":2}', "f:2", "/a: member 'b' is there twice"),
    ],
)
def test_errors(text: str, place: str, problem: str) -> None:
    """What is no recording is refused with file and line."""
    with pytest.raises(InputError) as caught:
        recording.load(text, "f")

    assert str(caught.value).startswith(f"{place}: ")
    assert problem in str(caught.value)


def test_comments() -> None:
    """Comments and empty lines are passed over."""
    assert recording.load("# made by hand\n\ntxn 3\n# one key\nput 0 /a {}\n") == [
        Recorded(3, Transaction((Operation(FullKey("/a"), b"{}", 0),)))
    ]


STATES = st.dictionaries(st.sampled_from("abcd").map("/".__add__), st.sampled_from([b"1", b"2"]))


@given(STATES, STATES)
def test_difference(known: dict[str, bytes], now: dict[str, bytes]) -> None:
    """A recording that ends with one state and then holds the difference ends with the other."""
    found = recording.difference(known, {key: (value, 7) for key, value in now.items()})
    start = recording.difference({}, {key: (value, 7) for key, value in known.items()})

    assert now == recording.state_of([Recorded(1, start), Recorded(2, found)])
    assert {one.key for one in found.operations} == {
        key for key in known.keys() | now.keys() if known.get(key) != now.get(key)
    }


@pytest.mark.parametrize("value", [b"", b"garbage", b"{", b'"\xff"', b"\xff", b'{"a":1,"a":2}'])
def test_what_cannot_be_recorded(value: bytes) -> None:
    """A value that is no JSON, which only somebody else can have written, counts as absent."""
    found = recording.difference({"/a": b"1"}, {"/a": (value, 9), "/b": (value, 9)})

    assert found == Transaction((Operation(FullKey("/a"), None, 1),))


def test_foreign_lines() -> None:
    """A foreign value of several lines is recorded on one."""
    found = recording.difference({}, {"/a": (b'{\r\n "b": 1,\n "a": 2\n}\n', 9)})

    assert recording.dump(Recorded(1, found)) == 'txn 1\nput 0 /a {"a":2,"b":1}\n'


def test_mapped() -> None:
    """Guard 0 stays, and other guards become the revisions that the keys have elsewhere."""
    operations = (
        Operation(FullKey("/new"), b"1", 0),
        Operation(FullKey("/known"), b"1", 38),
        Operation(FullKey("/gone"), None, 35),
    )

    assert recording.mapped(
        Transaction(operations), {FullKey("/known"): 3, FullKey("/new"): 2}
    ) == Transaction(
        (
            Operation(FullKey("/new"), b"1", 0),
            Operation(FullKey("/known"), b"1", 3),
            Operation(FullKey("/gone"), None, 0),
        )
    )
