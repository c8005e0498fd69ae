"""The content of etcd during a repair, and what the repair owes to put back.

Rule: whatever a repair deletes or alters on its way is owed until it is as it was; only a rebound
BSID stays different. Keys are in short form (``config/...``) but in transactions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from srv6kv.agent.needs import Means
from srv6kv.etcd.values import KeyValue
from srv6kv.ligato import keys
from srv6kv.plan import ownership
from srv6kv.plan.actual import Actual
from srv6kv.plan.ownership import Ranges
from srv6kv.plan.plan import put_order, split
from srv6kv.sync.ledgerkeys import ledger_of
from srv6kv.txn import recording
from srv6kv.txn.limits import DEFAULT, Limits
from srv6kv.txn.transaction import Operation, Transaction


class Pause(StrEnum):
    """The condition for the next step."""

    NONE = "none"
    APPLIED = "applied"
    """Until the agent has worked on the step's keys."""
    GONE = "gone"
    """Until the agent has forgotten the step's keys: a failed deletion is tried once more after a
    second, and would hit what is put meanwhile."""


Change = tuple[str, bytes | None]


@dataclass(frozen=True, slots=True)
class Step:
    """One transaction of a repair.

    Attributes:
        transaction: full keys; a guard other than 0 stands for the revision that the key has by
            then, see ``Ground.guarded``.
        done: keys that are repaired when it is committed.
        pause: what must be waited for afterwards; ``waits_for``: whose states that is about.
        rebound: the BSIDs that change with it, old and new: what such a step changes stays changed.
            All other steps owe the values that were before.
    """

    means: Means
    transaction: Transaction
    done: frozenset[str] = frozenset()
    pause: Pause = Pause.NONE
    waits_for: frozenset[str] = frozenset()
    rebound: tuple[str, str] | None = None


