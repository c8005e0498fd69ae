"""Which part of a plan goes out now, as the agent confirms what came before; time is passed in."""

from __future__ import annotations

from collections import Counter
from typing import Any

from msgspec.structs import replace
from podchains import chain_keys

from srv6kv.agent.status import State, ValueStatus
from srv6kv.agent.view import Reported
from srv6kv.ligato import keys
from srv6kv.ligato.values import (
    L3Traffic,
    LocalSid,
    Namespace,
    Policy,
    RuleChain,
    SegmentList,
    Steering,
    encode,
)
from srv6kv.plan.actual import Actual
from srv6kv.plan.copies import Order
from srv6kv.plan.plan import Ledger, Plan
from srv6kv.sync.rollout import (
    CONFIRM_SECONDS,
    QUIET_SECONDS,
    Part,
    Rollout,
)
from srv6kv.sync.turns import COPY_SECONDS
from srv6kv.txn.transaction import FullKey, Operation, Transaction

PREFIX = "/vnf-agent/n/"
HERE, THERE, NEW = "6666:0:0:1::5", "6666:0:0:2::7", "6666:0:0:1::6"
REMOTE = "6666:0:0:2::8"
SID = keys.localsid(NEW)
OLD_SID = keys.localsid(HERE)
CHAIN = RuleChain("srv6kv-x-PREROUTING", Namespace(), (), "NAT", chain_type="PREROUTING")


def policy(bsid: str, *ends: str) -> Policy:
    """A policy with a path to each end."""
    lists = tuple(SegmentList(segments=(end,), weight=1) for end in ends)
    return Policy(bsid=bsid, segment_lists=lists, srh_encapsulation=True)


def steering(name: str, bsid: str, address: str = "2096::1") -> Steering:
    """A steering of one address."""
    traffic = L3Traffic(prefix_address=f"{address}/128", installation_vrf_id=1)
    return Steering(l3_traffic=traffic, name=name, policy_bsid=bsid)


class Node:
    """What etcd holds, what the agent says, and what is out."""

    def __init__(self, *held: Any) -> None:
        self.phases = Rollout()
        self.actual = Actual()
        self.ledger = Ledger()
        self.said: dict[str, Reported] = {}
        self.revision = 0
        for value in held:
            self._hold(value.key, encode(value))
        self.tells = True

    def _hold(self, key: str, value: bytes | None) -> None:
        self.revision += 1
        self.actual.apply(key, value, self.revision)

    def say(self, key: str, state: State = State.CONFIGURED, operation: str = "CREATE") -> None:
        """The agent publishes the state of a value."""
        self.revision += 1
        self.said[key] = Reported(ValueStatus(key, state, operation), self.revision)

    def part(self, now: float, *batches: list[Any], order: Order | None = None) -> Part:
        """The part of a plan of these puts (values) and deletions (keys)."""
        tell = self.said.get if self.tells else None
        plan = self.plan(*batches, order=order)
        return self.phases.next_part(plan, self.ledger, self.actual, tell, now)

    def ahead(self, *values: Any, now: float = 0.0, order: Order | None = None) -> list[str]:
        """The keys of such a plan that go out while its policies wait for their counterpart."""
        plan, tell = self.plan(list(values), order=order), self.said.get if self.tells else None
        found = self.phases.ahead_of_window(plan, self.ledger, self.actual, tell, now)
        return self.commit(Part(found, is_last=False), now)

    def plan(self, *batches: list[Any], order: Order | None = None) -> Plan:
        """A plan of these puts (values) and deletions (keys)."""
        wanted: dict[str, bytes | None] = {}
        transactions = []
        for batch in batches:
            operations = []
            for one in batch:
                key = one if isinstance(one, str) else one.key
                value = None if isinstance(one, str) else encode(one)
                entry = self.actual.entries.get(key)
                guard = entry.revision if entry is not None else 0
                operations.append(Operation(FullKey(PREFIX + key), value, guard))
                wanted[key] = value
            transactions.append(Transaction(tuple(operations)))
        chains = order or Order()
        return Plan(tuple(transactions), Ledger(), Counter(), wanted, order=chains)

    def may_go(self, now: float) -> bool:
        """Whether what is held back may go, or it is time to look again."""
        due = self.phases.due(now)
        return due is not None and due <= now

    def commit(self, part: Part, now: float) -> list[str]:
        """The part is in etcd; its keys, deletions with a minus."""
        done = []
        for transaction in part.plan.transactions:
            self.revision += 1
            for operation in transaction.operations:
                key = operation.key.removeprefix(PREFIX)
                self.actual.apply(key, operation.value, self.revision)
                done.append(key if operation.is_put else f"-{key}")
            self.phases.committed(transaction, PREFIX, self.revision, now)
        return done


