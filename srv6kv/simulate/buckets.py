"""The bucket table that VPP makes of the weights of a policy's segment lists.

Rule: VPP's load balance normalisation (VPP rule V4, ``ip_multipath_normalize_next_hops``) in
IEEE doubles, as on x86-64. A flow takes bucket ``hash modulo size``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

CAP = 8192
"""Most buckets since VPP 23.06."""
LARGEST = 1 << 15
"""Most buckets before: the size is kept in 16 bits, so a larger power of two becomes 0."""
TOLERANCE = 0.1
"""Rounding error that VPP accepts, as a part of the table."""


@dataclass(frozen=True, slots=True)
class Table:
    """Buckets of a policy.

    Attributes:
        size: a power of two; 0: every packet is dropped.
        runs: which list has how many of them, in the order of the buckets; what follows the last
            run drops packets.
    """

    size: int
    runs: tuple[tuple[int, int], ...]

    def owners(self) -> list[int | None]:
        """The list of each bucket; None drops. One None if there is no bucket at all."""
        found: list[int | None] = []
        for index, count in self.runs:
            found += [index] * count
        return found + [None] * (max(self.size, 1) - len(found))

    def choice(self, flow_hash: int) -> tuple[int | None, int | None]:
        """The bucket of a flow and its list; None: there is none, and the flow is dropped."""
        if not self.size:
            return None, None
        bucket = flow_hash % self.size
        return bucket, self.owners()[bucket]

    def count(self, index: int) -> int:
        """How many buckets a list has."""
        return dict(self.runs).get(index, 0)


def table(weights: Sequence[int], *, is_capped: bool = True) -> Table:
    """The buckets of segment lists with these weights.

    Args:
        weights: in the order in which VPP holds the lists; none is negative.
        is_capped: VPP 23.06 or later; before there was no cap on the buckets.
    """
    if len(weights) < 2 or (len(weights) == 2 and weights[0] == weights[1]):
        return Table(len(weights), tuple((index, 1) for index in range(len(weights))))
    order = _order(weights)
    sorted_weights = [weights[index] for index in order] if any(weights) else [1] * len(order)
    size = 1 << (len(weights) - 1).bit_length()
    if is_capped:
        size = min(size, CAP)
    while size <= LARGEST:
        counts, error = _spread(sorted_weights, size)
        if error <= TOLERANCE * size or (is_capped and size >= CAP):
            return Table(size, tuple(zip(order, counts, strict=False)))
        size *= 2
    return Table(0, ())


def _order(weights: Sequence[int]) -> list[int]:
    """As VPP sorts the lists: by weight, equal ones as they stood; of two the heavier first."""
    sign = -1 if len(weights) == 2 else 1
    return sorted(range(len(weights)), key=lambda index: sign * weights[index])


def _spread(weights: Sequence[int], size: int) -> tuple[list[int], float]:
    """Buckets of each list for a table of this size, and the rounding error.

    The first list gets what is left over. Where a list would get no bucket, it and all behind it
    are cut off, which counts as an error of the whole table.
    """
    norm = size / float(sum(weights))
    left, error = size, 0.0
    counts: list[int] = []
    for weight in weights:
        exact = weight * norm
        count = min(int(exact + 0.5), left)
        if not count:
            error = float(size)
            break
        left -= count
        error += abs(exact - count)
        counts.append(count)
    if counts:
        counts[0] += left
    return counts, error


def version_is_capped(text: str) -> bool:
    """Return whether a version of VPP, ``23.06`` or ``v23.06-release``, has the cap of ``CAP``.

    Raises:
        ValueError: it is none.
    """
    year, dot, rest = text.removeprefix("v").partition(".")
    if not (dot and year.isdigit() and rest[:2].isdigit()):
        raise ValueError(f"{text!r} is not a version such as 23.06")
    return (int(year), int(rest[:2])) >= (23, 6)
