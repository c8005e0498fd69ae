"""What a YAML scalar stands for: null, truth, number or text, as Kubernetes reads it.

Rule: nothing becomes a value that JSON has not. A date, a MAC address and an IPv6 address of digits
alone stay the text they were; YAML 1.1 would make timestamps and base-60 numbers of them.
"""

from __future__ import annotations

import re
from typing import TypeAlias

MAX_NUMBER = 64  # characters; longer runs of digits stay text
CORE = "tag:yaml.org,2002:"

Scalar: TypeAlias = bool | int | float | str | None

_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"), False),
}
_INTEGERS = (
    (re.compile(r"[-+]?(?:0|[1-9][0-9_]*)"), 10),
    (re.compile(r"[-+]?0x[0-9a-fA-F_]*[0-9a-fA-F]"), 16),
    (re.compile(r"[-+]?0o?[0-7_]*[0-7]"), 8),
    (re.compile(r"[-+]?0b[01_]*[01]"), 2),
)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_TYPES: dict[str, tuple[type, ...]] = {
    CORE + "null": (type(None),),
    CORE + "bool": (bool,),
    CORE + "int": (int,),
    CORE + "float": (int, float),
}


def resolve(text: str) -> Scalar:
    """The value of a plain scalar."""
    if text in _WORDS:
        return _WORDS[text]
    if text[:1] not in "+-.0123456789" or len(text) > MAX_NUMBER:
        return text
    for pattern, base in _INTEGERS:
        if pattern.fullmatch(text):
            return int(text.replace("_", "").replace("0o", "0"), base)
    if _FLOAT.fullmatch(text) and abs(number := float(text)) != float("inf"):
        return number
    return text


def tagged(text: str, tag: str | None) -> Scalar:
    """The value of a scalar that is quoted or carries a tag; ValueError if that is not one of
    YAML's core, or does not fit the text."""
    if tag in (None, "!", CORE + "str"):
        return text
    value = resolve(text)
    if type(value) not in _TYPES.get(tag or "", ()):
        raise ValueError(f"tag {tag_text(tag)} is not supported here")
    return float(value) if tag == CORE + "float" and isinstance(value, int) else value


def tag_text(tag: str | None) -> str:
    """A tag as it is written."""
    return ascii((tag or "").replace(CORE, "!!")[:60])