SERVICE = policy("5555::1001", NEW)
STEERED = steering("forK8sService-a-b", "5555::1001")
ALL = [LocalSid(sid=NEW), CHAIN, SERVICE, STEERED]


def test_without_states_all_goes() -> None:
    """The plan itself, unchanged, whatever waited before."""
    node = Node()
    node.commit(node.part(0.0, ALL), 0.0)
    node.tells = False
    part = node.part(0.1, [SERVICE, STEERED])

    assert part.is_last
    assert len(part.plan.transactions[0]) == 2
    assert not node.phases.is_begun


def test_a_new_service_in_three_steps() -> None:
    """Localsid and chain; policy and steering once both are told newer; then what goes."""
    gone = LocalSid(sid=HERE)
    node = Node(gone)
    first = node.part(0.0, [*ALL, gone.key])
    assert node.commit(first, 0.0) == [SID, CHAIN.key]
    assert not first.is_last
    assert node.phases.is_begun

    node.say(SID)
    waiting = node.part(0.1, [SERVICE, STEERED, gone.key])
    assert (waiting.plan.transactions, waiting.is_last) == ((), False)
    node.say(CHAIN.key)
    second = node.part(0.2, [SERVICE, STEERED, gone.key])
    assert node.commit(second, 0.2) == [SERVICE.key, STEERED.key]
    assert not second.is_last

    node.say(SERVICE.key)
    node.say(STEERED.key)
    third = node.part(0.3, [gone.key])
    assert node.commit(third, 0.3) == [f"-{gone.key}"]
    assert third.is_last
    assert not node.phases.is_begun
    assert node.phases.due(0.3) is None


def test_old_words_confirm_nothing() -> None:
    """A state from before the put is that of the value before."""
    node = Node()
    node.say(SID, State.REMOVED, "DELETE")
    node.say(CHAIN.key)
    node.commit(node.part(0.0, ALL), 0.0)

    assert node.part(1.9, [SERVICE, STEERED]).plan.transactions == ()
    assert node.part(CONFIRM_SECONDS, [SERVICE, STEERED]).is_last


def test_an_end_that_is_not_good_confirms() -> None:
    """INVALID and FAILED will not change by waiting; RETRYING may, and PENDING may soon."""
    for state in (State.INVALID, State.FAILED, State.UNIMPLEMENTED):
        node = Node()
        node.commit(node.part(0.0, [ALL[0], SERVICE]), 0.0)
        node.say(SID, state)
        assert node.part(0.1, [SERVICE]).is_last
    node = Node()
    node.commit(node.part(0.0, [ALL[0], SERVICE]), 0.0)
    node.say(SID, State.RETRYING)
    assert not node.part(0.1, [SERVICE]).is_last
    assert node.part(2.0, [SERVICE]).is_last
    node = Node()
    node.commit(node.part(0.0, [ALL[0], SERVICE]), 0.0)
    node.say(SID, State.PENDING)
    assert not node.part(0.1, [SERVICE]).is_last
    assert node.part(QUIET_SECONDS, [SERVICE]).is_last


def test_an_update_after_an_update_is_not_told() -> None:
    """The agent publishes only what differs, so silence counts after a moment."""
    node = Node(SERVICE, LocalSid(sid=HERE))
    node.say(SERVICE.key, operation="UPDATE")
    part = node.part(0.0, [policy("5555::1001", HERE), OLD_SID])
    assert node.commit(part, 0.0) == [SERVICE.key]
    soon = QUIET_SECONDS / 2

    assert node.part(soon, [OLD_SID]).plan.transactions == ()
    assert node.phases.due(soon) == QUIET_SECONDS
    assert node.part(QUIET_SECONDS, [OLD_SID]).is_last


