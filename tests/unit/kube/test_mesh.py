"""Pods that a service mesh intercepts are recognised and left alone (rule R9)."""

from __future__ import annotations

import random
from typing import Any

import pytest
from clusters import Json, endpoint, endpoint_slice, node, pod_keys, service, settings
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sidecar import Sidecar

from srv6kv.kube.model import Pod, Ref
from srv6kv.kube.parse import ParseError, parse
from srv6kv.ligato.values import RuleChain

MESHED = "2001:0:0:1::5"
PLAIN = "2001:0:0:1::6"
REMOTE = "2001:0:0:2::5"
SERVICE = "2096::10"
_NAMED = {"kind": "Pod", "namespace": "default", "name": "web-0"}
LOCALSID = "config/vpp/srv6/v2/localsid/"
ROUTE = "config/vpp/v2/route/vrf/0/dst/"

ISTIO = "sidecar.istio.io/status"
LINKERD = {"linkerd.io/proxy-version": "edge-25.1.1"}
GATEWAY = {ISTIO: '{"initContainers":null,"containers":["istio-proxy"],"revision":"default"}'}
MESHES: tuple[dict[str, str], ...] = (
    {ISTIO: '{"initContainers":["istio-init"],"containers":["istio-proxy"]}'},
    {ISTIO: '{"initContainers":["istio-validation","istio-proxy"],"containers":null}'},
    {ISTIO: "injected-version-root@1.0"},
    {"ambient.istio.io/redirection": "enabled"},
    LINKERD,
    {"linkerd.io/proxy-version": ""},
    {"kuma.io/sidecar-injected": "true"},
    {"consul.hashicorp.com/connect-inject-status": "injected"},
    {"consul.hashicorp.com/mesh-inject-status": "injected"},
)
NO_MESHES: tuple[dict[str, str], ...] = (
    {},
    GATEWAY,
    {"ambient.istio.io/redirection": "disabled"},
    {"kuma.io/sidecar-injected": "false"},
    {"sidecar.istio.io/inject": "true", "linkerd.io/inject": "enabled"},
    {"consul.hashicorp.com/connect-inject": "true"},
)


def _pod(name: str, *addresses: str, on: str = "node1", **more: Any) -> Json:
    """A pod as the API has it; ``annotations``, ``phase`` and ``hostNetwork`` go to their place."""
    status = {"phase": more.get("phase", "Running")}
    return {
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "default",
            "annotations": more.get("annotations", {}),
        },
        "spec": {"nodeName": on, "hostNetwork": more.get("host", False)},
        "status": {**status, "podIPs": [{"ip": address} for address in addresses]},
    }


def _endpoint(address: str, pod: str = "", on: str = "node1") -> Json:
    target = {"targetRef": {"kind": "Pod", "namespace": "default", "name": pod}} if pod else {}
    return {**endpoint(address, on), **target}


def _sidecar(*pods: Json, endpoints: list[Json] | None = None) -> Sidecar:
    """Node 1 with a service of two pods here and one elsewhere, all wired."""
    listed = endpoints or [_endpoint(MESHED), _endpoint(PLAIN), _endpoint(REMOTE, on="node2")]
    sidecar = Sidecar(settings("seed"), "node1").put(node(1), node(2), *pods)
    sidecar.wire(pod_keys(MESHED, "meshed")).wire(pod_keys(PLAIN, "plain"))
    return sidecar.put(service("web", SERVICE), endpoint_slice("web", listed)).settle()


def _paths(sidecar: Sidecar) -> list[str]:
    """The last SIDs of the service's segment lists."""
    (steered,) = sidecar.desired().steered.values()
    return [item.segments[-1] for item in steered.lists]


def _sandboxes(sidecar: Sidecar) -> set[str]:
    """The network namespaces in which there are rule chains of ours."""
    objects = sidecar.desired().objects.values()
    return {
        value.namespace.reference.rpartition("/")[2]
        for value in objects
        if isinstance(value, RuleChain)
    }


def _notes(sidecar: Sidecar) -> list[tuple[str, str]]:
    return [
        (str(note.subject), note.text)
        for note in sidecar.desired().all_notes()
        if note.reason == "PodChainsOwnedByMesh"
    ]


