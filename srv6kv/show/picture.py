"""The path of a packet as a picture: time goes down, each hop is a box in the lane of its place.

A node is a frame, with lanes for its pods and host and for each VRF; beside the hops stands the
packet wherever its headers change. One row holds one hop, so that nothing overlaps.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field

from srv6kv.show.paths import NAMES, heading, text_of
from srv6kv.show.svg import CHARACTER, LINE, Canvas, width_of
from srv6kv.trace.hops import Branch, Hop, Packet, Trace

MARGIN, GUTTER, PAD, GAP = 16, 18, 8, 22
FRAME_HEAD, FRAME_GAP = 28, 26
OUTSIDE = "outside"
WRAP, LEAST_WRAP = 26, 60
MOST = 6
"""Ways of a fork that are drawn; of more the rest are listed, so that a page keeps its bounds."""


@dataclass(slots=True)
class _Row:
    """One hop with its place on the page.

    Attributes:
        is_first: the parent has no other way that is drawn before.
        depth: how many forks lie before it.
        caption: what tells this way from the others.
        y: the top of its box, in pixels.
        others: lines about the ways of a fork that are not drawn, after its last row.
    """

    hop: Hop
    parent: _Row | None
    is_first: bool
    depth: int
    caption: str
    lane: int = 0
    y: float = 0
    height: float = 0
    lines: tuple[str, ...] = ()
    packet: Packet | None = None
    foot: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def frame(self) -> str:
        """The frame that it is in."""
        return OUTSIDE if self.hop.place == OUTSIDE else self.hop.node

    @property
    def middle(self) -> float:
        """Where lines leave its sides."""
        return self.y + self.box_height / 2

    @property
    def box_height(self) -> float:
        """The height of its box."""
        return len(self.lines) * LINE + PAD


@dataclass(slots=True)
class _Page:
    """Where the lanes are; the last one is for packets."""

    names: list[str]
    lefts: list[float] = field(default_factory=list)
    widths: list[float] = field(default_factory=list)


def svg_of(trace: Trace) -> str:
    """The picture as an SVG document, of the same bytes for equal traces."""
    rows = list(_rows(trace.path, None, True, 0, ""))
    page = _page(rows)
    title = heading(trace.question)
    right = page.lefts[-1] + page.widths[-1]
    most = max(LEAST_WRAP, int((right - MARGIN) / CHARACTER))
    head = _wrapped(title, most)
    for row in rows:
        if row.hop.end is not None and row.hop.end.reply:
            row.foot = tuple(_wrapped(f"reply {row.hop.end.reply}", most))
        row.foot += row.others
    bottom = _place(rows, MARGIN + len(head) * LINE + GAP / 2)
    canvas = Canvas()
    for index, line in enumerate(head):
        canvas.text(MARGIN, MARGIN + index * LINE, line, "strong")
    for frame in _frames(rows):
        _draw_frame(canvas, page, frame)
    top = rows[0].y - FRAME_HEAD + PAD / 2
    canvas.text(page.lefts[-1], top, "the packet as it arrives", "faint")
    for row in rows:
        _draw_way(canvas, page, row)
    for row in rows:
        _draw_row(canvas, page, row)
    lines = [*head, *(line for row in rows for line in (*row.foot, row.caption))]
    width = max(right + PAD + MARGIN, max(map(width_of, lines)) + 2 * MARGIN + GUTTER)
    return canvas.dump(width, bottom, title, text_of(trace))


def _rows(
    hop: Hop, parent: _Row | None, is_first: bool, depth: int, caption: str
) -> Iterator[_Row]:
    row = _Row(hop, parent, is_first, depth, caption)
    row.lines = tuple(_lines(hop))
    if parent is None or hop.packet != parent.hop.packet:
        row.packet = hop.packet
    yield row
    is_fork = len(hop.branches) > 1
    drawn, others = _chosen(hop.branches)
    last = row
    for index, branch in enumerate(drawn):
        text = str(branch) if is_fork else ""
        for last in _rows(branch.hop, row, not index, depth + is_fork, text):
            yield last
    if others:
        listed = (f"{one}: {end}" for one in others for end in one.hop.ends())
        last.others += (f"{len(others)} more ways:", *listed)


def _chosen(branches: tuple[Branch, ...]) -> tuple[list[Branch], list[Branch]]:
    """The ways of a fork that are drawn, one to each node and kind of end first, and the others."""
    if len(branches) <= MOST:
        return list(branches), []
    kinds: dict[object, int] = {}
    for index, branch in enumerate(branches):
        kinds.setdefault(tuple((end.kind, end.node) for end in branch.hop.ends()), index)
    order = [*kinds.values(), *(n for n in range(len(branches)) if n not in kinds.values())]
    drawn = sorted(order[:MOST])
    others = [branch for index, branch in enumerate(branches) if index not in drawn]
    return [branches[index] for index in drawn], others


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of whole words."""
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def _lines(hop: Hop) -> Iterator[str]:
    match hop.kind:
        case "send" | "receive":
            head = hop.place
        case "choice":
            head = hop.what
        case _:
            head = f"{NAMES[hop.kind]}{hop.what}"
    why = hop.end.why if hop.end is not None and hop.end.why != head else ""
    yield head
    yield from _wrapped(f"{hop.does}: {why}" if why else hop.does, WRAP)


