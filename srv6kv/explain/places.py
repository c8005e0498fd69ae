"""The addresses of a service, the VRFs in which each is steered, and the ways from there."""

from __future__ import annotations

from collections.abc import Iterator

from srv6kv.explain import account
from srv6kv.explain.account import Place
from srv6kv.explain.scene import Scene, policy_name
from srv6kv.kube.model import Ref
from srv6kv.ligato import keys
from srv6kv.net.addresses import is_ipv4
from srv6kv.net.targets import Target
from srv6kv.notes import Reason
from srv6kv.render import selection
from srv6kv.render.addresses import FIELDS, Role, denial_of, named, places_of


def addresses_of(scene: Scene) -> Iterator[account.Address]:
    """Every address that the service names, whether it may have it or not."""
    service, settings = scene.service, scene.settings
    services = scene.renderer.services
    for address, role in sorted(named(service).items(), key=lambda item: (item[1], item[0])):
        others: list[Ref] = []
        problem: str | None = ""
        if is_ipv4(address) not in service.families:
            family = "IPv4" if is_ipv4(address) else "IPv6"
            problem = f"S3: the service has no {family} ClusterIP; packets follow the routes"
        elif is_ipv4(address) and not settings.ipv4:
            problem = "IPv4 is not rendered unless srv6kv.ipv4 is true"
        elif address not in scene.asked:
            problem = denial_of(address, role, service, scene.topology, settings)
        else:
            sharers = services.sharers(address)
            others = [ref for ref in sharers if ref != service.ref]
            if sharers[0] != service.ref:
                said = services.on_sharing(address, service.ref, sharers[0])
                # Of an address that is shared, a port may be another's and the rest is exact.
                problem = "; ".join(
                    n.text for n in said if n.reason is not Reason.SERVICE_PORT_CONFLICT
                )
        yield account.Address(
            address,
            FIELDS[role],
            tuple(map(str, others)),
            problem or "",
            () if problem else tuple(_places(scene, address, role)),
        )


def _places(scene: Scene, address: str, role: Role) -> Iterator[Place]:
    settings = scene.settings
    for place in places_of(role, scene.service, settings):
        target = (place.vrf, address)
        desired = scene.steering_of(target)
        entry = scene.renderer.desired.steered.get(target)
        paths = tuple(_paths(scene, target, place.local_only)) if desired and entry else ()
        listed = [desired[0], keys.policy(desired[1])] if desired else []
        held = scene.reconciler.actual.steerings.get(target, ())
        listed += sorted(k for k in held if scene.plan.values.get(k, b"") is None)
        if entry is None:
            is_covered = any(address in prefix for prefix in settings.service_cidrs)
            outcome = "drop route" if is_covered else "not steered, and no drop route covers it"
            outcome += ": no endpoint can be reached"
        elif not desired:
            outcome = "not written, see the warnings"
        elif any(path.endpoints for path in paths):
            outcome = "steered"
        else:
            outcome = "drop: discard SID, no endpoint can be reached"
        yield Place(
            vrf="pod" if place.vrf == settings.pod_vrf else "main",
            vrf_id=place.vrf,
            policy=policy_name(place.local_only),
            outcome=outcome,
            bsid=desired[1] if desired else "",
            keys=tuple(map(scene.key, listed)),
            paths=paths,
        )


def _paths(scene: Scene, target: Target, local_only: bool) -> Iterator[account.Path]:
    """The lists of a target, and who is behind each."""
    topology = scene.topology
    candidates = scene.candidates(is_ipv4(target[1]))
    chosen = selection.select(candidates, topology.own_name, scene.zone, local_only=local_only)
    behind: dict[tuple[str, ...] | str, set[str]] = {}
    for listed in chosen.values():
        for candidate in listed:
            path = scene.path_to(candidate.endpoint)
            behind.setdefault(path, set()).add(candidate.address)
    for item in scene.renderer.desired.steered[target].lists:
        addresses = tuple(sorted(behind.get(item.segments, ())))
        yield account.Path(item.segments, item.weight, addresses)
