"""Whole clusters and their histories, for hypothesis.

Everything is taken from small pools in which things clash: BSIDs, steering names, ports, addresses.
Hypothesis draws sizes and a seed: drawn one by one, most clusters would be all but empty.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from clusters import (
    CONFS,
    GHOST,
    Identity,
    Json,
    Ports,
    base_keys,
    endpoint,
    endpoint_slice,
    identity,
    node,
    pod_address,
    pod_keys,
    segment_keys,
    service,
    settings,
    vrf_keys,
)
from hypothesis import strategies as st
from sidecar import Sidecar

Draw = Callable[[st.SearchStrategy[Any]], Any]

OWN = "node1"
"""Every cluster has this node."""
STRAY = "stray"
"""A node whose pod CIDR does not tell its id."""
STRAY_PART = 2 << 32

ADDRESSES = (
    "2096::5",
    "fd96::5",
    "2096::d7",
    "2096::d76",
    "2096::d765",
    "fd96::d765",
    "2096::1:5",
    "2096::1",
    "2096::2:1",
)
"""Under most prefixes these give equal BSIDs, or BSIDs that are text prefixes of one another."""
BALANCED = ("fd10::5", "fd10::d76", "2001:db8::9")
"""Load-balancer addresses: steered in two VRFs, so their own BSIDs clash already."""
NAMES = (
    ("a", "b-c"),
    ("a-b", "c"),
    ("default", "web"),
    ("default", "db"),
    ("a-b", "web"),
    ("kube-system", "dns"),
)
"""The first two would have one steering name."""
PORTS = (
    ("http", "TCP", 80),
    ("dns", "UDP", 53),
    ("dns-tcp", "TCP", 53),
    ("sctp", "SCTP", 80),
    ("dns", "TCP", 8053),
    ("", "TCP", 443),
)
STAMPS = (None, "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z")
ZONES = ("", "z1", "z2")
SERVICE_KINDS: tuple[Json, ...] = (
    {"clusterIP": "None", "clusterIPs": ["None"]},
    {"type": "ExternalName"},
    {"clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10"], "ipFamilies": ["IPv4"]},
)
"""What is not rendered."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A cluster at rest.

    Attributes:
        conf: name of the settings in ``clusters.CONFS``.
        objects: the Kubernetes objects.
        keys: what the CNI has given each node's agent.
        numbers: the id of each node; None: it cannot be known.
        ips: the interconnect address of each node; None: unknown.
        wired: the pods of each node that packets can reach.
    """

    conf: str
    objects: tuple[Json, ...]
    keys: Mapping[str, Mapping[str, Json]]
    numbers: Mapping[str, int | None]
    ips: Mapping[str, str | None]
    wired: Mapping[str, tuple[str, ...]]

    @property
    def services(self) -> list[Json]:
        """The services."""
        return [item for item in self.objects if item["kind"] == "Service"]

    def sidecar(self, name: str = OWN) -> Sidecar:
        """The sidecar of a node that has seen all of this and written nothing."""
        return Sidecar(settings(self.conf), name).wire(self.keys[name]).put(*self.objects)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens at the own node: an object or an agent key comes, changes or goes."""

    kind: str
    body: Json | None
    key: str = ""

    def happen(self, sidecar: Sidecar) -> None:
        """Let it happen."""
        match self.kind, self.body:
            case "put", dict(body):
                sidecar.put(body)
            case "remove", dict(body):
                sidecar.remove(body)
            case "wire", body:
                sidecar.wire({self.key: body})
            case _:
                raise AssertionError(self.kind)


@dataclass(frozen=True, slots=True)
class History:
    """How a cluster came to be what it is.

    Attributes:
        first: what it was some time before.
        last: what it is.
        steps: the events, in bunches; after each bunch etcd is brought up to date.
    """

    first: Scene
    last: Scene
    steps: tuple[tuple[Event, ...], ...]


@dataclass(frozen=True, slots=True)
class _Sizes:
    """How much of everything there is at most; what hypothesis shrinks."""

    nodes: int
    services: int
    slices: int
    endpoints: int


_SIZES = st.builds(
    _Sizes, st.integers(1, 4), st.integers(1, 6), st.integers(1, 3), st.integers(1, 8)
)
_SEEDS = st.integers(0, 2**16)


