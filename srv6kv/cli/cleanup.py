"""``srv6kv cleanup``: remove what is ours below a label."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from srv6kv.cli import terminal
from srv6kv.cli.options import PATH, etcd_options, output_option, required_label, store_of

if TYPE_CHECKING:
    from srv6kv.etcd.values import Snapshot
    from srv6kv.oneshot.cleanup import Removal
    from srv6kv.plan.ownership import Ranges


@click.command("cleanup")
@required_label(", also of a node that is gone")
@click.option(
    "--config", type=PATH, help="contiv.conf: its ranges count too, beside those noted in etcd."
)
@etcd_options
@click.option("--dry-run", is_flag=True, help="Print what would be deleted, and delete nothing.")
@output_option("text", "json")
def command(label: str, config: Path | None, dry_run: bool, output: str, **etcd: Any) -> None:
    """Delete every key that srv6kv has written for an agent, and its own notes.

    Stop the sidecar first: while another process writes for the label, nothing is deleted and the
    exit code is 1. What is srv6kv's follows from its names and from the ranges that are noted in
    etcd. The attachments of pods and all other keys stay.

    \b
    Examples:
      srv6kv cleanup --label node1 --etcd 127.0.0.1:2379 --dry-run
      srv6kv cleanup --label node1 --etcd 127.0.0.1:2379
    """
    from srv6kv.ligato import keys
    from srv6kv.oneshot import writing
    from srv6kv.oneshot.cleanup import removal
    from srv6kv.plan import ownership

    today = _today(config)
    prefixes = (keys.agent_prefix(label) + keys.CONFIG, ownership.own_prefix(label))

    def make(snapshot: Snapshot) -> Removal:
        return removal(label, snapshot.entries, today, store.limits)

    with closing(store_of(etcd)) as store:
        found = writing.write(store, label, prefixes, make, is_dry_run=dry_run)
    _print(found, keys.agent_prefix(label), output, dry_run=dry_run)


def _today(config: Path | None) -> Ranges:
    """The ranges of the settings, if any are named."""
    from srv6kv.cli import cluster
    from srv6kv.plan.ownership import Ranges, ranges_of
    from srv6kv.render.node import drop_routes

    if config is None:
        return Ranges()
    settings = cluster.settings_of(config)
    return ranges_of(settings, tuple(route.key for route in drop_routes(settings)))


def _print(found: Removal, prefix: str, output: str, *, dry_run: bool) -> None:
    if output == "json":
        ledger = [operation.key for operation in found.notes]
        more = {"kept": found.kept, "dry_run": dry_run}
        terminal.show_json({"deleted": found.keys, "ledger": ledger, **more})
        return
    if dry_run:
        for key in found.keys:
            terminal.say(key)
    for key, user in found.kept.items():
        terminal.say(f"warning: {prefix}{key} stays, {user} needs it", err=True)
    verb = "would be deleted" if dry_run else "deleted"
    terminal.say(f"{len(found.keys)} keys {verb}, and {len(found.notes)} notes of srv6kv's own")
