"""``adopt`` on a real etcd: what it shows, what it writes, and when it writes nothing."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from api_bench import ApiBench
from apiserver import FakeApiServer
from contivs import CASES, FORWARD, LOOPBACK, Node, contivs, left_by_contiv
from history import History, violations
from processes import MYSERVICE, Bench, srv6kv

from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.etcd.store import Etcd3Store, Writer
from srv6kv.ligato import keys


def adopt(bench: Bench, *more: str) -> subprocess.CompletedProcess[str]:
    """What ``adopt`` does for a node."""
    return srv6kv("adopt", "--from", "contiv", *bench.options(), *more)


@pytest.fixture
def left(bench: Bench, store: Etcd3Store, history: History) -> Bench:
    """A node on which Contiv has served myservice, with its redirection and its loopback."""
    left_by_contiv(bench, store, history)
    return bench


def test_adopt_writes_what_its_dry_run_shows(left: Bench, history: History) -> None:
    """Nothing first, then one revision; afterwards run writes nothing and adopt finds nothing."""
    revision = history.last()
    shown = json.loads(adopt(left, "--dry-run", "-o", "json").stdout)
    text = adopt(left, "--dry-run")

    assert history.last() == revision
    assert f"{'kept':8} {MYSERVICE}" in text.stdout.splitlines()
    assert text.stdout.splitlines()[-1].startswith("would be: ")
    assert "1 loopbacks of pods hold service addresses" in text.stderr

    done = adopt(left)
    history.wait_for(left.expected())
    ((_, changes),) = history.revisions(after=revision)

    assert done.returncode == 0
    assert [item["key"] for (item) in shown["transactions"][0]] == [
        left.prefix + change.key for change in changes
    ]
    assert left.run("--once").wait() == 0
    assert "0 changed, 0 added, 0 removed" in adopt(left).stdout
    assert history.revisions(after=changes[0].mod_revision) == []


def test_adopt_takes_addresses_off_loopbacks_on_request(left: Bench, history: History) -> None:
    """The rest of the CNI's value stays as it is."""
    (key,) = (key for key in left.foreign if key.startswith(LOOPBACK))
    done = adopt(left, "--loopbacks")
    history.wait(lambda: len(history.values(key)) == 2)
    old, new = (json.loads(value or b"") for value in history.values(key))

    assert (done.returncode, "loopbacks" in done.stderr) == (0, False)
    assert new == old | {"ip_addresses": ["127.0.0.1/8", "::1/128"]}


def test_adopt_waits_for_no_other_writer(left: Bench, history: History, writer: Writer) -> None:
    """While another process writes for the label it says who and writes nothing."""
    revision = history.last()
    done = adopt(left)

    assert (done.returncode, history.last()) == (1, revision)
    assert writer.identity in done.stderr


def test_adopt_writes_nothing_if_an_endpoint_would_be_lost(
    left: Bench, store: Etcd3Store, history: History
) -> None:
    """It names the endpoint and what is missing; the dry run does so too."""
    (arp,) = (key for key in left.foreign if key.endswith("/2001:0:0:1::5") and "arp" in key)
    store.delete(left.prefix + arp)
    history.wait(lambda: arp not in history.state())
    revision = history.last()
    for more in ((), ("--dry-run",)):
        done = adopt(left, *more)

        assert (done.returncode, history.last()) == (1, revision)
        assert "lost: Endpoint 2001:0:0:1::5: no static ARP entry" in done.stderr


def test_adopt_with_bad_input_writes_nothing(left: Bench, history: History) -> None:
    """What cannot be read may be what a key belongs to."""
    revision = history.last()
    left.edit("bad.yaml", "kind: Service\nmetadata: {name: bad}\nspec: 7\n")
    done = adopt(left)

    assert (done.returncode, history.last()) == (2, revision)
    assert "warning: Service default/bad: spec" in done.stderr


def test_adopt_asks_an_api_server(left: Bench, tmp_path: Path, api: FakeApiServer) -> None:
    """Without manifests the cluster is the API server's; the plan is the same."""
    bench = ApiBench(tmp_path / "api", left.server, left.label, api)
    one = srv6kv("adopt", "--from", "contiv", *bench.options(), "--dry-run", "-o", "txn")
    manifests = ("--manifests", bench.manifests, *bench.options()[2:])
    other = srv6kv("adopt", "--from", "contiv", *manifests, "--dry-run", "-o", "txn")
    bench.end()

    assert (one.returncode, one.stdout) == (0, other.stdout)
    assert one.stdout.count("\nput ") > 20


def test_a_recorded_node_on_a_real_etcd(
    tmp_path: Path, etcd: EmbeddedEtcd, store: Etcd3Store, label: str
) -> None:
    """The one with the most keys: one revision, sound in between, and run then writes nothing."""
    case = max(CASES, key=lambda case: len(case["expected"]))
    (tmp_path / "manifests").mkdir()
    for number, body in enumerate(case["objects"]):
        (tmp_path / "manifests" / f"{number}.json").write_text(json.dumps(body))
    (tmp_path / "contiv.conf").write_text(json.dumps(case["config"]))
    gone = {f"{FORWARD}{number:064x}-OUTPUT": b'{"rules":[]}' for number in range(120)}
    before = contivs(case) | gone  # chains that Contiv never deletes (defect D7)
    for key in sorted(before, key=lambda key: (keys.rank(key), key)):
        store.put(f"/vnf-agent/{label}/{key}", before[key])
    history = History(store, label)
    history.wait_for(before)
    revision = history.last()
    options = ("--manifests", tmp_path / "manifests", "--config", tmp_path / "contiv.conf")
    where = ("--node", case["node"], "--label", label, "--etcd", etcd.endpoint)
    done = srv6kv("adopt", "--from", "contiv", *options, *where, "--loopbacks")
    history.wait_for(Node(case, {}).fresh())
    ((_, changes),) = history.revisions(after=revision)

    assert (done.returncode, len(changes) > 120) == (0, True)
    assert violations(history.revisions(), case["agent"]) == []
    assert srv6kv("run", "--once", *options, *where).returncode == 0
    assert history.last() == changes[0].mod_revision