def _page(rows: list[_Row]) -> _Page:
    vrfs = {row.hop.place for row in rows if row.hop.place.startswith("VRF ")}
    # The pods' VRF has the higher id unless the settings say otherwise.
    page = _Page(["pods, host", *sorted(vrfs, key=lambda name: -int(name[4:])), "packet"])
    widths = [width_of(name) for name in page.names]
    for row in rows:
        row.lane = page.names.index(row.hop.place) if row.hop.place in vrfs else 0
        widths[row.lane] = max(widths[row.lane], *map(width_of, row.lines))
        if row.packet is not None:
            outer = (width_of(text) + 2 * PAD for text, _ in _outer(row.packet))
            inner = (width_of(text) + 4 * PAD for text in row.packet.headers)
            widths[-1] = max(widths[-1], *inner, *outer)
    depth = max(row.depth for row in rows)
    x: float = MARGIN + GUTTER * depth + PAD
    for width in widths:
        page.lefts.append(x)
        page.widths.append(width + 2 * PAD)
        x += width + 4 * PAD
    return page


def _outer(packet: Packet) -> list[tuple[str, str]]:
    """Lines of text with their style; the segment that is the destination is strong."""
    outer = packet.outer
    if outer is None:
        return []
    lines = [(f"{outer.source} > {outer.destination}", "")]
    if outer.segments:
        lines.append((f"SRH, segments left {outer.left}:", ""))
    current = len(outer.segments) - 1 - outer.left
    for index, segment in enumerate(outer.segments):
        lines.append((f"- {segment}", "strong" if index == current else ""))
    return lines


def _packet_height(packet: Packet) -> float:
    inner = len(packet.headers) * LINE + PAD
    return inner + len(_outer(packet)) * LINE + 2 * PAD if packet.outer is not None else inner


def _place(rows: list[_Row], y: float) -> float:
    """Give each row its place; where the last one ends."""
    before: _Row | None = None
    for row in rows:
        if before is None or _starts_frame(before, row):
            y += FRAME_GAP * (before is not None) + FRAME_HEAD
        if row.caption:
            y += LINE + PAD / 2
        row.y = y
        packet = _packet_height(row.packet) if row.packet is not None else 0
        row.height = max(row.box_height, packet)
        y += row.height + GAP + len(row.foot) * LINE
        before = row
    return y + MARGIN


def _starts_frame(before: _Row, row: _Row) -> bool:
    return row.frame != before.frame or not row.is_first or bool(before.foot)


