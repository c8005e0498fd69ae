"""The agent's states in ``run``: they are kept and reported, and a plan goes out in parts that the
agent confirms.

Rule: the loop's thread calls everything here. These keys are the agent's: nothing of them is ever
written or deleted. An agent that publishes nothing, is away or talks nonsense changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from queue import SimpleQueue
from typing import Any

from srv6kv.agent.attachments import Table
from srv6kv.agent.connection import REMEDY
from srv6kv.agent.digest import Digest
from srv6kv.agent.poll import AttachmentPoll, Poll, Polled
from srv6kv.agent.rest import AgentRest
from srv6kv.agent.status import STATUS, config_key
from srv6kv.agent.view import Reported, View, has_most, nodes_own
from srv6kv.errors import Refused
from srv6kv.etcd.values import Change, KeyValue, Reader
from srv6kv.notes import Kind, Note, Reason, Subject
from srv6kv.plan.plan import Plan
from srv6kv.sync.reconciler import Reconciler
from srv6kv.sync.rollout import Part, Rollout
from srv6kv.telemetry.progress import Progress
from srv6kv.txn.transaction import Transaction

FIRST_SECONDS = 3.0
"""The agent has so long for its first answer; nothing is planned before that."""
REPORT_SECONDS = 1.0
"""Changes are reported this often at most."""
HUSH_SECONDS = 5.0
"""The agent tries again what fails during a repair, because VPP does not have it, for so long."""
LATE_REPORT_SECONDS = 10.0
"""The same for what follows from time alone: keys that a polled agent has missed."""


class AgentWatch:
    """Follows one agent, by the states that it publishes in etcd or, with ``rest``, by asking it.

    Args:
        is_optional: the published states count until the label's agent answers at ``rest``.

    Attributes:
        notes: warnings about the agent.
        due: monotonic time of the next look whether the rest of a plan may go out.
    """

    def __init__(
        self, reconciler: Reconciler, rest: AgentRest | None = None, *, is_optional: bool = False
    ) -> None:
        is_asked = rest is not None and not is_optional
        self.view = View(reconciler.prefix, is_polled=is_asked)
        self.notes: tuple[Note, ...] = ()
        self.due = 0.0
        self._reconciler = reconciler
        self._rest = rest
        self._attached = Table()
        self._trouble = ""
        self._offered: Polled | None = None
        self._offer_due = 0.0
        reconciler.cluster.reported.is_complete = not is_asked
        self._poll: Poll | None = None
        self._phases = Rollout()
        self._digest = Digest()
        self._is_refused = False
        self._asked = 0.0
        self._committed = self._hushed = 0.0
        self._last_report: tuple[float, object] = (0.0, None)

    def start(self, queue: SimpleQueue[Any]) -> None:
        """Start to ask the agent, if it is polled; answers go into the queue."""
        if self._rest is not None:
            self._poll = Poll(self._rest, queue.put, AttachmentPoll(self._rest))

    def stop(self) -> None:
        """Stop asking the agent."""
        if self._poll is not None:
            self._poll.stop()

    @property
    def prefixes(self) -> tuple[str, ...]:
        """The prefixes in etcd that are to be watched."""
        return () if self._is_refused else self.view.prefixes

    def read(self, store: Reader) -> None:
        """Begin again with the states in etcd; a user who may not read them does without."""
        if self._poll is not None:
            self._poll.has_answered.wait(FIRST_SECONDS)
        self._is_refused, entries = False, []
        try:
            entries = store.read(self.view.prefixes).entries
        except Refused:
            self._is_refused = True
        self.view.reset(entries)

    def differing(self, entries: Sequence[KeyValue]) -> set[str]:
        """Find the keys of the agent whose last observed revision is not that of these entries."""
        return self.view.differing(one for one in entries if self.view.owns(one.key))

    def observe(self, changes: Sequence[Change]) -> bool:
        """Apply changes below one prefix; whether it is one of the agent's."""
        if not changes or not self.view.owns(changes[0].key):
            return False
        now = time.monotonic()
        for change in changes:
            self.view.observe(change)
            _, found, name = change.key.partition(f"/{STATUS}")
            if found:
                key = config_key(STATUS + name)
                self._phases.update(key, self._reported_state(key), now)
        return True

    def receive(self, polled: Polled) -> bool:
        """Apply an answer of the agent; whether an outage begins or ends, or a plan may change."""
        self._offered = polled
        if not self.view.is_polled and not self._is_ours(polled):
            return False
        if polled.trouble:
            self.view.lose()
        else:
            self._asked = polled.asked
            self.view.poll(polled.statuses, polled.vpp)
            self._update_awaited(time.monotonic())
            if self._poll is not None and not self._phases.awaited:
                self._poll.hurry(False)  # a writer on standby by now plans no more
        is_news = polled.attachments is not None and self._apply_attachments(polled.attachments)
        self._trouble = polled.trouble or self._attached.trouble
        return self.judge() or is_news

    def _is_ours(self, polled: Polled) -> bool:
        """Whether the label's agent answers where one was looked for, on a machine that may have
        several."""
        return has_most(nodes_own(self._reconciler.actual.entries), polled.statuses)

    def judge(self) -> bool:
        """Update the warnings, which time alone may bring and end; whether they differ."""
        now = time.monotonic()
        if not self.view.is_polled and self._offered is not None and now >= self._offer_due:
            self._offer_due = now + REPORT_SECONDS  # each time all keys are looked through
            if self._is_ours(self._offered):
                self.receive(self._offered)
        self.view.judge(time.time())
        texts = {
            Reason.AGENT_UNAVAILABLE: self._trouble or self.view.silence,
            Reason.AGENT_LOST_VPP: f"{self.view.vpp_lost}: {REMEDY}" if self.view.vpp_lost else "",
        }
        old = {note.reason: note for note in self.notes}
        self.notes = tuple(
            old.get(reason, Note(Subject(Kind.AGENT), reason, text))
            for reason, text in texts.items()
            if text
        )
        return old.keys() != {note.reason for note in self.notes}

    def _apply_attachments(self, table: Table) -> bool:
        """Apply the pod attachments that the agent knows; whether a plan may change by them."""
        old, self._attached = self._attached, table
        cluster, owns = self._reconciler.cluster, self._reconciler.owns
        cluster.reported.is_complete = table.is_complete
        is_news = table.is_complete != old.is_complete
        if table.values != old.values:
            values = {key: value for key, value in table.values.items() if not owns(key)}
            is_news |= cluster.replace_reported(values, self._reconciler.actual.entries)
        return is_news

    def _reported_state(self, key: str) -> Reported | None:
        """The state of a key; answers from before the last commit do not count."""
        if self.view.is_polled and self._asked < self._committed:
            return None
        return self.view.reported.get(key)

    @property
    def is_amid(self) -> bool:
        """Whether a part of the last plan is out and the rest is not."""
        return self._phases.is_begun

    @property
    def holds_phases(self) -> bool:
        """Whether something waits for the phase before its own."""
        return self._phases.holds_phases

    def advance(self) -> bool:
        """Update what the rest of a plan waits for, and ``due``; whether it may go out now."""
        now = time.monotonic()
        has_states = self.view.has_states
        is_ready = self._phases.is_free or (not has_states and self._phases.holds_phases)
        if not is_ready and now >= self.due:
            self._update_awaited(now)
            self.due = self._phases.due(now) or now
            is_ready = self.due <= now or not has_states
        if is_ready:
            self.due = max(self.due, now + REPORT_SECONDS)  # what else may hold it up takes a while
        return is_ready

    def _update_awaited(self, now: float) -> None:
        for key in self._phases.awaited:
            self._phases.update(key, self._reported_state(key), now)

    def next_part(self, plan: Plan) -> Part:
        """Choose what of a plan goes out now."""
        known = self._reported_state if self.view.has_states else None
        reconciler = self._reconciler
        part = self._phases.next_part(
            plan, reconciler.ledger, reconciler.actual, known, time.monotonic()
        )
        reconciler.postpone(part.gone)
        self.due = self._phases.due(time.monotonic()) or 0.0
        if self._poll is not None:
            self._poll.hurry(not part.is_last)
        return part

    def ahead_of_window(self, plan: Plan) -> Plan:
        """Choose what of a plan goes out while its policies wait for their counterpart."""
        known = self._reported_state if self.view.has_states else None
        reconciler, now = self._reconciler, time.monotonic()
        found = self._phases.ahead_of_window(plan, reconciler.ledger, reconciler.actual, known, now)
        self.due = self._phases.due(now) or 0.0
        return found

    def committed(self, transaction: Transaction, revision: int) -> None:
        """Note that a transaction of a part is in etcd."""
        self._committed = time.monotonic()
        self._phases.committed(transaction, self._reconciler.prefix, revision, self._committed)
        self.due = self._phases.due(self._committed) or 0.0

    def hush(self) -> None:
        """Report nothing for a while: what a repair does to states passes."""
        self._hushed = time.monotonic() + HUSH_SECONDS

    def report(self, progress: Progress) -> None:
        """Report what has changed, now and then."""
        now = time.monotonic()
        when, state = self._last_report
        view = self.view
        words = (view.history, len(view.unreadable), view.vpp_state, view.vpp_lost, view.silence)
        current = (view.changes, words, view.lost, self._committed)
        is_news = state != current or self._digest.is_waiting()
        is_news |= self.view.is_polled and now - when >= LATE_REPORT_SECONDS
        if not is_news or now < max(when + REPORT_SECONDS, self._hushed):
            return
        self._last_report = (now, current)
        revisions = self._revisions()
        shown = self._digest.shown(self.view, revisions, now)
        if view.is_polled and self._rest is not None:
            shown = replace(shown, url=self._rest.url)
        progress.agent(shown, self._digest.news(self.view, revisions, shown))

    def _revisions(self) -> dict[str, int]:
        """The mod revisions of our keys in etcd; none while nothing is known of their states."""
        history, reconciler = self.view.history, self._reconciler
        has_news = history.vpp_restarted or history.failed_updates or self.view.vpp_lost
        if not (self.view.has_states or has_news):
            return {}
        entries = reconciler.actual.entries
        return {key: entry.revision for key, entry in entries.items() if reconciler.owns(key)}
