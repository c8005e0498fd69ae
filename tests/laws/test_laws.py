"""What holds for every cluster and every history of it.

A failing example prints what reproduces it; it then becomes a test with a name.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping
from ipaddress import IPv6Address
from itertools import combinations, pairwise
from typing import Any

from clusters import Json, endpoint, endpoint_slice, node, pod_cidr, sid
from clusters import service as service_named
from clusters import settings as settings_named
from dataplane import Delivered, Dropped, Left, Network, Outcome, ToHost
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kubeproxy import (
    TRAFFIC,
    Offer,
    Pair,
    Port,
    age,
    balancer_addresses,
    categorize,
    cluster_ip,
    offers,
    policies_of,
    ports_of,
    reached,
    verdict,
    winner,
    zone_of,
)
from sidecar import AGENT_PREFIX, Sidecar
from strategies import (
    ADDRESSES,
    BALANCED,
    FOREIGN,
    OWN,
    STRAY,
    STRAY_PART,
    Event,
    History,
    Scene,
    histories,
    scenes,
)

LOCALSID = "config/vpp/srv6/v2/localsid/"
POLICY = "config/vpp/srv6/v2/policy/"
STEERING = "config/vpp/srv6/v2/steering/"


def law(examples: int) -> settings:
    """How hard a law is tried: the same examples every time, printed when one fails; with
    ``--hypothesis-profile=explore`` twice as many."""
    profile = settings.default
    assert profile is not None
    return settings(
        max_examples=examples // 2 if profile.derandomize else examples,
        deadline=None,
        derandomize=True,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


# What clashes, and what a state says without it --------------------------------------------------


def clashing(conf: str) -> set[str]:
    """The pool's addresses whose first BSID is another's, or a text prefix of it or the reverse;
    those of load balancers have two steerings each."""
    prefix = str(settings_named(conf).sid.service_bsid)
    pool = ADDRESSES + BALANCED
    first = {address: sid(prefix, address) for address in pool}
    return {*BALANCED} | {
        one
        for one in pool
        for other in pool
        if one != other
        and (first[one].startswith(first[other]) or first[other].startswith(first[one]))
    }


def meaning(texts: Mapping[str, bytes]) -> dict[str, Any]:
    """A state without BSIDs and steering names: what each (VRF, prefix) is steered into."""
    values = {key: json.loads(text) for key, text in texts.items()}
    found: dict[str, Any] = {}
    for key, value in values.items():
        if key.startswith(STEERING):
            policy = {**values[POLICY + value["policy_bsid"]], "bsid": ""}
            place = json.dumps(value["l3_traffic"])
            assert place not in found
            found[place] = policy
        elif not key.startswith(POLICY):
            found[key] = texts[key]
    used = {value["policy_bsid"] for key, value in values.items() if key.startswith(STEERING)}
    policies = {key.removeprefix(POLICY) for key in values if key.startswith(POLICY)}
    assert policies == used, "a policy without a steering"
    return found


def unclashing(texts: Mapping[str, bytes], conf: str) -> dict[str, bytes]:
    """The steerings and policies of addresses that clash with none, byte for byte."""
    left_out = clashing(conf)
    found = {}
    for key, text in texts.items():
        if key.startswith(STEERING):
            value = json.loads(text)
            address = value["l3_traffic"]["prefix_address"].partition("/")[0]
            if address not in left_out:
                policy = POLICY + value["policy_bsid"]
                found[policy] = texts[policy]
                if key not in (f"{STEERING}forK8sService-a-b-c", f"{STEERING}{_full(address)}"):
                    found[key] = text
    return found


def _full(address: str) -> str:
    """The steering name of the two services that could share one, when it is not shared."""
    return f"forK8sService-a-b-c_{address}"


def assert_alike(one: Sidecar, other: Sidecar, conf: str) -> None:
    """Both etcds hold the same bytes but for what clashes."""
    assert meaning(one.owned()) == meaning(other.owned())
    assert unclashing(one.owned(), conf) == unclashing(other.owned(), conf)


# Planning ----------------------------------------------------------------------------------------


@law(240)
@given(scenes())
def test_planning_twice_gives_nothing(scene: Scene) -> None:
    """After a plan there is nothing to do, with keys of others around and after a restart."""
    sidecar = scene.sidecar().wire(FOREIGN).settle()

    assert sidecar.plan().transactions == ()
    assert sidecar.plan_change().transactions == ()
    assert sidecar.restarted().put(*scene.objects).plan().transactions == ()


@law(160)
@given(histories())
def test_doing_a_plan_gives_the_desired_state(history: History) -> None:
    """Whatever etcd held of ours before, after a plan it holds what an empty etcd would get."""
    before = history.first.sidecar().settle()
    after = before.restarted()
    for event in _rewire(history):
        event.happen(after)
    after.put(*history.last.objects).settle()

    assert_alike(history.last.sidecar().settle(), after, history.last.conf)


def _rewire(history: History) -> list[Event]:
    return [event for bunch in history.steps for event in bunch if event.kind == "wire"]


@law(160)
@given(histories())
def test_keys_of_others_are_never_in_a_plan(history: History) -> None:
    """No operation names a key of somebody else, whatever happens."""
    sidecar = Sidecar(settings_named(history.last.conf), OWN).wire(FOREIGN)
    others = FOREIGN.keys() | history.first.keys[OWN].keys() | history.last.keys[OWN].keys()
    for bunch in history.steps:
        for event in bunch:
            event.happen(sidecar)
        for operation in sidecar.steps(sidecar.plan()):
            assert operation.key.removeprefix(AGENT_PREFIX) not in others


# The way ------------------------------------------------------------------------------------------


def _is_reached(sid: str, values: Mapping[str, Json]) -> bool:
    """Whether a SID is here, or by a route behind another node, as the end of a tunnel is."""
    return LOCALSID + sid in values or any(
        value.get("dst_network") == f"{sid}/128" and value["next_hop_addr"] != "::"
        for value in values.values()
    )


def _drops(values: Mapping[str, Json], sid: str) -> bool:
    """Whether a SID is that of the drop for addresses without endpoints."""
    routes = [v for k, v in values.items() if k.endswith(f"/dst/{sid}/128/gw/::")]
    return sid.endswith("::dead") and [route["type"] for route in routes] == ["DROP"]


def assert_sound(sidecar: Sidecar) -> None:
    """Nothing in etcd dangles, nothing is there twice, and no BSID is taken for another."""
    values = {key: v for key, v in sidecar.values().items() if key not in FOREIGN}
    bsids = sorted(key.removeprefix(POLICY) for key in values if key.startswith(POLICY))
    targets = []
    for key, value in values.items():
        if key.startswith(STEERING):
            assert value["policy_bsid"] in bsids, f"{key} has no policy"
            targets.append(json.dumps(value["l3_traffic"], sort_keys=True))
        elif key.startswith(POLICY):
            assert value["segment_lists"], f"{key} has no list"
            for item in value["segment_lists"]:
                if len(item["segments"]) == 1:
                    sid = item["segments"][0]
                    assert _is_reached(sid, values) or _drops(values, sid), f"{key} leads nowhere"
    assert len(targets) == len(set(targets)), "a prefix is steered twice"
    for one, other in pairwise(bsids):
        assert not other.startswith(one), f"{one} is taken for {other}"


@law(240)
@given(histories())
def test_no_state_on_the_way_is_unsound(history: History) -> None:
    """Between any two operations of a plan nothing dangles and nothing is there twice."""
    sidecar = Sidecar(settings_named(history.last.conf), OWN).wire(FOREIGN)
    for bunch in history.steps:
        for event in bunch:
            event.happen(sidecar)
        for _ in sidecar.steps(sidecar.plan()):
            assert_sound(sidecar)


@law(120)
@given(histories())
def test_vpp_steers_what_etcd_says(history: History) -> None:
    """After each plan VPP steers every prefix, though deleting a steering takes whoever has it."""
    sidecar = Sidecar(settings_named(history.last.conf), OWN)
    in_etcd: dict[str, str] = {}
    in_vpp = set[str]()
    for bunch in history.steps:
        for event in bunch:
            event.happen(sidecar)
        for operation in sidecar.steps(sidecar.plan()):
            if STEERING in operation.key:
                in_vpp.discard(in_etcd.pop(operation.key, ""))
                if operation.value is not None:
                    in_etcd[operation.key] = json.dumps(json.loads(operation.value)["l3_traffic"])
                    in_vpp.add(in_etcd[operation.key])

        assert sorted(in_vpp) == sorted(in_etcd.values())


@law(120)
@given(histories(), st.integers(0, 2**32))
def test_a_plan_that_was_cut_short_does_no_harm(history: History, seed: int) -> None:
    """After a crash between two transactions a new process ends where the old one would have."""
    whole = history.first.sidecar().settle()
    cut = history.first.sidecar().settle()
    for sidecar in (whole, cut):
        for bunch in history.steps[-len(_turn_of(history)) :]:
            for event in bunch:
                event.happen(sidecar)
    whole.settle()
    found = cut.plan()
    number = sum(map(len, found.transactions))
    done = random.Random(seed).randint(0, number)
    for index, _ in enumerate(cut.steps(found)):
        if index >= done:
            break
    again = cut.restarted().put(*history.last.objects).settle()

    assert_alike(whole, again, history.last.conf)


def _turn_of(history: History) -> list[tuple[Event, ...]]:
    """The bunches that lead from the first cluster to the last."""
    rise = len(history.first.objects) + len(history.first.keys[OWN])
    steps = list(history.steps)
    while rise:
        rise -= len(steps.pop(0))
    return steps


# History ------------------------------------------------------------------------------------------


@law(240)
@given(scenes(), st.integers(0, 2**32))
def test_the_order_of_events_does_not_matter(scene: Scene, seed: int) -> None:
    """Taking in events one by one, in any order, gives an empty etcd the same bytes."""
    events = [Event("put", body) for body in scene.objects]
    events += [Event("wire", value, key) for key, value in scene.keys[OWN].items()]
    random.Random(seed).shuffle(events)
    sidecar = Sidecar(settings_named(scene.conf), OWN)
    for event in events:
        event.happen(sidecar)
        sidecar.renderer.update(sidecar.cluster)
    whole = scene.sidecar()
    desired = whole.desired()

    assert desired.objects == sidecar.renderer.desired.objects
    assert desired.shared == sidecar.renderer.desired.shared
    assert desired.steered == sidecar.renderer.desired.steered
    assert list(desired.all_notes()) == list(sidecar.renderer.desired.all_notes())
    assert whole.settle().owned() == sidecar.settle().owned()


@law(200)
@given(histories())
def test_history_leaves_no_trace(history: History) -> None:
    """Whatever came before, the same cluster gives the same bytes but for what clashed."""
    sidecar = Sidecar(settings_named(history.last.conf), OWN)
    for bunch in history.steps:
        for event in bunch:
            event.happen(sidecar)
        sidecar.settle()

    assert_alike(history.last.sidecar().settle(), sidecar, history.last.conf)


@law(240)
@given(histories())
def test_planning_a_change_is_planning_everything(history: History) -> None:
    """Comparing only what changed gives the same bytes as comparing everything, at each step."""
    full = Sidecar(settings_named(history.last.conf), OWN)
    incremental = Sidecar(settings_named(history.last.conf), OWN)
    for bunch in history.steps:
        for event in bunch:
            event.happen(full)
            event.happen(incremental)
        full.settle()
        incremental.commit(incremental.plan_change())

        assert full.texts() == incremental.texts()


# Packets ------------------------------------------------------------------------------------------

NOBODY = Dropped("")
"""Why a packet is dropped is not part of what a service promises."""


def expected(
    scene: Scene, service: Json, port: Port, sender: str, traffic: str = TRAFFIC[0]
) -> set[Outcome]:
    """Where a packet to a service's port may end, by kube-proxy's rules and the nodes' wiring."""
    found = set[Outcome]()
    listed = offers(scene.objects, service)[port]
    hosts = _hosts(scene)
    for address, name in reached(scene.objects, service, sender, traffic).items():
        if address in hosts:
            found |= _at_host(scene, hosts[address], sender)
        elif name is not None and _is_pod(scene, address, name):
            target = _target_of(scene, service, listed, address, name)
            found |= _at_pod(scene, address, name, sender, target)
    return found or {NOBODY}


