"""What the agent's words about its values and itself amount to: what is known, what is told, and
which repair is needed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from podchains import chain_keys

from srv6kv.agent import digest
from srv6kv.agent.digest import Digest, News
from srv6kv.agent.needs import History, Means, Seen, needs_of, vpp_code
from srv6kv.agent.status import AgentStatus, PluginStatus, State, ValueStatus, status_key
from srv6kv.agent.view import DEAD_SECONDS, View
from srv6kv.etcd.values import Change
from srv6kv.txn.transaction import FullKey

PREFIX = "/vnf-agent/n1/"
SID = "config/vpp/srv6/v2/localsid/6666::5"
POLICY = "config/vpp/srv6/v2/policy/5555::1001"
STEERING = "config/vpp/srv6/v2/steering/forK8sService-a-b"
ROUTE = "config/vpp/v2/route/vrf/0/dst/6666::5/128/gw/::"
EXISTS = "failed to add local sid 6666::5: VPPApiError: Unspecified Error (-1)"
BSID_EXISTS = "failed to add policy: VPPApiError: System call error #2 (-12)"


def failed(key: str, error: str, operation: str = "CREATE") -> ValueStatus:
    """What the agent says after it has given up."""
    return ValueStatus(key, State.FAILED, operation, error)


def told(key: str, state: str | int, revision: int, **more: Any) -> Change:
    """A state that is published."""
    body = {"key": key, "state": state, **more}
    return Change(FullKey(PREFIX + status_key(key)), json.dumps(body).encode(), revision)


def checked(name: str, revision: int, **body: Any) -> Change:
    """What the agent says of itself."""
    return Change(FullKey(f"{PREFIX}check/status/v1/{name}"), json.dumps(body).encode(), revision)


def observing(*changes: Change) -> View:
    """A view that saw all that."""
    view = View(PREFIX)
    for change in changes:
        view.observe(change)
    return view


def means_of(seen: Seen) -> list[tuple[str, tuple[str, ...]]]:
    """The means that are needed and their keys."""
    return [(need.means, need.keys) for need in needs_of(seen)]


def test_the_code_of_vpp() -> None:
    """It is the one that the agent prints last in parentheses behind VPP's error."""
    assert vpp_code(EXISTS) == -1
    assert vpp_code(BSID_EXISTS) == -12
    assert vpp_code("VPPApiError: System call error #2 (twice) (-12)") is None
    assert vpp_code("exit status (-1)") is None


def test_nothing_is_needed() -> None:
    """What is not there, waits, or failed for another reason is no case for a repair."""
    other = "VPPApiError: No such FIB / VRF (-3)"
    bad = {SID: failed(SID, other), POLICY: ValueStatus(POLICY, State.INVALID, "VALIDATE")}

    assert needs_of(Seen()) == ()
    assert needs_of(Seen(bad, held={SID: 3, POLICY: 3})) == ()
    assert needs_of(Seen({SID: failed(SID, BSID_EXISTS)})) == ()


def test_vpp_has_what_the_agent_is_to_create() -> None:
    """A policy can be moved to another BSID; a SID cannot, so VPP has to go."""
    bad = {SID: failed(SID, EXISTS), POLICY: failed(POLICY, BSID_EXISTS)}

    assert means_of(Seen(bad)) == [(Means.REBIND, (POLICY,)), (Means.RESTART, (SID,))]
    deleted = {SID: failed(SID, EXISTS, "DELETE")}
    assert needs_of(Seen(deleted)) == ()

    again = History().saw_agent(AgentStatus("OK", 10)).saw_agent(AgentStatus("OK", 20))
    (need, _) = needs_of(Seen(bad, again))
    assert need.why.endswith("the agent has restarted and VPP has not")


