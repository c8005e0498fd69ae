"""``scripts/load``: the network programming latency under a stream of changes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "scripts" / "load"
SECONDS = 3
RATE = 45
REPLACE_WINDOW_MS = 300.0


def test_load() -> None:
    """At 45 changes a second over 1,000 services every change reaches etcd: those that replace an
    endpoint in less than a second, the others in less than a second after the replace window."""
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
    assert replace["p99_ms"] < 1000
    assert waiting["p99_ms"] < REPLACE_WINDOW_MS + 1000
    assert waiting["transactions"] < waiting["changes"] / 2
