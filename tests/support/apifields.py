"""The fields of the Kubernetes API, and what srv6kv says about each in ``docs/limits.md``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kubernetes import client

LIMITS = Path(__file__).parents[2] / "docs" / "limits.md"
METADATA = ("name", "namespace", "labels", "annotations", "creationTimestamp")
"""What of ObjectMeta may mean something for a service; the rest is the API server's own."""
_ROOTS = {"Service": client.V1Service, "EndpointSlice": client.V1EndpointSlice}
_CODE = re.compile(r"`([^`]+)`")
_REASON = re.compile(r"`([A-Z][A-Za-z0-9]+)`")
_LIST = re.compile(r"(?:list\[|List\[)(\w+)\]")


class Row(NamedTuple):
    """What the table says about a field.

    Attributes:
        verdict: ``honoured``, ``reported`` or ``irrelevant``.
        reasons: the notes that it can lead to.
    """

    verdict: str
    reasons: frozenset[str]
    text: str


def api_fields(kind: str) -> set[str]:
    """Every field of a kind that holds a value, as a dotted path; ``[]`` is any item of a list."""
    return set(_leaves(_ROOTS[kind], ""))


def _leaves(model: type, path: str) -> Iterator[str]:
    types: dict[str, str] = model.openapi_types  # type: ignore[attr-defined]  # untyped client
    names: dict[str, str] = model.attribute_map  # type: ignore[attr-defined]
    for attribute, kind in types.items():
        name = names[attribute]
        if model is client.V1ObjectMeta and name not in METADATA:
            continue
        listed = _LIST.fullmatch(kind)
        inner = getattr(client, listed[1] if listed else kind, None)
        here = f"{path}{name}"
        if inner is None:
            yield here
        else:
            yield from _leaves(inner, f"{here}[]." if listed else f"{here}.")


def table(kind: str) -> dict[str, Row]:
    """The rows of the table of a kind in ``docs/limits.md``; a row may name several fields."""
    text = LIMITS.read_text()
    section = text.partition(f"\n### Fields of {kind}\n")[2].partition("\n#")[0]
    rows: dict[str, Row] = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 3 or not cells[0].startswith("`"):
            continue
        row = Row(cells[1], frozenset(_REASON.findall(cells[2])), cells[2])
        for field in _CODE.findall(cells[0]):
            assert field not in rows, f"{field} has two rows"
            rows[field] = row
    return rows
