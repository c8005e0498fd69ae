"""Pods whose wiring their annotations tell, because the agent's keys do not (decision 0030)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
from clusters import (
    CONFS,
    Json,
    base_keys,
    endpoint,
    endpoint_slice,
    node,
    pod_keys,
    service,
    settings_of,
)
from history import History, violations
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from processes import Bench

from srv6kv.cluster.attachment import Attachment, Unattached
from srv6kv.etcd.store import Etcd3Store
from srv6kv.etcd.values import Change, KeyValue
from srv6kv.kube.podannotations import attachment_of
from srv6kv.ligato import schema
from srv6kv.ligato.values import Namespace
from srv6kv.plan.plan import Plan
from srv6kv.sync.reconciler import Reconciler
from srv6kv.txn.transaction import FullKey
from srv6kv.vpp import vppcli

POD = "2001:0:0:1::5"
TRUSTING: Json = {
    **CONFS["today"],
    "srv6kv": {"podAnnotations": True, "podInterfacePattern": "memif*"},
}
MARKS = {
    "srv6kv.io/interface": "memif7",
    "srv6kv.io/mac": "02:FE:00:00:00:07",
    "srv6kv.io/netns": "/run/netns/web-0",
}
ARP = f"config/vpp/v2/arp/memif7/{POD}"
ARP_VALUE = {
    "interface": "memif7",
    "ip_address": POD,
    "phys_address": "02:fe:00:00:00:07",
    "static": True,
}
LOCALSID = "config/vpp/srv6/v2/localsid/9300:0:0:1::5"
POLICY = "config/vpp/srv6/v2/policy/8fff::1"
CHAIN = "config/linux/iptables/v2/rulechain/srv6kv-memif7-PREROUTING"


def pod(marks: Mapping[str, str], name: str = "web-0", on: str = "node1") -> Json:
    """A pod with the address and these annotations."""
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "annotations": dict(marks)},
        "spec": {"nodeName": on},
        "status": {"phase": "Running", "podIPs": [{"ip": POD}]},
    }


class Sidecar:
    """What ``run`` keeps of node 1, with etcd as a table."""

    def __init__(
        self,
        values: Mapping[str, Any],
        held: Mapping[str, KeyValue] | None = None,
        conf: Json = TRUSTING,
    ):
        self.reconciler = Reconciler(settings_of(conf), "node1", "n")
        self.held = dict(held or {})
        self.revision = len(self.held)
        for key, value in values.items():
            self._keep(self.reconciler.prefix + key, json.dumps(value).encode())
        self.reconciler.reset(self.held.values())
        slices = endpoint_slice("web", [endpoint(POD, "node1")])
        self.put(node(1), service("web", "2096::1"), slices)

    def _keep(self, key: str, value: bytes | None) -> KeyValue | None:
        self.revision += 1
        if value is None:
            self.held.pop(key, None)
            return None
        self.held[key] = KeyValue(FullKey(key), value, self.revision)
        return self.held[key]

    def put(self, *bodies: Json) -> Sidecar:
        """Kubernetes objects come or change."""
        for body in bodies:
            metadata = body["metadata"]
            identity = (body["kind"], metadata.get("namespace", ""), metadata["name"])
            self.reconciler.intake.apply(identity, body)
        return self

    def wire(self, values: Mapping[str, Json]) -> Sidecar:
        """The CNI writes keys while ``run`` watches."""
        for key, value in values.items():
            item = self._keep(self.reconciler.prefix + key, json.dumps(value).encode())
            assert item is not None
            self.reconciler.observe([item])
        return self

    def unwire(self, key: str) -> Sidecar:
        """The CNI deletes a key while ``run`` watches."""
        name = self.reconciler.prefix + key
        self._keep(name, None)
        self.reconciler.observe([Change(FullKey(name), None, self.revision)])
        return self

    def settle(self) -> Plan:
        """Write what is to be written, with what is noted beside it; the plan."""
        plan = self.reconciler.plan()
        for index, transaction in enumerate(plan.transactions):
            extra = self.reconciler.bookkeeping(plan, index)
            for operation in (*transaction.operations, *extra):
                self._keep(operation.key, operation.value)
            self.reconciler.committed(transaction, extra, self.revision)
        self.reconciler.finish_change()
        return plan

    def restarted(self) -> Sidecar:
        """Another process on the same etcd."""
        return Sidecar({}, self.held)

    def value(self, key: str) -> Any:
        """A key of the agent as a plain value; None: it is not there."""
        item = self.held.get(self.reconciler.prefix + key)
        return None if item is None else json.loads(item.value)

    def notes(self) -> dict[str, str]:
        """What there is to say, text by reason."""
        return {note.reason: note.text for note in self.reconciler.notes()}


BASE = base_keys(1, "fe10:f00d::1")


def test_annotations_wire_a_pod_that_no_key_speaks_of() -> None:
    """Localsid, policy and chain name what the annotations say, and the neighbour is written."""
    sidecar = Sidecar(BASE).put(pod(MARKS))
    sidecar.settle()

    assert sidecar.value(LOCALSID)["end_function_dx6"] == {
        "next_hop": POD,
        "outgoing_interface": "memif7",
    }
    assert sidecar.value(ARP) == ARP_VALUE
    assert sidecar.value(CHAIN)["namespace"] == {"type": "FD", "reference": "/run/netns/web-0"}
    assert sidecar.value(POLICY) is not None
    assert "PodAttachmentUnknown" not in sidecar.notes()


def test_without_keys_and_annotations_a_pod_waits_visibly() -> None:
    """No localsid, no policy on its own node, and a note; annotations that come end the wait."""
    sidecar = Sidecar(BASE).put(pod({}))
    sidecar.settle()

    assert (sidecar.value(LOCALSID), sidecar.value(POLICY)) == (None, None)
    assert "no localsid until it is known" in sidecar.notes()["PodAttachmentUnknown"]

    sidecar.put(pod(MARKS)).settle()

    assert sidecar.value(LOCALSID) is not None
    assert sidecar.value(POLICY) is not None
    assert "PodAttachmentUnknown" not in sidecar.notes()


def test_a_recreated_sandbox_with_the_same_address_is_read_again() -> None:
    """Defect D13: localsid, neighbour and chains move to the new interface in one step."""
    sidecar = Sidecar(BASE).put(pod(MARKS))
    sidecar.settle()
    sidecar.put(pod({**MARKS, "srv6kv.io/interface": "memif8"})).settle()

    assert sidecar.value(LOCALSID)["end_function_dx6"]["outgoing_interface"] == "memif8"
    assert sidecar.value(ARP) is None
    assert sidecar.value(f"config/vpp/v2/arp/memif8/{POD}") == {**ARP_VALUE, "interface": "memif8"}
    assert sidecar.value(CHAIN) is None
    assert not sidecar.settle()


def test_our_own_neighbour_is_no_evidence_after_a_restart() -> None:
    """A restart writes nothing, and annotations that are gone meanwhile unwire the pod."""
    sidecar = Sidecar(BASE).put(pod(MARKS))
    sidecar.settle()

    assert not sidecar.restarted().put(pod(MARKS)).settle()

    other = sidecar.restarted().put(pod({}))
    other.settle()

    assert (other.value(LOCALSID), other.value(ARP)) == (None, None)


def test_the_neighbour_goes_with_the_pod() -> None:
    """When no slice lists the pod any more, the neighbour that we wrote is deleted."""
    sidecar = Sidecar(BASE).put(pod(MARKS))
    sidecar.settle()
    sidecar.put(endpoint_slice("web", [])).settle()

    assert sidecar.value(ARP) is None


@pytest.mark.parametrize("phys_address", ["02:fe:00:00:00:07", "02:fe:00:00:00:09"])
def test_a_neighbour_of_the_cni_is_never_ours(phys_address: str) -> None:
    """One that is there is not rewritten, and not deleted when the pod goes."""
    theirs = {**ARP_VALUE, "phys_address": phys_address}
    sidecar = Sidecar({**BASE, ARP: theirs}).put(pod(MARKS))
    sidecar.settle()

    assert sidecar.value(LOCALSID) is not None

    sidecar.put(endpoint_slice("web", [])).settle()

    assert sidecar.value(ARP) == theirs


def test_a_neighbour_that_the_cni_writes_over_ours_is_the_cnis() -> None:
    """From then on it is neither changed nor deleted."""
    sidecar = Sidecar(BASE).put(pod(MARKS))
    sidecar.settle()
    theirs = {**ARP_VALUE, "phys_address": "02:fe:00:00:00:09"}
    sidecar.wire({ARP: theirs}).settle()

    assert sidecar.value(ARP) == theirs

    sidecar.put(endpoint_slice("web", [])).settle()

    assert sidecar.value(ARP) == theirs


def test_the_agents_keys_come_first() -> None:
    """Where they wire the pod, annotations of another interface do not count."""
    sidecar = Sidecar({**BASE, **pod_keys(POD, "c")}).put(pod(MARKS))
    sidecar.settle()

    assert sidecar.value(LOCALSID)["end_function_dx6"]["outgoing_interface"] == "vpp-tap-c"
    assert sidecar.value(ARP) is None


def of(values: Mapping[str, Json], *pods: Json) -> Attachment | Unattached:
    """The wiring of the pod."""
    sidecar = Sidecar(values).put(*pods)
    return sidecar.reconciler.cluster.attachment_of(POD, "node1")


def test_annotations_fill_the_gaps_of_the_keys() -> None:
    """Each part comes from the keys if they have it, else from the annotations."""
    whole = pod_keys(POD, "c", interface="memif7")
    linux = {key: value for key, value in whole.items() if key.startswith("config/linux/")}
    rest = {key: value for key, value in whole.items() if key not in linux}
    said = Namespace(type="FD", reference="/run/netns/web-0")
    known = Namespace(type="FD", reference="/run/netns/c")

    assert of(rest, pod(MARKS)) == Attachment("memif7", said)
    assert of(linux, pod(MARKS)) == Attachment("memif7", known, "02:fe:00:00:00:07")


@pytest.mark.parametrize(
    ("values", "missing"),
    [
        (pod_keys(POD, "c", interface="memif7", static=False), "no static ARP entry"),
        (pod_keys(POD, "c", static=False), "name interface vpp-tap-c, its Pod memif7"),
    ],
)
def test_annotations_do_not_overrule_the_keys(values: dict[str, Json], missing: str) -> None:
    """A neighbour that is not static, or keys of another interface, leave the pod waiting."""
    found = of(values, pod(MARKS))

    assert isinstance(found, Unattached)
    assert missing in found.missing


@pytest.mark.parametrize(
    ("name", "missing"),
    [("srv6kv.io/mac", "no static ARP"), ("srv6kv.io/netns", "namespace")],
)
def test_half_of_the_annotations_is_not_enough(name: str, missing: str) -> None:
    """What neither keys nor annotations tell is named."""
    found = of({}, pod({key: text for key, text in MARKS.items() if key != name}))

    assert isinstance(found, Unattached)
    assert missing in found.missing


def test_two_pods_that_say_different_things_wait() -> None:
    """One that goes and one that comes: only if they agree it does not matter which it is."""
    other = {**MARKS, "srv6kv.io/interface": "memif8"}
    found = of({}, pod(MARKS), pod(other, "web-1"))

    assert isinstance(found, Unattached)
    assert "several pods" in found.missing
    assert isinstance(of({}, pod(MARKS), pod(other, "web-1", "node2")), Attachment)
    assert isinstance(of({}, pod(MARKS), pod(MARKS, "web-1")), Attachment)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("srv6kv.io/interface", ""),
        ("srv6kv.io/interface", "two words"),
        ("srv6kv.io/interface", "$x"),
        ("srv6kv.io/interface", "x" * 64),
        ("srv6kv.io/mac", "02:fe:00:00:00"),
        ("srv6kv.io/mac", "01:00:5e:00:00:01"),
        ("srv6kv.io/mac", "00:00:00:00:00:00"),
        ("srv6kv.io/netns", "web-0"),
        ("srv6kv.io/netns", "/run/../etc"),
        ("srv6kv.io/netns", "/./proc/1/ns/net"),
        ("srv6kv.io/netns", "//proc/1/ns/net"),
        ("srv6kv.io/netns", "/run/netns/../../proc/1/ns/net"),
        ("srv6kv.io/netns", "/run/netns//web-0"),
        ("srv6kv.io/netns", "/run/netns/./web-0"),
        ("srv6kv.io/netns", "/run/netns/web-0/"),
        ("srv6kv.io/netns", "/run/netns/.."),
        ("srv6kv.io/netns", "/run/netns"),
        ("srv6kv.io/netns", "/run/netns-of-others/web-0"),
        ("srv6kv.io/netns", "/proc"),
        ("srv6kv.io/netns", "/proc/self/ns/net"),
        ("srv6kv.io/netns", "/dev/fd/3"),
        ("srv6kv.io/netns", "/var/lib/web-0"),
        ("srv6kv.io/netns", "/run/netns/web-0\n"),
        ("srv6kv.io/interface", "vpp-tap-web"),
        ("srv6kv.io/interface", "MEMIF7"),
        ("srv6kv.io/interface", "memif7\n"),
        ("srv6kv.io/netns", "/proc/4100/ns/net"),
    ],
)
def test_a_mistake_in_an_annotation_is_named(name: str, text: str) -> None:
    """The pod waits, with the annotation's name; the rest of the Pod counts."""
    sidecar = Sidecar(BASE).put(pod({**MARKS, name: text, "kuma.io/sidecar-injected": "true"}))
    sidecar.settle()

    assert f"metadata.annotations[{name}]" in sidecar.notes()["PodAttachmentUnknown"]
    assert sidecar.value(LOCALSID) is None
    assert "Malformed" not in sidecar.notes()


