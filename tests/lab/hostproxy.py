"""What kube-proxy does on a host, in masqueradeAll mode: VPP balances for pods, not for hosts."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from lab.cluster import Front, Json, fronts
from lab.netns import Netns

_CHAIN = "SRV6LAB"


def install(host: Netns, objects: Sequence[Json]) -> None:
    """Replace the host's translations by those of these services."""
    found = list(fronts(objects))
    for family, command in ((6, "ip6tables-restore"), (4, "iptables-restore")):
        rules = [
            rule
            for front in found
            if (":" in front.address) == (family == 6)
            for rule in _rules_of(front)
        ]
        text = "\n".join(
            [
                "*nat",
                ":PREROUTING ACCEPT [0:0]",
                ":OUTPUT ACCEPT [0:0]",
                ":POSTROUTING ACCEPT [0:0]",
                f":{_CHAIN} - [0:0]",
                f"-A PREROUTING -j {_CHAIN}",
                f"-A OUTPUT -j {_CHAIN}",
                "-A POSTROUTING -m conntrack --ctstate DNAT -j MASQUERADE",
                *rules,
                "COMMIT",
                "",
            ]
        )
        host.run(command, "--wait", text=text)


def _rules_of(front: Front) -> list[str]:
    """One rule for each endpoint, chosen with equal shares."""
    rules = []
    many = len(front.endpoints)
    protocol = front.protocol.lower()
    for number, (address, port) in enumerate(front.endpoints):
        target = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        share = Fraction(1, many - number)
        chance = f"-m statistic --mode random --probability {float(share):.8f} " * (share < 1)
        match = f"-d {front.address} -p {protocol} -m {protocol} --dport {front.port}"
        rules.append(f"-A {_CHAIN} {match} {chance}-j DNAT --to-destination {target}")
    return rules
