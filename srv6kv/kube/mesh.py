"""Which pods a service mesh intercepts: their nat chains are the mesh's (rule R9).

The agent flushes a chain before it writes it, so the mesh's own rules would be gone, and with them
what the mesh enforces. Where that is not certain, a pod counts as intercepted.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from srv6kv import foreign

_ISTIO = "sidecar.istio.io/status"
_MARKS = {
    _ISTIO: "",  # Istio's injector; its value lists what was injected
    "ambient.istio.io/redirection": "enabled",  # Istio's CNI, in ambient mode
    "linkerd.io/proxy-version": "",  # Linkerd's injector; the proxy's version
    "kuma.io/sidecar-injected": "true",  # Kuma's injector
    "consul.hashicorp.com/connect-inject-status": "injected",  # Consul's injector
    "consul.hashicorp.com/mesh-inject-status": "injected",  # the same, second generation
}
"""Annotations that the meshes themselves set, and the value that says so; "" is any value."""
_INTERCEPTING = {"istio-init", "istio-validation"}
"""Istio's init containers that set up interception, or check that Istio's CNI has done so."""


class _Injected(msgspec.Struct):
    init_containers: list[str] | None = msgspec.field(default=None, name="initContainers")


def interception_of(annotations: Mapping[str, str]) -> str:
    """The annotation by which a pod is known to be intercepted; "" if it is not."""
    for name, expected in _MARKS.items():
        value = annotations.get(name)
        is_marked = value is not None and expected in ("", value)
        if is_marked and not (name == _ISTIO and _is_gateway(str(value))):
            return name
    return ""


def _is_gateway(status: str) -> bool:
    """Istio injects its gateways too, but nothing that intercepts them."""
    try:
        injected = foreign.decode(status, _Injected)
    except foreign.Unreadable:
        return False
    return _INTERCEPTING.isdisjoint(injected.init_containers or [])