def test_without_the_setting_annotations_say_nothing() -> None:
    """The pod waits as without them, and a note on it says why; keys count as ever."""
    for own in ({}, {"podAnnotations": False}):
        sidecar = Sidecar(BASE, conf={**TRUSTING, "srv6kv": own}).put(pod(MARKS))
        sidecar.settle()
        notes = {(str(note.subject), note.reason) for note in sidecar.reconciler.notes()}

        assert (sidecar.value(LOCALSID), sidecar.value(ARP), sidecar.value(CHAIN)) == (None,) * 3
        assert ("Pod default/web-0", "PodAnnotationsIgnored") in notes
        assert (f"Endpoint {POD}", "PodAttachmentUnknown") in notes

        sidecar.wire(pod_keys(POD, "c")).settle()

        assert sidecar.value(LOCALSID) is not None

        sidecar.put(pod({})).settle()

        assert "PodAnnotationsIgnored" not in sidecar.notes()


def test_what_annotations_made_goes_when_the_setting_does() -> None:
    """A restart with the setting off leaves neither neighbour nor localsid."""
    sidecar = Sidecar(BASE).put(pod(MARKS))
    sidecar.settle()
    other = Sidecar({}, sidecar.held, CONFS["today"]).put(pod(MARKS))
    other.settle()

    assert (other.value(LOCALSID), other.value(ARP), other.value(CHAIN)) == (None, None, None)


