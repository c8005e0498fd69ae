"""Moved flows: the rows of VPP rule V7, what the agent does to lists, and laws."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srv6kv.ligato.values import Policy, SegmentList
from srv6kv.simulate.buckets import table
from srv6kv.simulate.moves import Change, Moves, calls, changed, replaced, shifts


def paths(*names: int | str, weight: int = 1) -> list[SegmentList]:
    """A list for each endpoint."""
    return [SegmentList((f"fd00::{name}",), weight) for name in names]


def percent(moves: Moves) -> int:
    """Of flows whose endpoint stays."""
    return round(moves.of_kept.share * 100)


@pytest.mark.parametrize(
    ("lists", "append", "least", "most"),
    [
        (2, 69, 0, 0),
        (3, 75, 45, 60),
        (4, 81, 58, 75),
        (5, 88, 69, 83),
        (8, 89, 84, 88),
        (12, 75, 90, 100),
        (16, 94, 87, 100),
        (64, 98, 97, 100),
    ],
)
def test_one_list_more_or_less(lists: int, append: int, least: int, most: int) -> None:
    """The rows of 2.5. Of 16 the least is 13 of 15: if the list before the last goes, the last one
    takes its place and keeps its own bucket, as does the first."""
    old = paths(*range(lists))
    more = changed(old, old, [*old, *paths("new")])
    fewer = [changed(old, old, [*old[:index], *old[index + 1 :]]) for index in range(lists)]

    assert percent(more.final) == append
    assert (min(map(percent, (one.final for one in fewer)))) == least
    assert (max(map(percent, (one.final for one in fewer)))) == most
    assert {(one.calls, one.worst, one.worst_call) for one in [more, *fewer]} == {
        (1, one.final, 1) for one in [more, *fewer]
    }


def test_the_table_of_the_limits_is_computed() -> None:
    """docs/limits.md tells what the agent's calls do; a replaced list is made in two of them."""
    page = (Path(__file__).parents[3] / "docs" / "limits.md").read_text()
    rows = re.findall(r"^\| (\d+) \| (\d+) % \| (\S+?)(?: to (\d+))? % \| 0 % \|$", page, re.M)
    for lists, more, least, most in [tuple(int(one or 0) for one in row) for row in rows]:
        old = paths(*range(lists))
        added = changed(old, old, [*old, *paths("new")])
        rests = [[*old[:index], *old[index + 1 :]] for index in range(lists)]
        fewer = [percent(changed(old, old, rest).final) for rest in rests]
        others = [changed(old, old, [*rest, *paths("new")]) for rest in rests]

        assert (more, least, most or least) == (percent(added.final), min(fewer), max(fewer))
        assert {(one.calls, percent(one.final)) for one in others} == {(2, 0)}
    assert len(rows) == 6


def test_the_agent_adds_before_it_deletes() -> None:
    """New lists come last, in their order; the last one takes the place of a deleted one."""
    old, new = paths("a", "b", "c", "d"), paths("x", "b", "y", "d")
    moments = [[item.segments[0][-1] for item in one] for one in calls(old, old, new)]

    assert moments == [
        ["a", "b", "c", "d", "x"],
        ["a", "b", "c", "d", "x", "y"],
        ["y", "b", "c", "d", "x"],
        ["y", "b", "x", "d"],
    ]


def test_a_deleted_list_is_sought_where_vpp_has_it() -> None:
    """What VPP holds in another order, or not at all, changes where the hole is."""
    held, old, new = paths("c", "a", "b"), paths("a", "b", "c", "z"), paths("b", "c")

    assert list(calls(held, old, new)) == [tuple(paths("c", "b"))]


def test_the_order_of_lists_in_a_value_moves_nothing() -> None:
    """The agent ignores it."""
    old = paths("a", "b", "c")

    assert changed(old, old, [*reversed(old)]) == Change(
        0, replaced(old, old), replaced(old, old), 0
    )
    assert replaced(old, old).of_all.moved == 0


def test_a_new_weight_is_a_new_list_of_the_same_endpoint() -> None:
    """It is added and the old one deleted; flows that stay with the endpoint do not count."""
    old, new = paths("a", "b"), [*paths("a"), *paths("b", weight=3)]
    found = changed(old, old, new)

    assert found.calls == 2
    # Before a b a b, after b b b a: the second flow of the four stays.
    assert (found.final.of_all.moved, found.final.of_all.of) == (3, 4)


