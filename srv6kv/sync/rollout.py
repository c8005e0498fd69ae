"""Which part of a plan may go out now, where the agent reports the states of its values.

Order (rule R11): the receive side; policies and steerings; deletions. Each waits until
the agent has what came before, for a bounded time: a policy must not lead to a localsid that VPP
does not have yet, and nothing may go while VPP may still use it. A live policy that gains no path
to this node, as one that loses the endpoints of a node that is gone, waits for nothing.

Rule: pure; times are monotonic seconds, passed in. Without states a plan goes out as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable
from dataclasses import dataclass, field, replace

from srv6kv.agent.status import State
from srv6kv.agent.view import Reported
from srv6kv.ligato import keys
from srv6kv.ligato.chains import ChainName, is_copy
from srv6kv.plan.actual import Actual, effects_of, lists_of
from srv6kv.plan.plan import Ledger, Plan
from srv6kv.sync.turns import Reports, Turns
from srv6kv.txn.transaction import Operation, Transaction

CONFIRM_SECONDS = 2.0
"""A phase waits so long for the one before it."""
QUIET_SECONDS = 0.3
"""The agent reports nothing new of a policy that was updated before and is updated again, and
answers over REST have no revision: after this time its last report counts. What is PENDING may wait
for another key of the same phase, so it counts after this time too."""
_ENDS = frozenset(State) - {State.NONEXISTENT, State.REMOVED, State.MISSING, State.RETRYING}
"""Nothing more is to be expected of the agent itself."""
SEND, GONE = "send", "gone"


@dataclass(frozen=True, slots=True)
class _Put:
    """A put that the agent has not confirmed: its revision and time, and whether the key was there
    before."""

    revision: int
    when: float
    was_there: bool


@dataclass(frozen=True, slots=True)
class Part:
    """The part of a plan that goes out now.

    Attributes:
        plan: with the transactions of this part only.
        is_last: nothing of the plan is left.
        gone: the keys (short form) whose deletion is left.
        copies: the keys that are left, where these are chains whose other copy has their rules: the
            cluster's state is in etcd.
    """

    plan: Plan
    is_last: bool
    gone: frozenset[str] = frozenset()
    copies: frozenset[str] = frozenset()


@dataclass(slots=True)
class Rollout:
    """Keeps the puts that the agent has not confirmed, and since when operations are held back."""

    _puts: dict[str, _Put] = field(default_factory=dict)
    _held: dict[str, float] = field(default_factory=dict)
    _turns: Turns = field(default_factory=Turns)
    _copies: frozenset[str] = frozenset()

    @property
    def is_begun(self) -> bool:
        """Whether a part of the last plan is out and the rest is not."""
        return bool(self._held) or self._turns.is_begun

    @property
    def holds_phases(self) -> bool:
        """Whether something waits for the phase before its own."""
        return bool(self._held)

    def next_part(
        self, plan: Plan, ledger: Ledger, actual: Actual, report: Reports | None, now: float
    ) -> Part:
        """Choose what of a plan may go out now.

        Args:
            ledger: what is noted in etcd; a part notes nothing as gone that is not.
            report: of the agent; None: it reports no states, so all goes that waits for no time.
        """
        operations = [one for transaction in plan.transactions for one in transaction.operations]
        waiting = self._begin_turns(plan, operations, actual, report, now)
        left = {one for one in operations if one.is_put and _short(one) in waiting}
        if report is None:
            self._puts, self._held = {}, {}
        else:
            left |= self._hold_phases_back(plan, actual, report, now)
        if not left:
            return Part(plan, is_last=True)
        deleted = frozenset(_short(one) for one in left if not one.is_put)
        copies = _second_copies(map(_short, left))
        found = _without(plan, left, ledger, actual)
        return Part(found, is_last=False, gone=deleted, copies=copies)

    def ahead_of_window(
        self, plan: Plan, ledger: Ledger, actual: Actual, report: Reports | None, now: float
    ) -> Plan:
        """Choose what of a plan goes out while its policies wait for a counterpart (rule M3): what
        this node receives in addition, as other nodes, whose policies wait as long, may send to it
        right after, and second copies whose turn it is.

        Another chain that is there waits: policies may still lead to what it would not translate
        any more. Without reports nothing but such copies goes: a change is one revision then.
        """
        operations = [one for transaction in plan.transactions for one in transaction.operations]
        waiting = self._begin_turns(plan, operations, actual, report, now)
        receive, _, _ = _by_phase(plan, actual, ())
        changed = {_short(one) for one in receive}.intersection(actual.entries)
        freed = self._copies.difference(waiting)
        going = {one for one in receive if _short(one) in freed}
        if report is not None:
            going |= {one for one in receive if _is_added(_short(one), changed)}
        return _without(plan, set(operations) - going, ledger, actual)

    def _begin_turns(
        self,
        plan: Plan,
        operations: Iterable[Operation],
        actual: Actual,
        report: Reports | None,
        now: float,
    ) -> Collection[str]:
        """Choose the chains of a plan that wait for others."""
        puts = {_short(one) for one in operations if one.is_put}
        self._copies = frozenset(filter(is_copy, plan.order.followers))
        return self._turns.waiting(plan.order, puts, actual, report, now)

    def _hold_phases_back(
        self, plan: Plan, actual: Actual, report: Reports, now: float
    ) -> set[Operation]:
        """Choose what of a plan waits for the phase before its own."""
        for key in list(self._puts):
            self.update(key, report(key), now)
        receive, send, gone = _by_phase(plan, actual, self._copies)
        waits = self._awaits_receive() or bool(receive)
        holds_send = self._hold_back(SEND, waits and bool(send), now)
        waits = bool(gone) and bool(waits or self._puts or send)
        holds_gone = self._hold_back(GONE, waits, now, must_wait=holds_send)
        return (send if holds_send else set()) | (gone if holds_gone else set())

    def committed(self, transaction: Transaction, prefix: str, revision: int, now: float) -> None:
        """Note that a transaction of a part is in etcd at this revision."""
        for operation in transaction.operations:
            key = operation.key.removeprefix(prefix)
            self._puts.pop(key, None)
            was_there = operation.guard != 0
            if operation.is_put and key not in self._copies:
                self._puts[key] = _Put(revision, now, was_there)
            if operation.is_put:
                self._turns.committed(key, revision, now, was_there=was_there)

    def update(self, key: str, reported: Reported | None, now: float) -> None:
        """Apply the agent's report of a key (short form)."""
        self._turns.update(key, reported, now)
        put = self._puts.get(key)
        if put is None:
            return
        is_late = now - put.when >= CONFIRM_SECONDS
        if is_late or (self._turns.is_made(key) and _is_done(put, reported, now)):
            del self._puts[key]

    def _awaits_receive(self) -> bool:
        return not all(map(_is_send, self._puts))

    @property
    def awaited(self) -> tuple[str, ...]:
        """The keys (short form) that something waits for."""
        return (*(self._puts if self._held else ()), *self._turns.awaited)

    @property
    def is_free(self) -> bool:
        """Whether the agent has confirmed all that what is held back next waits for."""
        awaits = self._awaits_receive() if SEND in self._held else self._puts
        return (bool(self._held) and not awaits) or self._turns.is_free

    def due(self, now: float) -> float | None:
        """Return when what is held back may go, or when to look again; None: nothing is."""
        if self.is_free or not self.is_begun:
            return now if self.is_begun else None
        ends = [self._turns.due(now)] if self._turns.is_begun else []
        if self._held:
            first = SEND if SEND in self._held else GONE
            ends.append(self._held[first] + _limit(first))
        for put in self._puts.values() if self._held else ():
            quiet = put.when + QUIET_SECONDS
            ends.append(quiet if quiet > now else put.when + CONFIRM_SECONDS)
        return min(ends)

    def _hold_back(self, name: str, waits: bool, now: float, *, must_wait: bool = False) -> bool:
        """Hold operations back as long as what comes before them is; whether they are held back."""
        if waits:
            since = self._held.setdefault(name, now)
            if must_wait or now - since < _limit(name):
                return True
        self._held.pop(name, None)
        return False