OTHER = "2001:0:0:1::6"


def _other(marks: Mapping[str, str], address: str = OTHER, **more: str) -> Json:
    body = pod({**marks, **more}, "hostile")
    body["status"]["podIPs"] = [{"ip": address}]
    return body


def _keys(interface: str, namespace: Json) -> dict[str, Json]:
    """The agent's keys of another pod."""
    keys = pod_keys(OTHER, "victim", interface=interface)
    for value in keys.values():
        if "namespace" in value:
            value["namespace"] = namespace
    return keys


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        (_keys("memif7", {"type": "FD", "reference": "/run/netns/v"}), "interface memif7"),
        (_keys("memif1", {"type": "FD", "reference": "/run/netns/web-0"}), "/run/netns/web-0"),
        (_keys("memif1", {"type": "FD", "reference": "/var/run/netns/web-0"}), "/run/netns/web-0"),
        (_keys("memif1", {"type": "FD", "reference": "/run//netns/web-0"}), "/run/netns/web-0"),
        (_keys("memif1", {"type": "NSID", "reference": "web-0"}), "/run/netns/web-0"),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_what_another_pod_has_by_the_keys_is_refused(
    keys: dict[str, Json], what: str, is_first: bool
) -> None:
    """Whichever came first; and when those keys go, the annotations count."""
    sidecar = Sidecar(BASE)
    if is_first:
        sidecar.wire(keys).put(pod(MARKS)).settle()
    else:
        sidecar.put(pod(MARKS)).settle()
        assert sidecar.value(LOCALSID) is not None
        sidecar.wire(keys).settle()

    assert (sidecar.value(LOCALSID), sidecar.value(ARP), sidecar.value(CHAIN)) == (None, None, None)
    assert (
        f"{what} is that of {OTHER} by the agent's keys" in sidecar.notes()["PodAttachmentUnknown"]
    )

    for key in keys:
        sidecar.unwire(key)
    sidecar.settle()

    assert sidecar.value(LOCALSID) is not None


