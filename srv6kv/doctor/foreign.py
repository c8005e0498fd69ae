"""What others have put where srv6kv works."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from srv6kv import foreign
from srv6kv.doctor.findings import ERROR, OK, WARNING, Finding
from srv6kv.ligato import keys
from srv6kv.ligato.values import LocalSid, RuleChain
from srv6kv.net.addresses import Prefix, network_of
from srv6kv.notes import Reason
from srv6kv.sync.reconciler import Reconciler

CHECK = "foreign-keys"
_CONTIVS = keys.RULE_CHAIN + "port-forward-"
_ADOPT = "srv6kv adopt --from contiv"
_NEEDS = {
    Reason.HOST_ENDPOINT_NEEDS_MASQUERADE: "run kube-proxy with masqueradeAll, then say so in"
    " srv6kv.kubeProxy",
    Reason.HOST_ENDPOINT_NEEDS_KUBE_PROXY: "run kube-proxy on nodes with host-network pods",
}


def others(reconciler: Reconciler) -> Iterator[Finding]:
    """Steerings, routes and rule chains of others that take what is ours."""
    found = [*_steerings(reconciler), *_routes(reconciler), *_chains(reconciler)]
    yield from found
    if not found:
        yield Finding(CHECK, OK, "no other program steers, routes or translates what is srv6kv's")


def _steerings(reconciler: Reconciler) -> Iterator[Finding]:
    settings, desired = reconciler.settings, reconciler.renderer.desired
    for (vrf, destination), holders in sorted(reconciler.actual.steerings.items()):
        is_desired = desired.entry((vrf, destination)) is not None
        prefix = Prefix.parse_any(network_of(destination))
        is_service = any(cidr.covers(prefix) for cidr in settings.service_cidrs)
        for key in sorted(holders):
            if (is_desired or is_service) and not reconciler.owns(key):
                text = f"{key} steers {destination} in VRF {vrf}"
                yield Finding(CHECK, ERROR, text, f"remove it; if Contiv wrote it: {_ADOPT}")


def _routes(reconciler: Reconciler) -> Iterator[Finding]:
    """A /128 route on a SID in its own VRF makes VPP refuse the localsid; on a steered address it
    keeps half of the traffic."""
    desired = reconciler.renderer.desired
    sids = {
        (value.installation_vrf_id, value.sid)
        for value in desired.objects.values()
        if isinstance(value, LocalSid)
    }
    for target, holders in sorted(reconciler.actual.host_routes.items()):
        if target in sids or desired.entry(target) is not None:
            for key in sorted(holders):
                if not reconciler.owns(key):
                    text = f"{key} is a route to what srv6kv takes in VRF {target[0]}"
                    yield Finding(CHECK, ERROR, text, "remove it")


def _chains(reconciler: Reconciler) -> Iterator[Finding]:
    """Two values for one chain empty it in turn (agent rule A27)."""
    places = {
        (value.namespace.reference, value.table, value.chain_type or value.chain_name)
        for value in reconciler.renderer.desired.objects.values()
        if isinstance(value, RuleChain)
    }
    for key, entry in sorted(reconciler.actual.entries.items()):
        if key.startswith(keys.RULE_CHAIN) and not reconciler.owns(key):
            if key.startswith(_CONTIVS):
                yield Finding(CHECK, WARNING, f"{key} is Contiv's translation of ports", _ADOPT)
            elif _place_of(entry.value) in places:
                text = f"{key} is a chain that srv6kv writes; each empties the other's"
                yield Finding(CHECK, ERROR, text, "let one of both write it")


def _place_of(value: bytes) -> tuple[str, str, str] | None:
    try:
        body: Any = foreign.plain(value)
        builtin = body.get("chain_type", "CUSTOM")
        chain = body["chain_name"] if builtin == "CUSTOM" else builtin
        return (body["namespace"]["reference"], body["table"], chain)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def kube_proxy(reconciler: Reconciler) -> Iterator[Finding]:
    """Endpoints on hosts need kube-proxy there, in the right mode (rule L9)."""
    mode = reconciler.settings.kube_proxy
    found = [note for note in sorted(reconciler.notes()) if note.reason in _NEEDS]
    for note in found:
        text = f"{note.subject}: srv6kv.kubeProxy is {mode} ({note.reason})"
        yield Finding("kube-proxy", WARNING, text, _NEEDS[note.reason])
    if not found:
        yield Finding("kube-proxy", OK, f"srv6kv.kubeProxy is {mode}, which is enough here")