@pytest.mark.parametrize("annotations", MESHES)
def test_a_pod_of_a_mesh_gets_no_rule_chains(annotations: dict[str, str]) -> None:
    """Its chains are the mesh's; nothing on this node sends to it, and a note names annotation."""
    sidecar = _sidecar(_pod("a", MESHED, annotations=annotations), _pod("b", PLAIN))

    assert _sandboxes(sidecar) == {"plain"}
    assert _paths(sidecar) == ["6666:0:0:1::6", "6666:0:0:2::5"]
    ((subject, text),) = _notes(sidecar)
    assert subject == f"Endpoint {MESHED}"
    assert text.startswith(f"Pod default/a: metadata.annotations[{next(iter(annotations))}]: ")


@pytest.mark.parametrize("annotations", NO_MESHES)
def test_a_pod_that_nobody_intercepts_is_a_pod_like_any(annotations: dict[str, str]) -> None:
    """Wishes are not facts, and Istio's gateways are injected but not intercepted."""
    sidecar = _sidecar(_pod("a", MESHED, annotations=annotations))

    assert _sandboxes(sidecar) == {"meshed", "plain"}
    assert "6666:0:0:1::5" in _paths(sidecar)
    assert _notes(sidecar) == []


def test_a_pod_of_a_mesh_is_reached_by_other_nodes() -> None:
    """They do not know its annotations: the pod refuses, which is better than lost packets."""
    sidecar = _sidecar(_pod("a", MESHED, annotations=LINKERD))
    values = sidecar.values()

    localsid = values[f"{LOCALSID}6666:0:0:1::5"]
    assert localsid["end_function_dx6"]["next_hop"] == MESHED
    assert f"{ROUTE}6666:0:0:1::5/128/gw/::" in values


def test_a_pod_that_joins_a_mesh_and_leaves_it() -> None:
    """Rule chains and segment list go and come with the annotation; the localsid stays as it is."""
    before = _sidecar(_pod("a", MESHED)).owned()
    sidecar = _sidecar(_pod("a", MESHED))
    sidecar.put(_pod("a", MESHED, annotations={"ambient.istio.io/redirection": "enabled"}))
    found = sidecar.plan_change()
    keys = {item.key for transaction in found.transactions for item in transaction.operations}
    assert len(keys) == 7
    assert not [key for key in keys if "localsid" in key]
    sidecar.commit(found)
    assert _sandboxes(sidecar) == {"plain"}

    sidecar.put(_pod("a", MESHED))
    assert sidecar.commit(sidecar.plan_change()).owned() == before


def test_a_pod_that_goes_leaves_its_address_to_others() -> None:
    """What is known of a pod counts as long as the pod does."""
    meshed = _pod("a", MESHED, annotations=LINKERD)
    sidecar = _sidecar(meshed).remove(meshed)
    sidecar.commit(sidecar.plan_change())

    assert _sandboxes(sidecar) == {"meshed", "plain"}


@pytest.mark.parametrize(
    "other",
    [
        _pod("old", MESHED, annotations=LINKERD, phase="Succeeded"),
        _pod("old", MESHED, annotations=LINKERD, phase="Failed"),
        _pod("old", MESHED, annotations=LINKERD, host=True),
        _pod("old", MESHED, annotations=LINKERD, on="node2"),
    ],
    ids=["succeeded", "failed", "host network", "another node"],
)
def test_the_address_of_another_pod_proves_nothing(other: Json) -> None:
    """A pod that has ended, is on the host's network or elsewhere has no namespace there."""
    assert _sandboxes(_sidecar(other, _pod("new", MESHED))) == {"meshed", "plain"}


def test_of_two_pods_with_one_address_the_slice_names_one() -> None:
    """While one of them is going, the target of the endpoint decides, and a new slice anew."""
    pods = [_pod("old", MESHED, annotations=LINKERD), _pod("new", MESHED)]
    sidecar = _sidecar(*pods, endpoints=[_endpoint(MESHED, "new")])
    assert _sandboxes(sidecar) == {"meshed"}

    sidecar.put(endpoint_slice("web", [_endpoint(MESHED, "old")]))
    sidecar.commit(sidecar.plan_change())
    assert not [key for key in sidecar.owned() if "/rulechain/" in key]


