"""The task that a user asks for by naming a means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from srv6kv.agent.needs import SRV6, Means
from srv6kv.errors import InputError
from srv6kv.ligato import keys
from srv6kv.repair.choose import Known, faults, task_of
from srv6kv.repair.ground import Ground
from srv6kv.repair.means import Task

KINDS = {
    "localsid": keys.LOCALSID,
    "policy": keys.POLICY,
    "steering": keys.STEERING,
    "route": keys.ROUTE,
    "rulechain": keys.RULE_CHAIN,
}
_FOR: dict[Means, tuple[str, ...]] = {
    Means.RESEND: tuple(KINDS.values()),
    Means.RECREATE: (keys.POLICY,),
    Means.REBIND: (keys.POLICY,),
    Means.REWRITE: SRV6,
}


def asked(
    means: Means, ground: Ground, known: Known, named: Sequence[str], kinds: Iterable[str]
) -> Task:
    """Choose the keys to repair by a means: those that are named; else all of these kinds that it
    is for. Without names ``rebind`` is, where states are known, for those whose state asks for it
    and those whose BSIDs the agent confuses; ``resend`` is also for what only the agent has.

    Args:
        named: keys in short or full form.
        kinds: names of ``KINDS``; none: all.
    """
    if named:
        return {means: frozenset(_checked(means, ground, key) for key in named)}
    within = tuple(KINDS[kind] for kind in kinds) or _FOR[means]
    if not set(within) & set(_FOR[means]):
        raise InputError(f"{means} is for {_names(means)} only")
    chosen = {key for key in ground.ours(within) if key.startswith(_FOR[means])}
    if means is Means.RESEND and not kinds:
        chosen |= ground.made
    if known.states is not None:
        found = task_of(faults(ground, known)).get(means, frozenset())
        found = frozenset(key for key in found if key.startswith(within))
        if means is Means.REBIND:
            chosen &= found | related(ground)
        elif means is Means.RESEND:
            chosen |= found
    return {means: frozenset(chosen)} if chosen else {}


def related(ground: Ground) -> set[str]:
    """Find our policies whose BSID begins with another one's, or begins that of another writer
    (agent rule A3)."""
    bsids = {
        key.removeprefix(keys.POLICY): ground.ranges.owns(key)
        for key in ground.actual.entries
        if key.startswith(keys.POLICY)
    }
    found = set()
    for bsid, is_ours in bsids.items():
        beginnings = {bsid[:end] for end in range(1, len(bsid))} & bsids.keys()
        found |= {bsid} if is_ours and beginnings else {one for one in beginnings if bsids[one]}
    return {keys.policy(bsid) for bsid in found}


def _checked(means: Means, ground: Ground, name: str) -> str:
    key = name.removeprefix(ground.prefix)
    if means is Means.RESEND and key in ground.made:
        return key
    if not ground.ranges.owns(key):
        raise InputError(f"{name}: no key of srv6kv's below {ground.prefix}")
    if not key.startswith(_FOR[means]):
        raise InputError(f"{name}: {means} is for {_names(means)} only")
    if key not in ground.actual.entries and means is not Means.RESEND:
        raise InputError(f"{name}: is not in etcd")
    return key


def _names(means: Means) -> str:
    return ", ".join(name for name, prefix in KINDS.items() if prefix in _FOR[means])
