"""Asks VPP over the agent's REST server whether it has restarted, and if so what it has of SRv6; in
a thread of its own, so that a slow answer delays no change."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from srv6kv.agent.rest import AgentRest
from srv6kv.agent.status import ValueStatus
from srv6kv.errors import Srv6kvError, Unavailable
from srv6kv.verify.vppask import ask
from srv6kv.vpp.showsr_values import ShowSr
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


@dataclass(frozen=True, slots=True)
class Look:
    """What the agent calls done, what VPP had after that, and whether the agent had begun by then.

    An agent at work on a resync tells states only when that is done.

    Attributes:
        has_restarted: VPP has, since the look before.
        uptime: of VPP, in seconds.
        asked: monotonic time before the first question.
        interfaces: how many VPP has; none before the agent begins to make them.
    """

    has_restarted: bool
    uptime: float
    asked: float
    interfaces: int
    shown: ShowSr
    states: Mapping[str, ValueStatus]


class VppWatch:
    """Calls back with a look when VPP has restarted, when the agent or VPP answers again, and when
    it is asked to.

    Attributes:
        has_answered: VPP has, once.
    """

    def __init__(
        self,
        rest: AgentRest,
        on_look: Callable[[Look], Any],
        clock_seconds: float = CLOCK_SECONDS,
    ) -> None:
        self.has_answered = False
        self._rest = rest
        self._on_look = on_look
        self._clock_seconds = clock_seconds
        self._boots = Boots()
        self._due = self._begins = 0.0
        self._looked = 0.0
        self._failures = 0
        self._is_away = False
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

    def _run(self) -> None:
        while not self._is_stopped:
            self._wake.clear()
            try:
                self._turn()
                self._failures = 0
            except Exception as error:  # whatever the agent answers must not end this thread
                least = 0.0 if isinstance(error, Srv6kvError) else time.monotonic()
                self._due = min(self._due, max(self._looked, least) + LEAST_SECONDS)
                self._failures += 1
            self._wake.wait(self._pause())

    def _pause(self) -> float:
        if 0 < self._failures <= HURRIES:
            return min(HURRY_SECONDS, self._clock_seconds)
        left = max(self._due, self._begins) - time.monotonic()
        return min(self._clock_seconds, left) if left > 0 else self._clock_seconds

    def _turn(self) -> None:
        asked, was_away, self._is_away = time.monotonic(), self._is_away, True
        uptime = uptime_of(self._rest.vpp_command(CLOCK))
        if uptime is None:
            raise Unavailable(f"{self._rest.url}: {CLOCK!r}: VPP does not say its uptime")
        self._is_away, self.has_answered = False, True
        is_restart = self._boots.has_restarted(uptime, asked, time.monotonic())
        if is_restart:
            self._has_restarted = True
            self._due = min(self._due, self._looked + LEAST_SECONDS)
        if is_restart or was_away:
            self._begins = asked + BEGIN_SECONDS
        if self._is_stopped or time.monotonic() < max(self._due, self._begins):
            return
        self._due, due = float("inf"), self._due
        try:
            found = self._look(uptime, asked)
        except Srv6kvError:
            self._due = min(self._due, due)
            raise
        self._looked, self._has_restarted = asked, False
        self._on_look(found)

    def _look(self, uptime: float, asked: float) -> Look:
        """Ask for everything: the agent first, so that VPP has all that it calls done."""
        states = self._rest.statuses()
        shown = ask(self._rest.vpp_command, self._rest.url)
        interfaces = interfaces_of(self._rest.vpp_command(INTERFACES))
        return Look(self._has_restarted, uptime, asked, interfaces, shown, states)
