"""What the parts of the loop share: one node's state, and where it is reported."""

from __future__ import annotations

from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from srv6kv.etcd.store import Etcd3Store
from srv6kv.notes import Note
from srv6kv.run.agentwatch import AgentWatch
from srv6kv.run.comparison import FullComparison
from srv6kv.run.recorder import Recorder
from srv6kv.sync.lists import Lists
from srv6kv.sync.reconciler import Reconciler
from srv6kv.telemetry.progress import Progress


@dataclass(slots=True)
class Context:
    """What the parts of the loop share; only the loop's thread uses it.

    Attributes:
        queue: events for the loop, put there by any thread.
        revision: of etcd, up to which its content is known.
        hold: the warnings that say why a plan has to wait.
        unrepaired: the warning that VPP lacks something.
    """

    store: Etcd3Store
    reconciler: Reconciler
    lists: Lists
    agent: AgentWatch
    comparison: FullComparison
    progress: Progress
    recorder: Recorder | None
    queue: SimpleQueue[Any]
    revision: int = 0
    source_warnings: tuple[Note, ...] = ()
    hold: tuple[Note, ...] = ()
    unrepaired: tuple[Note, ...] = ()

    def saw_revision(self, revision: int) -> None:
        """Note that etcd's content is known up to a revision."""
        self.revision = max(self.revision, revision)

    def node_warning(self) -> Note | None:
        """Tell that the lists lack the own Node; nothing before the first list."""
        return self.reconciler.own_node.warn() if self.lists.listed else None

    def report_warnings(self) -> None:
        """Report all warnings that there are now."""
        own = self.node_warning()
        more = {*self.source_warnings, *self.agent.notes, *self.hold, *self.unrepaired}
        more |= {own} if own else set()
        self.progress.notes(self.reconciler.notes() | more)

    def report_agent(self) -> None:
        """Report what the agent says, and warnings about it that have come or gone."""
        if self.agent.judge():
            self.report_warnings()
        self.agent.report(self.progress)

    def report_edits(self, before: int, revision: int) -> None:
        """Report the edits of our keys by others since their number was ``before``."""
        if self.reconciler.edited != before:
            self.progress.edited(self.reconciler.edited - before, revision)
            self.record_state()

    def record_state(self) -> None:
        """Bring the recording to what etcd holds."""
        if self.recorder is not None:
            self.recorder.snapshot(self.reconciler.held())
