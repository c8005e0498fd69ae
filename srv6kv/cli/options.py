"""Options that several commands share, and what they stand for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from srv6kv import foreign
from srv6kv.errors import InputError

if TYPE_CHECKING:
    from srv6kv.agent.rest import AgentRest
    from srv6kv.etcd.store import Etcd3Store
    from srv6kv.etcd.values import KeyValue
    from srv6kv.sources.api import ApiServer

Command = TypeVar("Command", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)


def config_option(command: Command) -> Command:
    """``--config``."""
    return click.option(
        "--config",
        type=PATH,
        help="contiv.conf, or manifests with the ConfigMap contiv-agent-cfg"
        " [default: $CONTIV_CONFIG, /etc/contiv/contiv.conf, the ConfigMap among the manifests].",
    )(command)


def node_options(command: Command) -> Command:
    """``--node`` and ``--label``."""
    command = click.option(
        "--label",
        envvar="MICROSERVICE_LABEL",
        callback=valid_name,
        help="Microservice label of the agent [default: $MICROSERVICE_LABEL, the node's name].",
    )(command)
    return click.option(
        "--node",
        required=True,
        envvar="NODE_NAME",
        callback=valid_name,
        help="Kubernetes name of the node.",
    )(command)


def label_option(command: Command, *, which: str = "") -> Command:
    """``--label``, where no node stands for it.

    Args:
        which: whose label it may be besides, for the help.
    """
    return click.option(
        "--label",
        required=True,
        envvar="MICROSERVICE_LABEL",
        callback=valid_name,
        help=f"Microservice label of the agent{which} [default: $MICROSERVICE_LABEL].",
    )(command)


def valid_name(_context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """What becomes a part of etcd's keys."""
    if value is None or (value == "" and not option.required):
        return None
    if not value or not value.isprintable() or set(value) & set(" /"):
        raise click.BadParameter(f"{value!r} is empty, or has a space, a slash or the like in it")
    return value


def manifests_option(command: Command, *, is_required: bool = False, default: str = "") -> Command:
    """Where manifests are read from: ``paths``.

    Args:
        default: what is taken without any, for the help.
    """
    more = f" [default: {default}]" if default else ""
    return click.option(
        "-f",
        "--filename",
        "--manifests",
        "paths",
        type=PATH,
        multiple=True,
        required=is_required,
        help=f"Manifests: a file, a directory, or - for standard input; repeatable{more}.",
    )(command)


def agent_state_option(command: Command) -> Command:
    """A file with the agent's keys: ``agent_state``."""
    return click.option(
        "--agent-state",
        type=PATH,
        help="JSON object of the keys that the agent has already (config/... to value).",
    )(command)


def agent_states_option(command: Command) -> Command:
    """Files with the keys of several agents: ``states``, which ``cluster.states_of`` reads."""
    return click.option(
        "--agent-state",
        "states",
        metavar="NODE=FILE",
        multiple=True,
        help="JSON object of the keys that a node's agent has already (config/... to value);"
        " without it the node's pods count as attached.",
    )(command)


def cluster_options(command: Command) -> Command:
    """The cluster, in manifests or from the API server; ``cluster.read_any`` reads it."""
    return manifests_option(kube_options(command), default="the API server")


def kube_options(command: Command) -> Command:
    """Which API server, and as whom; ``api_of`` connects to it."""
    command = click.option(
        "--kube-context", help="Context in the kubeconfig [default: its current one]."
    )(command)
    return click.option(
        "--kubeconfig",
        type=PATH,
        help="Credentials for the API server [default: the pod's service account, else $KUBECONFIG,"
        " else ~/.kube/config].",
    )(command)


def api_of(options: Mapping[str, Any]) -> ApiServer:
    """The API server for the options of ``kube_options``.

    Raises:
        InputError: there are no credentials for one.
    """
    from srv6kv.sources.api import ApiServer

    return ApiServer(options["kubeconfig"], options["kube_context"])


def etcd_options(command: Command, *, is_optional: bool = False) -> Command:
    """Where etcd is and how to talk to it; ``store_of`` makes a client of them.

    If it is optional, ``endpoints`` is empty unless etcd is asked for.
    """
    for option in (
        click.option("--etcd-password-file", type=PATH, help="File with the user's password."),
        click.option("--etcd-user", help="User for etcd."),
        click.option("--etcd-key", type=PATH, help="Private key of the client certificate."),
        click.option("--etcd-cert", type=PATH, help="Client certificate for etcd."),
        click.option("--etcd-ca", type=PATH, help="CA certificate of etcd; turns TLS on."),
        click.option(
            "--etcd",
            "endpoints",
            multiple=True,
            envvar="SRV6KV_ETCD",
            default=() if is_optional else ("127.0.0.1:2379",),
            show_default=True,
            help="host:port or http(s)://host:port; repeat it for several members.",
        ),
    ):
        command = option(command)
    return command


def output_option(*forms: str, more: str | None = None) -> Callable[[Command], Command]:
    """``--output``, one of these; the first is the default.

    Args:
        more: its help.
    """
    choice = click.Choice(forms)
    return click.option(
        "-o", "--output", type=choice, default=forms[0], show_default=True, help=more
    )


def refuse_two_sources(agent_state: object, options: Mapping[str, Any]) -> None:
    """Refuse keys from a file and from etcd.

    Raises:
        UsageError: both are given.
    """
    if agent_state and options["endpoints"]:
        raise click.UsageError("--agent-state and --etcd exclude each other")


def agent_rest_option(command: Command) -> Command:
    """``--agent-rest``: where to ask the agent itself."""
    return click.option(
        "--agent-rest",
        envvar="SRV6KV_AGENT_REST",
        help="URL of the agent's REST server, http://host:9191 [default: $SRV6KV_AGENT_REST].",
    )(command)


def rest_of(agent_rest: str | None) -> AgentRest | None:
    """The agent's REST server for ``agent_rest_option``; None: it is not to be asked.

    Raises:
        InputError: the URL is none.
    """
    if not agent_rest:
        return None
    from srv6kv.agent.rest import AgentRest

    return AgentRest(agent_rest)


def store_of(options: Mapping[str, Any]) -> Etcd3Store:
    """The client for the options of ``etcd_options``.

    Raises:
        InputError: a file cannot be read or an endpoint is none.
    """
    from srv6kv.etcd.store import Etcd3Store, Tls

    password_file = options["etcd_password_file"]
    tls = Tls(options["etcd_ca"], options["etcd_cert"], options["etcd_key"])
    return Etcd3Store(
        options["endpoints"],
        tls=None if tls == Tls() else tls,
        user=options["etcd_user"],
        password=_password(password_file) if password_file else None,
    )


def read_etcd(options: Mapping[str, Any], prefixes: Sequence[str]) -> tuple[KeyValue, ...]:
    """All keys below these prefixes at one revision; the connection is closed again.

    Args:
        options: those of ``etcd_options``.

    Raises:
        InputError: as ``store_of``.
        Unavailable: etcd is out of reach.
        Refused: etcd does not let us read.
    """
    store = store_of(options)
    try:
        return tuple(store.read(prefixes).entries)
    finally:
        store.close()


def _password(path: Path) -> str:
    try:
        return foreign.text(path.read_bytes()).rstrip("\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
