"""``srv6kv run`` on watches that are dead or lie: what no watch reports is found all the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

import inprocess
import pytest
from etcd_relay import EtcdRelay
from etcd_server import eventually
from history import LOCALSID, History
from processes import MYSERVICE, Bench

from srv6kv.etcd import watch
from srv6kv.etcd.store import Etcd3Store
from srv6kv.run import comparison
from srv6kv.run.controller import Controller
from srv6kv.sources.source import ManifestSource


@pytest.fixture
def relay(bench: Bench) -> Iterator[EtcdRelay]:
    """What lies between ``run`` and etcd."""
    with EtcdRelay(bench.server.endpoint) as server:
        yield server


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence and comparisons take a fraction of their time."""
    monkeypatch.setattr(watch, "PROGRESS_SECONDS", 0.2)
    monkeypatch.setattr(comparison, "GRACE_SECONDS", 0.5)


def running(bench: Bench, relay: EtcdRelay) -> AbstractContextManager[Controller]:
    """The loop of ``run`` behind the relay, in this process."""
    return inprocess.running(bench, relay.endpoint, ManifestSource(bench.manifests))


def counted(controller: Controller, name: str) -> float:
    """What a counter says."""
    return controller.progress.telemetry.registry.get_sample_value(f"srv6kv_{name}_total") or 0.0


def reach(controller: Controller, name: str, number: float) -> None:
    """Return when a counter says so much."""

    def has() -> None:
        assert counted(controller, name) >= number

    eventually(has, AssertionError)


def test_a_mute_watch(bench: Bench, relay: EtcdRelay, store: Etcd3Store, history: History) -> None:
    """A watch that goes mute while all other calls are answered is replaced, and what it did not
    report is repaired."""
    bench.settings("srv6kv: {fullComparison: 0}")
    with running(bench, relay) as controller:
        history.wait_for(bench.expected())
        relay.wait_for(lambda: relay.watches == 1)
        relay.mute()
        bench.interfere(store, {MYSERVICE: "{}"})
        history.wait_for(bench.expected())
        relay.wait_for(lambda: relay.watches == 2)

        assert counted(controller, "full_comparisons") == 0


@pytest.mark.parametrize("what", ["changed", "deleted", "intruder", "bookkeeping", "record"])
def test_what_no_watch_reports(
    bench: Bench,
    relay: EtcdRelay,
    store: Etcd3Store,
    history: History,
    caplog: pytest.LogCaptureFixture,
    what: str,
) -> None:
    """What a watch leaves out, although it answers, is found by the next full comparison, restored,
    counted and logged with one of its keys."""
    bench.settings("srv6kv: {fullComparison: 1s}")
    key = bench.prefix + MYSERVICE
    with running(bench, relay) as controller:
        history.wait_for(bench.expected())
        reach(controller, "full_comparisons", 1)

        assert counted(controller, "unreported_changes") == 0

        relay.passes_events = False
        match what:
            case "changed":
                bench.interfere(store, {MYSERVICE: "{}"})
            case "deleted":
                bench.interfere(store, {MYSERVICE: None})
            case "intruder":
                key = f"{bench.prefix}{LOCALSID}6666::99"
                bench.interfere(store, {LOCALSID + "6666::99": "{}"})
            case "bookkeeping":
                key = f"/srv6kv/{bench.label}/ranges"
                before = store.get(key)[0]
                store.put(key, "{}")
            case "record":
                key = "/vnf-agent/contiv-ksr/allocatedIDs/77"
                store.put(key, '{"id":77,"name":"node77"}')
        try:
            reach(controller, "unreported_changes", 1)
            history.wait_for(bench.expected())
        finally:
            if what == "record":
                store.delete(key)
        if what == "bookkeeping":
            eventually(lambda: is_held(store, key, before), AssertionError)

    lines = [one.getMessage() for one in caplog.records if "unreported=" in one.getMessage()]

    assert any(line.endswith(f", first {key}") for line in lines)


def is_held(store: Etcd3Store, key: str, value: bytes | None) -> None:
    """Fails unless a key has this value."""
    assert store.get(key)[0] == value


def test_what_is_reported_late_does_not_count(
    bench: Bench, relay: EtcdRelay, store: Etcd3Store, history: History
) -> None:
    """Edits that the watch reports are never counted as unreported, also while a comparison reads,
    and no session ends by it."""
    bench.settings("srv6kv: {fullComparison: 1s}")
    with running(bench, relay) as controller:
        history.wait_for(bench.expected())
        while counted(controller, "full_comparisons") < 3:
            bench.interfere(store, {MYSERVICE: "{}"})
            bench.interfere(store, {LOCALSID + "6666::99": "{}"})
        history.wait_for(bench.expected())

        assert counted(controller, "foreign_edits") > 20
        assert counted(controller, "unreported_changes") == 0
        assert relay.watches == 1
