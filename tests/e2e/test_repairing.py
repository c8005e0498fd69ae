"""A repair whose requests or answers are lost, whose agent does not follow, or that is to end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
from history import POLICY, History, State
from processes import Bench
from repaired import write
from tcp_proxy import SECONDS, TcpProxy

from srv6kv.agent.needs import SRV6, Means
from srv6kv.agent.status import State as Value
from srv6kv.agent.status import ValueStatus
from srv6kv.errors import Conflict
from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.etcd.store import Etcd3Store, writer_key
from srv6kv.repair import repairer as repairing
from srv6kv.repair.ground import Ground
from srv6kv.repair.means import Task, plan_repair
from srv6kv.repair.repairer import Interrupted, Repairer, Stopped

PUT = b'"segment_lists"'
"""In a request that puts a policy, and in no other."""
DELETED = b"policy/5555::d765"
"""First in the request that deletes it."""


@pytest.fixture
def proxy(etcd: EmbeddedEtcd) -> Iterator[TcpProxy]:
    """What lies between a repair and etcd."""
    with TcpProxy(etcd.endpoint) as proxy:
        yield proxy


@pytest.fixture
def repairer(
    bench: Bench, store: Etcd3Store, proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Repairer]:
    """Of a node whose keys are written; its agent forgets in no time, and nobody tells states."""
    monkeypatch.setattr(repairing, "FORGET_SECONDS", 0.0)
    monkeypatch.setattr(repairing, "FORGET_SECONDS_A_KEY", 0.0)
    monkeypatch.setattr(repairing, "LONGEST_SECONDS", 0.3)
    write(bench, store)
    client = Etcd3Store([proxy.endpoint], timeout=0.5)
    repairer = Repairer(
        client,
        Ground(bench.label),
        states=lambda: None,
        pause=0.0,
        came=[],
        begins=lambda _: None,
        advances=lambda _: None,
    )
    repairer.begin()
    yield repairer
    repairer.end()
    client.close()


def held(store: Etcd3Store, bench: Bench) -> State:
    """The configuration in etcd."""
    found = store.read([f"{bench.prefix}config/"]).entries
    return {item.key.removeprefix(bench.prefix): item.value for item in found}


def everything(repairer: Repairer, means: Means) -> Task:
    """All keys for which a means is."""
    kinds = SRV6 if means is Means.REWRITE else (POLICY,)
    return {means: frozenset(repairer.ground.ours(kinds))}


@contextmanager
def losing(proxy: TcpProxy, history: History, marker: bytes, *, is_done: bool) -> Iterator[None]:
    """Meanwhile a request with the marker is lost, or else its answer, after it was done."""
    history.catch_up()
    before = history.last()

    def cut() -> None:
        proxy.struck.wait(SECONDS)
        history.wait(lambda: history.last() > before)
        proxy.cut()

    (proxy.lose_answer if is_done else proxy.lose_request)(marker)
    thread = threading.Thread(target=cut if is_done else lambda: None)
    thread.start()
    yield
    thread.join()
    assert proxy.struck.is_set()


@pytest.mark.parametrize("is_done", [True, False], ids=["answer", "request"])
@pytest.mark.parametrize(
    ("means", "marker"),
    [(Means.RECREATE, PUT), (Means.REWRITE, PUT), (Means.REWRITE, DELETED), (Means.REBIND, PUT)],
)
def test_lost_on_the_way(
    repairer: Repairer,
    bench: Bench,
    store: Etcd3Store,
    history: History,
    proxy: TcpProxy,
    means: Means,
    marker: bytes,
    *,
    is_done: bool,
) -> None:
    """A read tells whether a transaction was done; the repair goes on from there, and every key
    ends as it was or, in a move, where its one transaction has brought it."""
    before = held(store, bench)
    task = everything(repairer, means)
    with losing(proxy, history, marker, is_done=is_done):
        repairer.do(task, plan_repair)
    after = held(store, bench)

    assert repairer.done == task[means]
    assert repairer.ground.owed == {}
    assert (after == before) == (means is not Means.REBIND)
    assert len(repairer.rebound) == (len(task[means]) if means is Means.REBIND else 0)
    assert {key for key in after if key.startswith(POLICY)} == {
        POLICY + repairer.rebound.get(key.removeprefix(POLICY), key.removeprefix(POLICY))
        for key in before
        if key.startswith(POLICY)
    }


def told(ground: Ground, state: Value, error: str = "") -> Mapping[str, ValueStatus]:
    """The same state of every key."""
    return {key: ValueStatus(key, state, error=error) for key in ground.ours()}


def test_an_agent_that_does_not_follow(repairer: Repairer, bench: Bench, store: Etcd3Store) -> None:
    """It still has what was deleted when its time is over: all is put back, and nothing tried
    again."""
    before = held(store, bench)
    states = told(repairer.ground, Value.CONFIGURED)
    repairer.states = lambda: states

    with pytest.raises(Stopped, match=r"does not follow.*nothing is left half done"):
        repairer.do(everything(repairer, Means.REWRITE), plan_repair)
    assert held(store, bench) == before


def test_a_flip_that_fails_is_the_last(repairer: Repairer, bench: Bench, store: Etcd3Store) -> None:
    """What the agent could not make again keeps the rest from being tried."""
    before = held(store, bench)
    states = told(repairer.ground, Value.FAILED, "no")
    repairer.states = lambda: states

    with pytest.raises(Stopped, match="is FAILED now: no; nothing more is tried"):
        repairer.do(
            everything(repairer, Means.RECREATE),
            lambda task, ground: plan_repair(task, ground, batch=1),
        )
    assert len(repairer.done) == 1
    assert held(store, bench) == before


def test_flips_do_not_wait_for_states_that_nobody_tells(
    repairer: Repairer, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch is over soon after its pause, not when an agent's longest time is."""
    monkeypatch.setattr(repairing, "LONGEST_SECONDS", 60.0)
    began = time.monotonic()
    repairer.do(
        everything(repairer, Means.RECREATE),
        lambda task, ground: plan_repair(task, ground, batch=1),
    )

    assert len(repairer.done) > 1
    assert time.monotonic() - began < repairing.LONGEST_SECONDS * len(repairer.done)


