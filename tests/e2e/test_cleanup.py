"""Removing what is ours: all of it, nothing else, in a safe order (decision 0029)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from history import LOCALSID, POLICY, STEERING, History, violations
from processes import Bench, srv6kv

from srv6kv.etcd.store import Etcd3Store, Writer
from srv6kv.etcd.values import KeyValue
from srv6kv.ligato import keys
from srv6kv.oneshot.cleanup import removal
from srv6kv.plan.ownership import Ranges
from srv6kv.txn.transaction import FullKey

CHAIN = "config/linux/iptables/v2/rulechain/"
TABLE = "config/vpp/v2/vrf-table/id/1/protocol/IPV6"
INTERFACE = "config/vpp/v2/interfaces/"


def cleanup(bench: Bench, *more: str | Path) -> subprocess.CompletedProcess[str]:
    """What ``cleanup`` does for a node."""
    return srv6kv("cleanup", "--label", bench.label, "--etcd", bench.server.endpoint, *more)


@pytest.fixture
def synced(bench: Bench, history: History) -> Bench:
    """A node whose keys are written."""
    assert bench.run("--once").wait() == 0

    history.wait_for(bench.expected())
    return bench


def test_cleanup_leaves_what_others_wrote(synced: Bench, history: History) -> None:
    """All that is ours goes in one revision, but for the VRF table that pods need."""
    before = history.state()
    done = cleanup(synced)
    table = {TABLE: before[TABLE]}

    assert (done.returncode, done.stderr.count("warning:")) == (0, 1)
    assert f"{TABLE} stays" in done.stderr
    history.wait_for(synced.foreign | table)
    history.wait(lambda: {value for _, value in history.own_values()[-3:]} == {None})
    assert f"{len(before.keys() - synced.foreign.keys()) - 1} keys deleted" in done.stdout
    assert violations(history.revisions(), synced.foreign) == []
    assert cleanup(synced).stdout == "0 keys deleted, and 0 notes of srv6kv's own\n"


def test_steerings_go_first_and_localsids_last(synced: Bench, history: History) -> None:
    """The order is that of a plan's deletions."""
    revision = history.last()
    cleanup(synced)
    history.wait(lambda: history.last() > revision)
    kinds = (STEERING, POLICY, CHAIN, keys.ROUTE, LOCALSID, keys.VRF_TABLE)
    (found,) = history.revisions(after=revision)
    order = [next(i for i, kind in enumerate(kinds) if c.key.startswith(kind)) for c in found[1]]

    assert order == sorted(order)
    assert set(order) == set(range(len(kinds)))


def test_a_dry_run_deletes_nothing(synced: Bench, history: History) -> None:
    """It prints the keys that would go, as text or JSON, and needs no writer key."""
    revision = history.last()
    text, listed = cleanup(synced, "--dry-run"), cleanup(synced, "--dry-run", "-o", "json")
    found = json.loads(listed.stdout)

    assert text.stdout.splitlines()[:-1] == found["deleted"]
    assert set(found["kept"]) == {TABLE}
    assert len(found["ledger"]) == 3
    assert "would be deleted" in text.stdout
    assert history.last() == revision


def test_cleanup_waits_for_no_other_writer(synced: Bench, history: History, writer: Writer) -> None:
    """While another process writes for the label it says who, deletes nothing and ends with 1."""
    revision = history.last()
    done = cleanup(synced)

    assert (done.returncode, history.last()) == (1, revision)
    assert writer.identity in done.stderr


def test_ranges_of_the_settings_count_too(bench: Bench, history: History) -> None:
    """Without notes only names tell what is ours; with --config the ranges do."""
    assert bench.run("--once").wait() == 0

    history.wait_for(bench.expected())
    store = Etcd3Store([bench.server.endpoint])
    try:
        for name in ("ranges", "shared"):
            store.delete(f"/srv6kv/{bench.label}/{name}")
    finally:
        store.close()
    by_name = json.loads(cleanup(bench, "--dry-run", "-o", "json").stdout)["deleted"]
    by_range = json.loads(
        cleanup(bench, "--dry-run", "-o", "json", "--config", bench.config).stdout
    )["deleted"]

    assert {key.rpartition("/")[0] for key in by_name} == {
        bench.prefix + STEERING.rstrip("/"),
        bench.prefix + CHAIN.rstrip("/"),
    }
    assert set(by_name) < set(by_range)


def test_without_etcd_cleanup_ends_with_3(tmp_path: Path) -> None:
    """A server that does not answer is out of reach."""
    done = srv6kv("cleanup", "--label", "n", "--etcd", "127.0.0.1:1")

    assert done.returncode == 3


def entry(key: str, value: str, revision: int = 1) -> KeyValue:
    """A key in etcd."""
    return KeyValue(FullKey(key), value.encode(), revision)


@pytest.mark.parametrize("value", ['{"vrf":1}', '{"vrf_id":1}', '{"viaVrfId":1}'])
def test_a_table_that_somebody_needs_stays(value: str) -> None:
    """An interface or a route of others in the VRF keeps its table; one elsewhere does not."""
    notes = entry("/srv6kv/n/shared", json.dumps({TABLE: '{"id":1}'}))
    table = entry(f"/vnf-agent/n/{TABLE}", '{"id":1}')
    user = entry(f"/vnf-agent/n/{INTERFACE}x", value)
    other = entry(f"/vnf-agent/n/{INTERFACE}x", '{"vrf":2}')

    assert dict(removal("n", [notes, table, user], Ranges()).kept) == {TABLE: f"{INTERFACE}x"}
    assert removal("n", [notes, table, other], Ranges()).keys == (f"/vnf-agent/n/{TABLE}",)


def test_what_somebody_has_changed_is_not_ours_any_more() -> None:
    """Of the objects that others may own only our own bytes are deleted."""
    notes = entry("/srv6kv/n/shared", json.dumps({TABLE: '{"id":1}'}))
    table = entry(f"/vnf-agent/n/{TABLE}", '{"id":1,"label":"theirs"}')

    assert removal("n", [notes, table], Ranges()).keys == ()


@pytest.mark.parametrize("value", ["", "{", "[]", "7"])
def test_what_cannot_be_read_needs_nothing(value: str) -> None:
    """A broken value of somebody else stops nothing."""
    notes = entry("/srv6kv/n/shared", json.dumps({TABLE: '{"id":1}'}))
    table = entry(f"/vnf-agent/n/{TABLE}", '{"id":1}')
    broken = entry(f"/vnf-agent/n/{INTERFACE}x", value)

    assert removal("n", [notes, table, broken], Ranges()).kept == {}
