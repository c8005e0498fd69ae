"""What the long tests measure, and the table of it that ends their run."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Figures:
    """Rows of the table in the order in which they came.

    Attributes:
        say: shows a line at once.
    """

    say: Callable[[str], None] = print
    rows: list[tuple[str, str]] = field(default_factory=list)

    def count(self, what: str, number: int | str) -> None:
        """Something that was counted."""
        self.rows.append((what, str(number)))

    def seconds(self, what: str, times: list[float]) -> None:
        """Something that was timed, again and again."""
        if times:
            digits = 2 if max(times) >= 1.0 else 3
            text = f"p50 {statistics.median(times):.{digits}f} s, max {max(times):.{digits}f} s"
            self.rows.append((what, f"{text} ({len(times)} times)"))

    def table(self) -> list[str]:
        """The lines of a Markdown table."""
        return ["| what | figure |", "|---|---|", *(f"| {a} | {b} |" for a, b in self.rows)]

    def progress(self, what: str, number: int, total: int) -> None:
        """A line now and then, for whoever waits."""
        if number % max(1, total // 10) == 0 or number == total:
            self.say(f"{what}: {number} of {total}")


@dataclass(frozen=True, slots=True)
class Timed:
    """What tests time: shown always, and held against a limit with ``--benchmark`` only.

    Attributes:
        is_held: whether a longer time fails the test. A busy machine would fail it too.
    """

    figures: Figures
    is_held: bool

    def __call__(self, what: str, seconds: float, most: float) -> None:
        """Report a time, and with ``--benchmark`` fail if it is longer than the limit."""
        print(f"{what}: {seconds:.3f} s")
        if self.is_held:
            self.figures.seconds(what, [seconds])
            assert seconds < most, f"{what}: {seconds:.3f} s"
