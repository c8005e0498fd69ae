"""The agent's values as tables for a terminal of 100 columns, or for a pipe.

Rule: no address is ever cut: columns of addresses do not wrap, long names fold. Cells are plain
text, never markup: rich would swallow ``[fd00::5]``. Rich is imported only when a table is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from srv6kv.foreign import visible
from srv6kv.ligato import keys, parts
from srv6kv.ligato.endfunctions import EndFunction
from srv6kv.ligato.parts import Json, Values
from srv6kv.verify import agentstate
from srv6kv.verify.agentstate import States

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from srv6kv.doctor.findings import Finding
    from srv6kv.verify.differences import Difference

_SHOWN = (
    keys.VRF_TABLE,
    keys.LOCALSID,
    keys.POLICY,
    keys.STEERING,
    keys.ROUTE,
    keys.RULE_CHAIN,
)

Row = Sequence[str]
Say = Callable[[str, Json], Row]


def render_tables(values: Values, states: States | None = None) -> list[Table]:
    """One table for each kind that occurs; keys of other kinds are named in a last one.

    Localsids, policies and steerings have their states beside them if the agent tells any.
    """
    others = [(key,) for key in sorted(values) if not key.startswith(_SHOWN)]
    said = () if states is None else ("State",)

    def say(key: str, value: Json) -> Row:
        return () if states is None else (agentstate.text_of(states.get(key), value),)

    tables = [
        _table("Localsids", ("SID", "VRF", "Function", "Target", *said), _localsids(values, say)),
        _table("Policies", ("BSID", "Weight", "Segments", *said), _policies(values, say)),
        _table("Steerings", ("Service", "Prefix", "VRF", "BSID", *said), _steerings(values, say)),
        _table("Routes", ("VRF", "Destination", "Via"), _routes(values)),
        _table("VRF tables", ("VRF", "Protocol", "Label"), _vrf_tables(values)),
        _table("Rule chains", ("Chain", "Place", "Rules"), _chains(values)),
        _table("Other keys", ("Key",), others),
    ]
    return [table for table in tables if table.row_count]


_ADDRESSES = {"SID", "BSID", "Prefix", "Destination"}
_NUMBERS = {"VRF", "Weight"}
_WIDEST = {"Chain": 24, "Place": 20}  # leaves room for a whole address in a rule


def _table(title: str, columns: Row, rows: Iterable[Row]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for name in columns:
        table.add_column(
            name,
            justify="right" if name in _NUMBERS else "left",
            no_wrap=name in _ADDRESSES | _NUMBERS,
            max_width=_WIDEST.get(name),
            overflow="fold",
        )
    return _filled(table, rows)


def findings_table(found: Iterable[Finding]) -> Table:
    """Return a table of what ``doctor`` has found."""
    rows = ((item.check, item.verdict, item.found, item.remedy) for item in found)
    columns = ("check", "verdict", "found", "remedy")
    return framed_table("Doctor", columns, rows, whole=("check", "verdict"))


def differences_table(found: Iterable[Difference]) -> Table:
    """Return a table of what ``verify`` has found."""
    rows = (
        (
            item.subject.removeprefix("config/vpp/srv6/v2/"),
            item.where,
            f"{item.reason}: {item.what}",
            item.cause,
            item.remedy.text,
        )
        for item in found
    )
    columns = ("object", "where", "difference", "likely cause", "remedy")
    return framed_table("Differences", columns, rows, columns[1:2], show_lines=True)


def framed_table(
    title: str,
    columns: Iterable[str],
    rows: Iterable[Row],
    whole: Sequence[str] = (),
    *,
    show_lines: bool = False,
) -> Table:
    """Return a table with a frame, whose cells fold but for those of the columns ``whole``."""
    from rich.table import Table

    table = Table(title=_cells((title,))[0], title_justify="left", show_lines=show_lines)
    for name in columns:
        table.add_column(name, overflow="fold", no_wrap=name in whole)
    return _filled(table, rows)


def _filled(table: Table, rows: Iterable[Row]) -> Table:
    for row in rows:
        table.add_row(*_cells(row))
    return table


def _cells(row: Iterable[str]) -> list[Text]:
    """The cells of a row, in which everything can be seen and nothing is markup."""
    from rich.text import Text

    return [Text(visible.block(cell)) for cell in row]


def _localsids(values: Values, say: Say) -> Iterable[Row]:
    for key, value in parts.localsids(values):
        kind, function = parts.end_function(key, value)
        label = kind.title
        if function.get("psp"):
            label += " PSP"
        vrf = str(value.get("installation_vrf_id", 0))
        yield value.get("sid", ""), vrf, label, _target(kind, function), *say(key, value)


def _target(kind: EndFunction, function: Json) -> str:
    """Where the packet goes; an interface name has a line of its own, it may be long."""
    if kind.looks_up:
        return f"VRF {function.get('vrf_id', 0)}"
    fields = ("next_hop", "l3_service_address", "outgoing_interface", "incoming_interface")
    return "\n".join(function[field] for field in fields if function.get(field))


def _policies(values: Values, say: Say) -> Iterable[Row]:
    for key, value in parts.policies(values):
        bsid, state = value.get("bsid", ""), say(key, value)
        for item in value.get("segment_lists", ()):
            yield bsid, str(item.get("weight", 0)), " ".join(item.get("segments", ())), *state
            bsid, state = "", ("",) * len(state)
        if bsid:
            yield bsid, "", "", *state


def _steerings(values: Values, say: Say) -> Iterable[Row]:
    for key, value in parts.steerings(values):
        service = value.get("name", "").removeprefix(keys.SERVICE_STEERING)
        traffic = value.get("l3_traffic", {})
        prefix = traffic.get("prefix_address") or value.get("l2_traffic", {}).get(
            "interface_name", ""
        )
        vrf = str(traffic.get("installation_vrf_id", 0)) if traffic else ""
        bsid = value.get("policy_bsid") or f"policy {value.get('policy_index', 0)}"
        yield service, prefix, vrf, bsid, *say(key, value)


def _routes(values: Values) -> Iterable[Row]:
    for _, value in parts.routes(values):
        match value.get("type"):
            case "INTER_VRF":
                via = f"VRF {value.get('via_vrf_id', 0)}"
            case "DROP":
                via = "drop"
            case _:
                hop = (value.get("next_hop_addr", ""), value.get("outgoing_interface", ""))
                via = " ".join(filter(None, hop))
        yield str(value.get("vrf_id", 0)), value.get("dst_network", ""), via


def _vrf_tables(values: Values) -> Iterable[Row]:
    for _, value in parts.vrf_tables(values):
        yield str(value.get("id", 0)), value.get("protocol", "IPV4"), value.get("label", "")


def _chains(values: Values) -> Iterable[Row]:
    for key, value in sorted(parts.below(keys.RULE_CHAIN, values)):
        chain = value.get("chain_type") or value.get("chain_name", "CUSTOM")
        table = f"{value.get('table', 'FILTER')} {chain}"
        place = f"{table}\n{value.get('namespace', {}).get('reference', '')}".rstrip()
        rules = "\n".join(value.get("rules", ()))
        yield value.get("name") or key.removeprefix(keys.RULE_CHAIN), place, rules