def test_an_update_that_failed() -> None:
    """The agent soon says CONFIGURED, which is not true before the policy is made anew."""
    retrying = ValueStatus(POLICY, State.RETRYING, "UPDATE", "VPPApiError: Unspecified Error (-1)")
    after = History().saw_value(POLICY, retrying)
    noted = after.saw_value(POLICY, ValueStatus(POLICY, State.CONFIGURED, "UPDATE"))
    made = noted.saw_value(POLICY, ValueStatus(POLICY, State.CONFIGURED, "CREATE"))

    assert means_of(Seen(history=noted, held={POLICY: 3})) == [(Means.RECREATE, (POLICY,))]
    assert needs_of(Seen(history=noted)) == ()  # etcd has it no more
    assert needs_of(Seen(history=made, held={POLICY: 3})) == ()
    sid = ValueStatus(SID, State.RETRYING, "UPDATE", "x")
    assert History().saw_value(SID, sid) == History()


def test_vpp_restarts_under_the_agent() -> None:
    """All SRv6 keys are to be written again; those that were since are there."""
    ok, error = PluginStatus("govpp", "OK", "", 5), PluginStatus("govpp", "ERROR", "gone", 9)
    before = History().saw_agent(AgentStatus("OK", 5)).saw_vpp(ok, 3)
    away = before.saw_vpp(error, 7)
    back = away.saw_vpp(PluginStatus("govpp", "OK", "", 12), 8)

    assert needs_of(Seen(history=before, held={SID: 2})) == ()
    assert needs_of(Seen(history=away, held={SID: 2})) == ()
    assert means_of(Seen(history=back, held={SID: 2, POLICY: 9})) == [(Means.REWRITE, (SID,))]
    assert needs_of(Seen(history=back, held={SID: 10, POLICY: 9})) == ()
    assert needs_of(Seen(history=back.saw_agent(AgentStatus("OK", 13)), held={SID: 2})) == ()


def test_vpp_restarts_while_nobody_looks() -> None:
    """Two times OK, but since another time: in between it was away."""
    ok, later = PluginStatus("govpp", "OK", "", 5), PluginStatus("govpp", "OK", "", 9)

    assert History().saw_vpp(ok, 3).saw_vpp(ok, 4).vpp_restarted == 0
    assert History().saw_vpp(ok, 3).saw_vpp(later, 7).vpp_restarted == 7


def test_vpp_is_not_back_before_the_agent_uses_it() -> None:
    """The connection may begin anew between the error and its end."""
    broken = History().saw_vpp(PluginStatus("govpp", "ERROR", "", 9), 7)
    begun = broken.saw_vpp(PluginStatus("govpp", "INIT", "", 10), 8)

    assert begun.vpp_restarted == 0
    assert begun.saw_vpp(PluginStatus("govpp", "OK", "", 12), 9).vpp_restarted == 9


@pytest.mark.parametrize("plugin_first", [True, False])
def test_agent_and_vpp_restart_together(plugin_first: bool) -> None:
    """Whatever key comes first, the new agent makes everything anew: nothing is needed."""
    view = observing(
        checked("agent", 1, state="OK", start_time="5"),
        checked("plugin/govpp", 2, state="OK", last_change="6"),
        checked("plugin/govpp", 3, state="ERROR", last_change="9"),
    )
    news = [
        checked("plugin/govpp", 4, state="OK", last_change="12"),
        checked("agent", 5, state="OK", start_time="11"),
    ]
    for change in news if plugin_first else reversed(news):
        view.observe(change)

    assert needs_of(Seen(history=view.history, held={SID: 1})) == ()


def test_keys_that_the_agent_does_not_know() -> None:
    """They are put again."""
    assert means_of(Seen(unknown=[SID])) == [(Means.RESEND, (SID,))]


def test_a_copy_of_rules_that_is_made_again_is_well() -> None:
    """The agent deletes it in vain and tries again after a second; that it cannot create it, or has
    given up, is a fault (agent rule A50)."""
    copy, held = chain_keys("five")[1], {chain_keys("five")[1]: 3}
    busy = {"error": "CHAIN_DEL failed (Device or resource busy)", "last_operation": "UPDATE"}
    view, book = observing(told(copy, "RETRYING", 4, **busy)), Digest()
    shown = book.shown(view, held, 0.0)

    assert view.bad == {}
    assert (shown.states, shown.bad) == ({"CONFIGURED": 1}, ())
    assert lines(book.news(view, held, shown)) == []
    for state, operation in (("RETRYING", "CREATE"), ("FAILED", "UPDATE")):
        view.observe(told(copy, state, 5, error="x", last_operation=operation))
        assert view.bad.keys() == {copy}
        assert book.shown(view, held, 0.0).states == {state: 1}
    view.observe(told(chain_keys("five")[5], "RETRYING", 6, last_operation="UPDATE"))
    assert len(view.bad) == 2


