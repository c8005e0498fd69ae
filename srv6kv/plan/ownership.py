"""Which keys are ours: by name, or because their SID lies in a range that is reserved for us.

Rule (decision 0029): nothing else is ever updated or deleted. The ranges in use are noted in
etcd, so that a change of prefixes cleans up after itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

from srv6kv import foreign
from srv6kv.ligato import keys
from srv6kv.net import addresses, sids
from srv6kv.net.addresses import Prefix
from srv6kv.settings import Settings

_STEERING = re.compile(r"forK8sService-[a-z0-9-]+-[a-z0-9-]+(_[0-9a-f:.]+(_main)?)?\Z")
_TUNNEL = re.compile(
    r"forNodeToNodeTunneling-usingPolicyWithBSID-([0-9a-f:]+)"
    r"-and-(lookupInPodVRF|lookupInMainVRF|managementIP-[0-9a-f:.]+)\Z"
)
_ROUTE = re.compile(r"config/vpp/v2/route/vrf/\d+/dst/([0-9a-f:]+)/128/gw/([0-9a-f:]+)\Z")


def own_prefix(label: str) -> str:
    """Where srv6kv notes what it knows about itself and one agent."""
    return f"/srv6kv/{label}/"


@dataclass(frozen=True, slots=True)
class Ranges:
    """SID and BSID prefixes that are ours under a label, and exact keys beside them."""

    bsids: tuple[Prefix, ...] = ()
    sids: tuple[Prefix, ...] = ()
    routes: tuple[Prefix, ...] = ()
    keys: tuple[str, ...] = ()

    def __or__(self, other: Ranges) -> Ranges:
        return Ranges(
            tuple(dict.fromkeys(self.bsids + other.bsids)),
            tuple(dict.fromkeys(self.sids + other.sids)),
            tuple(dict.fromkeys(self.routes + other.routes)),
            tuple(dict.fromkeys(self.keys + other.keys)),
        )

    def owns(self, key: str) -> bool:
        """Whether a key (short form) is ours."""
        if key in self.keys:
            return True
        if key.startswith(keys.STEERING):
            name = key.removeprefix(keys.STEERING)
            tunnel = _TUNNEL.match(name)
            is_tunnel = tunnel is not None and _within(tunnel[1], self.bsids)
            return is_tunnel or _STEERING.match(name) is not None
        if key.startswith(keys.POLICY):
            return _within(key.removeprefix(keys.POLICY), self.bsids)
        if key.startswith(keys.LOCALSID):
            return _within(key.removeprefix(keys.LOCALSID), self.sids)
        if key.startswith(keys.RULE_CHAIN + keys.OUR_RULE_CHAIN):
            return True
        found = _ROUTE.match(key)
        return found is not None and _within(found[1], self.routes)

    def dump(self) -> bytes:
        """The text that is kept in etcd."""
        names = ("bsids", "keys", "routes", "sids")
        return msgspec.json.encode({name: list(map(str, getattr(self, name))) for name in names})


def ranges_of(settings: Settings, drop_routes: tuple[str, ...]) -> Ranges:
    """The ranges that srv6kv uses with these settings."""
    sid = settings.sid
    node = (sid.node,) if settings.node_plumbing != "none" else ()
    ends = (sid.tunnel_pod, sid.tunnel_host) if settings.has_tunnels else ()
    tunnels = (sid.tunnel_pod_bsid, sid.tunnel_host_bsid) if settings.has_tunnels else ()
    discard = Prefix.parse(f"{sids.discard_sid(sid.node)}/128")
    return Ranges(
        bsids=tuple(dict.fromkeys((sid.service_bsid, *tunnels))),
        sids=tuple(dict.fromkeys((sid.pod, sid.host, *node, *ends))),
        routes=tuple(dict.fromkeys((sid.pod, *(node or (discard,)), *ends))),
        keys=drop_routes,
    )


def load(text: bytes | None) -> Ranges:
    """The ranges noted in etcd; none if there is no note or it is not ours."""
    try:
        noted = foreign.decode(text or b"{}", dict[str, list[str]])
        bsids, sids, routes = (
            tuple(Prefix.parse(item) for item in noted.get(name, []))
            for name in ("bsids", "sids", "routes")
        )
        return Ranges(bsids, sids, routes, tuple(noted.get("keys", [])))
    except ValueError:
        return Ranges()


def _within(text: str, prefixes: tuple[Prefix, ...]) -> bool:
    """Whether a text is a canonical address in one of the prefixes: we write no other."""
    return addresses.is_canonical(text) and any(text in prefix for prefix in prefixes)
