"""``srv6kv run``: the sidecar."""

from __future__ import annotations

import atexit
import os
import signal
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from srv6kv.cli.options import (
    PATH,
    agent_rest_option,
    api_of,
    config_option,
    etcd_options,
    kube_options,
    node_options,
    rest_of,
    store_of,
)
from srv6kv.errors import InputError, SettingsError
from srv6kv.etcd.lease import identity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from srv6kv.run.controller import Controller
    from srv6kv.sources.api import ApiServer
    from srv6kv.sources.manifests import RawObject
    from srv6kv.sources.source import Source

LATE_SECONDS = 1.6
"""Nothing is lost by an end within a plan: the writer key is released by then, and a transaction is
done or not."""


@click.command("run")
@click.option(
    "--manifests",
    type=PATH,
    help="Directory with *.yaml, *.yml and *.json manifests, or one file, watched for changes"
    " [default: the API server].",
)
@kube_options
@node_options
@config_option
@agent_rest_option
@etcd_options
@click.option("--record", type=PATH, help="Append every committed transaction to this file.")
@click.option("--once", is_flag=True, help="End as soon as etcd is in sync with the cluster.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="debug prints every key and value as the agent logs them.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="json prints one object a line: ts, level, msg, and the fields of a decision.",
)
@click.option(
    "--listen",
    default="127.0.0.1:10261",
    show_default=True,
    help="host:port for /livez, /readyz, /healthz, /statusz and /metrics; port 0 takes a free"
    " one, none (and --once) shows nothing.",
)
def command(
    manifests: Path | None,
    node: str,
    label: str | None,
    config: Path | None,
    record: Path | None,
    once: bool,
    log_level: str,
    log_format: str,
    listen: str,
    **servers: Any,
) -> None:
    """Keep the agent's keys in etcd in sync with the cluster, until SIGTERM.

    Waits for etcd or the API server if it is away, and is on standby while another process writes
    for the label. At --agent-rest the agent is asked for the states of its values, and for the
    attachments of pods of which etcd has no keys; without it at http://127.0.0.1:9191, if the
    label's agent answers there.

    \b
    Examples:
      srv6kv run --config contiv.conf --node node1 --etcd 127.0.0.1:2379
      srv6kv run --manifests examples/seed/manifests --config examples/seed/contiv.conf \\
        --node node1 --etcd 127.0.0.1:2379 --record node1.txn
    """
    from srv6kv.agent.rest import DEFAULT_URL
    from srv6kv.cli import cluster
    from srv6kv.offline import reading
    from srv6kv.run.controller import Controller
    from srv6kv.run.recorder import Recorder
    from srv6kv.sync.reconciler import Reconciler
    from srv6kv.telemetry import logs

    for number in (signal.SIGTERM, signal.SIGINT):  # the first process of a container dies of none
        signal.signal(number, lambda *_: os._exit(0))
    logs.start(log_level, log_format)
    objects, unread = _read(manifests)
    if unread is not None and once:
        raise unread
    api = api_of(servers) if manifests is None else None
    try:
        given = replace(cluster.given(config), warn=lambda said: logs.warn(list(map(str, said))))
        settings = reading.settings_of(given, objects, api.host if api else "")
    except SettingsError as error:
        raise SettingsError(f"{error}; {unread}" if unread is not None else str(error)) from None
    rest = servers["agent_rest"]
    controller = Controller(
        store=store_of(servers),
        reconciler=Reconciler(settings, node, label or node, _boot_id()),
        source=_source(manifests, api, node),
        label=label or node,
        identity=identity(),
        recorder=Recorder(record) if record else None,
        once=once,
        agent_rest=rest_of(rest or DEFAULT_URL),
        is_rest_optional=not rest,
    )
    if api is not None:
        from srv6kv.sources.events import NodeEvents

        events = NodeEvents(api, node)
        controller.progress.on_repair = lambda text: events.warn("Repaired", text)
    try:
        _run(controller, "none" if once else listen, node=node, label=controller.label)
    finally:
        controller.close()


def _read(manifests: Path | None) -> tuple[Sequence[RawObject], InputError | None]:
    """The objects in the manifests, for the settings among them, or why they cannot be read yet."""
    from srv6kv.sources.manifests import read

    if manifests is None:
        return (), None
    if os.path.exists(manifests) and not (os.path.isdir(manifests) or os.path.isfile(manifests)):
        return (), InputError(f"{manifests}: cannot be read: it is neither a directory nor a file")
    try:
        return read([manifests])[0], None
    except InputError as error:
        return (), error


def _run(controller: Controller, listen: str, **names: str) -> None:
    """Run the loop until a signal or until it is done, and serve its pages meanwhile."""
    from srv6kv.telemetry.web import Pages, serving

    def stop(_number: int, _frame: FrameType | None) -> None:
        controller.stop()
        if not signal.getitimer(signal.ITIMER_REAL)[0]:  # a second request does not extend the wait
            signal.setitimer(signal.ITIMER_REAL, LATE_SECONDS)

    signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
    # What Python still does after that is without handlers: the timer would end it with a signal.
    atexit.register(signal.setitimer, signal.ITIMER_REAL, 0)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    progress = controller.progress
    pages = Pages(lambda: progress.state, progress.telemetry.registry, **names)
    with serving(listen, pages) as address:
        progress.starts(**names, listen=address)
        controller.run()
    progress.ends()


def _source(manifests: Path | None, api: ApiServer | None, node: str) -> Source:
    """Where the cluster comes from; the API's library is loaded only if it is used."""
    if api is not None:
        from srv6kv.sources.apisource import KubernetesSource

        return KubernetesSource(api, node)
    from srv6kv.sources.source import ManifestSource

    assert manifests is not None
    return ManifestSource(manifests)


def _boot_id() -> str:
    """The kernel's boot id; the same in every container of the node."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
