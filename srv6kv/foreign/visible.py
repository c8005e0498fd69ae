"""Shows what a reader could not see, or a terminal would obey: control characters, marks that turn
the direction of text, characters without width, halves of surrogate pairs.

Rule: pure. All that is printed passes through here: names, arguments and errors are others' words.
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal

import msgspec

HIDDEN = (
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # drawn as nothing
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f"  # no width, ends of lines, bidi marks
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff"
    "\ud800-\udfff"  # bytes of a file name or an argument that are not UTF-8
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "]"
)
"""A regular expression for one such character."""
_HIDDEN = re.compile(HIDDEN)
_HIDDEN_IN_A_BLOCK = re.compile(f"(?![\\n\\t]){HIDDEN}")


def line(text: str) -> str:
    """Show a text that is to be one line, or a part of one."""
    return _HIDDEN.sub(_escaped, text) if _HIDDEN.search(text) else text


def block(text: str) -> str:
    """Show a text of several lines, whose newlines and tabs are meant."""
    return _HIDDEN_IN_A_BLOCK.sub(_escaped, text) if _HIDDEN.search(text) else text


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def json_text(text: str) -> str:
    """Show the same JSON: escapes are part of its strings, and nothing else of it is hidden."""
    return _HIDDEN_IN_A_BLOCK.sub(_in_json, text) if _HIDDEN.search(text) else text


def _in_json(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x10000:
        return f"\\u{code:04x}"
    return f"\\u{0xD7C0 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"


def encode(value: Any, order: Literal["sorted"] | None = None) -> str:
    """Encode a value as one line of JSON in which everything can be seen."""
    try:
        text = msgspec.json.encode(value, order=order, enc_hook=str).decode()
    except UnicodeEncodeError:  # halves of surrogate pairs, which only ASCII can name
        text = json.dumps(
            msgspec.to_builtins(value, enc_hook=str), sort_keys=order is not None, default=str
        )
    return json_text(text)
