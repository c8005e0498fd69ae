"""A node's reconciler with etcd as a table, in a cluster where addresses coincide on purpose."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from clusters import Json, identity, sid
from clusters import settings as settings_named
from strategies import OWN, Event, History

from srv6kv.etcd.values import Change, KeyValue
from srv6kv.notes import Note
from srv6kv.sync.reconciler import Reconciler
from srv6kv.txn.transaction import FullKey, Operation

LABEL = "n"
CONFIG = f"/vnf-agent/{LABEL}/"
RECORDS = "/vnf-agent/contiv-ksr/allocatedIDs/"


@dataclass(slots=True)
class Node:
    """A node that plans only what has changed, beside an etcd.

    Attributes:
        objects: the Kubernetes objects, as they are now.
        etcd: full key to value and mod revision.
    """

    conf: str
    objects: dict[tuple[str, str, str], Json] = field(default_factory=dict)
    etcd: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    revision: int = 1
    reconciler: Reconciler = field(init=False)

    def __post_init__(self) -> None:
        self.reconciler = self.started()

    def started(self) -> Reconciler:
        """A new process that has seen all that there is."""
        reconciler = Reconciler(settings_named(self.conf), OWN, LABEL)
        reconciler.intake.apply_all(self.objects.items())
        reconciler.reset(self.entries())
        return reconciler

    def entries(self) -> list[KeyValue]:
        """All that etcd holds."""
        return [KeyValue(FullKey(key), *found) for key, found in sorted(self.etcd.items())]

    def happen(self, events: Iterable[Event]) -> None:
        """Let these happen, and take them in."""
        for event in events:
            if event.kind == "wire":
                self.edit(event.key, event.body)
                continue
            assert event.body is not None
            name = identity(event.body)
            body = event.body if event.kind == "put" else None
            self.objects.pop(name, None)
            if body is not None:
                self.objects[name] = body
            self.reconciler.intake.apply(name, body)

    def edit(self, key: str, value: Json | None) -> None:
        """Somebody else writes or deletes a key of the agent."""
        self.revision += 1
        full = key if key.startswith(RECORDS) else CONFIG + key
        text = None if value is None else json.dumps(value).encode()
        if self._set(full, text):
            self.reconciler.observe([Change(FullKey(full), text, self.revision)])

    def _set(self, key: str, value: bytes | None) -> bool:
        if value is None:
            return self.etcd.pop(key, None) is not None
        self.etcd[key] = (value, self.revision)
        return True

    def settle(self) -> None:
        """Plan once, and do it."""
        found = self.reconciler.plan()
        for index, transaction in enumerate(found.transactions):
            self.revision += 1
            extra = self.reconciler.bookkeeping(found, index)
            for operation in (*transaction.operations, *extra):
                self._do(operation)
            self.reconciler.committed(transaction, extra, self.revision)
        self.reconciler.finish_change()

    def _do(self, operation: Operation) -> None:
        if operation.key.startswith(CONFIG):
            _, found = self.etcd.get(operation.key, (b"", 0))
            assert operation.guard == found, f"{operation.key}: the guard fails"
        self._set(operation.key, operation.value)

    def left(self) -> list[str]:
        """What a plan would do now, changes only."""
        return _operations(self.reconciler)

    def left_in_full(self) -> tuple[list[str], set[Note]]:
        """What a new process would do, and what it has to say."""
        fresh = self.started()
        return _operations(fresh), fresh.notes()

    def ours(self) -> dict[str, bytes]:
        """Our keys in etcd."""
        return {key: value for key, (value, _) in self.reconciler.held().items()}


def _operations(reconciler: Reconciler) -> list[str]:
    found = reconciler.plan()
    return [
        f"{'put' if one.is_put else 'del'} {one.key}"
        for transaction in found.transactions
        for one in transaction.operations
    ]


# Coincidences -------------------------------------------------------------------------------------


def coinciding(history: History, dice: random.Random) -> list[tuple[Event, ...]]:
    """The history with addresses that are one another's, and keys of others in the way."""
    pool = _pool(history)
    bunches = []
    for bunch in history.steps:
        events = [_twisted(event, pool, dice) for event in bunch]
        for make in dice.choices(_INTRUDERS, k=dice.choice([0, 0, 1, 2, 3])):
            events.insert(dice.randint(0, len(events)), make(history.last.conf, pool, dice))
        bunches.append(tuple(events))
    return bunches


def _pool(history: History) -> list[str]:
    """Addresses that are something already: of nodes, pods and services, and what is made of
    them."""
    prefixes = settings_named(history.last.conf).sid
    plain = {"::1"}
    for scene in (history.first, history.last):
        plain |= {ip for ip in scene.ips.values() if ip}
        for body in scene.objects:
            plain |= {found for found in _addresses(body) if ":" in found}
    ordinary = sorted(plain - {"::1"})
    made = {sid(str(prefix), found) for prefix in prefixes.all() for found in plain}
    return ordinary + sorted(made | {sid(str(prefixes.node), "::dead")})


def _addresses(body: Json) -> Iterator[str]:
    yield from (item["address"] for item in body.get("status", {}).get("addresses", []))
    yield from (one for item in body.get("endpoints", []) for one in item["addresses"])
    if body["kind"] == "Service" and body["spec"].get("clusterIP") not in (None, "None"):
        yield body["spec"]["clusterIP"]