def test_states_come_change_and_go() -> None:
    """A state that is published counts until its key goes; then nothing is known."""
    view = observing(told(SID, "RETRYING", 4, error="x"), told(POLICY, 4, 5))

    assert view.has_states
    assert (view.state_of(SID), view.state_of(POLICY)) == (State.RETRYING, State.CONFIGURED)
    assert view.bad.keys() == {SID}
    view.observe(told(SID, "CONFIGURED", 6))
    assert view.bad == {}
    for key in (SID, POLICY):
        view.observe(Change(FullKey(PREFIX + status_key(key)), None, 7))
    assert (view.state_of(SID), view.has_states) == (None, False)


def test_what_was_read_is_newer_than_what_the_watch_repeats() -> None:
    """Reading comes after the revision from which the watch begins."""
    view = View(PREFIX)
    view.reset([told(SID, "CONFIGURED", 9)])
    view.observe(told(SID, "RETRYING", 8))
    view.observe(Change(FullKey(PREFIX + status_key(SID)), None, 7))

    assert view.state_of(SID) is State.CONFIGURED


def test_what_differs_from_what_was_read() -> None:
    """A key of the agent that a watch has not reported is found: new, changed or gone, and only
    that; a state that makes no sense does not differ from itself."""
    told_of = [told(SID, "CONFIGURED", 3), told(POLICY, "CONFIGURED", 4), checked("agent", 5)]
    odd = Change(FullKey(PREFIX + status_key("config/x")), b"{", 6)
    view = View(PREFIX)
    view.reset([*told_of, odd])
    newer = [told(SID, "FAILED", 7), checked("agent", 8), told("config/y", "CONFIGURED", 9)]

    assert view.differing([*told_of, odd]) == set()
    assert view.differing([*newer, odd]) == {
        PREFIX + status_key(SID),
        PREFIX + status_key(POLICY),
        PREFIX + status_key("config/y"),
        newer[1].key,
    }


def test_reading_again_forgets_what_is_gone() -> None:
    """An agent whose lease ran out meanwhile tells nothing."""
    view = observing(told(SID, "FAILED", 4, error="x"), told(POLICY, 4, 5))
    view.reset([told(POLICY, 4, 5)])

    assert (view.state_of(SID), view.bad) == (None, {})
    assert view.state_of(POLICY) is State.CONFIGURED


def test_garbage_is_unknown() -> None:
    """It is named, replaces what was known, and is forgotten with its key."""
    view = observing(told(SID, "CONFIGURED", 4))
    for revision, value in enumerate((b"", b"\xff", b'{"state":99}', b"[]"), start=5):
        view.observe(Change(FullKey(PREFIX + status_key(SID)), value, revision))
        assert view.state_of(SID) is None
        assert list(view.unreadable) == [status_key(SID)]
    view.observe(checked("agent", 9, state="NEVER"))
    view.observe(checked("plugin/govpp", 10, state=[]))
    view.observe(told(SID, "CONFIGURED", 11))

    assert (view.unreadable, view.history) == ({}, History())
    assert view.state_of(SID) is State.CONFIGURED


def test_look_alikes() -> None:
    """Configuration, other plugins and other agents' keys are none of its business."""
    view = View(PREFIX)

    assert view.owns(PREFIX + status_key(SID))
    for key in (
        PREFIX + SID,
        PREFIX + "config-status-old/vpp/srv6/v2/localsid/6666::5",
        PREFIX + "check/status/v1/plugin/etcd",
        "/vnf-agent/n11/" + status_key(SID),
    ):
        assert not view.owns(key)
    view.observe(checked("agent2", 3, state="OK", start_time="7"))
    view.observe(checked("plugin/govppmux", 4, state="OK", start_time="7"))
    assert view.history == History()


