"""What ``run`` repairs by itself: what VPP has lost by a restart under a living agent, and policies
that were made before VPP had its encap source.

Rule (decision 0035): pure; times are monotonic seconds, passed in. A steering key is never deleted,
because it alone says which BSID a service has: the agent makes a steering again with its policy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from srv6kv.agent.connection import REMEDY
from srv6kv.agent.needs import Means
from srv6kv.agent.status import State, ValueStatus
from srv6kv.ligato import keys
from srv6kv.notes import Kind, Note, Reason, Subject
from srv6kv.plan.plan import put_order
from srv6kv.repair.ground import Draft, Ground, Step
from srv6kv.repair.means import Task
from srv6kv.vpp.showsr_values import UNSET, ShowSr, address_of

REMADE = (keys.LOCALSID, keys.POLICY)
"""What is written again; steerings follow their policies."""
BATCH = 48
"""So many keys are deleted and put again at a time, so that the first services are back first."""
BARE_SECONDS = 30.0
"""A VPP that still has no interface after this time gets none from the agent, which may drop a
resync. Without interfaces and VRF tables nothing may be written: steerings into a table that is not
there crash VPP."""
YOUNG_SECONDS = 30.0
"""Until then VPP's encap source may still be set by whatever starts it."""
AGAIN_SECONDS = 0.25
CONFIRM_SECONDS = 1.0
"""Without a restart of VPP a fault counts only if it is there after that time too."""
IDLE_SECONDS = 10.0
"""A repair has not helped if the faults have not become fewer for that time."""
MINUTE = 60.0
MOST_SECONDS = 1800.0
BURST = 2
"""Restarts come in pairs: the second repair need not wait."""


def lost(ground: Ground, shown: ShowSr, states: Mapping[str, ValueStatus]) -> frozenset[str]:
    """Find our localsids and policies that the agent calls done and VPP does not have; an output of
    which a part was cut out tells nothing."""
    there = {}
    if "localsids" not in shown.elided:
        there[keys.LOCALSID] = {one.sid for one in shown.localsids or ()}
    if "policies" not in shown.elided:
        there[keys.POLICY] = {one.bsid for one in shown.policies or ()}
    return frozenset(
        key
        for kind in there
        for key in ground.ours((kind,))
        if _is_configured(key, states)
        if (address := _address(key)) is not None and address not in there[kind]
    )


def outdated(ground: Ground, shown: ShowSr, states: Mapping[str, ValueStatus]) -> frozenset[str]:
    """Find our policies with another encap source than the one that VPP has by now."""
    today = shown.encap_source
    if today in (None, UNSET):
        return frozenset()
    other = {one.bsid for one in shown.policies or () if one.encap_source not in (None, today)}
    return frozenset(
        key
        for key in ground.ours((keys.POLICY,))
        if _is_configured(key, states) and _address(key) in other
    )


def is_unset(shown: ShowSr) -> bool:
    """Whether VPP has no encap source yet: policies that are made before have to be recreated."""
    return shown.encap_source == UNSET


def _is_configured(key: str, states: Mapping[str, ValueStatus]) -> bool:
    status = states.get(key)
    return status is not None and status.state is State.CONFIGURED


def _address(key: str) -> str | None:
    try:
        return address_of(key.rpartition("/")[2])
    except ValueError:
        return None


def rewriting(chosen: Collection[str], ground: Ground) -> list[Step]:
    """The steps that delete keys and put the same bytes again, some at a time.

    Nothing is waited for: the agent has the events of one key in their order, and a deletion that
    failed is not tried again once the key has been put (agent rule A22)."""
    draft = Draft(ground)
    listed = sorted(chosen & ground.actual.entries.keys(), key=put_order)
    for start in range(0, len(listed), BATCH):
        part = listed[start : start + BATCH]
        draft.add(Means.REWRITE, [(key, None) for key in reversed(part)])
        back = [(key, ground.actual.entries[key].value) for key in part]
        draft.add(Means.REWRITE, back, done=part)
    return draft.steps


@dataclass(slots=True)
class Pace:
    """How often may be repaired: one a minute in the long run, two in a row, and less and less
    often while it does not help."""

    _tokens: float = BURST
    _counted: float = 0.0
    _wait: float = MINUTE
    _held: float = 0.0

    def due(self, now: float) -> float:
        """Return when the next repair may begin."""
        self._tokens = min(BURST, self._tokens + (now - self._counted) / MINUTE)
        self._counted = now
        return max(self._held, now if self._tokens >= 1 else now + (1 - self._tokens) * MINUTE)

    def use(self, now: float) -> None:
        """Begin a repair."""
        self.due(now)
        self._tokens -= 1

    def helped(self) -> None:
        """Note that all is well."""
        self._wait, self._held = MINUTE, 0.0

    def failed(self, now: float) -> None:
        """Note that a repair has not helped."""
        self._held, self._wait = now + self._wait, min(2 * self._wait, MOST_SECONDS)


