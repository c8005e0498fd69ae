"""Laws of ``srv6kv.yamllines``: JSON values, true lines, and no text that hangs or crashes."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from srv6kv import yamllines
from srv6kv.yamllines import Node, TextError

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def plain(text: str) -> list[object]:
    return [node.plain() for node in yamllines.documents(text)]


def entry(text: str, *path: str | int) -> Node:
    node = yamllines.documents(text)[0]
    for step in path:
        if isinstance(step, int):
            assert isinstance(node.value, list)
            node = node.value[step]
        else:
            assert isinstance(node.value, dict)
            node = node.value[step]
    return node


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("yes", True),
        ("Off", False),
        ("y", "y"),
        ("12", 12),
        ("-0", 0),
        ("+1_000", 1000),
        ("017", 15),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b101", 5),
        ("08", "08"),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("1e999", "1e999"),
        (".nan", ".nan"),
        ("-.inf", "-.inf"),
        ("1" * 65, "1" * 65),
        ("12:30:45", "12:30:45"),
        ("2001:0:0:1:0:0:0:5", "2001:0:0:1:0:0:0:5"),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("2026-01-01", "2026-01-01"),
        ("=", "="),
        ("'12'", "12"),
        ("! 12", "12"),
        ("!!str 12", "12"),
        ("!!int '12'", 12),
        ("!!float 1", 1.0),
        ("!!bool 'on'", True),
        ("!!null ''", None),
    ],
)
def test_scalar(text: str, value: object) -> None:
    """A scalar is what Kubernetes takes it for, and dates and addresses are text."""
    found = plain(f"key: {text}")

    assert [{"key": value}] == found
    assert type(value) is type(entry(f"key: {text}", "key").value)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("a: 1\nb: 2\na: 3", 3, "key 'a' is there twice, first at line 1"),
        ("a: 1\nb: [", 2, "not valid YAML: "),
        ("a: b: c", 1, "not valid YAML: "),
        ("x:\n- !!python/object:os.system {}", 2, "tag '!!python/object:os.system' is not"),
        ("x:\n- !!set {a, b}", 2, "tag '!!set' is not supported here"),
        ("x: !!binary aGk=", 1, "tag '!!binary' is not supported here"),
        ("x: !!timestamp 2026-01-01", 1, "tag '!!timestamp' is not supported here"),
        ("x: !mine 5", 1, "tag '!mine' is not supported here"),
        ("x: !!int five", 1, "tag '!!int' is not supported here"),
        ("x: !!str [a]", 1, "tag '!!str' is not supported here"),
        ("\n? [a]\n: b", 2, "a key must be text, not a list or a mapping"),
        ("a: &x 1\n*x : 2", 2, "a key must be text, not an alias"),
        ("a: *x", 1, "alias 'x' is not defined before"),
        ("a: 1\n---\nb: &x [*x]", 3, "alias 'x' contains itself"),
        ("a: &x 1\n---\nb: *x", 3, "alias 'x' is not defined before"),
        ("a:\n  <<: 3", 2, "<< takes a mapping or a list of mappings"),
        ("ok: 1\nbad: \x07", 2, "character '\\x07' is not allowed"),
        ("\ud800", 1, "character '\\ud800' is not allowed"),
        ('{\n"a": "\\ud800"}', 2, "a text holds half of a surrogate pair"),
        ('{"a": 1,\n"a": "\\ud83d\\ude00"}', 2, "key 'a' is there twice, first at line 1"),
        ("%YAML 9.1\n---\na: 1", 1, "not valid YAML: "),
        ("[" * 100_000, 1, "nested deeper than 200 levels"),
        ("- " * 100_000, 1, "nested deeper than 200 levels"),
        ("{a: " * 100_000, 1, "nested deeper than 200 levels"),
        ("{" * 100_000, 1, "nested deeper than 200 levels"),
        ("[{" * 100_000, 1, "nested deeper than 200 levels"),
        ("a: 1\nb:\n  " + "[" * 100_000, 3, "nested deeper than 200 levels"),
        ('a: 1\nb: "\u00e9"\nc: ' + "[" * 1500 + "]" * 1500, 3, "nested deeper than 200 levels"),
        ("a: '" + "[" * 300 + "'\nb: c: d", 2, "not valid YAML: "),
    ],
)
def test_refusal(text: str, line: int, problem: str) -> None:
    """A text beyond JSON's values or the limits is refused at the line where that shows."""
    with pytest.raises(TextError) as caught:
        yamllines.documents(text)

    assert (line, problem) == (caught.value.line, caught.value.problem[: len(problem)])
    assert len(str(caught.value).splitlines()) == 1


