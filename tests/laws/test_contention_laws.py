"""Keys of ours that others change: what is planned for it, and what waits for what."""

from __future__ import annotations

import json
import random
from dataclasses import replace

from clusters import identity
from clusters import settings as settings_named
from hypothesis import given
from hypothesis import strategies as st
from sidecar import AGENT_PREFIX, Sidecar
from strategies import FOREIGN, OWN, History, Scene, histories, scenes
from test_laws import POLICY, STEERING, assert_sound, law

from srv6kv.etcd.values import Change, KeyValue
from srv6kv.plan import contention
from srv6kv.sync.reconciler import Reconciler
from srv6kv.txn.transaction import FullKey, Operation, Transaction

ROUNDS = 4
GARBAGE = (None, b"{}", b"not JSON", b'"\xff"')


def started(scene: Scene, entries: list[KeyValue]) -> Reconciler:
    """A reconciler of the own node that has read these keys."""
    reconciler = Reconciler(settings_named(scene.conf), OWN, "n")
    for body in scene.objects:
        reconciler.intake.apply(identity(body), body)
    reconciler.reset(entries)
    return reconciler


def commit(reconciler: Reconciler, revision: int) -> int:
    """Do the plan; the last revision."""
    plan = reconciler.plan()
    for index, transaction in enumerate(plan.transactions or (Transaction(()),)):
        revision += 1
        extra = reconciler.bookkeeping(plan, index)
        reconciler.committed(transaction, extra, revision)
    reconciler.finish_change()
    return revision


def notes_of(reconciler: Reconciler) -> list[KeyValue]:
    """What etcd holds about us, as after the last plan."""
    again = Reconciler(reconciler.settings, OWN, "n")
    operations = again.bookkeeping(replace(reconciler.plan(), ledger=reconciler.ledger), 0)
    return [KeyValue(one.key, one.value or b"", 1) for one in operations]


def edit(reconciler: Reconciler, dice: random.Random, revision: int) -> Change:
    """Somebody deletes a key of ours, garbles it, or gives it or a new one the value of another."""
    held = sorted(key.removeprefix(AGENT_PREFIX) for key in reconciler.held())
    key = dice.choice(held)
    value = dice.choice(GARBAGE)
    if dice.random() < 0.6:
        folder = next((one for one in (POLICY, STEERING) if key.startswith(one)), "")
        other = dice.choice([one for one in held if one.startswith(folder)])
        value = reconciler.actual.entries[other].value
    if key.startswith(STEERING) and dice.random() < 0.3:
        key = f"{STEERING}forK8sService-default-{dice.choice(['new', 'web', 'db'])}"
    return Change(FullKey(AGENT_PREFIX + key), value, revision)


@law(300)
@given(scenes(), st.integers(0, 2**32))
def test_every_edit_is_repaired(scene: Scene, seed: int) -> None:
    """After others have edited keys of ours, the plan of what depends on these leaves nothing to do
    for a plan of everything."""
    wired = [
        KeyValue(FullKey(AGENT_PREFIX + key), json.dumps(value).encode(), 1)
        for key, value in scene.keys[OWN].items()
    ]
    reconciler = started(scene, wired)
    revision = commit(reconciler, 1)
    dice = random.Random(seed)
    for _ in range(ROUNDS if reconciler.held() else 0):
        for _ in range(dice.randint(1, 3)):
            if not reconciler.held():
                break
            revision += 1
            reconciler.observe([edit(reconciler, dice, revision)])
        revision = commit(reconciler, revision)
        entries = [
            KeyValue(FullKey(AGENT_PREFIX + key), entry.value, entry.revision)
            for key, entry in reconciler.actual.entries.items()
        ]
        whole = started(scene, [*entries, *notes_of(reconciler)])

        assert whole.plan().transactions == ()


@law(240)
@given(histories(), st.integers(0, 2**32))
def test_what_is_set_apart_is_whole(history: History, seed: int) -> None:
    """Whichever keys are contended, no state on the way is unsound, and every operation is done."""
    dice = random.Random(seed)
    sidecar = Sidecar(settings_named(history.last.conf), OWN).wire(FOREIGN)
    for bunch in history.steps:
        for event in bunch:
            event.happen(sidecar)
        found = sidecar.plan()
        ops = [one for transaction in found.transactions for one in transaction.operations]
        names = sorted(one.key.removeprefix(AGENT_PREFIX) for one in ops)
        contended = set(dice.sample(names, min(len(names), dice.randint(0, 2))))
        apart = contention.set_apart(found, contended, sidecar.actual, AGENT_PREFIX)
        parted = [one for transaction in apart.transactions for one in transaction.operations]

        assert sorted(parted, key=_by_key) == sorted(ops, key=_by_key)

        for _ in sidecar.steps(apart):
            assert_sound(sidecar)


def _by_key(operation: Operation) -> tuple[str, int]:
    return (operation.key, operation.guard)
