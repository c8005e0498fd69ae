"""The end functions of localsids, a row each.

Rule: everything that depends on the end function of a localsid reads this table. One more takes one
row to be read, shown and compared, and a field of ``values.LocalSid`` to be written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_FIELD = "end_function_"
_BASE = "base_end_function"


@dataclass(frozen=True, slots=True)
class EndFunction:
    """One end function.

    Attributes:
        field: the field of the agent's localsid, in the spelling of agents 3.x.
        shown: how VPP prints it; the first word is its keyword.
        needs: the fields that say where it sends packets to, in the order of VPP's arguments.
        inner: the family of the packet that is left after decapsulation; "" without that.
    """

    field: str
    shown: str
    needs: tuple[str, ...] = ()
    inner: Literal["IPV4", "IPV6", ""] = ""

    @property
    def keyword(self) -> str:
        """VPP's word: ``End``, ``DX6``, ``End.AD``."""
        return self.shown.partition(" ")[0]

    @property
    def title(self) -> str:
        """The name that RFC 8986 gives it: ``End``, ``End.DX6``."""
        return "End" if self.field == _BASE else f"End.{self.field.removeprefix(_FIELD).upper()}"

    @property
    def v2_field(self) -> str:
        """The field in the spelling of agents 2.x."""
        return (
            self.field if self.field == _BASE else _FIELD + self.field.removeprefix(_FIELD).upper()
        )

    @property
    def is_plugin(self) -> bool:
        """Whether a plugin of VPP provides it, with arguments and output of its own."""
        return "." in self.keyword

    @property
    def looks_up(self) -> bool:
        """Whether it looks a packet up in a table."""
        return "vrf_id" in self.needs


_HOP = ("outgoing_interface", "next_hop")
_TABLE = ("vrf_id",)
_PROXY = ("l3_service_address", "outgoing_interface", "incoming_interface")
_DECAP = "Endpoint with decapsulation and"
_ROWS = (
    EndFunction(_BASE, "End"),
    EndFunction("end_function_x", "X (Endpoint with Layer-3 cross-connect)", _HOP),
    EndFunction("end_function_t", "T (Endpoint with specific IPv6 table lookup)", _TABLE),
    # VPP spells it so.
    EndFunction(
        "end_function_dx2", "DX2 (Endpoint with decapulation and Layer-2 cross-connect)", _HOP[:1]
    ),
    EndFunction("end_function_dx4", f"DX4 ({_DECAP} IPv4 cross-connect)", _HOP, "IPV4"),
    EndFunction("end_function_dx6", f"DX6 ({_DECAP} IPv6 cross-connect)", _HOP, "IPV6"),
    EndFunction("end_function_dt4", f"DT4 ({_DECAP} specific IPv4 table lookup)", _TABLE, "IPV4"),
    EndFunction("end_function_dt6", f"DT6 ({_DECAP} specific IPv6 table lookup)", _TABLE, "IPV6"),
    EndFunction(
        "end_function_ad", "End.AD (Endpoint with dynamic proxy to SR-unaware appliance)", _PROXY
    ),
)
END_FUNCTIONS = {row.field: row for row in _ROWS}
"""By field."""


def is_end_function(field: str) -> bool:
    """Whether a field of a localsid is an end function, known or not."""
    return field == _BASE or field.startswith(_FIELD)
