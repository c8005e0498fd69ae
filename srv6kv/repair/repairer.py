"""Does a repair: under the writer key, step by step, and whatever happens nothing stays away.

Rule (decision 0032): a failed guard or a lost answer means read again and make again. What a
repair has deleted is put back before it ends, also when a signal or an error ends it.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, field

from srv6kv.agent.status import State, ValueStatus
from srv6kv.errors import Conflict, LimitsLowered, Srv6kvError, Unavailable
from srv6kv.etcd.backoff import Backoff
from srv6kv.etcd.session import WriterSession
from srv6kv.etcd.store import Etcd3Store, writer_key
from srv6kv.ligato import keys
from srv6kv.repair.choose import ABSENT, Fault
from srv6kv.repair.ground import Ground, Pause, Step
from srv6kv.repair.means import RepairPlan, Task

POLL_SECONDS = 0.1
FORGET_SECONDS = 2.0
"""The agent tries a failed deletion once more after 1 s (agent rules A40 and A22)."""
FORGET_SECONDS_A_KEY = 0.01
"""For the agent's transactions, where no states tell that they are done."""
LONGEST_SECONDS = 30.0
"""An agent that has not followed by then does not follow."""
IDLE_SECONDS = 10.0
PUT_BACK_SECONDS = 30.0
"""For an etcd that elects a leader, a dead connection (13 s), a lease of our own that runs out."""

HINT = "stop it first, or give --take-over"

States = Mapping[str, ValueStatus] | None
"""The states of all values by key; None: there are none, or not now."""
Make = Callable[[Task, Ground], RepairPlan]


