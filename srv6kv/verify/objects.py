"""One object in etcd and in VPP: in what they differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from srv6kv.verify.differences import VPP, Difference, Interface, explained
from srv6kv.vpp.showsr_values import UNSET, Localsid, Policy, SegmentList

Names = Mapping[str, str]
_VPP_NAMES = {"TAP": "tap", "AF_PACKET": "host-", "MEMIF": "memif", "SOFTWARE_LOOPBACK": "loop"}
"""How VPP's name of an interface begins, by the agent's type of it."""
_MOST_SHOWN = 4


def policy(key: str, want: Policy, has: Policy, may_be_old: bool) -> Iterator[Difference]:
    """Find how VPP's policy differs; the order of lists does not matter.

    Args:
        may_be_old: VPP may print digits behind a weight that are none of it (before 20.05).
    """
    found = []
    if want.is_encap != has.is_encap:
        found.append(f"it {_does(has)} instead of what etcd has: {_does(want)}")
    if (want.kind == "Default") != (has.kind == "Default"):
        found.append(f"its type is {has.kind} instead of {want.kind}")
    if want.table != has.table:
        found.append(f"its FIB table is {has.table} instead of {want.table}")
    lacks, more = _unlike(want.lists, has.lists, may_be_old)
    if lacks:
        found.append(f"it lacks {_lists(lacks)}")
    if more:
        found.append(f"it has {_lists(more)} that etcd has not")
    if found:
        yield explained(key, VPP, "PolicyDiffers", "; ".join(found))


def _does(policy: Policy) -> str:
    return "encapsulates" if policy.is_encap else "inserts"


def _unlike(
    wants: Iterable[SegmentList], has: Iterable[SegmentList], may_be_old: bool
) -> tuple[list[SegmentList], list[SegmentList]]:
    """What is only in the first, and what is only in the second."""
    first, second = (Counter(replace(one, index=0) for one in lists) for lists in (wants, has))
    lacks, more = list((first - second).elements()), list((second - first).elements())
    for item in list(lacks) if may_be_old else ():
        same = (one for one in more if one.segments == item.segments)
        near = next((one for one in same if str(one.weight).startswith(str(item.weight))), None)
        if near is not None:
            lacks.remove(item)
            more.remove(near)
    return lacks, more


def _lists(items: list[SegmentList]) -> str:
    shown = [f"< {', '.join(x.segments)} > weight {x.weight}" for x in items[:_MOST_SHOWN]]
    more = len(items) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def encap_source(key: str, has: str, want: str | None, of_what: str) -> Iterator[Difference]:
    """Whether VPP's outer source is one, and that of srv6-global (``want``) if there is one."""
    if has == UNSET:
        yield explained(key, VPP, "EncapSourceUnset", f"the encap source {of_what} is {UNSET}")
    elif want is not None and want not in (UNSET, has):
        what = f"the encap source {of_what} is {has}, not {want}"
        yield explained(key, VPP, "EncapSourceDiffers", what)


def localsid(
    key: str, want: Localsid, has: Localsid, names: Names, interface: Interface | None
) -> Iterator[Difference]:
    """Find how VPP's localsid differs, as far as its text shows."""
    found = list(_localsid(want, has, names, interface))
    if found:
        yield explained(key, VPP, "LocalsidDiffers", "; ".join(found))
    if has.is_deleted and want.interface:
        what = f"it sends to an interface that is gone: {want.interface}"
        yield explained(key, VPP, "InterfaceDeleted", what)


def _localsid(
    want: Localsid, has: Localsid, names: Names, interface: Interface | None
) -> Iterator[str]:
    if want.behaviour != has.behaviour:
        yield f"its behaviour is {has.behaviour} instead of {want.behaviour}"
        return
    if want.next_hop not in (None, has.next_hop) and has.next_hop is not None:
        yield f"its next hop is {has.next_hop} instead of {want.next_hop}"
    # Before 20.05, which prints no length, it may be VPP's index of the table.
    if has.length is not None and want.table != has.table:
        yield f"it looks up table {has.table} instead of {want.table}"
    if want.interface and has.interface and not has.is_deleted:
        yield from _interface(want.interface, has.interface, names, interface)
    if want.has_psp != has.has_psp:
        yield f"PSP is {'on' if has.has_psp else 'off'}"


def _interface(want: str, has: str, names: Names, value: Interface | None) -> Iterator[str]:
    """By the given names; else only a name that the interface cannot have is a difference."""
    if want in names:
        if names[want] != has:
            yield f"it sends to {has} instead of {names[want]} ({want})"
    elif want != has and value is not None:
        begins = _VPP_NAMES.get(str(value.type))
        if begins is not None and not has.startswith(begins):
            yield f"it sends to {has}, and {want} is {value.type}"


def is_known(want: Localsid, names: Names) -> bool:
    """Whether VPP's name of the interface is known."""
    return not want.interface or want.interface in names