def test_answers_without_a_revision() -> None:
    """Over REST a new key counts when it is told, an old one after a moment."""
    node = Node(LocalSid(sid=HERE, installation_vrf_id=1))
    node.said[OLD_SID] = Reported(ValueStatus(OLD_SID, State.CONFIGURED, "CREATE"), 0)
    node.commit(node.part(0.0, [LocalSid(sid=HERE), LocalSid(sid=NEW), SERVICE]), 0.0)
    node.said[SID] = Reported(ValueStatus(SID, State.CONFIGURED, "CREATE"), 0)

    assert not node.part(0.1, [SERVICE]).is_last
    assert node.part(QUIET_SECONDS, [SERVICE]).is_last


def test_a_policy_that_gains_no_path_here_waits_for_nothing() -> None:
    """Losing endpoints, also of another node, and gaining some elsewhere."""
    live = policy("5555::1002", HERE, THERE)
    for after in (policy("5555::1002", HERE), policy("5555::1002", HERE, "6666:0:0:3::1")):
        node = Node(live, LocalSid(sid=HERE))
        part = node.part(0.0, [LocalSid(sid=NEW), SERVICE, after])
        assert node.commit(part, 0.0) == [SID, after.key]
    node = Node(live, LocalSid(sid=HERE))
    gains = policy("5555::1002", HERE, THERE, NEW)
    assert node.commit(node.part(0.0, [LocalSid(sid=NEW), gains]), 0.0) == [SID]


def builtin(*rules: str) -> RuleChain:
    """The chain of a pod with these rules."""
    return replace(CHAIN, rules=rules)


def test_what_a_node_receives_does_not_wait_for_the_window() -> None:
    """Other nodes wait no longer than this one, and then send to it."""
    live = policy("5555::1001", REMOTE)
    node = Node(live)
    grown = policy("5555::1001", REMOTE, NEW)
    gone = LocalSid(sid="6666:0:0:1::5")

    assert node.ahead(LocalSid(sid=NEW), builtin("a", "b"), grown, gone.key) == [SID, CHAIN.key]
    assert node.ahead(grown) == []


def test_a_chain_that_is_there_waits_for_the_window() -> None:
    """Policies still lead to the pod, which drops what it does not translate; copies take turns."""
    node = Node(policy("5555::1001", REMOTE, NEW), builtin("a", "b"))

    assert node.ahead(builtin("a"), policy("5555::1001", REMOTE)) == []
    assert node.ahead(builtin("a", "b", "c"), policy("5555::1001", REMOTE)) == []


def test_a_chain_that_becomes_jumps_waits_with_its_copies() -> None:
    """So that all are made at once."""
    node = Node(policy("5555::1001", REMOTE), replace(chain(BUILTIN, "-d x"), chain_name=""))
    jumps = chain(BUILTIN, "-j srv6kv-a", "-j srv6kv-b")

    assert node.ahead(chain(A), chain(B), jumps, policy("5555::1001", REMOTE, NEW)) == []


def test_a_second_copy_does_not_wait_for_the_window() -> None:
    """Its other copy has the same rules; the first copy of another change waits."""
    live = policy("5555::1001", REMOTE)
    node, order = Node(live, chain(A), chain(B)), Order({A: frozenset({B})}, {A: B})
    rest, grown = chain(A, "-d x"), policy("5555::1001", REMOTE, NEW)
    node.commit(node.part(0.0, [chain(B, "-d x")], [rest], order=order), 0.0)
    assert node.ahead(rest, grown, now=0.1, order=order) == []
    assert (node.phases.is_begun, node.phases.holds_phases) == (True, False)
    node.say(B, State.RETRYING)
    assert node.ahead(rest, grown, now=0.2, order=order) == []
    node.say(B)
    assert node.may_go(1.1) is False
    node.phases.update(B, node.said[B], 1.1)
    assert node.may_go(1.1)
    assert node.ahead(rest, grown, now=1.1, order=order) == [A]
    assert not node.phases.is_begun

    both = Order({A: frozenset({B})}, {A: B, B: A})
    assert node.ahead(chain(B, "-d y"), chain(A, "-d y"), grown, now=9.0, order=both) == []


