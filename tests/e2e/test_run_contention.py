"""``srv6kv run`` beside somebody who edits its keys all the time: changes of other services go
through meanwhile, and every edit is repaired."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from etcd_server import Seen, eventually
from figures import Figures, Timed
from history import LOCALSID, POLICY, STEERING, State
from processes import Bench, service

from srv6kv.etcd.store import Etcd3Store

EDITS_PER_SECOND = 50
CHANGED = 8
ENDPOINTS = ("2001:0:0:1::5", "2001:0:0:1::6", "2001:0:0:1::2", "2001:0:0:1::3")
PUTS = 100
"""So many keys of others are written in one transaction."""


def address_of(number: int) -> str:
    """The address of a service."""
    return f"2096::{0x3000 + number:x}"


def load_services(bench: Bench, number: int) -> None:
    """Save so many services, those that will change in files of their own."""
    made = [service(f"n{n}", address_of(n), [ENDPOINTS[n % 4]]) for n in range(number)]
    for index in range(CHANGED):
        bench.edit(f"changed{index}.yaml", made[index])
    bench.edit("others.yaml", "".join(made[CHANGED:]))


def load_foreign_keys(bench: Bench, store: Etcd3Store, number: int) -> list[str]:
    """Write keys that are not ours next to ours; their names (short form)."""
    folders = (POLICY + "aaaa::", STEERING + "others-", LOCALSID + "bbbb::", "config/others/")
    names = [f"{folders[n % 4]}{n:x}" for n in range(number)]
    make = store.transactions
    for start in range(0, number, PUTS):
        part = names[start : start + PUTS]
        store.transaction([], [make.put(bench.prefix + name, "{}") for name in part], [])
    return names


@contextmanager
def editing(bench: Bench, store: Etcd3Store, ours: Sequence[str], other: str) -> Iterator[None]:
    """Somebody edits one key after the other, one of them as often as all others together, and a
    key of others beside each."""
    chance, stopped = random.Random(3), threading.Event()

    def edit() -> None:
        due = time.monotonic()
        while not stopped.wait(max(0.0, due - time.monotonic())):
            due = max(due, time.monotonic() - 1.0) + 1 / EDITS_PER_SECOND
            key = chance.choice([ours[0], chance.choice(ours)])
            bench.interfere(store, {key: chance.choice(["{}", "not JSON", None])})
            store.put(bench.prefix + other, str(due))

    editor = threading.Thread(target=edit, name="test-editor")
    editor.start()
    try:
        yield
    finally:
        stopped.set()
        editor.join()


def change_all(bench: Bench, store: Etcd3Store) -> list[float]:
    """Give each of some services a second endpoint, one after the other; how long each took."""
    times = []
    for index in range(CHANGED):
        both = [ENDPOINTS[index % 4], ENDPOINTS[(index + 1) % 4]]
        seen, policy = Seen(), f"{bench.prefix}{POLICY}5555::{0x3000 + index:x}"
        watch = store.watch(
            [policy], store.read([policy]).revision + 1, seen.on_changes, seen.on_lost
        )
        started = time.monotonic()
        bench.edit(f"changed{index}.yaml", service(f"n{index}", address_of(index), both))
        seen.wait(has_two_lists, 45)
        times.append(time.monotonic() - started)
        watch.cancel()
    return times


def has_two_lists(seen: Seen) -> bool:
    """Whether the policy that is followed has two segment lists."""
    values = [change.value for _, changes in seen.batches for change in changes if change.value]
    return bool(values) and len(json.loads(values[-1]).get("segment_lists", ())) == 2


def measure(
    bench: Bench, store: Etcd3Store, services: int, foreign: int
) -> tuple[list[float], list[str]]:
    """How long changes of some services take while keys of others are edited; the keys (short
    form) that are not ours."""
    others = load_foreign_keys(bench, store, foreign)
    load_services(bench, services)
    bench.run()
    wanted = bench.expected()
    eventually(lambda: is_held(bench, store, wanted), AssertionError, 60)
    untouched = {f"{0x3000 + index:x}" for index in range(CHANGED)}
    names = {f"n{index}" for index in range(CHANGED)}
    ours = [
        key
        for key in sorted(wanted.keys() - bench.foreign.keys())
        if key.startswith((POLICY + "5555::3", STEERING + "forK8sService-default-n"))
        and key.rpartition("::")[2] not in untouched
        and key.rpartition("-")[2] not in names
    ]
    with editing(bench, store, ours, others[0]):
        times = change_all(bench, store)
    wanted = bench.expected()
    eventually(lambda: is_held(bench, store, wanted), AssertionError, 60)
    return times, others


def is_held(bench: Bench, store: Etcd3Store, wanted: State) -> None:
    """Fails unless etcd holds all policies and steerings of services that are wanted."""
    folders = (POLICY + "5555::", STEERING + "forK8sService-")
    found = store.read([bench.prefix + folder for folder in folders]).entries
    held = {one.key.removeprefix(bench.prefix): one.value for one in found}
    assert held == {key: value for key, value in wanted.items() if key.startswith(folders)}


def test_changes_of_other_services_go_through(
    bench: Bench, store: Etcd3Store, timed: Timed
) -> None:
    """While others edit our policies and steerings 50 times a second, one of them 25 times, each
    change of another service comes into etcd; then every edit is repaired."""
    times, others = measure(bench, store, services=400, foreign=8000)
    left = {one.key.removeprefix(bench.prefix) for one in store.read([bench.prefix]).entries}

    timed("the slowest change beside 50 foreign edits a second", max(times), 2.0)
    assert left.issuperset(others)


@pytest.mark.faults
def test_many_services_and_keys_of_others(
    bench: Bench, store: Etcd3Store, figures: Figures, timed: Timed
) -> None:
    """The same with 500 services, and 100,000 keys of others beside theirs."""
    times, _ = measure(bench, store, services=500, foreign=100_000)
    figures.seconds("a change of one of 500 services is in etcd under 50 foreign edits/s", times)
    timed("the slowest of these", max(times), 2.0)
