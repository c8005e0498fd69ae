"""``srv6kv get``: what etcd holds for a node, for reading."""

from __future__ import annotations

from typing import Any

import click

from srv6kv.cli import terminal
from srv6kv.cli.options import (
    agent_rest_option,
    etcd_options,
    output_option,
    required_label,
    rest_of,
    store_of,
)
from srv6kv.ligato import keys

KINDS = {
    "services": "",
    "policies": keys.POLICY,
    "localsids": keys.LOCALSID,
    "steerings": keys.STEERING,
}
"""Each with what its keys begin with."""


@click.command("get")
@click.argument("kind", type=click.Choice([*KINDS]))
@required_label()
@agent_rest_option
@etcd_options
@output_option("table", "json", "vpp", more="vpp prints as VPP's 'show sr ...' does.")
def command(kind: str, label: str, output: str, agent_rest: str | None, **etcd: Any) -> None:
    """Show the services, policies, localsids or steerings that etcd holds for an agent.

    With --agent-rest, or where the agent publishes them in etcd, its states are shown beside them:
    CONFIGURED, PENDING, FAILED, ..., or unknown.

    \b
    Example:
      srv6kv get policies --label node1 --etcd 127.0.0.1:2379 -o vpp
    """
    from srv6kv.cli import output as printer
    from srv6kv.offline import states as reported
    from srv6kv.show import services, tables
    from srv6kv.vpp import showsr

    prefix = keys.agent_prefix(label)
    store, rest = store_of(etcd), rest_of(agent_rest)
    srv6 = [prefix + "config/vpp/srv6/v2/"]
    entries, states = reported.read(store, srv6, prefix, rest, terminal.warn)
    values = printer.readable({item.key.removeprefix(prefix): item.value for item in entries})
    listed = services.services_of(values, states)
    chosen = {k: v for k, v in values.items() if k.startswith(KINDS[kind])}
    if output == "json":
        found = listed if kind == "services" else services.with_states(chosen, states)
        terminal.show_json(found)
    elif output == "vpp":
        shows = {
            "services": (showsr.show_steerings, showsr.show_policies),
            "policies": (showsr.show_policies,),
            "localsids": (showsr.show_localsids,),
            "steerings": (showsr.show_steerings,),
        }[kind]
        fit = printer.fit_for(shows, values)
        terminal.show("\n".join(show(fit) for show in shows))
    elif kind == "services":
        terminal.show_tables([services.services_table(listed)])
    else:
        terminal.show_tables(tables.render_tables(chosen, states))
