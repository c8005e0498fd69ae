"""The command line. Each command lives in a module of its own, loaded only when it is called."""

from __future__ import annotations

import importlib
import sys

import click

from srv6kv import __version__
from srv6kv.cli import terminal
from srv6kv.errors import Srv6kvError

_COMMANDS = {
    "adopt": "Take over what Contiv has left in etcd.",
    "cleanup": "Remove what is ours, in the safe order.",
    "demo": "An embedded etcd, a sample cluster, the whole job in one terminal.",
    "doctor": "Whether all is there that srv6kv needs.",
    "explain": "Why a service looks as it does: endpoints, rules, keys, notes.",
    "get": "Show what etcd holds for a node.",
    "plan": "Show the transactions that would be written.",
    "render": "Manifests in, keys and values out, offline.",
    "repair": "Bring VPP back to what etcd says.",
    "replay": "Write a recording into etcd, or check it against a cluster.",
    "run": "The sidecar: keep etcd in sync with the cluster.",
    "simulate": "Which endpoint VPP chooses for a flow, and what a change moves.",
    "trace": "The path of a packet, as text, JSON or a picture.",
    "verify": "Compare etcd with the agent and VPP: differences, causes, remedies.",
    "vpp-exec": "Commands that VPP needs before it has any policy.",
}


class _Lazy(click.Group):
    """A group that imports a command when it is needed: ``--help`` stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"srv6kv.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_COMMANDS.items()))


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="srv6kv")
def _srv6kv() -> None:
    """Kubernetes services on SRv6, for an unchanged ligato vpp-agent.

    Exit codes: 0 done, 1 the question has a negative answer, 2 bad usage or input, 3 a server is
    out of reach.

    \b
    Example:
      srv6kv render -f examples/seed/manifests --config examples/seed/contiv.conf --node node1
    """


def main() -> None:
    """The console script: one line for an error, and its exit code."""

    terminal.be_lenient()
    try:
        # click turns Exit into its code when it does not end the process itself.
        sys.exit(_srv6kv(standalone_mode=False) or 0)
    except click.ClickException as error:
        terminal.say_usage(error)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except Srv6kvError as error:
        terminal.say(f"srv6kv: {error}", err=True)
        sys.exit(error.exit_code)
