"""What a server takes at once, as values and as it is found out."""

from __future__ import annotations

import pytest

from srv6kv.etcd.cuts import FEW_LOSSES, MANY_LOSSES, Cuts
from srv6kv.plan.plan import split
from srv6kv.txn.limits import DEFAULT, LEAST_OPERATIONS, Limits, check, size_of
from srv6kv.txn.transaction import FullKey, Operation

WRITER_COMPARES = 2
NOTES = 3


def operations(*sizes: int) -> list[Operation]:
    """Puts of so many bytes each, key included."""
    return [
        Operation(FullKey(f"/{number:03}"), bytes(size - 4), 0) for number, size in enumerate(sizes)
    ]


@pytest.mark.parametrize("most", [*range(LEAST_OPERATIONS, 200)])
def test_every_limit_is_kept(most: int) -> None:
    """Whatever number of operations a server takes on a level, ours have no more, with the compares
    of the writer key, of every key or of the models; and a plan leaves room for our own notes."""
    limits = Limits(operations=most)
    levels = limits.branches + max(limits.branches, 0)

    assert 1 <= limits.flat + WRITER_COMPARES <= most
    assert levels <= most
    assert 1 <= limits.few_planned <= limits.planned <= limits.most
    if limits.few_planned > 1:
        assert limits.few_planned + 1 + NOTES <= limits.flat


def test_default_limits() -> None:
    """A default server has the limits that it always had."""
    assert (DEFAULT.flat, DEFAULT.most) == (120, 4096)
    assert (DEFAULT.few_planned, DEFAULT.planned, DEFAULT.size) == (112, 4088, 1 << 20)


def test_one_operation_a_transaction() -> None:
    """Where there is room for one key only, a deletion goes before the put that it makes room for,
    in a transaction of its own."""
    limits = Limits(operations=LEAST_OPERATIONS)
    steps = [
        Operation(FullKey("/a"), b"1", 0),
        Operation(FullKey("/b"), None, 1),
        Operation(FullKey("/c"), b"2", 0),
    ]

    assert [part.operations for part in split(steps, limits.planned)] == [(one,) for one in steps]


def test_smaller() -> None:
    """Several operations that were too large together are tried in halves, which says nothing of a
    single value; one that was too large alone makes way for smaller ones."""
    together = DEFAULT.smaller(operations(100, 700, 200))
    alone = together.smaller(operations(800))

    assert (together.size, together.value) == (500, DEFAULT.value)
    assert (alone.size, alone.value) == (500, 600)


def test_measured_requests() -> None:
    """A server that takes requests of so many bytes leaves room for a value of nearly as many, and
    for several of half as many; what was refused all the same makes that smaller."""
    cuts, sizes = Cuts(), []
    for refused in (operations(90_000, 90_000), operations(9000, 9000), operations(19_000)):
        cuts.measured(20_000, refused)
        sizes.append((cuts.limits.size, cuts.limits.value))

    assert sizes == [(9616, 19_232), (4808, 19_232), (4808, 14_250)]


def test_lost_again_and_again() -> None:
    """Large commits that are lost one after the other are made smaller; small ones mean nothing,
    and one value alone is left out only after more losses."""
    cuts, large = Cuts(), operations(300_000, 300_000)
    for _ in range(10):
        cuts.lost(operations(100))
    few = [cuts.limits.size]
    for number in (FEW_LOSSES, 1):
        for _ in range(number):
            cuts.lost(large)
        few.append(cuts.limits.size)
    for number in (MANY_LOSSES - 1, 1):
        for _ in range(number):
            cuts.lost(large[:1])
        few.append(cuts.limits.value)

    assert few == [1 << 20, 300_000, 150_000, 1 << 20, 225_000]


def test_an_answer_between_losses() -> None:
    """Losses count only one after the other."""
    cuts, large = Cuts(), operations(300_000, 300_000)
    for _ in range(5):
        cuts.lost(large)
        cuts.passed()

    assert cuts.limits == DEFAULT


def test_too_many_for_these_limits() -> None:
    """A transaction beyond the limits is refused unsent."""
    with pytest.raises(ValueError, match="one revision holds 12"):
        check(operations(*[10] * 13), Limits(operations=16))

    assert size_of(operations(10, 20)) == 30
