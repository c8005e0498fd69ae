"""The commands that look into an etcd or write into it: plan, get and replay."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from history import History
from processes import MYSERVICE, NODE, SEED, Bench, srv6kv

from srv6kv.etcd.store import Etcd3Store
from srv6kv.txn import recording

RECORDING = Path(__file__).parents[1] / "recorded" / "seed.txn"
FILES = ("-f", SEED / "manifests", "--config", SEED / "contiv.conf", "--node", NODE)


@pytest.fixture
def synced(bench: Bench, history: History) -> Bench:
    """A node whose keys are written."""
    assert bench.run("--once").wait() == 0

    history.wait_for(bench.expected())
    return bench


def plan(bench: Bench, *more: str) -> subprocess.CompletedProcess[str]:
    """What ``plan`` says about a node."""
    return srv6kv("plan", *bench.options(), *more)


def test_plan_of_everything(bench: Bench, history: History) -> None:
    """plan prints the transaction that run then writes, and writes nothing itself."""
    planned = plan(bench)
    (found,) = recording.load(planned.stdout)
    history.wait_for(bench.foreign)

    assert (planned.returncode, history.last()) == (0, max(dict(history.revisions())))
    assert plan(bench, "--check").returncode == 1

    record = bench.folder / "run.txn"
    bench.run("--once", "--record", record).wait()
    _, written = recording.load(record.read_text())

    assert (found.transaction, found.time) == (written.transaction, "")


def test_plan_of_nothing(synced: Bench) -> None:
    """If there is nothing to write, plan prints nothing and the check is passed."""
    done = plan(synced, "--check")

    assert (done.returncode, done.stdout) == (0, "")


def test_plan_of_a_change(synced: Bench, history: History) -> None:
    """plan guards what is there by its revision; as JSON it says the same."""
    synced.change()
    (found,) = recording.load(plan(synced).stdout)
    (listed,) = json.loads(plan(synced, "-o", "json").stdout)
    guards = {
        one.key.removeprefix(synced.prefix): one.guard for one in found.transaction.operations
    }

    assert guards[MYSERVICE] == history.last()
    assert [(one["verb"], one["guard"], one["key"]) for one in listed] == [
        ("put", one.guard, one.key) for one in found.transaction.operations
    ]


def test_plan_with_bad_input(synced: Bench) -> None:
    """A malformed object makes plan end with 2, also if there is nothing to write."""
    synced.edit("bad.yaml", "kind: Service\nmetadata: {name: bad}\nspec: 7\n")
    done = plan(synced, "--check")

    assert done.returncode == 2
    assert "warning: Service default/bad: spec" in done.stderr


def get(bench: Bench, kind: str, *more: str) -> str:
    """What ``get`` prints."""
    done = srv6kv("get", kind, "--label", bench.label, "--etcd", bench.server.endpoint, *more)

    assert (done.returncode, done.stderr) == (0, "")

    return done.stdout


def test_get_services(synced: Bench) -> None:
    """get services shows addresses, BSIDs and the paths to the endpoints."""
    rows = [
        [cell.strip() for cell in line.split("│")[1:-1]]
        for line in get(synced, "services").splitlines()
    ]
    found = {one["name"]: one for one in json.loads(get(synced, "services", "-o", "json"))}

    assert ["default-myservice", "2096::d765/128", "1", "5555::d765", "6666:0:0:1::5 (1)"] in rows
    assert found["default-podthere"] == {
        "name": "default-podthere",
        "prefix": "2096::6457/128",
        "vrf": 1,
        "bsid": "5555::6457",
        "segment_lists": [{"segments": ["7766:f00d::2", "6666:0:0:2::7"], "weight": 1}],
    }
    assert len(found) == 6


def test_get(synced: Bench) -> None:
    """get shows policies, localsids and steerings as a table, as JSON and as VPP does."""
    for kind, count, text in (
        ("policies", 8, "5555::d765"),
        ("localsids", 7, "6666:0:0:1::5"),
        ("steerings", 9, "2096::d765/128"),
    ):
        listed: list[Any] = json.loads(get(synced, kind, "-o", "json"))

        assert len(listed) == count
        assert text in json.dumps(listed)
        assert text in get(synced, kind)
        assert text in get(synced, kind, "-o", "vpp")


def test_get_as_vpp(synced: Bench) -> None:
    """get policies prints what the guide's ``sh sr policies`` shows."""
    text = get(synced, "policies", "-o", "vpp")

    assert text.startswith("SR policies:\n")
    assert "BSID: 5555::a\n" in text
    assert "< 6666:0:0:1::2 > weight: 1" in text
    assert "< 6666:0:0:1::3 > weight: 1" in text
    assert "< 6655::1 > weight: 1" in text


def test_get_of_an_empty_node(bench: Bench) -> None:
    """A node without keys of ours has empty lists."""
    assert json.loads(get(bench, "policies", "-o", "json")) == []
    assert json.loads(get(bench, "services", "-o", "json")) == []


def test_get_beside_garbage(synced: Bench, store: Etcd3Store) -> None:
    """What the agent could not decode is a note, and the rest is shown."""
    store.put(synced.prefix + "config/vpp/srv6/v2/policy/9999::1", b'"\xff"')
    store.put(synced.prefix + "config/vpp/srv6/v2/policy/9999::2", "not JSON")
    done = srv6kv(
        *("get", "policies", "-o", "json", "--label", synced.label),
        *("--etcd", synced.server.endpoint),
    )

    assert (done.returncode, len(json.loads(done.stdout))) == (0, 8)
    assert [line.split(": ")[1] for line in done.stderr.splitlines()] == [
        f"config/vpp/srv6/v2/policy/9999::{number}" for number in (1, 2)
    ]