@st.composite
def scenes(draw: Draw, conf: str | None = None) -> Scene:
    """A cluster of one to four nodes."""
    sizes = draw(_SIZES)
    dice = random.Random(f"{sizes} {draw(_SEEDS)}")
    return _scene(sizes, dice, conf or draw(st.sampled_from(sorted(CONFS))))


def _scene(sizes: _Sizes, dice: random.Random, conf: str) -> Scene:
    numbers = _numbers(sizes, dice)
    nodes, ips = _nodes(dice, conf, numbers)
    pods = {
        name: [pod_address(_part(conf, numbers[name]), host) for host in (5, 6, 9)]
        for name in numbers
    }
    wired, keys = _wiring(dice, conf, numbers, ips, pods)
    services = _services(sizes, dice)
    pool = _pool(nodes, ips, pods)
    slices = [item for body in services for item in _slices(sizes, dice, body, pool)]
    return Scene(conf, (*nodes, *services, *slices), keys, numbers, ips, wired)


def _numbers(sizes: _Sizes, dice: random.Random) -> dict[str, int | None]:
    more = dice.sample([2, 3, 4], sizes.nodes - 1)
    numbers: dict[str, int | None] = {f"node{number}": number for number in sorted({1, *more})}
    if dice.random() < 0.15:
        numbers[STRAY] = None
    return numbers


def _part(conf: str, number: int | None) -> int:
    """Node 4 of four is the one with part 0 (defect D15)."""
    if number is None:
        return STRAY_PART
    return number % 4 if conf == "four-nodes" else number


def _nodes(
    dice: random.Random, conf: str, numbers: Mapping[str, int | None]
) -> tuple[list[Json], dict[str, str | None]]:
    nodes, ips = [], dict[str, str | None]()
    for name, number in numbers.items():
        zone = dice.choice(ZONES)
        if number is None:
            nodes.append(node(9, name=name, zone=zone, part=STRAY_PART))
            ips[name] = None
            continue
        metadata: Json = {}
        ips[name] = f"fe10:f00d::{number + (conf == 'gateway' and number >= 2)}"
        if dice.random() < 0.1:
            ips[name] = f"fe10:f00d::a{number}"
            metadata = {"annotations": {"srv6kv.io/node-ip": ips[name]}}
        hosts = [f"fd00::10{number}", f"fd00::20{number}"][: dice.randint(1, 2)]
        part = _part(conf, number)
        nodes.append(node(number, zone=zone, part=part, addresses=hosts, **metadata))
    return nodes, ips


def _wiring(
    dice: random.Random,
    conf: str,
    numbers: Mapping[str, int | None],
    ips: Mapping[str, str | None],
    pods: Mapping[str, list[str]],
) -> tuple[dict[str, tuple[str, ...]], dict[str, dict[str, Json]]]:
    main, vrf = settings(conf).main_vrf, settings(conf).pod_vrf
    wired: dict[str, tuple[str, ...]] = {}
    keys: dict[str, dict[str, Json]] = {}
    for name, number in numbers.items():
        ip = ips[name]
        part = _part(conf, number) if number is not None else None
        own = base_keys(number or 9, ip or f"fe10:f00d::ffff:{len(keys)}", main=main, part=part)
        plumbing = settings(conf).node_plumbing
        if plumbing != "full":
            own |= vrf_keys(main, vrf)
        if plumbing == "none":
            others = [other for other in ips.values() if other is not None and other != ip]
            own |= segment_keys(str(settings(conf).sid.node), ip, others, main)
        found = []
        for index, address in enumerate(pods[name]):
            how = dice.choice(["well", "well", "well", "well", "not", "no neighbour", "moved"])
            if index == len(pods[name]) - 1:
                how = "well"  # somebody must be able to send
            if how == "not":
                continue
            sandbox = f"other-{index}" if how == "moved" else ""
            own |= pod_keys(address, sandbox, vrf=vrf, static=how != "no neighbour")
            if how != "no neighbour":
                found.append(address)
        wired[name], keys[name] = tuple(found), own
    return wired, keys