def lines(news: Iterable[News]) -> list[tuple[str, str]]:
    """Names and texts."""
    return [(one.what, one.text) for one in news]


def test_a_line_when_a_key_turns_bad_and_when_it_is_well() -> None:
    """Once each, for keys of ours only, and none for what is no longer known."""
    held = {SID: 3, POLICY: 3}
    view = observing(told(SID, "RETRYING", 4, error="e"), told("config/vpp/v2/route/x", 9, 4))
    book = Digest()

    def said() -> list[tuple[str, str]]:
        return lines(book.news(view, held, book.shown(view, held, 0.0)))

    assert said() == [("agent key", f"agent: {SID} is RETRYING: e")]
    assert said() == []
    view.observe(told(SID, "FAILED", 5, error="e"))
    assert said() == [("agent key", f"agent: {SID} is FAILED: e")]
    view.observe(told(SID, "CONFIGURED", 6))
    assert said() == [("agent key well", f"agent: {SID} is CONFIGURED again")]
    view.observe(told(POLICY, "INVALID", 7, details=["segment_lists"]))
    assert said() == [("agent key", f"agent: {POLICY} is INVALID: segment_lists")]
    view.observe(Change(FullKey(PREFIX + status_key(POLICY)), None, 8))
    assert said() == []


def test_hundreds_of_bad_keys_are_one_line() -> None:
    """How many, in which states, and the first of the worst."""
    many = [f"{SID}{number:03}" for number in range(300)]
    held = dict.fromkeys(many, 1)
    view = observing(*(told(key, "FAILED", 2, error="e") for key in many))
    book = Digest()

    (line,) = book.news(view, held, book.shown(view, held, 0.0))
    assert line.text == f"agent: 300 keys have turned bad (300 FAILED), first {many[0]}: e"
    for key in many:
        view.observe(told(key, "CONFIGURED", 3))
    assert lines(book.news(view, held, book.shown(view, held, 1.0))) == [
        ("agent keys well", "agent: 300 keys are well again")
    ]


def test_what_is_shown() -> None:
    """Counts of our keys by state, unknown among them, and the worst 20 that are not CONFIGURED."""
    many = [f"{SID}{number:02}" for number in range(30)]
    view = observing(
        *(told(key, "PENDING", 2, details=["d"]) for key in many),
        told(POLICY, "FAILED", 2, error="e"),
        told(STEERING, "CONFIGURED", 2),
        Change(FullKey(PREFIX + status_key(ROUTE)), b"?", 2),
    )
    held = dict.fromkeys([*many, POLICY, STEERING, ROUTE], 1)
    shown = Digest().shown(view, held, 0.0)

    assert shown.source == "etcd"
    assert shown.states == {"CONFIGURED": 1, "FAILED": 1, "PENDING": 30, "unknown": 1}
    assert [one.key for one in shown.bad] == [POLICY, *many[:19]]
    assert len(shown.unreadable) == 1
    assert Digest().shown(View(PREFIX), held, 0.0).states == {}


def test_a_need_is_told_when_it_lasts() -> None:
    """One line when it has been there for two seconds, one when it is gone."""
    held = {SID: 1}
    view = observing(told(SID, "FAILED", 2, error=EXISTS, last_operation="CREATE"))
    book = Digest()

    def needs(now: float) -> list[str]:
        shown = book.shown(view, held, now)
        told = [text for what, text in lines(book.news(view, held, shown)) if "repair" in what]
        return [*(str(need.means) for need in shown.needs), *told]

    assert needs(0.0) == []
    assert book.is_waiting()
    why = "restart: VPP has the SID already"
    assert needs(2.0) == ["restart", f"repair is needed: {why} ({SID})"]
    assert not book.is_waiting()
    assert needs(3.0) == ["restart"]
    view.observe(told(SID, "CONFIGURED", 3, last_operation="CREATE"))
    assert needs(4.0) == ["repair is no longer needed: restart"]
    assert needs(5.0) == []


