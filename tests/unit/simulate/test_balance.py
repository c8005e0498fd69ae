"""Bucket tables: the rows of VPP rule V5, the traps of VPP rule V4, and laws."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srv6kv.simulate.buckets import CAP, LARGEST, Table, table

WEIGHTS = st.lists(st.integers(0, 60), min_size=1, max_size=40)
FEW = st.lists(st.integers(1, 9), min_size=1, max_size=20)
VERSIONS = pytest.mark.parametrize("is_capped", [True, False], ids=["23.06", "22.10"])


def counts(found: Table, lists: int) -> list[int]:
    """Buckets of each list."""
    return [found.count(index) for index in range(lists)]


# Tables -----------------------------------------------------------------------------------------


@VERSIONS
@pytest.mark.parametrize("lists", [1, 2, 4, 8, 16, 32, 64, 128, 256, 1024])
def test_a_power_of_two_of_equal_lists_is_fair(lists: int, is_capped: bool) -> None:
    """As many buckets as lists, one each, in their order (VPP rule V4)."""
    found = table([1] * lists, is_capped=is_capped)

    assert found == Table(lists, tuple((index, 1) for index in range(lists)))


@VERSIONS
@pytest.mark.parametrize(
    ("lists", "size", "first", "other", "over"),
    [
        (3, 16, 6, 5, 12),
        (5, 16, 4, 3, 25),
        (6, 32, 7, 5, 31),
        (7, 64, 10, 9, 9),
        (9, 64, 8, 7, 12),
        (10, 32, 5, 3, 56),
        (12, 64, 9, 5, 69),
        (15, 16, 2, 1, 88),
        (20, 64, 7, 3, 119),
        (24, 128, 13, 5, 144),
        (29, 32, 4, 1, 262),
        (33, 1024, 32, 31, 3),
        (60, 64, 5, 1, 369),
        (100, 512, 17, 5, 232),
        (1000, 1024, 25, 1, 2341),
    ],
)
def test_equal_lists(
    lists: int, size: int, first: int, other: int, over: int, is_capped: bool
) -> None:
    """The other rows of 2.3: the first list gets what is left over."""
    found = table([1] * lists, is_capped=is_capped)

    assert (found.size, counts(found, lists)) == (size, [first, *[other] * (lists - 1)])
    assert round((first * lists / size - 1) * 100) == over


def test_some_numbers_of_equal_lists_cut_lists_off() -> None:
    """The N of 2.2, since 23.06: the last lists get no traffic, and nothing else is amiss."""
    tables = {lists: table([1] * lists) for lists in range(1, 261)}
    cut = [lists for lists, found in tables.items() if len(found.runs) < lists]

    assert cut == [129, 172, 206, 207, 229, 230, 257, 258, 259, 260]
    for lists in cut:
        runs = tables[lists].runs
        assert [index for index, _ in runs] == list(range(len(runs)))
        assert (tables[lists].size, sum(count for _, count in runs)) == (CAP, CAP)


def test_some_numbers_of_equal_lists_make_no_table_in_old_versions() -> None:
    """The N of 2.2, before 23.06: 65536 buckets are 0 of them in 16 bits."""
    none = [lists for lists in range(1, 350) if not table([1] * lists, is_capped=False).size]

    assert none == [257, 343]
    assert table([1] * 257, is_capped=False).choice(12345) == (None, None)


@pytest.mark.parametrize(
    ("weights", "new", "old"),
    [
        ([0], Table(1, ((0, 1),)), Table(1, ((0, 1),))),
        ([0, 0], Table(2, ((0, 1), (1, 1))), Table(2, ((0, 1), (1, 1)))),
        ([0, 0, 0], table([1, 1, 1]), table([1, 1, 1])),
        ([0, 1], Table(CAP, ((1, CAP),)), Table(0, ())),
        ([7, 0], Table(CAP, ((0, CAP),)), Table(0, ())),
        ([0, 1, 1], Table(CAP, ()), Table(0, ())),
        ([5, 5, 5, 0], Table(CAP, ()), Table(0, ())),
        ([1, 1, 1_000_000], Table(CAP, ()), Table(0, ())),
    ],
)
def test_weights_that_break_a_policy(weights: list[int], new: Table, old: Table) -> None:
    """The traps of 2.2: a weight of 0 among others, and one that is far below the others."""
    assert table(weights) == new
    assert table(weights, is_capped=False) == old


def test_an_empty_table_drops_every_flow() -> None:
    """Buckets without a list drop, and so does a table without buckets."""
    empty = table([0, 1, 1])

    assert empty.choice(8191) == (8191, None)
    assert empty.owners() == [None] * CAP
    assert (Table(0, ()).choice(5), Table(0, ()).owners()) == ((None, None), [None])


def test_the_smallest_weight_that_has_a_bucket() -> None:
    """Of three lists each needs one part in 16384, else all are cut off."""
    assert counts(table([8192, 1, 8191]), 3)[1] > 0
    assert table([8192, 1, 8192]) == Table(CAP, ())


def test_of_two_unequal_lists_the_heavier_comes_first() -> None:
    """Of more the lightest does, equal ones in their order; so the first bucket tells."""
    assert table([1, 3]).runs == ((1, 3), (0, 1))
    assert table([3, 1]).runs == ((0, 3), (1, 1))
    assert [index for index, _ in table([2, 1, 2, 1]).runs] == [1, 3, 0, 2]


@pytest.mark.parametrize("lists", [4, 16, 64, 256])
def test_heavy_weights_that_differ_by_one_fix_the_order(lists: int) -> None:
    """2.7: one bucket for each list, in the order of the weights, wherever the lists stand."""
    weights = [1000 + (7 * index) % lists for index in range(lists)]
    found = table(weights)

    assert found.size == lists
    assert [weights[index] for index, _ in found.runs] == sorted(weights)
    assert {count for _, count in found.runs} == {1}


@VERSIONS
@given(weights=WEIGHTS)
def test_every_table_is_whole(weights: list[int], is_capped: bool) -> None:
    """A power of two; all buckets or none belong to lists, each list once, none without a bucket;
    lists are missing only where the cap or the 16 bits are reached."""
    found = table(weights, is_capped=is_capped)
    indexes = [index for index, _ in found.runs]

    assert found.size & (found.size - 1) == 0
    assert found.size <= (CAP if is_capped else LARGEST)
    assert sum(count for _, count in found.runs) in (0, found.size)
    assert len(found.owners()) == max(found.size, 1)
    assert len(set(indexes)) == len(indexes)
    assert all(count > 0 for _, count in found.runs)
    assert len(indexes) == len(weights) or found.size == (CAP if is_capped else 0)


@given(weights=FEW, is_capped=st.booleans())
def test_weights_that_srv6kv_writes_keep_every_list(weights: list[int], is_capped: bool) -> None:
    """With up to 20 lists of weights 1 to 9 no list is cut off; the first in VPP's order may have
    more than its rounded share, the last one less, the others have it."""
    found = table(weights, is_capped=is_capped)
    shares = [weight / sum(weights) * found.size for weight in weights]

    assert len(found.runs) == len(weights)
    for index, count in found.runs[1:]:
        assert count <= shares[index] + 0.5
    for index, count in found.runs[1:-1]:
        assert count >= shares[index] - 0.5


@given(weights=WEIGHTS, data=st.data())
def test_the_order_of_lists_does_not_change_the_shares(
    weights: list[int], data: st.DataObject
) -> None:
    """The same weights in another order give the same numbers of buckets, to other lists."""
    order = data.draw(st.permutations(weights))
    one, other = table(weights), table(order)

    assert one.size == other.size
    assert sorted(counts(one, len(weights))) == sorted(counts(other, len(order)))
