"""``scripts/load``: the network programming latency under a stream of changes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from figures import Timed

SCRIPT = Path(__file__).parents[2] / "scripts" / "load"
SECONDS = 3
RATE = 45
REPLACE_WINDOW_MS = 300.0


def test_load(timed: Timed) -> None:
    """At 45 changes a second over 1,000 services every change reaches etcd; those that wait for the
    replace window share transactions."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), f"--seconds={SECONDS}", f"--rate={RATE}", "-o", "json"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    print(done.stdout)
    rounds = json.loads(done.stdout)["rounds"]
    replace, waiting = rounds["replace"], rounds["grow and shrink"]

    assert done.returncode == 0
    for figures in (replace, waiting):
        assert figures["changes"] == figures["seen"] == SECONDS * RATE
        assert 0 < figures["p50_ms"] <= figures["p99_ms"] <= figures["max_ms"]
    timed("99 % of the changes that replace an endpoint", replace["p99_ms"] / 1000, 1.0)
    limit = 1.0 + REPLACE_WINDOW_MS / 1000
    timed("99 % of the other changes", waiting["p99_ms"] / 1000, limit)
    assert waiting["transactions"] < waiting["changes"] / 2
