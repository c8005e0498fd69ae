"""``srv6kv`` on an etcd that takes less at once than a default one, or behind a proxy that does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from history import POLICY, History
from invariants import broken
from processes import AGENT_STATE, NODE, Bench, service, srv6kv
from tcp_proxy import TcpProxy

from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.etcd.store import Etcd3Store

Connect = Callable[..., Etcd3Store]
MakeBench = Callable[..., Bench]
SERVICES = 60


@pytest.fixture
def make_bench(
    tmp_path: Path, start_etcd: Callable[..., EmbeddedEtcd], connect: Connect
) -> Iterator[MakeBench]:
    """Makes a node whose etcd has further options."""
    with ExitStack() as stack:

        def make(*options: str) -> Bench:
            server = start_etcd(*options)
            bench = Bench(tmp_path / "bench", server, NODE)
            stack.callback(bench.end)
            bench.settings("srv6kv:", "  replaceWindow: 0s")
            store = connect(server.endpoint)
            # One key a request: a server with small limits takes no more from us either.
            for key, value in json.loads(AGENT_STATE.read_text()).items():
                bench.put_foreign(store, key, json.dumps(value))
            return bench

        yield make


def add_services(bench: Bench, number: int = SERVICES) -> None:
    """More services than a small transaction holds."""
    for index in range(number):
        text = service(f"s{index}", f"2096::{index + 0x100:x}", ["2001:0:0:1::5", "2001:0:0:1::6"])
        bench.edit(f"s{index}.yaml", text)


@pytest.mark.parametrize("most", [64, 16, 3])
def test_few_operations(make_bench: MakeBench, connect: Connect, most: int) -> None:
    """On a server that takes few operations at once everything is written, in a safe order, in
    smaller transactions; at the end everything goes the same way."""
    bench = make_bench(f"--max-txn-ops={most}")
    add_services(bench)
    history = History(connect(bench.server.endpoint), bench.label)
    process = bench.run()
    history.wait_for(bench.expected(), 60)
    for index in range(0, SERVICES, 2):
        (bench.manifests / f"s{index}.yaml").unlink()
    bench.change()
    history.wait_for(bench.expected(), 60)
    said = process.said("takes transactions of")
    process.stop()
    done = srv6kv("cleanup", "--label", bench.label, *bench.etcd)
    history.wait(lambda: not any(key.startswith(POLICY) for key in history.state()))

    assert [f"of {most} operations" in line for line in said] == [True]
    assert len(process.said("trying again")) == 1
    assert broken(bench, history) == []
    assert done.returncode == 0


def test_small_requests(make_bench: MakeBench, connect: Connect) -> None:
    """On a server that takes small requests only everything is written that fits by itself."""
    bench = make_bench("--max-request-bytes=20000")
    add_services(bench)
    history = History(connect(bench.server.endpoint), bench.label)
    process = bench.run()
    history.wait_for(bench.expected(), 60)
    process.stop()

    assert 1 <= len(process.said("request is too large")) < 12
    assert broken(bench, history) == []


def test_a_value_that_is_too_large(make_bench: MakeBench, connect: Connect) -> None:
    """A single value that the server does not take is left out with a note; the rest is written."""
    bench = make_bench("--max-request-bytes=20000")
    many = [f"2001:0:0:1::{number}" for number in (5, 6)]
    hosts = [
        {"addresses": [f"2001:0:0:2::{number:x}"], "nodeName": "node2"} for number in range(600)
    ]
    text = service("large", "2096::f1", many)
    bodies = [json.loads(part) for part in text.split("---\n") if part]
    bodies[1]["endpoints"] += hosts
    bench.edit("large.yaml", "".join(f"---\n{json.dumps(body)}\n" for body in bodies))
    bench.edit("small.yaml", service("small", "2096::f2", many))
    history = History(connect(bench.server.endpoint), bench.label)
    process = bench.run()
    note = process.wait_for("fit into one request")
    print(process.lines)
    history.wait(lambda: any(b"2096::f2/128" in value for value in history.state().values()), 6)
    process.stop()

    assert "default/large" in note
    assert not [
        key
        for key, value in history.state().items()
        if b"2096::f1/128" in value and "steering" in key
    ]
    assert broken(bench, history) == []


class CuttingProxy(TcpProxy):
    """Ends a connection at the first request that is larger than a message may be."""

    most = 20_000

    def _may_pass(self, link: Any, data: bytes) -> bool:
        return len(data) < self.most and super()._may_pass(link, data)


def test_proxy_that_cuts(make_bench: MakeBench, connect: Connect) -> None:
    """Behind a proxy that resets the connection at large messages everything is written in smaller
    ones, after a few tries."""
    bench = make_bench()
    add_services(bench, 200)
    history = History(connect(bench.server.endpoint), bench.label)
    with CuttingProxy(bench.server.endpoint) as proxy:
        bench.etcd = ["--etcd", proxy.endpoint]
        process = bench.run()
        history.wait_for(bench.expected(), 60)
        process.stop()

    assert 1 <= len(process.said("may or may not be done")) < 20
    assert broken(bench, history) == []


def test_replay_on_a_small_server(make_bench: MakeBench, connect: Connect, tmp_path: Path) -> None:
    """A recording of a default server is replayed into one with small limits, and what is there
    then is the same."""
    bench = make_bench("--max-txn-ops=16", "--max-request-bytes=20000")
    add_services(bench)
    done = srv6kv("render", *bench.options()[:-2], "-o", "txn")
    recording = tmp_path / "all.txn"
    recording.write_text(done.stdout)
    replayed = srv6kv("replay", recording, "--label", bench.label, *bench.etcd)
    rendered = srv6kv("render", *bench.options()[:-2], "-o", "jsonl")
    wanted = {json.loads(line)["key"] for line in rendered.stdout.splitlines()}
    prefix = f"/vnf-agent/{bench.label}/"
    entries = connect(bench.server.endpoint).read([prefix]).entries

    assert (replayed.returncode, replayed.stderr) == (0, "")
    assert wanted
    assert wanted <= {entry.key.removeprefix(prefix) for entry in entries}
