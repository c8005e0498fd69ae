"""Rule chains of services with thousands of ports: as short as they can be, and never larger than
etcd takes (tests/field/03-thousands-of-ports, which this makes anew)."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest
from clusters import (
    Json,
    base_keys,
    endpoint,
    endpoint_slice,
    node,
    pod_keys,
    segment_keys,
    service,
    settings,
    vrf_keys,
)
from dataplane import Delivered, Dropped, trace
from history import History
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from processes import Bench, srv6kv
from sidecar import Sidecar

from srv6kv.etcd.store import Etcd3Store
from srv6kv.etcd.values import KeyValue
from srv6kv.ligato.values import Arp, RuleChain, encode
from srv6kv.notes import Note
from srv6kv.plan.actual import Entry
from srv6kv.plan.plan import MOST_BYTES
from srv6kv.render.desired import Delta
from srv6kv.render.endpoint import MOST_SINGLE_RULES
from srv6kv.sync.reconciler import Reconciler
from srv6kv.txn import limits
from srv6kv.txn.transaction import FullKey, Operation

POD, OTHER, REMOTE = "2001:0:0:1::a", "2001:0:0:1::b", "2001:0:0:2::a"
MEDIA, WEB = "2096::66", "2096::77"
BALANCED = tuple(f"fd10::b:{number}" for number in range(1, 5))
ENDS = ("node1", "node1", "node2")
CHAIN = "config/linux/iptables/v2/rulechain/srv6kv-a-DNAT-a"
CALLS = "config/linux/iptables/v2/rulechain/srv6kv-a-NOTRACK-a"
"""The other copy of the rules of each is as this one."""

Ports = Iterable[tuple[str, int, int]]
"""Protocol, port of the service, port of the pod."""


def _bodies(
    name: str,
    address: str,
    ports: Ports,
    pods: Iterable[str] = (POD,),
    balanced: Iterable[str] = (),
) -> list[Json]:
    """A service and its slice."""
    listed = list(ports)
    outer = [(f"p{number}", item[0], item[1]) for number, item in enumerate(listed)]
    inner = [(f"p{number}", item[0], item[2]) for number, item in enumerate(listed)]
    status = {"loadBalancer": {"ingress": [{"ip": one} for one in balanced]}}
    kind: Json = {"type": "LoadBalancer", "status": status} if status["loadBalancer"] else {}
    ends = [endpoint(pod, "node2" if pod == REMOTE else "node1") for pod in pods]
    return [service(name, address, outer, **kind), endpoint_slice(name, ends, inner)]


def _run(
    first: int, count: int, shift: int = 0, protocol: str = "UDP"
) -> list[tuple[str, int, int]]:
    return [(protocol, port, port + shift) for port in range(first, first + count)]


def _media(count: int, shift: int = 0, pods: Iterable[str] = (POD,)) -> list[Json]:
    """The service of the field case."""
    return _bodies("media", MEDIA, _run(20_000, count, shift), pods, BALANCED)


def _web(pods: Iterable[str] = (POD,)) -> list[Json]:
    return _bodies("web", WEB, [("TCP", 80, 8080)], pods)


def _sidecar(*bodies: Json) -> Sidecar:
    """Node 1 with two wired pods."""
    sidecar = Sidecar(settings("seed"), "node1").wire(base_keys(1, "fe10:f00d::1"))
    sidecar.wire(pod_keys(POD, "a")).wire(pod_keys(OTHER, "b"))
    return sidecar.put(node(1), node(2), *bodies)


def _rules(sidecar: Sidecar, key: str = CHAIN) -> tuple[str, ...]:
    objects = sidecar.desired().objects
    found, other = objects[key], objects[f"{key.removesuffix('a')}b"]
    assert isinstance(found, RuleChain)
    assert isinstance(other, RuleChain)
    assert found.rules == other.rules
    return found.rules


def _rule(ports: str, to: str, address: str = MEDIA, protocol: str = "udp") -> str:
    match = f"-d {address}/128 -p {protocol} -m {protocol} --dport {ports}"
    return f"{match} -j DNAT --to-destination {to}"


def test_ports_that_follow_one_another_are_one_rule_of_a_long_chain() -> None:
    """Where the pod has the same ports: a rule for each run of them and each address."""
    ports = [
        *_run(20_000, 100),
        *_run(30_000, 2),
        *_run(40_000, 1),
        *_run(20_000, 3, protocol="TCP"),
    ]
    random.Random(1).shuffle(ports)

    assert _rules(_sidecar(*_bodies("media", MEDIA, ports))) == (
        _rule("20000:20002", POD, protocol="tcp"),
        _rule("20000:20099", POD),
        _rule("30000:30001", POD),
        _rule("40000", f"[{POD}]:40000"),
    )


def test_a_short_chain_has_a_rule_for_each_port() -> None:
    """As it always had, so that ordinary pods' chains are not written again."""
    few = _rules(_sidecar(*_bodies("media", MEDIA, _run(20_000, MOST_SINGLE_RULES))))
    many = _rules(_sidecar(*_bodies("media", MEDIA, _run(20_000, MOST_SINGLE_RULES + 1))))

    assert few == tuple(
        _rule(f"{port}", f"[{POD}]:{port}") for port in range(20_000, 20_000 + MOST_SINGLE_RULES)
    )
    assert many == (_rule(f"20000:{20_000 + MOST_SINGLE_RULES}", POD),)


