"""What ``srv6kv run`` shows over HTTP and in its log while it works, waits, stands by and ends."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from etcd_server import SECONDS, Seen, free_port
from figures import Timed
from history import LOCALSID, POLICY, STEERING, History
from processes import SEED, Bench, Process, environment, service, srv6kv
from prometheus_client.parser import text_string_to_metric_families

from srv6kv.etcd.embedded import EmbeddedEtcd, Leash
from srv6kv.etcd.store import Etcd3Store, writer_key
from srv6kv.kube.parse import TRIGGERED

LATENCY = "srv6kv_network_programming_duration_seconds"
RENDERED = ["2001:0:0:1::6"]


class Shown:
    """What a process shows."""

    def __init__(self, process: Process) -> None:
        line = process.wait_for(" start ")
        self.address = line.partition("listen=")[2].split()[0]

    def page(self, path: str) -> tuple[int, str]:
        """Status and body of a page."""
        connection = http.client.HTTPConnection(self.address, timeout=SECONDS)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def statuses(self) -> tuple[int, int, int]:
        """Of livez, readyz and healthz."""
        live, ready, healthy = (self.page(f"/{name}z")[0] for name in ("live", "ready", "health"))
        return live, ready, healthy

    def details(self) -> Any:
        """What /statusz says."""
        return json.loads(self.page("/statusz")[1])

    def metrics(self) -> dict[tuple[str, str], float]:
        """Values by name and label value."""
        return {
            (sample.name, ",".join(v for k, v in sample.labels.items() if k != "le")): sample.value
            for family in text_string_to_metric_families(self.page("/metrics")[1])
            for sample in family.samples
        }

    def metric(self, name: str, label: str = "") -> float | None:
        """One value; None: it is absent."""
        return self.metrics().get((name, label))

    def wait(self, holds: Callable[[], bool]) -> None:
        """Return when that holds; fails if it does not come to hold."""
        deadline = time.monotonic() + SECONDS
        while not holds():
            assert time.monotonic() < deadline, f"waited in vain; {self.details()}"


def test_in_step(bench: Bench, history: History) -> None:
    """A process that is in step is live, ready and healthy, and its metrics say what it did."""
    shown = Shown(bench.run())
    shown.wait(lambda: shown.statuses() == (200, 200, 200))
    history.wait_for(bench.expected())
    shown.wait(lambda: shown.metric("srv6kv_services", "skipped") is not None)
    found, details = shown.metrics(), shown.details()

    assert found["srv6kv_is_writer", ""] == 1
    assert found["srv6kv_sync_duration_seconds_count", "full"] == 1
    assert found["srv6kv_etcd_txn_duration_seconds_count", ""] == 1
    assert found["srv6kv_sync_last_timestamp_seconds", ""] == pytest.approx(time.time(), abs=30)
    assert found["srv6kv_policy_updates_total", "create"] == found["srv6kv_keys", "policy"]
    assert details["writer"] == {"held": True, "holder": ""}
    assert details["sync"]["commits"] == 1
    assert (details["node"], details["label"]) == ("node1", bench.label)
    assert shown.metric(LATENCY + "_count") == 0


def ours(history: History) -> Counter[str]:
    """How many keys etcd holds of models that are ours alone."""
    models = {LOCALSID: "localsid", POLICY: "policy", STEERING: "steering"}
    found = (
        name
        for key in history.state()
        for start, name in models.items()
        if key[: len(start)] == start
    )
    return Counter(found)


def test_keys_and_services_are_counted(bench: Bench, store: Etcd3Store, history: History) -> None:
    """The gauges of keys and services follow what comes, changes, goes and is edited by others."""
    bench.settings("srv6kv:", "  replaceWindow: 0s")
    shown = Shown(bench.run())

    def agree() -> bool:
        found = shown.metrics()
        states = ("rendered", "degraded", "denied", "skipped")
        services = sum(found.get(("srv6kv_services", state), 0) for state in states)
        steered = found.get(("srv6kv_services", "rendered"), 0)
        steered += found.get(("srv6kv_services", "degraded"), 0)
        known = len([p for p in bench.manifests.iterdir() if "kind: Service\n" in p.read_text()])
        known += len([p for p in bench.manifests.iterdir() if '"Service"' in p.read_text()])
        keys = {
            name: found.get(("srv6kv_keys", name)) for name in ("localsid", "policy", "steering")
        }
        names = [key.removeprefix(STEERING) for key in history.state() if key.startswith(STEERING)]
        served = sum(name.startswith("forK8sService-") for name in names)
        return keys == dict(ours(history)) and (services, steered) == (known, served)

    steps: list[Callable[[], object]] = [
        lambda: None,
        lambda: bench.edit("more.yaml", service("more", "2096::f1", RENDERED)),
        bench.change,
        lambda: bench.edit("none.yaml", service("none", "2096::f2", [])),
        lambda: (bench.manifests / "more.yaml").unlink(),
        bench.restore,
    ]
    for step in steps:
        step()
        history.wait_for(bench.expected())
        shown.wait(agree)
    before = history.last()
    store.delete(bench.prefix + next(key for key in history.state() if key.startswith(STEERING)))
    history.wait(lambda: history.last() > before + 1)
    history.wait_for(bench.expected())
    shown.wait(agree)

    assert shown.metric("srv6kv_foreign_edits_total") == 1


def annotated(name: str, address: str, pods: list[str], when: datetime | str) -> str:
    """A manifest whose slice says when its change was triggered."""
    text = when if isinstance(when, str) else when.isoformat().replace("+00:00", "Z")
    found = service(name, address, pods)
    return found.replace(
        '"labels": {"kube', f'"annotations": {{"{TRIGGERED}": "{text}"}}, "labels": {{"kube'
    )


def test_latency(bench: Bench, history: History) -> None:
    """The latency of a change counts from its trigger time to its revision; times from before the
    start and malformed ones do not count, nor does a slice whose annotation alone differs."""
    bench.settings("srv6kv:", "  replaceWindow: 0s")
    old = datetime.now(UTC) - timedelta(hours=1)
    bench.edit("old.yaml", annotated("old", "2096::f1", RENDERED, old))
    bench.edit("bad.yaml", annotated("bad", "2096::f2", RENDERED, "yesterday"))
    shown = Shown(bench.run())
    shown.wait(lambda: shown.statuses() == (200, 200, 200))

    assert shown.metric(LATENCY + "_count") == 0

    triggered = datetime.now(UTC)
    bench.edit("new.yaml", annotated("new", "2096::f3", RENDERED, triggered))
    shown.wait(lambda: shown.metric(LATENCY + "_count") == 1)
    most = (datetime.now(UTC) - triggered).total_seconds()

    assert 0.05 < (shown.metric(LATENCY + "_sum") or 0.0) < most

    bench.edit("new.yaml", annotated("new", "2096::f3", RENDERED, datetime.now(UTC)))
    bench.edit("newer.yaml", annotated("newer", "2096::f4", RENDERED, datetime.now(UTC)))
    history.wait_for(bench.expected())
    shown.wait(lambda: shown.details()["source"]["oldestChangeSeconds"] is None)

    assert shown.metric(LATENCY + "_count") == 2


def test_notes(bench: Bench) -> None:
    """A note is counted by its reason as long as it is there."""
    shown = Shown(bench.run())
    shown.wait(lambda: shown.statuses() == (200, 200, 200))

    assert shown.metric("srv6kv_warnings", "AddressDenied") is None

    for number in range(2):
        bench.edit(f"{number}.yaml", service(f"denied{number}", f"2001:0:0:1::{number}", RENDERED))
    shown.wait(lambda: shown.metric("srv6kv_warnings", "AddressDenied") == 2)
    shown.wait(lambda: shown.metric("srv6kv_services", "denied") == 2)
    (bench.manifests / "0.yaml").unlink()
    shown.wait(lambda: shown.metric("srv6kv_warnings", "AddressDenied") == 1)
    (bench.manifests / "1.yaml").unlink()
    shown.wait(lambda: shown.metric("srv6kv_warnings", "AddressDenied") is None)
    shown.wait(lambda: shown.metric("srv6kv_services", "denied") == 0)


def test_stands_by(bench: Bench, history: History) -> None:
    """Who stands by is ready, does not hold the key, says who does, and takes over ready."""
    bench.run()
    history.wait_for(bench.expected())
    first = bench.processes[0]
    shown = Shown(bench.run())
    shown.wait(lambda: shown.statuses() == (200, 200, 200))

    assert shown.metric("srv6kv_is_writer") == 0
    assert shown.details()["writer"]["holder"] == history.tenures()[0][0]

    queued = shown.metric("srv6kv_sync_last_queued_timestamp_seconds")
    bench.edit("new.yaml", annotated("new", "2096::f3", RENDERED, datetime.now(UTC)))
    history.wait_for(bench.expected())
    shown.wait(lambda: shown.metric("srv6kv_sync_last_queued_timestamp_seconds") != queued)
    shown.wait(lambda: shown.details()["source"]["oldestChangeSeconds"] is None)
    first.stop()
    shown.wait(lambda: shown.metric("srv6kv_is_writer") == 1)
    shown.wait(lambda: shown.statuses() == (200, 200, 200))

    assert shown.metric("srv6kv_sync_noop_total") == 1
    assert shown.metric("srv6kv_etcd_ops_total", "put") in (None, 0)
    assert shown.metric(LATENCY + "_count") == 0


def test_etcd_away(tmp_path: Path, connect: Callable[..., Etcd3Store]) -> None:
    """Without etcd it is live and not ready; once ready it stays so, and says what is wrong."""
    server = EmbeddedEtcd(tmp_path / "etcd")
    bench = Bench(tmp_path, server, "node1")
    try:
        shown = Shown(bench.run())
        shown.wait(lambda: "trying again" in shown.details()["doing"])

        assert shown.statuses() == (200, 503, 200)
        assert (shown.metric("srv6kv_sync_failures_total", "writer") or 0) > 0

        server.start()
        bench.load_agent_state(connect(server.endpoint))
        shown.wait(lambda: shown.statuses() == (200, 200, 200))

        assert shown.details()["etcd"]["trouble"] == ""

        server.kill()
        shown.wait(lambda: shown.details()["etcd"]["trouble"] != "")

        assert shown.statuses() == (200, 200, 200)

        triggered = datetime.now(UTC)
        bench.edit("new.yaml", annotated("new", "2096::f3", RENDERED, triggered))
        shown.wait(lambda: shown.details()["source"]["oldestChangeSeconds"] is not None)
        away = (datetime.now(UTC) - triggered).total_seconds()
        server.start()
        shown.wait(lambda: shown.metric(LATENCY + "_count") == 1)

        assert (shown.metric(LATENCY + "_sum") or 0.0) > away
    finally:
        bench.end()
        server.kill()


def test_stop_with_clients(bench: Bench, store: Etcd3Store, history: History, timed: Timed) -> None:
    """SIGTERM ends it and gives the writer key back, although a client has
    sent half a request and etcd has a successor to serve."""
    process = bench.run()
    shown = Shown(process)
    history.wait_for(bench.expected())
    follower = bench.run()
    follower.wait_for("standby: ")
    seen, key = Seen(), writer_key(bench.label)
    store.watch([key], store.read([key]).revision + 1, seen.on_changes, seen.on_lost)
    host, _, port = shown.address.rpartition(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\n")
        started = time.monotonic()
        process.send(signal.SIGTERM)
        code = process.wait()
        spent = time.monotonic() - started
    seen.wait_for_deletion(key)
    follower.wait_for("session revision=")
    handed_over = time.monotonic() - started

    assert code == 0
    timed("the end after SIGTERM beside half a request", spent, 2.0)
    timed("a successor is at work after SIGTERM", handed_over, 3.0)
    assert process.said(" end ")
    with pytest.raises(ConnectionRefusedError):
        shown.page("/livez")


def test_stop_in_the_middle_of_a_plan(bench: Bench, store: Etcd3Store, timed: Timed) -> None:
    """SIGTERM ends it and gives the writer key back although it is at work on
    the first plan of thousands of services."""
    for part in range(3):
        texts = [
            service(f"s{part}-{number}", f"2096::1:{part}{number:03x}", RENDERED)
            for number in range(1000)
        ]
        bodies = [json.loads(one) for text in texts for one in text.split("---") if one.strip()]
        found = {"apiVersion": "v1", "kind": "List", "items": bodies}
        bench.edit(f"many{part}.json", json.dumps(found))
    process = bench.run()
    shown = Shown(process)
    shown.wait(lambda: shown.details()["source"]["complete"])
    started = time.monotonic()
    process.send(signal.SIGTERM)
    code = process.wait()
    spent = time.monotonic() - started

    assert code == 0
    timed("the end after SIGTERM in the middle of a plan", spent, 2.0)
    assert store.holder(bench.label) is None


def test_a_port_that_is_taken(bench: Bench, history: History) -> None:
    """A port that is taken is one line and exit code 2; nothing is written. --once needs none."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        history.wait_for(bench.foreign)
        refused = srv6kv("run", *bench.options(), "--listen", address)

        assert refused.returncode == 2
        said = refused.stderr.splitlines()
        assert said[-1].startswith(f"srv6kv: --listen {address}: cannot listen: Address already")
        assert len([line for line in said if " WARNING " not in line]) == 1
        assert (history.state(), history.tenures()) == (bench.foreign, [])
        assert bench.run("--once", "--listen", address).wait() == 0