def test_billion_laughs() -> None:
    """Aliases that multiply are refused before anything is copied."""
    levels = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]

    with pytest.raises(TextError, match="line 6: aliases stand for more than 100000 values"):
        yamllines.documents("\n".join(["a0: &a0 [lol]", *levels]))


def test_alias_and_merge() -> None:
    """An alias is the value it names, and what a merge brings in yields to the mapping's own."""
    text = (
        "base: &base {x: 1, y: &y [2]}\nuse:\n  <<: *base\n  x: 3\n  z: *y\nall:\n  <<: [*base]\n"
    )
    base = {"x": 1, "y": [2]}

    assert [{"base": base, "use": {"x": 3, "y": [2], "z": [2]}, "all": base}] == plain(text)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 3),
        (("first",), 3),
        (("list",), 4),
        (("list", 0), 5),
        (("list", 1), 7),
        (("list", 1, "b"), 8),
    ],
)
def test_lines(path: tuple[str | int, ...], line: int) -> None:
    """A mapping's entry stands at its key, an item and a document where they begin."""
    text = "# comment\n\nfirst: 1\nlist:\n- 1\n\n- a: 1\n  b:\n    - 2\n"

    assert line == entry(text, *path).line


@pytest.mark.parametrize(
    ("text", "text_line", "is_verbatim"),
    [
        ("a: |-\n  x\n  y", 2, True),
        ("a: |\n\n  x", 2, True),
        ("a: >\n  x\n  y", 2, False),
        ('a:\n\n  "x\n\n  y"', 3, False),
        ("a: x", 1, False),
        ('{"a":\n"x\\ny"}', 2, False),
    ],
)
def test_text_line(text: str, text_line: int, is_verbatim: bool) -> None:
    """Only in a block of kind ``|`` are the lines of a text lines of the file."""
    node = entry(text, "a")

    assert (text_line, is_verbatim) == (node.text_line, node.is_verbatim)


def test_documents() -> None:
    """Empty documents are null, comments are no document, a byte order mark is no character."""
    assert plain("") == []
    assert plain("# nothing\n\n") == []
    assert plain("---\n---\na: 1") == [None, {"a": 1}]
    assert plain("\ufeffa: 1") == [{"a": 1}]


@pytest.mark.parametrize(
    "text",
    [
        '{\n\t"a": [1,\t{"b": null}],\n\t"c": "\\u00e9\\/\\n"\n}',
        '{"emoji": "\\ud83d\\ude00", "n": [-1, 2.5, 1e2, true, false, null, {}, []]}',
        '{"' + "k" * 2000 + '": 1}',
        '["\x7f"]',
    ],
)
def test_json(text: str) -> None:
    """Legal JSON is read even where YAML refuses it."""
    assert [json.loads(text)] == plain(text)


def test_json_lines() -> None:
    """JSON that YAML refuses keeps its lines."""
    text = '{\n\t"a": "\\ud83d\\ude00",\n\t"b": [\n\t\t1,\n\t\t2\n\t]\n}'

    assert [entry(text, *path).line for path in (("a",), ("b",), ("b", 1))] == [2, 3, 5]


@example("\x85", None, False)
@example("a\u2028b", None, False)
@given(JSON, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_any_json(value: object, indent: int | str | None, is_ascii: bool) -> None:
    """Every JSON object comes out as it went in."""
    text = json.dumps({"value": value}, indent=indent, ensure_ascii=is_ascii)

    assert [{"value": value}] == plain(text)


@given(st.text() | st.text(alphabet="ab:-?&*<[]{}!|>'\"#%,\n\t ~1.e_0x@`\ufeff\u2028\x85\ud800"))
def test_any_text(text: str) -> None:
    """A text is JSON values or a TextError of one line, and no other exception."""
    try:
        found, error = plain(text), None
    except TextError as caught:
        found, error = [], caught

    json.dumps(found, allow_nan=False).encode()
    assert error is None or len(str(error).splitlines()) == 1
    assert error is None or 1 <= error.line <= len(text) + 1
