"""The documents, the code and the tests agree on the reasons of notes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from warned import SCENARIOS

import srv6kv
from srv6kv import notes
from srv6kv.explain.account import LIMITS, link_of
from srv6kv.notes import Reason

ROOT = Path(srv6kv.__file__).parent
DOCS = ROOT.parent / "docs"
WARNINGS = (DOCS / "warnings.md").read_text()
_LIKE_A_REASON = re.compile(r"(?=.*[a-z])(?:[A-Z][a-z0-9]*|IPv4){2,}|Malformed")
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


def _texts(tree: ast.AST) -> Iterator[str]:
    for item in ast.walk(tree):
        if isinstance(item, ast.Constant) and isinstance(item.value, str):
            yield item.value


def _rows() -> list[list[str]]:
    return [line.split(" | ") for line in WARNINGS.splitlines() if line.startswith('| <a id="')]


def _headings() -> list[str]:
    section = (DOCS / "limits.md").read_text().partition("\n## Reasons\n")[2].partition("\n## ")[0]
    return re.findall(r"^### (\w+)$", section, re.MULTILINE)


@pytest.mark.parametrize("reason", Reason)
def test_a_scenario_triggers_the_reason(reason: Reason) -> None:
    """Each reason is given for something that can happen (tests/support/warned.py)."""
    found = list(SCENARIOS[reason]())

    assert reason in {note.reason for note in found}
    assert all(str(note) == f"{note.subject}: {note.text} ({note.reason})" for note in found)


def test_every_reason_is_documented_once_and_no_other() -> None:
    """docs/warnings.md has a row for each, with an anchor."""
    documented = [name for row in _rows() for name in re.findall(r"`(\w+)`", row[0])]
    anchors = re.findall(r'<a id="(\w+)"></a>', WARNINGS)

    assert sorted(documented) == sorted(Reason)
    assert anchors == [name.lower() for name in documented]


def test_every_reason_has_a_line_that_says_what_it_is() -> None:
    """A string after each member, as for a constant of a module."""
    tree = ast.parse(Path(notes.__file__).read_text())
    (found,) = (item for item in tree.body if getattr(item, "name", "") == "Reason")
    assert isinstance(found, ast.ClassDef)
    after = [
        later
        for item, later in zip(found.body, found.body[1:], strict=False)
        if isinstance(item, ast.Assign)
    ]

    assert len(after) == len(Reason)
    assert all(isinstance(item, ast.Expr) and any(_texts(item)) for item in after)


def test_a_reason_is_written_as_text_only_where_it_is_defined() -> None:
    """All other code names the member."""
    for path in ROOT.rglob("*.py"):
        if path != Path(notes.__file__):
            assert {*_texts(ast.parse(path.read_text()))} & {*Reason} == set(), path.name


def test_every_note_is_made_with_a_reason_that_is_a_member() -> None:
    """mypy holds that; here, that nothing makes a member of a text."""
    for path in ROOT.rglob("*.py"):
        calls = (
            item for item in ast.walk(ast.parse(path.read_text())) if isinstance(item, ast.Call)
        )
        assert "Reason" not in {ast.unparse(call.func) for call in calls}, path.name


def test_every_reason_about_a_service_has_its_heading_in_the_limits() -> None:
    """Each reason that a service can have is explained, once, in alphabetical order."""
    headings = _headings()

    assert headings == sorted(headings, key=str.lower)
    assert set(headings) == LIMITS


def test_a_reason_of_a_service_is_documented_as_one() -> None:
    """Each row of docs/warnings.md about services has a heading in docs/limits.md, but for what is
    wrong with the input."""
    about = {
        reason
        for names, subjects, *_ in _rows()
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
            if _LIKE_A_REASON.fullmatch(word) and word not in NO_REASONS
        }
        assert named - {*Reason} == set(), path.name


def test_a_link_leads_to_the_place_that_explains_a_reason() -> None:
    """Of a service's reason to its own heading, of any other one to its row."""
    assert link_of(Reason.POD_NOT_ATTACHED) == "docs/limits.md#podnotattached"
    assert link_of(Reason.MTU_TOO_LARGE) == "docs/warnings.md#mtutoolarge"
