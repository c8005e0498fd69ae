"""VPP's uptime and interfaces, in its own words, and restarts in them."""

from __future__ import annotations

import pytest

from srv6kv.vpp.uptime import Boots, interfaces_of, uptime_of

CLOCK = """\
Time now 22.944437, Sat, 28 Nov 2026 9:48:53 GMT
Time last barrier release 0.000000000
0: Time now 22.944445
Thread 0 offset 0.000000000 error 0.000000000
"""
INTERFACES = """\
              Name               Idx    State  MTU (L3/IP4/IP6/MPLS)     Counter          Count
host-slb236102                    7      up          1420/0/0/0     rx packets                     2
                                                                    rx bytes                     140
local0                            0     down          0/0/0/0       \n\
memif1/0                          1     down         1500/0/0/0     \n\
"""


@pytest.mark.parametrize(
    ("text", "uptime"),
    [
        (CLOCK, 22.944437),
        ("Time now 3", 3.0),
        ("", None),
        ("unknown input `clock'\n", None),
        ("Time now -1.0", None),
        ("Time now " + "9" * 400, None),
    ],
)
def test_uptime(text: str, uptime: float | None) -> None:
    """It is the first time that VPP names; whatever else makes no sense."""
    assert uptime_of(text) == uptime


def test_interfaces() -> None:
    """All but VPP's own one count, whether they are up or down; counters do not."""
    assert interfaces_of(INTERFACES) == 2
    assert interfaces_of(INTERFACES.partition("host")[0]) == 0


def test_a_restart_is_an_uptime_that_began_later() -> None:
    """An answer that takes long, clocks that drift and a clock that jumps ahead are none."""
    boots = Boots()

    assert not boots.has_restarted(100.0, 1000.0, 1000.1)
    assert not boots.has_restarted(100.5, 1000.5, 1003.5)
    assert not boots.has_restarted(104.1, 1004.0, 1004.1)
    assert not boots.has_restarted(200.0, 1005.0, 1005.1)
    assert not boots.has_restarted(185.0, 1005.5, 1005.6)
    assert boots.has_restarted(0.3, 1006.0, 1006.1)
    assert not boots.has_restarted(1.3, 1007.0, 1007.1)
    assert boots.has_restarted(0.3, 1008.0, 1008.1)
