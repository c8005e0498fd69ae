"""What ``run`` repairs by itself, and when."""

from __future__ import annotations

from dataclasses import replace

import pytest
from repairing import Table, pair, shapes

from srv6kv.agent.needs import Means
from srv6kv.agent.status import State, ValueStatus
from srv6kv.ligato import keys
from srv6kv.repair.automatic import (
    BARE_SECONDS,
    BATCH,
    BURST,
    CONFIRM_SECONDS,
    IDLE_SECONDS,
    MINUTE,
    MOST_SECONDS,
    Found,
    Judge,
    Pace,
    lost,
    outdated,
    rewriting,
    warnings,
)
from srv6kv.vpp.showsr_values import Localsid, Policy, ShowSr

SOURCE = "fe10:f00d::1"
ONE = frozenset({keys.policy("5555::1")})
TWO = ONE | {keys.localsid("6666::2")}
RESTARTED = Found(TWO, has_restarted=True)
SEEN = Found(TWO, revisions=dict.fromkeys(TWO, 7))
OLD = Found(outdated=ONE, revisions=dict.fromkeys(ONE, 7))


@pytest.fixture
def table() -> Table:
    """Two nodes with tunnels: localsids and policies."""
    return pair()


def states(table: Table, state: State = State.CONFIGURED) -> dict[str, ValueStatus]:
    """The same state of every key."""
    return {key: ValueStatus(key, state) for key in table.entries}


def shown(table: Table, source: str = SOURCE, *, without: str = "-") -> ShowSr:
    """VPP with all of it, but for keys that begin so."""
    there = [key for key in table.entries if not key.startswith(without)]
    names = {
        kind: [key.removeprefix(kind) for key in there if key.startswith(kind)]
        for kind in (keys.LOCALSID, keys.POLICY)
    }
    return ShowSr(
        tuple(Localsid(sid, 128, "End") for sid in names[keys.LOCALSID]),
        tuple(Policy(bsid, True, "Default", 0, (), source) for bsid in names[keys.POLICY]),
        (),
        SOURCE,
    )


def test_what_the_agent_calls_done_and_vpp_lacks_is_lost(table: Table) -> None:
    """Localsids and policies; what the agent is still at work on, or has failed at, is not."""
    ground = table.ground()
    ours = frozenset(ground.ours((keys.LOCALSID, keys.POLICY)))
    policies = frozenset(ground.ours((keys.POLICY,)))

    assert lost(ground, ShowSr((), (), ()), states(table)) == ours
    assert lost(ground, shown(table), states(table)) == frozenset()
    assert lost(ground, shown(table, without=keys.POLICY), states(table)) == policies
    assert lost(ground, ShowSr((), (), ()), {}) == frozenset()
    cut = ShowSr((), (), (), elided=frozenset({"localsids"}))
    assert lost(ground, cut, states(table)) == policies
    for state in (State.PENDING, State.FAILED, State.RETRYING):
        assert lost(ground, ShowSr((), (), ()), states(table, state)) == frozenset()


def test_policies_with_another_encap_source_are_outdated(table: Table) -> None:
    """Once VPP has one; an older VPP, which does not print them, tells nothing."""
    ground = table.ground()
    policies = frozenset(ground.ours((keys.POLICY,)))
    unset = ShowSr((), shown(table, "::").policies, (), "::")
    silent = ShowSr(
        (), tuple(Policy(key.rpartition("/")[2], True, "Default", 0, ()) for key in policies)
    )

    assert outdated(ground, shown(table, "::"), states(table)) == policies
    assert outdated(ground, shown(table, "fe10::9"), states(table)) == policies
    for nothing in (shown(table), unset, silent):
        assert outdated(ground, nothing, states(table)) == frozenset()


def test_keys_are_deleted_and_put_again_and_steerings_stay(table: Table) -> None:
    """All ends as it was; localsids come first, a batch is one deletion and one put."""
    ground, before = table.ground(), table.state
    chosen = frozenset(ground.ours((keys.LOCALSID, keys.POLICY)))
    steps = rewriting(chosen, ground)
    table.do(ground, steps)
    kinds = [operation.partition(" ")[2] for step in shapes(steps) for operation in step]

    assert table.state == before
    assert len(chosen) <= BATCH
    assert [len(step.transaction) for step in steps] == [len(chosen)] * 2
    assert [{word.partition(" ")[0] for word in step} for step in shapes(steps)] == [
        {"del"},
        {"put"},
    ]
    assert set(kinds) == {"localsid", "policy"}
    assert shapes(steps)[1] == sorted(shapes(steps)[1])
    assert steps[1].done == chosen


def test_a_restart_is_certain_at_once() -> None:
    """It is repaired at the first look; when VPP is whole, all is forgotten."""
    judge = Judge()
    verdict = judge.judge(RESTARTED, 10.0)

    assert verdict.task == {Means.REWRITE: TWO}
    assert verdict.look == CONFIRM_SECONDS
    assert judge.judge(Found(), 11.0).look is None


def test_a_vpp_without_interfaces_is_waited_for() -> None:
    """The agent has not begun then, and would not make what is put."""
    judge = Judge()
    bare = judge.judge(Found(TWO, has_restarted=True, is_bare=True), 10.0)

    assert (bare.task, bare.held) == ({}, frozenset())
    assert bare.look is not None
    assert bare.look < 1
    assert judge.judge(SEEN, 10.3).task == {Means.REWRITE: TWO}