class Interrupted(Srv6kvError):
    """SIGINT or SIGTERM has ended it; all is as it was, or repaired."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.exit_code = 128 + number


class Stopped(Srv6kvError):
    """The agent does not do what was meant to repair it."""

    exit_code = 1


class NotPutBack(Srv6kvError):
    """Keys are not as they were, and could not be put back."""

    exit_code = 3


@contextmanager
def signals_noted() -> Iterator[list[int]]:
    """Meanwhile SIGINT and SIGTERM do not end the process; they are put into the list."""
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _frame: came.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(slots=True)
class Repairer:
    """Repairs keys, step by step.

    Attributes:
        pause: seconds between two batches of policies that are recreated, at least.
        begins: called with the number of steps, each time they are made.
        advances: called after each step.
        rebound: the BSIDs that have changed, old to new.
        left: keys that no step repairs, and why.
        done: the keys that the current task has repaired.
        repaired: those of all tasks, and what has come in their place.
        commits: the transactions so far.
    """

    store: Etcd3Store
    ground: Ground
    states: Callable[[], States]
    pause: float
    came: list[int]
    begins: Callable[[int], None]
    advances: Callable[[Step], None]
    takes_over: bool = False
    rebound: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    repaired: set[str] = field(default_factory=set)
    commits: int = 0
    _session: WriterSession = field(init=False)
    _tried: Step | None = None
    _seen: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._session = WriterSession(self.store, self.ground.label)

    def begin(self) -> None:
        """Acquire the writer key and read."""
        self._seen |= self.ground.actual.entries.keys()  # of when the task was chosen
        self._session.require(takes_over=self.takes_over, hint=HINT)
        self._read()

    def end(self) -> None:
        """Release the writer key."""
        self._session.release()

    def do(self, task: Task, make: Make) -> None:
        """Make the steps and commit them, again while others write in between.

        Raises:
            Conflict: another process writes for the label now, or edits its keys all the time.
            Unavailable: etcd is out of reach.
            Stopped: the agent does not follow, or fails at what it is given.
            Interrupted: a signal came.
            NotPutBack: and what was deleted is not back.
        """
        self.done = set()
        self._seen |= self.ground.actual.entries.keys()
        try:
            self._do(task, make)
        except NotPutBack:
            raise
        except Exception as error:
            self._end_well(error)
            if isinstance(error, Srv6kvError):
                error.args = (f"{error}; nothing is left half done",)
            raise

    def wait_for_agent(self, look: Callable[[], list[Fault]]) -> list[Fault]:
        """Give the agent its time, its three tries included, and return the faults that are left;
        while they get fewer it is at work."""
        least, deadline = len(found := look()), time.monotonic() + IDLE_SECONDS
        while found and time.monotonic() < deadline and not self.came:
            time.sleep(POLL_SECONDS)
            found = look()
            if len(found) < least:
                least, deadline = len(found), time.monotonic() + IDLE_SECONDS
        return found

    def _do(self, task: Task, make: Make) -> None:
        backoff = Backoff()
        while True:
            done = len(self.done)
            try:
                self._put_back()
                self._once(task, make)
                return
            except LimitsLowered:
                continue
            except (Conflict, Unavailable):
                pause = backoff.failed(has_progressed=len(self.done) > done)
                if backoff.is_exhausted or self._session.is_taken():
                    raise
            self._sleep(pause)

    def _once(self, task: Task, make: Make) -> None:
        self.ground.limits = self.store.limits
        # A key that has gone meanwhile is not one that the agent has kept: others took it away.
        over = self.done | (self._seen - self.ground.actual.entries.keys())
        plan = make({means: chosen - over for means, chosen in task.items()}, self.ground)
        self.left |= plan.left
        self.begins(len(plan.steps))
        for step in plan.steps:
            self._stop_if_asked()
            self._commit(step)
            self._wait(step)
            self.advances(step)

    def _commit(self, step: Step) -> None:
        writer, self._tried = self._session.writer, step
        if writer is None:
            raise Conflict(f"{writer_key(self.ground.label)} is not held")
        revision = self.store.commit(
            self.ground.guarded(step.transaction), writer=writer, read_revision=self.ground.revision
        )
        self._tried = None
        self.ground.committed(step, revision)
        self._note(step)

    def _note(self, step: Step) -> None:
        self.commits += 1
        self.done |= step.done
        self.repaired |= step.done
        if step.rebound is not None:
            old, new = step.rebound
            self.rebound[old] = new
            self.repaired.add(keys.policy(new))

    def _read(self) -> None:
        snapshot = self.store.read(self.ground.prefixes)
        tried, self._tried = self._tried, None
        if self.ground.read(snapshot.entries, snapshot.revision, tried) and tried is not None:
            self._note(tried)

    def _put_back(self) -> None:
        """Hold the writer key, know what etcd holds, owe nothing."""
        if self._session.writer is None or self._session.is_lost:
            self._session.require(hint=HINT)
            self._read()
            self._refuse_disturbed()
        elif self._tried is not None or self.ground.owed:
            self._read()
        self.ground.limits = self.store.limits
        for step in self.ground.restoring():
            self._commit(step)

    def _refuse_disturbed(self) -> None:
        """Leave to another writer what it has decided: it knew the cluster, so what is away now may
        be so for good, and what it needs too."""
        if self.ground.owed and self.ground.is_disturbed:
            reason = f"another process has written for {self.ground.label} meanwhile"
            raise NotPutBack(self._text(f"{writer_key(self.ground.label)} was lost", reason))

    def _end_well(self, error: Exception) -> None:
        """Owe nothing before the end, or raise NotPutBack."""
        deadline, backoff = time.monotonic() + PUT_BACK_SECONDS, Backoff()
        while self.ground.owed or self._tried is not None:
            try:
                self._put_back()
            except NotPutBack:
                raise
            except Srv6kvError as failure:
                if time.monotonic() > deadline or self._session.is_taken():
                    raise NotPutBack(self._text(error, failure)) from None
                time.sleep(backoff.failed())

    def _text(self, error: Exception | str, reason: Exception | str) -> str:
        tried = self._tried.transaction.operations if self._tried is not None else ()
        away = {self.ground.prefix + key for key in self.ground.owed} | {one.key for one in tried}
        return (
            f"{error}; {len(away)} keys may not be put back, {min(away)} first, because"
            f" {reason}; 'srv6kv run' writes them again"
        )

    def _stop_if_asked(self) -> None:
        if self.came:
            raise Interrupted(self.came[0])

    def _sleep(self, seconds: float) -> None:
        """Wait, but not when a signal has come."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._stop_if_asked()
            time.sleep(min(left, POLL_SECONDS))

    def _wait(self, step: Step) -> None:
        if step.pause is Pause.NONE:
            return
        is_gone, waits_for = step.pause is Pause.GONE, step.waits_for
        self._sleep(FORGET_SECONDS if is_gone else self.pause)
        extra = FORGET_SECONDS_A_KEY * len(waits_for)
        if self.states() is None:
            self._sleep(extra)
        elif not is_gone:
            self._comes(waits_for, LONGEST_SECONDS, lambda one: one.state is not State.RETRYING)
            self._refuse_failed(waits_for)
        elif not self._comes(waits_for, LONGEST_SECONDS + extra, lambda one: one.state in ABSENT):
            raise Stopped("the agent does not follow: it still has what was deleted")

    def _refuse_failed(self, chosen: Set[str]) -> None:
        states = self.states() or {}
        for key in sorted(chosen & states.keys()):
            if states[key].state is State.FAILED:
                raise Stopped(f"{key} is FAILED now: {states[key].error}; nothing more is tried")

    def _comes(
        self, chosen: Set[str], seconds: float, holds: Callable[[ValueStatus], bool]
    ) -> bool:
        """Whether that comes to hold of all states of these keys within so many seconds."""
        deadline = time.monotonic() + seconds
        while True:
            states = self.states()
            known = [states[key] for key in chosen & states.keys()] if states else []
            if states is not None and all(map(holds, known)):
                return True
            if time.monotonic() > deadline:
                return False
            self._sleep(POLL_SECONDS)
