"""A new BSID for what is steered into a policy that VPP will not let the agent make.

Rule (rules R1 and A3): of the BSIDs that an address may have the next one after that which it
has, so that the second move does not lead back to what VPP still has from before the first; no text
prefix of one in use or of the one that is given up, nor the other way round.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from srv6kv.ligato import keys
from srv6kv.ligato.values import Policy, Steering, decode, encode
from srv6kv.net import bsids
from srv6kv.net.addresses import Prefix, is_canonical
from srv6kv.net.bsids import Home, Texts
from srv6kv.repair.ground import Change, Ground


class Rebinder:
    """Moves policies, one transaction each; ``avoid``: BSIDs that VPP has although etcd has not."""

    def __init__(self, ground: Ground, avoid: Iterable[str] = ()) -> None:
        self._ground = ground
        self._used = Texts()
        for key in ground.actual.entries:
            if key.startswith(keys.POLICY):
                self._used.add(key.removeprefix(keys.POLICY))
        for bsid in avoid:
            self._used.add(bsid)

    def rebind(self, key: str) -> tuple[str, str, list[Change]]:
        """The old BSID, the new one, and the changes in a safe order; ValueError says why not."""
        actual, old = self._ground.actual, key.removeprefix(keys.POLICY)
        policy = decode(key, actual.entries[key].value)
        assert isinstance(policy, Policy)
        users = sorted(actual.users.get(old, ()))
        foreign = [user for user in users if not self._ground.ranges.owns(user)]
        if foreign:
            raise ValueError(f"{foreign[0]} is steered into it, which is not srv6kv's")
        if not users:
            raise ValueError("nothing is steered into it")
        new = self._next(old, users, policy.installation_vrf_id)
        rebound = msgspec.structs.replace(policy, bsid=new)
        changes: list[Change] = [(rebound.key, encode(rebound))]
        for user in users:
            changes += _steer(user, actual.entries[user].value, old, new)
        self._used.add(new)
        return old, new, [*changes, (key, None)]

    def _next(self, old: str, users: list[str], vrf: int) -> str:
        home = self._home(old, users)
        for bsid in bsids.choices_after(home, old):
            if not (bsid in self._used or self._used.relates_to(bsid) or self._is_taken(bsid, vrf)):
                return bsid
        raise ValueError("every BSID that it could have is in use")

    def _home(self, old: str, users: list[str]) -> Home:
        """What the BSID was made of: the address that is steered, or, where that is not the one
        (tunnels), the BSID itself, which differs only in the bits that may vary."""
        within = [one for one in self._ground.ranges.bsids if is_canonical(old) and old in one]
        if not within:
            raise ValueError("its BSID lies in no range of srv6kv's")
        prefix: Prefix = max(within, key=lambda one: one.length)
        target = self._ground.actual.facts[users[0]].target
        if target is not None and "/" not in target[1]:
            home = Home(prefix, target[1])
            if bsids.is_choice(home, old):
                return home
        return Home(prefix, old)

    def _is_taken(self, bsid: str, vrf: int) -> bool:
        actual = self._ground.actual
        return (
            bsid in actual.users
            or keys.localsid(bsid) in actual.entries
            or (vrf, bsid) in actual.host_routes
            or (vrf, bsid) in actual.steerings
        )


def _steer(key: str, value: bytes, old: str, new: str) -> list[Change]:
    """A steering into the new policy; the name of a tunnel's holds the BSID, so its key goes
    immediately before the new one comes: VPP has one entry for a prefix."""
    steering = decode(key, value)
    assert isinstance(steering, Steering)
    into = msgspec.structs.replace(steering, policy_bsid=new)
    head = f"{keys.TUNNEL_STEERING}{old}-and-"
    if not steering.name.startswith(head):
        return [(key, encode(into))]
    name = keys.tunnel_steering(new, steering.name.removeprefix(head))
    renamed = msgspec.structs.replace(into, name=name)
    return [(key, None), (renamed.key, encode(renamed))]
