"""Faults of etcd's own keys, whatever the agent and VPP have."""

from __future__ import annotations

from collections.abc import Iterator

from srv6kv.ligato import keys
from srv6kv.net.bsids import Texts
from srv6kv.verify.desired import DesiredObjects, key_of
from srv6kv.verify.differences import ETCD, DesiredKeys, Difference, explained

FATAL = frozenset({"Unreadable", "KeyMismatch", "Invalid"})
"""Reasons for which the agent does not have the value of a key."""


def differences(desired: DesiredKeys, decoded: DesiredObjects) -> Iterator[Difference]:
    """Keys and values that the agent cannot take as they are meant."""
    for key, why in desired.unreadable.items():
        yield explained(key, ETCD, "Unreadable", f"the agent cannot decode it: {why}")
    for key, value in desired.values.items():
        made = key_of(key, value)
        if made != key:
            what = f"the agent makes the key {made!r} of this value"
            yield explained(key, ETCD, "KeyMismatch", what)
    for key, why in decoded.faults.items():
        yield explained(key, ETCD, "Invalid", why)
    yield from _related_bsids(desired)
    yield from _shared_prefixes(decoded)


def _related_bsids(desired: DesiredKeys) -> Iterator[Difference]:
    texts = Texts()
    found = sorted(k.removeprefix(keys.POLICY) for k in desired.keys if k.startswith(keys.POLICY))
    for text in reversed(found):
        if text and texts.relates_to(text):
            longer = next(one for one in found if one != text and one.startswith(text))
            what = f"its BSID is the beginning of another one: {longer}"
            yield explained(keys.policy(text), ETCD, "BsidPrefix", what)
        texts.add(text)


def _shared_prefixes(decoded: DesiredObjects) -> Iterator[Difference]:
    for (_, traffic), by_vrf in decoded.steerings.items():
        for vrf, bsids in by_vrf.items():
            for key in bsids:
                others = sorted(bsids.keys() - {key})
                if others:
                    what = f"{traffic} in VRF {vrf} is steered by {others[0]} too"
                    yield explained(key, ETCD, "SharedPrefix", what)
