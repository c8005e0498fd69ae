"""All state of one node in one place, without I/O: what the cluster is, what etcd holds, what is
to be written.

Rule: one thread owns it. A failed guard, a lost answer, a new connection and a restart are the same
event: ``reset`` with what was read, and plan everything again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from itertools import chain

import msgspec

from srv6kv import foreign
from srv6kv.agent import boot
from srv6kv.agent.boot import Boot
from srv6kv.agent.view import ReadKey
from srv6kv.cluster import noderecords, ownnode
from srv6kv.cluster.attachment import Wiring
from srv6kv.cluster.cluster import Cluster
from srv6kv.cluster.intake import Intake
from srv6kv.etcd.values import Change
from srv6kv.kube.gaps import POD
from srv6kv.kube.model import Gap, Identity, Ref
from srv6kv.ligato import keys
from srv6kv.ligato.values import LocalSid, decode
from srv6kv.net.sids import discard_sid
from srv6kv.notes import Note
from srv6kv.plan import contention, ownership
from srv6kv.plan.actual import Actual
from srv6kv.plan.inherited import Inherited
from srv6kv.plan.leftout import LeftOut
from srv6kv.plan.plan import (
    MOST_BYTES,
    MOST_RANGES_BYTES,
    MOST_SHARED_BYTES,
    Ledger,
    Plan,
    dump_shared,
    plan,
)
from srv6kv.render import Delta, Renderer
from srv6kv.render.node import drop_routes
from srv6kv.settings import Settings
from srv6kv.sync import unreadable
from srv6kv.sync.losses import Loss, Served, loss_of
from srv6kv.txn.limits import DEFAULT, Limits
from srv6kv.txn.transaction import Operation, Transaction


class Reconciler:
    """Keeps desired and actual of one node and plans the way between them.

    Attributes:
        node: the own node's name.
        cluster: what is known of the cluster.
        intake: feeds it with Kubernetes objects.
        actual: what etcd holds for the agent.
        edited: how often somebody else changed or deleted a key of ours.
        is_contended: others write so often that a large transaction never gets through; smaller
            ones do, at the price of more revisions.
        most_bytes: of a key with its value.
        limits: of one transaction, without what is to be noted about us.
    """

    def __init__(self, settings: Settings, node: str, label: str, boot_id: str = "") -> None:
        self.settings = settings
        self.node = node
        self.prefix = keys.agent_prefix(label)
        self.own_prefix = ownership.own_prefix(label)
        self.cluster = Cluster(pod_annotations=settings.pod_annotations)
        self._own_node: Identity = ("Node", "", node)
        self.intake = Intake(self.cluster, kept=self._own_node)
        self.actual = Actual()
        self.edited = 0
        self.is_contended = False
        self.most_bytes = MOST_BYTES
        self.limits = DEFAULT
        self._renderer = Renderer(settings, node)
        routes = tuple(route.key for route in drop_routes(settings))
        self._ranges = ownership.ranges_of(settings, routes)
        self._ledger = Ledger()
        self._discard = discard_sid(settings.sid.node)
        self._served = Served(self._discard)
        self._noted: dict[str, bytes] = {}
        self._pending: Delta | None = None
        self._contended: set[str] = set()
        self._deleted: dict[str, int] = {}
        self._left_out = LeftOut()
        self._source_gaps: frozenset[Gap] = frozenset()
        self._near: tuple[str, ...] = ()
        self._compared_names: frozenset[str] = frozenset()
        self._inherited = Inherited(
            settings, node, self.cluster, self.actual, self.owns, self._renderer.services.topology
        )
        self._bad_notes: dict[str, str] = {}
        self._boot_id = boot_id
        self._boot = Boot(boot_id)
        self._is_new_boot = False
        self._is_new_session = True

    @property
    def watched(self) -> tuple[str, str]:
        """What of etcd is to be watched: the agent's configuration, and Contiv's node ids."""
        return (self.prefix + keys.CONFIG, noderecords.PREFIX)

    @property
    def prefixes(self) -> tuple[str, ...]:
        """What of etcd is to be read: what is watched, and what is noted about us."""
        return (*self.watched, self.own_prefix)

    @property
    def rendered(self) -> int:
        """How many values were rendered so far."""
        return self._renderer.rendered

    @property
    def ledger(self) -> Ledger:
        """What is noted in etcd about us."""
        return self._ledger

    @property
    def renderer(self) -> Renderer:
        """What renders it, for reading."""
        return self._renderer

    def owns(self, key: str) -> bool:
        """Whether a key (short form) is ours, by today's ranges or by those noted in etcd."""
        return self._ranges.owns(key) or self._ledger.ranges.owns(key)

    def reset(self, entries: Iterable[ReadKey]) -> None:
        """Begin again with what etcd holds below ``prefixes``."""
        self.actual = Actual()
        self._served = Served(self._discard)
        self._inherited.read(self.actual)
        self.cluster.hold_nothing()
        self._deleted.clear()
        self._contended.clear()
        self._noted = {}
        self._pending = None
        self._is_new_session = True
        configuration = []
        node_ids = {}
        for item in entries:
            if item.value is None:
                continue
            if item.key.startswith(self.own_prefix):
                self._noted[item.key.removeprefix(self.own_prefix)] = item.value
            elif item.key.startswith(noderecords.PREFIX):
                node_ids[item.key] = item.value
            elif item.key.startswith(self.prefix):
                configuration.append((item.key.removeprefix(self.prefix), item))
        self.cluster.renote(node_ids)
        self._ledger = ledger_of(self._noted)
        self._bad_notes = unreadable.of_ours(self.own_prefix, self._noted)
        noted = boot.load(self._noted.get("boot"))
        self._boot = boot.begin(noted, self._boot_id)
        self._is_new_boot = noted is not None and noted.id != self._boot.id
        wiring = Wiring()
        for key, item in configuration:
            self._hold(key, item.value, item.mod_revision)
            wiring.apply(key, self._trusted(key, item.value, item.mod_revision), item.mod_revision)
        self.cluster.rewire(wiring, self.actual.entries)

    def differing(self, entries: Iterable[ReadKey]) -> set[str]:
        """The keys (full form) below ``prefixes`` that are not known as they were read just now."""
        found: set[str] = set()
        noted: dict[str, bytes] = {}
        node_ids: dict[str, bytes] = {}
        there: set[str] = set()
        for item in entries:
            if item.value is None:
                continue
            if item.key.startswith(self.own_prefix):
                noted[item.key.removeprefix(self.own_prefix)] = item.value
            elif item.key.startswith(noderecords.PREFIX):
                node_ids[item.key] = item.value
            elif item.key.startswith(self.watched[0]):
                key = item.key.removeprefix(self.prefix)
                there.add(key)
                if self.actual.entries.get(key) != (item.value, item.mod_revision):
                    found.add(item.key)
        found |= {self.prefix + key for key in self.actual.entries.keys() - there}
        found |= {
            self.own_prefix + name
            for name in noted.keys() | self._noted.keys()
            if noted.get(name) != self._noted.get(name)
        }
        return found | self.cluster.records.differing(node_ids)

    def compare_all(self) -> None:
        """Let the next plan compare everything that is ours."""
        self._pending = None

    def _trusted(self, key: str, value: bytes | None, revision: int) -> bytes | None:
        """The value of a wiring key, unless it names a process of an earlier boot, or is ours: what
        we wrote because annotations say so must not outlive them."""
        if value is not None and self._ledger.shared.get(key, "").encode() == value:
            return None
        is_end = key.startswith(keys.LINUX_INTERFACE)
        if value is None or not is_end or not boot.names_a_process(key, value):
            return value
        self._boot = msgspec.structs.replace(self._boot, learnt=max(self._boot.learnt, revision))
        return value if revision > self._boot.distrusted else None

    def stale_chains(self) -> Transaction:
        """Deletes the chains of an earlier boot, whose namespaces belong to others now."""
        if not self._is_new_boot:
            return Transaction(())
        self._is_new_boot = False
        return Transaction(
            tuple(
                Operation(self.prefix + key, None, entry.revision)
                for key, entry in sorted(self.actual.entries.items())
                if self.owns(key) and boot.names_a_process(key, entry.value)
            )
        )

    def observe(self, changes: Iterable[ReadKey]) -> None:
        """Take in what the watch saw; our own writes, which are known already, change nothing."""
        for change in changes:
            if change.key.startswith(noderecords.PREFIX):
                self.cluster.note(change.key, change.value)
                continue
            key = change.key.removeprefix(self.prefix)
            if key == change.key or self._is_known(key, change):
                continue
            is_ours = self.owns(key)
            self.edited += is_ours
            self._plan_again(key, is_ours=is_ours)
            self._hold(key, change.value, change.mod_revision)
            self._plan_again(key, is_ours=is_ours)
            value = self._trusted(key, change.value, change.mod_revision)
            self.cluster.wire(key, value, change.mod_revision, is_gone=change.value is None)

    def _plan_again(self, key: str, *, is_ours: bool) -> None:
        """Let the next plan compare what depends on a key (short form) that others write.

        It is asked before and after the change: what was in the way may not be any more.
        """
        if self._pending is None:
            return
        self._pending |= self._renderer.desired.beside(key, {self.actual.subject_of(key)})
        if is_ours:
            self._pending |= contention.concerned(key, self.actual, self._renderer.desired)
            self._pending.is_urgent = True

    def refused(self, changes: Collection[Change]) -> bool:
        """Take in what keys of a refused transaction hold instead.

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
            if change.value is None:  # it went before this revision; the watch will tell when
                self._deleted[change.key.removeprefix(self.prefix)] = change.mod_revision
        return is_news or any(self.actual.entries.get(key) != before[key] for key in short)

    def set_apart(self, found: Plan) -> Plan:
        """Let what needs a key that others have just changed go out last."""
        if not self._contended:
            return found
        parts = contention.set_apart(found.transactions, self._contended, self.actual, self.prefix)
        return replace(found, transactions=parts)

    def _is_known(self, key: str, change: ReadKey) -> bool:
        entry = self.actual.entries.get(key)
        newest = entry.revision if entry else self._deleted.pop(key, 0)
        if newest > change.mod_revision and entry is None:
            self._deleted[key] = newest
        return newest >= change.mod_revision

    def _hold(self, key: str, value: bytes | None, revision: int) -> None:
        self.actual.apply(key, value, revision)
        if key.startswith((keys.POLICY, keys.LOCALSID)) and self.owns(key):
            self._served.hold(key, value)
        if key.startswith(keys.LOCALSID):
            sid = key.removeprefix(keys.LOCALSID)
            next_hop = _next_hop_of(key, value) if value is not None else None
            self.cluster.hold(sid, next_hop)

    def missing_pods(self) -> dict[str, Ref]:
        """Pods that are not known with the address of the local endpoint that waits for them."""
        return {
            address: ref
            for address, ref in self._renderer.waiting.items()
            if not any(gap.covers(POD, *ref) for gap in self._source_gaps)
            and not self.intake.is_malformed((POD, ref.namespace, ref.name))
        }

    def note_gaps(self, gaps: frozenset[Gap]) -> None:
        """What the source has that it could never read since the start."""
        self._source_gaps = gaps

    def keep_to(self, limits: Limits) -> None:
        """Plan within other limits from now on."""
        if limits != self.limits:
            self.limits, self.most_bytes = limits, limits.value
            self._pending = None  # what did not fit may, and what did may not

    def plan(self) -> Plan:
        """What is to be written now; empty if etcd holds the desired state."""
        gaps = (self._source_gaps, self.intake.gaps(), frozenset(self.cluster.records.gaps()))
        changed = self._inherited.miss(gaps)
        if changed:
            self.cluster.miss_nodes(self._inherited.unread_nodes)
            self.cluster.miss_pods(self._inherited.unread_pods)
        self._renderer.limit(self.most_bytes)
        delta = self._renderer.update(self.cluster)
        is_moved = self._inherited.see(self._renderer.services.topology)
        self._inherited.kept = self._left_out.kept
        is_complete = self.cluster.told.is_complete
        waits = self._inherited.wait(frozenset() if is_complete else self._renderer.unwired())
        if (waits or changed or is_moved) and self._left_out.kept:
            self._pending = None  # what stayed may go now
        if self._pending is not None:
            self._pending |= delta
            if changed:
                self._pending |= self._inherited.concerned(changed, self._renderer.desired)
            self._left_out.widen(self._pending, self._ledger.shared)
        found = plan(
            self._renderer.desired,
            self.actual,
            self.settings,
            prefix=self.prefix,
            ranges=self._ranges,
            ledger=self._ledger,
            delta=self._pending,
            inherited=self._inherited,
            present=self.cluster.told,
            most=self.limits.few_planned if self.is_contended else self.limits.planned,
            most_bytes=self.most_bytes,
            batch_bytes=min(self.limits.size, self.most_bytes),
        )
        wanted = {key for key, value in found.wanted.items() if value is not None}
        self._inherited.wanted |= wanted
        self._left_out.take(found, is_full=self._pending is None)
        return found

    @property
    def compares_all(self) -> bool:
        """Whether the last plan compared everything that is ours, not only what had changed."""
        return self._pending is None

    @property
    def is_urgent(self) -> bool:
        """Whether what is to be written must not wait for a counterpart."""
        return self._pending is None or self._pending.is_urgent

    @property
    def is_node_eligible(self) -> bool:
        """Whether the own Node is there, well-formed, and stays."""
        node = self.cluster.nodes.get(self.node)
        is_whole = self.intake.incomplete is None and not self.intake.is_malformed(self._own_node)
        is_there = is_whole and not self.intake.is_kept_away
        return node is not None and self.is_node_seen and is_there and not node.is_leaving

    @property
    def is_node_seen(self) -> bool:
        """Whether the own Node was seen well-formed; nothing is written before.

        One that has neither a pod CIDR nor an address is not registered yet.
        """
        node = self.cluster.nodes.get(self.node)
        return node is not None and bool(node.pod_cidrs or node.addresses)

    def node_warning(self) -> Note | None:
        """What is said while the own Node has not been seen; None: it has been."""
        if self.is_node_seen:
            return None
        names = frozenset(self.cluster.nodes)
        if not self._near and names != self._compared_names:  # one line, however nodes come and go
            self._compared_names = names
            self._near = ownnode.near_names(self.node, names)
        return ownnode.warning(self.node, self._near, self._problem_of_node())

    def _problem_of_node(self) -> str:
        """What is wrong with the own Node; "": there is none, or nothing."""
        if self.node in self.cluster.nodes:
            return "it has neither spec.podCIDR nor status.addresses yet"
        return self.intake.problem_of(self._own_node)

    @property
    def is_silent(self) -> bool:
        """Whether the source tells of nothing at all: no cluster is without a Node."""
        nodes = len(self.cluster.nodes) - self.intake.is_kept_away
        return not (self.cluster.services or self.cluster.slices or nodes > 0)

    def loss_of(self, found: Plan) -> Loss:
        """What a plan takes away of what etcd holds."""
        return loss_of(found, self.actual, self._served)

    def steered(self) -> Iterable[Ref]:
        """The services with an address that is steered; some more than once."""
        return (steered.service for steered in self._renderer.desired.steered.values())

    def bookkeeping(
        self, found: Plan, index: int, *, is_part: bool = False
    ) -> tuple[Operation, ...]:
        """What is to be noted about ourselves together with the plan's transaction ``index``.

        Before the last one of all the old ranges are still noted: what lies in them is not gone
        yet. More follows after a part.
        """
        is_last = not is_part and index >= len(found.transactions) - 1
        ranges = self._ranges if is_last else self._ranges | self._ledger.ranges
        wanted = {
            "ranges": ranges.dump(),
            "shared": dump_shared(found.ledger.shared),
        }
        return (*self._changed(wanted), *self.boot_note())

    def boot_note(self) -> tuple[Operation, ...]:
        """What is to be noted about the boot."""
        return self._changed({"boot": boot.dump(self._boot)} if self._boot.id else {})

    def _changed(self, wanted: dict[str, bytes]) -> tuple[Operation, ...]:
        return tuple(
            Operation(self.own_prefix + name, value, 0)
            for name, value in wanted.items()
            if self._noted.get(name) != value
        )

    def committed(
        self, transaction: Transaction, extra: Iterable[Operation], revision: int
    ) -> None:
        """A transaction of the last plan is done at this revision."""
        for operation in transaction.operations:
            key = operation.key.removeprefix(self.prefix)
            self._contended.discard(key)
            if operation.value is None:
                self._deleted[key] = revision
            self._hold(key, operation.value, revision)
        for operation in extra:
            if operation.value is not None:
                name = operation.key.removeprefix(self.own_prefix)
                self._noted[name] = operation.value
                self._bad_notes.pop(operation.key, None)
        self._ledger = ledger_of(self._noted)

    def parted(self, gone: Iterable[str]) -> None:
        """Only a part of the last plan is done; these keys are still to go, and no change may lead
        to them any more: a policy is found by its steering, which may be elsewhere by then."""
        if self._pending is not None:
            self._pending.keys.update(gone)

    def settled(self) -> None:
        """All transactions of the last plan are done, or there were none."""
        self._pending = Delta()
        self._contended.clear()
        self.is_contended = False

    def report(self, found: Plan) -> str:
        """What plumbing the first plan since ``reset`` has found and made; "" for later ones."""
        is_first, self._is_new_session = self._is_new_session, False
        return str(found.plumbing) if is_first else ""

    def notes(self) -> set[Note]:
        """All there is to say about the cluster now."""
        rendered = chain.from_iterable(self._renderer.desired.notes.values())
        known = (*self.intake.notes(), *self.cluster.records.notes())
        bad = unreadable.notes(self._bad_notes, self.prefix, self.cluster.wiring.unreadable)
        return {*known, *rendered, *self._left_out.notes(), *bad}

    def held(self) -> dict[str, tuple[bytes, int]]:
        """Our keys in etcd (full form) with value and mod revision, in the order of puts."""
        ours = (key for key in self.actual.entries if self.owns(key) or key in self._ledger.shared)
        return {
            self.prefix + key: (entry.value, entry.revision)
            for key in sorted(ours, key=lambda key: (keys.rank(key), key))
            if (entry := self.actual.entries[key])
        }


def ledger_of(noted: dict[str, bytes]) -> Ledger:
    """What srv6kv has noted about itself, by the name of each note; what is so large that we cannot
    have written it counts as none."""
    ranges, text = noted.get("ranges", b""), noted.get("shared", b"{}")
    try:
        is_large = len(text) > MOST_SHARED_BYTES
        shared = {} if is_large else foreign.decode(text, dict[str, str])
    except foreign.Unreadable:
        shared = {}
    return Ledger(ownership.load(ranges if len(ranges) <= MOST_RANGES_BYTES else None), shared)


def _next_hop_of(key: str, value: bytes) -> str | None:
    try:
        localsid = decode(key, value)
    except ValueError:
        return None
    end = localsid.cross_connect if isinstance(localsid, LocalSid) else None
    return end.next_hop if end is not None else None
