"""What tests leave alone: time that passes on a busy machine, and names that are private."""

from __future__ import annotations

import re
from pathlib import Path

import conftest

TESTS = Path(conftest.__file__).parent
CLOCK = re.compile(r"assert\b[^#\n]*\b(monotonic|perf_counter|process_time)\(\)")
LIMIT = re.compile(r"assert\b[^#\n]*\b(spent|took|elapsed|lasted)\b[^#\n]*<")
PATCH = re.compile(r"""setattr\([^)]*?[,.]\s*["']?_[a-z]\w*["']?\s*,""")


def _found(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path.name}: {line.strip()}"
        for path in sorted(TESTS.rglob("*.py"))
        for line in path.read_text().splitlines()
        if pattern.search(line) and path.name not in (Path(__file__).name, "figures.py")
    ]


def test_no_test_asserts_a_time() -> None:
    """A limit is given to ``timed``; see tests/README.md."""
    allowed = ("deadline", "LIFETIME", "LONGEST_SECONDS", "spent[0]")
    found = [*_found(CLOCK), *_found(LIMIT)]

    assert [one for one in found if not any(word in one for word in allowed)] == []


def test_no_private_name_is_patched() -> None:
    """What a test has to change is public."""
    assert _found(PATCH) == []
