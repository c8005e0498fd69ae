"""Access to the fields of values, for VPP's commands and for tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address, ip_network
from typing import Any

from srv6kv.ligato import keys
from srv6kv.ligato.endfunctions import END_FUNCTIONS, EndFunction, is_end_function

Json = Mapping[str, Any]
Values = Mapping[str, Json]
_CAMEL = re.compile(r"(?<=[a-z0-9])([A-Z])")


def snake_case(value: Any) -> Any:
    """A value with proto field names: the agent reads lowerCamel too (agent rule A31)."""
    if isinstance(value, dict):
        return {_CAMEL.sub(r"_\1", k).lower(): snake_case(item) for k, item in value.items()}
    return [snake_case(item) for item in value] if isinstance(value, list) else value


def below(prefix: str, values: Values) -> Iterator[tuple[str, Json]]:
    """The values of one kind with their keys."""
    return ((key, value) for key, value in values.items() if key.startswith(prefix))


def localsids(values: Values) -> list[tuple[str, Json]]:
    """All localsids in the order of their addresses."""
    return _ordered(keys.LOCALSID, values, lambda one: address_order(one.get("sid", "")))


def policies(values: Values) -> list[tuple[str, Json]]:
    """All policies in the order of their BSIDs."""
    return _ordered(keys.POLICY, values, lambda one: address_order(one.get("bsid", "")))


def steerings(values: Values) -> list[tuple[str, Json]]:
    """All steerings in the order of the prefixes, then VRFs; those of interfaces come last."""

    def order(value: Json) -> tuple[Any, ...]:
        traffic = value.get("l3_traffic", {})
        prefix = prefix_order(traffic.get("prefix_address", ""))
        return prefix, traffic.get("installation_vrf_id", 0)

    return _ordered(keys.STEERING, values, order)


def routes(values: Values) -> list[tuple[str, Json]]:
    """All routes in the order of their VRFs, then networks."""
    return _ordered(
        keys.ROUTE,
        values,
        lambda one: (one.get("vrf_id", 0), prefix_order(one.get("dst_network", ""))),
    )


def vrf_tables(values: Values) -> list[tuple[str, Json]]:
    """All VRF tables in the order of family and id."""
    return _ordered(
        keys.VRF_TABLE, values, lambda one: (one.get("protocol", "IPV4"), one.get("id", 0))
    )


def _ordered(
    prefix: str, values: Values, order: Callable[[Json], tuple[Any, ...]]
) -> list[tuple[str, Json]]:
    return sorted(below(prefix, values), key=lambda item: (order(item[1]), item[0]))


def address_order(text: str) -> tuple[int, int, str]:
    """Sorts by number, IPv4 first; what is no address comes last, as text."""
    try:
        address = ip_address(text)
    except ValueError:
        return 9, 0, text
    return address.version, int(address), ""


def prefix_order(text: str) -> tuple[int, int, str, int]:
    """Sorts by network, then length; what is no prefix comes last, as text."""
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return 9, 0, text, 0
    return network.version, int(network.network_address), "", network.prefixlen


def end_function(key: str, localsid: Json) -> tuple[EndFunction, Json]:
    """The end function of a localsid, and its fields; ValueError if not one known one is set."""
    found = [name for name in localsid if is_end_function(name)]
    if len(found) != 1:
        raise ValueError(f"{key}: end_function: {len(found)} are set, not one")
    if found[0] not in END_FUNCTIONS:
        raise ValueError(f"{key}: {found[0]}: not an end function")
    return END_FUNCTIONS[found[0]], localsid[found[0]]


def text_of(key: str, value: Json, *path: str) -> str:
    """A field that has to be there; ValueError if it is empty or absent."""
    found: Any = value
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    if not found:
        raise ValueError(f"{key}: {'.'.join(path)}: missing")
    return str(found)
