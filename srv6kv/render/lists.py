"""The segment lists of an SR policy, made when they are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from srv6kv.ligato.validity import MOST_WEIGHT
from srv6kv.ligato.values import SegmentList

Path = tuple[str, ...]
"""The SIDs of one list."""

_EMPTY = len(msgspec.json.encode(SegmentList(segments=(), weight=1)))


def size_of(path: Path) -> int:
    """How many bytes a list with these SIDs has; a weight has one digit."""
    return _EMPTY + sum(map(len, path)) + 3 * len(path) - 1


class Lists:
    """Segment lists by the last SID, equal ones merged. They cost nothing until they are made: of a
    policy that is too large they never are.

    Attributes:
        size: the bytes of all lists.
        ends: the SIDs of those that have only one.
    """

    def __init__(self, paths: Mapping[Path, int], size: int, ends: tuple[str, ...]) -> None:
        self.paths = paths
        self.size = size
        self.ends = ends
        self._made: tuple[SegmentList, ...] | None = None

    @classmethod
    def of(cls, paths: Mapping[Path, int]) -> Lists:
        """The lists with these paths and weights."""
        ends = tuple(path[0] for path in paths if len(path) == 1)
        return cls(paths, sum(map(size_of, paths)), ends)

    def made(self) -> tuple[SegmentList, ...]:
        """The lists themselves, in order."""
        if self._made is None:
            self._made = tuple(
                SegmentList(segments=path, weight=min(self.paths[path], MOST_WEIGHT))
                for path in sorted(self.paths, key=lambda path: (path[-1], path))
            )
        return self._made

    def __iter__(self) -> Iterator[SegmentList]:
        return iter(self.made())

    def __len__(self) -> int:
        return len(self.paths)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Lists):
            return NotImplemented
        return (self.size, self.ends) == (other.size, other.ends) and self.paths == other.paths

    def __repr__(self) -> str:
        return repr(self.made())


def paths_in(lists: Iterable[SegmentList]) -> dict[Path, int]:
    """The weights of lists by their SIDs."""
    return {item.segments: item.weight for item in lists}
