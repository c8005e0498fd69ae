"""What etcd, the agent and VPP hold at one time, and which differences between them last."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

from srv6kv import verify
from srv6kv.agent.connection import loss_of
from srv6kv.agent.rest import AgentRest
from srv6kv.agent.status import CHECK, ValueStatus
from srv6kv.agent.view import View
from srv6kv.errors import InputError, Unavailable
from srv6kv.etcd.values import KeyValue
from srv6kv.ligato import keys, schema
from srv6kv.plan.ownership import own_prefix
from srv6kv.verify.differences import Difference
from srv6kv.vpp.showsr_values import ShowSr

AGAIN_SECONDS = 1.0
"""A difference lasts longer than that: what was on its way is none."""
_AT_WORK = ("NotInAgent", "Pending")
"""Differences that become fewer as long as the agent is at work."""


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


@dataclass(frozen=True, slots=True)
class AgentSaid:
    """What the agent says.

    Attributes:
        states: by key; None: it says none.
        vpp_lost: why it will not have VPP again by itself; "" if it has it, or may still.
        remarks: what of it counts for nothing, and why.
    """

    states: Mapping[str, ValueStatus] | None
    vpp_lost: str = ""
    remarks: Sequence[str] = ()


def asked(rest: AgentRest) -> AgentSaid:
    """What the agent says over REST."""
    return AgentSaid(rest.statuses(), loss_of(rest.health().vpp, time.time()))


def prefixes_of(label: str) -> list[str]:
    """The prefixes of the label's configuration, what its agent publishes, and srv6kv's notes."""
    prefix = keys.agent_prefix(label)
    return [prefix + keys.CONFIG, *View(prefix).prefixes, own_prefix(label)]


def look(
    label: str,
    entries: Sequence[KeyValue],
    ask_agent: Callable[[], AgentSaid] | None,
    ask_vpp: Callable[[], ShowSr | None],
    names: dict[str, str],
    nameless: str = "",
) -> Look:
    """Compare what etcd, the agent and VPP hold now.

    Args:
        entries: all keys below ``prefixes_of`` the label.
        ask_agent: asks the agent; None: what it has published in etcd counts.
        ask_vpp: asks for VPP's objects; it may answer None.
        names: the agent's names of interfaces to VPP's.
        nameless: why the agent does not tell them; "": it was not asked.
    """
    desired = verify.desired_of(label, {item.key: item.value for item in entries}, schema.decoded)
    prefix = keys.agent_prefix(label)
    said = ask_agent() if ask_agent else _published(prefix, entries)
    shown = None
    try:
        shown = ask_vpp()
    except Unavailable:
        if not said.vpp_lost:
            raise
    revisions = {(item.key.removeprefix(prefix), item.mod_revision) for item in entries}
    return Look(
        verify.compare(desired, said.states, shown, names, said.vpp_lost),
        {one for one in revisions if not one[0].startswith(CHECK)},
        said.states is not None,
        shown is not None,
        [*said.remarks, *verify.not_compared(desired, said.states, shown, names, nameless)],
        sum(map(desired.concerns, desired.keys)),
    )


def _published(prefix: str, entries: Sequence[KeyValue]) -> AgentSaid:
    """What etcd has of the agent; and a remark on each state that makes no sense."""
    view = View(prefix)
    view.reset(item for item in entries if view.owns(item.key))
    view.judge(time.time())
    remarks = list(view.unreadable.values())
    if view.silence:
        return AgentSaid(None, "", [*remarks, f"the agent: {view.silence}"])
    states = view.statuses if view.reported or remarks else None
    return AgentSaid(states, view.vpp_lost, remarks)


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
    changing = changed(earlier.revisions, seen.revisions) | _at_work(earlier, seen)
    changing &= {item.subject for item in (*earlier.found, *seen.found)}
    same = [item for item in seen.found if (item.subject, item.where) in before]
    return seen, [item for item in same if item.subject not in changing], changing


def _at_work(earlier: Look, seen: Look) -> set[str]:
    """The keys that the agent has not come to yet; none if it has come to no other meanwhile."""
    before, now = (
        {item.subject for item in one.found if item.reason in _AT_WORK} for one in (earlier, seen)
    )
    return now if before - now else set()


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