def test_what_the_agent_tells_over_rest_counts_as_its_keys() -> None:
    """An agent that is configured in process has them nowhere else."""
    keys = _keys("memif7", {"type": "FD", "reference": "/run/netns/v"})
    sidecar = Sidecar(BASE).put(pod(MARKS))
    sidecar.settle()
    told = {key: json.dumps(value).encode() for key, value in keys.items()}
    sidecar.reconciler.cluster.replace_reported(told, sidecar.reconciler.actual.entries)
    sidecar.settle()

    assert sidecar.value(LOCALSID) is None
    assert "by the agent's keys" in sidecar.notes()["PodAttachmentUnknown"]


def test_a_pod_with_two_addresses_is_not_another_pod() -> None:
    """Keys may tell the wiring of the one, and annotations that of the other."""
    keys = _keys("memif7", {"type": "FD", "reference": "/run/netns/web-0"})
    body = pod(MARKS)
    body["status"]["podIPs"].append({"ip": OTHER})

    assert isinstance(of(keys, body), Attachment)
    assert isinstance(of(keys, pod(MARKS)), Unattached)


@pytest.mark.parametrize(
    "claim",
    [
        {"srv6kv.io/netns": "/run/netns/mine"},
        {"srv6kv.io/interface": "memif8"},
        {"srv6kv.io/interface": "memif8", "srv6kv.io/netns": "/var/run/netns/web-0"},
    ],
)
def test_two_pods_that_name_the_same_have_neither(claim: dict[str, str]) -> None:
    """Nothing tells which of them lies; when one is gone or changes, the other is wired."""
    sidecar = Sidecar(BASE).put(pod(MARKS))
    sidecar.settle()
    sidecar.put(_other({**MARKS, **claim})).settle()

    assert (sidecar.value(LOCALSID), sidecar.value(ARP), sidecar.value(CHAIN)) == (None, None, None)
    assert (
        "named by the annotations of Pod default/hostile" in sidecar.notes()["PodAttachmentUnknown"]
    )

    sidecar.put(_other({})).settle()

    assert sidecar.value(LOCALSID) is not None

    sidecar.put(_other({**MARKS, **claim})).settle()
    sidecar.reconciler.intake.apply(("Pod", "default", "hostile"), None)
    sidecar.settle()

    assert sidecar.value(LOCALSID) is not None


