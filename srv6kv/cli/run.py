"""``srv6kv run``: the sidecar."""

from __future__ import annotations

import logging
import signal
from pathlib import Path
from typing import Any

import click

from srv6kv.cli.options import PATH, config_option, etcd_options, identity, node_options, store_of


@click.command("run")
@click.option(
    "--manifests",
    type=PATH,
    required=True,
    help="Directory with *.yaml, *.yml and *.json manifests, watched for changes.",
)
@node_options
@config_option
@etcd_options
@click.option("--record", type=PATH, help="Append every committed transaction to this file.")
@click.option("--once", is_flag=True, help="End as soon as etcd is in step with the cluster.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="debug prints every key and value as the agent logs them.",
)
def command(
    manifests: Path,
    node: str,
    label: str | None,
    config: Path | None,
    record: Path | None,
    once: bool,
    log_level: str,
    **etcd: Any,
) -> None:
    """Keep the agent's keys in etcd in step with the cluster, until SIGTERM.

    Waits for etcd if it is away, and stands by while another process writes for the label.

    \b
    Example:
      srv6kv run --manifests examples/seed/manifests --config examples/seed/contiv.conf \\
        --node node1 --etcd 127.0.0.1:2379 --record /tmp/node1.txn
    """
    from srv6kv.cli import cluster
    from srv6kv.controller import Controller
    from srv6kv.kube.manifests import read
    from srv6kv.reconciler import Reconciler
    from srv6kv.recorder import Recorder
    from srv6kv.source import ManifestSource

    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(message)s")
    settings = cluster.settings_of(config, read([manifests])[0] if manifests.is_dir() else ())
    controller = Controller(
        store=store_of(etcd),
        reconciler=Reconciler(settings, node, label or node, _boot_id()),
        source=ManifestSource(manifests),
        label=label or node,
        identity=identity(),
        recorder=Recorder(record) if record else None,
        once=once,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: controller.stop())
    try:
        controller.run()
    finally:
        controller.close()


def _boot_id() -> str:
    """The kernel's boot id; the same in every container of the node."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