def test_keys_that_an_agent_that_is_asked_has_missed() -> None:
    """Half a minute after etcd had them; an agent that publishes may have dropped their states."""
    for is_polled, means in ((True, ["resend"]), (False, [])):
        view, book = observing(told(POLICY, "CONFIGURED", 2)), Digest()
        if is_polled:
            view.poll({POLICY: ValueStatus(POLICY, State.CONFIGURED)})
        held = {SID: 5, POLICY: 6}
        late, stall = 10.0 + digest.LATE_SECONDS, digest.STALL_SECONDS
        for now in (10.0, late - 1, late, late + stall - 1):
            assert book.shown(view, held, now).needs == ()
        for now in (late + stall, late + stall + 3):
            shown = book.shown(view, held, now)
        assert [str(need.means) for need in shown.needs] == means


def test_an_agent_at_work_has_missed_nothing() -> None:
    """As long as it gets to know late keys nothing is said, however long it takes; then the rest
    is, also while new keys come."""
    view, book = View(PREFIX, is_polled=True), Digest()
    held = {f"{SID}{number}": 5 for number in range(10)}
    late, stall = 10.0 + digest.LATE_SECONDS, digest.STALL_SECONDS
    book.shown(view, held, 10.0)
    for number in range(9):
        done = list(held)[: number + 1]
        view.poll({key: ValueStatus(key, State.CONFIGURED) for key in done})
        assert book.shown(view, held, late + number * (stall - 1)).needs == ()
    held |= {POLICY: 9}
    end = late + 8 * (stall - 1)
    for now in (end + stall, end + stall + 3):
        shown = book.shown(view, held, now)
    assert [(str(need.means), need.keys) for need in shown.needs] == [("resend", (f"{SID}9",))]


def test_nothing_but_a_restart_helps_an_agent_that_has_lost_vpp() -> None:
    """Whatever else its states call for."""
    view, book = View(PREFIX, is_polled=True), Digest()
    view.poll(
        {POLICY: failed(POLICY, BSID_EXISTS)}, PluginStatus("govpp", "ERROR", "State:Failed", 5)
    )
    view.judge(6.0)
    for now in (10.0, 13.0):
        shown = book.shown(view, {POLICY: 5}, now)
    assert [str(need.means) for need in shown.needs] == ["restart"]
    assert (shown.vpp, bool(shown.vpp_lost)) == ("ERROR", True)


def test_states_of_an_agent_that_is_gone() -> None:
    """They stay in etcd and count for nothing, until it reports again."""
    view = observing(told(POLICY, "CONFIGURED", 2))

    def report(when: int, revision: int) -> None:
        view.observe(checked("agent", revision, state="OK", last_update=str(when)))

    def counted() -> tuple[bool, int]:
        shown = Digest().shown(view, {POLICY: 2}, 0.0)
        return view.has_states, len(view.statuses) + len(shown.states)

    report(1000, 3)
    view.judge(1000 + DEAD_SECONDS)
    assert counted() == (True, 2)
    view.judge(1001 + DEAD_SECONDS)
    assert counted() == (False, 0)
    assert "last reported 61 s ago" in view.silence
    report(1001 + int(DEAD_SECONDS), 4)
    view.judge(1002 + DEAD_SECONDS)
    assert counted() == (True, 2)


def test_answers_over_rest() -> None:
    """What is not in the last answer is unknown, and so is everything while there is none."""
    view = View(PREFIX, is_polled=True)
    view.poll({SID: failed(SID, "e"), POLICY: ValueStatus(POLICY, State.CONFIGURED)})
    assert view.bad.keys() == {SID}
    view.poll({POLICY: ValueStatus(POLICY, State.CONFIGURED)})
    assert (view.state_of(SID), view.bad) == (None, {})
    view.lose()
    assert not view.has_states
    assert not view.owns(PREFIX + status_key(SID))
