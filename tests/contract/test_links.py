"""Every relative link and anchor in the documents leads somewhere."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

import srv6kv

ROOT = Path(srv6kv.__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def _prose(path: Path) -> str:
    """A page without its code blocks, in which a bracket is no link."""
    text = _FENCED.sub("", path.read_text())
    return "\n".join(line for line in text.splitlines() if not line.startswith("    "))


@cache
def _anchors(path: Path) -> frozenset[str]:
    """The anchors of a page: its headings as the hosting makes them, and those that it sets."""
    text = _prose(path)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    words = (re.sub(r"[^\w\- ]", "", heading.lower()).strip() for heading in headings)
    return frozenset(
        [*(one.replace(" ", "-") for one in words), *re.findall(r'id="([^"]+)"', text)]
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    """To a file of the repository and, if it names one, to an anchor in it."""
    broken = []
    for target in _LINK.findall(_prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        is_there = path.exists() and path.is_relative_to(ROOT.resolve())
        is_read = is_there and anchor and path.suffix == ".md"
        if not is_there or (is_read and anchor not in _anchors(path)):
            broken.append(target)

    assert broken == []


def test_every_page_is_linked() -> None:
    """No page stands alone: README.md, or a page that it leads to, names it."""
    reached, left = set[Path](), [ROOT / "README.md"]
    while left:
        page = left.pop()
        if page in reached or page.suffix != ".md" or not page.exists():
            continue
        reached.add(page)
        for target in _LINK.findall(_prose(page)):
            if not re.match(r"[a-z]+:", target):
                left.append((page.parent / target.partition("#")[0]).resolve())

    assert sorted({*PAGES} - reached) == []
