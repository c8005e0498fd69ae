"""Etcd, the agent and VPP compared: each difference with its likely cause and remedy.

Pure: it takes what was read and reads nothing itself. Etcd is what the others are measured by.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from srv6kv.ligato import keys
from srv6kv.verify import agent, keyfaults, objects, vpp
from srv6kv.verify.agentstate import States
from srv6kv.verify.desired import objects_of
from srv6kv.verify.differences import (
    AGENT,
    PLACES,
    SRV6_GLOBAL,
    DesiredKeys,
    Difference,
    Remedy,
    desired_of,
    explained,
)
from srv6kv.vpp.showsr_values import SECTIONS, ShowSr

__all__ = ["DesiredKeys", "Difference", "Remedy", "compare", "desired_of", "not_compared"]


def compare(
    etcd: DesiredKeys,
    states: States | None,
    shown: ShowSr | None,
    names: Mapping[str, str] | None = None,
    vpp_lost: str = "",
) -> tuple[Difference, ...]:
    """All differences, those of a key together, in the order in which keys are written.

    Args:
        states: of the agent's values, by key; None: not known.
        shown: what VPP has; None: not known.
        names: the agent's names of interfaces to VPP's.
        vpp_lost: why the agent will not have VPP again by itself: then its states say nothing.
    """
    decoded = objects_of(etcd)
    found = list(keyfaults.differences(etcd, decoded))
    faults = {item.subject for item in found if item.reason in keyfaults.FATAL}
    if vpp_lost:
        found.append(explained(keys.CONFIG, AGENT, "LostVpp", vpp_lost))
    elif states is not None:
        present = None if shown is None else vpp.present(decoded, shown)
        found += agent.differences(etcd, states, present, faults)
    if shown is not None:
        blamed = faults | {item.subject for item in found if item.where == AGENT}
        if keys.CONFIG in blamed:
            blamed |= etcd.keys
        seen = vpp.Seen(etcd, decoded, shown, states, frozenset(blamed), names or {})
        found += vpp.differences(seen)
    return tuple(sorted((_with_command(etcd, item) for item in found), key=_order))


def _with_command(etcd: DesiredKeys, item: Difference) -> Difference:
    """Make the remedy one that can be done as it stands: with label and key, or, where the key is
    not srv6kv's, by its writer."""
    key = None if item.subject in (SRV6_GLOBAL, keys.CONFIG) else item.subject
    is_ours = etcd.ranges.owns(item.subject) or item.subject in etcd.shared
    return replace(item, remedy=item.remedy.of(etcd.label, key, is_ours=is_ours))


def _order(item: Difference) -> tuple[object, ...]:
    """Kinds in the order of puts, what is no key last."""
    is_key = item.subject.startswith(keys.CONFIG)
    place = (keys.rank(item.subject), item.subject) if is_key else (99, item.subject)
    return (*place, PLACES.index(item.where), item.reason, item.what, item.cause)


def not_compared(
    etcd: DesiredKeys,
    states: States | None,
    shown: ShowSr | None,
    names: Mapping[str, str] | None = None,
    nameless: str = "",
) -> Iterator[str]:
    """Name what could not be compared.

    Args:
        nameless: why the agent does not tell VPP's names of interfaces; "": it was not asked.
    """
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
    localsids = objects_of(etcd).localsids.values() if shown.localsids is not None else ()
    unknown = sum(not objects.is_known(want, names or {}) for _, want in localsids)
    if unknown:
        why = f"{nameless}; " if nameless else ""
        yield f"the interfaces of {unknown} localsids ({why}give --interfaces)"
