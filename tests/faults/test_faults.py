"""Two sidecars and three etcd members under a seeded order of edits and faults."""

from __future__ import annotations

from pathlib import Path

import pytest
from fault_schedule import BRIEF, LONG, Schedule
from figures import Figures

FEW = 4
MANY = 200


def test_few_faults(tmp_path: Path, seed: int) -> None:
    """After each of a few short faults etcd comes to hold what it should, and no invariant is
    broken at any revision on the way."""
    with Schedule(tmp_path, seed, BRIEF) as schedule:
        for _ in range(FEW):
            schedule.round()
        codes = schedule.stop()
        breaches = schedule.breaches()

    assert breaches == []
    assert codes == [0, 0]


@pytest.mark.faults
def test_many_faults(tmp_path: Path, figures: Figures, seed: int) -> None:
    """The same for hundreds of faults of any length, one or two at once; and while nothing changes
    in between, nothing is written."""
    with Schedule(tmp_path, seed, LONG) as schedule:
        for number in range(1, MANY + 1):
            schedule.round()
            if number % 20 == 0:
                assert schedule.is_quiet(1.0)
            figures.progress("rounds of edits and faults", number, MANY)
        codes = schedule.stop()
        breaches = schedule.breaches()
    figures.count(f"rounds of edits and faults, seed {seed}", MANY)
    for name, number in sorted(schedule.counted.items()):
        figures.count(f"fault: {name}", number)
    figures.count("commits that were lost, or their answers", schedule.lost_commits)
    figures.count("revisions in them", len(schedule.history.revisions()))
    figures.count("changes of the writer", len(schedule.history.tenures()))
    for name, times in sorted(schedule.recoveries.items()):
        figures.seconds(f"in step after: {name}", times)

    assert breaches == []
    assert codes == [0, 0]
