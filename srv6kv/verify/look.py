"""What etcd, the agent and VPP hold at one time, and which differences between them last."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

from srv6kv import verify
from srv6kv.agent.status import STATUS, ValueStatus
from srv6kv.agent.view import View
from srv6kv.errors import InputError
from srv6kv.etcd.values import KeyValue
from srv6kv.ligato import keys, schema
from srv6kv.plan.ownership import own_prefix
from srv6kv.verify.differences import Difference
from srv6kv.vpp.showsr_values import ShowSr

AGAIN_SECONDS = 1.0
"""A difference lasts longer than that: what was on its way is none."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was there at one look.

    Attributes:
        revisions: of each key of etcd.
        remarks: what could not be compared.
        compared: how many keys were.
    """

    found: Sequence[Difference]
    revisions: Set[tuple[str, int]]
    has_states: bool
    has_vpp: bool
    remarks: Sequence[str]
    compared: int

    @property
    def is_different(self) -> bool:
        """Whether there is a difference that is not foreign."""
        return not all(item.is_foreign for item in self.found)


def prefixes_of(label: str) -> list[str]:
    """The prefixes of the label's configuration, its published states, and srv6kv's notes."""
    prefix = keys.agent_prefix(label)
    return [prefix + keys.CONFIG, prefix + STATUS, own_prefix(label)]


def look(
    label: str,
    entries: Sequence[KeyValue],
    ask_agent: Callable[[], Mapping[str, ValueStatus]] | None,
    ask_vpp: Callable[[], ShowSr | None],
    names: dict[str, str],
    nameless: str = "",
) -> Look:
    """Compare what etcd, the agent and VPP hold now.

    Args:
        entries: all keys below ``prefixes_of`` the label.
        ask_agent: asks for all states; None: those in etcd count.
        ask_vpp: asks for VPP's objects; it may answer None.
        names: the agent's names of interfaces to VPP's.
        nameless: why the agent does not tell them; "": it was not asked.
    """
    desired = verify.desired_of(label, {item.key: item.value for item in entries}, schema.decoded)
    prefix = keys.agent_prefix(label)
    states, remarks = (ask_agent(), []) if ask_agent else _published(prefix, entries)
    shown = ask_vpp()
    return Look(
        verify.compare(desired, states, shown, names),
        {(item.key.removeprefix(prefix), item.mod_revision) for item in entries},
        states is not None,
        shown is not None,
        [*remarks, *verify.not_compared(desired, states, shown, names, nameless)],
        sum(map(desired.concerns, desired.keys)),
    )


def _published(
    prefix: str, entries: Sequence[KeyValue]
) -> tuple[dict[str, ValueStatus] | None, list[str]]:
    """The states in etcd, None without any; and a remark on each that makes no sense."""
    view = View(prefix)
    view.reset(item for item in entries if view.owns(item.key))
    remarks = list(view.unreadable.values())
    return (view.statuses if view.reported or remarks else None), remarks


def changed(before: Set[tuple[str, int]], now: Set[tuple[str, int]]) -> set[str]:
    """The keys that were written between two looks, from each key's revisions at both."""
    return {key for key, _ in before ^ now}


def lasting(look: Callable[[], Look]) -> tuple[Look, list[Difference], set[str]]:
    """Look, and once more a moment later if there are differences.

    Returns:
        The last look, the differences that an earlier one had too, and the keys with differences
        that changed in between, of which nothing is reported.
    """
    seen = look()
    if not seen.is_different:
        return seen, list(seen.found), set()
    time.sleep(AGAIN_SECONDS)
    earlier, seen = seen, look()
    before = {(item.subject, item.where) for item in earlier.found}
    changing = changed(earlier.revisions, seen.revisions)
    changing &= {item.subject for item in (*earlier.found, *seen.found)}
    same = [item for item in seen.found if (item.subject, item.where) in before]
    return seen, [item for item in same if item.subject not in changing], changing


def refuse_nothing(label: str, seen: Look, found: Sequence[Difference]) -> None:
    """Refuse to call it the same when there was nothing to compare."""
    if found:
        return
    if not seen.revisions:
        raise unknown_label(label)
    if not (seen.has_states or seen.has_vpp):
        raise InputError(
            f"neither the agent of {label} nor its VPP is known: give --agent-rest, --vpp or"
            " --vppctl, or let the agent publish its states (ENABLE_STATUS_PUBLISHING)"
        )


def unknown_label(label: str) -> InputError:
    """Make the error about a label of which etcd has no key."""
    return InputError(
        f"etcd has nothing below /vnf-agent/{label}/config/: is that the agent's label?"
    )
