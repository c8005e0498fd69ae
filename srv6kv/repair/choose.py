"""Which means each key needs, from what the agent says of it and what VPP shows.

Rules: agent rules A45, A46 and A47 (what a restart or a change of the encap source leads to), A21
(an error means that VPP's state is not known) and A24 (lost events).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from srv6kv import foreign
from srv6kv.agent.needs import SRV6, Means, vpp_code
from srv6kv.agent.status import State, ValueStatus
from srv6kv.ligato import keys
from srv6kv.ligato.values import decode
from srv6kv.plan.plan import put_order
from srv6kv.repair.ground import Ground
from srv6kv.repair.means import Task
from srv6kv.verify import vpp
from srv6kv.verify.desired import objects_of
from srv6kv.verify.differences import SRV6_GLOBAL, DesiredKeys, Difference
from srv6kv.vpp.showsr_values import UNSET, ShowSr

ABSENT = frozenset({State.NONEXISTENT, State.MISSING, State.UNIMPLEMENTED, State.REMOVED})
"""The agent does not have the value."""
BROKEN = frozenset({State.FAILED, State.RETRYING})
_NO_SOURCE = (
    "VPP has no encap source, others drop its packets: 'set sr encaps source addr ADDRESS' in VPP,"
    " then repair again"
)


@dataclass(frozen=True, slots=True)
class Known:
    """What was observed beside etcd's configuration; None: nothing."""

    states: Mapping[str, ValueStatus] | None = None
    shown: ShowSr | None = None

    def __bool__(self) -> bool:
        return self.states is not None or self.shown is not None


@dataclass(frozen=True, slots=True)
class Fault:
    """One key with a fault.

    Attributes:
        means: what repairs it; RESTART and None are nothing that srv6kv can do.
    """

    key: str
    means: Means | None
    why: str

    @property
    def is_repairable(self) -> bool:
        """Whether one of srv6kv's means does."""
        return self.means not in (None, Means.RESTART)


def faults(ground: Ground, known: Known) -> list[Fault]:
    """Find what is wrong, as far as it was observed."""
    states = known.states
    by_state, blamed = list[Fault](), set[str]()
    if states is not None:
        mine = sorted({*ground.ours(), *ground.made}, key=put_order)
        by_state = [one for key in mine if (one := _by_state(key, states.get(key))) is not None]
        by_state += _lost(ground, states)
        # VPP need not have what the agent does not call done.
        done = {key for key, status in states.items() if status.state is State.CONFIGURED}
        blamed = ground.actual.entries.keys() - done | {fault.key for fault in by_state}
    return [*by_state, *_by_vpp(ground, known.shown or ShowSr(), blamed)]


def is_deaf(ground: Ground, known: Known) -> bool:
    """Whether the agent has states, and none of any key of ours."""
    ours, states = ground.ours(), known.states
    if states is None or not ours:
        return False
    return all(key not in states or states[key].state in ABSENT for key in ours)


def task_of(found: Iterable[Fault]) -> Task:
    """Collect the means that faults need into a task."""
    task: dict[Means, frozenset[str]] = {}
    for fault in found:
        if fault.means is not None and fault.is_repairable:
            task[fault.means] = task.get(fault.means, frozenset()) | {fault.key}
    return task


def _by_state(key: str, status: ValueStatus | None) -> Fault | None:
    if status is None or status.state in ABSENT:
        return Fault(key, Means.RESEND, "the agent does not have it")
    error = status.error
    if status.state is State.INVALID:
        why = f"INVALID: {error}; what VPP had before stays until it restarts"
        return Fault(key, Means.RESTART, why)
    if status.state not in BROKEN or status.is_passing:
        return None
    code = vpp_code(error)
    if key.startswith(keys.POLICY) and (code == -12 or "failed to find index" in error):
        return Fault(key, Means.REBIND, f"VPP has it already: {error}")
    if key.startswith(keys.LOCALSID) and code == -1:
        return Fault(key, Means.RESTART, f"VPP has it already: {error}; VPP has to be restarted")
    return Fault(key, Means.RESEND, f"{status.state}: {error}")