def test_ports_that_are_shifted_keep_a_rule_each() -> None:
    """What no ip6tables of an agent can say in one rule is not said in one."""
    rules = _rules(_sidecar(*_bodies("media", MEDIA, _run(20_000, 100, shift=1))))

    assert rules == tuple(_rule(f"{port}", f"[{POD}]:{port + 1}") for port in range(20_000, 20_100))


def test_the_field_case_takes_five_rules() -> None:
    """4,000 ports on five addresses, and an ordinary service beside them: nothing is left out."""
    sidecar = _sidecar(*_media(4000), *_web([OTHER])).settle()

    assert len(_rules(sidecar)) == 5
    assert len(_rules(sidecar, CALLS)) == 5
    assert _notes(sidecar) == []


def _notes(sidecar: Sidecar) -> list[Note]:
    return list(sidecar.desired().all_notes())


def _lists_of(entries: Mapping[str, Entry], address: str) -> list[list[str]] | None:
    """The segment lists that the pods' VRF steers an address into; None: it does not."""
    for item in entries.values():
        value = json.loads(item.value)
        traffic = value.get("l3_traffic", {})
        place = (traffic.get("prefix_address"), traffic.get("installation_vrf_id"))
        if place == (f"{address}/128", 1):
            policy = entries[f"config/vpp/srv6/v2/policy/{value['policy_bsid']}"]
            return [one["segments"] for one in json.loads(policy.value)["segment_lists"]]
    return None


def test_a_service_that_does_not_fit_is_left_out_alone() -> None:
    """The pod answers for none of it and this node does not send it there; all else is written."""
    sidecar = _sidecar(*_media(4000, 1, [POD, REMOTE]), *_web()).settle()
    said = [note for note in _notes(sidecar) if note.reason == "InvalidValue"]

    assert _rules(sidecar) == (_rule("80", f"[{POD}]:8080", WEB, "tcp"),)
    assert _rules(sidecar, CALLS) == (f"-d {WEB}/128 -j CT --notrack",)
    assert _lists_of(sidecar.actual.entries, WEB) == [["6666:0:0:1::a"]]
    assert _lists_of(sidecar.actual.entries, MEDIA) == [["7766:f00d::2", "6666:0:0:2::a"]]
    assert "config/vpp/srv6/v2/localsid/6666:0:0:1::a" in sidecar.actual.entries
    assert [str(note.subject) for note in said] == ["Service default/media"]
    assert CHAIN in said[0].text
    assert "1876000 bytes" in said[0].text
    assert POD in said[0].text
    assert not sidecar.plan()


def test_a_service_without_another_endpoint_is_not_steered() -> None:
    """Its ClusterIP falls to the drop route, its external addresses to the discard SID."""
    sidecar = _sidecar(*_media(4000, 1)).settle()

    assert _lists_of(sidecar.actual.entries, MEDIA) is None
    assert _lists_of(sidecar.actual.entries, BALANCED[0]) == [["7766::dead"]]