def test_a_signal_ends_it_between_two_steps(
    repairer: Repairer, bench: Bench, store: Etcd3Store
) -> None:
    """Not in the middle of one: what was done is put back under the same writer key."""
    before = held(store, bench)
    repairer.advances = lambda _: repairer.came.append(15)

    with pytest.raises(Interrupted, match="SIGTERM") as ended:
        repairer.do(everything(repairer, Means.REWRITE), plan_repair)
    assert ended.value.exit_code == 143
    assert held(store, bench) == before


def test_edits_without_end_are_told(repairer: Repairer, bench: Bench, store: Etcd3Store) -> None:
    """Somebody puts a key before every step: after a few tries one error names the key; what that
    one wrote stays."""
    before = held(store, bench)
    key = POLICY + "5555::d765"

    def edited(task: Task, ground: Ground) -> object:
        mending = plan_repair(task, ground)
        store.put(bench.prefix + key, before[key])
        return mending

    with pytest.raises(Conflict, match="5555::d765: mod revision"):
        repairer.do(everything(repairer, Means.REWRITE), edited)  # type: ignore[arg-type]
    assert held(store, bench) == before


def test_a_lease_that_was_lost_is_taken_again(
    repairer: Repairer, bench: Bench, store: Etcd3Store
) -> None:
    """If nobody else writes meanwhile, the repair goes on under a new writer key."""
    before = held(store, bench)
    _, metadata = store.get(writer_key(bench.label))

    def revoked(_: object) -> None:
        repairer.advances = lambda _: None
        store.revoke_lease(metadata.lease_id)

    repairer.advances = revoked
    task = everything(repairer, Means.REWRITE)
    repairer.do(task, plan_repair)

    assert held(store, bench) == before
    assert repairer.done == task[Means.REWRITE]