def _target_of(
    scene: Scene, service: Json, listed: list[Offer], address: str, name: str
) -> int | None:
    """What a pod translates the port to: a target that its own node selects, where one is; of
    several the first by kube-proxy's preferences, then by slice."""
    policies, zone = policies_of(service), zone_of(scene.objects, name)
    selected = set[Pair]()
    for traffic in TRAFFIC if balancer_addresses(service) else TRAFFIC[:1]:
        chosen = verdict(categorize(listed, name, zone, policies), policies, traffic)
        selected |= chosen if isinstance(chosen, set) else set()
    found = [
        ((address, o.target) not in selected, o.terminating, not o.ready, o.slice_name, o.target)
        for o in listed
        if o.address == address
    ]
    return min(found)[-1] if found else None


def _hosts(scene: Scene) -> dict[str, str]:
    """Every address of every node."""
    found: dict[str, str] = {}
    for body in scene.objects:
        if body["kind"] == "Node":
            name = body["metadata"]["name"]
            texts = [item["address"] for item in body["status"]["addresses"]]
            found |= {text: name for text in [*texts, scene.ips[name]] if text and ":" in text}
    return found


def _is_pod(scene: Scene, address: str, name: str) -> bool:
    """Pods are within podSubnetCIDR, those of the stray node within its own pod CIDR."""
    is_stray = name == STRAY and IPv6Address(address) in pod_cidr(STRAY_PART)
    return is_stray or address in settings_named(scene.conf).pod_subnet