@dataclass(slots=True)
class Ground:
    """Keeps one label's keys and what is owed to them.

    Attributes:
        ranges: what is ours, as noted in etcd.
        made: keys that others may own, with the very bytes that srv6kv wrote as they were absent.
        actual: what etcd holds, as last read or written; ``revision``: up to where that is known.
        owed: key to the bytes that it must have in the end, where it has others; None: no key.
        is_disturbed: whether keys of ours were not as they were left when they were last read.
    """

    label: str
    prefix: str = ""
    ranges: Ranges = field(default_factory=Ranges)
    made: frozenset[str] = frozenset()
    actual: Actual = field(default_factory=Actual)
    revision: int = 0
    owed: dict[str, bytes | None] = field(default_factory=dict)
    limits: Limits = DEFAULT
    is_disturbed: bool = False

    def __post_init__(self) -> None:
        self.prefix = keys.agent_prefix(self.label)

    @property
    def prefixes(self) -> tuple[str, str]:
        """What is to be read: the configuration, and what srv6kv has noted about itself."""
        return (self.prefix + keys.CONFIG, ownership.own_prefix(self.label))

    def read(self, entries: Iterable[KeyValue], revision: int, tried: Step | None = None) -> bool:
        """Apply what was read below ``prefixes``; whether the tried step, whose answer was lost, is
        done. What others have changed since is theirs, and not owed any more."""
        now, noted = Actual(), {}
        own_prefix = ownership.own_prefix(self.label)
        for item in entries:
            if item.key.startswith(own_prefix):
                noted[item.key.removeprefix(own_prefix)] = item.value
            else:
                now.apply(keys.short(self.prefix, item.key), item.value, item.mod_revision)
        ledger = ledger_of(noted)
        self.ranges = ledger.ranges
        done = tried if tried is not None and self._is_done(tried, now) else None
        self.is_disturbed = self._differs(now, done)
        if done is not None:
            self._owe(done)
            self.actual = now
        for key in list(self.owed):
            if self._revision_in(self.actual, key) != self._revision_in(now, key):
                del self.owed[key]
        self.actual, self.revision = now, revision
        held = {key: now.entries[key].value for key in ledger.shared.keys() & now.entries.keys()}
        self.made = frozenset(key for key in held if ledger.shared[key].encode() == held[key])
        return done is not None

    def _differs(self, now: Actual, done: Step | None) -> bool:
        """Whether keys of ours have changed, but for those of a step that is done."""
        mine = {key for key, _ in self._changes(done.transaction)} if done is not None else set()
        return any(
            self._revision_in(now, key) != self._revision_in(self.actual, key)
            for key in (self.actual.entries.keys() | now.entries.keys()) - mine
            if self.ranges.owns(key)
        )

    def _is_done(self, tried: Step, now: Actual) -> bool:
        for key, value in self._changes(tried.transaction):
            found = now.entries.get(key)
            if (found.value if found else None) != value:
                return False
            if found is not None and found.revision == self._revision_in(self.actual, key):
                return False
        return True

    def _changes(self, transaction: Transaction) -> list[Change]:
        return [(keys.short(self.prefix, one.key), one.value) for one in transaction.operations]

    @staticmethod
    def _revision_in(actual: Actual, key: str) -> int:
        entry = actual.entries.get(key)
        return entry.revision if entry else 0

    def guarded(self, transaction: Transaction) -> Transaction:
        """The transaction with the guards that hold now."""
        revisions = {
            keys.full(self.prefix, key): self._revision_in(self.actual, key)
            for key, _ in self._changes(transaction)
        }
        return recording.mapped(transaction, revisions)

    def committed(self, step: Step, revision: int) -> None:
        """Apply a step that is done at this revision."""
        self._owe(step)
        for key, value in self._changes(step.transaction):
            self.actual.apply(key, value, revision)
        self.revision = revision

    def _owe(self, step: Step) -> None:
        for key, value in self._changes(step.transaction):
            entry = self.actual.entries.get(key)
            before = self.owed.pop(key, entry.value if entry else None)
            if step.rebound is None and before != value:
                self.owed[key] = before

    def restoring(self) -> list[Step]:
        """Make the steps that put back all that is owed, in a safe order."""
        draft = Draft(self)
        draft.add(Means.REWRITE, ordered(self.owed.items()))
        return draft.steps

    def ours(self, kinds: Collection[str] = ()) -> list[str]:
        """The keys that are ours, in the order of puts; of these kinds (key prefixes), if any."""
        found = (key for key in self.actual.entries if self.ranges.owns(key))
        chosen = (key for key in found if not kinds or key.startswith(tuple(kinds)))
        return sorted(chosen, key=put_order)


class Draft:
    """Steps in the making: it knows which revision every key would have by then."""

    def __init__(self, ground: Ground) -> None:
        self.steps: list[Step] = []
        self._prefix = ground.prefix
        self._limits = ground.limits
        self._revisions = {k: entry.revision for k, entry in ground.actual.entries.items()}
        self._next = ground.revision

    def add(
        self,
        means: Means,
        changes: Sequence[Change],
        *,
        done: Iterable[str] = (),
        pause: Pause = Pause.NONE,
        rebound: tuple[str, str] | None = None,
    ) -> None:
        """One step; several if it is more than one transaction guards key by key. ``done`` and
        ``pause`` belong to the last of them."""
        operations = [
            Operation(keys.full(self._prefix, key), value, self._revisions.get(key, 0))
            for key, value in changes
        ]
        parts = split(operations, self._limits.few_planned, self._limits.size)
        for part in parts:
            self._next += 1
            self.steps.append(Step(means, part, rebound=rebound))
            for operation in part.operations:
                key = operation.key.removeprefix(self._prefix)
                self._revisions[key] = self._next if operation.is_put else 0
        if parts:
            waits_for = frozenset(key for key, _ in changes)
            last = replace(self.steps[-1], done=frozenset(done), pause=pause, waits_for=waits_for)
            self.steps[-1] = last


def ordered(changes: Iterable[Change]) -> list[Change]:
    """Puts, what is needed first; then deletions in reverse (rule R11)."""
    listed = sorted(changes, key=lambda change: put_order(change[0]))
    gone = [change for change in listed if change[1] is None]
    return [change for change in listed if change[1] is not None] + gone[::-1]
