"""Every rule, defect, fact, invariant and decision that code, tests or docs cite stands in docs/,
with its source, and nothing outside the repository is cited."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import srv6kv
from srv6kv.explain.account import page_of

ROOT = Path(srv6kv.__file__).parent.parent
DOCS = ROOT / "docs"
FAMILIES = {
    "S": "services",
    "E": "endpoints",
    "C": "selection",
    "L": "expressible",
    "R": "rendering",
    "M": "operation",
    "F": "facts",
    "A": "agent",
    "V": "vpp",
    "N": "reference",
    "D": "defects",
    "I": "invariants",
}
_NAME = r"[A-Z]\d+[a-c]?"
_LIST = rf"({_NAME}(?:(?:, | and | or | to |, and )(?:rule )?{_NAME})*)"
_CITED = re.compile(rf"\b(?:rules?|defects?|facts?|invariants?)\s+{_LIST}\b", re.IGNORECASE)
_DECISION = re.compile(r"\bdecisions? (\d{4})\b", re.IGNORECASE)
_OUTSIDE = re.compile(r"\bspec/|\bdesign\.md|\bhouse\.md|\bdesign section|\.\./shared")
EXPLAINED = ("explain/__init__.py", "explain/places.py", "kube/parse.py", "render/selection.py")
"""Modules whose texts ``explain`` prints: they name rules as data."""


def _anchors(name: str) -> list[str]:
    text = (DOCS / "rules" / f"{name}.md").read_text()
    found = re.finditer(r'^### (\w+)$|<a id="(\w+)"></a>', text, re.MULTILINE)
    return [match[1] or match[2] for match in found]


@cache
def _rules() -> frozenset[str]:
    """All rules that have an anchor, in upper case but for the letter behind."""
    return frozenset(rule.lower() for name in FAMILIES.values() for rule in _anchors(name))


def _texts() -> Iterator[tuple[Path, str]]:
    """Every text of the package, the tests and the docs, without what is generated."""
    for folder, suffix in ((ROOT / "srv6kv", "py"), (ROOT / "tests", "py"), (DOCS, "md")):
        for path in sorted(folder.rglob(f"*.{suffix}")):
            if "gen" not in path.parts and path.name != Path(__file__).name:
                yield path, path.read_text()
    for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md"):
        yield ROOT / name, (ROOT / name).read_text()


def _named(text: str) -> Iterator[str]:
    """The rules of each citation; of "A1 to A28" also those between."""
    for match in _CITED.finditer(" ".join(text.split())):
        names = re.findall(_NAME, match[1])
        yield from names
        for first, last in re.findall(rf"({_NAME}) to (?:rule )?({_NAME})", match[1]):
            yield from (f"{first[0]}{n}" for n in range(int(first[1:]), int(last[1:]) + 1))


def test_every_rule_that_is_cited_has_its_anchor() -> None:
    """Wherever a rule, a defect, a fact or an invariant is named."""
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for path, text in _texts()
        for name in _named(text)
        if name.lower() not in _rules()
    ]

    assert wrong == []


def test_every_decision_that_is_cited_has_its_page() -> None:
    """The list of decisions names each page with its title, and no other."""
    pages = {path.name[:4]: path for path in (DOCS / "decisions").glob("0*.md")}
    listed = dict(
        re.findall(
            r"\[(\d{4})\]\([\w-]+\.md\) \| (.*) \|", (DOCS / "decisions/README.md").read_text()
        )
    )
    cited = {number for _, text in _texts() for number in _DECISION.findall(text)}
    titles = {n: page.read_text().partition("\n")[0] for n, page in pages.items()}

    assert cited <= pages.keys()
    assert titles == {number: f"# {number}: {title}" for number, title in listed.items()}


def test_a_rule_has_one_anchor_on_the_page_of_its_family() -> None:
    """So that its name says where it stands."""
    for letter, name in FAMILIES.items():
        found = _anchors(name)

        assert len(found) == len(set(found)), name
        assert {rule[0].upper() for rule in found} == {letter}, name


@pytest.mark.parametrize("name", FAMILIES.values())
def test_every_rule_has_a_source(name: str) -> None:
    """Its own, or the one that its page names for all."""
    page = (DOCS / "rules" / f"{name}.md").read_text()
    head, *entries = re.split(r"^#{2,3} |^\| <a ", page, flags=re.MULTILINE)
    has_one = re.search(r"Source|Read in|\[source", head) is not None

    assert has_one or all("[" in entry for entry in entries)


@pytest.mark.parametrize("module", EXPLAINED)
def test_every_rule_that_explain_prints_has_its_anchor(module: str) -> None:
    """``explain`` names the page beside it."""
    tree = ast.parse((ROOT / "srv6kv" / module).read_text())
    texts = [
        item.value
        for item in ast.walk(tree)
        if isinstance(item, ast.Constant) and isinstance(item.value, str)
    ]
    named = {match[0] for text in texts if (match := re.match(r"[SEC]\d+[a-c]?\b", text))}

    assert named
    for rule in named:
        path, _, anchor = page_of(rule).partition("#")
        assert (ROOT / path).exists()
        assert anchor in _rules()


def test_nothing_outside_the_repository_is_cited() -> None:
    """Whatever code refers to is here."""
    wrong = [str(path.relative_to(ROOT)) for path, text in _texts() if _OUTSIDE.search(text)]

    assert wrong == []
