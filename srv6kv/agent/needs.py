"""Which means of ``srv6kv repair`` is needed, as far as the agent's own words tell.

Rules: agent rules A46 and A47. The agent cannot read SRv6 back from VPP: after a restart of
one of the two it says CONFIGURED of what VPP does not have, or fails to create what VPP has.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from srv6kv.agent.status import AgentStatus, PluginStatus, State, ValueStatus
from srv6kv.ligato import keys

SRV6 = (keys.LOCALSID, keys.POLICY, keys.STEERING)
"""What the agent cannot read back from VPP."""
GOVPP = "govpp"
"""The agent's plugin that holds the connection to VPP."""
BAD = frozenset({State.FAILED, State.INVALID, State.RETRYING})

_CODE = re.compile(r"VPPApiError: [^()]*\((-\d{1,4})\)")


class Means(StrEnum):
    """A means of repair.

    Resend: put the same bytes again. Recreate: put a policy into another VRF and back. Rebind: give
    a policy a new BSID, and the steerings with it. Rewrite: delete, wait 2 s, put. Restart: VPP and
    the agent have to be restarted together, which nothing written to etcd can do.
    """

    RESEND = "resend"
    RECREATE = "recreate"
    REBIND = "rebind"
    REWRITE = "rewrite"
    RESTART = "restart"


@dataclass(frozen=True, slots=True)
class Need:
    """One means that is needed.

    Attributes:
        keys: what it concerns, short form, sorted; none: every SRv6 key.
    """

    means: Means
    why: str
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class History:
    """The history of the agent's own status, and of updates.

    Attributes:
        start_time: of the agent, Unix seconds; 0: not observed yet.
        vpp_state: what its connection to VPP was last: INIT, OK, ERROR; "": not observed yet.
        vpp_change: when that last changed, Unix seconds; 0: unknown.
        vpp_restarted: the revision at which VPP was back under the same agent; 0: it was not.
        failed_updates: policies of which an update failed and that were not created again since.
    """

    start_time: int = 0
    has_restarted: bool = False
    vpp_state: str = ""
    vpp_change: int = 0
    vpp_restarted: int = 0
    failed_updates: frozenset[str] = frozenset()

    def saw_agent(self, status: AgentStatus) -> History:
        """Apply a status of the agent; one that has restarted applies everything again, over a new
        connection."""
        if status.start_time in (0, self.start_time):
            return self
        return History(status.start_time, has_restarted=self.start_time != 0)

    def saw_vpp(self, status: PluginStatus, revision: int) -> History:
        """Apply the state of the connection to VPP, as observed at a revision of etcd.

        The connection's state may be read seldom: a later time of change of the same state shows
        as well that it was broken.
        """
        if status.state == "INIT" and self.vpp_state == "ERROR":
            return self  # it begins again, but is not back
        is_later = self.vpp_state == "OK" and 0 < self.vpp_change < status.last_change
        is_back = status.state == "OK" and (self.vpp_state == "ERROR" or is_later)
        return replace(
            self,
            vpp_state=status.state,
            vpp_change=status.last_change,
            vpp_restarted=revision if is_back else self.vpp_restarted,
        )

    def saw_value(self, key: str, status: ValueStatus) -> History:
        """Apply the state of a value.

        The agent tries a failed update again by comparing the value with itself, does nothing and
        says CONFIGURED.
        """
        failed = self.failed_updates
        if status.operation != "UPDATE":
            failed -= {key}
        elif key.startswith(keys.POLICY) and status.state in (State.FAILED, State.RETRYING):
            failed |= {key}
        return replace(self, failed_updates=failed) if failed != self.failed_updates else self


@dataclass(frozen=True, slots=True)
class Seen:
    """What a judgement is made of.

    Attributes:
        held: our SRv6 keys in etcd with their mod revision.
        unknown: our keys in etcd that the agent should know and does not.
        vpp_lost: why the agent will not have VPP again by itself; "" if it has it, or may still.
        lost: our keys that VPP, as it was asked, lacks; None: it was not.
    """

    bad: Mapping[str, ValueStatus] = field(default_factory=dict)
    history: History = History()
    held: Mapping[str, int] = field(default_factory=dict)
    unknown: Collection[str] = ()
    vpp_lost: str = ""
    lost: frozenset[str] | None = None


def vpp_code(error: str) -> int | None:
    """VPP's return code in an error of the agent; None if it is not VPP's."""
    found = _CODE.search(error)
    return int(found[1]) if found else None


def needs_of(seen: Seen) -> tuple[Need, ...]:
    """The means that are needed, each once, in the order of ``Means``."""
    return tuple(sorted(_needs(seen), key=lambda need: list(Means).index(need.means)))


def _needs(seen: Seen) -> Iterator[Need]:
    history = seen.history
    if seen.vpp_lost:  # nothing else helps before that
        yield _need(Means.RESTART, f"the agent: {seen.vpp_lost}", ())
        return
    if seen.unknown:
        yield _need(Means.RESEND, "the agent does not know keys that etcd has", seen.unknown)
    updates = history.failed_updates & seen.held.keys()
    if updates:
        text = "an update of the policy failed, so VPP may still have the old one"
        yield _need(Means.RECREATE, text, updates)
    restarted = ": the agent has restarted and VPP has not" if history.has_restarted else ""
    if there := _refused(seen.bad, keys.POLICY, -12):
        text = f"VPP has the BSID already, or a route to exactly that address{restarted}"
        yield _need(Means.REBIND, text, there)
    stale = _stale(seen) if seen.lost is None else seen.lost & seen.held.keys()
    if stale:
        text = "VPP has restarted under the same agent, which does not create SRv6 again"
        yield _need(Means.REWRITE, text, stale)
    if there := _refused(seen.bad, keys.LOCALSID, -1):
        yield _need(Means.RESTART, f"VPP has the SID already{restarted}", there)


def _stale(seen: Seen) -> list[str]:
    """The keys that were not written since VPP restarted; steerings follow their policies."""
    return [
        key
        for key, revision in seen.held.items()
        if revision < seen.history.vpp_restarted and not key.startswith(keys.STEERING)
    ]


def _need(means: Means, why: str, concerned: Iterable[str]) -> Need:
    return Need(means, why, tuple(sorted(concerned)))


def _refused(bad: Mapping[str, ValueStatus], prefix: str, code: int) -> list[str]:
    """The keys that VPP did not create, with that code."""
    return [
        key
        for key, status in bad.items()
        if key.startswith(prefix)
        and status.operation in ("CREATE", "UNDEFINED")
        and vpp_code(status.error) == code
    ]