def test_what_fits_again_is_written_again() -> None:
    """A smaller slice ends it, a larger one begins it, whatever came before."""
    sidecar = _sidecar(*_media(4000, 1), *_web()).settle()
    fitting = _media(1000, 1)
    sidecar.commit(sidecar.put(*fitting).plan_change())

    assert len(_rules(sidecar)) == 5001
    assert _lists_of(sidecar.actual.entries, MEDIA) == [["6666:0:0:1::a"]]
    assert _notes(sidecar) == []
    assert not sidecar.plan()

    sidecar.commit(sidecar.put(*_media(4000, 1)).plan_change())

    assert _lists_of(sidecar.actual.entries, MEDIA) is None
    assert len(_rules(sidecar)) == 1
    assert not sidecar.plan()


def test_the_largest_services_go_first() -> None:
    """A small service never yields to a large one, in whatever order they came."""
    sizes = {"a": 3000, "b": 1000, "c": 8000, "d": 500, "e": 9000}
    bodies = [
        body
        for number, (name, size) in enumerate(sizes.items())
        for body in _bodies(name, f"2096::{number + 1}", _run(1000, size, 1))
    ]
    for seed in range(3):
        random.Random(seed).shuffle(bodies)
        sidecar = _sidecar()
        for body in bodies:
            sidecar.commit(sidecar.put(body).plan_change())
        left = {str(note.subject) for note in _notes(sidecar) if note.reason == "InvalidValue"}

        assert left == {"Service default/e", "Service default/c"}
        assert len(_rules(sidecar)) == 4500
        assert not sidecar.plan()


def test_too_many_addresses_do_not_fit_either() -> None:
    """The chain of the pod's own calls has a rule for each address."""
    balanced = [f"fd10::1:{number:x}" for number in range(25_000)]
    sidecar = _sidecar(*_bodies("media", MEDIA, [("TCP", 80, 80)], [POD], balanced), *_web([POD]))

    assert _rules(sidecar, CALLS) == (f"-d {WEB}/128 -j CT --notrack",)
    assert [str(note.subject) for note in _notes(sidecar) if note.reason == "InvalidValue"] == [
        "Service default/media"
    ]


def test_a_packet_to_any_port_of_a_range_reaches_the_pod() -> None:
    """By the interpreter of the tests, which knows nothing of srv6kv; other ports stay closed."""
    sidecar = _sidecar(*_media(100, pods=[POD])).settle()
    values = {key: json.loads(entry.value) for key, entry in sidecar.actual.entries.items()}
    values |= {**vrf_keys(), **segment_keys("7766::/16", "fe10:f00d::1", [])}

    def to(port: int, protocol: str = "UDP") -> Any:
        return trace({"node1": values}, "node1", OTHER, MEDIA, protocol, port)

    for port in (20_000, 20_050, 20_099):
        assert to(port) == {Delivered("node1", POD, port)}
    closed = {Dropped("closed: the pod does not answer for this address and port")}
    assert to(19_999) == to(20_100) == to(20_050, "TCP") == closed


