"""``srv6kv repair``: bring VPP back to what etcd says."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from srv6kv.cli import terminal
from srv6kv.cli.options import (
    agent_rest_option,
    etcd_options,
    label_option,
    rest_of,
    store_of,
    unknown_label,
)

if TYPE_CHECKING:
    from srv6kv.cli.looking import Looker
    from srv6kv.cli.repairing import Repairer
    from srv6kv.etcd.store import Etcd3Store
    from srv6kv.repair.choose import Fault, Known
    from srv6kv.repair.ground import Ground, Step
    from srv6kv.repair.means import Mending, Task

MEANS = ("touch", "flip", "move", "rewrite")
ROUNDS = 3
"""One means may bring to light what needs another."""
MOST_SHOWN = 8
"""Of what is left in VPP; ``verify`` names all of it."""
KINDS = ("localsid", "policy", "steering", "route", "rulechain")


@click.command("repair")
@label_option
@etcd_options
@agent_rest_option
@click.option(
    "--means",
    type=click.Choice(MEANS),
    help="touch: put the same bytes again, for an agent that lost events. flip: policies through"
    " another VRF and back, which makes them anew. move: policies to new BSIDs. rewrite: delete the"
    " SRv6 keys and put them again [default: for each key what its state and VPP ask for].",
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
    help="Policies that are flipped at a time.",
)
@click.option(
    "--pause",
    type=click.FloatRange(0, 60),
    default=0.2,
    show_default=True,
    help="Seconds between two batches of flips, at least.",
)
@click.option(
    "--take-over",
    is_flag=True,
    help="End the lease of a sidecar that runs; it stands by meanwhile, then goes on.",
)
@click.option("--dry-run", is_flag=True, help="Print the transactions, and write nothing.")
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
)
def command(label: str, agent_rest: str | None, output: str, **options: Any) -> None:
    """Bring VPP back to what etcd says, where the agent would not by itself.

    Without --means each key gets the one that its state (published in etcd or asked at
    --agent-rest) and VPP (at --agent-rest) call for; if nothing is wrong nothing is written.
    What only a restart of VPP can mend is said. docs/repair.md tells which fault needs what, and
    what it costs; 'srv6kv verify' tells more of what is wrong.

    Exit codes: 0 all is well now, 1 something is wrong still or somebody else writes, 2 bad input,
    3 a server is out of reach.

    \b
    Examples:
      srv6kv repair --label node1 --etcd 127.0.0.1:2379 --means touch --dry-run
      srv6kv repair --label node1 --agent-rest http://127.0.0.1:9191 --take-over
    """
    from srv6kv.cli.looking import Looker

    if (options["named"] or options["kinds"]) and options["means"] is None:
        raise click.UsageError("--key and --kind need --means")
    store = store_of(options)
    try:
        looker = Looker(store, label, rest_of(agent_rest))
        _repair(store, label, looker, output, options)
    finally:
        store.close()


def _repair(
    store: Etcd3Store, label: str, looker: Looker, output: str, options: dict[str, Any]
) -> None:
    from srv6kv.repair.ground import Ground

    ground = Ground(label)
    _read(store, ground)
    known = looker.known()
    found = _faults(ground, known, options)
    if found:
        known, found = _lasting(store, ground, looker, found)
    task = _task(ground, known, found, options)
    if options["means"] is None and (remark := looker.remark()):
        terminal.say(f"warning: {remark}", err=True)
    if options["dry_run"] or not task:
        mending = _maker(known, options)(task, ground)
        _print(task, mending.moved, mending.steps, output, dry_run=options["dry_run"])
        _end([one for one in found if not one.can_mend], mending.left, known, ground)
        return
    with _repairer(store, ground, looker, options) as repairer:
        if options["means"] is None:  # what was on its way there by then is no fault
            again = {(one.key, one.means) for one in _faults(ground, looker.known(), options)}
            found = [one for one in found if (one.key, one.means) in again]
            task = _task(ground, known, found, options)
        done, found = _do(task, repairer, looker, options) if task else ({}, [])
    _print(done, repairer.moved, repairer.commits, output, dry_run=False)
    _end(found, repairer.left, looker.known(), ground)


def _read(store: Etcd3Store, ground: Ground) -> None:
    snapshot = store.read(ground.prefixes)
    ground.read(snapshot.entries, snapshot.revision)


def _lasting(
    store: Etcd3Store, ground: Ground, looker: Looker, found: list[Fault]
) -> tuple[Known, list[Fault]]:
    """What is known a moment later, and what is wrong still with keys that nobody has changed
    meanwhile."""
    from srv6kv.cli import looking
    from srv6kv.repair.choose import faults

    before = {key: entry.revision for key, entry in ground.actual.entries.items()}
    time.sleep(looking.AGAIN_SECONDS)
    _read(store, ground)
    known = looker.known()
    keys = {one.key for one in found}
    now = {key: entry.revision for key, entry in ground.actual.entries.items()}
    again = [one for one in faults(ground, known) if one.key in keys]
    return known, [one for one in again if before.get(one.key) == now.get(one.key)]


def _do(
    task: Task, repairer: Repairer, looker: Looker, options: dict[str, Any]
) -> tuple[Task, list[Fault]]:
    """Do a task, and what is found wrong afterwards if the means are ours to choose.

    Returns:
        All that was done, and what is wrong still.
    """
    from srv6kv.agent.needs import Means
    from srv6kv.repair.choose import faults, task_of

    is_free = options["means"] is None

    def look() -> list[Fault]:
        known = looker.known()
        found = faults(repairer.ground, known) if known else []
        return [one for one in found if one.key in repairer.mended or (is_free and one.can_mend)]

    done = dict.fromkeys(Means, frozenset[str]())
    for _ in range(ROUNDS if is_free else 1):
        repairer.do(task, _maker(looker.known(), options))
        done |= {means: done[means] | chosen for means, chosen in task.items()}
        found = repairer.settled(look)
        task = task_of(found)
        if not task or repairer.came:
            break
    if is_free:
        found = faults(repairer.ground, looker.known())
    return {means: chosen for means, chosen in done.items() if chosen}, found


def _faults(ground: Ground, known: Known, options: dict[str, Any]) -> list[Fault]:
    """What is wrong; nothing if a means is named.

    Raises:
        InputError: there is nothing to tell it from, or it is not this label's.
    """
    from srv6kv.errors import InputError
    from srv6kv.plan.ownership import Ranges
    from srv6kv.repair.choose import faults, is_deaf

    if not ground.actual.entries and ground.ranges == Ranges():
        raise InputError(unknown_label(ground.label))
    if options["means"] is not None:
        return []
    if not known:
        raise InputError(
            f"nobody tells what the agent of {ground.label} made of its keys: give --agent-rest,"
            " or let it publish (ENABLE_STATUS_PUBLISHING), or name --means"
        )
    if is_deaf(ground, known):
        raise InputError(
            f"the agent holds none of the keys of {ground.label}: compare its MICROSERVICE_LABEL"
            " and etcd.conf with --label and --etcd; if they are right it has dropped a resync,"
            " and --means touch gives it all of them again"
        )
    return faults(ground, known)


def _task(ground: Ground, known: Known, found: list[Fault], options: dict[str, Any]) -> Task:
    from srv6kv.agent.needs import Means
    from srv6kv.repair.asked import asked
    from srv6kv.repair.choose import task_of

    if options["means"] is None:
        return task_of(found)
    return asked(Means(options["means"]), ground, known, options["named"], options["kinds"])


def _maker(known: Known, options: dict[str, Any]) -> Callable[[Task, Ground], Mending]:
    from srv6kv.repair.choose import bsids_seen
    from srv6kv.repair.means import mend

    avoid, batch = bsids_seen(known), options["batch"]
    return lambda task, ground: mend(task, ground, batch=batch, avoid=avoid)


@contextmanager
def _repairer(
    store: Etcd3Store, ground: Ground, looker: Looker, options: dict[str, Any]
) -> Iterator[Repairer]:
    """Who does it, with the writer key, until it is given back; shows on a terminal how far it is.

    Raises:
        Conflict: somebody else writes.
    """
    from rich.progress import Progress

    from srv6kv.cli.repairing import Repairer, signals_noted

    console = terminal.progress_console()
    with (
        signals_noted() as came,
        Progress(console=console, transient=True, disable=not console.is_terminal) as progress,
    ):
        shown = progress.add_task(f"repairing {ground.label}", total=None)
        repairer = Repairer(
            store,
            ground,
            states=looker.states,
            pause=options["pause"],
            came=came,
            begins=lambda steps: progress.reset(shown, total=steps),
            advances=lambda step: progress.update(
                shown, advance=1, description=f"repairing {ground.label}: {step.means}"
            ),
            takes_over=options["take_over"],
        )
        try:
            repairer.begin()
            yield repairer
        finally:
            repairer.end()


def _print(
    task: Task, moved: Mapping[str, str], steps: Sequence[Step] | int, output: str, *, dry_run: bool
) -> None:
    """What is done, or with --dry-run the transactions that would do it."""
    from srv6kv.cli import output as printer

    transactions = () if isinstance(steps, int) else tuple(step.transaction for step in steps)
    count = steps if isinstance(steps, int) else len(steps)
    if output == "json":
        body = {"means": {str(means): sorted(chosen) for means, chosen in task.items()}}
        more = {"moved": dict(moved), "transactions": count, "dry_run": dry_run}
        would = {"would_write": printer.transactions_json(transactions)} if dry_run else {}
        printer.print_json({**body, **more, **would})
        return
    if dry_run:
        terminal.show(printer.transactions_text(transactions))
    for old, new in moved.items():
        terminal.say(f"moved {old} to {new}", err=dry_run)
    counts = ", ".join(f"{means} {len(chosen)} keys" for means, chosen in task.items())
    verb = "would be: " if dry_run and counts else ""
    text = f"{verb}{counts}, {count} transactions" if counts else "nothing needs repair"
    terminal.say(text, err=dry_run)


def _end(found: list[Fault], left: Mapping[str, str], known: Known, ground: Ground) -> None:
    """Say what is wrong still; exit code 1 if anything is."""
    from srv6kv.repair.choose import leftovers

    if stays := leftovers(ground, known):
        more = f" and {len(stays) - MOST_SHOWN} more" if len(stays) > MOST_SHOWN else ""
        named = ", ".join(stays[:MOST_SHOWN]) + more
        text = (
            f"warning: in VPP until it restarts, or 'srv6kv verify' tells how to delete it: {named}"
        )
        terminal.say(text, err=True)
    broken = {one.key: one.why for one in found} | {**left}
    for key, why in sorted(broken.items()):
        terminal.say(f"left: {ground.prefix}{key}: {why}", err=True)
    if broken:
        raise click.exceptions.Exit(1)
