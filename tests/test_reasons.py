"""The documents and the code agree on the reasons of notes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import srv6kv
from srv6kv.explain.account import LIMITS, link_of

ROOT = Path(srv6kv.__file__).parent
DOCS = ROOT.parent / "docs"
_REASON = re.compile(r"(?=.*[a-z])(?:[A-Z][a-z0-9]*|IPv4){2,}|Malformed")
NO_REASONS = {
    "ClientIP",
    "ClusterIP",
    "ConfigMap",
    "ConfigMapList",
    "EndpointSlice",
    "ExternalIP",
    "ExternalName",
    "IPv4",
    "IPv6",
    "InternalIP",
    "LoadBalancer",
    "NodePort",
    "RequireDualStack",
    "SingleStack",
    "ToBeDeletedByClusterAutoscaler",
    "EncapSrcIP",
    "NBTransaction",
    "ProtoMsgData",
}
"""Words of Kubernetes, VPP and the agent that look like reasons."""
NOT_SEARCHED = (
    *("gen", "etcd", "explain", "settings", "yamllines", "sample", "foreign"),
    *("verify", "repair"),
)
"""They make no notes, and name calls, classes and options that look like reasons; those of
``verify`` have a page of their own (``test_verify.py``)."""


def _constants() -> Iterator[str]:
    """Every text in the code that is written like a reason, but for lists of public names."""
    for path in sorted(ROOT.rglob("*.py")):
        if path.relative_to(ROOT).parts[0] in NOT_SEARCHED:
            continue
        tree = ast.parse(path.read_text())
        exported = {
            id(item)
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
            for item in ast.walk(node)
        }
        for item in ast.walk(tree):
            if isinstance(item, ast.Constant) and isinstance(item.value, str):
                is_reason = _REASON.fullmatch(item.value) and item.value not in NO_REASONS
                if is_reason and id(item) not in exported:
                    yield item.value


@cache
def _given() -> frozenset[str]:
    """The reasons that the code can give."""
    return frozenset(_constants())


def _noted() -> list[str]:
    """The first column of the table in ``docs/notes.md``."""
    rows = (
        line.split("|")[1] for line in (DOCS / "notes.md").read_text().splitlines() if "|" in line
    )
    return [reason for row in rows for reason in re.findall(r"`(\w+)`", row)]


def _headings() -> list[str]:
    section = (DOCS / "limits.md").read_text().partition("\n## Reasons\n")[2].partition("\n## ")[0]
    return re.findall(r"^### (\w+)$", section, re.MULTILINE)


def test_every_reason_is_in_the_notes_and_no_other() -> None:
    """docs/notes.md lists what the code can give, each once."""
    assert sorted(_noted()) == sorted(_given())


def test_every_reason_about_a_service_has_its_heading_in_the_limits() -> None:
    """Whatever a service can be told is explained, once, in alphabetical order."""
    headings = _headings()

    assert headings == sorted(headings, key=str.lower)
    assert set(headings) == LIMITS
    assert LIMITS <= _given()


def test_a_reason_of_a_service_is_told_in_the_notes_as_one() -> None:
    """Each row of docs/notes.md about services has a heading in docs/limits.md, but for what is
    wrong with the input."""
    rows = [line.split("|")[1:3] for line in (DOCS / "notes.md").read_text().splitlines()]
    about = {
        reason
        for names, subjects in (row for row in rows if len(row) == 2)
        if "Service" in subjects and "Node" not in subjects and "Endpoint" not in subjects
        for reason in re.findall(r"`(\w+)`", names)
    }

    assert about - LIMITS == set()


def test_no_document_names_a_reason_that_the_code_cannot_give() -> None:
    """Words in code style that are written like a reason are one."""
    pages = {*DOCS.glob("*.md"), ROOT.parent / "README.md"} - {DOCS / "verify.md"}
    for path in pages:
        named = {
            word
            for word in re.findall(r"`(\w+)`", path.read_text())
            if _REASON.fullmatch(word) and word not in NO_REASONS
        }
        assert named - _given() == set(), path.name


def test_a_link_leads_to_a_heading() -> None:
    """Of a service's reason to its own, of any other one to the list of all."""
    assert link_of("PodNotWired") == "docs/limits.md#podnotwired"
    assert link_of("PodWiringUnknown") == "docs/notes.md"