class _Etcd:
    """What ``run`` keeps, on an etcd that takes what ``limits.check`` lets through."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.reconciler = Reconciler(settings("seed"), "node1", "n")
        self.reconciler.most_bytes = most_bytes
        self.revision = 0
        keys = {**base_keys(1, "fe10:f00d::1"), **pod_keys(POD, "a"), **pod_keys(OTHER, "b")}
        self.reconciler.reset(
            KeyValue(FullKey(self.reconciler.prefix + key), json.dumps(value).encode(), 1)
            for key, value in keys.items()
        )
        self.put(node(1), node(2))

    def put(self, *bodies: Json) -> None:
        for body in bodies:
            metadata = body["metadata"]
            identity = (body["kind"], metadata.get("namespace", ""), metadata["name"])
            self.reconciler.intake.apply(identity, body)

    def settle(self) -> Iterator[tuple[Operation, ...]]:
        """Write what is to be written; what went out together."""
        found = self.reconciler.plan()
        for index, transaction in enumerate(found.transactions):
            extra = self.reconciler.bookkeeping(found, index)
            sent = (*transaction.operations, *extra)
            limits.check(sent)
            self.revision += 1
            self.reconciler.committed(transaction, extra, self.revision)
            yield sent
        self.reconciler.finish_change()


_SERVICES = st.lists(
    st.tuples(
        st.integers(1, 60_000),  # first port
        st.integers(1, 3000),  # how many
        st.sampled_from([0, 0, 1, 700]),  # shift
        st.integers(0, 4),  # further addresses
        st.sets(st.sampled_from([POD, OTHER, REMOTE]), min_size=1),
    ),
    min_size=1,
    max_size=4,
)


@given(_SERVICES, st.sampled_from([20_000, 100_000, 400_000, MOST_BYTES]))
@hypothesis_settings(max_examples=25, deadline=None)
def test_no_plan_has_more_than_etcd_takes(services: list[Any], most: int) -> None:
    """Whatever services there are: each transaction fits, with what is noted beside it, nothing
    raises, a second plan is empty, and whoever is sent to has all of the service's rules."""
    etcd = _Etcd(most)
    for number, (first, count, shift, more, pods) in enumerate(services):
        balanced = [f"fd10::{number}:{one}" for one in range(more)]
        ports = _run(first, count, shift)
        etcd.put(*_bodies(f"s{number}", f"2096::{number + 1}", ports, sorted(pods), balanced))
    for sent in etcd.settle():
        ours = [one for one in sent if one.key.startswith(etcd.reconciler.prefix)]
        assert limits.size_of(ours) <= most

    assert not etcd.reconciler.plan()
    for number, (first, count, shift, _, pods) in enumerate(services):
        for pod, sandbox in ((POD, "a"), (OTHER, "b")):
            if pod in pods:
                _assert_whole(etcd, f"2096::{number + 1}", pod, sandbox, _run(first, count, shift))


def _assert_whole(etcd: _Etcd, address: str, pod: str, sandbox: str, ports: Ports) -> None:
    """All translations are there and the pod is sent to, or neither."""
    entries = etcd.reconciler.actual.entries
    chain = json.loads(entries[CHAIN.replace("-a-D", f"-{sandbox}-D")].value)
    covered: set[int] = set()
    for rule in chain["rules"]:
        if rule.startswith(f"-d {address}/128 "):
            first, _, last = rule.partition("--dport ")[2].partition(" ")[0].partition(":")
            covered.update(range(int(first), int(last or first) + 1))
    lists = _lists_of(entries, address) or []
    is_sent = [f"6666:0:0:1::{pod[-1]}"] in lists

    assert covered == ({port for _, port, _ in ports} if is_sent else set())


def test_a_smaller_server_leaves_out_more() -> None:
    """The limit may come down while ``run`` works: what no longer fits goes, with its note."""
    etcd = _Etcd()
    etcd.put(*_media(1000, 1), *_web())
    list(etcd.settle())
    etcd.reconciler.most_bytes = 200_000
    list(etcd.settle())
    value = json.loads(etcd.reconciler.actual.entries[CHAIN].value)

    assert len(value["rules"]) == 1
    assert "InvalidValue" in {note.reason for note in etcd.reconciler.notes()}
    assert not etcd.reconciler.plan()


def test_the_sizes_are_those_of_the_values() -> None:
    """What decides is what is written, to the byte: one more port does not fit."""
    sidecar = _sidecar(*_bodies("media", MEDIA, _run(9000, 2000, 1)), *_web())
    size = len(CHAIN) + len(encode(sidecar.desired().objects[CHAIN]))
    for room, rules in ((size + 1, 2001), (size - 1, 1)):
        sidecar.renderer.limit(room + 4096)
        sidecar.renderer.update(sidecar.cluster)
        found = sidecar.renderer.desired.objects[CHAIN]
        assert isinstance(found, RuleChain)

        assert len(found.rules) == rules


def test_what_is_noted_about_ourselves_has_an_end() -> None:
    """Neighbours beyond what one transaction can note are not made, with a note; the rest is."""
    etcd = _Etcd()
    desired = etcd.reconciler.renderer.desired
    for number in range(2000):
        arp = Arp("memif" + "x" * 50, f"2001:0:0:1::{number:x}", "02:fe:00:00:00:05", static=True)
        desired.shared[arp.key] = arp
    sent = list(etcd.settle())
    notes = {note.text for note in etcd.reconciler.notes() if note.reason == "InvalidValue"}

    assert sum(one.is_put for part in sent for one in part if "/arp/" in one.key) > 600
    assert any("it is not created" in text for text in notes)
    assert not etcd.reconciler.plan()


