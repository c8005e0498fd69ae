"""What share of flows a change of a node's keys moves to another endpoint, policy by policy.

Rule: shares are counted over bucket tables, so they are exact for flows whose hashes are spread
evenly. An endpoint is known by its segments; a weight is not part of it. The agent changes a policy
in place: it adds every new list, one call each, then deletes the old ones, and VPP puts its last
list into the place of a deleted one (agent rule A44, VPP rule V7).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from srv6kv.ligato.values import Policy, SegmentList
from srv6kv.simulate.buckets import table
from srv6kv.simulate.draw import canonical_lists

Lists = Sequence[SegmentList]
"""Segment lists in the order in which VPP holds them."""
Segments = tuple[str, ...]
How = Literal["updated", "replaced", "new", "gone"]
Steered = Mapping[tuple[int, str], Policy]
"""VRF and prefix to the policy into which it is steered."""


@dataclass(frozen=True, slots=True)
class Share:
    """So many buckets of all that are meant; the share is between 0 and 1, and 0 of nothing."""

    moved: int
    of: int
    share: float


@dataclass(frozen=True, slots=True)
class Moves:
    """Flows that get another endpoint than before, or none.

    Attributes:
        of_all: among all that had an endpoint.
        of_kept: among those whose endpoint is there before and after the change.
    """

    of_all: Share
    of_kept: Share


@dataclass(frozen=True, slots=True)
class Change:
    """What a change does to the flows of one policy.

    Attributes:
        calls: how many calls of VPP the agent makes for it; each one makes a new table.
        final: against the last table.
        worst: against the table of all these that moves the most kept flows, then the most of all.
        worst_call: after which call that table is there, counted from 1; 0: there is no call.
    """

    calls: int
    final: Moves
    worst: Moves
    worst_call: int


@dataclass(frozen=True, slots=True)
class Shift:
    """The flows of one steered address.

    Attributes:
        how: ``updated`` list by list; ``replaced`` by another policy, which is made as a whole;
            ``new``, ``gone``.
        before: BSID, "" for a new one; ``after``: "" for one that is gone.
        held: segment lists as VPP has them before.
        then: as it has them after.
    """

    vrf: int
    prefix: str
    how: How
    before: str
    after: str
    held: tuple[SegmentList, ...]
    then: tuple[SegmentList, ...]
    change: Change


@dataclass(frozen=True, slots=True)
class Shifts:
    """A change of a node; ``unchanged`` are the steered addresses that it leaves as they are."""

    node: str
    policies: tuple[Shift, ...]
    unchanged: int


def shifts(
    node: str, held: Steered, old: Steered, new: Steered, *, is_capped: bool = True
) -> Shifts:
    """The flows of every steered address that a change of a node's keys concerns.

    Args:
        held: policies as VPP has them before, with its order of lists.
        old: as the agent's keys say before.
        new: as they say after.
    """
    places = sorted(held.keys() | new.keys())
    found = [
        _shift(place, held.get(place), old.get(place), new.get(place), is_capped)
        for place in places
    ]
    moved = tuple(filter(None, found))
    return Shifts(node, moved, len(found) - len(moved))


def _shift(
    place: tuple[int, str],
    held: Policy | None,
    old: Policy | None,
    new: Policy | None,
    is_capped: bool,
) -> Shift | None:
    vectors = [_lists(item) for item in (held, old, new)]
    how: How
    if held is None:
        how = "new"
    elif new is None:
        how = "gone"
    elif old is not None and _attributes(old) == _attributes(new):
        if set(vectors[1]) == set(vectors[2]):
            return None
        how = "updated"
    else:
        how = "replaced"
    then = vectors[2]
    if how == "updated":
        change = changed(*vectors, is_capped=is_capped)
        *_, then = (vectors[0], *calls(*vectors))
    else:
        moved = replaced(vectors[0], then, is_capped=is_capped)
        change = Change(0, moved, moved, 0)
    before, after = (item.bsid if item is not None else "" for item in (held, new))
    return Shift(*place, how, before, after, vectors[0], then, change)


def _lists(policy: Policy | None) -> tuple[SegmentList, ...]:
    return canonical_lists(policy.segment_lists) if policy is not None else ()


def _attributes(policy: Policy) -> tuple[str, int, bool]:
    """What the agent cannot change in place."""
    return policy.bsid, policy.installation_vrf_id, policy.srh_encapsulation


def changed(held: Lists, old: Lists, new: Lists, *, is_capped: bool = True) -> Change:
    """The effect of what the agent does when a policy's value changes.

    Args:
        held: as VPP holds them before.
        old: those of the agent's value before.
        new: those of its value after.
    """
    kept = _kept(held, new)
    found = [_moves(held, moment, kept, is_capped) for moment in calls(held, old, new)]
    if not found:
        none = _moves(held, held, kept, is_capped)
        return Change(0, none, none, 0)
    worst = max(found, key=lambda item: (item.of_kept.share, item.of_all.share))
    return Change(len(found), found[-1], worst, found.index(worst) + 1)


def replaced(held: Lists, new: Lists, *, is_capped: bool = True) -> Moves:
    """The effect of another policy with these lists in place of one."""
    return _moves(held, new, _kept(held, new), is_capped)


def _kept(held: Lists, new: Lists) -> set[Segments]:
    return {item.segments for item in held} & {item.segments for item in new}


def calls(held: Lists, old: Lists, new: Lists) -> Iterator[tuple[SegmentList, ...]]:
    """What VPP holds after each call that the agent makes; arguments as ``changed``."""
    now = list(held)
    for item in new:
        if item not in old:
            now.append(item)
            yield tuple(now)
    for item in old:
        if item not in new and item in now:
            last = now.pop()
            if item in now:
                now[now.index(item)] = last
            yield tuple(now)


def _moves(before: Lists, after: Lists, kept: set[Segments], is_capped: bool) -> Moves:
    old, new = _owners(before, is_capped), _owners(after, is_capped)
    width = max(len(old), len(new))
    pairs = Counter(zip(old * (width // len(old)), new * (width // len(new)), strict=True))
    had = {pair: count for pair, count in pairs.items() if pair[0] is not None}
    stay = {pair: count for pair, count in had.items() if pair[0] in kept}
    return Moves(_share(had), _share(stay))


def _owners(lists: Lists, is_capped: bool) -> list[Segments | None]:
    """Whose each bucket is. Tables are repeated to one width: a hash that is k modulo a large power
    of two is k modulo the smaller one in it too."""
    owners = table([item.weight for item in lists], is_capped=is_capped).owners()
    return [None if index is None else lists[index].segments for index in owners]


def _share(pairs: dict[tuple[Segments | None, Segments | None], int]) -> Share:
    moved = sum(count for (old, new), count in pairs.items() if old != new)
    of = sum(pairs.values())
    return Share(moved, of, moved / of if of else 0.0)
