"""A node that is asked why a service looks as it does."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from clusters import Json, identity

from srv6kv.etcd.values import KeyValue
from srv6kv.explain import Explanation, explain
from srv6kv.kube.model import EndpointSlice, Ref
from srv6kv.kube.parse import ParseError, parse
from srv6kv.plan.plan import Plan
from srv6kv.settings import Settings
from srv6kv.sync.reconciler import Reconciler
from srv6kv.txn.transaction import FullKey

WEB = Ref("default", "web")


class Asked:
    """A node that has seen objects and agent keys, and its plan."""

    def __init__(
        self,
        objects: Iterable[Json],
        agent: Mapping[str, Json],
        of: Settings,
        name: str = "node1",
    ) -> None:
        self.objects = tuple(objects)
        self.reconciler = Reconciler(of, name, name)
        self.reconciler.intake.apply_all((identity(body), body) for body in self.objects)
        self.reset({key: json.dumps(value).encode() for key, value in agent.items()})

    def reset(self, entries: Mapping[str, bytes]) -> None:
        """Etcd holds these."""
        prefix = self.reconciler.prefix
        listed = enumerate(entries.items(), start=1)
        self.reconciler.reset(KeyValue(FullKey(prefix + key), text, i) for i, (key, text) in listed)
        self.entries = dict(entries)
        self.plan: Plan = self.reconciler.plan()

    def explain(self, ref: Ref = WEB, *, is_online: bool = False) -> Explanation:
        """What there is to say of a service."""
        spec = next(body["spec"] for body in self.objects if identity(body) == ("Service", *ref))
        every_slice = filter(None, map(_slice_of, self.objects))
        slices = [item for item in every_slice if item.ref.namespace == ref.namespace]
        return explain(ref, self.reconciler, self.plan, slices, spec, is_online=is_online)


def _slice_of(body: Json) -> EndpointSlice | None:
    try:
        found = parse("EndpointSlice", body) if body["kind"] == "EndpointSlice" else None
    except ParseError:
        return None
    return found if isinstance(found, EndpointSlice) else None
