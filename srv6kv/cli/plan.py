"""``srv6kv plan``: what ``run`` would write now."""

from __future__ import annotations

from typing import Any

import click

from srv6kv.cli.options import (
    agent_rest_option,
    etcd_options,
    output_option,
    read_etcd,
    rest_of,
    seen_options,
)


@click.command("plan")
@seen_options
@agent_rest_option
@etcd_options
@output_option("txn", "json")
@click.option("--check", is_flag=True, help="Exit with 1 if there is anything to write.")
def command(agent_rest: str | None, output: str, check: bool, **options: Any) -> None:
    """Print the transactions that would bring etcd in sync with the cluster. Writes nothing.

    With --agent-rest the agent gives the attachment of pods of which etcd has no keys. If the
    mass-delete guard of run would hold the plan, a warning says so, and the exit code is 1.

    \b
    Example:
      srv6kv plan --manifests examples/seed/manifests --config examples/seed/contiv.conf \\
        --node node1 --etcd 127.0.0.1:2379
    """
    from srv6kv.cli import cluster
    from srv6kv.offline import states

    files = cluster.read(options)
    reconciler = files.reconciler
    states.add_attachments(reconciler.cluster, rest_of(agent_rest))
    reconciler.reset(read_etcd(options, reconciler.prefixes))
    cluster.report(files, output, is_question=check, is_guarded=True)
