"""Which BSID each policy has: the one in etcd while its steering lives, else a new one.

Rule (decision 0028): the BSID of a service stays with its (VRF, address); that of a tunnel
with the address of the node at its other end.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from srv6kv.ligato import keys
from srv6kv.net import bsids
from srv6kv.net.addresses import is_canonical
from srv6kv.net.bsids import Home
from srv6kv.net.targets import Target
from srv6kv.plan.actual import Actual
from srv6kv.plan.ownership import Ranges
from srv6kv.render.desired import Carried, Desired, Steered
from srv6kv.settings import Settings


@dataclass(frozen=True, slots=True)
class _Group:
    """The targets that share one policy."""

    home: Home
    targets: tuple[Target, ...]
    is_tunnel: bool


@dataclass(frozen=True, slots=True)
class Allotment:
    """Gives BSIDs to targets.

    Attributes:
        leaving: targets whose steerings are all planned in this pass.
    """

    desired: Desired
    actual: Actual
    settings: Settings
    ranges: Ranges
    leaving: Collection[Target]

    def bsids_of(self, entries: Mapping[Target, Steered | Carried]) -> dict[Target, str]:
        """Choose the BSID of each entry's policy; entries of one tunnel share it."""
        groups = {_first(entry): self._group(entry) for entry in entries.values()}
        given: dict[Target, str] = {}
        used = set()
        for find in (self._actual_bsid, self._bsid_in_other_vrf, self._vacated):
            for first, group in groups.items():
                bsid = find(group) if first not in given else None
                if bsid is not None and bsid not in used:
                    given[first] = bsid
                    used.add(bsid)
        homes = {first: group.home for first, group in groups.items() if first not in given}
        given |= bsids.assign(homes, self.actual.bsids, self._is_taken)
        return {
            target: given[_first(entry)]
            for target, entry in entries.items()
            if _first(entry) in given
        }

    def _group(self, entry: Steered | Carried) -> _Group:
        if isinstance(entry, Carried):
            return _Group(entry.tunnel.home, entry.tunnel.targets, is_tunnel=True)
        home = Home(self.settings.sid.service_bsid, entry.target[1])
        return _Group(home, (entry.target,), is_tunnel=False)

    def _actual_bsid(self, group: _Group) -> str | None:
        """Return the BSID that a steering of the group has in etcd, if it can stay.

        Two groups on one BSID (defect D4) are separated: the one with the lowest target keeps it.
        """
        facts, owns = self.actual.facts, self.ranges.owns
        for target in group.targets:
            for key in sorted(filter(owns, self.actual.steerings.get(target, ()))):
                bsid = facts[key].bsid
                if not (is_canonical(bsid) and bsid in group.home.prefix):
                    continue
                if group.is_tunnel and not bsids.is_choice(group.home, bsid):
                    continue
                users = (facts[user].target for user in filter(owns, self.actual.users[bsid]))
                if min(user for user in users if user is not None) in group.targets:
                    return bsid
        return None

    def _bsid_in_other_vrf(self, group: _Group) -> str | None:
        """Return the BSID of the group in a VRF of old, as the ids of VRFs have changed."""
        kind = keys.TUNNEL_STEERING if group.is_tunnel else keys.SERVICE_STEERING
        counts = self.actual.vrfs[kind]
        if any(counts[vrf] for vrf, _ in group.targets):
            return None
        for vrf in sorted(vrf for vrf, count in counts.items() if count):
            left = tuple((vrf, destination) for _, destination in group.targets)
            if any(self.desired.entry(target) is not None for target in left):
                continue
            bsid = self._actual_bsid(_Group(group.home, left, group.is_tunnel))
            if bsid is not None:
                return bsid
        return None

    def _vacated(self, group: _Group) -> str | None:
        """Return a tunnel's first choice, if its policy exists and all its users move or go: it
        leads to the same address, whichever node has it now."""
        bsid = next(iter(bsids.choices(*group.home)))
        users = self.actual.users.get(bsid)
        if not group.is_tunnel or not users or not self.ranges.owns(keys.policy(bsid)):
            return None
        targets = {self.actual.facts[key].target for key in users}
        is_free = all(map(self.ranges.owns, users)) and targets <= set(self.leaving)
        return bsid if is_free and keys.policy(bsid) in self.actual.entries else None

    def _is_taken(self, bsid: str) -> bool:
        """Whether something uses a BSID; a policy of ours without steering was left by a crash and
        does not count."""
        actual, main = self.actual, self.settings.main_vrf
        policy, localsid = keys.policy(bsid), keys.localsid(bsid)
        return (
            bsid in actual.users
            or (policy in actual.entries and not self.ranges.owns(policy))
            or localsid in actual.entries
            or localsid in self.desired.objects
            or (main, bsid) in actual.host_routes
            or keys.route(main, f"{bsid}/128", "::") in self.desired.objects
            or (main, bsid) in actual.steerings
        )


def _first(entry: Steered | Carried) -> Target:
    """The target that stands for all with the same policy."""
    return entry.tunnel.targets[0] if isinstance(entry, Carried) else entry.target