def _frames(rows: list[_Row]) -> Iterator[list[_Row]]:
    """The rows of each frame."""
    frame = rows[:1]
    for row in rows[1:]:
        if _starts_frame(frame[-1], row):
            yield frame
            frame = []
        frame.append(row)
    yield frame


def _draw_frame(canvas: Canvas, page: _Page, rows: list[_Row]) -> None:
    caption = LINE + PAD / 2 if rows[0].caption else 0
    top = rows[0].y - FRAME_HEAD - caption
    bottom = max(row.y + row.height for row in rows) + GAP / 2
    left = page.lefts[0] - PAD
    canvas.box(left, top, page.lefts[-1] - PAD - left, bottom - top, "node", 6)
    canvas.text(page.lefts[0], top + PAD / 2, rows[0].frame, "strong")
    if rows[0].frame == OUTSIDE:
        return
    for lane in range(1, len(page.names) - 1):
        x = page.lefts[lane]
        canvas.line([(x - PAD, top + LINE + PAD), (x - PAD, bottom)], "lane")
        canvas.text(x, top + PAD / 2, page.names[lane], "faint")


def _draw_way(canvas: Canvas, page: _Page, row: _Row) -> None:
    """The arrow that leads to a row; to a later way of a fork it goes by the left side."""
    parent = row.parent
    if parent is None:
        return
    left = page.lefts[row.lane]
    centre = left + page.widths[row.lane] / 2
    if not row.is_first:
        x = page.lefts[0] - PAD - GUTTER / 2 - GUTTER * (row.depth - 1)
        start = (page.lefts[parent.lane], parent.middle)
        y = row.y + PAD  # above the way on
        canvas.arrow([start, (x, parent.middle), (x, y), (left, y)])
    elif parent.lane == row.lane:
        canvas.arrow([(centre, parent.y + parent.box_height), (centre, row.y)])
    else:
        is_right = row.lane > parent.lane
        side = page.lefts[parent.lane] + (page.widths[parent.lane] if is_right else 0)
        canvas.arrow([(side, parent.middle), (centre, parent.middle), (centre, row.y)])


def _draw_row(canvas: Canvas, page: _Page, row: _Row) -> None:
    left, width = page.lefts[row.lane], page.widths[row.lane]
    if row.caption:
        beside = page.lefts[0 if row.lane else 1]  # the arrow is in the row's lane
        canvas.text(beside, row.y - LINE - PAD / 2, row.caption, "strong")
    hop = row.hop
    canvas.begin(f"{hop.node} {hop.place}: {hop.key or hop.does}")
    is_round = hop.kind in ("send", "receive", "choice")
    style = "box" if hop.end is None else "good" if hop.end.is_delivered else "bad"
    canvas.box(left, row.y, width, row.box_height, style, 12 if is_round else 3)
    for index, line in enumerate(row.lines):
        y = row.y + PAD / 2 + index * LINE
        canvas.text(left + width / 2, y, line, "" if index else "strong", "middle")
    canvas.end()
    if row.packet is not None:
        _draw_packet(canvas, page.lefts[-1], row.y, page.widths[-1], row.packet)
    foot = row.y + row.height + GAP / 2 + PAD / 2
    for index, line in enumerate(row.foot):
        canvas.text(page.lefts[0] - PAD, foot + index * LINE, line, "faint")


def _draw_packet(canvas: Canvas, x: float, y: float, width: float, packet: Packet) -> None:
    """Header within header."""
    canvas.begin("the packet as it arrives here")
    outer, inner = _outer(packet), packet.headers
    if outer:
        canvas.box(x, y, width, _packet_height(packet), "outer")
        for line, style in outer:
            canvas.text(x + PAD, y + PAD / 2, line, style)
            y += LINE
        x, y, width = x + PAD, y + PAD, width - 2 * PAD
    canvas.box(x, y, width, len(inner) * LINE + PAD, "box")
    for index, line in enumerate(inner):
        canvas.text(x + PAD, y + PAD / 2 + index * LINE, line)
    canvas.end()