def _is_added(key: str, changed: Container[str]) -> bool:
    """Whether a put changes no chain that is there, by itself or with the one that jumps to it."""
    name = ChainName.of(key)
    is_used = name is not None and name.builtin.key in changed
    return not key.startswith(keys.RULE_CHAIN) or (key not in changed and not is_used)


def _second_copies(left: Iterable[str]) -> frozenset[str]:
    """The keys that are left, if the other copy of each is not."""
    names = [ChainName.of(key) for key in left]
    copies = [name for name in names if name is not None and name.copy]
    is_all = len({name.builtin for name in copies}) == len(names)
    return frozenset(name.key for name in copies) if is_all else frozenset()


def _limit(name: str) -> float:
    """Deletions wait for two phases."""
    return CONFIRM_SECONDS * (2 if name == GONE else 1)


def _is_done(put: _Put, reported: Reported | None, now: float) -> bool:
    """Whether the agent has done what it can with a put, or nothing more is to be expected."""
    if reported is None or reported.status.state not in _ENDS:
        return False
    is_quiet = now - put.when >= QUIET_SECONDS
    if reported.status.state is State.PENDING and not is_quiet:
        return False
    if reported.revision > put.revision or (reported.revision == 0 and not put.was_there):
        return True
    # The agent publishes only another state, operation, error or other details than before.
    is_same = reported.status.operation == "UPDATE" or reported.status.state is not State.CONFIGURED
    may_be_unpublished = reported.revision == 0 or (put.was_there and is_same)
    return may_be_unpublished and is_quiet


