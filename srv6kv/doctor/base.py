"""What a node needs before any pod: Node object, VRF tables, routes, uplink, host interconnect."""

from __future__ import annotations

from collections.abc import Iterator, Set

from srv6kv.cluster.topology import Peer, host_end_of, one_node_subnet
from srv6kv.doctor.contract import Seen, Value
from srv6kv.doctor.findings import ERROR, NOT_CHECKED, OK, WARNING, Finding
from srv6kv.ligato.keys import HOST_INTERCONNECT
from srv6kv.net.addresses import Prefix
from srv6kv.notes import Kind, Reason, Subject
from srv6kv.render.node import ENCAPSULATION, pod_subnets
from srv6kv.sync.reconciler import Reconciler

_DEFAULT_MTU = 1500
_EVERYTHING = "::/0"
_OF_NODE = (Reason.NODE_ADDRESS_UNKNOWN, Reason.SID_COLLISION, Reason.TUNNEL_INCOMPLETE)


def own_of(reconciler: Reconciler) -> Peer | None:
    """This node, after a plan."""
    return reconciler.renderer.services.topology.own


def node(reconciler: Reconciler) -> Iterator[Finding]:
    """The Node object, its id and address, and that it speaks IPv6."""
    own = own_of(reconciler)
    name = reconciler.renderer.services.topology.own_name
    warning = reconciler.own_node.warn()
    if own is None or warning is not None:
        remedy = "give --node its Kubernetes name, and its Node object among the manifests"
        yield Finding("node", ERROR, str(warning), remedy)
        return
    subject = Subject(Kind.NODE, name)
    notes = [note for note in sorted(reconciler.notes()) if note.subject == subject]
    for note in notes:
        if note.reason in _OF_NODE:
            remedy = "give it a pod CIDR within podSubnetCIDR, or the annotation srv6kv.io/node-ip"
            yield Finding("node", ERROR, f"{note.text} ({note.reason})", remedy)
    if own.id is not None and own.ip is not None:
        yield Finding("node", OK, f"{name} has id {own.id} and address {own.ip}")
    elif own.ip is not None:
        remedy = "host endpoints need a pod CIDR within podSubnetCIDR, or Contiv's record"
        text = f"{name} has address {own.ip} and no id: its host interconnect is not known"
        yield Finding("node", WARNING, text, remedy)
    elif not notes:
        yield Finding("node", ERROR, f"{name} has no id: its pod CIDR is not known")
    if any(not prefix.is_ipv4 for prefix in own.pod_prefixes):
        yield Finding("ipv6", OK, "the node has a pod CIDR of IPv6")
    else:
        remedy = "run the cluster with IPv6 as its first family"
        yield Finding("ipv6", ERROR, "the node has no pod CIDR of IPv6", remedy)


def tables(reconciler: Reconciler) -> Iterator[Finding]:
    """The VRF tables of IPv6."""
    settings = reconciler.settings
    for vrf, what in ((settings.main_vrf, "main"), (settings.pod_vrf, "pod")):
        key = f"config/vpp/v2/vrf-table/id/{vrf}/protocol/IPV6"
        text = f"{what} VRF {vrf}"
        if key in reconciler.actual.entries or key in reconciler.cluster.reported:
            yield Finding("vrf-tables", OK, f"{text}: its table is there")
        elif settings.node_plumbing == "full":
            yield Finding("vrf-tables", OK, f"{text}: srv6kv makes its table")
        elif vrf == 0:
            yield Finding("vrf-tables", OK, f"{text}: VPP always has table 0")
        else:
            remedy = f"the CNI must write {key}, or set srv6kv.nodePlumbing: full"
            yield Finding("vrf-tables", ERROR, f"{text}: there is no table for IPv6", remedy)


def routes(reconciler: Reconciler, seen: Seen) -> Iterator[Finding]:
    """From the pods to the world, and from the world to the pods of this node."""
    settings, own = reconciler.settings, own_of(reconciler)
    desired = [(settings.pod_vrf, _EVERYTHING, "default route of the pod VRF")]
    for part in pod_subnets(own, settings):
        desired.append((settings.main_vrf, str(part), "route from the main VRF to the pods"))
    for vrf, network, what in desired:
        text = f"{what} ({network})"
        if _is_covered(seen, vrf, network):
            yield Finding("routes", OK, f"{text}: it is there")
        elif settings.node_plumbing == "full":
            yield Finding("routes", OK, f"{text}: srv6kv makes it")
        else:
            remedy = "the CNI must write it, or set srv6kv.nodePlumbing: full"
            yield Finding("routes", ERROR, f"{text}: there is none in VRF {vrf}", remedy)


def _is_covered(seen: Seen, vrf: int, network: str) -> bool:
    """Whether a route of the VRF holds all of a network; the default one only counts for itself."""
    prefix = Prefix.parse_any(network)
    routes = (Prefix.parse_any(text) for number, text in seen.routes if number == vrf)
    return any(
        route == prefix or (route.covers(prefix) and not str(route).endswith("/0"))
        for route in routes
    )


