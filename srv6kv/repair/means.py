"""The four means as steps (agent rules A22 and A24).

What of the agent they rest on: every put and deletion raises a watch event, and those of one model
come in their order, each as a transaction of its own (agent rule A36); a policy whose VRF changes
is made again, with today's encap source and flow hash (agent rules A44 and A45); what the agent
cannot read back from VPP is made again only if its key was gone before (agent rule A46).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from srv6kv.agent.needs import SRV6, Means
from srv6kv.ligato import keys
from srv6kv.ligato.values import Policy, decode, encode
from srv6kv.plan.plan import put_order
from srv6kv.repair.ground import Change, Draft, Ground, Pause, Step, ordered
from srv6kv.repair.never import never
from srv6kv.repair.rebind import Rebinder

BATCH = 8
"""Policies that are recreated at a time."""

_TABLE = re.compile(rf"{keys.VRF_TABLE}id/([0-9]{1, 10})/protocol/IPV6\Z")

Task = Mapping[Means, frozenset[str]]
"""What is to be repaired by which means; keys in short form."""


@dataclass(slots=True)
class RepairPlan:
    """The way to do a task; ``left``: keys for which the means does nothing, and why."""

    steps: list[Step] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)

    @property
    def rebound(self) -> dict[str, str]:
        """The BSIDs that change, old to new."""
        return dict(step.rebound for step in self.steps if step.rebound is not None)


def plan_repair(
    task: Task, ground: Ground, *, batch: int = BATCH, avoid: Iterable[str] = ()
) -> RepairPlan:
    """The steps of a task, from what etcd holds now.

    Args:
        ground: nothing may be owed.
        batch: policies that are recreated at a time.
        avoid: BSIDs that VPP has although etcd has not; no new one may relate to them.
    """
    plan, draft = RepairPlan(), Draft(ground)
    touched = task.get(Means.RESEND, frozenset())
    _clear(touched - ground.actual.entries.keys(), draft, plan)
    _resend(touched & ground.actual.entries.keys(), ground, draft)
    _rewrite(task.get(Means.REWRITE, frozenset()), ground, draft)
    rebinder = Rebinder(ground, avoid)
    for key in sorted(task.get(Means.REBIND, frozenset()) & ground.actual.entries.keys()):
        try:
            old, new, changes = rebinder.rebind(key)
        except ValueError as error:
            plan.left[key] = str(error)
            continue
        draft.add(Means.REBIND, changes, done={key}, rebound=(old, new))
    _recreate(task.get(Means.RECREATE, frozenset()), ground, draft, plan, batch)
    plan.steps = draft.steps
    return plan


def _resend(chosen: Iterable[str], ground: Ground, draft: Draft) -> None:
    """The same bytes again: a watch event, and no more than a comparison for who had them."""
    listed = sorted(chosen, key=put_order)
    changes = [(key, ground.actual.entries[key].value) for key in listed]
    draft.add(Means.RESEND, changes, done=listed)


def _clear(lost: Iterable[str], draft: Draft, plan: RepairPlan) -> None:
    """Keys that only the agent still has: they get values that cannot be made, and go again. They
    come first: a steering that goes takes along what another one has made of its prefix."""
    values: dict[str, bytes | None] = {}
    for key in lost:
        try:
            values[key] = never(key)
        except ValueError as error:
            plan.left[key] = str(error)
    draft.add(Means.RESEND, ordered(values.items()))
    draft.add(Means.RESEND, ordered((key, None) for key in values), done=values)


def _rewrite(chosen: Iterable[str], ground: Ground, draft: Draft) -> None:
    """All of it goes, and comes back when the agent has forgotten it."""
    listed = {key for key in chosen if key.startswith(SRV6)} & ground.actual.entries.keys()
    for key in [key for key in listed if key.startswith(keys.POLICY)]:
        listed |= {
            user
            for user in ground.actual.users.get(key.removeprefix(keys.POLICY), ())
            if ground.ranges.owns(user)
        }
    values = {key: ground.actual.entries[key].value for key in listed}
    draft.add(Means.REWRITE, ordered((key, None) for key in values), pause=Pause.GONE)
    draft.add(Means.REWRITE, ordered(values.items()), done=values)


def _recreate(
    chosen: frozenset[str], ground: Ground, draft: Draft, plan: RepairPlan, batch: int
) -> None:
    """There and back again, some policies at a time; the two steps follow at once on each other,
    because the agent has both events in their order and nothing is gained in between."""
    there: list[Change] = []
    vrfs = _vrfs(ground)
    for key in sorted(chosen & ground.actual.entries.keys()):
        try:
            there.append((key, _elsewhere(key, ground.actual.entries[key].value, vrfs)))
        except ValueError as error:
            plan.left[key] = str(error)
    for start in range(0, len(there), batch):
        part = there[start : start + batch]
        back = [(key, ground.actual.entries[key].value) for key, _ in part]
        draft.add(Means.RECREATE, part)
        draft.add(Means.RECREATE, back, done=dict(part), pause=Pause.APPLIED)


def _vrfs(ground: Ground) -> list[int]:
    """Where a policy may go meanwhile: where services are steered, else where there is a table."""
    steered = ground.actual.vrfs[keys.SERVICE_STEERING]
    tables = [int(found[1]) for found in map(_TABLE.match, ground.actual.entries) if found]
    return sorted(vrf for vrf, count in steered.items() if count) + sorted(tables)


def _elsewhere(key: str, value: bytes, vrfs: Iterable[int]) -> bytes:
    """The policy in another VRF; without a table for it the agent takes it out, which will do."""
    policy = decode(key, value)
    assert isinstance(policy, Policy)
    here = policy.installation_vrf_id
    vrf = next((vrf for vrf in vrfs if vrf != here), here + 1)
    return encode(msgspec.structs.replace(policy, installation_vrf_id=vrf))