def _services(sizes: _Sizes, dice: random.Random) -> list[Json]:
    names = dice.sample(NAMES, sizes.services)
    taken = dice.sample(ADDRESSES, sizes.services)
    if sizes.services > 1 and dice.random() < 0.1:
        taken[1] = taken[0]  # two services on one address
    found = []
    for (namespace, name), address in zip(names, taken, strict=True):
        spec: Json = {"internalTrafficPolicy": dice.choice([None, *["Cluster"] * 4, "Local"])}
        labels = None
        match dice.randrange(30):
            case 0 | 1 | 2 as kind:
                spec |= SERVICE_KINDS[kind]
            case 3 | 4:
                spec |= {"ipFamilies": ["IPv4", "IPv6"], "clusterIP": "10.96.0.1"}
                spec["clusterIPs"] = ["10.96.0.1", address]
            case 5:
                labels = {"service.kubernetes.io/service-proxy-name": "other"}
            case 6 | 7:
                spec["externalIPs"] = ["2001:db8::9"]
            case 8 | 9 | 10 | 11 | 12:
                spec |= _balanced(dice)
        created = dice.choice(STAMPS)
        ports = _ports(dice)
        found.append(
            service(
                name, address, ports, namespace=namespace, created=created, labels=labels, **spec
            )
        )
    return found


def _balanced(dice: random.Random) -> Json:
    """Addresses of a load balancer; two services often share one."""
    ingress = [{"ip": address} for address in dice.sample(BALANCED, dice.choice([1, 1, 2]))]
    return {
        "type": "LoadBalancer",
        "status": {"loadBalancer": {"ingress": ingress}},
        "externalTrafficPolicy": dice.choice([None, "Cluster", "Local"]),
    }


def _ports(dice: random.Random) -> list[tuple[str, str, int]]:
    """None to three, distinct by name and protocol and by protocol and number."""
    found: list[tuple[str, str, int]] = []
    for port in dice.sample(PORTS, dice.choice([0, *[1] * 6, *[2] * 4, 3, 3])):
        if all(port[:2] != other[:2] and port[1:] != other[1:] for other in found):
            found.append(port)
    return found


def _pool(
    nodes: list[Json], ips: Mapping[str, str | None], pods: Mapping[str, list[str]]
) -> list[tuple[str, str | None]]:
    """Addresses that may be endpoints, each with the node that its slice names."""
    pool: list[tuple[str, str | None]] = [
        (address, name) for name, listed in pods.items() for address in listed
    ]
    for body in nodes:
        name = body["metadata"]["name"]
        hosts = [item["address"] for item in body["status"]["addresses"]]
        hosts = [address for address in hosts if ":" in address]
        pool += [(address, name if index else None) for index, address in enumerate(hosts)]
        pool += [(ip, name) for ip in [ips[name]] if ip]
    pool += [
        ("2001:0:0:1:0:0:0:50", None),  # no node, and not as it is written in canonical form
        ("2001:0:0:3::51", GHOST),
        ("2003:dead::1", None),
        ("2003:dead::2", OWN),
        ("2001:0:0:2::77", OWN),  # another node's address: only nodeName counts
    ]
    return pool


def _slices(
    sizes: _Sizes, dice: random.Random, body: Json, pool: list[tuple[str, str | None]]
) -> list[Json]:
    metadata = body["metadata"]
    found = []
    for index in range(dice.randint(0 if dice.random() < 0.1 else 1, sizes.slices)):
        hints = dice.choice(["none", "none", "none", "zones", "nodes", "some"])
        places = dice.sample(
            pool, min(len(pool), dice.randint(dice.choice([0, 1, 1]), sizes.endpoints))
        )
        if places and dice.random() < 0.2:
            places.append(dice.choice(places))  # one address twice: rule E8 within a slice
        labels = dice.choice(SLICE_LABELS) if dice.random() < 0.1 else None
        found.append(
            endpoint_slice(
                metadata["name"],
                [_endpoint(dice, *place, hints) for place in places],
                _slice_ports(dice, body),
                name=f"{metadata['name']}-{index}",
                namespace=metadata["namespace"],
                labels=labels,
            )
        )
    return found


