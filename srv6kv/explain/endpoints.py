"""The slices of a service: what of them is used, and every endpoint with the rules that decide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from srv6kv.cluster.attachment import Attachment
from srv6kv.cluster.topology import HostEndpoint, PodEndpoint
from srv6kv.explain import account
from srv6kv.explain.scene import Scene, policy_name, port_text
from srv6kv.kube.model import Endpoint, EndpointSlice
from srv6kv.ligato.chains import ChainName
from srv6kv.ligato.values import AgentValue
from srv6kv.net import sids
from srv6kv.net.family import family_of
from srv6kv.plan.copies import chains_of
from srv6kv.render import endpoint, selection
from srv6kv.render.addresses import places_of, wishes
from srv6kv.render.endpoint import Translation
from srv6kv.render.service import Host, LocalEndpoint, Receivers


def slices_of(scene: Scene, slices: Iterable[EndpointSlice]) -> Iterator[account.SlicePart]:
    """Each slice of the service; what another slice has is with the endpoint."""
    listed = sorted(slices, key=lambda item: item.ref)
    verdicts = _verdicts(scene)
    unused: dict[str, list[account.Unused]] = {}
    for item in selection.unused(scene.service, listed, ipv4=scene.settings.ipv4):
        address, _, port = item.place.partition(" for ")
        if port:
            lost = account.Verdict("", (port,), False, item.rule, item.why)
            verdicts.setdefault((item.slice_name, address), []).append(lost)
        else:
            part = account.Unused(item.place, item.rule, item.why)
            unused.setdefault(item.slice_name, []).append(part)
    receivers = scene.renderer.services.receivers_of(scene.service.ref)
    for found in listed:
        name = found.ref.name
        if found.service != scene.service.ref and name not in unused:
            continue
        parts = tuple(unused.get(name, ()))
        is_used = all(part.place for part in parts)
        endpoints = (
            _endpoint(scene, item, verdicts.get((name, item.address), []), receivers)
            for item in found.endpoints
            if is_used
        )
        yield account.SlicePart(name, parts, tuple(endpoints))


def _verdicts(scene: Scene) -> dict[tuple[str, str], list[account.Verdict]]:
    """What each policy in use makes of the candidates, by slice and address; equal ones joined."""
    joined: dict[tuple[str, str], dict[tuple[str, bool, str, str], list[str]]] = {}
    own = scene.topology.own_name
    offers = [item for ipv4 in scene.families for item in scene.candidates(ipv4).items()]
    for local_only in _policies(scene):
        for port, offered in offers:
            for item in selection.judge(offered, own, scene.zone, local_only=local_only):
                place = (item.candidate.slice_name, item.candidate.address)
                verdict = (policy_name(local_only), item.kept, item.rule, item.why)
                table = joined.setdefault(place, {})
                table.setdefault(verdict, []).append(port_text(port))
    return {
        place: [
            account.Verdict(policy, tuple(ports), kept, rule, why)
            for (policy, kept, rule, why), ports in table.items()
        ]
        for place, table in joined.items()
    }


def _endpoint(
    scene: Scene, item: Endpoint, verdicts: list[account.Verdict], receivers: Receivers
) -> account.EndpointPart:
    topology = scene.topology
    name: LocalEndpoint = item.address
    node = item.node or ""
    match topology.locate(item, scene.settings.pod_subnet):
        case HostEndpoint(peer):
            what, node = "host", peer.name
            name = Host(family_of(item.address))
        case PodEndpoint(node, _):
            what = "pod"
        case _:
            what = "outside"
    is_local = what != "outside" and node == topology.own_name
    path = scene.path_to(item)
    conditions = ("ready", "serving", "terminating")
    return account.EndpointPart(
        address=item.address,
        node=node,
        pod=str(item.pod) if item.pod else "",
        what=what if what == "outside" else f"{'local' if is_local else 'remote'} {what}",
        conditions=tuple(text for text in conditions if getattr(item, text)),
        problem=path if isinstance(path, str) else "",
        verdicts=tuple(verdicts),
        receive_side=_receive_side(scene, name, receivers) if is_local else None,
    )


def _receive_side(scene: Scene, name: LocalEndpoint, receivers: Receivers) -> account.ReceiveSide:
    """List what a local endpoint has."""
    if name not in receivers:
        problem = "no packet of this service is sent to it"
    else:
        said = scene.renderer.desired.notes.get(("endpoint", name), ())
        problem = "; ".join(f"{note.text} ({note.reason})" for note in said)
    translations = tuple(
        f"{item.address} {item.protocol} {_ports(item.port, item)} -> {_ports(item.target, item)}"
        for item in receivers.get(name, ())
        if scene.renderer.is_up(name, scene.service.ref)
    )
    return account.ReceiveSide(tuple(map(scene.key, _keys_of(scene, name))), problem, translations)


def _ports(first: int, item: Translation) -> str:
    return f"{first}-{first + item.ports - 1}" if item.ports > 1 else str(first)


def _keys_of(scene: Scene, name: LocalEndpoint) -> Iterator[str]:
    """The keys that a local endpoint has; those of another one with its SID do not count."""
    settings, own = scene.settings, scene.topology.own
    objects, is_up = scene.renderer.desired.objects, scene.renderer.is_up(name)
    found: list[AgentValue] = []
    chains: Iterable[str] = ()
    if isinstance(name, Host):
        if is_up and own is not None and own.id is not None:
            found = [*endpoint.host_objects(own.id, settings)]
    else:
        attachment = scene.reconciler.cluster.attachment_of(name, scene.topology.own_name)
        if isinstance(attachment, Attachment):
            sid = sids.sid_of(settings.sid.pod, name)
            found = [*endpoint.pod_objects(name, sid, attachment, settings)]
            found += endpoint.neighbour(name, attachment)
            if is_up:
                chains = _chains_of(scene, endpoint.rule_chains(attachment, {name: ()}))
    if found and objects.get(found[0].key) == found[0]:
        yield from (value.key for value in found)
    yield from chains


def _chains_of(scene: Scene, chains: Iterable[AgentValue]) -> Iterator[str]:
    """The keys of a sandbox's chains; no copies where a built-in one holds the rules itself."""
    desired, actual = scene.renderer.desired, scene.reconciler.actual
    names = (ChainName.of(value.key) for value in chains)
    for builtin in dict.fromkeys(name.builtin for name in names if name is not None):
        found = chains_of(builtin, desired.objects, actual, None)
        yield from (key for key, value in found.items() if value is not None)


def _policies(scene: Scene) -> list[bool]:
    """The traffic policies in use, as ``local_only``; Cluster if none is."""
    roles = wishes(scene.service).values()
    places = (place for role in roles for place in places_of(role, scene.service, scene.settings))
    return sorted({place.local_only for place in places}) or [False]
