"""The effects of changes on policies: each change moves flows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from srv6kv.ligato import keys
from srv6kv.ligato.values import Policy, decode
from srv6kv.plan.actual import Actual

Lists = set[tuple[tuple[str, ...], int]]
"""Segments and weight of each list."""


def effects_of(values: Mapping[str, bytes | None], actual: Actual) -> Counter[str]:
    """Count policies by what happens to them: create, grow, shrink, replace, remove."""
    effects: Counter[str] = Counter()
    for key, value in values.items():
        entry = actual.entries.get(key)
        old = entry.value if entry else None
        if key.startswith(keys.POLICY) and old != value:
            effects[_effect(key, old, value)] += 1
    return effects


def _effect(key: str, old: bytes | None, new: bytes | None) -> str:
    if old is None:
        return "create"
    if new is None:
        return "remove"
    before, after = lists_of(key, old), lists_of(key, new)
    if before <= after:
        return "grow"
    return "shrink" if after <= before else "replace"


def lists_of(key: str, value: bytes) -> Lists:
    """Return the segment lists of a policy; none of one that srv6kv could not have written."""
    try:
        policy = decode(key, value)
    except ValueError:
        return set()
    assert isinstance(policy, Policy)
    return {(item.segments, item.weight) for item in policy.segment_lists}
