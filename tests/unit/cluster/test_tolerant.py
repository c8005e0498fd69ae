"""An element that cannot be used is skipped with a warning; the object that holds it stays."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest
from clusters import Json, base_keys, endpoint, identity, node, pod_keys, settings_of
from fieldcases import HERE, SERVICE, SLICE
from hypothesis import given
from hypothesis import strategies as st

from srv6kv.cluster.noderecords import PREFIX
from srv6kv.etcd.values import KeyValue
from srv6kv.kube.model import Body, Identity, Node
from srv6kv.kube.parse import KINDS, ParseError, parse, read
from srv6kv.sync.reconciler import Reconciler
from srv6kv.txn.transaction import FullKey

CONF = {
    "nodeToNodeTransport": "srv6",
    "useSRv6ForServices": True,
    "ipamConfig": {
        "podSubnetCIDR": "2001::/48",
        "podSubnetOneNodePrefixLen": 64,
        "vppHostSubnetCIDR": "2002::/64",
        "vppHostSubnetOneNodePrefixLen": 112,
        "nodeInterconnectCIDR": "fe10:f00d::/90",
        "serviceCIDR": "2096::/110",
    },
    "srv6kv": {"externalIPs": {"allowedCIDRs": ["fd20::/16"]}},
}
SETTINGS = settings_of(CONF)
BAD_TEXTS = (
    "",
    "<nil>",
    "host.example.net",
    "fe80::1%eth0",
    "::ffff:10.1.2.3",
    "010.1.2.3",
    "2001:0:0:1::a/64/64",
    " 2001:0:0:1::a",
    "2001:0:0:1::a\n",
)
"""What is no address and no prefix."""
BAD_VALUES: tuple[Any, ...] = (None, 5, True, 1.5, [], {}, ["2001:0:0:1::a"])
"""What is not even text."""


def _pod() -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web-0", "namespace": "default"},
        "spec": {"nodeName": "node1"},
        "status": {"phase": "Running", "podIP": HERE, "podIPs": [{"ip": HERE}]},
    }


def _nodes() -> list[Json]:
    found = [node(1, zone="z1"), node(2, zone="z2")]
    for body in found:
        body["spec"]["taints"] = [{"key": "some", "effect": "NoSchedule"}]
    return found


def _slice() -> Json:
    body = copy.deepcopy(SLICE)
    for item, zone in zip(body["endpoints"], ("z1", "z2"), strict=True):
        item["hints"] = {"forZones": [{"name": zone}], "forNodes": [{"name": f"node{zone[1]}"}]}
    return body


def _objects() -> list[Json]:
    service = copy.deepcopy(SERVICE)
    service["spec"]["loadBalancerSourceRanges"] = ["::/0"]
    return [service, _slice(), _pod(), *_nodes()]


LISTS: dict[str, tuple[str, list[Any]]] = {
    "Service spec.clusterIPs": ("spec.clusterIPs", [*BAD_TEXTS, "2096::10/128", *BAD_VALUES]),
    "Service spec.ipFamilies": ("spec.ipFamilies", ["", "IPv5", "ipv6", *BAD_VALUES]),
    "Service spec.externalIPs": ("spec.externalIPs", [*BAD_TEXTS, "fd20::9/128", *BAD_VALUES]),
    "Service spec.loadBalancerSourceRanges": (
        "spec.loadBalancerSourceRanges",
        [*BAD_TEXTS, "fd77::1", *BAD_VALUES],
    ),
    "Service spec.ports": (
        "spec.ports",
        [
            *BAD_VALUES,
            {"name": "other"},
            {"name": "other", "port": "81"},
            {"name": "other", "port": 0},
            {"name": "other", "port": -1},
            {"name": "other", "port": 70000},
            {"name": "other", "port": 81, "protocol": "ICMP"},
            {"name": "other", "port": 81, "protocol": 6},
        ],
    ),
    "Service status.loadBalancer.ingress": (
        "status.loadBalancer.ingress",
        [
            *BAD_VALUES,
            *({"ip": text} for text in BAD_TEXTS),
            {"ip": 5},
            {"ip": "fd10::9", "ipMode": "vip"},
            {"ip": "fd10::9", "ipMode": 5},
        ],
    ),
    "EndpointSlice ports": (
        "ports",
        [
            *BAD_VALUES,
            {"name": "http"},
            {"name": "http", "port": None},
            {"name": "http", "port": 0},
            {"name": "http", "port": -1},
            {"name": "http", "port": 70000},
            {"name": "http", "port": "8081"},
            {"name": "http", "port": 8081, "protocol": "ICMP"},
            {"name": 5, "port": 8081},
        ],
    ),
    "EndpointSlice endpoints": (
        "endpoints",
        [
            *BAD_VALUES,
            *({"addresses": [text], "nodeName": "node1"} for text in BAD_TEXTS),
            *({"addresses": [value], "nodeName": "node1"} for value in BAD_VALUES),
            {"addresses": ["10.1.2.3"], "nodeName": "node1"},
            {"addresses": "2001:0:0:1::9", "nodeName": "node1"},
            {"addresses": None},
            {"addresses": ["2001:0:0:1::9"], "nodeName": 1},
            {"addresses": ["2001:0:0:1::9"], "nodeName": "node1", "conditions": {"ready": "no"}},
            {"addresses": ["2001:0:0:1::9"], "nodeName": "node1", "targetRef": "web-0"},
        ],
    ),
    "EndpointSlice endpoints.0.addresses": (
        "endpoints.0.addresses",
        [*BAD_TEXTS, "10.1.2.3", *BAD_VALUES],
    ),
    "EndpointSlice endpoints.0.hints.forZones": (
        "endpoints.0.hints.forZones",
        [*BAD_VALUES, {"name": 5}],
    ),
    "EndpointSlice endpoints.0.hints.forNodes": (
        "endpoints.0.hints.forNodes",
        [*BAD_VALUES, {"name": 5}],
    ),
    "Node spec.podCIDRs": ("spec.podCIDRs", [*BAD_TEXTS, "2001::/129", "2001::", *BAD_VALUES]),
    "Node spec.taints": ("spec.taints", [*BAD_VALUES, {"key": 5}]),
    "Node status.addresses": (
        "status.addresses",
        [
            *BAD_VALUES,
            *({"type": "InternalIP", "address": text} for text in BAD_TEXTS),
            *({"type": "ExternalIP", "address": value} for value in BAD_VALUES),
            {"type": "InternalIP"},
            {"type": 5, "address": "fd00::9"},
        ],
    ),
    "Pod status.podIPs": (
        "status.podIPs",
        [*BAD_VALUES, *({"ip": text} for text in BAD_TEXTS), {"ip": 5}, {"ip": None}],
    ),
}
"""Every list of addresses, or of objects, in what is read: its place, and what is no element."""


def _list_at(body: Json, path: str) -> list[Any]:
    place: Any = body
    for part in path.split("."):
        place = place[int(part)] if part.isdigit() else place[part]
    assert isinstance(place, list)
    return place


def _raw(body: Mapping[str, Any]) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(body).encode())


def _reconciler(
    objects: Iterator[tuple[Identity, Body]] | list[tuple[Identity, Body]],
) -> Reconciler:
    """Node 1 with wired pods that has seen these objects."""
    found = Reconciler(SETTINGS, "node1", "node1")
    found.intake.apply_all(objects)
    agent = {**base_keys(1, "fe10:f00d::1"), **pod_keys(HERE), **pod_keys("2001:0:0:1::9")}
    entries = enumerate(agent.items(), start=1)
    found.reset(
        KeyValue(FullKey(found.prefix + key), json.dumps(value).encode(), number)
        for number, (key, value) in entries
    )
    return found


def _wanted(bodies: list[Json]) -> dict[str, bytes | None]:
    return _reconciler([(identity(body), _raw(body)) for body in bodies]).plan().values


GOOD = _wanted(_objects())


@pytest.mark.parametrize("where", LISTS)
@pytest.mark.parametrize("is_last", [False, True])
def test_a_bad_element_changes_no_key(where: str, is_last: bool) -> None:
    """In every list of every kind, before and behind the good ones."""
    kind = where.partition(" ")[0]
    path, listed = LISTS[where]
    for bad in listed:
        bodies = _objects()
        body = next(one for one in bodies if one["kind"] == kind)
        elements = _list_at(body, path)
        elements.insert(len(elements) if is_last else 0, bad)
        found = _reconciler([(identity(one), _raw(one)) for one in bodies])

        assert found.plan().values == GOOD, bad
        assert not found.intake.has_malformed
        assert not found.intake.gaps()


@pytest.mark.parametrize("where", LISTS)
def test_a_bad_element_is_told_with_its_field(where: str) -> None:
    """One warning names the object and the element; YAML and JSON say the same."""
    kind = where.partition(" ")[0]
    path, listed = LISTS[where]
    body = next(one for one in _objects() if one["kind"] == kind)
    field = path.replace(".0.", "[0].")
    for bad in listed:
        if bad in ({"ip": ""}, {}, {"addresses": None}) or _is_for_the_renderer(path, bad):
            continue  # nothing was meant, or the renderer tells
        changed = copy.deepcopy(body)
        _list_at(changed, path).insert(0, bad)
        value, skipped = read(kind, changed)

        assert str(skipped).startswith(f"{field}[0]"), bad
        again, other = read(kind, _raw(changed))
        assert (again, str(other)) == (value, str(skipped))


def _is_for_the_renderer(path: str, bad: object) -> bool:
    """Texts among external addresses, and numbers of slice ports, have reasons of their own."""
    if path == "spec.externalIPs":
        return isinstance(bad, str)
    if path == "status.loadBalancer.ingress":
        return isinstance(bad, dict) and all(isinstance(one, str) for one in bad.values())
    if path != "ports" or not isinstance(bad, dict):
        return False
    return isinstance(bad.get("port", 0), int | None) and "protocol" not in bad


@given(st.data())
def test_any_number_of_bad_elements_changes_no_key(data: st.DataObject) -> None:
    """In several lists at once, in any places."""
    bodies = _objects()
    for where in data.draw(st.lists(st.sampled_from(sorted(LISTS)), max_size=6, unique=True)):
        kind = where.partition(" ")[0]
        path, listed = LISTS[where]
        body = next(one for one in bodies if one["kind"] == kind)
        if path.startswith("endpoints.") and body["endpoints"][0] != _slice()["endpoints"][0]:
            continue
        elements = _list_at(body, path)
        for bad in data.draw(st.lists(st.sampled_from(listed), max_size=3)):
            elements.insert(data.draw(st.integers(0, len(elements))), bad)

    assert _wanted(bodies) == GOOD


FIELDS: dict[str, tuple[str, str]] = {
    "Node spec.podCIDR": ("spec", "podCIDR"),
    "Pod status.podIP": ("status", "podIP"),
    "Service spec.clusterIP": ("spec", "clusterIP"),
}


@pytest.mark.parametrize("where", FIELDS)
@pytest.mark.parametrize("bad", [*BAD_TEXTS[1:], 5, True, [], {}])
def test_a_bad_field_leaves_its_list_to_decide(where: str, bad: Any) -> None:
    """podCIDR, podIP and clusterIP exist twice; a bad one of the two costs nothing."""
    bodies = _objects()
    kind = where.partition(" ")[0]
    section, field = FIELDS[where]
    body = next(one for one in bodies if one["kind"] == kind)
    body[section][field] = bad

    assert _wanted(bodies) == GOOD


@pytest.mark.parametrize("bad", [*BAD_TEXTS[1:], "10.0.0.1", 5, True, [], {}])
def test_a_bad_annotation_of_a_node_is_as_if_there_were_none(bad: Any) -> None:
    """The node keeps the address that follows from its pod CIDR."""
    bodies = _objects()
    for body in bodies:
        if body["kind"] == "Node":
            body["metadata"]["annotations"] = {"srv6kv.io/node-ip": bad}
    value, skipped = read("Node", bodies[-1])

    assert isinstance(value, Node)
    assert value.node_ip == ""
    assert str(skipped).startswith("metadata.annotations[srv6kv.io/node-ip]")
    assert _wanted(bodies) == GOOD


@pytest.mark.parametrize("bad", ["fe10::1%eth0", "::1", "x", "", None, 5, {}])
def test_a_bad_address_in_a_record_is_skipped(bad: Any) -> None:
    """The record keeps its id and its other addresses; the warning names the element."""
    found = _reconciler([(identity(one), _raw(one)) for one in _objects()])
    record = {"id": 2, "name": "node2", "ip_addresses": [bad, "fe10:f00d::77/90"]}
    found.reset([KeyValue(FullKey(f"{PREFIX}2"), json.dumps(record).encode(), 1)])

    assert "config/vpp/v2/route/vrf/0/dst/9000:f00d::77/128/gw/fe10:f00d::77" in found.plan().values
    [note] = [one for one in found.notes() if one.reason == "ElementIgnored"]
    assert str(note.subject) == f"Record {PREFIX}2"
    assert note.text.startswith("ip_addresses[0]: ")
    assert not list(found.cluster.records.gaps())


def test_of_ports_that_exclude_each_other_the_first_counts() -> None:
    """The API server refuses two of one name, or of one number, with one protocol."""
    body = copy.deepcopy(SERVICE)
    body["spec"]["ports"] += [{"name": "http", "port": 81}, {"name": "other", "port": 80}]
    value, skipped = read("Service", body)

    assert value == parse("Service", SERVICE)
    assert str(skipped) == (
        "spec.ports[1].name: 'http' occurs twice; spec.ports[2].port: TCP 80 occurs twice"
    )


# History -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", LISTS)
def test_what_was_good_and_becomes_bad_is_as_after_a_fresh_start(where: str) -> None:
    """The only good element is replaced by a bad one: no last good version stays."""
    kind = where.partition(" ")[0]
    path, listed = LISTS[where]
    before, after = _objects(), _objects()
    body = next(one for one in after if one["kind"] == kind)
    _list_at(body, path)[:] = listed[:1]
    running = _reconciler([(identity(one), _raw(one)) for one in before])
    running.plan()
    running.intake.apply(identity(body), _raw(body))
    running.reset(())
    fresh = _reconciler([(identity(one), _raw(one)) for one in after])
    fresh.reset(())

    assert running.plan().values == fresh.plan().values
    assert running.notes() == fresh.notes()


def test_a_warning_goes_with_what_it_is_about() -> None:
    """When the element is good again, and when the object is gone."""
    body = node(1)
    bad = copy.deepcopy(body)
    bad["status"]["addresses"].append({"type": "InternalIP", "address": ""})
    found = Reconciler(SETTINGS, "node1", "node1")
    for good in (body, None):
        found.intake.apply(identity(bad), bad)
        assert [note.reason for note in found.intake.notes()] == ["ElementIgnored"]
        found.intake.apply(identity(bad), good)
        assert list(found.intake.notes()) == []


# Hostile objects ---------------------------------------------------------------------------------


def test_a_hostile_object_makes_one_short_note() -> None:
    """Of 20,000 bad endpoints, each of them long, and of long labels."""
    body = _slice()
    long = "x" * 1_000
    body["endpoints"] = [endpoint(f"{long}{number}") for number in range(20_000)]
    body["endpoints"] += [endpoint(HERE, "node1"), None, 5]
    body["metadata"]["annotations"] = {long: 5}
    found = Reconciler(SETTINGS, "node1", "node1")
    found.intake.apply(identity(body), _raw(body))
    [note] = found.intake.notes()

    assert (str(note.subject), note.reason) == ("EndpointSlice default/web-1", "ElementIgnored")
    assert len(note.text) < 1500
    assert "and 20000 more" in note.text
    assert [
        item.address for one in found.cluster.slices.values() for item in one["web-1"].endpoints
    ] == [HERE]


def test_a_malformed_object_makes_a_short_note_too() -> None:
    """Whatever its texts are."""
    body = {**_slice(), "kind": "EndpointSlice", "addressType": {"x" * 10_000: 1}}
    body["metadata"] = {"name": "A" * 10_000}
    found = Reconciler(SETTINGS, "node1", "node1")
    found.intake.apply(("EndpointSlice", "default", "web-1"), body)
    [note] = found.intake.notes()

    assert note.reason == "Malformed"
    assert len(note.text) < 500


@pytest.mark.parametrize("depth", [1_000, 100_000])
def test_an_annotation_of_any_depth_is_text(depth: int) -> None:
    """What a mesh writes is JSON; nothing that it cannot be makes the Pod malformed."""
    body = _pod()
    body["metadata"]["annotations"] = {"sidecar.istio.io/status": "[" * depth}

    assert parse("Pod", _raw(body)) == parse("Pod", body)


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-1e9, 1e9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)


def _places(value: Any, way: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The way to each part of a value."""
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in parts:
        yield (*way, key)
        if isinstance(part, dict | list):
            yield from _places(part, (*way, key))


