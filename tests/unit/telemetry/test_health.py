"""When the loop counts as live, ready and healthy."""

from __future__ import annotations

from dataclasses import replace

from srv6kv.telemetry.health import (
    KEEPS_UP_SECONDS,
    LIVE_SECONDS,
    State,
    is_healthy,
    is_live,
    is_ready,
)


def test_live() -> None:
    """The loop is live as long as it turns, whatever else is wrong."""
    state = State(turned=100.0, waits_since=0.0, trouble="away", is_node_eligible=False)

    assert is_live(state, 100.0 + LIVE_SECONDS - 1)
    assert not is_live(state, 100.0 + LIVE_SECONDS)


def test_ready() -> None:
    """Ready is who was in step once, and who stands by with a complete list."""
    start = State()

    assert not is_ready(start)
    assert not is_ready(replace(start, has_cluster=True, is_writer=True))
    assert not is_ready(replace(start, holder="other"))
    assert is_ready(replace(start, holder="other", has_cluster=True))
    assert is_ready(replace(start, syncs=1, trouble="away"))


def test_healthy() -> None:
    """Healthy is who has no change that waits for too long, on a node that stays."""
    late = State(waits_since=100.0)

    assert is_healthy(State(), 1e9)
    assert is_healthy(late, 100.0 + KEEPS_UP_SECONDS - 1)
    assert not is_healthy(late, 100.0 + KEEPS_UP_SECONDS)
    assert not is_healthy(State(is_node_eligible=False), 0.0)
