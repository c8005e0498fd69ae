"""What must hold at every revision, whatever happens to srv6kv, to etcd and to what lies between.

| | |
|---|---|
| I1 | every value that srv6kv writes is a message that the agent can decode |
| I2 | no steering without policy, no policy without list, no localsid referenced that is absent |
| I3 | srv6kv changes only keys of its own, and those that it may create |
| I4 | a process writes only while it holds the writer key |
| I5 | nothing goes that the cluster still wants |
| I6 | what is written is never older than what was written before |
| I7 | the end is the manifests rendered at once (`History.wait_for` with `Bench.expected`) |
| I8 | nothing is written that is there already, and nothing while nothing changes |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from history import MARK, History, State, violations
from processes import NODE, Bench, Process

from srv6kv.cli import cluster
from srv6kv.etcd.store import Change
from srv6kv.ligato.schema import parse_json

Revisions = Sequence[tuple[int, Sequence[Change]]]

ROUTE = "config/vpp/v2/route/"
SHARED = {
    "config/vpp/v2/vrf-table/id/0/protocol/IPV6",
    "config/vpp/v2/vrf-table/id/1/protocol/IPV6",
    ROUTE + "vrf/1/dst/::/0/gw/::",
    ROUTE + "vrf/0/dst/2001:0:0:1::/64/gw/::",
}
"""Created if absent; somebody else may own them."""


def broken(
    bench: Bench,
    history: History,
    *,
    kept: Iterable[str] = (),
    clock: str | None = None,
    repairs: Iterable[Process] = (),
    theirs: Iterable[str] = (),
) -> list[str]:
    """Every breach of I1 to I6 and I8 since the node got its wiring; I7 is for the caller to await.

    Args:
        bench: the node; its processes are those that may write.
        history: what etcd went through; edits by others carry `MARK`.
        kept: keys that the cluster wants from the first revision that has them to the end.
        clock: the address of a service whose port only ever grows.
        repairs: processes whose work it is to take away and put again what is there (I5, I8).
        theirs: keys of another renderer, which may go (I3).
    """
    everything = history.revisions()
    ours = [
        (number, changes)
        for number, changes in everything
        if not any(change.key == MARK or change.key in bench.foreign for change in changes)
    ]
    files = cluster.read_files([bench.manifests], bench.config, NODE, bench.label)
    may_go = set(theirs)
    repaired = {number for one in repairs for number in in_tenures(history, one, ours)}
    plain = [(number, changes) for number, changes in ours if number not in repaired]

    def owns(key: str) -> bool:
        return key in may_go or files.reconciler.owns(key)

    return [
        *(f"I1 {fault}" for fault in _undecodable(ours)),
        *(f"I2 {fault}" for fault in violations(everything, bench.foreign, history.reached)),
        *(f"I3 {fault}" for fault in _touched(everything, bench.foreign, owns)),
        *(f"I4 {fault}" for fault in trespasses(history, bench.processes)),
        *(f"I4 {fault}" for fault in _without_writer(ours, history)),
        *(f"I5 {fault}" for fault in _lost(plain, set(kept))),
        *(f"I6 {fault}" for fault in _backward(ours, clock)),
        *(f"I8 {fault}" for fault in _needless(everything, plain)),
    ]


def _undecodable(revisions: Revisions) -> Iterator[str]:
    for number, change in _changes(revisions):
        if change.value is not None:
            try:
                parse_json(change.key, change.value)
            except ValueError as error:
                yield f"{number}: {error}"


def _touched(revisions: Revisions, foreign: State, owns: Callable[[str], bool]) -> Iterator[str]:
    """Keys of others in a revision that also holds keys of ours, or that end as they never were."""
    last: State = {}
    for number, changes in revisions:
        is_edit = any(change.key == MARK for change in changes)
        mine = [one.key for one in changes if owns(one.key) or one.key in SHARED]
        for change in changes:
            if change.value is None:
                last.pop(change.key, None)
            else:
                last[change.key] = change.value
            if change.key not in mine and not is_edit and (mine or change.key not in foreign):
                yield f"{number}: {change.key} is not ours"
    for key, value in foreign.items():
        if last.get(key) != value:
            yield f"{key} is {last.get(key)!r} in the end, not {value!r}"


def written_by(process: Process) -> list[int]:
    """The revisions that a process says it has made."""
    return [int(line.partition("rev=")[2].split()[0]) for line in process.said(" rev=")]


def in_tenures(history: History, process: Process, revisions: Revisions) -> list[int]:
    """The revisions that were written while a process had the writer key."""
    return [
        number
        for number, _ in revisions
        for identity, first, last in history.tenures()
        if identity.split("/")[1] == str(process.pid) and first < number < (last or number + 1)
    ]


def usurped(history: History, sidecar: Process) -> list[str]:
    """What was written in the tenures of a sidecar, which was not killed, and not by it."""
    numbers = in_tenures(history, sidecar, history.revisions())
    return [
        f"I4 {number} was not written by process {sidecar.pid}, which had the writer key"
        for number in sorted(set(numbers) - set(written_by(sidecar)))
    ]


def trespasses(history: History, processes: Iterable[Process]) -> list[str]:
    """Revisions that a process made while the writer key was not its own."""
    faults = []
    for process in processes:
        own = [
            (first, last)
            for identity, first, last in history.tenures()
            if identity.split("/")[1] == str(process.pid)
        ]
        for revision in written_by(process):
            if not any(
                first < revision and (last or revision + 1) > revision for first, last in own
            ):
                faults.append(f"process {process.pid} wrote {revision}, held the key in {own}")
    return faults


def _without_writer(revisions: Revisions, history: History) -> Iterator[str]:
    tenures = history.tenures()
    for number, _ in revisions:
        if not any(first < number and (last or number + 1) > number for _, first, last in tenures):
            yield f"{number} was written while nobody held the writer key"


def _lost(revisions: Revisions, kept: set[str]) -> Iterator[str]:
    for number, change in _changes(revisions):
        if change.key in kept and change.value is None:
            yield f"{number}: {change.key} was deleted"


def _backward(revisions: Revisions, clock: str | None) -> Iterator[str]:
    if clock is None:
        return
    pattern = re.compile(re.escape(f"-d {clock}/128 ").encode() + rb"[^\"]*--dport (\d+)")
    newest: dict[str, int] = {}
    for number, change in _changes(revisions):
        found = pattern.search(change.value or b"")
        if found is not None:
            if int(found[1]) < newest.get(change.key, 0):
                yield f"{number}: generation {int(found[1])} after {newest[change.key]}"
            newest[change.key] = int(found[1])


def _needless(revisions: Revisions, ours: Revisions) -> Iterator[str]:
    values: State = {}
    numbers = {number for number, _ in ours}
    for number, change in _changes(revisions):
        if change.value is None:
            values.pop(change.key, None)
        elif values.get(change.key) == change.value and number in numbers:
            yield f"{number}: {change.key} was so before"
        else:
            values[change.key] = change.value


def _changes(revisions: Revisions) -> Iterator[tuple[int, Change]]:
    return ((number, change) for number, changes in revisions for change in changes)
