"""Scenarios: what happens to a cluster, and the transactions that follow.

A scenario is a file of ``tests/scenarios``: a sentence, then blocks that begin with ``== apply``
(objects come or change), ``== delete`` (objects go), ``== wire`` (the CNI writes or, with null,
deletes keys of the agent) or ``== expect``: the transactions that what stands above makes, as a
recording. ``pytest --update`` rewrites what is expected.

Each begins on node 1 of the seed's address plan, with the nodes 1 and 2, wired pods
``2001:0:0:1::5`` and ``::6`` (sandboxes five and six), and all that does not depend on services.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from clusters import base_keys, node, pod_keys
from history import differences, violations
from processes import NODE, SEED

from srv6kv import settings
from srv6kv.etcd.store import Change
from srv6kv.kube.model import Identity
from srv6kv.sources.lastgood import Version, after
from srv6kv.sync.reconciler import Reconciler
from srv6kv.txn import recording
from srv6kv.txn.recording import Recorded
from srv6kv.txn.transaction import FullKey

FOLDER = Path(__file__).parents[1] / "scenarios"
PREFIX = f"/vnf-agent/{NODE}/"

Objects = list[tuple[Identity, dict[str, Any] | None]]
Reorder = Callable[[Objects], Objects]


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a scenario: its verb and its text."""

    verb: str
    text: str


def blocks_of(text: str) -> list[Block]:
    """The blocks of a scenario; the first one is its sentence."""
    first, *rest = text.split("\n== ")
    blocks = [Block("", first)]
    for part in rest:
        verb, _, body = part.partition("\n")
        assert verb in ("apply", "delete", "wire", "expect"), verb
        blocks.append(Block(verb, body))
    return blocks


def text_of(blocks: Iterable[Block]) -> str:
    """A scenario as it stands in its file."""
    return "\n== ".join(f"{b.verb}\n{b.text}" if b.verb else b.text for b in blocks)


class Bench:
    """A node, an etcd that is a table, and all that has been written to it."""

    def __init__(self) -> None:
        loaded, _ = settings.load((SEED / "contiv.conf").read_text(), "contiv.conf")
        self.reconciler = Reconciler(loaded, NODE, NODE)
        self.revision = 0
        self.history: list[tuple[int, list[Change]]] = []
        self.reconciler.reset([])
        wiring = base_keys(1, "fe10:f00d::1")
        wiring |= pod_keys("2001:0:0:1::5", "five") | pod_keys("2001:0:0:1::6", "six")
        self.wire(wiring)
        for number in (1, 2):
            body = node(number)
            self.reconciler.intake.apply(("Node", "", body["metadata"]["name"]), body)
        self.commit()

    def wire(self, values: dict[str, Any]) -> None:
        """The CNI writes or deletes keys."""
        for key, value in values.items():
            self.revision += 1
            text = None if value is None else msgspec.json.encode(value)
            self.history.append((self.revision, [Change(FullKey(key), text, self.revision)]))
            self.reconciler.observe([Change(FullKey(PREFIX + key), text, self.revision)])

    def commit(self) -> str:
        """Plan and write; the transactions as a recording."""
        plan = self.reconciler.plan()
        for index, transaction in enumerate(plan.transactions):
            self.revision += 1
            changes = [
                Change(FullKey(one.key.removeprefix(PREFIX)), one.value, self.revision)
                for one in transaction.operations
            ]
            self.history.append((self.revision, changes))
            extra = self.reconciler.bookkeeping(plan, index)
            self.reconciler.committed(transaction, extra, self.revision)
        self.reconciler.finish_change()
        return "".join(
            recording.dump(Recorded(number, transaction))
            for number, transaction in enumerate(plan.transactions, start=1)
        )

    def state(self) -> dict[str, bytes]:
        """Every key with its bytes."""
        return {key: entry.value for key, entry in self.reconciler.actual.entries.items()}


def played(blocks: list[Block], reorder: Reorder) -> tuple[Bench, list[Block]]:
    """A scenario done step by step, and the same with what really followed."""
    bench, found = Bench(), blocks[:1]
    objects: Objects = []
    for block in blocks[1:]:
        match block.verb:
            case "wire":
                bench.wire(yaml.safe_load(block.text))
            case "expect":
                bench.reconciler.intake.apply_all(reorder(objects))
                objects = []
                block = Block("expect", bench.commit() + "\n" * block.text.endswith("\n\n"))
            case verb:
                read = after(Version(), block.text, "scenario")
                assert not read.notes
                taken = [(one.identity, one.completed()) for one in read.objects]
                objects += [(one, body if verb == "apply" else None) for one, body in taken]
        found.append(block)
    return bench, found


def scenarios() -> Iterator[Any]:
    """Every scenario by its name."""
    for path in sorted(FOLDER.glob("*.txt")):
        yield pytest.param(path, id=path.stem)


@pytest.mark.parametrize("path", list(scenarios()))
def test_scenario(path: Path, request: pytest.FixtureRequest) -> None:
    """Every step of a scenario is followed by exactly the transactions that it tells."""
    text = path.read_text()
    bench, found = played(blocks_of(text), lambda objects: objects)
    if request.config.getoption("--update"):
        path.write_text(text_of(found))
        return

    assert text_of(found) == text
    assert violations(bench.history) == []
    assert not list(bench.reconciler.intake.notes())


@pytest.mark.parametrize("path", list(scenarios()))
def test_order_of_objects(path: Path) -> None:
    """The order in which the objects of a step arrive changes nothing in its transactions."""
    blocks = blocks_of(path.read_text())
    bench, found = played(blocks, lambda objects: objects)
    other, other_found = played(blocks, lambda objects: objects[::-1])

    assert differences(other.state(), bench.state()) == []
    assert [block.text for block in other_found] == [block.text for block in found]
