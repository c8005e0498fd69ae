"""Why a service looks as it does from one node: which endpoint is kept or dropped by which rule,
which keys follow, and which warnings.

Rule: it decides nothing. It asks the same functions that render, and puts their answers together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from srv6kv import foreign
from srv6kv.explain.account import Explanation, Remark, SlicePart, link_of, rules_in
from srv6kv.explain.endpoints import slices_of
from srv6kv.explain.places import addresses_of
from srv6kv.explain.scene import Scene, port_text
from srv6kv.kube.model import EndpointSlice, Ref, Service
from srv6kv.kube.parse import PROXY_NAME, ParseError, parse
from srv6kv.net.addresses import is_ipv4
from srv6kv.notes import Kind, Subject
from srv6kv.offline.files import Files
from srv6kv.plan.plan import Plan
from srv6kv.render.addresses import wishes
from srv6kv.sync.reconciler import Reconciler
from srv6kv.verify.agentstate import States

__all__ = ["Explanation", "explain", "explain_in"]


def explain(
    ref: Ref,
    reconciler: Reconciler,
    found: Plan,
    slices: Iterable[EndpointSlice],
    spec: Mapping[str, Any],
    *,
    is_online: bool,
    states: States | None = None,
) -> Explanation:
    """Explain why a service looks as it does.

    Args:
        reconciler: its state when it made the plan, which is of everything.
        slices: all slices of the service's namespace, with those that ``parse`` ignored.
        spec: the service's spec as its author wrote it; it tells why nothing is rendered.
        is_online: whether the plan was made with what etcd holds.
        states: what the agent says of each key; None: nothing is known of it.
    """
    service = reconciler.cluster.services[ref]
    scene = Scene(service, reconciler, found, is_online, states)
    rule = _rule_against(service, spec)
    if not rule and not scene.asked and all(map(is_ipv4, wishes(service))):
        rule = "S3: it has no IPv6 ClusterIP"
    parts = tuple(slices_of(scene, slices)) if not rule else ()
    addresses = tuple(addresses_of(scene))
    return Explanation(
        service=str(ref),
        node=scene.topology.own_name,
        rule=rule,
        ports=tuple(map(port_text, service.ports)),
        addresses=addresses,
        slices=parts,
        warnings=tuple(_remarks(scene, parts)),
        rules=rules_in(rule, addresses, parts),
    )


def explain_in(
    files: Files, ref: Ref, *, is_online: bool, states: States | None = None
) -> Explanation:
    """Explain a service of a cluster that was read; arguments as ``explain``."""
    body = next(
        body
        for identity, body in reversed(files.objects)
        if identity == ("Service", ref.namespace, ref.name)
    )
    spec = (foreign.plain(body) if isinstance(body, msgspec.Raw) else body)["spec"]
    assert isinstance(spec, dict)  # it was parsed
    reconciler, slices = files.reconciler, _slices_in(ref.namespace, files)
    plan = reconciler.plan()
    return explain(ref, reconciler, plan, slices, spec, is_online=is_online, states=states)


def _slices_in(namespace: str, files: Files) -> list[EndpointSlice]:
    """The slices of a namespace, with those that the cluster does not keep."""
    slices = {}
    for (kind, *place), body in files.objects:
        if (kind, place[0]) == ("EndpointSlice", namespace):
            with suppress(ParseError):  # the intake has a warning on it
                found = parse(kind, body)
                assert isinstance(found, EndpointSlice)
                slices[found.ref] = found
    return list(slices.values())


def _rule_against(service: Service, spec: Mapping[str, Any]) -> str:
    """The rule by which nothing of a service is rendered: S1, S2 or S3."""
    if service.proxy_name is not None:
        return f"S1: label {PROXY_NAME}={service.proxy_name}: another proxy serves it"
    if spec.get("type") == "ExternalName":
        return "S2: spec.type: ExternalName has nothing to steer"
    if spec.get("clusterIP") == "None":
        return "S2: spec.clusterIP: None, it is headless: clients use the endpoints themselves"
    if spec.get("clusterIP") in (None, ""):
        return "S2: spec.clusterIP: it has none"
    if not wishes(service):
        return "S3: spec.ipFamilies: names neither IPv6 nor IPv4 for any of its ClusterIPs"
    return ""


def _remarks(scene: Scene, slices: Iterable[SlicePart]) -> Iterator[Remark]:
    """The warnings about the service, its slices, endpoints and their nodes, and its keys."""
    parts = [part for item in slices for part in item.endpoints]
    ref = scene.service.ref
    subjects = {Subject(Kind.SERVICE, ref)}
    subjects |= {Subject(Kind.SLICE, Ref(ref.namespace, item.name)) for item in slices}
    for part in parts:
        subjects |= {Subject(Kind.ENDPOINT, part.address), Subject(Kind.NODE, str(part.node))}
        received = part.receive_side.keys if part.receive_side else ()
        subjects |= {Subject(Kind.VALUE, item.key) for item in received}
    for note in sorted(scene.reconciler.notes()):
        if note.subject in subjects:
            yield Remark(**note.fields(), link=link_of(note.reason))
