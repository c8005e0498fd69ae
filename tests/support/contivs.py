"""Nodes that Contiv has served: the recorded clusters, and their state while they are adopted."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from clusters import Json, settings_of
from history import STEERING, History, State
from processes import MYSERVICE, Bench

from srv6kv.etcd.store import Etcd3Store
from srv6kv.etcd.values import Change, KeyValue
from srv6kv.ligato import keys
from srv6kv.oneshot import adopt
from srv6kv.oneshot.adopt import Adoption
from srv6kv.sync.reconciler import Reconciler
from srv6kv.txn.transaction import FullKey, Operation

CASES = [
    json.loads(line)
    for line in gzip.decompress(
        (Path(__file__).parents[1] / "reference" / "cases.jsonl.gz").read_bytes()
    ).splitlines()
]
FORWARD = f"{keys.RULE_CHAIN}port-forward-"
CHAIN = f"{keys.RULE_CHAIN}srv6kv-"
LOOPBACK = f"{keys.LINUX_INTERFACE}linux-loop-"
NOTED = "/srv6kv/n/ranges"


def contivs(case: Json) -> State:
    """What etcd holds after Contiv: the agent's keys, and the reference's over them."""
    values: dict[str, Json] = dict(case["agent"])
    for key, value in case["expected"].items():
        if key.startswith(FORWARD):
            container, _, kind = key.removeprefix(FORWARD).rpartition("-")
            loopback = case["agent"][f"{LOOPBACK}{container[:52]}"]
            values[key] = {
                "chain_type": kind,
                "name": key.removeprefix(keys.RULE_CHAIN),
                "namespace": loopback["namespace"],
                "protocol": "IPV6",
                "table": "NAT",
                **value,
            }
        else:
            values[key] = {**values.get(key, {}), **value}
    return {key: canonical(value) for key, value in values.items()}


def canonical(value: Any) -> bytes:
    """JSON with sorted keys, compact."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def left_by_contiv(bench: Bench, store: Etcd3Store, history: History) -> frozenset[str]:
    """Make of a node one on which Contiv has served myservice, with its redirection and loopback.

    Returns:
        The keys that only Contiv writes.
    """
    sandbox = "d6087568be9f59aba028955c19f5684055a69d926ed89f720fe187a"
    namespace = {"type": "FD", "reference": "/proc/4102/ns/net"}
    rule = "-d 2096::d765/128 -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8080"
    name = f"port-forward-{sandbox}012345678-PREROUTING"
    chain = {
        "name": name,
        "namespace": namespace,
        "rules": [rule],
        "chain_type": "PREROUTING",
        "table": "NAT",
    }
    addresses = ["127.0.0.1/8", "::1/128", "2096::d765/128"]
    value = {"ip_addresses": addresses, "namespace": namespace, "type": "LOOPBACK"}
    bench.put_foreign(store, f"{LOOPBACK}{sandbox[:52]}", json.dumps(value))
    same = (MYSERVICE, f"{STEERING}forK8sService-default-myservice", keys.LOCALSID)
    made = {key: text for key, text in bench.expected().items() if key.startswith(same)}
    made[keys.rule_chain(name)] = json.dumps(chain).encode()
    writer = store.acquire(bench.label, "contiv/0")
    assert writer is not None
    for key in sorted(made, key=lambda key: (keys.rank(key), key)):
        store.put(bench.prefix + key, made[key])
    writer.release()
    history.wait_for(bench.foreign | made)
    return frozenset({keys.rule_chain(name)})


class Node:
    """A node of a recorded cluster, with etcd as a table."""

    def __init__(self, case: Json, state: Mapping[str, bytes]) -> None:
        self.case = case
        self.state: State = {}
        self.revisions: list[tuple[int, list[Change]]] = []
        self.noted: State = {}
        order = sorted(state, key=lambda key: (keys.rank(key), key))
        self._take(Operation(FullKey(key), state[key], 0) for key in order)

    def _take(self, operations: Iterable[Operation]) -> None:
        number = len(self.revisions) + 1
        changes = [Change(o.key, o.value, number) for o in operations]
        for change in changes:
            if change.value is None:
                del self.state[change.key]
            else:
                self.state[change.key] = change.value
        self.revisions.append((number, changes))

    def put(self, key: str, value: bytes | None) -> None:
        """A key comes, changes or (None) goes."""
        self._take([Operation(FullKey(key), value, 0)])

    def reconciler(self) -> Reconciler:
        """Of a process that has seen the cluster and not yet etcd."""
        found = Reconciler(settings_of(self.case["config"]), self.case["node"], "n")
        for body in self.case["objects"]:
            metadata = body["metadata"]
            identity = (body["kind"], metadata.get("namespace", ""), metadata["name"])
            found.intake.apply(identity, body)
        return found

    def entries(self, prefix: str) -> list[KeyValue]:
        """What a read gives."""
        return [
            *(KeyValue(FullKey(prefix + key), value, 1) for key, value in self.state.items()),
            *(KeyValue(FullKey(key), value, 1) for key, value in self.noted.items()),
        ]

    def adopt(self, *, strips_loopbacks: bool = False) -> Adoption:
        """Adopt, with all that is written and noted."""
        reconciler = self.reconciler()
        entries = self.entries(reconciler.prefix)
        found = adopt.adopt(reconciler, entries, strips_loopbacks=strips_loopbacks)
        for index, transaction in enumerate(found.plan.transactions):
            extra = reconciler.bookkeeping(found.plan, index)
            short = (
                Operation(FullKey(o.key.removeprefix(reconciler.prefix)), o.value, o.guard)
                for o in transaction.operations
            )
            self._take(short)
            self.noted |= {o.key: o.value for o in extra if o.value is not None}
        return found

    def changed(self) -> list[str]:
        """Every key that was written or deleted since the beginning, in this order."""
        return [change.key for _, changes in self.revisions[1:] for change in changes]

    def fresh(self) -> State:
        """What ``run`` makes of the node when Contiv was never there."""
        reconciler = self.reconciler()
        agent = {key: canonical(value) for key, value in self.case["agent"].items()}
        reconciler.reset(
            KeyValue(reconciler.prefix + key, value, 1) for key, value in agent.items()
        )
        wanted = reconciler.plan().values
        return agent | {key: value for key, value in wanted.items() if value is not None}

    def leftover(self) -> list[str]:
        """What a ``run`` that starts now would still write."""
        reconciler = self.reconciler()
        reconciler.reset(self.entries(reconciler.prefix))
        return [o.key for t in reconciler.plan().transactions for o in t.operations]