def _has(value: Value, address: str) -> bool:
    return any(text.partition("/")[0] == address for text in value.get("ip_addresses") or [])


def uplink(reconciler: Reconciler, seen: Seen) -> Iterator[Finding]:
    """The interface with the node's address, and its MTU."""
    own, settings = own_of(reconciler), reconciler.settings
    if own is None or own.ip is None:
        yield Finding("uplink", NOT_CHECKED, "the node's address is not known")
        return
    found = [name for name, value in sorted(seen.interfaces.items()) if _has(value, own.ip)]
    if not found:
        remedy = f"the CNI should write the uplink with {own.ip}; segments of other nodes end there"
        text = f"no interface in the agent's keys has the node's address {own.ip}"
        yield Finding("uplink", WARNING, text, remedy)
        yield Finding("mtu", NOT_CHECKED, "the uplink is not known")
        return
    for name in found:
        vrf = seen.interfaces[name].get("vrf", 0)
        if vrf != settings.main_vrf:
            text = f"interface {name} with {own.ip} is in VRF {vrf}, not in {settings.main_vrf}"
            yield Finding("uplink", ERROR, text, "put it into the main VRF, or correct mainVRFID")
        else:
            yield Finding("uplink", OK, f"interface {name} has {own.ip}")
    mtu = reconciler.cluster.attachments.mtu_at(own.ip)
    if mtu is not None:
        yield _mtu(mtu, settings.mtu, seen.pod_mtus)


def _mtu(uplink_mtu: int, pod_mtu: int, real: Set[int]) -> Finding:
    """Two segments add 80 bytes; what does not fit then is lost for ever.

    Args:
        pod_mtu: as the settings say; 0: they do not.
        real: those of the pods; 0: one that is not known.
    """
    most = uplink_mtu - ENCAPSULATION
    remedy = f"set mtuSize, and with it the MTU of pods, to {most} or less"
    if pod_mtu > most:
        text = f"mtuSize {pod_mtu} and {ENCAPSULATION} bytes of SRv6 exceed the uplink's"
        return Finding("mtu", ERROR, f"{text} {uplink_mtu}: large packets are lost", remedy)
    if not pod_mtu and real and 0 not in real and max(real) <= most:
        return Finding("mtu", OK, f"pods have {max(real)} at most, the uplink {uplink_mtu}")
    if not pod_mtu and most < _DEFAULT_MTU:
        text = f"mtuSize is not set; with {_DEFAULT_MTU} in the pods packets over {most} are lost"
        return Finding("mtu", WARNING, text, remedy)
    return Finding("mtu", OK, f"pods have {pod_mtu or _DEFAULT_MTU}, the uplink {uplink_mtu}")


def host_interconnect(reconciler: Reconciler, seen: Seen) -> Iterator[Finding]:
    """``tap-vpp2`` with VPP's end of the node's part of vppHostSubnetCIDR, and the Linux end."""
    own, settings = own_of(reconciler), reconciler.settings
    check = "host-interconnect"
    if own is None or own.id is None:
        yield Finding(check, NOT_CHECKED, "the node's id is not known")
        return
    try:
        length = settings.host_subnet_one_node_len
        vpp_end = one_node_subnet(settings.host_subnet, length, own.id).host(1)
        linux_end = host_end_of(own.id, settings)
    except ValueError as error:
        yield Finding(check, ERROR, str(error), "give vppHostSubnetCIDR a part for every node")
        return
    value = seen.interfaces.get(HOST_INTERCONNECT)
    others = [name for name, value in sorted(seen.interfaces.items()) if _has(value, vpp_end)]
    if value is None:
        text = f"there is no interface {HOST_INTERCONNECT}"
        text += f"; {others[0]} has its address {vpp_end}" if others else ""
        remedy = f"the CNI must call VPP's end of the host interconnect {HOST_INTERCONNECT}"
        yield Finding(check, ERROR, text, remedy)
        return
    if not _has(value, vpp_end):
        text = f"{HOST_INTERCONNECT} has not {vpp_end}, VPP's end in vppHostSubnetCIDR"
        yield Finding(check, ERROR, text, "correct its ip_addresses, or vppHostSubnetCIDR")
    elif value.get("vrf", 0) != settings.main_vrf:
        text = f"{HOST_INTERCONNECT} is in VRF {value.get('vrf', 0)}, not in {settings.main_vrf}"
        yield Finding(check, ERROR, text, "put it into the main VRF, or correct mainVRFID")
    elif linux_end not in seen.ends:
        text = f"no Linux interface in the agent's keys has {linux_end}, the host's end"
        yield Finding(check, WARNING, text, "see that the host has it: host endpoints need it")
    else:
        yield Finding(check, OK, f"{HOST_INTERCONNECT} has {vpp_end}, the host {linux_end}")
