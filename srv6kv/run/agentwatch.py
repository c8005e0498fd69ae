"""What ``run`` does with the agent's own words: it keeps them, lets a plan out in parts that the
agent confirms, and says what is not well.

Rule: the loop's thread calls everything here. These keys are the agent's: nothing of them is ever
written or deleted. An agent that says nothing, is away or talks nonsense changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from queue import SimpleQueue
from typing import Any

from srv6kv.agent.digest import Digest
from srv6kv.agent.poll import Poll, Polled
from srv6kv.agent.rest import AgentRest
from srv6kv.agent.status import STATUS, config_key
from srv6kv.agent.view import Told, View
from srv6kv.agent.wired import Table
from srv6kv.agent.wiringpoll import WiringPoll
from srv6kv.errors import Refused
from srv6kv.etcd.protocols import Reader
from srv6kv.etcd.values import Change, KeyValue
from srv6kv.notes import Kind, Note, Reason, Subject
from srv6kv.plan.plan import Plan
from srv6kv.sync.reconciler import Reconciler
from srv6kv.sync.rollout import Part, Phases
from srv6kv.telemetry.progress import Progress
from srv6kv.txn.transaction import Transaction

FIRST_SECONDS = 3.0
"""Nothing is planned before the agent had so long to answer for the first time."""
REPORT_SECONDS = 1.0
"""What has changed is told this often at most."""
LATE_REPORT_SECONDS = 10.0
"""What only time tells: keys that an agent that is asked has missed."""


class AgentWatch:
    """One agent, as it is published in etcd or, with ``rest``, asked.

    Attributes:
        view: what the agent has said.
        notes: what there is to say about asking it.
        due: monotonic time when to look again whether the rest of a plan may go on.
    """

    def __init__(self, reconciler: Reconciler, rest: AgentRest | None = None) -> None:
        self.view = View(reconciler.prefix, is_polled=rest is not None)
        self.notes: tuple[Note, ...] = ()
        self.due = 0.0
        self._reconciler = reconciler
        self._rest = rest
        self._wiring = Table()
        reconciler.cluster.told.is_complete = rest is None
        self._poll: Poll | None = None
        self._phases = Phases()
        self._digest = Digest()
        self._is_refused = False
        self._asked = 0.0
        self._committed = 0.0
        self._reported: tuple[float, object] = (0.0, None)

    def start(self, queue: SimpleQueue[Any]) -> None:
        """Begin to ask, if it is to be asked; answers go into the queue."""
        if self._rest is not None:
            self._poll = Poll(self._rest, queue.put, WiringPoll(self._rest))

    def stop(self) -> None:
        """Ask no more."""
        if self._poll is not None:
            self._poll.stop()

    @property
    def prefixes(self) -> tuple[str, ...]:
        """What of etcd is to be watched."""
        return () if self._is_refused else self.view.prefixes

    def read(self, store: Reader) -> None:
        """Begin again with what etcd holds; a user who may not read it does without.

        Raises:
            Unavailable: etcd is out of reach.
        """
        if self._poll is not None:
            self._poll.has_answered.wait(FIRST_SECONDS)
        try:
            entries = store.read(self.view.prefixes).entries
        except Refused:
            self._is_refused, entries = True, []
        else:
            self._is_refused = False
        self.view.reset(entries)

    def differing(self, entries: Sequence[KeyValue]) -> set[str]:
        """The keys of the agent that are not known as they were read just now."""
        return self.view.differing(one for one in entries if self.view.owns(one.key))

    def takes(self, changes: Sequence[Change]) -> bool:
        """Take in changes of one prefix if it is one of ours; whether it is."""
        if not changes or not self.view.owns(changes[0].key):
            return False
        now = time.monotonic()
        for change in changes:
            self.view.observe(change)
            _, found, name = change.key.partition(f"/{STATUS}")
            if found:
                key = config_key(STATUS + name)
                self._phases.hear(key, self._tell(key), now)
        return True

    def take(self, polled: Polled) -> bool:
        """Take in an answer; whether it begins or ends an outage, or tells new wiring."""
        if polled.trouble:
            self.view.lose()
        else:
            self._asked = polled.asked
            self.view.poll(polled.statuses)
            self._hear_all(time.monotonic())
            if self._poll is not None and not self._phases.awaited:
                self._poll.hurry(False)  # a writer that stands by by now plans no more
        is_news = polled.wiring is not None and self._learn(polled.wiring)
        trouble = polled.trouble or self._wiring.trouble
        if bool(trouble) == bool(self.notes):
            return is_news
        self.notes = (
            (Note(Subject(Kind.AGENT), Reason.AGENT_UNAVAILABLE, trouble),) if trouble else ()
        )
        return True

    def _learn(self, table: Table) -> bool:
        """Take in what is known of the agent's wiring; whether a plan may change by it."""
        old, self._wiring = self._wiring, table
        cluster, owns = self._reconciler.cluster, self._reconciler.owns
        cluster.told.is_complete = table.is_complete
        if table.values == old.values:
            return table.is_complete != old.is_complete
        values = {key: value for key, value in table.values.items() if not owns(key)}
        return cluster.learn(values, self._reconciler.actual.entries) or (
            table.is_complete != old.is_complete
        )

    def _tell(self, key: str) -> Told | None:
        """What it says of a key now; answers from before the last commit say nothing."""
        if self.view.is_polled and self._asked < self._committed:
            return None
        return self.view.told.get(key)

    @property
    def is_amid(self) -> bool:
        """Whether a part of the last plan is out and the rest is not."""
        return self._phases.is_begun

    def is_ready(self) -> bool:
        """Whether the rest may go on, as far as it is known; puts off ``due`` else."""
        now = time.monotonic()
        is_ready = not self.view.has_states or self._phases.is_free
        if not is_ready and now >= self.due:
            self._hear_all(now)
            self.due = self._phases.due(now) or now
            is_ready = self._phases.is_ready(now)
        if is_ready:
            self.due = max(self.due, now + REPORT_SECONDS)  # what else may hold it up takes a while
        return is_ready

    def _hear_all(self, now: float) -> None:
        for key in self._phases.awaited:
            self._phases.hear(key, self._tell(key), now)

    def part_of(self, plan: Plan) -> Part:
        """What of a plan goes out now."""
        known = self._tell if self.view.has_states else None
        reconciler = self._reconciler
        part = self._phases.part_of(
            plan, reconciler.ledger, reconciler.actual, known, time.monotonic()
        )
        reconciler.parted(part.gone)
        self.due = self._phases.due(time.monotonic()) or 0.0
        if self._poll is not None:
            self._poll.hurry(not part.is_last)
        return part

    def committed(self, transaction: Transaction, revision: int) -> None:
        """A transaction of a part is in etcd."""
        self._committed = time.monotonic()
        if self.view.has_states:
            self._phases.committed(transaction, self._reconciler.prefix, revision, self._committed)
            self.due = self._phases.due(self._committed) or 0.0

    def report(self, progress: Progress) -> None:
        """Tell what is new, now and then."""
        now = time.monotonic()
        when, state = self._reported
        current = (self.view.changes, self.view.history, len(self.view.unreadable), self._committed)
        is_news = state != current or self._digest.is_waiting()
        is_news |= self.view.is_polled and now - when >= LATE_REPORT_SECONDS
        if not is_news or now - when < REPORT_SECONDS:
            return
        self._reported = (now, current)
        held = self._held()
        shown = self._digest.shown(self.view, held, now)
        progress.agent(shown, self._digest.news(self.view, held, shown))

    def _held(self) -> dict[str, int]:
        """Our keys in etcd with their mod revision; none if there is nothing to say of them."""
        history, reconciler = self.view.history, self._reconciler
        if not (self.view.has_states or history.vpp_restarted or history.failed_updates):
            return {}
        entries = reconciler.actual.entries
        return {key: entry.revision for key, entry in entries.items() if reconciler.owns(key)}
