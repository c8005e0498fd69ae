"""Asks the agent's REST server for attachment, in the thread that asks it for states.

Cost: states are asked for all the time, and name every key with what was last done to it. Only when
that differs for a key of attachment, or now and then, the values themselves are asked for.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from srv6kv.agent.attachments import MODELS, Answers, Table
from srv6kv.agent.rest import AgentRest
from srv6kv.agent.status import ValueStatus
from srv6kv.errors import Srv6kvError

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
            except Srv6kvError as error:
                self._answers.lose(str(error))
            except Exception as error:  # a thread that dies in silence would look like a calm agent
                self._answers.lose(f"{type(error).__name__}: {error}")
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
