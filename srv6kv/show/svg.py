"""A small writer of SVG: boxes, lines and text, with colours for light and dark viewers.

Rule: text is set in a fixed-width font, so that its width is known without one; the same calls
give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

FONT_SIZE = 12
CHARACTER = 7.3
"""Width of a character in pixels, a little more than any fixed-width font of this size has."""
LINE = 16
"""Height of a line of text in pixels."""

_COLOURS = {
    "page": ("#ffffff", "#0d1117"),
    "ink": ("#1f2328", "#f0f6fc"),
    "faint": ("#59636e", "#9198a1"),
    "node": ("#f6f8fa", "#151b23"),
    "lane": ("#d1d9e0", "#3d444d"),
    "box": ("#ffffff", "#0d1117"),
    "edge": ("#59636e", "#9198a1"),
    "outer": ("#ddf4ff", "#121d2f"),
    "outeredge": ("#0969da", "#4493f8"),
    "good": ("#dafbe1", "#12261e"),
    "goodedge": ("#1a7f37", "#3fb950"),
    "bad": ("#ffebe9", "#25171c"),
    "badedge": ("#cf222e", "#f85149"),
}
"""Each in light and in dark."""
_FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


def _colours(*, is_dark: bool) -> str:
    of = {name: both[is_dark] for name, both in _COLOURS.items()}
    return " ".join(
        (
            f".page {{ fill: {of['page']} }}",
            f"text {{ fill: {of['ink']} }} .faint {{ fill: {of['faint']} }}",
            f".node {{ fill: {of['node']}; stroke: {of['lane']} }}",
            f".lane {{ stroke: {of['lane']} }}",
            f".way {{ stroke: {of['ink']} }} .tip {{ fill: {of['ink']} }}",
            f".box {{ fill: {of['box']}; stroke: {of['edge']} }}",
            *(
                f".{name} {{ fill: {of[name]}; stroke: {of[f'{name}edge']} }}"
                for name in ("outer", "good", "bad")
            ),
        )
    )


class Canvas:
    """What is drawn, in the order in which it is drawn: the later lies above."""

    def __init__(self) -> None:
        self._items: list[str] = []

    def begin(self, title: str) -> None:
        """A group whose title a viewer shows when it is pointed at."""
        self._items.append(f"<g><title>{escape(title)}</title>")

    def end(self) -> None:
        """The group is whole."""
        self._items.append("</g>")

    def box(
        self, x: float, y: float, width: float, height: float, style: str, radius: float = 3
    ) -> None:
        """A rectangle; a large radius rounds it."""
        self._items.append(
            f'<rect class="{style}" x="{_n(x)}" y="{_n(y)}" width="{_n(width)}"'
            f' height="{_n(height)}" rx="{_n(radius)}"/>'
        )

    def text(self, x: float, y: float, text: str, style: str = "", anchor: str = "") -> None:
        """A line of text; ``y`` is the top of the line. The anchor is that of SVG."""
        attributes = f' class="{style}"' if style else ""
        attributes += f' text-anchor="{anchor}"' if anchor else ""
        self._items.append(
            f'<text x="{_n(x)}" y="{_n(y + FONT_SIZE)}"{attributes}>{escape(text)}</text>'
        )

    def line(self, points: Iterable[tuple[float, float]], style: str) -> None:
        """A line through points."""
        found = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
        self._items.append(f'<polyline class="{style}" points="{found}"/>')

    def arrow(self, points: list[tuple[float, float]]) -> None:
        """A line with a tip at the end; the last part of it goes right or down."""
        (x, y), (before, _) = points[-1], points[-2]
        self.line(points, "way")
        ends = [(x - 8, y - 4), (x - 8, y + 4)] if before != x else [(x - 4, y - 8), (x + 4, y - 8)]
        found = " ".join(f"{_n(a)},{_n(b)}" for a, b in [(x, y), *ends])
        self._items.append(f'<polygon class="tip" points="{found}"/>')

    def dump(self, width: float, height: float, title: str, text: str) -> str:
        """The document; the text says what it shows, for those who cannot see it."""
        size = f"{_n(width)} {_n(height)}"
        fixed = (
            f"text {{ font: {FONT_SIZE}px {_FONT} }}"
            " .strong { font-weight: bold } polyline { fill: none }"
            " .lane { stroke-dasharray: 2 4 } .way { stroke-width: 1.5 }"
        )
        dark = f"@media (prefers-color-scheme: dark) {{ {_colours(is_dark=True)} }}"
        head = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_n(width)}" height="{_n(height)}"'
            f' viewBox="0 0 {size}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<desc>{escape(text)}</desc>",
            f"<style>{fixed} {_colours(is_dark=False)} {dark}</style>",
            f'<rect class="page" width="{_n(width)}" height="{_n(height)}"/>',
        ]
        return "\n".join([*head, *self._items, "</svg>", ""])


def width_of(text: str) -> float:
    """Width of a line of text in pixels."""
    return len(text) * CHARACTER


def _n(value: float) -> str:
    """A number without more places than it needs."""
    return f"{value:.1f}".removesuffix(".0")