@given(st.data())
def test_whatever_takes_the_place_of_a_part_is_read_or_malformed(data: st.DataObject) -> None:
    """Nothing else is raised, YAML and JSON agree, and what is said is short."""
    body = copy.deepcopy(data.draw(st.sampled_from(_objects())))
    *way, last = data.draw(st.sampled_from(list(_places(body))))
    place: Any = body
    for step in way:
        place = place[step]
    place[last] = data.draw(ODD)
    found: list[tuple[object, str]] = []
    for one in (body, _raw(body)):
        try:
            value, skipped = read(body["kind"] if body["kind"] in KINDS else "Pod", one)
            found.append((value, str(skipped)))
        except ParseError as error:
            found.append((None, str(error)))

    assert found[0] == found[1]
    assert len(found[0][1]) < 1500


# What the API server accepts and Kubernetes ignores ----------------------------------------------


@pytest.mark.parametrize("name", ["My_App.v2", "a.b", "A", "-a", "a" * 64, "", " "])
def test_a_slice_of_a_name_that_no_service_can_have_is_nobodys(name: str) -> None:
    """Rule E1: any value of a label is accepted; such a slice is ignored without a warning."""
    body = _slice()
    body["metadata"]["labels"]["kubernetes.io/service-name"] = name
    found = Reconciler(SETTINGS, "node1", "node1")
    found.intake.apply(identity(body), _raw(body))

    assert found.cluster.slices == {}
    assert list(found.intake.notes()) == []
    assert not found.intake.gaps()


