"""Which means each key needs, from what the agent says of it and what VPP shows.

Rules: spec/vpp-agent.md 4.7 and 4.8 (what a restart or a change of the encap source leads to), 8.21
(an error means that VPP's state is not known) and 8.24 (lost events).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from srv6kv.agent import keys
from srv6kv.agent.needs import Means, vpp_code
from srv6kv.agent.status import State, ValueStatus
from srv6kv.agent.values import LocalSid, Policy, Steering, decode
from srv6kv.formats.showsr_values import SECTIONS, ShowSr
from srv6kv.formats.showsr_values import Localsid as ShownLocalsid
from srv6kv.formats.showsr_values import Policy as ShownPolicy
from srv6kv.repair.ground import Ground
from srv6kv.repair.means import Task

ABSENT = frozenset({State.NONEXISTENT, State.MISSING, State.UNIMPLEMENTED, State.REMOVED})
"""The agent does not have the value."""
BROKEN = frozenset({State.FAILED, State.RETRYING})


@dataclass(frozen=True, slots=True)
class Known:
    """What is known beside etcd's configuration; None: nothing."""

    states: Mapping[str, ValueStatus] | None = None
    shown: ShowSr | None = None

    def __bool__(self) -> bool:
        return self.states is not None or self.shown is not None


@dataclass(frozen=True, slots=True)
class Fault:
    """A key that is not as it should be.

    Attributes:
        means: what mends it; RESTART and None are nothing that srv6kv can do.
    """

    key: str
    means: Means | None
    why: str

    @property
    def can_mend(self) -> bool:
        """Whether one of srv6kv's means does."""
        return self.means is not None and self.means is not Means.RESTART


def faults(ground: Ground, known: Known) -> list[Fault]:
    """What is wrong, by key; empty if nothing is, as far as it is known."""
    states, shown = known.states, known.shown or ShowSr()
    vpp = _Vpp(ground, shown)
    found = []
    for key in ground.ours():
        fault = None
        if states is not None:
            fault = _by_state(key, states.get(key))
        if fault is None and (states is None or states[key].state is State.CONFIGURED):
            fault = vpp.examine(key)
        found += [fault] if fault is not None else []
    return [*found, *_lost(ground, states or {})]


def task_of(found: Iterable[Fault]) -> Task:
    """What they need, as a task."""
    task: dict[Means, frozenset[str]] = {}
    for fault in found:
        if fault.means is not None and fault.can_mend:
            task[fault.means] = task.get(fault.means, frozenset()) | {fault.key}
    return task


def _by_state(key: str, status: ValueStatus | None) -> Fault | None:
    if status is None or status.state in ABSENT:
        return Fault(key, Means.TOUCH, "the agent does not have it")
    error = status.error
    if status.state is State.INVALID:
        why = f"INVALID: {error}; what VPP had before stays until it restarts"
        return Fault(key, Means.RESTART, why)
    if status.state not in BROKEN:
        return None
    code = vpp_code(error)
    if key.startswith(keys.POLICY) and (code == -12 or "failed to find index" in error):
        return Fault(key, Means.MOVE, f"VPP has it already: {error}")
    if key.startswith(keys.LOCALSID) and code == -1:
        return Fault(key, Means.RESTART, f"VPP has it already: {error}; VPP has to be restarted")
    return Fault(key, Means.TOUCH, f"{status.state}: {error}")


def _lost(ground: Ground, states: Mapping[str, ValueStatus]) -> Iterator[Fault]:
    """What the agent still has although etcd has it no more."""
    for key, status in sorted(states.items()):
        if key in ground.actual.entries or status.state in ABSENT or not ground.ranges.owns(key):
            continue
        if status.state not in (State.OBTAINED, State.DISCOVERED):
            yield Fault(key, Means.TOUCH, "the agent still has it")


def leftovers(ground: Ground, known: Known) -> list[str]:
    """Keys of ours whose objects VPP has although neither etcd nor the agent knows of them: they
    stay until VPP restarts, and harm nobody."""
    shown, states = known.shown or ShowSr(), known.states or {}
    found = {keys.localsid(one.sid) for one in shown.localsids or ()}
    found |= {keys.policy(one.bsid) for one in shown.policies or ()}
    return [
        key
        for key in sorted(found)
        if key not in ground.actual.entries
        and ground.ranges.owns(key)
        and (key not in states or states[key].state in ABSENT)
    ]


def bsids_seen(known: Known) -> list[str]:
    """The BSIDs that the agent or VPP may have, whatever etcd holds."""
    found = {
        key.removeprefix(keys.POLICY) for key in known.states or () if key.startswith(keys.POLICY)
    }
    return sorted(found | {one.bsid for one in (known.shown or ShowSr()).policies or ()})


class _Vpp:
    """What VPP shows, beside what etcd holds; outputs that are not whole tell nothing."""

    def __init__(self, ground: Ground, shown: ShowSr) -> None:
        self._ground = ground
        self._source = shown.encap_source
        sids, policies, steerings = (
            None if name in shown.elided else getattr(shown, name) for name in SECTIONS
        )
        self._localsids = None if sids is None else {one.sid: one for one in sids}
        self._policies = None if policies is None else {one.bsid: one for one in policies}
        self._steerings = (
            None if steerings is None else {(one.traffic, one.bsid) for one in steerings}
        )

    def examine(self, key: str) -> Fault | None:
        """What is wrong in VPP with a key that should be there."""
        try:
            why, means = self._examine(key)
        except ValueError:  # somebody else's bytes; run mends them
            return None
        return Fault(key, means, why) if why else None

    def _examine(self, key: str) -> tuple[str, Means | None]:
        absent = ("VPP does not have it", Means.REWRITE)
        value = decode(key, self._ground.actual.entries[key].value)
        if isinstance(value, LocalSid) and self._localsids is not None:
            there = self._localsids.get(value.sid)
            if there is None or _is_as_shown(value, there):
                return absent if there is None else ("", None)
            return "VPP has another one", Means.REWRITE
        if isinstance(value, Policy) and self._policies is not None:
            shown = self._policies.get(value.bsid)
            return absent if shown is None else self._differs(value, shown)
        if isinstance(value, Steering) and self._steerings is not None:
            place = (value.l3_traffic.prefix_address, value.policy_bsid)
            return ("", None) if place in self._steerings else absent
        return "", None

    def _differs(self, policy: Policy, shown: ShownPolicy) -> tuple[str, Means | None]:
        wanted = {(item.segments, max(1, item.weight)) for item in policy.segment_lists}
        if wanted != {(item.segments, item.weight) for item in shown.lists}:
            return "VPP has other segment lists", Means.FLIP
        if shown.table != policy.installation_vrf_id:
            return "VPP has it in another VRF", Means.FLIP
        source, today = shown.encap_source, self._source
        if source is None or today in (None, source):
            return "", None
        if today == "::":
            return "VPP has no encap source any more: 'set sr encaps source addr' first", None
        return f"its encap source is {source}, today's is {today}", Means.FLIP


def _is_as_shown(value: LocalSid, shown: ShownLocalsid) -> bool:
    """As far as every VPP tells; the table is an index in some, and an interface VPP's name."""
    cross = value.cross_connect
    if cross is not None:
        kind = "DX6" if value.end_function_dx6 else "DX4"
        return (shown.behaviour, shown.next_hop) == (kind, cross.next_hop)
    kind = "DT6" if value.end_function_dt6 else "DT4" if value.end_function_dt4 else "End"
    return shown.behaviour == kind
