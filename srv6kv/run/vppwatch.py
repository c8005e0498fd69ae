"""Asks VPP over the agent's REST server whether it has restarted, and if so what it has of SRv6; in
a thread of its own, so that a slow answer delays no change."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from srv6kv.agent.rest import AgentRest
from srv6kv.agent.status import ValueStatus
from srv6kv.agent.view import has_most
from srv6kv.errors import Unavailable
from srv6kv.repair.automatic import is_unset
from srv6kv.verify.vppask import ask, encap_source
from srv6kv.vpp.showsr_values import UNSET, ShowSr
from srv6kv.vpp.uptime import CLOCK, INTERFACES, Boots, interfaces_of, uptime_of

CLOCK_SECONDS = 0.5
"""From one question for VPP's uptime to the next."""
HURRY_SECONDS, HURRIES = 0.25, 120
"""The same, so often, from the moment on at which VPP or the agent does not answer."""
BEGIN_SECONDS = 0.5
"""An agent that has VPP again has begun its resync by then, and tells no states until it is done;
before that it would still tell the old ones."""
LEAST_SECONDS = 1.0
"""At least so long from one look to the next that the loop has not asked for."""
MOST_SECONDS = 60.0
"""A look that fails is tried again after 1, 2, 4 s and so on, up to this."""
BLIND_SECONDS = 60.0
"""What was seen of VPP counts for so long after a look has failed."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the agent calls done, what VPP had after that, and whether the agent had begun by then.

    An agent at work on a resync tells states only when that is done.

    Attributes:
        has_restarted: VPP has, since the look before.
        uptime: of VPP, in seconds.
        asked: monotonic time before the first question.
        interfaces: how many VPP has; none before the agent begins to make them.
        revision: of etcd, up to which keys were known before that.
        shown: None: the agent has not most of the node's own keys, and VPP was not asked.
    """

    has_restarted: bool
    uptime: float
    asked: float
    revision: int
    interfaces: int
    shown: ShowSr | None
    states: Mapping[str, ValueStatus]


class VppWatch:
    """Calls back with a look when VPP has restarted, when the agent or VPP answers again, when VPP
    has got its encap source, and when it is asked to.

    Attributes:
        own: keys of which the node's agent knows most; set by any thread, none: any agent will do.
        revision: of etcd, up to which keys are known; set by any thread.
    """

    def __init__(
        self,
        rest: AgentRest,
        on_look: Callable[[Look], Any],
        clock_seconds: float = CLOCK_SECONDS,
    ) -> None:
        self.own: frozenset[str] = frozenset()
        self.revision = 0
        self._rest = rest
        self._on_look = on_look
        self._clock_seconds = clock_seconds
        self._boots = Boots()
        self._due = self._begins = 0.0
        self._looked = 0.0
        self._failures = 0
        self._wait = self._source_wait = 0.0
        self._source_due = float("inf")
        self._failing_since: float | None = None
        self._has_restarted = False
        self._wake = threading.Event()
        self._is_stopped = False
        self._thread = threading.Thread(target=self._run, name="srv6kv-vpp", daemon=True)
        self._thread.start()

    def look(self, seconds: float = 0.0) -> None:
        """Look in so many seconds, whatever VPP's uptime says; from any thread."""
        self._due = min(self._due, time.monotonic() + seconds)
        self._wake.set()

    def stop(self) -> None:
        """End soon; a question that is under way is not waited for."""
        self._is_stopped = True
        self._wake.set()

    @property
    def is_blind(self) -> bool:
        """Whether no look has succeeded for a while, although one was tried; from any thread."""
        since = self._failing_since
        return since is not None and time.monotonic() - since >= BLIND_SECONDS

    def _run(self) -> None:
        while not self._is_stopped:
            self._wake.clear()
            try:
                self._turn()
            except Exception:  # whatever the agent answers must not end this thread
                if self._failing_since is None:
                    self._failing_since = time.monotonic()
            self._wake.wait(self._pause())

    def _pause(self) -> float:
        if 0 < self._failures <= HURRIES:
            return min(HURRY_SECONDS, self._clock_seconds)
        left = max(self._due, self._begins) - time.monotonic()
        return min(self._clock_seconds, left) if left > 0 else self._clock_seconds

    def _turn(self) -> None:
        asked, was_away = time.monotonic(), self._failures > 0
        self._failures += 1
        uptime = uptime_of(self._rest.vpp_command(CLOCK))
        if uptime is None:
            raise Unavailable(f"{self._rest.url}: {CLOCK!r}: VPP does not say its uptime")
        self._failures = 0
        is_restart = self._boots.has_restarted(uptime, asked, time.monotonic())
        if is_restart:
            self._has_restarted, self._wait = True, 0.0
        if is_restart or (was_away and not self._wait):
            self._due = min(self._due, self._looked + LEAST_SECONDS)
        if is_restart or was_away:
            self._begins = asked + BEGIN_SECONDS
        if asked >= self._source_due:
            self._ask_source(asked)
        if self._is_stopped or time.monotonic() < max(self._due, self._begins):
            return
        self._due = float("inf")
        try:
            found = self._look(uptime, asked)
        except Exception:
            self._wait = min(2 * self._wait or LEAST_SECONDS, MOST_SECONDS)
            self._due = time.monotonic() + self._wait
            raise
        self._looked, self._has_restarted = asked, False
        self._wait, self._failing_since = 0.0, None
        is_source_unset = found.shown is not None and is_unset(found.shown)
        self._source_wait = LEAST_SECONDS
        self._source_due = asked + LEAST_SECONDS if is_source_unset else float("inf")
        self._on_look(found)

    def _ask_source(self, now: float) -> None:
        """Ask VPP for nothing but its encap source, less and less often until it has one."""
        self._source_wait = min(2 * self._source_wait, MOST_SECONDS)
        self._source_due = now + self._source_wait
        with suppress(Unavailable):
            if encap_source(self._rest.vpp_command) not in (None, UNSET):
                self._due, self._source_due = min(self._due, now), float("inf")

    def _look(self, uptime: float, asked: float) -> Look:
        """Ask for everything: the agent first, so that VPP has all that it calls done."""
        revision, is_restart = self.revision, self._has_restarted
        states = self._rest.statuses()
        if self.own and not has_most(self.own, states):
            return Look(is_restart, uptime, asked, revision, 0, None, states)
        interfaces = interfaces_of(self._rest.vpp_command(INTERFACES))
        shown = ask(self._rest.vpp_command, self._rest.url)
        return Look(is_restart, uptime, asked, revision, interfaces, shown, states)