def test_no_port(bench: Bench, history: History) -> None:
    """With ``--listen none`` no port is opened; one that is named is opened there."""
    quiet = bench.run("--listen", "none")
    history.wait_for(bench.expected())
    port = free_port()
    open_ = bench.run("--listen", f"127.0.0.1:{port}")

    assert quiet.wait_for(" start ").endswith("listen=none")
    assert Shown(open_).address == f"127.0.0.1:{port}"
    assert Shown(open_).page("/livez")[0] == 200


def test_json_log(bench: Bench, history: History) -> None:
    """With ``--log-format json`` every line is one object with time, level and the decision's name
    and fields; each decision is one line."""
    bench.settings("srv6kv:", "  replaceWindow: 0s")
    bench.edit("denied.yaml", service("denied", "2001:0:0:1::1", RENDERED))
    process = bench.run("--log-format", "json", "--log-level", "debug")
    history.wait_for(bench.expected())
    bench.change()
    history.wait_for(bench.expected())
    (bench.manifests / "denied.yaml").unlink()
    process.wait_for('"resolved"')
    process.stop()
    lines = [json.loads(line) for line in process.lines]
    decisions = Counter(line["msg"] for line in lines)
    syncs = [line for line in lines if line["msg"] == "sync"]
    (note,) = [line for line in lines if line["msg"] == "warning"]

    assert all(line.keys() >= {"ts", "level", "msg"} for line in lines)
    assert {line["level"] for line in lines} == {"debug", "info", "warning"}
    assert [
        decisions[name] for name in ("start", "session", "sync", "warning", "resolved", "end")
    ] == [*(1, 1, 2, 1, 1, 1)]
    assert [line["rev"] for line in syncs] == [n for n, _ in history.revisions()][-2:]
    assert all(isinstance(line[name], int) for line in syncs for name in ("put", "del", "ms"))
    assert (note["subject"], note["reason"]) == ("Service default/denied", "AddressDenied")
    assert any(line["msg"].startswith("- key: ") for line in lines)


