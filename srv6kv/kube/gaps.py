"""What an object that cannot be read could define.

Rule: pure. What it means is not known, but what it could mean is: an object defines keys of its own
kind, namespace and name, and nothing of others'. ``inherited`` says which keys these are.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from srv6kv import foreign
from srv6kv.kube import checks
from srv6kv.kube.model import Body, Gap, Identity
from srv6kv.kube.parse import HEADLESS, NODE_IP, SERVICE_NAME
from srv6kv.kube.shallow import shallow

SERVICE, NODE, POD = "Service", "Node", "Pod"
ANYTHING = Gap()
_KINDS = {"Service": SERVICE, "EndpointSlice": SERVICE, "Node": NODE, "Pod": POD}


def unnamed_gap(kind: str, namespace: str = "") -> Gap:
    """What an object without a name could define, of a kind; "": of any."""
    of = _KINDS.get(kind)
    return Gap(of, namespace if of != NODE else "") if of is not None else ANYTHING


def gap_of(identity: Identity, body: Body) -> Gap | None:
    """What a malformed object could define; None: nothing of ours."""
    kind, namespace, name = identity
    fields = _fields(body)
    match kind:
        case "EndpointSlice":
            return _gap_of_slice(namespace, _at(fields, "metadata"))
        case "Node":
            return Gap(NODE, "", name, tuple(_hints_of_node(fields)))
        case "Pod":
            return Gap(POD, namespace, name, tuple(_hints_of_pod(fields)))
        case _:
            return Gap(SERVICE, namespace, name)


def _gap_of_slice(namespace: str, metadata: object) -> Gap | None:
    """By its label the service that it belongs to; without any none, whatever else it says."""
    labels = (metadata.get("labels") or {}) if isinstance(metadata, Mapping) else None
    if not isinstance(labels, Mapping):
        return Gap(SERVICE, namespace)
    if HEADLESS in labels:
        return None
    owner = labels.get(SERVICE_NAME) or ""
    if not isinstance(owner, str):
        return Gap(SERVICE, namespace)
    return Gap(SERVICE, namespace, owner) if checks.LABEL.match(owner) else None


def _hints_of_node(fields: object) -> list[str]:
    spec, marks = _at(fields, "spec"), _at(_at(fields, "metadata"), "annotations")
    listed = _at(spec, "podCIDRs")
    found = [*(listed if isinstance(listed, list) else ()), _at(spec, "podCIDR")]
    return _texts([_at(marks, NODE_IP), *found])


def _hints_of_pod(fields: object) -> list[str]:
    status = _at(fields, "status")
    listed = _at(status, "podIPs")
    ips = [_at(item, "ip") for item in listed] if isinstance(listed, list) else []
    return _texts([*ips, _at(status, "podIP")])


def _texts(found: list[object]) -> list[str]:
    return [item for item in found if isinstance(item, str) and item]


def _at(fields: object, name: str) -> object:
    return fields.get(name) if isinstance(fields, Mapping) else None


def _fields(body: Body) -> object:
    """The object as plain values, as far as it is JSON at all."""
    if not isinstance(body, msgspec.Raw):
        return body
    for text in (bytes(body), shallow(bytes(body))):
        try:
            return foreign.plain(text, most=foreign.MOST_ANSWER_BYTES)
        except foreign.Unreadable:
            continue
    return None