def test_a_steering_moves_in_one_transaction() -> None:
    """The old key goes immediately before the new one comes; swaps keep their order."""
    old = steering("old", "5555::1001")
    node = Node(old, SERVICE)
    part = node.part(0.0, [old.key, STEERED])
    assert part.is_last
    assert node.commit(part, 0.0) == [f"-{old.key}", STEERED.key]

    node = Node(old, SERVICE, LocalSid(sid=HERE))
    swap = ([old.key], [LocalSid(sid=NEW), STEERED, steering("old", "5555::1001"), OLD_SID])
    assert node.commit(node.part(0.0, *swap), 0.0) == [SID]
    node.say(SID)
    rest = ([old.key], [STEERED, steering("old", "5555::1001", "2096::2"), OLD_SID])
    assert node.commit(node.part(0.1, *rest), 0.1) == [f"-{old.key}", STEERED.key, old.key]


def test_deletions_alone_go_at_once() -> None:
    """Nothing is before them."""
    node = Node(SERVICE, STEERED)
    part = node.part(0.0, [STEERED.key, SERVICE.key])

    assert part.is_last
    assert node.commit(part, 0.0) == [f"-{STEERED.key}", f"-{SERVICE.key}"]


def test_new_keys_without_end_hold_nothing_for_ever() -> None:
    """A policy waits two seconds from when it was first held back, deletions four, though a new
    localsid comes every second and none is confirmed."""
    node = Node(LocalSid(sid=HERE))
    out: dict[str, float] = {}
    for tenth in range(60):
        now = tenth / 10
        fresh = [LocalSid(sid=f"6666:0:0:1::1:{tenth}")] if tenth % 10 == 0 else []
        left = [one for one in (SERVICE,) if one.key not in out]
        gone = [OLD_SID] if f"-{OLD_SID}" not in out else []
        for key in node.commit(node.part(now, [*fresh, *left, *gone]), now):
            out.setdefault(key, now)

    assert out[SERVICE.key] == CONFIRM_SECONDS
    assert out[f"-{OLD_SID}"] == 2 * CONFIRM_SECONDS


def test_deletions_wait_for_all_that_comes_before_them() -> None:
    """Though their own time is up: what they free may still be in use until policies and steerings
    of the same plan are out."""
    node = Node(LocalSid(sid=HERE))
    node.commit(node.part(0.0, [LocalSid(sid=NEW), SERVICE, OLD_SID]), 0.0)
    node.commit(node.part(CONFIRM_SECONDS, [SERVICE, OLD_SID]), CONFIRM_SECONDS)
    other, late = LocalSid(sid="6666:0:0:1::2"), 2 * CONFIRM_SECONDS - 1
    node.commit(node.part(late, [other, STEERED, OLD_SID]), late)
    part = node.part(2 * CONFIRM_SECONDS, [STEERED, OLD_SID])

    assert part.plan.transactions == ()
    assert part.gone == {OLD_SID}
    assert not node.may_go(late + 1.5)
    assert node.phases.due(late + 1.5) == late + CONFIRM_SECONDS
    end = late + CONFIRM_SECONDS
    assert node.commit(node.part(end, [STEERED, OLD_SID]), end) == [STEERED.key, f"-{OLD_SID}"]


def test_a_part_notes_nothing_as_gone() -> None:
    """What is noted of keys that others may own stays until their deletion is done, and only the
    policies of the part count."""
    node = Node(LocalSid(sid=HERE))
    node.ledger = Ledger(shared={OLD_SID: "x"})
    part = node.part(0.0, [LocalSid(sid=NEW), SERVICE, OLD_SID])
    node.commit(part, 0.0)
    assert part.plan.ledger.shared == {OLD_SID: "x"}
    assert part.plan.effects == Counter()
    node.say(SID)
    assert node.part(0.1, [SERVICE, OLD_SID]).plan.effects == Counter(create=1)


A, B, _, _, _, BUILTIN = chain_keys("x")


def chain(key: str, *rules: str) -> RuleChain:
    """A chain of the pod with these rules."""
    name = key.rpartition("/")[2]
    return RuleChain(name, Namespace("/run/netns/x"), rules, "NAT", f"srv6kv-{name[-1]}")


def test_policies_wait_for_the_first_copy_and_the_second_for_nothing_else() -> None:
    """A new service of a pod works when one copy has its rules; nothing waits for the other."""
    node, order = Node(chain(A), chain(B)), Order({A: frozenset({B})}, {A: B, B: A})
    new = (chain(B, "-d x"), SERVICE, STEERED, chain(A, "-d x"))
    first = node.part(0.0, [*new[:3]], [new[3]], order=order)
    assert node.commit(first, 0.0) == [B]
    node.say(B, State.RETRYING)
    assert node.part(0.5, [*new[1:3]], [new[3]], order=order).plan.transactions == ()
    node.say(B)
    second = node.part(1.1, [*new[1:3]], [new[3]], order=order)

    assert second.is_last
    assert node.commit(second, 1.1) == [SERVICE.key, STEERED.key, A]
    assert node.part(1.2, [policy("5555::1002", NEW)]).is_last


