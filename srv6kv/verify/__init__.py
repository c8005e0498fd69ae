"""Etcd, the agent and VPP compared: each difference with its likely cause and cure.

Pure: it takes what was read and reads nothing itself. Etcd is what the others are measured by.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from srv6kv.ligato import keys
from srv6kv.verify import agent, held, objects, vpp
from srv6kv.verify.agent import States
from srv6kv.verify.differences import (
    AGENT,
    ANOTHERS,
    PLACES,
    SRV6_GLOBAL,
    Difference,
    Held,
    held_of,
)
from srv6kv.verify.wanted import wanted_of
from srv6kv.vpp.showsr_values import SECTIONS, ShowSr

__all__ = ["Difference", "Held", "compare", "held_of", "not_compared"]


def compare(
    etcd: Held,
    states: States | None,
    shown: ShowSr | None,
    names: Mapping[str, str] | None = None,
) -> tuple[Difference, ...]:
    """All differences, those of a key together, in the order in which keys are written.

    Args:
        etcd: what etcd holds.
        states: what the agent says of its values, by key; None: not known.
        shown: what VPP has; None: not known.
        names: the agent's names of interfaces to VPP's.
    """
    wanted = wanted_of(etcd)
    found = list(held.differences(etcd, wanted))
    faults = {item.subject for item in found if item.reason in held.FATAL}
    if states is not None:
        present = None if shown is None else vpp.present(wanted, shown)
        found += agent.differences(etcd, states, present, faults)
    if shown is not None:
        blamed = faults | {item.subject for item in found if item.where == AGENT}
        if keys.CONFIG in blamed:
            blamed |= etcd.keys
        bsids = vpp.bsids_of(shown)
        seen = vpp.Seen(etcd, wanted, shown, states, frozenset(blamed), bsids, names or {})
        found += vpp.differences(seen)
    return tuple(sorted((_with_cure(etcd, item) for item in found), key=_order))


def _with_cure(etcd: Held, item: Difference) -> Difference:
    """With a cure that can be done as it stands: label and key are named, and what is not srv6kv's
    is left to whoever writes it."""
    means = next((one for one in ANOTHERS if one in item.cure), "")
    if not means:
        return item
    whole = f"{means} --label {etcd.label}"
    if item.subject not in (SRV6_GLOBAL, keys.CONFIG):
        whole += f" --key {item.subject}"
        if not (etcd.ranges.owns(item.subject) or item.subject in etcd.shared):
            whole = ANOTHERS[means]
    return replace(item, cure=item.cure.replace(means, whole))


def _order(item: Difference) -> tuple[object, ...]:
    """Kinds in the order of puts, what is no key last."""
    is_key = item.subject.startswith(keys.CONFIG)
    place = (keys.rank(item.subject), item.subject) if is_key else (99, item.subject)
    return (*place, PLACES.index(item.where), item.reason, item.what, item.cause)


def not_compared(
    etcd: Held, states: States | None, shown: ShowSr | None, names: Mapping[str, str] | None = None
) -> Iterator[str]:
    """What nothing could be said about, in words."""
    if states is None:
        yield "the agent (no states)"
    if shown is None:
        yield "VPP (no output of 'show sr ...')"
        return
    for name in SECTIONS:
        if getattr(shown, name) is None:
            yield f"VPP's {name} (not shown)"
        elif name in shown.elided:
            yield f"missing {name} of VPP (a part was cut out)"
    localsids = wanted_of(etcd).localsids.values() if shown.localsids is not None else ()
    untold = sum(not objects.is_told(want, names or {}) for _, want in localsids)
    if untold:
        yield f"the interfaces of {untold} localsids (give --interfaces)"
