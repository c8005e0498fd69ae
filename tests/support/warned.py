"""One scenario for each reason of a note: the least that triggers it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any, cast

import yaml
from booted import started, wiring, written
from clusters import (
    CONFS,
    HTTP,
    Json,
    base_keys,
    endpoint,
    endpoint_slice,
    identity,
    node,
    pod_keys,
    service,
    settings_of,
)

from srv6kv.agent.poll import Polled
from srv6kv.agent.rest import AgentRest
from srv6kv.agent.status import PluginStatus
from srv6kv.cluster.noderecords import PREFIX
from srv6kv.etcd.values import KeyValue
from srv6kv.kube.gaps import ANYTHING
from srv6kv.net import bsids
from srv6kv.net.addresses import Prefix
from srv6kv.notes import Note, Reason
from srv6kv.repair.automatic import Found, Judge, warnings
from srv6kv.run.agentwatch import AgentWatch
from srv6kv.sources import manifests
from srv6kv.sources.api import ApiError, ApiServer
from srv6kv.sources.apisource import KubernetesSource
from srv6kv.sync.guard import warning_of
from srv6kv.sync.losses import POLICIES, Loss
from srv6kv.sync.reconciler import Reconciler
from srv6kv.txn.transaction import FullKey

Notes = Iterable[Note]

VIP, OTHER_VIP, EXTERNAL = "2096::10", "2096::11", "fd20::1"
POD, OTHER, REMOTE = "2001:0:0:1::5", "2001:0:0:1::6", "2001:0:0:2::5"
HERE, THERE = endpoint(POD, "node1"), endpoint(REMOTE, "node2")
HOST_HERE, HOST_THERE = endpoint("fd00::101", "node1"), endpoint("fd00::102", "node2")
AGENT = {**base_keys(1, "fe10:f00d::1"), **pod_keys(POD), **pod_keys(OTHER)}
TWO_PORTS = (*HTTP, ("admin", "TCP", 81))
_ALLOWED = {"externalIPs": {"allowedCIDRs": ["fd20::/16"]}}
_NODE_IP = {"annotations": {"srv6kv.io/node-ip": "fe10:f00d::a2"}}


def web(*ends: Json, **spec: Any) -> list[Json]:
    """A service with these endpoints, by default a remote pod."""
    return [service("web", VIP, **spec), endpoint_slice("web", ends or [THERE])]


def balanced(address: str, **spec: Any) -> list[Json]:
    """A service with a load-balancer address."""
    status = {"loadBalancer": {"ingress": [{"ip": address}]}}
    return web(type="LoadBalancer", status=status, **spec)


def pod(annotations: Mapping[str, str] = {}) -> Json:
    """The pod behind ``POD``."""
    return {
        "kind": "Pod",
        "metadata": {"name": "a", "namespace": "default", "annotations": dict(annotations)},
        "spec": {"nodeName": "node1"},
        "status": {"phase": "Running", "podIPs": [{"ip": POD}]},
    }


def without_cidr(number: int, **metadata: Any) -> Json:
    """A node without a pod CIDR."""
    return {**node(number, **metadata), "spec": {}}


def on_node(
    *bodies: Json,
    conf: Mapping[str, Any] | None = None,
    keys: Mapping[str, Any] = AGENT,
    knows_pods: bool = False,
    **own: Any,
) -> set[Note]:
    """The notes of node 1 in a cluster of two nodes.

    Args:
        conf: what of ``srv6kv`` in contiv.conf is set.
        keys: of the agent, or whole keys of others; bytes stay as they are.
        own: other keys of contiv.conf.
    """
    of = settings_of({**CONFS["seed"], **own, **({"srv6kv": conf} if conf else {})})
    reconciler = Reconciler(of, "node1", "node1")
    reconciler.cluster.knows_pods = knows_pods
    for name, body in {identity(body): body for body in (node(1), node(2), *bodies)}.items():
        reconciler.intake.apply(name, body)
    reconciler.reset(
        KeyValue(
            FullKey(key if key.startswith("/") else reconciler.prefix + key),
            value if isinstance(value, bytes) else json.dumps(value).encode(),
            number,
        )
        for number, (key, value) in enumerate(keys.items(), start=1)
    )
    reconciler.plan()
    return reconciler.notes()


def in_text(text: str) -> Notes:
    """The notes on a manifest."""
    return manifests.read(["-"], text.encode())[1]


class _AwayServer:
    """An API server that does not answer."""

    def get(self, *_: object, **__: object) -> None:
        """No request has an answer."""
        raise ApiError("GET /: refused")

    def drop_connections(self) -> None:
        """There are none."""


def from_api(*, is_denied: bool = False) -> Notes:
    """The first notes on an API server that is away, or the next ones when it denies a list."""
    source, queue = KubernetesSource(cast(ApiServer, _AwayServer()), "node1"), SimpleQueue[Any]()
    source.start(queue)
    try:
        found: Notes = queue.get(timeout=10).notes
        if is_denied:
            source.trouble("Service", ApiError("403", 403), is_denied=True)
            found = queue.get(timeout=10).notes
        return found
    finally:
        source.stop()


def agent_away() -> Notes:
    """The notes on an agent whose REST server does not answer."""
    reconciler = Reconciler(settings_of(CONFS["seed"]), "node1", "node1")
    watch = AgentWatch(reconciler, AgentRest("http://127.0.0.1:1"))
    watch.receive(Polled({}, trouble="connection refused"))
    return watch.notes


def vpp_lost() -> Notes:
    """The notes on an agent that does not connect to VPP again."""
    reconciler = Reconciler(settings_of(CONFS["seed"]), "node1", "node1")
    watch = AgentWatch(reconciler, AgentRest("http://127.0.0.1:1"))
    watch.receive(Polled({}, vpp=PluginStatus("govpp", "ERROR", "State:Failed", 5)))
    return watch.notes


def vpp_not_repaired() -> Notes:
    """VPP has restarted, and is not to be repaired."""
    found = Found(frozenset({"config/vpp/srv6/v2/policy/5555::1"}), has_restarted=True)
    return warnings(Judge(is_enabled=False).judge(found, 0.0), found)


def own_node_incomplete() -> Notes:
    """The own Node is registered again without its pod CIDR."""
    reconciler = Reconciler(settings_of(CONFS["seed"]), "node1", "node1")
    own = ("Node", "", "node1")
    reconciler.intake.apply(own, node(1))
    reconciler.intake.apply(own, without_cidr(1))
    return reconciler.intake.notes()


def own_node_unknown() -> Notes:
    """The notes of a process whose Node does not exist."""
    reconciler = Reconciler(settings_of(CONFS["seed"]), "node9", "node9")
    reconciler.intake.apply(identity(node(1)), node(1))
    return filter(None, [reconciler.own_node.warn()])


def much_lost() -> Notes:
    """Why most policies may not go at once."""
    lost = Counter({(POLICIES, str(number)): 1 for number in range(15)})
    loss = Loss(lost, Counter({POLICIES: 20}), Counter({POLICIES: 5}), takes=True)
    return filter(None, [warning_of(loss)])


def after_a_restart_with_gaps() -> Notes:
    """The notes of a process that misses a service and cannot read everything."""
    again = started("", [*wiring(5), *written(started("", wiring(5)), 6)])
    again.intake.apply(("Service", "default", "myservice"), None)
    again.source_gaps = frozenset({ANYTHING})
    again.plan()
    return again.notes()


def without_bsids() -> Notes:
    """The notes of a node on which every BSID of a service is somebody's localsid."""
    taken = bsids.choices(Prefix.parse("5555::/16"), VIP)
    return on_node(*web(), keys={f"config/vpp/srv6/v2/localsid/{bsid}": {} for bsid in taken})


