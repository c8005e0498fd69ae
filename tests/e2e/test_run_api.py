"""``srv6kv run`` and ``plan`` on a Kubernetes API server: what etcd goes through, from revision 1.

An API server that is away, forbids, or answers what is not so never makes anything go.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import inprocess
import pytest
from api_bench import ApiBench
from apiserver import FakeApiServer, Fault
from etcd_server import eventually
from figures import Timed
from history import POLICY, STEERING, History, violations
from invariants import written_by
from kube_objects import service as service_object
from processes import MYSERVICE, NODE, Bench, drop_writer, service, srv6kv
from real_apiserver import ApiUnderTest
from tcp_proxy import TcpProxy

from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.etcd.store import Etcd3Store
from srv6kv.run.controller import Controller
from srv6kv.sources.api import ApiServer
from srv6kv.sources.apisource import KubernetesSource

HELD = "(MassDeleteHeld)"
MANY = 12
WATCHED = ("services", "endpointslices", "nodes")


@pytest.fixture
def bench(
    tmp_path: Path, etcd: EmbeddedEtcd, store: Etcd3Store, label: str, api: FakeApiServer
) -> Iterator[ApiBench]:
    """A node with its wiring in etcd and its cluster in the tests' API server."""
    made = ApiBench(tmp_path / "bench", etcd, label, api)
    made.load_agent_state(store)
    yield made
    made.end()


@pytest.fixture
def any_bench(
    tmp_path: Path, etcd: EmbeddedEtcd, store: Etcd3Store, label: str, any_api: ApiUnderTest
) -> Iterator[ApiBench]:
    """The same, and once more with a real API server."""
    made = ApiBench(tmp_path / "bench", etcd, label, any_api)
    made.load_agent_state(store)
    yield made
    made.end()


def deletes(history: History) -> list[tuple[int, str]]:
    """What ever went, and at which revision."""
    return [
        (number, change.key)
        for number, changes in history.revisions()
        for change in changes
        if change.value is None
    ]


def _assert(holds: bool) -> None:
    assert holds


def add_many(bench: Bench) -> list[str]:
    """More services than the brake needs; their manifests."""
    names = [f"many{index}" for index in range(MANY)]
    for index, name in enumerate(names):
        bench.edit(f"{name}.yaml", service(name, f"2096::e{index:x}", ["2001:0:0:1::6"]))
    return [f"{name}.yaml" for name in names]


def test_first_sync(
    any_bench: ApiBench, store: Etcd3Store, connect: Callable[..., Etcd3Store]
) -> None:
    """What an API server has is rendered as the same manifests are, in one revision; a change of
    it is one more, in less than a second."""
    history = History(store, any_bench.label)
    any_bench.run()
    history.wait_for(any_bench.expected())
    first = history.last()
    any_bench.change()
    history.wait_for(any_bench.expected())
    any_bench.remove("podthere.yaml")
    history.wait_for(any_bench.expected())

    assert len(history.revisions()) - len(any_bench.foreign) >= 3
    assert [number for number, _ in history.revisions() if number <= first][-1] == first
    assert len(json.loads(history.state()[MYSERVICE])["segment_lists"]) == 2
    assert violations(history.revisions()) == []


def test_restart(bench: ApiBench, history: History) -> None:
    """A restart with nothing changed writes nothing and lists once."""
    assert bench.run("--once").wait() == 0

    history.wait_for(bench.expected())
    seen, listed = history.last(), len(bench.api.came("list", "services"))  # type: ignore[attr-defined]

    assert bench.run("--once").wait() == 0
    assert history.last() == seen
    assert len(bench.api.came("list", "services")) == listed + 1  # type: ignore[attr-defined]


def test_takeover_lists_again(
    bench: ApiBench, history: History, store: Etcd3Store, tmp_path: Path
) -> None:
    """A process that takes over and has not heard of the last changes writes nothing before it has
    listed the cluster anew."""
    assert isinstance(bench.api, FakeApiServer)
    first = bench.run()
    history.wait_for(bench.expected())
    address = bench.api.url.rpartition("/")[2]
    with TcpProxy(address) as proxy:
        way = tmp_path / "proxy.conf"
        way.write_text(bench.api.kubeconfig.read_text().replace(address, proxy.endpoint))
        second = bench.run("--kubeconfig", way)
        second.wait_for("standby: ")
        for plural in WATCHED:
            bench.api.wait_for_request("watch", plural, 2)
        proxy.freeze()
        bench.change()
        history.wait_for(bench.expected())
        first.kill()
        drop_writer(store, bench.label)
        second.wait_for("waiting for a complete list")
        history.wait_for_silence(0.5)

        assert history.state() == bench.expected()

        proxy.cut()
        proxy.thaw()
        second.wait_for("plumbing found=")

    assert written_by(second) == []
    assert history.state() == bench.expected()


