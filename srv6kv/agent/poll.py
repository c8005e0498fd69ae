"""Asks the agent's REST server for states and attachments, again and again, in a thread of its own.

States name every key with what was last done to it. Only when that differs for a key of attachment,
or now and then, the values themselves are asked for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from srv6kv.agent.attachments import MODELS, Answers, Table
from srv6kv.agent.rest import AgentRest
from srv6kv.agent.status import PluginStatus, ValueStatus
from srv6kv.errors import Srv6kvError

POLL_SECONDS = 2.0
HURRY_SECONDS = 0.1
"""So often while a change waits for the agent."""
MOST_SECONDS = 30.0
"""An agent that is away is asked less and less often."""

LEAST_SECONDS = 1.5
"""Less than between two rounds at the usual pace."""
CALM_SECONDS = 10.0
"""A value that is updated again looks the same as before, so all are asked for after that time."""


class AttachmentPoll:
    """Follows the attachment that one agent reports, round by round."""

    def __init__(self, rest: AgentRest) -> None:
        self._rest = rest
        self._answers = Answers()
        self._mark: frozenset[ValueStatus] | None = None
        self._asked: float | None = None

    def ask(self, states: Mapping[str, ValueStatus] | None) -> Table:
        """One round.

        Args:
            states: what the agent has just reported; None: it does not answer.
        """
        if states is None:
            self._answers.lose()
            self._mark = None
            return self._answers.table
        mark = frozenset(status for key, status in states.items() if key.startswith(MODELS))
        if self._is_due(mark, time.monotonic()):
            is_first = self._asked is None
            try:
                self._apply_answer()
                if is_first:  # two answers show what is not there
                    self._apply_answer()
                self._mark = mark
            except Exception as error:
                self._answers.lose(_trouble(error))
        return self._answers.table

    def _is_due(self, mark: frozenset[ValueStatus], now: float) -> bool:
        if self._asked is None:
            return True
        since = now - self._asked
        if since < LEAST_SECONDS:
            return False
        return mark != self._mark or self._answers.is_open() or since >= CALM_SECONDS

    def _apply_answer(self) -> None:
        self._asked = time.monotonic()
        process = self._rest.process()
        self._answers.apply(self._rest.attachments(), process, time.monotonic())


@dataclass(frozen=True, slots=True)
class Polled:
    """All states as the agent reported them, or why not; asked at that monotonic time. And how pods
    are attached, if that is asked for.

    Attributes:
        vpp: the agent's connection to VPP; None: it says nothing of it.
    """

    statuses: dict[str, ValueStatus]
    trouble: str = ""
    asked: float = field(default=0.0, compare=False)
    attachments: Table | None = None
    vpp: PluginStatus | None = None


class Poll:
    """Calls back with every answer that differs from the last one, and with every one that was
    hurried for.

    Attributes:
        has_answered: there was an answer, or none is to be had.
    """

    def __init__(
        self,
        rest: AgentRest,
        on_answer: Callable[[Polled], Any],
        attachments: AttachmentPoll | None = None,
    ) -> None:
        self._rest = rest
        self._attachments = attachments
        self._on_answer = on_answer
        self._is_hurried = False
        self._wake = threading.Event()
        self.has_answered = threading.Event()
        self._is_stopped = False
        self._vpp: PluginStatus | None = None
        self._health_due = 0.0
        self._thread = threading.Thread(target=self._run, name="srv6kv-agent", daemon=True)
        self._thread.start()

    def hurry(self, is_hurried: bool) -> None:
        """Whether a change waits for the answers; from any thread."""
        if is_hurried != self._is_hurried:
            self._is_hurried = is_hurried
            if is_hurried:
                self._wake.set()

    def stop(self) -> None:
        """End soon; a question that is under way is not waited for."""
        self._is_stopped = True
        self._wake.set()

    def join(self) -> None:
        """Return when it has ended."""
        self._thread.join()

    def _run(self) -> None:
        last: Polled | None = None
        pause = POLL_SECONDS
        while not self._is_stopped:
            self._wake.clear()
            answer = self._with_attachment(self._ask())
            if self._is_stopped:
                return
            if answer != last or self._is_hurried:
                self._on_answer(answer)
            self.has_answered.set()
            last = answer
            is_away = bool(answer.trouble)
            pause = min(2 * pause, MOST_SECONDS) if is_away else POLL_SECONDS
            self._wake.wait(HURRY_SECONDS if self._is_hurried and not is_away else pause)

    def _with_attachment(self, answer: Polled) -> Polled:
        if self._attachments is None or self._is_stopped:
            return answer
        states = None if answer.trouble else answer.statuses
        return replace(answer, attachments=self._attachments.ask(states))

    def _ask(self) -> Polled:
        asked = time.monotonic()
        try:
            return Polled(self._rest.statuses(), asked=asked, vpp=self._connection(asked))
        except Exception as error:
            return Polled({}, _trouble(error))

    def _connection(self, now: float) -> PluginStatus | None:
        """The agent's connection to VPP, asked for at the usual pace also while hurried."""
        if now >= self._health_due:
            self._health_due = now + LEAST_SECONDS
            self._vpp = self._rest.health().vpp
        return self._vpp


def _trouble(error: Exception) -> str:
    """What an error says, of whatever kind: a thread that dies in silence would look like a calm
    agent."""
    return str(error) if isinstance(error, Srv6kvError) else f"{type(error).__name__}: {error}"
