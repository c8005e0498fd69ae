"""JSON that nests too deep is cut to what a decoder takes; all else stays as it is."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from srv6kv.kube.shallow import shallow

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('{}[]"\\x', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('{"\\', max_size=3), inner),
    max_leaves=20,
)


def cut(value: Any, most: int) -> Any:
    """The value without what nests deeper."""
    if not isinstance(value, dict | list):
        return value
    if most == 0:
        return None
    if isinstance(value, list):
        return [cut(item, most - 1) for item in value]
    return {key: cut(item, most - 1) for key, item in value.items()}


@given(VALUES, st.integers(1, 4))
def test_what_nests_deeper_is_null(value: Any, most: int) -> None:
    """Brackets and quotes in texts are no structure."""
    assert json.loads(shallow(json.dumps(value).encode(), most)) == cut(value, most)


def test_depth_costs_no_recursion() -> None:
    """A hundred thousand levels are one null."""
    deep = b"[" * 100_000 + b"]" * 100_000

    assert json.loads(shallow(b'{"a":' + deep + b',"b":1}', 1)) == {"a": None, "b": 1}


def test_what_is_no_json_stays_none() -> None:
    """What is cut off or closed too often is not made right."""
    for text in (b"[[[[", b"]]]]", b'{"a":"', b""):
        assert shallow(text, 2) == text