def running(bench: ApiBench, again_seconds: float = 0.5) -> AbstractContextManager[Controller]:
    """The loop of ``run`` on the API server, in this process."""
    source = KubernetesSource(ApiServer(bench.api.kubeconfig), NODE)
    return inprocess.running(bench, bench.server.endpoint, source, again_seconds=again_seconds)


def keeps(*names: str) -> Fault:
    """The next list of a resource has only these objects."""
    return Fault(keep=lambda one: one["metadata"]["name"] in names, times=1)


FAULTS: dict[str, list[tuple[str, str, Fault]]] = {
    "away": [("*", "*", Fault(cut=0))],
    "forbidden": [("*", "*", Fault(status=403))],
    "who are you": [("*", "*", Fault(status=401))],
    "a proxy's page": [("*", "*", Fault(body=b"<html>Sign in</html>"))],
    "cut": [("*", "*", Fault(cut=100))],
    "no services": [("list", "services", keeps())],
    "no slices": [("list", "endpointslices", keeps())],
    "no nodes": [("list", "nodes", keeps())],
    "nothing": [("list", one, keeps()) for one in ("services", "endpointslices", "nodes")],
    "half of it": [
        ("list", "services", keeps("myservice", "kube-dns")),
        ("list", "endpointslices", keeps("myservice-1", "podthere-1")),
    ],
}


def test_do_no_harm(bench: ApiBench, history: History, quick: None) -> None:
    """Whatever a server answers when it is asked anew, nothing goes that is in the cluster: not
    one operation is a deletion, and what is added later arrives. Time passes 20 times faster."""
    api = bench.api
    assert isinstance(api, FakeApiServer)
    with running(bench):
        history.wait_for(bench.expected())
        for number, (name, faults) in enumerate(FAULTS.items()):
            for verb, plural, fault in faults:
                api.harm(verb, plural, fault)
            api.forget_history()  # watches break, and every resource has to be listed
            for _, _, fault in faults:
                api.wait_for_suffering(fault, min(3, fault.times))
            api.heal()
            api.wait_until_watched(*WATCHED)
            added = service(f"added{number}", f"2096::c{number:x}", ["2001:0:0:1::6"])
            bench.edit(f"added{number}.yaml", added)
            history.wait_for(bench.expected())
            assert deletes(history) == [], name

    assert violations(history.revisions()) == []


def test_shortened_list_at_the_start(bench: ApiBench, history: History) -> None:
    """A start whose first list of a resource is empty waits for a second one, and writes nothing
    if that has all; it says so once."""
    assert bench.run("--once").wait() == 0

    history.wait_for(bench.expected())
    before = history.last()
    api = bench.api
    assert isinstance(api, FakeApiServer)
    for missing in WATCHED:
        api.harm("list", missing, keeps())
        process = bench.run("--once")

        assert process.wait() == 0
        about = "Node node1: there is no Node" if missing == "nodes" else "Cluster: "
        assert len(process.said(f"WARNING {about}")) == 1
        assert history.last() == before


def test_outage_at_the_start(bench: ApiBench, history: History) -> None:
    """A server that is away at the start is waited for; nothing is written before."""
    api = bench.api
    assert isinstance(api, FakeApiServer)
    api.stop()
    process = bench.run()
    process.wait_for("(ApiUnavailable)")
    process.wait_for("waiting for a complete list")

    assert len(history.revisions()) == len(bench.foreign)

    api.start()
    history.wait_for(bench.expected())

    assert len(history.revisions()) == len(bench.foreign) + 1
    assert len(process.said("WARNING API server: ")) == 1


def test_stop_while_frozen(bench: ApiBench, history: History, timed: Timed) -> None:
    """SIGTERM ends it with exit code 0, also if the server answers nothing."""
    api = bench.api
    assert isinstance(api, FakeApiServer)
    frozen = Fault(hold=True)
    process = bench.run()
    history.wait_for(bench.expected())
    api.wait_until_watched(*WATCHED)
    api.harm("*", "*", frozen)
    api.cut()
    api.wait_for_suffering(frozen)
    started = time.monotonic()

    assert process.stop() == 0
    timed("the end after SIGTERM while the API server is frozen", time.monotonic() - started, 2.0)