def _is_send(key: str) -> bool:
    return keys.rank(key) >= keys.POLICY_RANK


def _short(operation: Operation) -> str:
    return keys.CONFIG + operation.key.partition(f"/{keys.CONFIG}")[2]


def _by_phase(
    plan: Plan, actual: Actual, copies: Collection[str]
) -> tuple[set[Operation], set[Operation], set[Operation]]:
    """Divide a plan, without these copies of chains, into the receive side, policies and steerings
    that follow it, and deletions.

    A deletion before the last put makes room for one.
    """
    listed = [one for transaction in plan.transactions for one in transaction.operations]
    followers = {one for one in listed if _short(one) in plan.order.followers}
    operations = [one for one in listed if one not in followers]
    receive = {one for one in followers if _short(one) not in copies}
    send: set[Operation] = set()
    gone: set[Operation] = set()
    last = max((index for index, one in enumerate(operations) if one.is_put), default=-1)
    for index, operation in enumerate(operations):
        if not operation.is_put:
            (gone if index > last else send).add(operation)
        elif not _is_send(_short(operation)):
            receive.add(operation)
        elif not _is_independent(operation, plan, actual):
            send.add(operation)
    return receive, send, gone


def _is_independent(operation: Operation, plan: Plan, actual: Actual) -> bool:
    """Whether it changes a live policy, which gains no path that ends on this node."""
    key = _short(operation)
    old = actual.value_of(key)
    if not key.startswith(keys.POLICY) or old is None or operation.value is None:
        return False
    gained = lists_of(key, operation.value) - lists_of(key, old)
    ends = {keys.localsid(segments[-1]) for segments, _ in gained if segments}
    return not any(end in actual.entries or plan.values.get(end) for end in ends)


def _without(plan: Plan, left: set[Operation], ledger: Ledger, actual: Actual) -> Plan:
    """The plan without what is left for later."""
    transactions = tuple(
        Transaction(operations)
        for transaction in plan.transactions
        if (operations := tuple(one for one in transaction.operations if one not in left))
    )
    done = {_short(one): one.value for part in transactions for one in part.operations}
    return replace(
        plan,
        transactions=transactions,
        ledger=Ledger(plan.ledger.ranges | ledger.ranges, ledger.shared | plan.ledger.shared),
        effects=effects_of(done, actual),
    )
