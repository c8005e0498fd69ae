"""The rules of a pod's chains in two copies: what each chain should hold, and which one waits.

Rule (decision 0040): a copy that is in use is empty for about a second while the agent makes it
again, so the other one is changed only after that. A built-in chain that holds the rules itself, as
earlier versions wrote it, stays until they change: to replace it empties it for a moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from srv6kv.ligato.chains import ChainName
from srv6kv.ligato.values import AgentValue, RuleChain, decode, encode
from srv6kv.plan.actual import Actual
from srv6kv.plan.inherited import Inherited


def chains_of(
    builtin: ChainName,
    objects: Mapping[str, AgentValue],
    actual: Actual,
    inherited: Inherited | None,
) -> dict[str, RuleChain | None]:
    """Choose what a built-in chain and its copies should hold; None: the key should not be there.

    Args:
        objects: what is desired, by key.
        inherited: decides which rules of etcd stay; None: none does.
    """
    names = (*builtin.copies, builtin)
    found = {name.key: objects.get(name.key) for name in names}
    copies = [one for one in found.values() if isinstance(one, RuleChain)]
    if len(copies) < len(names):
        return {key: None for key in found if key in actual.entries}
    rules = copies[0].rules
    if inherited is not None:
        rules = inherited.completed_rules(builtin, rules)
    single = msgspec.structs.replace(copies[-1], rules=rules)
    if actual.value_of(builtin.key) == encode(single):
        there = [name.key for name in builtin.copies if name.key in actual.entries]
        return {builtin.key: single} | dict.fromkeys(there)
    made = [msgspec.structs.replace(one, rules=rules) for one in copies[:-1]]
    return {one.key: one for one in (*made, copies[-1])}


@dataclass(frozen=True, slots=True)
class Order:
    """The order in which the agent has to make chains; keys are in short form.

    Attributes:
        followers: chains that are put last, when the agent has made others: each to those.
        beside: copies that are in use and put: each to the one that has to work meanwhile.
    """

    followers: Mapping[str, frozenset[str]] = field(default_factory=dict)
    beside: Mapping[str, str] = field(default_factory=dict)


# In etcd                        | to be put       | order
# no built-in chain              | all three       | at once: nothing is lost that was there
# the jumps, both copies         | both copies     | b, when the agent has made a; a, when it has b
# the jumps, one copy            | both copies     | the one that is absent; then the other
# the jumps, no copy             | both copies     | at once
# the jumps, one copy is right   | the other copy  | when the agent has made the right one
# the jumps of another namespace | all three       | at once: it is another pod
# the rules themselves, no copy  | all three       | at once: the agent takes them in this order
# the rules themselves, a copy   | all three       | both copies; the built-in chain after them
def order_of(changes: Mapping[str, bytes | None], actual: Actual) -> Order:
    """Find the order of the chains that are put.

    Args:
        changes: key to the bytes that it should have and has not; None: it goes.
    """
    names = (ChainName.of(key) for key, value in changes.items() if value is not None)
    builtins = {name.builtin.key: name for name in names if name is not None}
    followers: dict[str, frozenset[str]] = {}
    beside: dict[str, str] = {}
    for builtin, name in sorted(builtins.items()):
        if builtin not in actual.entries:
            continue
        first, second = (copy.key for copy in name.copies)
        if builtin in changes:
            is_same = _is_same_chain(builtin, actual.value_of(builtin), changes[builtin])
            if is_same and not actual.entries.keys().isdisjoint((first, second)):
                followers[builtin] = frozenset((first, second))
            continue
        pairs = ((second, first), (first, second))
        there = [(one, other) for one, other in pairs if other in actual.entries]
        if len(there) == 2:
            beside |= {one: other for one, other in there if changes.get(one) is not None}
        if there:
            leader, follower = there[0]
            if changes.get(follower) is not None:
                followers[follower] = frozenset((leader,))
    return Order(followers, beside)


def _is_same_chain(key: str, old: bytes | None, new: bytes | None) -> bool:
    """Whether both are the same chain of the same namespace, whatever their rules."""
    if old is None or new is None:
        return False
    try:
        there = decode(key, old)
    except ValueError:
        return False
    desired = decode(key, new)
    assert isinstance(there, RuleChain)
    assert isinstance(desired, RuleChain)
    return msgspec.structs.replace(there, rules=desired.rules) == desired
