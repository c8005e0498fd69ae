"""What a change of a node's keys does to the flows of every policy on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from srv6kv.ligato.values import Policy, SegmentList
from srv6kv.simulate.draw import canonical_lists
from srv6kv.simulate.moves import Change, calls, changed, replaced

How = Literal["updated", "replaced", "new", "gone"]
Steered = Mapping[tuple[int, str], Policy]
"""VRF and prefix to the policy into which it is steered."""


@dataclass(frozen=True, slots=True)
class Shift:
    """The flows of one steered address.

    Attributes:
        how: ``updated`` list by list; ``replaced`` by another policy, which is made as a whole;
            ``new``, ``gone``.
        before: BSID; "" for a new one.
        after: BSID; "" for one that is gone.
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
    """A change of a node.

    Attributes:
        unchanged: how many steered addresses it leaves as they are.
    """

    node: str
    policies: tuple[Shift, ...]
    unchanged: int


def shifts(
    node: str, held: Steered, old: Steered, new: Steered, *, is_capped: bool = True
) -> Shifts:
    """The flows of every steered address that a change touches.

    Args:
        node: name of the node, for the answer.
        held: policies as VPP has them before, with its order of lists.
        old: as the agent's keys say before.
        new: as they say after.
        is_capped: as ``buckets.table``.
    """
    found = []
    unchanged = 0
    for place in sorted(held.keys() | new.keys()):
        one = _shift(place, held.get(place), old.get(place), new.get(place), is_capped)
        if one is None:
            unchanged += 1
        else:
            found.append(one)
    return Shifts(node, tuple(found), unchanged)


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
        moved = replaced(vectors[0], vectors[2], is_capped=is_capped)
        change = Change(0, moved, moved, 0)
    before, after = (item.bsid if item is not None else "" for item in (held, new))
    return Shift(*place, how, before, after, vectors[0], then, change)


def _lists(policy: Policy | None) -> tuple[SegmentList, ...]:
    return canonical_lists(policy.segment_lists) if policy is not None else ()


def _attributes(policy: Policy) -> tuple[str, int, bool]:
    """What the agent cannot change in place."""
    return policy.bsid, policy.installation_vrf_id, policy.srh_encapsulation
