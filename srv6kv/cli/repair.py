"""``srv6kv repair``: bring VPP back to what etcd says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import click

from srv6kv.cli import terminal
from srv6kv.cli.options import (
    agent_rest_option,
    etcd_options,
    output_option,
    required_label,
    rest_of,
    store_of,
)

if TYPE_CHECKING:
    from srv6kv.repair.choose import Fault
    from srv6kv.repair.means import Task
    from srv6kv.repair.procedure import Repair
    from srv6kv.repair.repairer import Repairer
    from srv6kv.txn.transaction import Transaction

MEANS = ("resend", "recreate", "rebind", "rewrite")
MOST_SHOWN = 8
"""Of what is left in VPP; ``verify`` names all of it."""
KINDS = ("localsid", "policy", "steering", "route", "rulechain")


@click.command("repair")
@required_label()
@etcd_options
@agent_rest_option
@click.option(
    "--means",
    type=click.Choice(MEANS),
    help="resend: put the same bytes again, for an agent that lost events. recreate: SR policies"
    " through another VRF and back. rebind: SR policies to new BSIDs. rewrite: delete the SRv6 keys"
    " and put them again [default: for each key what its state and VPP ask for].",
)
@click.option("--key", "named", multiple=True, help="With --means: only this key; repeatable.")
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(KINDS),
    multiple=True,
    help="With --means: only keys of this kind; repeatable.",
)
@click.option(
    "--batch",
    type=click.IntRange(1, 60),
    default=8,
    show_default=True,
    help="Policies that are recreated at a time.",
)
@click.option(
    "--pause",
    type=click.FloatRange(0, 60),
    default=0.2,
    show_default=True,
    help="Seconds between two batches of recreations, at least.",
)
@click.option(
    "--take-over",
    is_flag=True,
    help="End the lease of a sidecar that runs; it is on standby meanwhile, then goes on.",
)
@click.option("--dry-run", is_flag=True, help="Print the transactions, and write nothing.")
@output_option("text", "json")
def command(label: str, agent_rest: str | None, output: str, **options: Any) -> None:
    """Bring VPP back to what etcd says, where the agent would not by itself.

    Without --means each key gets the one that its state (published in etcd or asked at
    --agent-rest) and VPP (at --agent-rest) call for; if nothing is wrong nothing is written.
    What only a restart of VPP can repair is named. docs/repair.md has the means for each fault,
    and what it costs; 'srv6kv verify' has more details.

    Exit codes: 0 all is well now, 1 something is wrong still or another process writes, 2 bad
    input, 3 a server is out of reach.

    \b
    Examples:
      srv6kv repair --label node1 --etcd 127.0.0.1:2379 --means resend --dry-run
      srv6kv repair --label node1 --agent-rest http://127.0.0.1:9191 --take-over
    """
    from srv6kv.agent.needs import Means
    from srv6kv.repair.observer import Observer
    from srv6kv.repair.procedure import Repair, Request

    if (options["named"] or options["kinds"]) and options["means"] is None:
        raise click.UsageError("--key and --kind need --means")
    means = None if options["means"] is None else Means(options["means"])
    request = Request(means, options["named"], options["kinds"], options["batch"])
    with closing(store_of(options)) as store:
        observer = Observer(store, label, rest_of(agent_rest))
        _repair(Repair(store, observer, request), output, options)


def _repair(repair: Repair, output: str, options: dict[str, Any]) -> None:
    repair.diagnose()
    is_dry_run = options["dry_run"]
    if options["means"] is None and (remark := repair.observer.remark()):
        terminal.say(f"warning: {remark}", err=True)
    if is_dry_run or not repair.task:
        steps = repair.steps(repair.task, repair.ground)
        would = [step.transaction for step in steps.steps] if is_dry_run else None
        _print(repair.task, steps.rebound, len(steps.steps), output, would)
        _end([one for one in repair.found if not one.is_repairable], steps.left, repair)
        return
    with _repairer(repair, options) as repairer:
        repair.do(repairer)
    _print(repair.task, repairer.rebound, repairer.commits, output, None)
    _end(repair.found, repairer.left, repair)


@contextmanager
def _repairer(repair: Repair, options: dict[str, Any]) -> Iterator[Repairer]:
    """A repairer that holds the writer key; its progress is shown on a terminal.

    Raises:
        Conflict: another process writes.
    """
    from srv6kv.repair.repairer import Repairer, signals_noted

    text = f"repairing {repair.ground.label}"
    with signals_noted() as came, terminal.progress() as progress:
        shown = progress.add_task(text, total=None)
        repairer = Repairer(
            repair.store,
            repair.ground,
            states=repair.observer.states,
            pause=options["pause"],
            came=came,
            begins=lambda steps: progress.reset(shown, total=steps),
            advances=lambda step: progress.update(
                shown, advance=1, description=f"{text}: {step.means}"
            ),
            takes_over=options["take_over"],
        )
        try:
            repairer.begin()
            yield repairer
        finally:
            repairer.end()


def _print(
    task: Task,
    rebound: Mapping[str, str],
    count: int,
    output: str,
    would: Sequence[Transaction] | None,
) -> None:
    """What is done in so many transactions, or with --dry-run those that would do it."""
    from srv6kv.cli import output as printer

    is_dry_run = would is not None
    if output == "json":
        means = {str(means): sorted(chosen) for means, chosen in task.items()}
        more = {"rebound": dict(rebound), "transactions": count, "dry_run": is_dry_run}
        shown = {} if would is None else {"would_write": printer.transactions_json(would)}
        terminal.show_json({"means": means, **more, **shown})
        return
    if would is not None:
        terminal.show(printer.transactions_text(would))
    for old, new in rebound.items():
        terminal.say(f"rebound {old} to {new}", err=is_dry_run)
    counts = ", ".join(f"{means} {len(chosen)} keys" for means, chosen in task.items())
    verb = "would be: " if is_dry_run else ""
    text = f"{verb}{counts}, {count} transactions" if counts else "nothing needs repair"
    terminal.say(text, err=is_dry_run)


def _end(found: list[Fault], left: Mapping[str, str], repair: Repair) -> None:
    """Print what is wrong still; exit code 1 if anything is."""
    from srv6kv.repair.choose import leftovers

    if stays := leftovers(repair.ground, repair.known):
        more = f" and {len(stays) - MOST_SHOWN} more" if len(stays) > MOST_SHOWN else ""
        named = ", ".join(stays[:MOST_SHOWN]) + more
        text = "in VPP until it restarts, or 'srv6kv verify' has the command to delete it"
        terminal.say(f"warning: {text}: {named}", err=True)
    broken = {one.key: one.why for one in found} | {**left}
    for key, why in sorted(broken.items()):
        terminal.say(f"left: {repair.ground.prefix}{key}: {why}", err=True)
    terminal.end(is_negative=bool(broken))
