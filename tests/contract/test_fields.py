"""Nothing of a Service or an EndpointSlice is silently ignored: every field of the API stands in
``docs/limits.md``, and what stands there is shown by rendering."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from apifields import api_fields, table
from clusters import CONFS, base_keys, node, pod_keys, settings_of
from fieldcases import HERE, HONOURED, IRRELEVANT, LATER, REPORTED, SERVICE, SLICE, Case, Json

from srv6kv.etcd.values import KeyValue
from srv6kv.sources.objects import manifest_of
from srv6kv.sync.reconciler import Reconciler
from srv6kv.txn.transaction import FullKey

KINDS = ("Service", "EndpointSlice")
SETTINGS = settings_of(
    {**CONFS["seed"], "srv6kv": {"externalIPs": {"allowedCIDRs": ["fd20::/16"]}}}
)
AGENT = {**base_keys(1, "fe10:f00d::1"), **pod_keys(HERE), **pod_keys(LATER)}


class Outcome(NamedTuple):
    """What a node has and says."""

    values: dict[str, bytes | None]
    notes: frozenset[tuple[str, str]]


def _set(body: Json, path: str, value: object) -> None:
    """Give a field a value; ``[]`` is the first item of a list."""
    place: Any = body
    *parts, last = path.split(".")
    for part in parts:
        name = part.removesuffix("[]")
        place = place.setdefault(name, [{}] if name != part else {})
        place = place[0] if name != part else place
    place[last] = value


def _outcome(service: Json, item: Json, more: tuple[Json, ...] = ()) -> Outcome:
    """What node 1 has of these objects and two nodes."""
    bodies = [service, item, *more, node(1, zone="z1"), node(2, zone="z2")]
    text = json.dumps({"kind": "List", "apiVersion": "v1", "items": bodies})
    reconciler = Reconciler(SETTINGS, "node1", "node1")
    found = manifest_of(text, "all.json")
    reconciler.intake.apply_all((one.identity, one.completed()) for one in found.objects)
    reconciler.reset(
        KeyValue(FullKey(reconciler.prefix + key), json.dumps(value).encode(), number)
        for number, (key, value) in enumerate(AGENT.items(), start=1)
    )
    plan = reconciler.plan()
    return Outcome(plan.values, frozenset((note.reason, note.text) for note in reconciler.notes()))


def _compared(kind: str, field: str, case: Case) -> tuple[Outcome, Outcome]:
    """Without and with the value."""
    bodies = copy.deepcopy({"Service": SERVICE, "EndpointSlice": SLICE})
    for path, value in case.first.items():
        name, _, path_in_body = path.partition(":")
        _set(bodies[name], path_in_body, copy.deepcopy(value))
    before = _outcome(bodies["Service"], bodies["EndpointSlice"], case.more)
    _set(bodies[kind], field, case.value)
    return before, _outcome(bodies["Service"], bodies["EndpointSlice"], case.more)


every_kind = pytest.mark.parametrize("kind", KINDS)


def _cases(of: Callable[[str], list[Any]]) -> Any:
    found = [(kind, *item) for kind in KINDS for item in of(kind)]
    return [pytest.param(*item, id="-".join(map(str, item[:-1]))) for item in found]


@every_kind
def test_the_table_has_every_field_of_the_api_and_no_other(kind: str) -> None:
    """Every field that a newer API brings has to be thought about."""
    assert set(table(kind)) == api_fields(kind)


@every_kind
def test_every_row_of_the_table_is_shown(kind: str) -> None:
    """A field is honoured where a case below shows it, reported with exactly the reasons that
    cases show, else irrelevant."""
    rows = table(kind)
    verdicts = {
        **dict.fromkeys(IRRELEVANT[kind], "irrelevant"),
        **dict.fromkeys(REPORTED[kind], "reported"),
        **dict.fromkeys(HONOURED[kind], "honoured"),
    }
    reasons = {field: set(REPORTED[kind].get(field, ())) for field in rows}

    assert {field: row.verdict for field, row in rows.items()} == verdicts
    assert {field: set(row.reasons) for field, row in rows.items()} == reasons


def test_the_base_is_rendered_without_a_note() -> None:
    """Whatever a case leads to is its own doing."""
    base = _outcome(SERVICE, SLICE)

    assert base.notes == frozenset()
    assert "config/vpp/srv6/v2/steering/forK8sService-default-web_fd20::1_main" in base.values


@pytest.mark.parametrize(
    ("kind", "field", "case"),
    _cases(lambda kind: [(f, c) for f, cases in HONOURED[kind].items() for c in cases]),
)
def test_a_field_that_is_honoured_changes_what_is_rendered(
    kind: str, field: str, case: Case
) -> None:
    """The values in etcd depend on it."""
    before, after = _compared(kind, field, case)

    assert before.values != after.values


@pytest.mark.parametrize(
    ("kind", "field", "reason", "case"),
    _cases(
        lambda kind: [
            (f, reason, c) for f, cases in REPORTED[kind].items() for reason, c in cases.items()
        ]
    ),
)
def test_a_field_that_cannot_be_honoured_is_reported(
    kind: str, field: str, reason: str, case: Case
) -> None:
    """A note with the reason of the table appears with the value, and is not there without."""
    before, after = _compared(kind, field, case)

    assert reason not in {said for said, _ in before.notes}
    assert reason in {said for said, _ in after.notes}


@pytest.mark.parametrize(
    ("kind", "field", "value"), _cases(lambda kind: [*IRRELEVANT[kind].items()])
)
def test_a_field_that_is_irrelevant_changes_nothing(kind: str, field: str, value: object) -> None:
    """Neither a value in etcd nor a note depends on it."""
    before, after = _compared(kind, field, Case(value))

    assert before == after
