"""``srv6kv run`` beside an object that cannot be read: it holds back nothing of others'."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from clusters import Json, base_keys, pod_keys
from history import POLICY, History
from processes import Bench, drop_writer, srv6kv

from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.etcd.store import Etcd3Store

CASE = Path(__file__).parents[1] / "field" / "40-malformed-object-holds-deletes"
PODS = ("2001:0:0:1::a", "2001:0:0:1::b")
GONE, WEB = "forK8sService-default-gone", "forK8sService-default-web"
NODE2 = "9000:f00d::2"
"""The SID of the node that cannot be read."""
SLICE: Json = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv6"}
POISON: dict[str, dict[str, Any]] = {
    "node with an empty address": {},
    "node with a number for a spec": {"node2": {"spec": 5}},
    "node with a text for a status": {"node2": {"status": "ready"}},
    "node with metadata that make no sense": {
        "node2": {"metadata": {"name": "node2", "labels": 5}}
    },
    "slice of another tenant": {
        "poison": {**SLICE, "metadata": {"name": "poison", "namespace": "evil"}, "endpoints": 5}
    },
    "slice of another tenant without labels that can be read": {
        "poison": {**SLICE, "metadata": {"name": "poison", "namespace": "evil", "labels": 5}}
    },
    "service of another tenant": {
        "poison": {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "poison", "namespace": "evil"},
            "spec": [],
        }
    },
}


def case() -> list[Json]:
    """The objects of the field case, without its bad address."""
    bodies = [*yaml.safe_load_all((CASE / "objects.yaml").read_text())]
    for body in bodies:
        if body["kind"] == "Node":
            status = body["status"]
            status["addresses"] = [one for one in status["addresses"] if one["address"]]
    return bodies


def poisoned(what: str) -> list[Json]:
    """The objects with something that cannot be read."""
    if not POISON[what]:
        return [*yaml.safe_load_all((CASE / "objects.yaml").read_text())]
    changes = dict(POISON[what])
    found = [{**body, **changes.pop(body["metadata"]["name"], {})} for body in case()]
    return [*found, *changes.values()]


def without_gone(bodies: list[Json]) -> list[Json]:
    """The objects without the service that goes, and its slice."""
    return [body for body in bodies if not body["metadata"]["name"].startswith("gone")]


def save(bench: Bench, bodies: list[Json]) -> None:
    """Make these all the manifests."""
    text = yaml.safe_dump_all(bodies, sort_keys=False)
    draft = bench.folder / "draft"
    draft.write_text(text)
    draft.rename(bench.manifests / "objects.yaml")


@pytest.fixture
def bench(tmp_path: Path, etcd: EmbeddedEtcd, store: Etcd3Store, label: str) -> Iterator[Bench]:
    """Node 1 of the field case, its pods wired by keys of the agent."""
    made = Bench(tmp_path / "bench", etcd, label)
    for manifest in made.manifests.iterdir():
        manifest.unlink()
    conf = yaml.safe_load((CASE / "contiv.conf").read_text())
    del conf["srv6kv"]
    made.config.write_text(json.dumps(conf))
    wiring = base_keys(1, "fe10:f00d::1") | pod_keys(PODS[0], "a1") | pod_keys(PODS[1], "b1")
    for key, value in wiring.items():
        made.put_foreign(store, key, json.dumps(value))
    yield made
    made.end()


def named(history: History, name: str) -> list[str]:
    """The keys of the agent whose name ends so."""
    return [key for key in history.state() if key.endswith(name)]


@pytest.mark.parametrize("what", POISON)
def test_an_object_that_never_could_be_read(bench: Bench, history: History, what: str) -> None:
    """A service that goes while srv6kv runs beside it goes, and so does an endpoint."""
    save(bench, poisoned(what))
    bench.run()
    history.wait(lambda: bool(named(history, GONE) and named(history, WEB)))
    save(bench, without_gone(poisoned(what)))
    history.wait(lambda: not named(history, GONE))
    history.wait(lambda: not named(history, f"{POLICY}8fff::9"))
    bodies = without_gone(poisoned(what))
    for body in bodies:
        if body["metadata"]["name"] == "web-1":
            body["endpoints"] = body["endpoints"][1:]
    save(bench, bodies)
    history.wait(lambda: b"9300:0:0:1::a" not in history.state().get(f"{POLICY}8fff::10", b""))


@pytest.mark.parametrize("what", [what for what in POISON if POISON[what]])
def test_a_restart_beside_an_object_that_cannot_be_read(
    bench: Bench, store: Etcd3Store, history: History, what: str
) -> None:
    """What went while srv6kv was away goes; what leads to a node that cannot be read stays."""
    save(bench, case())
    process = bench.run()
    history.wait(lambda: bool(named(history, GONE) and named(history, WEB)))
    process.kill()
    drop_writer(store, bench.label)
    save(bench, without_gone(poisoned(what)))
    before = history.state()
    assert any(NODE2 in key for key in before)
    bench.run()
    history.wait(lambda: not named(history, GONE))
    history.wait(lambda: not named(history, f"{POLICY}8fff::9"))
    after = history.state()

    assert {key for key in before if NODE2 in key} <= after.keys()
    assert after[f"{POLICY}8fff::10"] == before[f"{POLICY}8fff::10"]
    mine = (GONE, "localsid/9300:0:0:1::b", "dst/9300:0:0:1::b/128/gw/::", f"{POLICY}8fff::9")
    assert before.keys() - after.keys() == {
        key for key in before if key.endswith(mine) or "srv6kv-b1-" in key
    }


def test_plan_says_what_run_does(bench: Bench, store: Etcd3Store, history: History) -> None:
    """Beside an object, a document without a name and a file that cannot be read."""
    save(bench, case())
    process = bench.run()
    history.wait(lambda: bool(named(history, GONE) and named(history, WEB)))
    process.kill()
    drop_writer(store, bench.label)
    save(bench, without_gone(poisoned("slice of another tenant")))

    assert f"/{GONE}" in srv6kv("plan", *bench.options()).stdout

    bench.edit("unnamed.yaml", "kind: Node\nmetadata: {}\n")

    assert f"/{GONE}" in srv6kv("plan", *bench.options()).stdout

    bench.edit("unnamed.yaml", "kind: Service\nmetadata: {namespace: evil}\n")

    assert f"/{GONE}" in srv6kv("plan", *bench.options()).stdout

    bench.edit("unnamed.yaml", "kind: Service\nmetadata: {}\n")
    held = srv6kv("plan", *bench.options())

    assert held.stdout == ""
    assert "DeletesHeld" in held.stderr

    bench.edit("unnamed.yaml", "kind: [")
    held = srv6kv("plan", *bench.options())

    assert held.stdout == ""
    assert "DeletesHeld" in held.stderr
