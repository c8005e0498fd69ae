"""Bytes that others wrote become a value, or one kind of error."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hostile import DEEP, HOSTILE
from hypothesis import given
from hypothesis import strategies as st

import srv6kv
from srv6kv import foreign
from srv6kv.foreign import MAX_DEPTH, MOST_BYTES, MOST_COMMAS, Unreadable

ROOT = Path(srv6kv.__file__).parent


class Named(msgspec.Struct):
    """What a value of the agent may look like."""

    name: str = ""
    vrf_id: int = 0


Reader = Callable[[bytes], Any]
READERS: dict[str, Reader] = {
    "typed": lambda data: foreign.decode(data, Named),
    "typed, no twins": lambda data: foreign.decode(data, Named, is_unique=True),
    "any": foreign.plain,
    "an object": lambda data: foreign.plain(data, dict[str, Any], is_unique=True),
    "raw members": lambda data: foreign.decode(data, dict[str, msgspec.Raw]),
    "raw": lambda data: foreign.decode(msgspec.Raw(data), list[Named]),
    "text": foreign.text,
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_one_kind_of_error(data: bytes, read: Reader) -> None:
    """Whatever it is, it is read or refused with a text of at most a few words."""
    said = "-"
    try:
        read(data)
    except Unreadable as error:
        said = str(error)

    assert 0 < len(said) < 400
    assert "\n" not in said


@given(st.binary(max_size=200), st.sampled_from(sorted(READERS)))
def test_any_bytes(data: bytes, name: str) -> None:
    """Bytes by chance raise nothing else either."""
    with suppress(Unreadable):
        READERS[name](data)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"[" * DEEP + b"]" * DEEP, "nests too deep"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "nests deeper than 100 levels"),
        (b'{"a":' * 150 + b"1" + b"}" * 150, "nests deeper than 100 levels"),
        (b'{"a":"\xff"}', "not UTF-8"),
        (b'{"a":1,"b":{"c":1,"\\u0063":2}}', "member 'c' is there twice"),
        (b" " * (MOST_BYTES + 1), f"{MOST_BYTES + 1} bytes, more than the {MOST_BYTES} that are"),
        (b"[" + b"[]," * 70_000 + b"1]", "more than 65536 lists and objects"),
        (b'{"a":1e999}', "Number out of range"),
        (b'{"a":NaN}', "JSON is malformed"),
        (b'{"a":"\\ud800\\u0041"}', "JSON is malformed"),
        (b"", "Input data was truncated"),
    ],
    ids=range(11),
)
def test_what_is_wrong(data: bytes, problem: str) -> None:
    """The text says what, in our words where Python or a library words it by chance."""
    with pytest.raises(Unreadable, match=re.escape(problem)):
        foreign.plain(data, is_unique=True)


def test_many_values() -> None:
    """An answer may be large, but not fill the memory with values."""
    data = b"[" + b"1," * MOST_COMMAS + b"1]"

    with pytest.raises(Unreadable, match=f"more than {MOST_COMMAS} values"):
        foreign.plain(data, most=len(data))


def test_the_deepest() -> None:
    """What nests up to the limit is read, and so is what a type passes over."""
    data = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH

    assert isinstance(foreign.plain(data), list)
    assert foreign.decode(b'{"name":"x","more":%s}' % data, Named) == Named("x")


def test_twins_are_the_callers_choice() -> None:
    """The agent refuses a member that is there twice; others take the later one."""
    data = b'{"name":"x","name":"y"}'

    assert foreign.decode(data, Named) == Named("y")
    with pytest.raises(Unreadable, match="member 'name' is there twice"):
        foreign.decode(data, Named, is_unique=True)


def test_text_names_the_line() -> None:
    """Of a text that is not UTF-8 the line is told."""
    with pytest.raises(Unreadable, match="not UTF-8") as caught:
        foreign.text(b"a\nb\nc\xff\n")

    assert caught.value.line == 3


def test_a_long_quotation_is_cut() -> None:
    """What an error quotes is cut in the middle."""
    assert foreign.brief("x" * 5_000) == f"{'x' * 150} ... {'x' * 150}"
    assert foreign.brief("short") == "short"


RAW = {
    "msgspec.json.decode",
    "msgspec.json.Decoder",
    "msgspec.convert",
    "msgspec.msgpack.decode",
    "msgspec.yaml.decode",
    "json.load",
    "json.loads",
    "json.JSONDecoder",
    "json_format.Parse",
    "text_format.Parse",
    "yaml.load",
    "yaml.load_all",
    "yaml.safe_load",
    "yaml.safe_load_all",
    "yaml.parse",
    "yaml.compose",
    "ast.literal_eval",
    "pickle.loads",
}
"""What reads foreign bytes without limits."""
ALLOWED = {
    "agentlog/writer.py": {"text_format.Parse"},  # of a line, nested as deep as its message
    "foreign/__init__.py": {"msgspec.json.decode", "msgspec.convert", "json.JSONDecoder"},
    "foreign/typed.py": {"msgspec.json.Decoder"},  # decodes nothing: it makes the types ready
    "yamllines/__init__.py": {"yaml.parse", "json.loads"},  # has limits of its own
}


ENCODED = {"text", "matched"}
"""What we have encoded (``plan``), and what a pattern of ASCII matched (``contention``)."""


def _calls(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {ast.unparse(item.func) for item in ast.walk(tree) if isinstance(item, ast.Call)}


def _strict_decodes(path: Path) -> list[int]:
    """The lines where bytes become text, and may raise at that."""
    return [
        item.lineno
        for item in ast.walk(ast.parse(path.read_text()))
        if isinstance(item, ast.Call)
        and isinstance(item.func, ast.Attribute)
        and item.func.attr == "decode"
        and not item.args
        and not any(word.arg in ("errors", "kind") for word in item.keywords)
        and ast.unparse(item.func.value) not in ENCODED
        and not _encodes(item.func.value)
    ]


def _encodes(value: ast.expr) -> bool:
    """Whether the bytes were made by encoding, in the same expression."""
    return isinstance(value, ast.Call) and "encode" in ast.unparse(value.func)


def test_nothing_else_decodes() -> None:
    """Every other module asks ``foreign``, which alone knows the decoders."""
    found = {
        str(path.relative_to(ROOT)): calls
        for path in sorted(ROOT.rglob("*.py"))
        if "gen" not in path.parts and (calls := _calls(path) & RAW)
    }

    assert found == ALLOWED


def test_nothing_else_makes_text_of_bytes() -> None:
    """``bytes.decode`` without a word on errors is for ``foreign``, and for what we encoded."""
    found = {
        str(path.relative_to(ROOT)): lines
        for path in sorted(ROOT.rglob("*.py"))
        if "gen" not in path.parts and (lines := _strict_decodes(path))
    }

    assert found.keys() == {"foreign/__init__.py"}


def test_no_scattered_guards() -> None:
    """What ``foreign`` raises is a ValueError: nobody else has to think of RecursionError."""
    found = [
        str(path.relative_to(ROOT))
        for path in sorted(ROOT.rglob("*.py"))
        if re.search(r"except.*(RecursionError|MemoryError)", path.read_text())
    ]

    assert found == ["foreign/__init__.py", "yamllines/__init__.py"]