def _twisted(event: Event, pool: list[str], dice: random.Random) -> Event:
    """The event, some of whose addresses are others'."""
    if event.kind != "put" or event.body is None or dice.random() < 0.5:
        return event
    body = json.loads(json.dumps(event.body))
    match body["kind"]:
        case "Node":
            more = [{"type": "InternalIP", "address": one} for one in dice.sample(pool, 2)]
            body["status"]["addresses"] += more
            if dice.random() < 0.2:
                body["metadata"].setdefault("annotations", {})["srv6kv.io/node-ip"] = dice.choice(
                    pool
                )
        case "EndpointSlice":
            for item in body["endpoints"]:
                if dice.random() < 0.2:
                    item["addresses"] = [dice.choice(pool)]
        case "Service":
            spec = body["spec"]
            if spec.get("ipFamilies") == ["IPv6"] and spec["clusterIP"] != "None":
                spec["externalIPs"] = dice.sample(pool, 2)
                if dice.random() < 0.2:
                    spec["clusterIP"] = dice.choice(pool)
                    spec["clusterIPs"] = [spec["clusterIP"]]
    return Event(event.kind, body, event.key)


def _pod(_: str, pool: list[str], dice: random.Random) -> Event:
    """A Pod that has another's address, or is gone; some are in a mesh, some say how to reach
    them."""
    name = dice.choice(["one", "two"])
    marks = {"srv6kv.io/interface": f"vpp-tap-{name}", "srv6kv.io/mac": "02:00:00:00:00:01"}
    marks["srv6kv.io/netns"] = f"/run/netns/{name}"
    body: Json = {
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "default",
            "annotations": dice.choice([{}, marks, {"linkerd.io/proxy-version": "2"}]),
        },
        "spec": {"nodeName": OWN},
        "status": {"podIPs": [{"ip": dice.choice(pool)} for _ in range(2)]},
    }
    return Event(dice.choice(["put", "put", "remove"]), body)


def _wired(_: str, pool: list[str], dice: random.Random) -> Event:
    """An address of another interface, wherever it belongs."""
    address, tap = dice.choice(pool), dice.choice(["vpp-tap-a", "vpp-tap-a/", "vpp-tap-a.b"])
    key = f"config/vpp/v2/arp/{tap}/{address}"
    value = {"interface": tap, "ip_address": address, "static": True}
    return Event("wire", value if dice.random() < 0.7 else None, key)


def _record(_: str, pool: list[str], dice: random.Random) -> Event:
    """Contiv's record of a node: another id, or an address that somebody has."""
    number = dice.choice([1, 2, 3, 4, 7])
    value: Json = {"id": number, "name": f"node{dice.choice([1, 2, 3])}"}
    value["ip_addresses"] = dice.choice([[], ["fe10:f00d::99"], [dice.choice(pool)]])
    return Event("wire", value if dice.random() < 0.7 else None, f"{RECORDS}{number}")


def _edit(conf: str, pool: list[str], dice: random.Random) -> Event:
    """One of our keys, which somebody writes or deletes."""
    of = settings_named(conf)
    address, bsid = dice.choice(pool), sid(str(of.sid.service_bsid), dice.choice(pool))
    keys: dict[str, Json | None] = {
        f"config/vpp/srv6/v2/policy/{bsid}": {"bsid": bsid, "segment_lists": []},
        "config/vpp/srv6/v2/steering/forK8sService-a-b-c": {
            "name": "forK8sService-a-b-c",
            "policy_bsid": bsid,
            "l3_traffic": {
                "installation_vrf_id": of.pod_vrf,
                "prefix_address": f"{address}/128",
            },
        },
        f"config/vpp/srv6/v2/localsid/{sid(str(of.sid.pod), address)}": None,
        f"config/vpp/v2/route/vrf/{of.main_vrf}/dst/{sid(str(of.sid.pod), address)}/128/gw/::": {},
    }
    key = dice.choice(sorted(keys))
    return Event("wire", keys[key] if dice.random() < 0.7 else None, key)


def _foreign(conf: str, pool: list[str], dice: random.Random) -> Event:
    """A key of somebody else that comes, changes or goes, often where one of ours would be."""
    of = settings_named(conf)
    vrf, address = dice.choice([of.main_vrf, of.pod_vrf]), dice.choice(pool)
    name = dice.choice(["mine", "theirs"])
    keys: dict[str, Mapping[str, object]] = {
        f"config/vpp/srv6/v2/steering/{name}": {
            "name": name,
            "policy_bsid": dice.choice([address, "8502:f00d::2"]),
            "l3_traffic": {
                "installation_vrf_id": vrf,
                "prefix_address": f"{dice.choice(pool)}/128",
            },
        },
        f"config/vpp/v2/route/vrf/{vrf}/dst/{address}/128/gw/fe10:f00d::99": {
            "vrf_id": vrf,
            "dst_network": f"{address}/128",
            "next_hop_addr": "fe10:f00d::99",
        },
        f"config/vpp/srv6/v2/policy/{address}": {"bsid": address},
        f"config/vpp/srv6/v2/localsid/{address}": {"sid": address},
    }
    key = dice.choice(sorted(keys))
    return Event("wire", dict(keys[key]) if dice.random() < 0.6 else None, key)


_INTRUDERS = (_foreign, _foreign, _foreign, _pod, _wired, _record, _edit)