def test_gone_while_away(bench: ApiBench, history: History, quick: None) -> None:
    """What goes while the server is away goes as soon as two lists lack it."""
    api = bench.api
    assert isinstance(api, FakeApiServer)
    with running(bench):
        history.wait_for(bench.expected())
        api.wait_until_watched(*WATCHED)
        api.stop()
        bench.remove("podthere.yaml")
        api.store.compact()
        api.start()
        history.wait_for(bench.expected())

    assert any(len(api.came("list", one)) >= 3 for one in ("services", "endpointslices"))
    assert violations(history.revisions()) == []


@pytest.mark.parametrize("again_seconds", [1.0, pytest.param(10.0, marks=pytest.mark.faults)])
def test_mass_delete(
    bench: ApiBench,
    history: History,
    caplog: pytest.LogCaptureFixture,
    timed: Timed,
    again_seconds: float,
) -> None:
    """If most policies are to go, a further list is asked for at once and one more some time
    later, over a new connection; when both agree they go, in one revision. One line says that they
    were held."""
    names = add_many(bench)
    api = bench.api
    assert isinstance(api, FakeApiServer)
    with running(bench, again_seconds) as controller:
        history.wait_for(bench.expected())
        api.wait_until_watched(*WATCHED)
        api.stop()
        bench.remove(*names)
        api.store.compact()
        caplog.clear()
        api.start()

        def is_held() -> None:
            assert "MassDeleteHeld" in controller.progress.state.warnings

        eventually(is_held, AssertionError)
        held = time.monotonic()
        history.wait_for(bench.expected(), 60)
        spent = time.monotonic() - held
    third = api.came("list", "services")[-1]

    assert spent >= again_seconds - 0.5
    timed(f"a mass deletion is done, held for {again_seconds} s", spent, again_seconds + 20)
    assert third.port not in {one.port for one in api.came("*") if one.at < held}
    assert sum(key.startswith((POLICY, STEERING)) for _, key in deletes(history)) == 2 * MANY
    assert violations(history.revisions()) == []
    assert sum(HELD in record.getMessage() for record in caplog.records) == 1


def test_short_node_lists(bench: ApiBench, history: History, quick: None) -> None:
    """Two lists without most Nodes take no segment list away, because a third one has them."""
    there = [f"2001:0:0:2::{index:x}" for index in range(16, 40)]
    manifest = service("wide", "2096::f0", there).replace(
        '"nodeName": "node1"', '"nodeName": "node2"'
    )
    bench.edit("wide.yaml", manifest)
    api = bench.api
    assert isinstance(api, FakeApiServer)
    with running(bench) as controller:
        history.wait_for(bench.expected())
        api.wait_until_watched(*WATCHED)
        before, lists = history.last(), len(api.came("list", "nodes"))
        short = Fault(keep=lambda one: one["metadata"]["name"] == NODE, times=3)
        api.harm("list", "nodes", short)
        api.forget_history()
        api.wait_for_request("list", "nodes", lists + 4)

        def is_done() -> None:
            assert "MassDeleteHeld" not in controller.progress.state.warnings
            assert controller.progress.state.waits_since is None

        eventually(is_done, AssertionError)

    assert history.last() == before
    assert short.suffered == 3


def test_no_services_at_all(bench: ApiBench, history: History, quick: None) -> None:
    """Lists that are all empty take nothing away, however often they come."""
    api = bench.api
    assert isinstance(api, FakeApiServer)
    with running(bench, 0.1) as controller:
        history.wait_for(bench.expected())
        api.wait_until_watched(*WATCHED)
        before, lists = history.last(), len(api.came("list", "nodes"))
        for plural in WATCHED:
            api.harm("list", plural, Fault(keep=lambda _: False))
        api.forget_history()
        api.wait_for_request("list", "nodes", lists + 3)
        eventually(
            lambda: _assert("MassDeleteHeld" in controller.progress.state.warnings), AssertionError
        )
        history.wait_for_silence(1.0)
        kept = history.last()
        api.heal()
        api.forget_history()
        eventually(
            lambda: _assert("MassDeleteHeld" not in controller.progress.state.warnings),
            AssertionError,
        )

    assert (kept, history.last()) == (before, before)


def test_a_wrong_short_list_is_put_right(bench: ApiBench, history: History, quick: None) -> None:
    """What two lists lack goes, if it is little; a further list some time later brings it back."""
    api = bench.api
    assert isinstance(api, FakeApiServer)
    with running(bench):
        history.wait_for(bench.expected())
        api.wait_until_watched(*WATCHED)
        whole = bench.expected()
        short = Fault(keep=lambda one: one["metadata"]["name"] != "myservice", times=2)
        api.harm("list", "services", short)
        api.forget_history()
        history.wait(lambda: MYSERVICE not in history.state())
        history.wait_for(whole)

    assert short.suffered == 2
    assert violations(history.revisions()) == []


