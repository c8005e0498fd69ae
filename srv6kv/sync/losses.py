"""How much traffic a plan would take away.

Rule: pure. Traffic loses a policy when an address that is steered has no endpoint afterwards, and
endpoints when the segment lists that it gets weigh less than before; which BSID or name it is
steered by does not matter. The discard SID is no endpoint. Deleting a localsid takes the traffic
that other nodes send.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from srv6kv.ligato import keys
from srv6kv.net.targets import Target
from srv6kv.plan.actual import Actual, lists_of, steering_facts
from srv6kv.plan.plan import Plan

POLICIES, ENDPOINTS, LOCALSIDS = "policies", "endpoints", "localsids"
KINDS = (POLICIES, ENDPOINTS, LOCALSIDS)
_GROWING = {"create", "grow"}


@dataclass(frozen=True, slots=True)
class Loss:
    """The traffic that a plan takes away.

    Attributes:
        lost: how much of a kind, by kind and key.
        left: how much of each kind it holds when the plan is done.
        takes: a key is deleted, or a policy does not only grow.
    """

    lost: Counter[tuple[str, str]] = field(default_factory=Counter)
    actual: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    takes: bool = False


def sum_of(lost: Mapping[tuple[str, str], int], kind: str) -> int:
    """Add up what is lost of a kind."""
    return sum(number for (one, _), number in lost.items() if one == kind)


class Served:
    """Counts our keys in etcd that serve traffic, as they change.

    Attributes:
        weights: of all segment lists of a policy that lead to endpoints, by the policy's key.
        actual: how much there is of each kind.
    """

    def __init__(self, discard: str) -> None:
        self.weights: dict[str, int] = {}
        self.actual: Counter[str] = Counter()
        self._localsids: set[str] = set()
        self._discard = discard

    def apply(self, key: str, value: bytes | None) -> None:
        """Apply the new value of a key of ours; None: it is gone."""
        if key.startswith(keys.POLICY):
            before, after = self.weights.pop(key, 0), self.weight_of(key, value)
            if after:
                self.weights[key] = after
            self.actual[POLICIES] += (after > 0) - (before > 0)
            self.actual[ENDPOINTS] += after - before
        elif key.startswith(keys.LOCALSID):
            (self._localsids.discard if value is None else self._localsids.add)(key)
            self.actual[LOCALSIDS] = len(self._localsids)

    def weight_of(self, key: str, value: bytes | None) -> int:
        """The weight of all lists of a policy that lead to endpoints; 0 without the policy."""
        if value is None:
            return 0
        nowhere = (self._discard,)
        return sum(max(1, weight) for way, weight in lists_of(key, value) if way[-1:] != nowhere)


def loss_of(found: Plan, actual: Actual, served: Served) -> Loss:
    """Count what a plan takes away."""
    changes = actual.changes(found.values)
    lost: Counter[tuple[str, str]] = Counter()
    left = Counter(served.actual)
    after = {k: served.weight_of(k, v) for k, v in changes.items() if k.startswith(keys.POLICY)}
    for key, weight in after.items():
        before = served.weights.get(key, 0)
        left[POLICIES] += (weight > 0) - (before > 0)
        left[ENDPOINTS] += weight - before
    for key, value in changes.items():
        if key.startswith(keys.LOCALSID):
            left[LOCALSIDS] += (value is not None) - (key in actual.entries)
            lost[LOCALSIDS, key] += value is None
    ways_of = _ways(changes, actual)
    for key in sorted(_changed_policies(changes, actual)):
        before = served.weights.get(key, 0)
        ways = ways_of(key)
        if not before or not ways:
            continue
        weight = min(after.get(one, served.weights.get(one, 0)) for one in ways)
        lost[POLICIES, key] += weight == 0
        lost[ENDPOINTS, key] += max(0, before - weight)
    takes = any(value is None for value in changes.values()) or bool(
        found.effects.keys() - _GROWING
    )
    return Loss(+lost, Counter(served.actual), left, takes)


def _changed_policies(changes: Mapping[str, bytes | None], actual: Actual) -> set[str]:
    """The policies that change, or whose steerings do."""
    steerings = changes.keys() & actual.facts.keys()
    policies = {keys.policy(actual.facts[key].bsid) for key in steerings}
    return policies | {key for key in changes if key.startswith(keys.POLICY)}


def _ways(changes: Mapping[str, bytes | None], actual: Actual) -> Callable[[str], set[str]]:
    """Which policies the traffic of a policy gets when the changes are done; "": none."""
    coming: dict[Target, str] = {}
    for key, value in changes.items():
        facts = steering_facts(value) if value and key.startswith(keys.STEERING) else None
        if facts is not None and facts.target is not None:
            coming[facts.target] = keys.policy(facts.bsid)

    def after(target: Target) -> str:
        stay = min(actual.steerings[target] - changes.keys(), default=None)
        return coming.get(target) or (keys.policy(actual.facts[stay].bsid) if stay else "")

    return lambda policy: set(map(after, actual.targets_of(policy.removeprefix(keys.POLICY))))