def _slice_ports(dice: random.Random, body: Json) -> Ports:
    ports: list[tuple[str | None, str, int | None]] = []
    for port in body["spec"]["ports"]:
        if dice.random() < 0.9:
            number = dice.choice([port["port"], port["port"], *[8080] * 4, 9090, None])
            ports.append((port["name"], port["protocol"], number))
    if dice.random() < 0.1:
        ports += [(None, "TCP", 80), ("other", "TCP", 81)]
    return ports


CONDITIONS: tuple[Json, ...] = (
    {},
    {},
    {"ready": True, "serving": True, "terminating": False},
    {"ready": False},
    {"ready": False, "serving": False},
    {"ready": False, "serving": True, "terminating": True},
    {"ready": False, "serving": False, "terminating": True},
    {"ready": True, "terminating": True},
)


def _endpoint(dice: random.Random, address: str, name: str | None, hints: str) -> Json:
    conditions = dice.choice(CONDITIONS)
    if hints == "some":
        hints = dice.choice(["none", "zones", "nodes"])
    zones = dice.choice([("z1",), ("z2",), ("z1", "z2"), ("",)]) if hints == "zones" else ()
    nodes = dice.choice([(OWN,), ("node2",), (OWN, "node2")]) if hints == "nodes" else ()
    return endpoint(address, name, zones=zones, nodes=nodes, **conditions)


SLICE_LABELS = (
    {"service.kubernetes.io/headless": ""},
    {"service.kubernetes.io/service-proxy-name": "other"},
)
"""The first hides a slice, the second does not (rule S1)."""
FOREIGN: dict[str, Json] = {
    "config/vpp/srv6/v2/localsid/9502:f00d::1": {
        "sid": "9502:f00d::1",
        "end_function_dt6": {"vrf_id": 1},
    },
    "config/vpp/srv6/v2/policy/8502:f00d::2": {
        "bsid": "8502:f00d::2",
        "srh_encapsulation": True,
        "segment_lists": [{"segments": ["9502:f00d::2"], "weight": 1}],
    },
    "config/vpp/srv6/v2/steering/mine": {
        "name": "mine",
        "policy_bsid": "8502:f00d::2",
        "l3_traffic": {"prefix_address": "2003:0:0:2::/64"},
    },
    "config/vpp/srv6/v2/steering/forK8sSFC-chain": {"name": "forK8sSFC-chain"},
    "config/vpp/v2/route/vrf/0/dst/2003::/64/gw/fe10:f00d::2": {
        "dst_network": "2003::/64",
        "next_hop_addr": "fe10:f00d::2",
    },
    "config/linux/iptables/v2/rulechain/port-forward-c-PREROUTING": {"name": "x"},
    "config/vpp/v2/something-new/x": {"name": "x"},
}
"""Keys of others, some of which look almost like ours."""


@st.composite
def histories(draw: Draw) -> History:
    """A cluster that was another one before, with the events in some order."""
    conf = draw(st.sampled_from(sorted(CONFS)))
    first, last = draw(scenes(conf)), draw(scenes(conf))
    shuffle = random.Random(draw(_SEEDS))
    rise = [Event("put", body) for body in first.objects]
    rise += [Event("wire", value, key) for key, value in first.keys[OWN].items()]
    turn = _turn(first, last)
    steps: list[tuple[Event, ...]] = []
    for events in (rise, turn):
        shuffle.shuffle(events)
        bunch: list[Event] = []
        for event in events:
            bunch.append(event)
            if shuffle.random() < 0.25:
                steps.append(tuple(bunch))
                bunch = []
        steps.append(tuple(bunch))
    return History(first, last, tuple(steps))


def _turn(first: Scene, last: Scene) -> list[Event]:
    """The events that make one cluster the other."""
    old = _by_identity(first)
    new = _by_identity(last)
    events = [Event("remove", body) for key, body in old.items() if key not in new]
    events += [Event("put", body) for key, body in new.items() if old.get(key) != body]
    before, after = first.keys[OWN], last.keys[OWN]
    events += [Event("wire", None, key) for key in before if key not in after]
    events += [Event("wire", v, key) for key, v in after.items() if before.get(key) != v]
    return events


def _by_identity(scene: Scene) -> dict[Identity, Json]:
    return {identity(body): body for body in scene.objects}