def test_a_pod_that_the_keys_wire_yields_to_no_annotation() -> None:
    """Another pod's annotations can neither take nor block what the keys give a pod."""
    keys = pod_keys(POD, "c", interface="memif7")
    linux = {key: value for key, value in keys.items() if key.startswith("config/linux/")}
    rest = {key: value for key, value in keys.items() if key not in linux}
    hostile = _other(MARKS, **{"srv6kv.io/netns": "/run/netns/mine"})

    assert isinstance(of(keys, pod(MARKS), hostile), Attachment)
    assert of(rest, pod(MARKS), hostile) == Attachment(
        "memif7", Namespace(type="FD", reference="/run/netns/web-0")
    )


@pytest.mark.parametrize(
    "claim",
    [
        {"srv6kv.io/mac": "nonsense"},
        {"srv6kv.io/netns": "/proc/1/ns/net"},
        {"srv6kv.io/netns": "/var/lib/x"},
        {"srv6kv.io/netns": "/run/netns/victim"},
    ],
)
def test_annotations_that_are_refused_take_nothing_from_others(claim: dict[str, str]) -> None:
    """For another cause: a mistake, the settings, or what a third pod has by the keys."""
    third = pod_keys("2001:0:0:1::7", "victim")
    sidecar = Sidecar({**BASE, **third}).put(pod(MARKS), _other({**MARKS, **claim}))
    sidecar.settle()

    assert sidecar.value(LOCALSID) is not None


def test_what_no_longer_refuses_another_pod_is_noticed() -> None:
    """The hostile pod is refused by a third pod's keys; without these it disputes again."""
    third = pod_keys("2001:0:0:1::7", "victim")
    hostile = _other({**MARKS, "srv6kv.io/netns": "/run/netns/victim"})
    sidecar = Sidecar({**BASE, **third}).put(pod(MARKS), hostile)
    sidecar.settle()
    for key in third:
        sidecar.unwire(key)
    sidecar.settle()

    assert sidecar.value(LOCALSID) is None

    sidecar.wire(third).settle()

    assert sidecar.value(LOCALSID) is not None


