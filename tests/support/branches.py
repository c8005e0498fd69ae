"""How many branches of the pure modules a report of ``coverage json`` has: ``scripts/coverage``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from test_rooms import ROOT, _is_pure, _modules


def taken(report: Path) -> dict[str, tuple[int, int]]:
    """Branches taken and branches, of each pure module that has any."""
    files = json.loads(report.read_text())["files"]
    found = {}
    for path in filter(_is_pure, _modules()):
        name = path.relative_to(ROOT.parent).as_posix()
        summary = files.get(name, {}).get("summary", {})
        if summary.get("num_branches"):
            found[name] = (summary["covered_branches"], summary["num_branches"])
    return found


def main(report: str, floor: str) -> int:
    """Print the share of each module below the floor and that of all; 1: all is below it."""
    found = taken(Path(report))
    for name, (some, of) in sorted(found.items(), key=lambda item: item[1][0] / item[1][1]):
        if some / of < 0.95:
            print(f"{some / of:7.1%} {some:5} of {of:5} {name}")
    some, of = (sum(column) for column in zip(*found.values(), strict=True))
    print(f"{some / of:7.1%} {some:5} of {of:5} branches of the pure rooms, floor {floor} %")
    return int(100 * some < float(floor) * of)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