def test_a_vpp_that_gets_no_interfaces_is_not_written_to() -> None:
    """A steering into a VRF table that is not there would crash it; a warning names the remedy."""
    judge, bare = Judge(), Found(TWO, has_restarted=True, is_bare=True)
    judge.judge(bare, 10.0)
    later = judge.judge(Found(TWO, is_bare=True), 10.0 + BARE_SECONDS)
    (note,) = warnings(later, bare)

    assert later.task == {}
    assert later.look is not None
    assert "has not made its interfaces again: restart the agent and VPP together" in note.text
    assert judge.judge(SEEN, 50.0).task == {Means.REWRITE: TWO}


def test_what_is_lost_without_a_restart_has_to_last() -> None:
    """A second later the same keys, unwritten since, are; others are not."""
    judge = Judge()
    first, soon = judge.judge(SEEN, 10.0), judge.judge(SEEN, 10.5)
    other = Found(TWO, revisions={one: 8 if one in ONE else 7 for one in TWO})
    later = judge.judge(other, 11.1)

    assert (first.task, soon.task) == ({}, {})
    assert later.task == {Means.REWRITE: TWO - ONE}


def test_a_late_encap_source_has_to_last_too() -> None:
    """Its policies are recreated, not rewritten."""
    judge = Judge()
    judge.judge(OLD, 10.0)

    assert judge.judge(OLD, 11.0).task == {Means.RECREATE: ONE}


def test_a_young_vpp_is_looked_at_again() -> None:
    """Less and less often: its encap source may still come."""
    judge, young = Judge(), Found(may_change=True)
    looks = [judge.judge(young, float(number)).look for number in range(8)]

    assert looks == [2, 4, 8, 16, 32, MINUTE, MINUTE, MINUTE]
    assert judge.judge(Found(), 9.0).look is None


def test_an_agent_at_work_is_waited_for() -> None:
    """While keys get fewer; then a repair counts as one that has not helped, and the next one is a
    minute away, then two."""
    judge = Judge()
    judge.judge(RESTARTED, 0.0)
    fewer = Found(ONE, revisions=dict.fromkeys(ONE, 9))
    at_work = [judge.judge(fewer, when) for when in (1.0, 5.0, 10.5)]
    judge.judge(fewer, 1.0 + IDLE_SECONDS)
    held = judge.judge(fewer, 12.5)
    again = judge.judge(fewer, 75.0)
    judge.judge(fewer, 76.0 + IDLE_SECONDS)
    twice = judge.judge(fewer, 88.0)

    assert all(not one.task and not one.held for one in at_work)
    assert (held.held, held.has_failed) == (ONE, True)
    assert again.task == {Means.REWRITE: ONE}
    assert twice.held == ONE
    assert twice.look is not None
    assert twice.look > MINUTE


def test_two_repairs_in_a_row_then_one_a_minute() -> None:
    """The bucket fills by one a minute, up to two."""
    pace, when = Pace(), 100.0
    for _ in range(BURST):
        assert pace.due(when) == when
        pace.use(when)
    assert pace.due(when) == when + MINUTE
    assert pace.due(when + MINUTE) == when + MINUTE
    pace.use(when + MINUTE)
    assert pace.due(when + MINUTE + 1) == pytest.approx(when + 2 * MINUTE)


def test_a_repair_that_helped_after_all_holds_up_none() -> None:
    """When VPP is whole, the wait after one that seemed not to help is over."""
    pace = Pace()
    pace.failed(100.0)
    assert pace.due(101.0) == 100.0 + MINUTE
    pace.helped()
    assert pace.due(102.0) == 102.0


def test_restarts_under_each_repair_are_not_repaired_for_ever() -> None:
    """The second restart before VPP is whole counts as a repair that has not helped."""
    judge = Judge()
    verdicts = [judge.judge(RESTARTED, when) for when in (0.0, 3.0, 6.0)]

    assert [bool(one.task) for one in verdicts] == [True, True, False]
    assert verdicts[2].has_failed


def test_turned_off_it_only_warns() -> None:
    """The warning names the setting and the command."""
    judge = Judge(is_enabled=False)
    verdict = judge.judge(RESTARTED, 0.0)
    (note,) = warnings(verdict, RESTARTED)

    assert verdict.task == {}
    assert verdict.held == TWO
    assert note.text == (
        "VPP lacks 2 keys that the agent calls done; srv6kv.autoRepair is false:"
        " 'srv6kv repair --take-over' repairs it"
    )
    assert list(warnings(judge.judge(Found(), 1.0), Found())) == []


@pytest.mark.parametrize("is_bare", [False, True])
def test_where_nothing_is_done_vpp_is_looked_at_seldom(*, is_bare: bool) -> None:
    """Turned off, or without interfaces: twice the time each, up to half an hour; a restart of VPP
    begins again."""
    judge, found = Judge(is_enabled=is_bare), replace(SEEN, is_bare=is_bare)
    judge.judge(found, 0.0)
    looks = [judge.judge(found, 100.0 + 2 * number).look for number in range(9)]

    assert looks == [10, 20, 40, 80, 160, 320, 640, 1280, MOST_SECONDS]
    judge.judge(replace(found, has_restarted=True), 200.0)
    assert judge.judge(found, 200.0 + BARE_SECONDS).look in (10, 20)


def test_while_the_agent_makes_nothing_of_a_repair_looks_get_fewer() -> None:
    """Until that counts as no help."""
    judge, now, looks = Judge(), 0.0, 0
    judge.judge(RESTARTED, now)
    while not (verdict := judge.judge(SEEN, now)).held and now < MINUTE and looks < MINUTE:
        assert verdict.look is not None
        now, looks = now + verdict.look, looks + 1

    assert looks <= 8
    assert IDLE_SECONDS <= now <= IDLE_SECONDS + 3
