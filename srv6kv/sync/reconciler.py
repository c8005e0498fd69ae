"""All state of one node in one place, without I/O: the cluster, the keys in etcd, the next plan.

Rule: one thread owns it. A failed guard, a lost answer, a new connection and a restart are the same
event: ``reset`` with what was read, and plan everything again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from itertools import chain

from srv6kv.agent.view import ReadKey
from srv6kv.cluster import noderecords
from srv6kv.cluster.attachment import AttachmentKeys
from srv6kv.cluster.cluster import Cluster
from srv6kv.cluster.intake import Intake
from srv6kv.cluster.ownnode import OwnNode
from srv6kv.etcd.values import Change
from srv6kv.kube.gaps import POD
from srv6kv.kube.model import Gap, Identity, Ref
from srv6kv.ligato import keys
from srv6kv.ligato.values import LocalSid
from srv6kv.net.sids import discard_sid
from srv6kv.notes import Note
from srv6kv.plan import contention, ownership
from srv6kv.plan.actual import Actual, Entry, read
from srv6kv.plan.inherited import Inherited
from srv6kv.plan.leftout import LeftOut
from srv6kv.plan.plan import MOST_BYTES, Ledger, Plan, delete_order, plan, put_order
from srv6kv.render import Delta, Renderer
from srv6kv.render.node import drop_routes
from srv6kv.settings import Settings
from srv6kv.sync.ledgerkeys import LedgerKeys, names_a_process, warnings
from srv6kv.sync.losses import Loss, Served, loss_of
from srv6kv.txn.limits import DEFAULT, Limits
from srv6kv.txn.transaction import Operation, Transaction


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All keys that concern one agent."""

    agent: dict[str, Entry] = field(default_factory=dict)
    ledger: dict[str, bytes] = field(default_factory=dict)
    node_ids: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: Iterable[ReadKey], agent_prefix: str, own_prefix: str) -> Snapshot:
        """Sort what was read."""
        found = cls()
        for item in entries:
            if item.value is None:
                continue
            if item.key.startswith(own_prefix):
                found.ledger[item.key.removeprefix(own_prefix)] = item.value
            elif item.key.startswith(noderecords.PREFIX):
                found.node_ids[item.key] = item.value
            elif item.key.startswith(agent_prefix):
                key = item.key.removeprefix(agent_prefix)
                found.agent[key] = Entry(item.value, item.mod_revision)
        return found

    def differing(self, actual: Actual) -> set[str]:
        """Find the agent's keys (short form) that are not in etcd as ``actual`` has them."""
        return {key for key, _ in self.agent.items() ^ actual.entries.items()}


