"""Whatever the cluster: what ``explain`` says is what is rendered."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from clusters import settings
from explaining import Asked
from hypothesis import given
from strategies import OWN, Scene, scenes

from srv6kv.explain import Explanation
from srv6kv.kube.model import Ref
from srv6kv.ligato import keys


@given(scenes())
def test_what_is_explained_is_what_is_rendered(scene: Scene) -> None:
    """Over all services: every steering, list, pod localsid and note, and no others; behind each
    list are the endpoints that a rule kept."""
    node1 = Asked(scene.objects, scene.keys[OWN], settings(scene.conf), OWN)
    wanted = {key: value for key, value in node1.plan.values.items() if value is not None}
    told = set[str]()
    for body in scene.services:
        ref = Ref(body["metadata"]["namespace"], body["metadata"]["name"])
        found = node1.explain(ref)
        told |= _keys_of(found, wanted)
        _check_endpoints(found)
        said = {(n.reason, n.text) for n in found.warnings if str(n.subject) == f"Service {ref}"}
        notes = node1.reconciler.notes()
        assert said == {(n.reason, n.text) for n in notes if str(n.subject) == f"Service {ref}"}
    every = {key for key in wanted if b"dx6" in wanted[key] or key.startswith(keys.RULE_CHAIN)}
    for key, value in wanted.items():
        if key.startswith(keys.STEERING + keys.SERVICE_STEERING):
            every |= {key, keys.policy(msgspec.json.decode(value)["policy_bsid"])}

    assert every <= told <= wanted.keys()


def _keys_of(found: Explanation, wanted: Mapping[str, bytes]) -> set[str]:
    """The keys that an explanation names; the lists that it shows are those of the policy."""
    told = set[str]()
    for item in found.addresses:
        for place in item.places:
            told |= {key.key for key in place.keys}
            if place.bsid:
                policy = msgspec.json.decode(wanted[keys.policy(place.bsid)])
                shown = [{"segments": [*p.segments], "weight": p.weight} for p in place.paths]
                assert policy["segment_lists"] == shown
    for part in (part for item in found.slices for part in item.endpoints):
        if part.receive_side is not None:
            told |= {key.key for key in part.receive_side.keys}
    return told


def _check_endpoints(found: Explanation) -> None:
    """Behind a place are the endpoints that its policy kept, as far as they can be reached."""
    parts = [part for item in found.slices for part in item.endpoints]
    for place in (place for item in found.addresses for place in item.places):
        kept = {
            part.address
            for part in parts
            if not part.problem
            and any(verdict.kept and verdict.policy == place.policy for verdict in part.verdicts)
        }
        behind = {address for path in place.paths for address in path.endpoints}
        assert behind == (kept if place.bsid else set())
        assert place.outcome != "steered" or all(path.endpoints for path in place.paths)