@dataclass(frozen=True, slots=True)
class Found:
    """What a look at VPP has shown.

    Attributes:
        lost: what VPP lacks; ``outdated``: policies with another encap source than VPP's.
        revisions: of these keys, in etcd.
        has_restarted: VPP has, since the look before.
        is_bare: VPP has no interfaces.
        may_change: VPP has an encap source and began a short while ago.
    """

    lost: frozenset[str] = frozenset()
    outdated: frozenset[str] = frozenset()
    revisions: Mapping[str, int] = field(default_factory=dict)
    has_restarted: bool = False
    is_bare: bool = False
    may_change: bool = False

    @property
    def concerned(self) -> frozenset[str]:
        """All keys with a fault."""
        return self.lost | self.outdated


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done.

    Attributes:
        task: to be done now.
        look: seconds until VPP is looked at again; None: not before something happens.
        held: keys with a fault that is not repaired now.
        has_failed: and a repair has not helped; ``is_off``: as the settings want it; ``is_bare``:
            and cannot be, as VPP has no interfaces.
    """

    task: Task = field(default_factory=dict)
    look: float | None = None
    held: frozenset[str] = frozenset()
    has_failed: bool = False
    is_off: bool = False
    is_bare: bool = False


_OFF = "srv6kv.autoRepair is false: 'srv6kv repair --take-over' repairs it"
_HELD = "soon after a repair; it is repaired at most once a minute"
_FAILED = f"a repair has not helped: {REMEDY}"
_BARE = f"the agent has not made its interfaces again: {REMEDY}"


def warnings(verdict: Verdict, found: Found) -> Iterator[Note]:
    """Warn about what is not repaired now."""
    missing, old = verdict.held & found.lost, verdict.held & found.outdated
    what = [f"VPP lacks {len(missing)} keys that the agent calls done"] if missing else []
    what += [f"{len(old)} SR policies were made before VPP had its encap source"] if old else []
    why = _OFF if verdict.is_off else _FAILED if verdict.has_failed else _HELD
    why = _BARE if verdict.is_bare else why
    if what:
        text = f"{' and '.join(what)}; {why}"
        yield Note(Subject(Kind.AGENT), Reason.VPP_NOT_REPAIRED, text)


@dataclass(slots=True)
class Judge:
    """Decides after each look at VPP.

    Args:
        is_enabled: else faults are only named.
    """

    is_enabled: bool = True
    pace: Pace = field(default_factory=Pace)
    _has_restarted: bool = False
    _suspects: dict[str, int] = field(default_factory=dict)
    _suspected: float = 0.0
    _left: int | None = None
    _progressed: float = 0.0
    _is_broken: bool = False
    _bare_since: float | None = None
    _patience: float = CONFIRM_SECONDS
    _calm: float = IDLE_SECONDS
    _has_failed: bool = False

    def judge(self, found: Found, now: float) -> Verdict:
        """Decide what is to be done.

        With a task in the verdict a repair has begun."""
        if found.has_restarted:
            self._interrupt(now)
        if not found.concerned:
            self._reset()
            self._patience = (
                min(2 * self._patience, MINUTE) if found.may_change else CONFIRM_SECONDS
            )
            return Verdict(look=self._patience if found.may_change else None)
        if found.lost and found.is_bare:
            return self._wait_for_interfaces(found, now)
        self._bare_since = None
        if self._left is not None and not self._is_over(len(found.concerned), now):
            spent = now - self._progressed
            return Verdict(look=max(CONFIRM_SECONDS, min(spent, IDLE_SECONDS - spent)))
        certain = found.concerned if self._has_restarted else self._confirmed(found, now)
        if not certain:
            return Verdict(look=CONFIRM_SECONDS)
        due = self.pace.due(now)
        if not self.is_enabled or due > now:
            look = due - now if self.is_enabled else self._seldom()
            is_off = not self.is_enabled
            return Verdict(look=look, held=certain, has_failed=self._has_failed, is_off=is_off)
        self.pace.use(now)
        self._has_restarted, self._left, self._progressed = False, len(found.concerned), now
        task = {Means.REWRITE: found.lost & certain, Means.RECREATE: found.outdated & certain}
        return Verdict({means: chosen for means, chosen in task.items() if chosen}, CONFIRM_SECONDS)

    def _wait_for_interfaces(self, found: Found, now: float) -> Verdict:
        if self._bare_since is None:
            self._bare_since = now
        spent = now - self._bare_since
        if spent < BARE_SECONDS:
            return Verdict(look=max(AGAIN_SECONDS, spent / 10))
        return Verdict(look=self._seldom(), held=found.lost, is_bare=True)

    def _seldom(self) -> float:
        """Seconds until the next look while nothing will be done: each look costs VPP memory."""
        calm, self._calm = self._calm, min(2 * self._calm, MOST_SECONDS)
        return calm

    def _interrupt(self, now: float) -> None:
        """Begin again, as VPP has restarted; if that happens under each repair, it is why."""
        if self._left is not None:
            if self._is_broken:
                self.pace.failed(now)
                self._has_failed = True
            self._is_broken, self._left = True, None
        self._has_restarted, self._bare_since, self._calm = True, None, IDLE_SECONDS

    def _reset(self) -> None:
        """All is well."""
        self.pace.helped()
        self._has_restarted = self._is_broken = self._has_failed = False
        self._left = self._bare_since = None
        self._suspects, self._calm = {}, IDLE_SECONDS

    def _is_over(self, count: int, now: float) -> bool:
        """Whether the agent makes nothing more of the last repair; while faults get fewer it is at
        work."""
        assert self._left is not None
        if count > self._left:  # it is not about that repair
            self._left = None
            return True
        if count < self._left:
            self._left, self._progressed = count, now
        if now - self._progressed < IDLE_SECONDS:
            return False
        self.pace.failed(now)
        self._left, self._has_failed = None, True
        return True

    def _confirmed(self, found: Found, now: float) -> frozenset[str]:
        """The keys that had a fault a while ago too, and were not written since."""
        revisions = {key: found.revisions.get(key, 0) for key in found.concerned}
        if now - self._suspected < CONFIRM_SECONDS and self._suspects:
            return frozenset()
        before, self._suspects, self._suspected = self._suspects, revisions, now
        return frozenset(key for key in revisions if before.get(key) == revisions[key])