_ADDRESSES = [f"2001:0:0:1::{number}" for number in range(5, 9)]
_EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["pod", "pod", "keys", "gone", "unwired"]),
        st.integers(0, 3),
        st.sampled_from(["memif7", "memif8", "elsewhere"]),
        st.sampled_from(["/run/netns/a", "/var/run/netns/a", "/run/netns/b", "/proc/1/ns/net"]),
        st.integers(0, 3),
    ),
    max_size=12,
)


@given(_EVENTS)
@hypothesis_settings(max_examples=60, deadline=None)
def test_who_is_refused_does_not_depend_on_what_came_before(events: list[Any]) -> None:
    """Pods and keys that come, change and go lead to the same keys as those that are left, read at
    once; and no interface or namespace serves two pods."""
    sidecar = _following()
    sidecar.settle()
    pods: dict[str, Json] = {}
    keys: dict[str, Json] = {}
    for kind, number, interface, netns, address in events:
        name = f"p{number}"
        if kind == "pod":
            marks = {**MARKS, "srv6kv.io/interface": interface, "srv6kv.io/netns": netns}
            pods[name] = _named(name, marks, _ADDRESSES[address])
            sidecar.put(pods[name])
        elif kind == "gone":
            pods.pop(name, None)
            sidecar.reconciler.intake.apply(("Pod", "default", name), None)
        else:
            for key in _wiring(number, interface, netns):
                if key in keys:
                    del keys[key]
                    sidecar.unwire(key)
            if kind == "keys":
                new = _wiring(number, interface, netns)
                keys = {key: value for key, value in keys.items() if key not in new} | new
                sidecar.wire(new)
        sidecar.settle()
    fresh = _following().wire(keys).put(*pods.values())
    fresh.settle()

    assert _ours(sidecar) == _ours(fresh)
    ends = {}
    for key, item in sidecar.held.items():
        if "/localsid/9300:0:0:1::" in key:
            end = json.loads(item.value)["end_function_dx6"]
            ends[end["next_hop"]] = end["outgoing_interface"]
    for address, interface in ends.items():
        others = [other for one, other in ends.items() if one != address]
        by_keys = any(address in key or address in json.dumps(keys[key]) for key in keys)
        assert by_keys or interface not in others


def _following() -> Sidecar:
    """Node 1 with a service that lists every address of the pool."""
    listed = [endpoint(address, "node1") for address in _ADDRESSES]
    return Sidecar(BASE).put(endpoint_slice("web", listed))


def _named(name: str, marks: Mapping[str, str], address: str) -> Json:
    body = pod(marks, name)
    body["status"]["podIPs"] = [{"ip": address}]
    return body


def _wiring(number: int, interface: str, netns: str) -> dict[str, Json]:
    keys = pod_keys(_ADDRESSES[number], "a", interface=interface)
    keys = {key: value for key, value in keys.items() if "/interfaces/v2/" not in key}
    end = {
        "name": f"end{number}",
        "namespace": {"type": "FD", "reference": netns},
        "ip_addresses": [f"{_ADDRESSES[number]}/128"],
        "tap": {"vpp_tap_if_name": interface},
    }
    return {**keys, f"config/linux/interfaces/v2/interface/end{number}": end}


def _ours(sidecar: Sidecar) -> dict[str, bytes]:
    return {
        key: item.value
        for key, item in sidecar.held.items()
        if sidecar.reconciler.owns(key.removeprefix(sidecar.reconciler.prefix))
    }


def test_the_same_hardware_address_is_no_matter() -> None:
    """Some CNIs give all pods one: each has an interface of its own."""
    other = _other({**MARKS, "srv6kv.io/interface": "memif8", "srv6kv.io/netns": "/run/netns/w"})

    assert isinstance(of({}, pod(MARKS), other), Attachment)