def _at_host(scene: Scene, name: str, sender: str) -> set[Outcome]:
    is_answered = scene.numbers[name] is not None
    if name == sender:
        return {ToHost(name)} if is_answered else set()
    if scene.ips[name] is None:
        return set()
    return {ToHost(name) if is_answered else NOBODY}


def _at_pod(scene: Scene, address: str, name: str, sender: str, target: int | None) -> set[Outcome]:
    is_wired = address in scene.wired.get(name, ())
    if name == sender and not is_wired:
        return set()
    if name != sender and scene.ips.get(name) is None:
        return set()
    if not is_wired or target is None:
        return {NOBODY}
    return {Delivered(name, address, target)}


def _without_reasons(outcomes: Iterable[Outcome]) -> set[Outcome]:
    return {NOBODY if isinstance(item, Dropped | Left) else item for item in outcomes}


def networks(scene: Scene) -> list[Network]:
    """All nodes, rendered from an empty etcd, under new and under old versions of VPP."""
    values = {name: scene.sidecar(name).settle().values() for name in scene.numbers}
    return [Network(values, lookup) for lookup in ("policy", "interface")]


@law(240)
@given(scenes())
def test_a_packet_reaches_exactly_the_selected_endpoints(scene: Scene) -> None:
    """From every pod, each port of each service leads to the endpoints that kube-proxy selects."""
    for network in networks(scene):
        for service in scene.services:
            address = cluster_ip(service)
            if address is None:
                continue
            owner = winner(scene.objects, address)
            assert owner is not None
            for port in ports_of(owner):
                for name, pods in scene.wired.items():
                    for pod in pods:
                        found = network.trace(name, pod, address, port[1], port[2])

                        assert expected(scene, owner, port, name) == _without_reasons(found)


