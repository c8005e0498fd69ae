"""``srv6kv render``: the whole core, offline."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from srv6kv.cli import terminal
from srv6kv.cli.options import (
    PATH,
    agent_api_option,
    agent_state_option,
    config_option,
    manifests_option,
    node_options,
    output_option,
)


@click.command("render")
@manifests_option(is_required=True)
@node_options
@config_option
@agent_state_option
@output_option("jsonl", "json", "log", "txn", "vpp", "table")
@agent_api_option
@click.option(
    "--interfaces", type=PATH, help="For -o vpp: JSON object of logical to VPP interface names."
)
def command(
    paths: tuple[Path, ...],
    node: str,
    label: str | None,
    config: Path | None,
    agent_state: Path | None,
    output: str,
    agent_api: Literal["v2", "v3"],
    interfaces: Path | None,
) -> None:
    """Print the keys and values that a node should have. Warnings go to standard error.

    \b
    jsonl  one {"key":...,"value":...} a line, sorted by key
    json   one object with keys and warnings
    log    as the agent logs them      txn    as a recording
    vpp    as VPP CLI commands         table  for reading

    \b
    Example:
      srv6kv render -f examples/seed/manifests --config examples/seed/contiv.conf \\
        --node node1 --agent-state examples/seed/agent-state-node1.json -o table
    """
    from srv6kv.cli import cluster
    from srv6kv.cli import output as printer
    from srv6kv.offline import reading

    files = cluster.read_files(paths, config, node, label)
    reconciler = files.reconciler
    reconciler.reset(reading.read_agent_state(agent_state, reconciler.prefix))
    plan = reconciler.plan()
    notes = files.all_notes()
    names = reading.read_json(interfaces, dict[str, str]) if interfaces else {}
    printer.print_plan(plan, notes, output, agent_api, names)
    terminal.warn(() if output == "json" else notes)
    terminal.end(is_bad_input=files.has_bad_input)