def in_ipv4() -> Notes:
    """The notes on a host endpoint of the other family."""
    host = "192.168.0.2"
    owner = web(clusterIP="10.96.0.10", clusterIPs=["10.96.0.10"], ipFamilies=["IPv4"])[0]
    item = {**endpoint_slice("web", [endpoint(host, "node2")]), "addressType": "IPv4"}
    return on_node(node(2, addresses=[host]), owner, item, conf={"ipv4": True})


def with_node_port() -> Json:
    """A service with a node port."""
    found = service("web", VIP, type="NodePort")
    found["spec"]["ports"][0]["nodePort"] = 30080
    return found


def conflicting() -> list[Json]:
    """Two services that ask for one external address and have different endpoints."""
    other = service("other", OTHER_VIP, externalIPs=[EXTERNAL], created="2026-01-02T00:00:00Z")
    return [*web(externalIPs=[EXTERNAL]), other, endpoint_slice("other", [HERE])]


R = Reason
SCENARIOS: dict[Reason, Callable[[], Notes]] = {
    R.MALFORMED: lambda: on_node(service("web", VIP) | {"spec": {"clusterIP": VIP, "ports": 7}}),
    R.ELEMENT_IGNORED: lambda: on_node(*web(THERE, endpoint("nonsense", "node2"))),
    R.MANIFEST_UNREADABLE: lambda: in_text("kind: [\n"),
    R.MANIFEST_OBJECT_UNNAMED: lambda: in_text("kind: Service\nmetadata: {}\n"),
    R.MANIFESTS_UNAVAILABLE: lambda: manifests.ManifestDirectory(Path("/dev/null/a")).scan().notes,
    R.DEFINED_TWICE: lambda: in_text(yaml.safe_dump_all([node(1), node(1)])),
    R.API_UNAVAILABLE: from_api,
    R.API_FORBIDDEN: lambda: from_api(is_denied=True),
    R.AGENT_UNAVAILABLE: agent_away,
    R.AGENT_LOST_VPP: vpp_lost,
    R.VPP_NOT_REPAIRED: vpp_not_repaired,
    R.OWN_NODE_UNKNOWN: own_node_unknown,
    R.OWN_NODE_INCOMPLETE: own_node_incomplete,
    R.MASS_DELETE_HELD: much_lost,
    R.DELETES_HELD: after_a_restart_with_gaps,
    R.ENDPOINT_PORT_IGNORED: lambda: on_node(
        web()[0], endpoint_slice("web", [THERE], [("http", "TCP", 70000)])
    ),
    R.ADDRESS_DENIED: lambda: on_node(service("web", OTHER)),
    R.SERVICE_IP_CONFLICT: lambda: on_node(*conflicting(), conf=_ALLOWED),
    R.SERVICE_PORT_CONFLICT: lambda: on_node(
        *web(HERE), endpoint_slice("web", [HERE], [("http", "TCP", 81)], name="web-2")
    ),
    R.CLUSTER_IP_OUTSIDE_SERVICE_CIDR: lambda: on_node(service("web", "2095::1")),
    R.PORT_ENDPOINTS_DIFFER: lambda: on_node(
        service("web", VIP, TWO_PORTS),
        endpoint_slice("web", [HERE], TWO_PORTS[:1]),
        endpoint_slice("web", [THERE], TWO_PORTS[1:], name="web-2"),
    ),
    R.PORT_WITHOUT_ENDPOINTS: lambda: on_node(
        service("web", VIP, TWO_PORTS), endpoint_slice("web", [THERE])
    ),
    R.SESSION_AFFINITY_UNSUPPORTED: lambda: on_node(*web(sessionAffinity="ClientIP")),
    R.SOURCE_RANGES_UNSUPPORTED: lambda: on_node(
        *balanced(EXTERNAL, loadBalancerSourceRanges=["fd77::/64"])
    ),
    R.NODE_PORT_LEFT_TO_KUBE_PROXY: lambda: on_node(with_node_port()),
    R.FAMILY_NOT_SERVED: lambda: on_node(*web(externalIPs=["203.0.113.5"])),
    R.IPV4_NOT_RENDERED: lambda: on_node(
        *web(clusterIPs=[VIP, "10.96.0.10"], ipFamilies=["IPv6", "IPv4"])
    ),
    R.EXTERNAL_IP_DENIED: lambda: on_node(*web(externalIPs=[EXTERNAL])),
    R.EXTERNAL_ADDRESS_INVALID: lambda: on_node(*balanced("here")),
    R.EXTERNAL_ENDPOINT_UNSUPPORTED: lambda: on_node(*web(endpoint("2001:db8::1"))),
    R.NODE_UNKNOWN: lambda: on_node(*web(endpoint("2001:0:0:9::5", "node9"))),
    R.HOST_FAMILY_UNSUPPORTED: in_ipv4,
    R.HOST_ENDPOINT_NEEDS_MASQUERADE: lambda: on_node(*web(HOST_HERE, HOST_THERE)),
    R.HOST_ENDPOINT_NEEDS_KUBE_PROXY: lambda: on_node(
        *web(HOST_THERE), conf={"kubeProxy": "absent"}
    ),
    R.POD_NOT_ATTACHED: lambda: on_node(*web(HERE), keys={}),
    R.POD_ATTACHMENT_UNKNOWN: lambda: on_node(*web(HERE), keys=pod_keys(POD, static=False)),
    R.POD_ANNOTATIONS_IGNORED: lambda: on_node(
        pod({"srv6kv.io/interface": "vpp-tap-a"}), conf={"podAnnotations": False}
    ),
    R.POD_UNKNOWN: lambda: on_node(
        *web({**HERE, "targetRef": {"kind": "Pod", "namespace": "default", "name": "a"}}),
        knows_pods=True,
    ),
    R.POD_CHAINS_OWNED_BY_MESH: lambda: on_node(
        *web(HERE), pod({"sidecar.istio.io/status": '{"initContainers":["istio-init"]}'})
    ),
    R.HOST_NOT_ATTACHED: lambda: on_node(without_cidr(1, **_NODE_IP), *web(HOST_HERE)),
    R.HOST_ATTACHMENT_UNKNOWN: lambda: on_node(without_cidr(1, **_NODE_IP), *web(HOST_HERE)),
    R.MTU_TOO_LARGE: lambda: on_node(mtuSize=1450),
    R.NODE_ADDRESS_UNKNOWN: lambda: on_node(without_cidr(2)),
    R.NODE_RECORD_UNREADABLE: lambda: on_node(keys={f"{PREFIX}2": b"{"}),
    R.VALUE_UNREADABLE: lambda: on_node(keys={f"config/vpp/v2/arp/vpp-tap-a/{POD}": b"{"}),
    R.TUNNEL_CONFLICT: lambda: on_node(node(3, addresses=["fd00::102"])),
    R.TUNNEL_INCOMPLETE: lambda: on_node(without_cidr(2, **_NODE_IP)),
    R.SID_COLLISION: lambda: on_node(node(3, annotations={"srv6kv.io/node-ip": "fe10:f00d::2"})),
    R.SANDBOX_COLLISION: lambda: on_node(
        *web(HERE, endpoint(OTHER, "node1")),
        keys={**pod_keys(POD, "a"), **pod_keys(OTHER, "a", interface="a")}
        | {
            f"config/linux/interfaces/v2/interface/{name}": {
                "name": name,
                "type": "TAP_TO_VPP",
                "namespace": {"type": "FD", "reference": f"/run/netns/{name}"},
                "ip_addresses": [f"{address}/128"],
                "tap": {"vpp_tap_if_name": tap},
            }
            for name, address, tap in (("one", POD, "vpp-tap-a"), ("two", OTHER, "a"))
        },
    ),
    R.BSID_EXHAUSTED: without_bsids,
    R.INVALID_VALUE: lambda: on_node(
        *web(HERE), keys=AGENT | {f"config/vpp/v2/route/vrf/1/dst/{VIP}/128/gw/::": {"vrf_id": 1}}
    ),
}
"""What triggers each reason."""
