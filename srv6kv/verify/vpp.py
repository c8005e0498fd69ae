"""Etcd against VPP's output: what is missing, and what is not desired.

Rule: what the text does not tell (the VRF of localsids and steerings, parts that were cut out) is
no difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from srv6kv.agent.needs import Means
from srv6kv.ligato import keys
from srv6kv.verify import objects
from srv6kv.verify.agentstate import States
from srv6kv.verify.desired import DesiredObjects
from srv6kv.verify.differences import (
    COMMAND,
    FOREIGN,
    SRV6_GLOBAL,
    VPP,
    DesiredKeys,
    Difference,
    Remedy,
    explained,
)
from srv6kv.verify.objects import Names
from srv6kv.vpp.showsr_values import ShowSr, Steering

Found = TypeVar("Found")
_LEFT_OVER = (
    "a deletion failed, or the agent was restarted over a living VPP: it cannot read SRv6 back, so"
    " it deletes nothing that it has not made itself"
)


@dataclass(frozen=True)
class Seen:
    """What there is to compare VPP with.

    Attributes:
        states: of the agent; None: not known.
        blamed: keys that the agent has not done, so that VPP need not have them.
        names: the agent's names of interfaces to VPP's.
    """

    desired: DesiredKeys
    decoded: DesiredObjects
    vpp: ShowSr
    states: States | None
    blamed: frozenset[str]
    names: Names = field(default_factory=dict)

    @cached_property
    def bsids(self) -> frozenset[str] | None:
        """The BSIDs of all policies that VPP has; None: not all are shown."""
        if self.vpp.policies is None or "policies" in self.vpp.elided:
            return None
        return frozenset(policy.bsid for policy in self.vpp.policies)


def by_address(items: tuple[Found, ...] | None, name: str) -> dict[str, Found]:
    """What VPP shows, by its SID or BSID."""
    return {getattr(item, name): item for item in items or ()}


def present(decoded: DesiredObjects, vpp: ShowSr) -> frozenset[str]:
    """The keys of localsids and policies that VPP has, however they look."""
    sids, bsids = by_address(vpp.localsids, "sid"), by_address(vpp.policies, "bsid")
    return frozenset(
        [key for sid, (key, _) in decoded.localsids.items() if sid in sids]
        + [key for bsid, (key, _) in decoded.policies.items() if bsid in bsids]
    )


def differences(seen: Seen) -> Iterator[Difference]:
    """Every object that VPP lacks, has too many of, or has otherwise."""
    if seen.vpp.localsids is not None:
        yield from _localsids(seen)
    if seen.vpp.policies is not None:
        yield from _policies(seen)
    if seen.vpp.steerings is not None:
        yield from _steerings(seen, seen.vpp.steerings)
    if seen.vpp.encap_source is not None and _encapsulates(seen.decoded):
        yield from objects.encap_source(
            SRV6_GLOBAL, seen.vpp.encap_source, seen.decoded.encap_source, "for new policies"
        )


def _encapsulates(decoded: DesiredObjects) -> bool:
    return any(policy.is_encap for _, policy in decoded.policies.values())


def _localsids(seen: Seen) -> Iterator[Difference]:
    shown = by_address(seen.vpp.localsids, "sid")
    may_be_old = seen.vpp.may_be_old
    for sid, (key, want) in seen.decoded.localsids.items():
        if sid in shown:
            interface = seen.desired.interfaces.get(want.interface or "")
            yield from objects.localsid(key, want, shown[sid], seen.names, interface)
        elif want.behaviour != "DX2" or not seen.vpp.unsupported:
            yield from _missing(seen, key, "localsids")
    for sid in shown.keys() - seen.decoded.localsids.keys():
        key = keys.localsid(sid)
        is_bare = shown[sid].length == 0 or may_be_old
        prefix = f"address {sid}" if is_bare else f"prefix {sid}/128"
        vrf = "fib-table N (its own VRF: with another one VPP keeps a part of it for ever)"
        yield from _extra(seen, key, f"sr localsid del {prefix} {vrf}")


def _policies(seen: Seen) -> Iterator[Difference]:
    shown = by_address(seen.vpp.policies, "bsid")
    may_be_old = seen.vpp.may_be_old
    for bsid, (key, want) in seen.decoded.policies.items():
        if bsid in shown:
            yield from objects.policy(key, want, shown[bsid], may_be_old)
            source = shown[bsid].encap_source
            if want.is_encap and source is not None:
                yield from objects.encap_source(key, source, seen.decoded.encap_source, "of it")
        else:
            yield from _missing(seen, key, "policies")
    for bsid in shown.keys() - seen.decoded.policies.keys():
        key = keys.policy(bsid)
        yield from _extra(seen, key, f"sr policy del bsid {bsid}")


def _missing(
    seen: Seen, key: str, section: str, what: str = "VPP has no such object"
) -> Iterator[Difference]:
    if key in seen.blamed or section in seen.vpp.elided:
        return
    if seen.states is None:
        cause = (
            "the agent has not made it, or VPP was restarted under it (its states are not known)"
        )
        text = f"see the agent's state of it (--agent-rest); if CONFIGURED, {COMMAND}"
    else:
        cause = (
            "VPP was restarted under a living agent, which cannot see that, or it was deleted by"
            " hand"
        )
        text = COMMAND
    yield Difference(key, VPP, "NotInVpp", what, cause, Remedy(Means.REWRITE, text))


def _extra(seen: Seen, key: str, command: str) -> Iterator[Difference]:
    what = "VPP has it, and etcd has no such key"
    if key in seen.blamed:
        return
    if seen.desired.ranges.owns(key):
        yield _surplus(key, what, command)
    else:
        yield _foreign(key, what)


def _surplus(subject: str, what: str, command: str) -> Difference:
    remedy = Remedy(None, f"vppctl {command}; or restart VPP and the agent")
    return Difference(subject, VPP, "NotInEtcd", what, _LEFT_OVER, remedy)


def _foreign(subject: str, what: str) -> Difference:
    """An object in none of our ranges."""
    return explained(subject, VPP, FOREIGN, f"{what}; it is in no range of srv6kv's")


def _steerings(seen: Seen, shown: tuple[Steering, ...]) -> Iterator[Difference]:
    """VPP shows no VRFs: of one prefix any steering may be that of any VRF."""
    left: dict[tuple[str, str], list[str]] = {}
    for item in shown:
        left.setdefault((item.kind, item.traffic), []).append(item.bsid)
    for (kind, traffic), by_vrf in sorted(seen.decoded.steerings.items()):
        is_shown = kind == "L3" or traffic in seen.names or ("L2", traffic) in left
        if is_shown:
            bsids = left.pop((kind, seen.names.get(traffic, traffic)), [])
            yield from _one_prefix(seen, kind, traffic, by_vrf, bsids)
    for (kind, traffic), bsids in sorted(left.items()):
        if kind == "L3" or not _has_unknown_interfaces(seen):
            for bsid in bsids:
                yield _extra_steering(seen, kind, traffic, bsid)


def _has_unknown_interfaces(seen: Seen) -> bool:
    return any(kind == "L2" and name not in seen.names for kind, name in seen.decoded.steerings)


def _one_prefix(
    seen: Seen, kind: str, traffic: str, by_vrf: Mapping[int, Mapping[str, str]], bsids: list[str]
) -> Iterator[Difference]:
    def order(item: tuple[int, Mapping[str, str]]) -> tuple[bool, int]:
        """What VPP need not have comes last: any of the prefix may be that of any VRF."""
        return all(key in seen.blamed for key in item[1]), item[0]

    unmet = []
    for _, wants in sorted(by_vrf.items(), key=order):
        met = next((bsid for bsid in wants.values() if bsid in bsids), None)
        key = next((k for k, bsid in sorted(wants.items()) if bsid == met), min(wants))
        if met is None:
            unmet.append((key, wants[key]))
            continue
        bsids.remove(met)
        yield from _stale(seen, key, met)
    for key, bsid in unmet:
        if bsids:
            yield _elsewhere(seen, key, bsid, bsids.pop(0))
        else:
            alike = sorted(vrf for vrf, wants in by_vrf.items() if bsid in wants.values())
            yield from _missing(seen, key, "steerings", _lacks(traffic, bsid, alike))
    for bsid in bsids:
        yield _extra_steering(seen, kind, traffic, bsid)


def _lacks(traffic: str, bsid: str, vrfs: list[int]) -> str:
    if len(vrfs) < 2:
        return f"VPP does not steer {traffic} into {bsid}"
    names = ", ".join(map(str, vrfs))
    return f"VPP does not steer {traffic} into {bsid} in each of the VRFs {names}; it shows no VRFs"


def _has_policy(seen: Seen, bsid: str) -> bool | None:
    """Whether VPP has a policy; None: it is not known."""
    return None if seen.bsids is None else bsid in seen.bsids


def _stale(seen: Seen, key: str, bsid: str) -> Iterator[Difference]:
    if _has_policy(seen, bsid) is False:
        what = f"VPP steers into {bsid}, and has no such policy"
        yield explained(key, VPP, "StaleSteering", what)


def _elsewhere(seen: Seen, key: str, want: str, has: str) -> Difference:
    what = f"VPP steers into {has} instead of {want}"
    if _has_policy(seen, want) is False or _has_policy(seen, has) is False:
        cause = (
            "its policy was deleted under the steering, whose packets are dropped; VPP prints the"
            " BSID of whatever policy has come to its place"
        )
    else:
        cause = "a change of the steering failed, or another writer has written this prefix too"
    return Difference(key, VPP, "SteeringDiffers", what, cause, Remedy(Means.REWRITE))


def _extra_steering(seen: Seen, kind: str, traffic: str, bsid: str) -> Difference:
    subject = f"steering {traffic}"
    what = f"VPP steers {traffic} into {bsid}, and etcd has no such key"
    gone = ", nor VPP such a policy: its packets are dropped"
    what += gone if _has_policy(seen, bsid) is False else ""
    if not seen.desired.ranges.owns(keys.policy(bsid)):
        return _foreign(subject, what)
    command = f"sr steer del {kind.lower()} {traffic} via bsid {bsid} [fib-table N]"
    return _surplus(subject, what, command)