class Reconciler:
    """Keeps desired and actual of one node and plans the way between them.

    Attributes:
        watched: the prefixes to watch: the agent's configuration, and Contiv's node ids.
        prefixes: the prefixes to read: those, and our notes about ourselves.
        edited: how often others changed or deleted a key of ours.
        is_contended: others write so often that a large transaction never gets through; smaller
            ones do, at the price of more revisions.
        limits: of one transaction, without what is to be noted about us.
    """

    def __init__(self, settings: Settings, node: str, label: str, boot_id: str = "") -> None:
        self.settings = settings
        self.node = node
        self.prefix = keys.agent_prefix(label)
        self.own_prefix = ownership.own_prefix(label)
        self.cluster = Cluster(pod_annotations=settings.pod_annotations)
        identity: Identity = ("Node", "", node)
        self.intake = Intake(self.cluster, kept=identity)
        self.own_node = OwnNode(node, identity, self.cluster, self.intake)
        self.actual = Actual()
        self.edited = 0
        self.is_contended = False
        self.most_bytes = MOST_BYTES
        self.limits = DEFAULT
        self.watched = (self.prefix + keys.CONFIG, noderecords.PREFIX)
        self.prefixes = (*self.watched, self.own_prefix)
        self.renderer = Renderer(settings, node)
        routes = tuple(route.key for route in drop_routes(settings))
        self._ranges = ownership.ranges_of(settings, routes)
        self.ledger_keys = LedgerKeys(self.own_prefix, boot_id)
        self._discard = discard_sid(settings.sid.node)
        self._served = Served(self._discard)
        self._pending: Delta | None = None
        self._contended: set[str] = set()
        self._left_out = LeftOut()
        self.source_gaps: frozenset[Gap] = frozenset()
        self._inherited = Inherited(
            settings, node, self.cluster, self.actual, self.owns, self.renderer.services.topology
        )
        self._is_new_session = True

    @property
    def ledger(self) -> Ledger:
        """The ranges and shared keys that etcd notes about us."""
        return self.ledger_keys.ledger

    def owns(self, key: str) -> bool:
        """Whether a key (short form) is ours, by today's ranges or by those noted in etcd."""
        return self._ranges.owns(key) or self.ledger.ranges.owns(key)

    def reset(self, entries: Iterable[ReadKey]) -> None:
        """Begin again with what etcd holds below ``prefixes``."""
        self.actual = Actual()
        self._served = Served(self._discard)
        self._inherited.reset(self.actual)
        self.cluster.forget_localsids()
        self._contended.clear()
        self._pending = None
        self._is_new_session = True
        snapshot = Snapshot.of(entries, self.prefix, self.own_prefix)
        self.cluster.replace_node_records(snapshot.node_ids)
        self.ledger_keys.reset(snapshot.ledger)
        attachments = AttachmentKeys()
        for key, (value, revision) in snapshot.agent.items():
            self._apply(key, value, revision)
            attachments.apply(key, self.ledger_keys.accept(key, value, revision), revision)
        self.cluster.replace_attachments(attachments, self.actual.entries)

    def differing(self, entries: Iterable[ReadKey]) -> set[str]:
        """Find the keys (full form) below ``prefixes`` that differ from what was just read."""
        read = Snapshot.of(entries, self.prefix, self.own_prefix)
        found = {self.prefix + key for key in read.differing(self.actual)}
        found |= self.ledger_keys.differing(read.ledger)
        return found | self.cluster.records.differing(read.node_ids)

    def compare_all(self) -> None:
        """Let the next plan compare everything that is ours."""
        self._pending = None

    def stale_chains(self) -> Transaction:
        """Make the transaction that deletes the chains of an earlier boot, whose namespaces belong
        to others now."""
        entries = self.actual.entries.items() if self.ledger_keys.is_new_boot else ()
        return Transaction(
            tuple(
                Operation(keys.full(self.prefix, key), None, entry.revision)
                for key, entry in sorted(entries, key=lambda item: delete_order(item[0]))
                if self.owns(key) and names_a_process(key, entry.value)
            )
        )

    def observe(self, changes: Iterable[ReadKey]) -> None:
        """Apply changes that others have made; our own are known already."""
        for change in changes:
            if change.key.startswith(noderecords.PREFIX):
                self.cluster.apply_node_record(change.key, change.value)
                continue
            key = change.key.removeprefix(self.prefix)
            value, revision = change.value, change.mod_revision
            if key == change.key:
                continue
            is_known = self.actual.is_known(key, revision)
            self.actual.confirm_deletion(key, revision)
            if is_known:
                continue
            is_ours = self.owns(key)
            self.edited += is_ours
            self._plan_dependents(key, is_ours=is_ours)  # of what was in the way until now, too
            self._apply(key, value, revision)
            self._plan_dependents(key, is_ours=is_ours)
            accepted = self.ledger_keys.accept(key, value, revision)
            self.cluster.apply_agent_key(key, accepted, revision, is_gone=value is None)

    def _plan_dependents(self, key: str, *, is_ours: bool) -> None:
        """Let the next plan compare what depends on a key (short form) that others write."""
        if self._pending is not None:
            desired = self.renderer.desired
            self._pending |= contention.dependents(key, self.actual, desired, is_ours=is_ours)

    def apply_refusal(self, changes: Collection[Change]) -> bool:
        """Apply what keys of a refused transaction hold instead.

        Args:
            changes: none if something next to the keys has changed: then only transactions that are
                guarded key by key get through.

        Returns:
            Whether the next plan differs by it; else everything has to be read again.
        """
        short = {change.key.removeprefix(self.prefix) for change in changes}
        before = {key: self.actual.entries.get(key) for key in short}
        is_news = not self.is_contended and not changes
        self.is_contended = True
        self._contended |= short
        self.observe(changes)
        for change in changes:
            if change.value is None:  # it went before this revision; the watch will report when
                key = change.key.removeprefix(self.prefix)
                self.actual.expect_deletion(key, change.mod_revision)
        return is_news or any(self.actual.entries.get(key) != before[key] for key in short)

    def set_apart(self, found: Plan) -> Plan:
        """Let what needs a key that others have just changed go out last."""
        return contention.set_apart(found, self._contended, self.actual, self.prefix)

    def _apply(self, key: str, value: bytes | None, revision: int) -> None:
        self.actual.apply(key, value, revision)
        if key.startswith((keys.POLICY, keys.LOCALSID)) and self.owns(key):
            self._served.apply(key, value)
        if key.startswith(keys.LOCALSID):
            found = read(key, value)
            end = found.cross_connect if isinstance(found, LocalSid) else None
            self.cluster.set_localsid(
                key.removeprefix(keys.LOCALSID), end.next_hop if end else None
            )

    def missing_pods(self) -> dict[str, Ref]:
        """Find the Pods that are not known with the address of a local endpoint that needs them."""
        return {
            address: ref
            for address, ref in self.renderer.local.waiting.items()
            if not any(gap.covers(POD, *ref) for gap in self.source_gaps)
            and not self.intake.is_malformed((POD, ref.namespace, ref.name))
        }

    def set_limits(self, limits: Limits) -> None:
        """Change the limits of plans."""
        if limits != self.limits:
            self.limits, self.most_bytes = limits, limits.value
            self._pending = None  # what did not fit may, and what did may not

    def plan(self) -> Plan:
        """Plan what is to be written now; nothing if etcd holds the desired state."""
        gaps = (self.source_gaps, self.intake.gaps(), frozenset(self.cluster.records.gaps()))
        changed = self._inherited.update_gaps(gaps)
        if changed:
            self.cluster.set_unread_nodes(self._inherited.unread_nodes)
            self.cluster.set_unread_pods(self._inherited.unread_pods)
        self.renderer.limit(self.most_bytes)
        delta = self.renderer.update(self.cluster)
        is_moved = self._inherited.update_topology(self.renderer.services.topology)
        self._inherited.kept = self._left_out.kept
        is_complete = self.cluster.reported.is_complete
        waits = self._inherited.update_waiting(
            frozenset() if is_complete else frozenset(self.renderer.local.unattached)
        )
        if (waits or changed or is_moved) and self._left_out.kept:
            self._pending = None  # what stayed may go now
        if self._pending is not None:
            self._pending |= delta
            if changed:
                self._pending |= self._inherited.concerned(changed, self.renderer.desired)
            self._left_out.widen(self._pending, self.ledger.shared)
        found = plan(
            self.renderer.desired,
            self.actual,
            self.settings,
            prefix=self.prefix,
            ranges=self._ranges,
            ledger=self.ledger,
            delta=self._pending,
            inherited=self._inherited,
            present=self.cluster.reported,
            most=self.limits.few_planned if self.is_contended else self.limits.planned,
            most_bytes=self.most_bytes,
            batch_bytes=min(self.limits.size, self.most_bytes),
        )
        self._inherited.desired |= {k for k, v in found.values.items() if v is not None}
        self._left_out.apply(found, is_full=self._pending is None)
        return found

    @property
    def compares_all(self) -> bool:
        """Whether the last plan compared everything that is ours, not only what had changed."""
        return self._pending is None

    @property
    def is_urgent(self) -> bool:
        """Whether what is to be written must not wait for a counterpart."""
        return self._pending is None or self._pending.is_urgent

    def loss_of(self, found: Plan) -> Loss:
        """Count what a plan takes away of what etcd holds."""
        return loss_of(found, self.actual, self._served)

    def steered(self) -> Iterable[Ref]:
        """Yield the services with an address that is steered, some more than once."""
        return (steered.service for steered in self.renderer.desired.steered.values())

    def bookkeeping(
        self, found: Plan, index: int, *, is_part: bool = False
    ) -> tuple[Operation, ...]:
        """Make the operations that note something about us, with the plan's transaction ``index``.

        Before the very last one the old ranges stay noted, as keys in them are still there; after a
        part more follows.
        """
        is_last = not is_part and index >= len(found.transactions) - 1
        ranges = self._ranges if is_last else self._ranges | self.ledger.ranges
        return self.ledger_keys.operations(ranges, found.ledger.shared)

    def committed(
        self, transaction: Transaction, extra: Iterable[Operation], revision: int
    ) -> None:
        """Apply a transaction of the last plan that is done, at this revision."""
        for operation in transaction.operations:
            key = operation.key.removeprefix(self.prefix)
            self._contended.discard(key)
            if operation.value is None:
                self.actual.expect_deletion(key, revision)
            self._apply(key, operation.value, revision)
        self.ledger_keys.apply(extra)

    def postpone(self, gone: Iterable[str]) -> None:
        """Leave these keys to be deleted by the next plan: only a part of the last one is done, and
        a policy is found by its steering, which may be elsewhere by then."""
        if self._pending is not None:
            self._pending.keys.update(gone)

    def finish_change(self, left: Iterable[str] = ()) -> None:
        """Begin a new change: all transactions of the last plan are done, or there were none, but
        for these keys (short form)."""
        self._pending = Delta(set(left))
        self._contended.clear()
        self.is_contended = False

    def report(self, found: Plan) -> str:
        """Report once per session what plumbing the first plan has found and made; else ""."""
        is_first, self._is_new_session = self._is_new_session, False
        return str(found.plumbing) if is_first else ""

    def notes(self) -> set[Note]:
        """Return all warnings about the cluster."""
        rendered = chain.from_iterable(self.renderer.desired.notes.values())
        known = (*self.intake.notes(), *self.cluster.records.notes())
        ours = self.ledger_keys.unreadable
        bad = warnings(ours, self.prefix, self.cluster.attachments.unreadable)
        return {*known, *rendered, *self._left_out.notes(), *bad}

    def held(self) -> dict[str, tuple[bytes, int]]:
        """Return our keys in etcd (full form) with value and mod revision, in the order of puts."""
        ours = (key for key in self.actual.entries if self.owns(key) or key in self.ledger.shared)
        return {self.prefix + key: self.actual.entries[key] for key in sorted(ours, key=put_order)}
