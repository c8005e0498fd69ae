"""Words that are not used, and how often they still are: tests/vocabulary.txt.

    python tests/support/vocabulary.py --write    after some have gone; refused if one has come

Each line of that file is a file, a word and how often it may occur in it. It only gets shorter.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ALLOWANCE = ROOT / "tests" / "vocabulary.txt"
WORDS = {
    "anew": r"anew",
    "backend": r"backends?",
    "believe": r"believe[sd]?",
    "brake": r"brakes?",
    "contest": r"contest(?:s|ed)?",
    "cure": r"cure[sd]?",
    "doubt": r"doubt(?:s|ed|ful)?",
    "flip": r"flip(?:s|ped)?",
    "hang on": r"hangs? on",
    "hear": r"hears?|heard",
    "here, there": r"(?:pods?|hosts?) (?:here|there)(?! (?:is|are|was)\b)",
    "in step": r"in step",
    "learn": r"learn(?:s|t|ed)?",
    "let these be": r"let these be",
    "mend": r"mend(?:s|ed|ing)?",
    "nobody": r"nobody",
    "north": r"norths?",
    "plumbs": r"plumb(?:s|ed)?",
    "renote": r"renotes?",
    "settle": r"settle[sd]?|settling",
    "somebody": r"somebody|someone",
    "stand by": r"stands? by",
    "there is to say": r"there is to say",
    "told": r"told",
    "wanted": r"wanted",
    "whoever": r"whoever",
    "wiring": r"wirings?|(?:un)?wired",
}
"""Left out are words that also have a plain meaning: take, move, miss, note, known, seen."""
_PATTERNS = {word: re.compile(rf"\b(?:{text})\b", re.IGNORECASE) for word, text in WORDS.items()}
_SEAMS = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])")

Counts = dict[tuple[str, str], int]


def _texts() -> list[Path]:
    pages = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
    code = [path for path in (ROOT / "srv6kv").rglob("*.py") if "gen" not in path.parts]
    return sorted([*pages, *code, *(ROOT / "docs").rglob("*.md")])


@cache
def found() -> Counts:
    """How often each word stands in each file, also as a part of a name."""
    counts = Counter[tuple[str, str]]()
    for path in _texts():
        text = _SEAMS.sub(" ", path.read_text())
        for word, pattern in _PATTERNS.items():
            number = len(pattern.findall(text))
            if number:
                counts[path.relative_to(ROOT).as_posix(), word] = number
    return dict(counts)


def allowed() -> Counts:
    """How often each may."""
    lines = (line.split("\t") for line in ALLOWANCE.read_text().splitlines())
    return {(path, word): int(number) for path, word, number in lines}


def totals(counts: Counts) -> Counter[str]:
    """How often each word occurs in all files."""
    found = Counter[str]()
    for (_, word), number in counts.items():
        found[word] += number
    return found


def write() -> int:
    """Write what is found, unless a word is more frequent than before; then 1."""
    now = found()
    grown = sorted(totals(now) - totals(allowed())) if ALLOWANCE.exists() else []
    if grown:
        print(f"more than before: {', '.join(grown)}", file=sys.stderr)
        return 1
    lines = (f"{path}\t{word}\t{number}\n" for (path, word), number in sorted(now.items()))
    ALLOWANCE.write_text("".join(lines))
    return 0


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(__doc__)
    sys.exit(write())