def test_unknown_conditions_are_ignored() -> None:
    """A newer server may have more of them."""
    body = _slice()
    body["endpoints"][0]["conditions"] = {"happy": False, "ready": True}
    value, skipped = read("EndpointSlice", _raw(body))

    assert value == parse("EndpointSlice", _slice())
    assert not skipped


@pytest.mark.parametrize("address_type", ["IPv5", "ipv6", ""])
def test_a_slice_of_an_unknown_type_offers_nothing(address_type: str) -> None:
    """Rule E2, as for FQDN."""
    value, skipped = read("EndpointSlice", _raw({**_slice(), "addressType": address_type}))

    assert value.ignored is not None  # type: ignore[union-attr]
    assert value.ignored.rule == "E2"  # type: ignore[union-attr]
    assert not skipped


@pytest.mark.parametrize("ranges", [["here"], [5], [None], ["fd77::1", ""]])
def test_a_filter_of_which_nothing_can_be_used_lets_nobody_in(ranges: list[Any]) -> None:
    """A load balancer's address is not opened to everyone because its filter is misspelt."""
    bodies = _objects()
    bodies[0]["spec"]["loadBalancerSourceRanges"] = ranges
    found = _reconciler([(identity(one), _raw(one)) for one in bodies])

    assert not any("fd10::5" in key for key in found.plan().values)
    assert "SourceRangesUnsupported" in {note.reason for note in found.notes()}