def _balancers(scene: Scene) -> dict[str, Json]:
    """The service that has each load-balancer address: the oldest, then the first by name."""
    found: dict[str, Json] = {}
    for service in sorted(scene.services, key=age):
        for address in balancer_addresses(service) if cluster_ip(service) else ():
            found.setdefault(address, service)
    return found


@law(160)
@given(scenes())
def test_an_external_packet_reaches_exactly_the_selected_endpoints(scene: Scene) -> None:
    """A load-balancer address leads pods to every endpoint, and what comes in from outside to those
    that externalTrafficPolicy selects; to no endpoint means nowhere."""
    for network in networks(scene):
        for address, owner in _balancers(scene).items():
            for port in ports_of(owner):
                for name, pods in scene.wired.items():
                    ways = [(pods[-1] if pods else None, TRAFFIC[1]), (None, TRAFFIC[2])]
                    for sender, traffic in ways[0 if pods else 1 :]:
                        found = network.trace(name, sender, address, port[1], port[2])

                        assert expected(scene, owner, port, name, traffic) == _without_reasons(
                            found
                        )


@law(120)
@given(scenes())
def test_a_packet_to_nobody_is_dropped(scene: Scene) -> None:
    """A ClusterIP without a service, or whose service is not rendered, leads nowhere."""
    used = {cluster_ip(service) for service in scene.services}
    for network in networks(scene):
        for name, pods in scene.wired.items():
            for address in ("2096::3:77", *ADDRESSES):
                if address not in used:
                    found = network.trace(name, pods[-1], address, "TCP", 80)

                    assert {Dropped("drop route")} == found


