"""Faults of etcd's own keys, whatever the agent and VPP have."""

from __future__ import annotations

from collections.abc import Iterator

from srv6kv.agent.needs import Means
from srv6kv.ligato import keys
from srv6kv.net.bsids import Texts
from srv6kv.verify.desired import DesiredObjects, key_of
from srv6kv.verify.differences import COMMAND, ETCD, DesiredKeys, Difference, Remedy

FATAL = frozenset({"Unreadable", "KeyMismatch", "Invalid"})
"""Reasons for which the agent does not have the value of a key."""
_VOID = "and at a resync the agent drops all keys because of it"


def differences(desired: DesiredKeys, decoded: DesiredObjects) -> Iterator[Difference]:
    """Keys and values that the agent cannot take as they are meant."""
    for key, why in desired.unreadable.items():
        yield Difference(
            *(key, ETCD, "Unreadable", f"the agent cannot decode it: {why}"),
            "its writer spells the agent's JSON in another way",
            Remedy(
                None,
                "put a value that the agent can read; until then it keeps an old one, if any",
            ),
        )
    for key, value in desired.values.items():
        made = key_of(key, value)
        if made != key:
            yield Difference(
                *(key, ETCD, "KeyMismatch", f"the agent makes the key {made!r} of this value"),
                f"key and value were written apart; the agent refuses the pair, {_VOID}",
                Remedy(None, "delete this key, and put the value under the right one"),
            )
    for key, why in decoded.faults.items():
        yield Difference(
            *(key, ETCD, "Invalid", why),
            "the agent or VPP refuses such a value",
            Remedy(None, "correct the value; what an earlier one made stays in VPP until then"),
        )
    yield from _related_bsids(desired)
    yield from _shared_prefixes(decoded)


def _related_bsids(desired: DesiredKeys) -> Iterator[Difference]:
    texts = Texts()
    found = sorted(k.removeprefix(keys.POLICY) for k in desired.keys if k.startswith(keys.POLICY))
    for text in reversed(found):
        if text and texts.relates_to(text):
            longer = next(one for one in found if one != text and one.startswith(text))
            yield Difference(
                *(keys.policy(text), ETCD, "BsidPrefix"),
                f"its BSID is the beginning of another one: {longer}",
                "the agent looks a BSID up by its beginning in VPP's text, and may find the other",
                Remedy(Means.REBIND, f"give one of them another BSID: {COMMAND}"),
            )
        texts.add(text)


def _shared_prefixes(decoded: DesiredObjects) -> Iterator[Difference]:
    for (_, traffic), by_vrf in decoded.steerings.items():
        for vrf, bsids in by_vrf.items():
            for key in bsids:
                others = sorted(bsids.keys() - {key})
                if others:
                    yield Difference(
                        *(key, ETCD, "SharedPrefix"),
                        f"{traffic} in VRF {vrf} is steered by {others[0]} too",
                        "VPP has one entry for both: the last one that was written counts, and"
                        " deleting either deletes it",
                        Remedy(Means.REWRITE, f"delete one of the keys, then {COMMAND}"),
                    )