def test_held_mass_delete_is_not_done(bench: ApiBench, history: History, quick: None) -> None:
    """If the server is gone before the list that is to agree, everything stays; what the next list
    has then decides."""
    names = add_many(bench)
    api = bench.api
    assert isinstance(api, FakeApiServer)
    with running(bench) as controller:
        history.wait_for(bench.expected())
        api.wait_until_watched(*WATCHED)
        api.stop()
        bench.remove(*names)
        api.store.compact()
        away = [Fault(cut=0, spare=2) for _ in range(2)]
        api.harm("list", "services", away[0])
        api.harm("list", "endpointslices", away[1])
        api.start()

        def is_held() -> None:
            assert {"ApiUnavailable", "MassDeleteHeld"} <= controller.progress.state.warnings.keys()
            assert sum(fault.suffered for fault in away) >= 2

        eventually(is_held, AssertionError)
        kept = deletes(history)
        bench.edit(names[0], service("many0", "2096::e0", ["2001:0:0:1::6"]))
        api.heal()
        history.wait_for(bench.expected())

    assert kept == []
    assert sum(key.startswith(POLICY) for _, key in deletes(history)) == MANY - 1


def test_malformed_object(bench: ApiBench, history: History) -> None:
    """An object that makes no sense keeps its last good version; all others go on."""
    process = bench.run()
    history.wait_for(bench.expected())
    body = service_object("myservice", "2096::d765")
    body["spec"]["ports"] = "many"
    bench.api.apply(body)
    process.wait_for("Service default/myservice: spec.ports: ")
    bench.edit("first.yaml", service("first", "2096::f1", ["2001:0:0:1::6"]))
    history.wait_for(bench.expected())

    assert MYSERVICE in history.state()
    assert deletes(history) == []


def test_plan(bench: ApiBench) -> None:
    """``plan`` says of an API server what it says of the same manifests, and asks nothing twice."""
    manifests = ["--manifests", bench.manifests, *bench.options()[2:]]
    one = srv6kv("plan", *bench.options())
    other = srv6kv("plan", *manifests)
    api = bench.api
    assert isinstance(api, FakeApiServer)

    assert (one.returncode, one.stdout) == (0, other.stdout)
    assert one.stdout.count("\nput ") > 20
    assert len(api.came("list", "services")) == 1

    api.stop()
    away = srv6kv("plan", *bench.options())

    assert away.returncode == 3
    assert "/api/v1/services: " in away.stderr


# What cannot be read ----------------------------------------------------------------------------


def deep(body: bytes) -> bytes:
    """A list or event with an annotation that nests 1,200 deep where one is marked for it."""
    nested = b'{"a":' * 1200 + b"1" + b"}" * 1200
    return body.replace(b'"annotations": {"deep": ""}', b'"annotations": {"deep": ' + nested + b"}")


def test_an_object_that_nests_too_deep(
    bench: ApiBench, store: Etcd3Store, history: History, api: FakeApiServer
) -> None:
    """It is malformed, and every other object of the list and of the watch counts: a service that
    went while srv6kv was away goes, and those that go later too."""
    keys = [f"{STEERING}forK8sService-default-s{number}" for number in range(3)]
    for number in range(3):
        bench.edit(f"s{number}.yaml", service(f"s{number}", f"2096::e{number}", ["2001:0:0:1::6"]))
    process = bench.follow()
    history.wait(lambda: all(key in history.state() for key in keys))
    process.kill()
    drop_writer(store, bench.label)
    bench.remove("s0.yaml")
    metadata = {"name": "poison", "namespace": "evil", "annotations": {"deep": ""}}
    poison = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": "IPv6",
        "endpoints": [],
    }
    api.apply(poison)
    api.harm("list", "endpointslices", Fault(change=deep))
    api.harm("watch", "endpointslices", Fault(line=deep))
    process = bench.run()
    history.wait(lambda: keys[0] not in history.state())
    bench.remove("s1.yaml")
    history.wait(lambda: keys[1] not in history.state())
    api.apply({**poison, "metadata": {**metadata, "labels": {"x": "y"}}})
    bench.remove("s2.yaml")
    history.wait(lambda: keys[2] not in history.state())

    assert process.said("EndpointSlice evil/poison: metadata.annotations")