def _lost(ground: Ground, states: Mapping[str, ValueStatus]) -> Iterator[Fault]:
    """Find what the agent still has although etcd has it no more."""
    for key, status in sorted(states.items()):
        if key in ground.actual.entries or status.state in ABSENT or not ground.ranges.owns(key):
            continue
        if status.state not in (State.OBTAINED, State.DISCOVERED):
            yield Fault(key, Means.RESEND, "the agent still has it")


def leftovers(ground: Ground, known: Known) -> list[str]:
    """What VPP has in ranges of ours although neither etcd nor the agent knows of it, as ``verify``
    names it: it stays until VPP restarts."""
    states = known.states or {}
    there = {key for key, status in states.items() if status.state not in ABSENT}
    found = _differences(ground, known.shown or ShowSr(), there)
    return [one.subject for one in found if one.reason == "NotInEtcd"]


def bsids_seen(known: Known) -> list[str]:
    """List the BSIDs that the agent or VPP may have, whatever etcd holds."""
    found = {
        key.removeprefix(keys.POLICY) for key in known.states or () if key.startswith(keys.POLICY)
    }
    return sorted(found | {one.bsid for one in (known.shown or ShowSr()).policies or ()})


def _differences(ground: Ground, shown: ShowSr, blamed: Collection[str]) -> list[Difference]:
    """Find the differences between etcd and VPP, as ``verify`` does."""
    values = {}
    for key, entry in ground.actual.entries.items():
        if key.startswith(SRV6):
            with suppress(ValueError):  # of another writer; run restores ours
                decode(key, entry.value)
                values[key] = _present(foreign.plain(entry.value, dict[str, Any], is_unique=True))
    desired = DesiredKeys(
        ground.label, frozenset(ground.actual.entries), values, ranges=ground.ranges
    )
    objects = objects_of(desired)
    seen = vpp.Seen(desired, objects, shown, {}, frozenset(blamed))
    return list(vpp.differences(seen))


def _present(value: Any) -> Any:
    """The value without members that are null: to the agent they are absent."""
    if isinstance(value, dict):
        return {name: _present(item) for name, item in value.items() if item is not None}
    return [_present(item) for item in value] if isinstance(value, list) else value


_MEANS = {
    "NotInVpp": Means.REWRITE,
    "LocalsidDiffers": Means.REWRITE,
    "SteeringDiffers": Means.REWRITE,
    "StaleSteering": Means.REWRITE,
    "PolicyDiffers": Means.RECREATE,
}
"""What repairs a difference between etcd and VPP. The encap source is not etcd's to say, and an
interface that is gone has to come back first."""


def _by_vpp(ground: Ground, shown: ShowSr, blamed: Collection[str]) -> Iterator[Fault]:
    """What is wrong in VPP with keys that should be there; parts that were cut out tell nothing."""
    found: dict[str, Fault] = {}
    unset = False
    for one in _differences(ground, shown, blamed):
        unset |= one.reason == "EncapSourceUnset"
        means = _MEANS.get(one.reason)
        if means is not None and one.subject not in blamed and ground.ranges.owns(one.subject):
            found.setdefault(one.subject, Fault(one.subject, means, one.what))
    today = shown.encap_source
    for policy in shown.policies or ():
        key, source = keys.policy(policy.bsid), policy.encap_source
        is_ours = key in ground.actual.entries and ground.ranges.owns(key) and key not in blamed
        if is_ours and source is not None and today not in (None, UNSET, source):
            why = f"its encap source is {source}, today's is {today}"
            found.setdefault(key, Fault(key, Means.RECREATE, why))
    yield from found.values()
    if unset and today in (None, UNSET):
        yield Fault(SRV6_GLOBAL, None, _NO_SOURCE)
