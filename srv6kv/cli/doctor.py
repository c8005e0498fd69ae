"""``srv6kv doctor``: whether all is there that srv6kv needs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from srv6kv.cli import terminal
from srv6kv.cli.options import (
    LOCAL_ETCD,
    agent_rest_option,
    agent_state_option,
    optional_etcd_options,
    output_option,
    refuse_two_sources,
    rest_of,
    seen_options,
    store_of,
)

if TYPE_CHECKING:
    from srv6kv.doctor.findings import Finding
    from srv6kv.doctor.live import Live
    from srv6kv.sync.reconciler import Reconciler


@click.command("doctor")
@seen_options
@agent_state_option
@agent_rest_option
@optional_etcd_options
@output_option("table", "json")
def command(agent_state: Path | None, agent_rest: str | None, output: str, **options: Any) -> None:
    """Check what srv6kv needs of settings, cluster, CNI and etcd. Writes nothing.

    Each check is ok, a warning, an error, or not checked; docs/cni-contract.md tells what is
    expected. Without --agent-state the keys come from etcd (127.0.0.1:2379 unless --etcd says
    else). With --agent-rest those that the agent has from others than etcd count too, and the agent
    and VPP are asked: states, the pods' real MTU, encap source, flow hash. Exit code 1 if there is
    an error.

    \b
    Example:
      srv6kv doctor -f examples/seed/manifests --config examples/seed/contiv.conf \\
        --node node1 --agent-state examples/cni/ok.json
    """
    from srv6kv.cli import cluster
    from srv6kv.doctor import server
    from srv6kv.doctor.findings import ERROR, Finding
    from srv6kv.errors import SettingsError
    from srv6kv.offline import states

    refuse_two_sources(agent_state, options)
    try:
        files = cluster.read(options, needs_node=False)
    except SettingsError as error:
        _end([Finding("settings", ERROR, str(error), "docs/settings.md")], output)
        return
    rest = rest_of(agent_rest)
    states.add_attachments(files.reconciler.cluster, rest)
    answered = None if rest is None else server.ask_agent(rest)
    found = _findings(files.reconciler, agent_state, answered, options)
    terminal.warn([*files.notes, *sorted(files.reconciler.intake.notes())])
    _end(found, output, has_bad_input=files.has_bad_input)


def _findings(
    reconciler: Reconciler,
    agent_state: Path | None,
    answered: Live | None,
    options: dict[str, Any],
) -> list[Finding]:
    """What is found with the keys of a file, else with those of etcd."""
    from srv6kv import doctor
    from srv6kv.doctor import server
    from srv6kv.offline import reading

    if agent_state is not None:
        state = reading.read_agent_state(agent_state, reconciler.prefix)
        return [*doctor.examine_keys(reconciler, state, answered), *doctor.unasked()]
    label = options["label"] or options["node"]
    endpoints = options["endpoints"] or (LOCAL_ETCD,)
    with closing(store_of({**options, "endpoints": endpoints})) as store:
        return server.examine(store, reconciler, label, time.time(), answered)


def _end(found: Sequence[Finding], output: str, *, has_bad_input: bool = False) -> None:
    """Print the findings, and end with the exit code that they mean."""
    from srv6kv.doctor.findings import ERROR
    from srv6kv.show import tables

    is_well = all(item.verdict != ERROR for item in found)
    if output == "json":
        terminal.show_json({"checks": [asdict(item) for item in found], "ok": is_well})
    else:
        terminal.show_tables([tables.findings_table(found)])
    terminal.end(is_bad_input=has_bad_input, is_negative=not is_well)
