"""The table of end functions is that of the agent's model."""

from __future__ import annotations

import pytest

from srv6kv.gen.ligato.vpp.srv6 import srv6_pb2
from srv6kv.ligato import keys, parts
from srv6kv.ligato.endfunctions import END_FUNCTIONS
from srv6kv.ligato.values import LocalSid

MODEL = {field.name: field for field in srv6_pb2.LocalSID.DESCRIPTOR.oneofs[0].fields}
SID = keys.localsid("6666::5")


def test_every_end_function_of_the_agent_has_a_row() -> None:
    """Nor is there a row that the agent does not know."""
    assert END_FUNCTIONS.keys() == MODEL.keys()


@pytest.mark.parametrize("field", END_FUNCTIONS)
def test_what_it_needs_is_a_field_of_it(field: str) -> None:
    """In the names of the agent's model."""
    assert set(END_FUNCTIONS[field].needs) <= set(MODEL[field].message_type.fields_by_name)


def test_what_srv6kv_writes_has_a_row() -> None:
    """Each end function that a typed localsid can have is in the table."""
    written = {name for name in LocalSid.__struct_fields__ if "end_function" in name}

    assert written <= END_FUNCTIONS.keys()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "end_function: 0 are set, not one"),
        ({"end_function_x": {}, "end_function_t": {}}, "end_function: 2 are set, not one"),
        ({"end_function_zz": {}}, "end_function_zz: not an end function"),
    ],
)
def test_refused(fields: dict[str, dict[str, str]], reason: str) -> None:
    """A localsid has exactly one, and that is known."""
    with pytest.raises(ValueError, match=reason):
        parts.end_function(SID, {"sid": "6666::5", **fields})
