"""``srv6kv run`` and its own Node: mistaken, not there yet, malformed, gone and back, with either
source."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from api_bench import ApiBench
from apiserver import FakeApiServer
from history import LOCALSID, History
from processes import MYSERVICE, NODE, SEED, Bench, Process, service, srv6kv
from test_run_telemetry import Shown

from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.etcd.store import Etcd3Store

FIELD = Path(__file__).parents[1] / "field"
UNKNOWN = "(OwnNodeUnknown)"
OWN, OTHER = yaml.safe_load_all((SEED / "manifests" / "nodes.yaml").read_text())
BROKEN = {**OWN, "spec": 5}


@pytest.fixture(params=["manifests", "api"])
def bench(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    etcd: EmbeddedEtcd,
    store: Etcd3Store,
    label: str,
) -> Iterator[Bench]:
    """A node whose objects are in files, then one whose objects are in an API server."""
    folder = tmp_path / "bench"
    if request.param == "api":
        api: FakeApiServer = request.getfixturevalue("api")
        made: Bench = ApiBench(folder, etcd, label, api)
    else:
        made = Bench(folder, etcd, label)
    made.load_agent_state(store)
    yield made
    made.end()


def have(bench: Bench, *nodes: object) -> None:
    """Let these be the Nodes."""
    bench.edit("nodes.yaml", "".join(f"---\n{json.dumps(node)}\n" for node in nodes))


def run_as(bench: Bench, name: str, *more: str) -> Process:
    """Start ``run`` with another name of the node; the label stays."""
    return bench.run("--node", name, *more)


def synced(bench: Bench, history: History) -> int:
    """Let all be written; the last revision."""
    assert bench.run("--once").wait() == 0
    history.wait_for(bench.expected())
    return history.last()


@pytest.mark.parametrize("name", ["node1.example.net", "Node1", "nod1"])
def test_wrong_name(bench: Bench, history: History, name: str) -> None:
    """Under a name that no Node has nothing is written or deleted; one line names it and the Node
    that is near it, and no probe is content. ``--once`` ends with 2 and the same sentence."""
    before = synced(bench, history)
    process = run_as(bench, name)
    shown = Shown(process)
    line = process.wait_for(UNKNOWN)
    shown.wait(lambda: shown.statuses() == (200, 503, 503))
    bench.change()
    shown.wait(lambda: shown.details()["warnings"] == {"OwnNodeUnknown": 1})
    once = run_as(bench, name, "--once")

    assert once.wait() == 2
    sentence = line.partition("WARNING ")[2]
    assert f"Node {name}: there is no Node of this name; near it: node1" in sentence
    assert once.lines[-1] == f"srv6kv: {sentence}"
    assert json.loads(shown.page("/healthz")[1])["nodeEligible"] is False
    assert UNKNOWN in shown.page("/readyz")[1]
    assert len(process.said(UNKNOWN)) == 1
    assert process.said("eligible") == []
    assert history.last() == before


def test_not_registered_yet(bench: Bench, history: History) -> None:
    """A Node that registers later is taken up by itself."""
    have(bench, OTHER)
    process = bench.run()
    process.wait_for(UNKNOWN)

    assert len(history.revisions()) == len(bench.foreign)

    have(bench, OWN, OTHER)
    history.wait_for(bench.expected())
    shown = Shown(process)
    shown.wait(lambda: shown.statuses() == (200, 200, 200))

    assert len(process.said("WARNING Node node1: ")) == 1


def test_malformed_and_never_good(bench: Bench, history: History) -> None:
    """A Node that makes no sense since the start is as one that is not there, until it does."""
    before = synced(bench, history)
    have(bench, BROKEN, OTHER)
    process = bench.run()
    line = process.wait_for(UNKNOWN)
    Shown(process).wait(lambda: Shown(process).statuses() == (200, 503, 503))

    assert "never seen well-formed: spec" in line
    assert history.last() == before

    have(bench, OWN, OTHER)
    shown = Shown(process)
    shown.wait(lambda: shown.statuses() == (200, 200, 200))

    assert history.last() == before


@pytest.mark.parametrize("nodes", [(OTHER,), (BROKEN, OTHER)], ids=["deleted", "malformed"])
def test_gone_and_back(bench: Bench, history: History, nodes: tuple[object, ...]) -> None:
    """While the own Node is away its state stays and other changes go on; when it is back there is
    no put. A restart meanwhile writes nothing."""
    process = bench.run()
    history.wait_for(bench.expected())
    shown = Shown(process)
    before = history.last()
    have(bench, *nodes)
    shown.wait(lambda: shown.statuses() == (200, 200, 503))
    bench.edit("first.yaml", service("first", "2096::f1", ["2001:0:0:1::6"]))
    history.wait(lambda: history.last() > before)

    assert (
        history.state()[LOCALSID + "7766:f00d::1"]
        == b'{"base_end_function":{},"sid":"7766:f00d::1"}'
    )
    assert MYSERVICE in history.state()
    assert json.loads(shown.page("/healthz")[1])["nodeEligible"] is False
    assert len(process.said("node eligible=False")) == 1

    after = history.last()
    process.stop()
    again = bench.run()
    again.wait_for(UNKNOWN)
    have(bench, OWN, OTHER)
    back = Shown(again)
    back.wait(lambda: back.statuses() == (200, 200, 200))

    assert history.last() == after
    assert history.state() == bench.expected()


@pytest.mark.parametrize("command", ["render", "plan", "explain", "trace", "simulate", "doctor"])
def test_commands_that_look(command: str, tmp_path: Path) -> None:
    """They end with the same sentence and print nothing; ``doctor`` has it as a failed check."""
    case = FIELD / "22-wrong-node-name"
    config = tmp_path / "contiv.conf"
    config.write_text((case / "contiv.conf").read_text().partition("srv6kv:")[0])
    name = "node1.example.net"
    options: list[str | Path] = ["-f", case / "objects.yaml", "--config", config]
    words: list[str | Path] = ["--node", name]
    if command in ("trace", "simulate"):
        words = ["web:80", "--from", f"{name}/2001:0:0:1::a"]
    elif command == "explain":
        words.append("web")
    elif command == "doctor":
        state = tmp_path / "state.json"
        state.write_text("{}")
        words += ["-o", "json", "--agent-state", state]
    done = srv6kv(command, *options, *words)
    sentence = "Node node1.example.net: there is no Node of this name; near it: node1; give"

    if command == "doctor":
        assert done.returncode == 1
        assert sentence in done.stdout
    else:
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"srv6kv: {sentence}")
        assert UNKNOWN in done.stderr


def test_field_case_24(tmp_path: Path) -> None:
    """The objects of a report render for the Node that is there."""
    case = FIELD / "24-own-node-deleted-and-back"
    config = tmp_path / "contiv.conf"
    config.write_text((case / "contiv.conf").read_text().partition("srv6kv:")[0])
    done = srv6kv("render", "-f", case / "objects.yaml", "--config", config, "--node", NODE)

    assert done.returncode == 0
    assert "localsid/9000:f00d::1" in done.stdout
