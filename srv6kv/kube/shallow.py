"""JSON that nests deeper than anything that is read, cut down to what a decoder can take.

Rule: pure, and without recursion. Any tenant can have an object that nests a thousand deep in the
middle of a list; it must not take the list with it.
"""

from __future__ import annotations

import re

MOST_DEPTH = 100
"""What is read of an object nests less than ten deep, a list and an event around it three more."""

_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)


def shallow(body: bytes, most: int = MOST_DEPTH) -> bytes:
    """The body with null for what nests deeper than ``most``."""
    kept: list[bytes] = []
    depth = start = 0
    for token in _TOKEN.finditer(body):
        mark = token[0]
        if mark in (b"{", b"["):
            depth += 1
            if depth == most + 1:
                kept += [body[start : token.start()], b"null"]
        elif mark in (b"}", b"]"):
            depth -= 1
            if depth == most:
                start = token.end()
    return b"".join(kept) + body[start:] if depth <= most else body
