"""A pod's services come and go while its others are called: nothing is lost, because its rules are
in two chains that change one after the other."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from etcd_server import eventually

from lab.cluster import Service
from lab.lab import Lab, LabNode
from lab.netns import Netns
from lab.topology import pod
from lab.traffic import Ending, Load, Tally, Target, calls

COMING = Service(
    "coming",
    ("2096::70", "10.96.0.70"),
    ("web-1a", "client-1"),
    spec={"ipFamilyPolicy": "RequireDualStack"},
)
"""It comes and goes; its pods have other services too."""
CALLS = (
    ("client-2", Target("2096::51", 80)),
    ("client-2", Target("2096::55", 80)),
    ("client-1", Target("2096::52", 80)),
    ("client-2", Target("10.96.0.53", 80)),
    ("client-2", Target("2096::53", 5353, "UDP")),
)
"""Other services of the same pods, of both families; one of them is a pod's own."""
RATE = 50.0
CHAINS = "config/linux/iptables/v2/rulechain/srv6kv-"
COPIES = {"PREROUTING": "DNAT", "OUTPUT": "NOTRACK"}
Json = dict[str, Any]


@contextmanager
def called(lab: Lab) -> Iterator[list[Tally]]:
    """The other services are called all the time."""
    with ExitStack() as stack:
        loads = [Load(lab.place(name), target, RATE) for name, target in CALLS]
        for load in loads:
            stack.enter_context(load)
        time.sleep(1.0)
        yield [load.tally for load in loads]
        time.sleep(1.0)


def check_all_answered(tallies: list[Tally], least: int) -> None:
    """No call was slow, reset or lost."""
    print(*tallies, sep="\n")

    assert [call for tally in tallies for call in tally.bad] == []
    assert sum(tally.total for tally in tallies) >= least


def test_changes_lose_nothing(lab: Lab) -> None:
    """Eight changes, each when the one before is done."""
    with called(lab) as tallies:
        for _ in range(4):
            with lab.changed(COMING):
                pass

    check_all_answered(tallies, 2000)


def test_changes_in_a_row_lose_nothing(lab: Lab) -> None:
    """Twelve of them, each while the agent still works on the one before."""
    with called(lab) as tallies:
        for _ in range(6):
            lab.apply(COMING.name, COMING.objects())
            time.sleep(0.7)
            lab.remove(COMING.name)
            time.sleep(0.7)
        lab.wait_until_programmed()

    check_all_answered(tallies, 1500)


def copies(one: LabNode) -> list[list[str]]:
    """The rules of both copies in etcd."""
    found = one.keys()
    return [json.loads(found[f"{CHAINS}lab-web-1a-DNAT-{copy}"])["rules"] for copy in "ab"]


def test_a_killed_process_leaves_no_gap(lab: Lab) -> None:
    """Killed when one copy is new and the other old; the next one goes on."""
    one = lab.nodes[1]
    with called(lab) as tallies:
        lab.apply(COMING.name, COMING.objects())

        def check_half() -> None:
            first, second = copies(one)
            assert first != second

        eventually(check_half, AssertionError)
        assert one.run is not None
        one.run.kill()
        one.run = None
        check_half()
        time.sleep(2.0)
        one.start_run()
        lab.wait_until_programmed()
        first, second = copies(one)
        assert first == second
        lab.remove(COMING.name)
        lab.wait_until_programmed()

    check_all_answered(tallies, 1500)


def in_one_chain(lab: Lab, one: LabNode, sandbox: str) -> dict[str, bytes]:
    """Write the chains of a pod as versions before did; all keys then."""
    found = {key: value for key, value in one.keys().items() if key.startswith(CHAINS + sandbox)}
    for key in sorted(found):
        hook = next((name for name in COPIES if f"-{name}" in key), None)
        if hook is None:
            continue
        copy = key.replace(f"-{hook}", f"-{COPIES[hook]}-a")
        value = {**json.loads(found[key]), "rules": json.loads(found[copy])["rules"]}
        lab.store.put(one.prefix + key, json.dumps(value, sort_keys=True, separators=(",", ":")))
    for key in found:
        if key.endswith(("-a", "-b", "-a-IPv4", "-b-IPv4")):
            lab.store.delete(one.prefix + key)
    eventually(lambda: _check_done(one), AssertionError)
    return one.keys()


def _check_done(one: LabNode) -> None:
    assert one.unfinished() == {}


def test_chains_of_earlier_versions(lab: Lab) -> None:
    """They stay as they are until their rules change, once with the gap that they have always had;
    from then on there is none."""
    one = lab.nodes[1]
    one.stop_run()
    before = in_one_chain(lab, one, "lab-web-1a")
    with called(lab) as tallies:
        one.start_run()
        lab.wait_until_programmed()
        time.sleep(2.0)
        assert one.keys() == before
    check_all_answered(tallies, 500)

    with called(lab) as first, lab.changed(COMING):
        pass
    print("the last change with a gap", *first, sep="\n")
    with called(lab) as tallies, lab.changed(COMING):
        pass
    check_all_answered(tallies, 500)


def test_vpp_and_agent_restart(lab: Lab) -> None:
    """Both copies outlive them in the pods, and changes go on without a gap."""
    one = lab.nodes[1]
    before = chains_in(lab.place("web-1a"))
    one.restart()
    lab.wait_until_programmed()
    eventually(lambda: _check_answered(lab), AssertionError)
    assert chains_in(lab.place("web-1a")) == before
    with called(lab) as tallies, lab.changed(COMING):
        pass
    check_all_answered(tallies, 500)


def _check_answered(lab: Lab) -> None:
    """Packets pass again, which they do some time after VPP and agent are done."""
    for name, target in CALLS:
        assert calls(lab.place(name), target, 20).endings == {Ending.OK: 20}


def chains_in(place: Netns) -> str:
    """What iptables has in a pod."""
    return "".join(place.run("ip6tables", "--wait", "-t", table, "-S") for table in ("nat", "raw"))


def test_a_pod_that_is_made_again(lab: Lab) -> None:
    """It has a new namespace under the same name, and all its chains in it."""
    one, found, target = lab.nodes[1], pod("web-1c"), Target("2096::57", 80)
    keys, before = lab.keys_of(found), chains_in(lab.place(found.name))
    lab.servers.remove(found.name)
    for key in keys:
        lab.store.delete(one.prefix + key)
    lab.wait_until_programmed()
    left = one.keys()
    assert not [key for key in left if key.startswith(f"{CHAINS}{found.sandbox}")]

    name = lab.place(found.name).name
    for word in ("del", "add"):
        subprocess.run(["ip", "netns", word, name], check=True, timeout=30)
    lab.places[found.name] = Netns(name)
    lab.place(found.name).prepare(forwards=False)
    assert chains_in(lab.place(found.name)) != before
    one.put(keys)
    lab.servers.add(lab.place(found.name), found.name, found.ports)
    lab.wait_until_programmed()
    assert chains_in(lab.place(found.name)) == before
    assert calls(lab.place("client-2"), target, 40).endings == {Ending.OK: 40}