def test_text_log(bench: Bench, history: History) -> None:
    """Each line of the text log begins with a time and a level; nothing is a traceback."""
    (bench.manifests / "half.yaml").write_text("kind: Service\nspec: {")
    process = bench.run()
    history.wait_for(bench.expected())
    process.stop()

    assert len(process.lines) > 4
    for line in process.lines:
        date, clock, level, _ = line.split(" ", 3)
        assert datetime.fromisoformat(f"{date} {clock.partition(',')[0]}")
        assert level in ("INFO", "WARNING")


def test_own_node_goes(bench: Bench) -> None:
    """While the own Node is about to be removed, healthz fails and livez and readyz do not."""
    shown = Shown(bench.run())
    shown.wait(lambda: shown.statuses() == (200, 200, 200))
    name = next(
        p.name for p in sorted((SEED / "manifests").iterdir()) if "name: node1\n" in p.read_text()
    )
    text = (SEED / "manifests" / name).read_text()
    assert "name: node1\nspec:\n" in text.replace("  name: node1", "name: node1")
    taint = "spec:\n  taints: [{key: ToBeDeletedByClusterAutoscaler, effect: NoSchedule}]\n"
    bench.edit(name, text.replace("spec:\n", taint, 1))
    shown.wait(lambda: shown.statuses() == (200, 200, 503))

    assert json.loads(shown.page("/healthz")[1])["nodeEligible"] is False

    bench.edit(name, text)
    shown.wait(lambda: shown.statuses() == (200, 200, 200))


def test_a_slow_end_is_an_end_in_good_order(bench: Bench, history: History) -> None:
    """The deadline after SIGTERM ends nothing that has ended by itself: the exit code is 0 although
    Python takes its time, as on a busy machine."""
    script = (
        "import time\nfrom srv6kv.cli import main\nfrom srv6kv.cli.run import LATE_SECONDS\n"
        "class Slow:\n"
        "    def __del__(self, sleep=time.sleep, seconds=LATE_SECONDS + 0.5):\n"
        "        sleep(seconds)\n"
        "slow = Slow()\nmain()\n"
    )
    words = ["run", *map(str, bench.options()), "--listen", "none"]
    process = subprocess.Popen([sys.executable, "-c", script, *words], env=environment())
    leash = Leash(process.pid)
    try:
        history.wait_for(bench.expected())
        process.terminate()

        assert process.wait(30) == 0
    finally:
        leash.let_off()
        process.kill()
        process.wait()