def test_what_has_no_room_for_its_note_follows_when_there_is_some() -> None:
    """Without a comparison of everything; and what nobody wants any more is told no more."""
    etcd = _Etcd()
    desired = etcd.reconciler.renderer.desired
    arps = [
        Arp("memif" + "x" * 50, f"2001:0:0:1::{number:x}", "02:fe:00:00:00:05", static=True)
        for number in range(1000, 2000)
    ]
    desired.shared.update({arp.key: arp for arp in arps})
    list(etcd.settle())
    crowded = {key for key in desired.shared if key not in etcd.reconciler.actual.entries}
    assert crowded

    gone = [arp.key for arp in arps if arp.key not in crowded][:300]
    for key in gone:
        del desired.shared[key]
    etcd.reconciler._pending = Delta(set(gone))
    for _ in range(2):  # each notes what was noted before it as well
        list(etcd.settle())

        assert not etcd.reconciler.compares_all

    assert crowded <= etcd.reconciler.actual.entries.keys()
    assert not any("not created" in note.text for note in etcd.reconciler.notes())


@pytest.mark.parametrize("name", ["shared", "ranges"])
def test_notes_that_we_cannot_have_written_count_as_none(name: str) -> None:
    """Somebody else's megabyte in our notes does not come back in each transaction."""
    etcd = _Etcd()
    text = {
        "shared": json.dumps({f"config/x/{n}": "y" * 100 for n in range(8000)}),
        "ranges": json.dumps({"keys": [f"config/x/{n}" for n in range(40_000)]}),
    }[name]
    etcd.reconciler.reset([KeyValue(FullKey(f"/srv6kv/n/{name}"), text.encode(), 5)])
    etcd.put(*_web([REMOTE]))

    assert list(etcd.settle())
    assert not etcd.reconciler.plan()


def test_run_goes_on_beside_a_service_that_does_not_fit(bench: Bench, history: History) -> None:
    """On a real etcd: no crash and no retry without end; a later change of another service is
    written, and ``plan`` says the same."""
    pod = "2001:0:0:1::5"
    media = _bodies("media", MEDIA, _run(20_000, 4000, 1), [pod], BALANCED)
    bench.edit("media.json", json.dumps({"kind": "List", "items": [_typed(one) for one in media]}))
    process = bench.run()
    history.wait_for(bench.expected())
    web = _bodies("web", WEB, [("TCP", 80, 8080)], [pod])
    bench.edit("web.json", json.dumps({"kind": "List", "items": [_typed(one) for one in web]}))
    history.wait_for(bench.expected())
    said = process.wait_for("Service default/media: spec.ports: its translations")
    planned = srv6kv("plan", *bench.options())

    assert "InvalidValue" in said
    assert "spec.ports: its translations" in planned.stderr
    assert (planned.returncode, planned.stdout) == (0, "")
    assert any(WEB.encode() in value for value in history.state().values())
    assert process.said("ValueError") == []
    assert process.stop() == 0


def test_more_chains_of_an_earlier_boot_than_one_transaction_holds(
    bench: Bench, history: History, store: Etcd3Store
) -> None:
    """They go in several, before anything else, and then ``run`` begins."""
    store.put(f"/srv6kv/{bench.label}/boot", '{"id":"another","observed":1}')
    stale = [f"config/linux/iptables/v2/rulechain/srv6kv-{number}-OUTPUT" for number in range(4200)]
    value = '{"namespace":{"type":"FD","reference":"/proc/77/ns/net"}}'
    for start in range(0, len(stale), 100):
        part = stale[start : start + 100]
        make = store.transactions
        store.transaction([], [make.put(bench.prefix + key, value) for key in part], [])
    process = bench.run()
    history.wait_for(bench.expected())

    assert process.said("ValueError") == []
    assert process.stop() == 0


def _typed(body: Json) -> Json:
    version = "discovery.k8s.io/v1" if body["kind"] == "EndpointSlice" else "v1"
    return {"apiVersion": version, **body}