@law(120)
@given(scenes())
def test_a_host_does_not_reach_service_addresses(scene: Scene) -> None:
    """ClusterIPs are not open to the uplink or the host interconnect: kube-proxy chooses there."""
    for network in networks(scene):
        for service in scene.services:
            address = cluster_ip(service)
            if address is not None:
                for name in scene.numbers:
                    found = network.trace(name, None, address, "TCP", 80)

                    assert {NOBODY} == _without_reasons(found)


# Segment lists ------------------------------------------------------------------------------------


def _lists(sidecar: Sidecar) -> dict[str, list[Json]]:
    """The segment lists by what is steered into them, in their order."""
    values = sidecar.values()
    return {
        json.dumps(value["l3_traffic"], sort_keys=True): values[POLICY + value["policy_bsid"]][
            "segment_lists"
        ]
        for key, value in values.items()
        if key.startswith(STEERING)
    }


@law(160)
@given(scenes())
def test_all_nodes_order_endpoints_alike(scene: Scene) -> None:
    """Rule R4: endpoints that two nodes have for an address come in the same order on both."""
    found = [_lists(scene.sidecar(name).settle()) for name in scene.numbers]
    for one, other in combinations(found, 2):
        for target in one.keys() & other.keys():
            mine, theirs = (
                [item["segments"][-1] for item in lists] for lists in (one[target], other[target])
            )

            assert [sid for sid in mine if sid in theirs] == [sid for sid in theirs if sid in mine]


@law(160)
@given(scenes())
def test_equal_lists_are_merged(scene: Scene) -> None:
    """Rule R3: a policy has no list twice, and each weight has one digit."""
    for name in scene.numbers:
        for lists in _lists(scene.sidecar(name).settle()).values():
            paths = [tuple(item["segments"]) for item in lists]

            assert len(paths) == len({*paths})
            assert all(1 <= item["weight"] <= 9 for item in lists)


@law(40)
@given(st.integers(1, 30), st.integers(1, 30))
def test_a_weight_counts_endpoints_up_to_nine(local: int, remote: int) -> None:
    """Rule R3: endpoints behind one list count together, and more than nine as nine."""
    hosts = {
        number: [f"fd00::10{number}", *(f"fd00::{number}:{index}" for index in range(1, 31))]
        for number in (1, 2)
    }
    ends = [endpoint(address) for address in (*hosts[1][:local], *hosts[2][:remote])]
    sidecar = Sidecar(settings_named("seed"), OWN)
    sidecar.put(*(node(number, addresses=listed) for number, listed in hosts.items()))
    sidecar.put(service_named("web", "2096::10"), endpoint_slice("web", ends)).settle()
    (lists,) = [found for target, found in _lists(sidecar).items() if "2096::10" in target]

    assert {len(item["segments"]): item["weight"] for item in lists} == {
        1: min(local, 9),
        2: min(remote, 9),
    }


def test_the_pool_clashes() -> None:
    """Under the seed's prefixes most addresses of the pool clash, and some do not."""
    assert {"2096::5", "fd96::5", "2096::d7", "2096::d76"} <= clashing("seed")
    assert clashing("seed") < {*ADDRESSES, *BALANCED}