def test_the_hosts_interface_is_nobodys() -> None:
    """Whatever the pattern says."""
    conf = {**TRUSTING, "srv6kv": {"podAnnotations": True, "podInterfacePattern": "*"}}
    sidecar = Sidecar(BASE, conf=conf).put(pod({**MARKS, "srv6kv.io/interface": "tap-vpp2"}))
    sidecar.settle()

    assert sidecar.value(LOCALSID) is None
    assert "is the host's interface" in sidecar.notes()["PodAttachmentUnknown"]


def test_directories_and_pattern_are_the_settings() -> None:
    """By default named namespaces and TAPs; else what the operator names, and nothing above it."""

    def is_wired(interface: str, netns: str, **own: Any) -> bool:
        conf = {**CONFS["today"], "srv6kv": {"podAnnotations": True, **own}}
        marks = {**MARKS, "srv6kv.io/interface": interface, "srv6kv.io/netns": netns}
        sidecar = Sidecar(BASE, conf=conf).put(pod(marks))
        return isinstance(sidecar.reconciler.cluster.attachment_of(POD, "node1"), Attachment)

    mine = {"podNamespaceDirectories": ["/var/lib/cni/ns"], "podInterfacePattern": "if[0-9]"}
    assert is_wired("vpp-tap-x", "/run/netns/x")
    assert is_wired("vpp-tap-x", "/var/run/netns/x")
    assert is_wired("vpp-tap-x", "/run/netns/deeper/x")
    assert not is_wired("memif7", "/run/netns/x")
    assert not is_wired("vpp-tap-x", "/var/lib/cni/ns/x")
    assert is_wired("if7", "/var/lib/cni/ns/x", **mine)
    assert not is_wired("if77", "/var/lib/cni/ns/x", **mine)
    assert not is_wired("if7", "/run/netns/x", **mine)
    assert not is_wired("if7", "/var/lib/cni/nsx/x", **mine)


def test_no_annotation_is_no_wiring() -> None:
    """Other annotations say nothing about it."""
    assert attachment_of({"kuma.io/sidecar-injected": "true"}) is None


def test_the_neighbour_is_what_the_agent_and_vpp_read() -> None:
    """Its value is one of the agent's, and as VPP's command it is static."""
    sidecar = Sidecar(BASE).put(pod(MARKS))
    sidecar.settle()
    item = sidecar.held[sidecar.reconciler.prefix + ARP]

    assert schema.parse_json(ARP, item.value)
    assert vppcli.commands({ARP: sidecar.value(ARP)}, {"memif7": "memif0/7"}) == [
        f"set ip neighbor memif0/7 {POD} 02:fe:00:00:00:07 static"
    ]


def test_a_neighbour_that_the_agent_would_refuse_keeps_the_pod_waiting() -> None:
    """A name that is no clean part of a key is told; nothing of the pod is written."""
    sidecar = Sidecar(BASE).put(pod({**MARKS, "srv6kv.io/interface": "memif//b"}))
    sidecar.settle()

    assert "is not a clean path" in sidecar.notes()["InvalidValue"]
    assert (sidecar.value(LOCALSID), sidecar.value("config/vpp/v2/arp/memif//b/" + POD)) == (
        None,
        None,
    )


def _leads_to(history: History, sid: str, interface: str) -> bool:
    value = history.state().get(f"config/vpp/srv6/v2/localsid/{sid}", b"")
    return interface.encode() in value


def test_run_follows_the_annotations_of_a_pod(
    bench: Bench, history: History, store: Etcd3Store
) -> None:
    """On a real etcd: it waits, is wired, moves to another interface, and a restart is quiet."""
    wiring = [key for key in bench.foreign if "d6087568" in key]
    for key in wiring:
        store.delete(bench.prefix + key)
    history.wait(lambda: not history.state().keys() & set(wiring))
    bench.settings("srv6kv:", "  podAnnotations: true", '  podInterfacePattern: "memif*"')
    process = bench.run()
    process.wait_for(f"Endpoint {POD}: no ARP entry")
    for interface in ("memif7", "memif8"):
        bench.edit("web.json", json.dumps(pod({**MARKS, "srv6kv.io/interface": interface})))
        history.wait(partial(_leads_to, history, "6666:0:0:1::5", interface))
    state = history.state()

    assert (ARP in state, ARP.replace("memif7", "memif8") in state) == (False, True)
    assert violations(history.revisions(), bench.foreign) == []
    assert process.stop() == 0
    revision = history.last()
    assert bench.run("--once").wait() == 0
    assert history.last() == revision
