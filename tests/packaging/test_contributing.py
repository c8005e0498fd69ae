"""CONTRIBUTING.md sends nobody to a file that does not exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import srv6kv

ROOT = Path(srv6kv.__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
CHANGES = (
    "an end function",
    "a reason",
    "an etcd error",
    "a settings key",
    "a metric",
    "an agent version",
    "an output format",
    "a remedy",
    "a field of EndpointSlice",
    "another store",
    "the BSID rule",
    "a command",
)


def _rows() -> dict[str, tuple[list[str], list[str]]]:
    """Files and pages of each change in the table."""
    section = TEXT.partition("## Twelve typical changes")[2].partition("\n## ")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return {
        name.removeprefix("| "): (re.findall(r"`([^`]+)`", files), re.findall(r"`([^`]+)`", pages))
        for name, files, pages in rows[1:]
    }


def test_the_table_has_every_typical_change() -> None:
    """Twelve, in the order in which people ask."""
    assert tuple(_rows()) == CHANGES


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_needs_few_files_and_they_exist(change: str) -> None:
    """At most four source files; one that is to be written stands in angle brackets."""
    files, pages = _rows()[change]

    assert 0 < len(files) <= 4
    for name in files:
        assert "<" in name or (ROOT / "srv6kv" / name).exists(), name
    assert pages
    assert all((ROOT / "docs" / name).exists() for name in pages)


def test_every_room_and_script_that_is_named_exists() -> None:
    """And each room has its place in the table of questions."""
    table = TEXT.partition("| question | room |")[2].partition("\n\n")[0]
    rooms = set(re.findall(r"`(\w+)`", table))

    assert all((ROOT / "srv6kv" / room).is_dir() for room in rooms)
    for name in re.findall(r"scripts/[\w-]+|tests/test_\w+\.py", TEXT):
        assert (ROOT / name).exists(), name
