"""A VPP that answers as VPP's C code does: return codes, pools, FIB entries, hidden state.

Each rule names its source. It refuses what VPP refuses; what VPP takes although it then crashes or
loses packets is noted in ``faults``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from ipaddress import ip_interface, ip_network
from typing import Any

from agentmodel import show
from agentmodel.iptables import Iptables
from agentmodel.objects import Call, Localsid, Policy, Pool, SegmentList, Steering, VppError

MOST_SIDS = 16
"""What fits a message on the wire (VPP rule V2)."""
ROOM = 5
"""What fits the packet's headroom (VPP rule V2)."""


class FakeVpp:
    """One VPP process.

    Attributes:
        calls: every message since ``calls.clear()``.
        faults: what VPP took although it breaks traffic or itself.
        version: of VPP, which decides how it prints (VPP rule V12).
        encap_source: the one that the next segment list gets.
        plain: what the agent can read back: interfaces, VRF tables, routes, neighbours; by key.
        kernel: what outlives VPP: the Linux objects of the agent; by key.
        iptables: the rule chains in it.
        on_restart: who is told that VPP is there again.
        has_dhcp: whether its plugin is there, without which an agent cannot list interfaces.
        refusals: codes with which the next calls of a name end, whatever they ask for, as when an
            answer is lost: by name, the next one first.
    """

    def __init__(self, version: str = "23.06") -> None:
        self.version = version
        self.calls: list[Call] = []
        self.faults: list[str] = []
        self.kernel: dict[str, Any] = {}
        self.iptables = Iptables()
        self.on_restart: list[Callable[[], None]] = []
        self.has_dhcp = True
        self.refusals: dict[str, list[int]] = {}
        self._begin()

    def _begin(self) -> None:
        self.born = time.monotonic()
        self.encap_source = "::"
        self.plain: dict[str, Any] = {}
        self.names: dict[str, str] = {}
        self.tables: set[tuple[str, int]] = {("IPV4", 0), ("IPV6", 0)}
        self.localsids: Pool[Localsid] = Pool()
        self.policies: Pool[Policy] = Pool()
        self.lists: Pool[SegmentList] = Pool()
        self.steerings: Pool[Steering] = Pool()
        self._sids: dict[str, int] = {}
        self._bsids: dict[str, int] = {}
        self._steers: dict[tuple[int, str, str], int] = {}
        self._hosts: dict[tuple[int, str], set[str]] = {}

    def restart(self) -> None:
        """The process ends and comes again, empty."""
        self._begin()
        for tell in list(self.on_restart):
            tell()

    def count(self, *names: str) -> int:
        """How many calls of these names there were."""
        return sum(call.name in names for call in self.calls)

    def _done(self, name: str, about: str, code: int = 0) -> None:
        if self.refusals.get(name):
            code = self.refusals[name].pop(0)
        self.calls.append(Call(name, about, code))
        if code:
            raise VppError(code)

    # FIB ----------------------------------------------------------------------------------------

    def hosts(self, vrf: int, address: str) -> frozenset[str]:
        """Who put a /128 entry for an address into a table."""
        return frozenset(self._hosts.get((vrf, address), ()))

    def _enter(self, vrf: int, address: str, source: str) -> None:
        self._hosts.setdefault((vrf, address), set()).add(source)

    def _leave(self, vrf: int, address: str, source: str) -> None:
        found = self._hosts.get((vrf, address), set())
        found.discard(source)
        if not found:
            self._hosts.pop((vrf, address), None)

    # Localsids (VPP rule V1) ----------------------------------------------------------------

    def localsid_add(self, sid: Localsid) -> None:
        """-1 exists, in any table; -3 no table; -4 a /128 entry is there; -2 bad interface."""
        code = 0
        if sid.address in self._sids:
            code = -1
        elif ("IPV6", sid.vrf) not in self.tables:
            code = -3
        elif self.hosts(sid.vrf, sid.address):
            code = -4
        elif sid.interface and sid.interface not in self.names:
            code = -2
        self._done("localsid_add", sid.address, code)
        if sid.behaviour in ("t", "dt6", "dt4"):
            family = "IPV4" if sid.behaviour == "dt4" else "IPV6"
            if (family, sid.table) not in self.tables:
                self.faults.append(f"localsid {sid.address}: table {sid.table} is not there")
        self._sids[sid.address] = self.localsids.add(sid)
        self._enter(sid.vrf, sid.address, "localsid")

    def localsid_del(self, address: str, vrf: int) -> None:
        """-2 there is none; the FIB entry is looked for in the table that is given."""
        self._done("localsid_del", address, 0 if address in self._sids else -2)
        index = self._sids.pop(address)
        found = self.localsids.items[index]
        if found is not None and found.vrf != vrf:
            self.faults.append(f"localsid {address}: deleted from table {vrf}, was in {found.vrf}")
        self.localsids.remove(index)
        self._leave(vrf, address, "localsid")

    # Policies (VPP rule V2) -----------------------------------------------------------------

    def policy_add(self, policy: Policy, segments: tuple[str, ...], weight: int) -> None:
        """-12 the BSID exists, or a /128 entry for it; -13 no table."""
        code = 0
        if policy.bsid in self._bsids or self.hosts(policy.vrf, policy.bsid):
            code = -12
        elif ("IPV6", policy.vrf) not in self.tables:
            code = -13
        self._done("policy_add", policy.bsid, code)
        self._bsids[policy.bsid] = self.policies.add(policy)
        self._enter(policy.vrf, policy.bsid, "bsid")
        self._new_list(policy, segments, weight)

    def _new_list(self, policy: Policy, segments: tuple[str, ...], weight: int) -> None:
        if not segments:
            self.faults.append(f"policy {policy.bsid}: a list without segments crashes VPP")
        elif len(segments) > MOST_SIDS:
            self.faults.append(f"policy {policy.bsid}: VPP reads past {MOST_SIDS} segments")
        elif len(segments) > ROOM:
            self.faults.append(f"policy {policy.bsid}: no headroom for {len(segments)} segments")
        if weight == 0:
            self.faults.append(f"policy {policy.bsid}: weight 0")
        made = SegmentList(segments[:MOST_SIDS], weight, self.encap_source)
        policy.lists.append(self.lists.add(made))

    def policy(self, bsid: str) -> Policy | None:
        """The policy with a BSID."""
        index = self._bsids.get(bsid)
        return None if index is None else self.policies.items[index]

    def list_add(self, bsid: str, segments: tuple[str, ...], weight: int) -> None:
        """-1 no such policy."""
        policy = self.policy(bsid)
        self._done("list_add", bsid, 0 if policy else -1)
        assert policy is not None
        self._new_list(policy, segments, weight)

    def list_del(self, bsid: str, index: int) -> None:
        """-1 no such policy; -21 it is the last list; -22 the policy has no such list."""
        policy = self.policy(bsid)
        if policy is None:
            code = -1
        elif len(policy.lists) == 1:
            code = -21
        else:
            code = 0 if index in policy.lists else -22
        self._done("list_del", bsid, code)
        assert policy is not None
        # vec_del1: the last one takes the place (VPP rule V7)
        place = policy.lists.index(index)
        policy.lists[place] = policy.lists[-1]
        policy.lists.pop()
        self.lists.remove(index)

    def policy_del(self, bsid: str) -> None:
        """-1 no such policy; steerings into it stay and lose every packet (VPP rule V8)."""
        policy = self.policy(bsid)
        self._done("policy_del", bsid, 0 if policy else -1)
        assert policy is not None
        if any(item.bsid == bsid for _, item in self.steerings.all()):
            self.faults.append(f"policy {bsid}: deleted while it is steered into")
        for index in policy.lists:
            self.lists.remove(index)
        self.policies.remove(self._bsids.pop(bsid))
        self._leave(policy.vrf, bsid, "bsid")

    def set_encap_source(self, address: str) -> None:
        """Lists that are there keep theirs (VPP rule V10)."""
        self._done("encap_source", address)
        self.encap_source = address

    # Steerings (VPP rule V3) ----------------------------------------------------------------

    def steering_add(self, vrf: int, prefix: str, bsid: str, interface: str = "") -> None:
        """-2 no such policy or interface; -5 not an encap policy; an entry that is there is
        pointed anew in place."""
        policy = self.policy(bsid)
        is_l2 = not prefix
        code = 0
        if policy is None or (is_l2 and interface not in self.names):
            code = -2
        elif not policy.is_encap and (is_l2 or ":" not in prefix):
            code = -5
        self._done("steering_add", prefix or interface, code)
        family = "IPV6" if ":" in prefix else "IPV4"
        if not is_l2 and (family, vrf) not in self.tables:
            self.faults.append(f"steering {prefix}: table {vrf} is not there, VPP crashes")
        place = (vrf, prefix, interface)
        if place in self._steers:
            found = self.steerings.items[self._steers[place]]
            assert found is not None
            found.bsid = bsid
            return
        self._steers[place] = self.steerings.add(Steering(vrf, prefix, interface, bsid))
        if prefix.endswith("/128"):
            address = prefix.partition("/")[0]
            if any(source.startswith("DROP") for source in self.hosts(vrf, address)):
                self.faults.append(f"steering {prefix}: a DROP route takes half of its packets")
            self._enter(vrf, address, "steering")

    def steering_del(self, vrf: int, prefix: str, interface: str = "") -> None:
        """-4 there is none."""
        place = (vrf, prefix, interface)
        self._done("steering_del", prefix or interface, 0 if place in self._steers else -4)
        self.steerings.remove(self._steers.pop(place))
        if prefix.endswith("/128"):
            self._leave(vrf, prefix.partition("/")[0], "steering")

    def steered(self) -> dict[tuple[int, str], str]:
        """The BSID of each (table, prefix), interfaces as prefixes of table -1."""
        return {
            ((one.vrf, one.prefix) if one.prefix else (-1, one.interface)): one.bsid
            for _, one in self.steerings.all()
        }

    def lists_of(self, bsid: str) -> list[tuple[tuple[str, ...], int]]:
        """Segments and weight of each list, in VPP's order."""
        policy = self.policy(bsid)
        assert policy is not None
        found = [self.lists.items[index] for index in policy.lists]
        return [(one.segments, one.weight) for one in found if one is not None]

    # What the agent can read back ----------------------------------------------------------------

    def add_plain(self, key: str, value: Any) -> None:
        """An interface, VRF table, route or neighbour comes."""
        self._done("plain_add", key)
        self.plain[key] = value

    def del_plain(self, key: str) -> None:
        """One of these goes."""
        self._done("plain_del", key)
        self.plain.pop(key, None)

    def add_table(self, family: str, vrf: int) -> None:
        """A VRF table comes."""
        self.tables.add((family, vrf))

    def del_table(self, family: str, vrf: int) -> None:
        """A VRF table goes; whatever SR object is in it dangles (VPP rule V9)."""
        if any(table == vrf for table, _ in self._hosts) and family == "IPV6":
            self.faults.append(f"table {vrf}: deleted while something is in it")
        self.tables.discard((family, vrf))

    def add_interface(self, name: str, kind: str, vrf: int, addresses: list[str]) -> None:
        """An interface comes, with a name of VPP's own."""
        taken = set(self.names.values())
        number = next(n for n in range(len(taken) + 1) if f"tap{n}" not in taken)
        self.names[name] = f"tap{number}" if kind == "TAP" else name
        self.set_addresses(name, vrf, addresses, True)

    def del_interface(self, name: str, vrf: int, addresses: list[str]) -> None:
        """An interface goes."""
        if any(sid.interface == name for _, sid in self.localsids.all()):
            self.faults.append(f"interface {name}: deleted under a localsid")
        self.names.pop(name, None)
        self.set_addresses(name, vrf, addresses, False)

    def set_addresses(self, name: str, vrf: int, addresses: list[str], is_there: bool) -> None:
        """Addresses of an interface come or go."""
        for text in addresses:
            change = self._enter if is_there else self._leave
            change(vrf, str(ip_interface(text).ip), f"interface {name}")

    def add_route(self, vrf: int, prefix: str, source: str) -> None:
        """A route comes; the source tells its kind."""
        network = ip_network(prefix)
        if network.prefixlen == network.max_prefixlen:
            self._enter(vrf, str(network.network_address), source)

    def del_route(self, vrf: int, prefix: str, source: str) -> None:
        """A route goes."""
        network = ip_network(prefix)
        if network.prefixlen == network.max_prefixlen:
            self._leave(vrf, str(network.network_address), source)

    # CLI ----------------------------------------------------------------------------------------

    def cli(self, command: str) -> str:
        """What VPP prints, raw; an unknown command gets what VPP says to one."""
        self._done("cli", command)
        words = " ".join(command.split()).replace("sh ", "show ", 1)
        match words:
            case "show sr policies":
                return self.show_sr_policies()
            case "show sr localsids":
                return self.show_sr_localsids()
            case "show sr steering-policies":
                return self.show_sr_steering_policies()
            case "show sr encaps source addr" if show.is_since(self.version, "21.01"):
                return f"SR encaps source addr = {self.encap_source}\n"
            case "show clock":
                now = time.monotonic() - self.born
                return f"Time now {now:.6f}, Sat, 28 Nov 2026 9:48:53 GMT\n0: Time now {now:.6f}\n"
            case "show interface":
                return show.interfaces(self)
            case "show version":
                return f"vpp v{self.version}-release built by root on localhost\n"
            case _:
                return f"unknown input `{command}'\n"

    def show_sr_policies(self, version: str = "") -> str:
        """Raw, with the backspaces that a terminal swallows."""
        return show.policies(self, version or self.version)

    def show_sr_localsids(self, version: str = "") -> str:
        """Raw."""
        return show.localsids(self, version or self.version)

    def show_sr_steering_policies(self, version: str = "") -> str:
        """Raw; the same text in all versions."""
        del version
        return show.steerings(self)
