"""The steered services of a node, as plain values and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from srv6kv.ligato import keys
from srv6kv.show.tables import framed_table
from srv6kv.verify import agentstate
from srv6kv.verify.agentstate import States

if TYPE_CHECKING:
    from rich.table import Table


def with_states(values: Mapping[str, Any], states: States | None) -> list[dict[str, Any]]:
    """Return the values, with what the agent reports of each if it reports anything."""
    if states is None:
        return list(values.values())
    return [value | agentstate.plain_of(states.get(key)) for key, value in values.items()]


def services_of(values: Mapping[str, Any], states: States | None = None) -> list[dict[str, Any]]:
    """Return the steerings of services with the segment lists of their SR policies, and the state
    of both if the agent reports any."""
    services = []
    for key, steering in sorted(values.items()):
        name = key.removeprefix(keys.STEERING + keys.SERVICE_STEERING)
        if name == key or "l3_traffic" not in steering:
            continue
        bsid = steering.get("policy_bsid", "")
        policy = values.get(keys.policy(bsid), {})
        status: dict[str, Any] = {}
        if states is not None:
            both = (states.get(key), states.get(keys.policy(bsid)))
            status = agentstate.plain_of(agentstate.worse_of(*both))
        services.append(
            {
                "name": name,
                "prefix": steering["l3_traffic"].get("prefix_address", ""),
                "vrf": steering["l3_traffic"].get("installation_vrf_id", 0),
                "bsid": bsid,
                "segment_lists": policy.get("segment_lists", []),
                **status,
            }
        )
    return services


def services_table(services: Sequence[Mapping[str, Any]]) -> Table:
    """Return a rich table of services and the paths to their endpoints."""
    state = ("state",) if any("state" in item for item in services) else ()
    columns = ("steering", "prefix", "VRF", "BSID", "segment lists (weight)", *state)
    return framed_table("Services", columns, map(_row, services))


def _row(item: Mapping[str, Any]) -> tuple[str, ...]:
    paths = "\n".join(
        f"{' > '.join(entry.get('segments', []))} ({entry.get('weight', 0)})"
        for entry in item["segment_lists"]
    )
    row = (item["name"], item["prefix"], str(item["vrf"]), item["bsid"], paths or "none")
    if "state" not in item:
        return row
    why = item.get("error") or ", ".join(item.get("details", ()))
    return (*row, f"{item['state']}: {why}" if why else item["state"])