def test_policies_wait_for_the_second_that_a_copy_takes() -> None:
    """Its last report, of the update before, counts for nothing: the agent makes it again after one
    second, or has made it when the time is up."""
    node, order = Node(chain(A), chain(B)), Order({A: frozenset({B})}, {A: B, B: A})
    node.say(B, operation="UPDATE")
    new = [chain(B, "-d x"), SERVICE]
    assert node.commit(node.part(0.0, new, [chain(A, "-d x")], order=order), 0.0) == [B]
    rest = [SERVICE], [chain(A, "-d x")]
    for now in (QUIET_SECONDS, CONFIRM_SECONDS - 0.1):
        assert node.part(now, *rest, order=order).plan.transactions == ()
    assert node.commit(node.part(CONFIRM_SECONDS, *rest, order=order), 2.0) == [SERVICE.key]


def test_deletions_do_not_wait_for_the_second_copy() -> None:
    """What a service had goes as before; the second copy loses its rules when it may."""
    node, order = Node(chain(A), chain(B), SERVICE), Order({A: frozenset({B})}, {A: B, B: A})
    first = node.part(0.0, [chain(B, "-d x"), SERVICE.key], [chain(A, "-d x")], order=order)
    assert node.commit(first, 0.0) == [B]
    assert first.gone == {SERVICE.key}
    late = 2 * CONFIRM_SECONDS
    second = node.part(late, [SERVICE.key], [chain(A, "-d x")], order=order)

    assert node.commit(second, late) == [f"-{SERVICE.key}"]
    assert not second.is_last
    assert second.gone == frozenset()


def test_all_is_in_etcd_when_each_copy_that_waits_has_the_other() -> None:
    """A change is done then: the next one may come before it is this copy's turn, without end."""
    node, order = Node(chain(A), chain(B)), Order({A: frozenset({B})}, {A: B, B: A})
    first = node.part(0.0, [chain(B, "-d x"), SERVICE.key], [chain(A, "-d x")], order=order)
    node.commit(first, 0.0)
    second = node.part(4.0, [SERVICE.key], [chain(A, "-d x")], order=order)
    node.commit(second, 4.0)
    node.commit(node.part(5.0, [chain(A, "-d x")], order=order), 5.0)
    both = [chain(B, "-d y")], [chain(A, "-d y")]
    third = node.part(5.1, *both, order=order)

    assert second.copies == {A}
    assert not first.copies | third.copies
    assert not third.is_last
    assert node.part(10.0, *both, order=order).copies == {A}


def test_without_states_the_second_copy_waits_for_its_time() -> None:
    """All else goes at once."""
    node, order = Node(chain(A), chain(B)), Order({A: frozenset({B})}, {A: B, B: A})
    node.tells = False
    batches = [chain(B, "-d x"), SERVICE, STEERED], [chain(A, "-d x")]
    first = node.part(0.0, *batches, order=order)
    assert node.commit(first, 0.0) == [B, SERVICE.key, STEERED.key]
    assert (first.is_last, node.phases.is_begun, node.phases.holds_phases) == (False, True, False)
    assert node.phases.due(1.0) == COPY_SECONDS
    second = node.part(COPY_SECONDS, [chain(A, "-d x")], order=order)

    assert node.commit(second, COPY_SECONDS) == [A]
    assert second.is_last


def test_when_to_look_again() -> None:
    """As soon as nothing that is waited for is left, or when the time is up."""
    node = Node()
    node.commit(node.part(0.0, ALL), 0.0)
    assert set(node.phases.awaited) == {SID, CHAIN.key}
    assert not node.may_go(0.1)
    for key in (SID, CHAIN.key):
        node.say(key)
        node.phases.update(key, node.said[key], 0.1)
    assert node.may_go(0.1)

    node = Node()
    node.commit(node.part(0.0, ALL), 0.0)
    assert not node.may_go(1.9)
    assert node.phases.due(1.0) == CONFIRM_SECONDS
    assert node.may_go(CONFIRM_SECONDS)