def test_in_doubt_a_pod_is_left_alone() -> None:
    """Of two pods with one address that no slice names, one in a mesh is enough."""
    pods = [_pod("a", MESHED), _pod("b", MESHED, annotations=LINKERD)]

    assert _sandboxes(_sidecar(*pods)) == {"plain"}


def test_a_pod() -> None:
    """A pod is its node, its addresses and who intercepts it."""
    body = _pod("web-0", "10.0.0.5", "2001:0::5", "2001::4", annotations=LINKERD)

    assert parse("Pod", body) == Pod(
        ref=Ref("default", "web-0"),
        node="node1",
        addresses=("10.0.0.5", "2001::4", "2001::5"),
        mesh="linkerd.io/proxy-version",
    )


@pytest.mark.parametrize(
    "more", [{}, {"spec": None, "status": None}, {"spec": {}, "status": {"podIPs": None}}]
)
def test_the_least_pod(more: Json) -> None:
    """A pod that is not scheduled yet has neither node nor address."""
    body = {"kind": "Pod", "metadata": {"name": "web-0"}, **more}

    assert parse("Pod", body) == Pod(Ref("default", "web-0"))


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("metadata.name", _pod("Web", MESHED)),
        ("spec", {**_pod("web"), "spec": [1]}),
    ],
)
def test_a_malformed_pod_names_its_field(field: str, body: Json) -> None:
    """One error with the field, as for any kind."""
    with pytest.raises(ParseError, match=r"\A" + field.replace("[", r"\[")):
        parse("Pod", body)


def _change(dice: random.Random, sidecars: list[Sidecar]) -> None:
    """A pod or the slice changes; addresses are few, so pods contest them."""
    name = dice.choice("abc")
    if dice.random() < 0.3:
        addresses = dice.sample([MESHED, PLAIN], dice.randint(1, 2))
        items = [_endpoint(one, dice.choice(["", "a", "b"])) for one in addresses]
        body = endpoint_slice("web", items, name=f"web-{dice.randint(1, 2)}")
    else:
        body = _pod(
            name,
            *dice.sample([MESHED, PLAIN], dice.randint(0, 2)),
            on=dice.choice(["node1", "node1", "node2"]),
            annotations=dice.choice([{}, LINKERD]),
        )
    is_coming = dice.random() < 0.8
    for sidecar in sidecars:
        (sidecar.put if is_coming else sidecar.remove)(body)


@hypothesis_settings(max_examples=100)
@given(st.integers(0, 2**32))
def test_after_each_change_the_state_is_that_of_a_fresh_render(seed: int) -> None:
    """However pods and slices come and go, what is remembered is what would be made anew."""
    dice = random.Random(seed)
    full, incremental = sidecars = [_sidecar(), _sidecar()]
    for _ in range(12):
        _change(dice, sidecars)
        incremental.commit(incremental.plan_change())
        desired = incremental.desired()

        assert desired.objects == incremental.renderer.desired.objects
        assert desired.steered == incremental.renderer.desired.steered
        assert list(desired.all_notes()) == list(incremental.renderer.desired.all_notes())
        assert full.settle().owned() == incremental.owned()


def test_a_pod_that_is_not_known_yet_waits() -> None:
    """Where every pod is watched, a slice that comes before its Pod flushes no mesh's rules."""
    listed = [{**endpoint(MESHED, "node1"), "targetRef": _NAMED}]
    sidecar = Sidecar(settings("seed"), "node1").put(node(1)).wire(pod_keys(MESHED))
    sidecar.cluster.knows_pods = True
    sidecar.put(service("web", SERVICE), endpoint_slice("web", listed)).settle()
    assert "PodUnknown" in {note.reason for note in sidecar.desired().all_notes()}
    assert not [key for key in sidecar.owned() if "/rulechain/" in key]

    sidecar.put(_pod("web-0", MESHED))
    sidecar.commit(sidecar.plan_change())
    assert "PodUnknown" not in {note.reason for note in sidecar.desired().all_notes()}
    assert [key for key in sidecar.owned() if "/rulechain/" in key]
