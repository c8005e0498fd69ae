"""Options that several commands share, and what they stand for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from srv6kv import foreign
from srv6kv.errors import InputError

if TYPE_CHECKING:
    from srv6kv.agent.rest import AgentRest
    from srv6kv.etcd.store import Etcd3Store
    from srv6kv.etcd.values import KeyValue
    from srv6kv.sources.api import ApiServer

Option = Callable[[Any], Any]
"""What adds options to a command."""
PATH = click.Path(path_type=Path)


def _all(*options: Option) -> Option:
    """These options, in this order."""
    return lambda command: reduce(lambda made, add: add(made), reversed(options), command)


def _valid_name(_context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """What becomes a part of etcd's keys."""
    if value is None or (value == "" and not option.required):
        return None
    if not value or not value.isprintable() or set(value) & set(" /"):
        raise click.BadParameter(f"{value!r} is empty, or has a space, a slash or the like in it")
    return value


def label_option(text: str, **more: Any) -> Option:
    """``--label`` with this help; more as for ``click.option``."""
    return click.option("--label", callback=_valid_name, help=text, **more)


def required_label(which: str = "") -> Option:
    """``--label``, where no node stands for it.

    Args:
        which: whose label it may be besides, for the help.
    """
    text = f"Microservice label of the agent{which} [default: $MICROSERVICE_LABEL]."
    return label_option(text, required=True, envvar="MICROSERVICE_LABEL")


def manifests_option(*, is_required: bool = False, more: str = "; repeatable.") -> Option:
    """Where manifests are read from: ``paths``.

    Args:
        more: the end of the help.
    """
    return click.option(
        "-f",
        "--filename",
        "--manifests",
        "paths",
        type=PATH,
        multiple=True,
        required=is_required,
        help=f"Manifests: a file, a directory, or - for standard input{more}",
    )


def output_option(*forms: str, more: str | None = None) -> Option:
    """``--output``, one of these; the first is the default.

    Args:
        more: its help.
    """
    choice = click.Choice(forms)
    return click.option(
        "-o", "--output", type=choice, default=forms[0], show_default=True, help=more
    )


def _etcd(*default: str) -> Option:
    return _all(
        click.option(
            "--etcd",
            "endpoints",
            multiple=True,
            envvar="SRV6KV_ETCD",
            default=default,
            show_default=True,
            help="host:port or http(s)://host:port; repeat it for several members.",
        ),
        click.option("--etcd-ca", type=PATH, help="CA certificate of etcd; turns TLS on."),
        click.option("--etcd-cert", type=PATH, help="Client certificate for etcd."),
        click.option("--etcd-key", type=PATH, help="Private key of the client certificate."),
        click.option("--etcd-user", help="User for etcd."),
        click.option("--etcd-password-file", type=PATH, help="File with the user's password."),
    )


LOCAL_ETCD = "127.0.0.1:2379"
etcd_options = _etcd(LOCAL_ETCD)
"""Where etcd is and how to talk to it; ``store_of`` makes a client of them."""
optional_etcd_options = _etcd()
"""The same; ``endpoints`` is empty unless etcd is asked for."""
config_option = click.option(
    "--config",
    type=PATH,
    help="contiv.conf, or manifests with the ConfigMap contiv-agent-cfg"
    " [default: $CONTIV_CONFIG, /etc/contiv/contiv.conf, the ConfigMap among the manifests].",
)
node_option = click.option(
    "--node",
    required=True,
    envvar="NODE_NAME",
    callback=_valid_name,
    help="Kubernetes name of the node.",
)
node_options = _all(
    node_option,
    label_option(
        "Microservice label of the agent [default: $MICROSERVICE_LABEL, the node's name].",
        envvar="MICROSERVICE_LABEL",
    ),
)
kube_options = _all(
    click.option(
        "--kubeconfig",
        type=PATH,
        help="Credentials for the API server [default: the pod's service account, else $KUBECONFIG,"
        " else ~/.kube/config].",
    ),
    click.option("--kube-context", help="Context in the kubeconfig [default: its current one]."),
)
"""Which API server, and as whom; ``api_of`` connects to it."""
cluster_options = _all(
    manifests_option(more="; repeatable [default: the API server]."), kube_options
)
"""The cluster, in manifests or from the API server."""
seen_options = _all(cluster_options, node_options, config_option)
"""The cluster as a node sees it; ``cluster.read`` reads it."""
agent_state_option = click.option(
    "--agent-state",
    type=PATH,
    help="JSON object of the keys that the agent has already (config/... to value).",
)
agent_states_option = click.option(
    "--agent-state",
    "states",
    metavar="NODE=FILE",
    multiple=True,
    help="JSON object of the keys that a node's agent has already (config/... to value);"
    " without it the node's pods count as attached.",
)
"""Files with the keys of several agents, which ``cluster.states_of`` reads."""
agent_rest_option = click.option(
    "--agent-rest",
    envvar="SRV6KV_AGENT_REST",
    help="URL of the agent's REST server, http://host:9191, or none [default: $SRV6KV_AGENT_REST].",
)
NO_REST = "none"
agent_api_option = click.option(
    "--agent-api",
    type=click.Choice(["v2", "v3"]),
    default="v3",
    show_default=True,
    help="Spelling of the values: v2 for agents before 3.0.",
)


def refuse_two_sources(agent_state: object, options: Mapping[str, Any]) -> None:
    """Refuse keys from a file and from etcd."""
    if agent_state and options["endpoints"]:
        raise click.UsageError("--agent-state and --etcd exclude each other")


def api_of(options: Mapping[str, Any]) -> ApiServer:
    """The API server for the options of ``kube_options``."""
    from srv6kv.sources.api import ApiServer

    return ApiServer(options["kubeconfig"], options["kube_context"])


def rest_of(agent_rest: str | None) -> AgentRest | None:
    """The agent's REST server for ``agent_rest_option``; None: it is not to be asked."""
    if not agent_rest or agent_rest == NO_REST:
        return None
    from srv6kv.agent.rest import AgentRest

    return AgentRest(agent_rest)


def store_of(options: Mapping[str, Any]) -> Etcd3Store:
    """The client for the options of ``etcd_options``."""
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
    """All keys below these prefixes at one revision, for the options of ``etcd_options``."""
    with closing(store_of(options)) as store:
        return tuple(store.read(prefixes).entries)


def _password(path: Path) -> str:
    try:
        return foreign.text(path.read_bytes()).rstrip("\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
