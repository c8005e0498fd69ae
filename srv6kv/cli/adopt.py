"""``srv6kv adopt``: take over what another renderer has left in etcd."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from srv6kv.cli import terminal
from srv6kv.cli.options import etcd_options, output_option, seen_options, store_of

if TYPE_CHECKING:
    from srv6kv.etcd.values import Snapshot
    from srv6kv.oneshot.adopt import Adoption
    from srv6kv.sync.reconciler import Reconciler


@click.command("adopt")
@click.option(
    "--from", "origin", type=click.Choice(["contiv"]), required=True, help="Who wrote the keys."
)
@seen_options
@etcd_options
@click.option("--dry-run", is_flag=True, help="Write nothing.")
@click.option(
    "--loopbacks",
    is_flag=True,
    help="Also take service addresses off the pods' loopbacks, which are the CNI's keys.",
)
@output_option("text", "json", "txn", more="txn prints the transactions as a recording.")
def command(origin: str, output: str, **options: Any) -> None:
    """Bring the keys that Contiv's renderer wrote for a node to what 'srv6kv run' desires.

    Same keys, BSIDs and values stay as they are; Contiv's rule chains give way to ours pod by pod.
    Nothing is written while another process writes for the label, or if an endpoint that Contiv
    serves would be lost because its attachment is unknown (exit code 1). All steps of a migration:
    docs/migration-from-contiv.md.

    \b
    Example:
      srv6kv adopt --from contiv -f examples/seed/manifests --config examples/seed/contiv.conf \\
        --node node1 --etcd 127.0.0.1:2379 --dry-run
    """
    from srv6kv.cli import cluster

    assert origin == "contiv"
    files = cluster.read(options)
    terminal.warn(files.notes)
    if files.has_bad_input:
        terminal.warn(sorted(files.reconciler.notes()))
        terminal.say("srv6kv: nothing is adopted while an object cannot be read", err=True)
        terminal.end(is_bad_input=True)
    found = _adopt(files.reconciler, options)
    _print(found, output, dry_run=options["dry_run"])
    _say(found, files.reconciler, strips_loopbacks=options["loopbacks"])
    terminal.end(is_negative=bool(found.lost))


def _adopt(reconciler: Reconciler, options: dict[str, Any]) -> Adoption:
    from srv6kv.oneshot import adopt, writing

    dry_run, strips_loopbacks = options["dry_run"], options["loopbacks"]

    def make(snapshot: Snapshot) -> Adoption:
        reconciler.set_limits(store.limits)
        found = adopt.adopt(reconciler, snapshot.entries, strips_loopbacks=strips_loopbacks)
        if found.lost and not dry_run:
            raise adopt.EndpointsLost(found)
        return found

    try:
        with closing(store_of(options)) as store:
            label = options["label"] or options["node"]
            return writing.write(store, label, reconciler.prefixes, make, is_dry_run=dry_run)
    except adopt.EndpointsLost as error:
        _say(error.adoption, reconciler, strips_loopbacks=strips_loopbacks)
        raise


def _say(found: Adoption, reconciler: Reconciler, *, strips_loopbacks: bool) -> None:
    """What the operator should know beside the keys."""
    terminal.warn(sorted(reconciler.notes()))
    for text in found.lost:
        terminal.say(f"lost: {text}", err=True)
    if found.loopbacks and not strips_loopbacks:
        text = "hold service addresses: these pods answer their own calls themselves (--loopbacks)"
        terminal.say(f"warning: {len(found.loopbacks)} loopbacks of pods {text}", err=True)


def _print(found: Adoption, output: str, *, dry_run: bool) -> None:
    from srv6kv.cli import output as printer

    if output == "txn":
        terminal.show(printer.transactions_text(found.plan.transactions))
        return
    parts = {name: getattr(found, name) for name in ("kept", "changed", "added", "removed")}
    if output == "json":
        transactions = printer.transactions_json(found.plan.transactions)
        more = {"loopbacks": found.loopbacks, "lost": found.lost, "dry_run": dry_run}
        terminal.show_json({**parts, **more, "transactions": transactions})
        return
    for name, listed in parts.items():
        for key in listed:
            terminal.say(f"{name:8} {key}")
    counts = ", ".join(f"{len(listed)} {name}" for name, listed in parts.items())
    terminal.say(f"{'would be: ' if dry_run else ''}{counts}")