def test_a_policy_that_goes_moves_every_flow() -> None:
    """Nobody is kept then; nor does a flow move of which nobody had anything."""
    gone, new = replaced(paths("a", "b"), []), replaced([], paths("a", "b"))

    assert (gone.of_all.share, gone.of_kept.of) == (1.0, 0)
    assert (new.of_all.of, new.of_all.share) == (0, 0.0)


def by_hand(before: Sequence[SegmentList], after: Sequence[SegmentList]) -> Counter[str]:
    """Flows of every hash below the larger table, one by one."""
    old, new = (table([item.weight for item in one]) for one in (before, after))
    kept = {item.segments for item in before} & {item.segments for item in after}
    owners, later = old.owners(), new.owners()
    found: Counter[str] = Counter()
    for number in range(max(len(owners), len(later))):
        was, now = owners[number % len(owners)], later[number % len(later)]
        if was is None:
            continue
        is_moved = now is None or before[was].segments != after[now].segments
        found["all"] += 1
        found["all moved"] += is_moved
        if before[was].segments in kept:
            found["kept"] += 1
            found["kept moved"] += is_moved
    return found


LISTS = st.lists(
    st.tuples(st.integers(0, 7), st.integers(0, 3)), min_size=1, max_size=6, unique=True
).map(lambda items: [SegmentList((f"fd00::{name}",), weight) for name, weight in items])


@given(held=st.data(), old=LISTS, new=LISTS)
def test_moved_flows_are_counted_exactly(
    held: st.DataObject, old: list[SegmentList], new: list[SegmentList]
) -> None:
    """As by hand, flow by flow; the last table has the new lists; the worst one moves no less."""
    order = held.draw(st.permutations(old))
    moments = list(calls(order, old, new))
    found = changed(order, old, new)
    last = moments[-1] if moments else tuple(order)
    hand = by_hand(order, last)

    assert sorted(map(repr, last)) == sorted(map(repr, new))
    assert found.calls == len(moments)
    assert (found.final.of_all.moved, found.final.of_all.of) == (hand["all moved"], hand["all"])
    assert (found.final.of_kept.moved, found.final.of_kept.of) == (
        hand["kept moved"],
        hand["kept"],
    )
    assert found.worst.of_kept.share >= found.final.of_kept.share


# A node -----------------------------------------------------------------------------------------


def policy(*names: str, bsid: str = "5555::1", vrf: int = 0) -> Policy:
    """A policy with a list for each endpoint."""
    return Policy(bsid, vrf, tuple(paths(*names)), True)


def test_every_steered_address_of_a_node() -> None:
    """Each is updated, replaced, new or gone, or it is unchanged and only counted."""
    places = {name: (1, f"2096::{name}/128") for name in "abcdef"}
    old = {
        places["a"]: policy("1", "2"),
        places["b"]: policy("1", "2", bsid="5555::2"),
        places["c"]: policy("1"),
        places["d"]: policy("1", "2"),
        places["e"]: policy("1", "2"),
    }
    new = {
        places["a"]: policy("1", "2", "3"),
        places["b"]: policy("1", "2", bsid="5555::9"),
        places["d"]: policy("2", "1"),
        places["e"]: policy("1", "2", vrf=7),
        places["f"]: policy("1"),
    }
    found = shifts("n", old, old, new)
    told = {one.prefix[6]: (one.how, one.change.final.of_all.share) for one in found.policies}

    assert told == {
        "a": ("updated", 11 / 16),
        "b": ("replaced", 0.0),
        "c": ("gone", 1.0),
        "e": ("replaced", 0.0),
        "f": ("new", 0.0),
    }
    assert found.unchanged == 1
    assert [(one.before, one.after) for one in found.policies][1:3] == [
        ("5555::2", "5555::9"),
        ("5555::1", ""),
    ]


def test_vpps_own_order_counts_for_what_moves() -> None:
    """A list is deleted where VPP holds it, whatever the order in the agent's value."""
    place = (1, "2096::a/128")
    old, new = {place: policy("a", "b", "c", "d")}, {place: policy("a", "b", "c")}
    (fresh,) = shifts("n", old, old, new).policies
    (aged,) = shifts("n", {place: policy("d", "a", "b", "c")}, old, new).policies

    assert [item.segments for item in aged.then] == [("fd00::c",), ("fd00::a",), ("fd00::b",)]
    assert fresh.change.final != aged.change.final
