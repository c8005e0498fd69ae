"""Settings: what contiv.conf means, what is refused or warned about, with file, line and key."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srv6kv import settings
from srv6kv.errors import InputError, SettingsError
from srv6kv.kube.podannotations import PodAnnotations
from srv6kv.net.addresses import Prefix
from srv6kv.offline import settingsfile
from srv6kv.settings import Settings, SidPrefixes, file
from srv6kv.yamllines import Excerpt

NETWORKS = """\
ipamConfig:
  nodeInterconnectCIDR: fe10:f00d::/90
  podSubnetCIDR: 2001::/48
  podSubnetOneNodePrefixLen: 64
  vppHostSubnetCIDR: 2002::/64
  vppHostSubnetOneNodePrefixLen: 112
  vxlanCIDR: 2005::/112
  serviceCIDR: 2096::/110
"""  # lines 1 to 8
OLD = NETWORKS + "useNoOverlay: true\nuseSRv6Interconnect: true\n"  # lines 9 and 10
NEW = NETWORKS + "nodeToNodeTransport: srv6\nuseSRv6ForServices: true\n"
ON = "nodeToNodeTransport: srv6 and useSRv6ForServices: true"
OLD_WARNING = (
    "c:9: useNoOverlay: useNoOverlay and useSRv6Interconnect are names of Contiv 3.1; write " + ON
)


def sids(*texts: str) -> SidPrefixes:
    return SidPrefixes(*(Prefix.parse(f"{text}::/16") for text in texts))


OLD_SIDS = sids("5555", "6666", "6655", "7766", "7777", "7799", "8888", "9999")
NEW_SIDS = sids("8fff", "9300", "9300", "9000", "9501", "9500", "8501", "8500")
EXPECTED = Settings(
    pod_subnet=Prefix.parse("2001::/48"),
    pod_subnet_one_node_len=64,
    host_subnet=Prefix.parse("2002::/64"),
    host_subnet_one_node_len=112,
    node_interconnect=Prefix.parse("fe10:f00d::/90"),
    service_cidrs=(Prefix.parse("2096::/110"),),
    default_gateway=None,
    main_vrf=0,
    pod_vrf=1,
    transport="srv6",
    sid=NEW_SIDS,
    route_service_cidr_to_vpp=False,
    mtu=0,
    node_plumbing="full",
    kube_proxy="present",
    replace_window=0.3,
)


def changed(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1
    return text.replace(old, new)


def refusal(text: str, name: str = "c") -> str:
    with pytest.raises(SettingsError) as caught:
        settings.load(text, name)
    return str(caught.value)


def test_annotations_of_pods_count_only_if_they_are_allowed() -> None:
    """By default not at all; allowed, they are confined, to the defaults or to what is given."""
    off, said = settings.load(NEW + "srv6kv: {podInterfacePattern: 'tap*'}", "c")
    on, _ = settings.load(NEW + "srv6kv: {podAnnotations: true}", "c")
    mine = "{podAnnotations: true, podInterfacePattern: 'tap*', podNamespaceDirectories: [/x/y]}"
    other, _ = settings.load(NEW + f"srv6kv: {mine}", "c")

    assert (EXPECTED.pod_annotations, off.pod_annotations) == (None, None)
    assert said == (
        "c:11: srv6kv.podInterfacePattern: has no effect while podAnnotations is false",
    )
    assert on.pod_annotations == PodAnnotations(("/run/netns", "/var/run/netns"), "vpp-tap-*")
    assert other.pod_annotations == PodAnnotations(("/x/y",), "tap*")


def test_old_generation() -> None:
    """The options of the seed give its transport and SID prefixes, with one warning."""
    expected = replace(EXPECTED, sid=OLD_SIDS)

    assert (expected, (OLD_WARNING,)) == settings.load(OLD, "c")


def test_new_generation() -> None:
    """The options of today need no warning and have today's SID prefixes."""
    assert settings.load(NEW, "c") == (EXPECTED, ())


def test_both_generations() -> None:
    """Old and new names that agree count as new, with a warning."""
    text = NEW + "useNoOverlay: true\nuseSRv6Interconnect: true\n"
    warning = OLD_WARNING.replace("c:9", "c:11").replace(
        f"write {ON}", "remove it, the new names say the same"
    )

    assert (EXPECTED, (warning,)) == settings.load(text, "c")


def test_mixed_generations() -> None:
    """One new name beside the old ones is enough for the new SID prefixes."""
    found, warnings = settings.load(OLD + "useSRv6ForServices: true\n", "c")

    assert (found, len(warnings)) == (EXPECTED, 1)


def test_every_option() -> None:
    """Every option that is read reaches its field."""
    text = """\
mtuSize: 1500
mainVRFID: 5
podVRFID: 6
nodeToNodeTransport: nooverlay
useSRv6ForServices: true
routeServiceCIDRToVPP: true
tapv2RxRingSize: 256
STNVersion: 2
nodeConfig:
- nodeName: n1
  mainVPPInterface: {interfaceName: eth0, useDHCP: true}
  gateway: fe10::1
ipamConfig:
  useExternalIPAM: false
  nodeInterconnectCIDR: fe10:f00d::7/90
  podSubnetCIDR: 2001::/48
  podSubnetOneNodePrefixLen: 64
  vppHostSubnetCIDR: 2002::/64
  vppHostSubnetOneNodePrefixLen: 126
  serviceCIDR: 10.96.0.0/12, 2096::/110,2097::/112
  defaultGateway: FE10:F00D::0001/90
  srv6:
    servicePolicyBSIDSubnetCIDR: a001::/112
    servicePodLocalSIDSubnetCIDR: a002::/16
    serviceHostLocalSIDSubnetCIDR: a003::/16
    serviceNodeLocalSIDSubnetCIDR: a004::/16
    nodeToNodePodLocalSIDSubnetCIDR: a005::/16
    nodeToNodeHostLocalSIDSubnetCIDR: a006::/16
    nodeToNodePodPolicySIDSubnetCIDR: a007::/16
    nodeToNodeHostPolicySIDSubnetCIDR: a008::/16
    sfcPolicyBSIDSubnetCIDR: 8eee::/16
    sfcIDLengthUsedInSidForServiceFunction: 16
srv6kv:
  nodePlumbing: segments
  ipv4: false
  kubeProxy: masqueradeAll
  replaceWindow: 1.5s
"""
    sid = sids("a001", "a002", "a003", "a004", "a005", "a006", "a007", "a008")
    expected = Settings(
        pod_subnet=Prefix.parse("2001::/48"),
        pod_subnet_one_node_len=64,
        host_subnet=Prefix.parse("2002::/64"),
        host_subnet_one_node_len=126,
        node_interconnect=Prefix.parse("fe10:f00d::/90"),
        service_cidrs=(Prefix.parse("2096::/110"), Prefix.parse("2097::/112")),
        default_gateway="fe10:f00d::1",
        main_vrf=5,
        pod_vrf=6,
        transport="nooverlay",
        sid=replace(sid, service_bsid=Prefix.parse("a001::/112")),
        route_service_cidr_to_vpp=True,
        mtu=1500,
        node_plumbing="segments",
        kube_proxy="masqueradeAll",
        replace_window=1.5,
    )

    assert (expected, ()) == settings.load(text, "c")


def test_contiv_cidr() -> None:
    """contivCIDR gives all subnets but the service CIDR."""
    text = (
        "useSRv6ForServices: true\nipamConfig: {contivCIDR: 'fe10::/64', serviceCIDR: '2096::/110'}"
    )
    expected = replace(
        EXPECTED,
        transport="vxlan",
        pod_subnet=Prefix.parse("fe10::/112"),
        pod_subnet_one_node_len=121,
        host_subnet=Prefix.parse("fe10::1:0/112"),
        host_subnet_one_node_len=121,
        node_interconnect=Prefix.parse("fe10::2:0/119"),
    )

    assert (expected, ()) == settings.load(text, "c")


def test_contiv_cidr_wins() -> None:
    """Beside contivCIDR the other subnets are ignored with a warning, but not the interconnect."""
    found, warnings = settings.load(NEW + "", "c")
    text = changed(NEW, "  vxlanCIDR: 2005::/112\n", "  contivCIDR: 2003::/110\n")
    ignored = "ignored, contivCIDR decides; remove one of the two"
    expected = replace(
        EXPECTED,
        pod_subnet=Prefix.parse("2003::/112"),
        pod_subnet_one_node_len=121,
        host_subnet=Prefix.parse("2003::1:0/112"),
        host_subnet_one_node_len=121,
    )
    keys = (
        "3: ipamConfig.podSubnetCIDR",
        "4: ipamConfig.podSubnetOneNodePrefixLen",
        "5: ipamConfig.vppHostSubnetCIDR",
        "6: ipamConfig.vppHostSubnetOneNodePrefixLen",
    )

    assert (found, warnings) == (EXPECTED, ())
    assert (expected, tuple(f"c:{key}: {ignored}" for key in keys)) == settings.load(text, "c")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0.0), ("0s", 0.0), ("90s", 90.0), ("5m", 300.0), ("1.5 h", 5400.0), ("", 300.0)],
)
def test_full_comparison(text: str, seconds: float) -> None:
    """How often everything in etcd is compared has a unit; 0 turns it off."""
    found, _ = settings.load(f"{NEW}srv6kv:\n  fullComparison: {text}\n", "c")

    assert seconds == found.full_comparison


@pytest.mark.parametrize("value", ["5", "true", "-1s", "100ms", "25h", "soon", "[1]"])
def test_full_comparison_is_refused(value: str) -> None:
    """A period without a unit, too short or too long is refused with what would be right."""
    with pytest.raises(SettingsError, match=r"c:11: srv6kv\.fullComparison: must be 0 \(off\)"):
        settings.load(NEW + "srv6kv: {fullComparison: " + value + "}", "c")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0.0), ("10000", 10.0), ("300ms", 0.3), ("1s", 1.0), ("0.5 s", 0.5), ("null", 0.3)],
)
def test_replace_window(text: str, seconds: float) -> None:
    """A number counts milliseconds, a text names its unit."""
    found, _ = settings.load(f"{NEW}srv6kv:\n  replaceWindow: {text}\n", "c")

    assert seconds == found.replace_window


@pytest.mark.parametrize(
    ("gateway", "expected"),
    [
        ("10.0.0.1", None),
        ("10.0.0.1/24", None),
        ("fe10:F00D:0::1", "fe10:f00d::1"),
        ("fe10:f00d::1/90", "fe10:f00d::1"),
        ("''", None),
    ],
)
def test_default_gateway(gateway: str, expected: str | None) -> None:
    """A gateway is kept in its one spelling if it is IPv6."""
    found, _ = settings.load(
        changed(NEW, "vxlanCIDR: 2005::/112", f"defaultGateway: {gateway}"), "c"
    )

    assert expected == found.default_gateway


@pytest.mark.parametrize(
    ("extra", "warning"),
    [
        ("useSRv6Interconect: true", "useSRv6Interconect: unknown key, ignored; did you mean"),
        ("zz: 1", "zz: unknown key, ignored"),
        ('"a\\nb": 1', "'a\\nb': unknown key, ignored"),
        ("nodeConfig: [{zz: 1}]", "nodeConfig[0].zz: unknown key, ignored"),
    ],
)
def test_unknown_key_warning(extra: str, warning: str) -> None:
    """Outside ipamConfig and srv6kv an unknown key is a warning."""
    found, warnings = settings.load(NEW + extra, "c")

    assert (found, len(warnings)) == (EXPECTED, 1)
    assert warnings[0].startswith(f"c:11: {warning}")


def test_dhcp_warning() -> None:
    """With DHCP between nodes the addresses cannot be computed, which is a warning."""
    text = changed(NEW, "vxlanCIDR: 2005::/112", "nodeInterconnectDHCP: true")
    warning = (
        "c:7: ipamConfig.nodeInterconnectDHCP: node addresses come from the records of Contiv"
        " or the annotation srv6kv.io/node-ip only"
    )

    assert (EXPECTED, (warning,)) == settings.load(text, "c")


SRV6 = "ipamConfig:\n  srv6:\n    "  # takes the place of the first line; the key is at line 3
REFUSALS = [
    # the generations
    (NETWORKS, f"1: useSRv6ForServices: SRv6 services are off; set {ON}"),
    (
        NEW.replace("ces: true", "ces: false"),
        f"10: useSRv6ForServices: SRv6 services are off; set {ON}",
    ),
    (NETWORKS + "useNoOverlay: true", f"1: useSRv6ForServices: SRv6 services are off; set {ON}"),
    (
        NETWORKS + "useNoOverlay: true\nuseSRv6Interconnect: false",
        f"10: useSRv6Interconnect: SRv6 services are off; set {ON}",
    ),
    (
        NETWORKS + "useSRv6Interconnect: true",
        f"9: useSRv6Interconnect: true needs useNoOverlay: true beside it; or set {ON} instead",
    ),
    (
        OLD + "nodeToNodeTransport: nooverlay",
        "10: useSRv6Interconnect: true disagrees with nodeToNodeTransport: nooverlay;"
        " remove useSRv6Interconnect",
    ),
    (
        OLD + "nodeToNodeTransport: vxlan",
        "9: useNoOverlay: true disagrees with nodeToNodeTransport: vxlan; remove useNoOverlay",
    ),
    (
        OLD + "useSRv6ForServices: false",
        "10: useSRv6Interconnect: true disagrees with useSRv6ForServices: false;"
        " remove useSRv6Interconnect",
    ),
    (
        NEW + "useNoOverlay: false",
        "11: useNoOverlay: false disagrees with nodeToNodeTransport: srv6; remove useNoOverlay",
    ),
    (
        NEW + "useSRv6Interconnect: false",
        "11: useSRv6Interconnect: false disagrees with nodeToNodeTransport: srv6;"
        " remove useSRv6Interconnect",
    ),
    (
        changed(NEW, "srv6", "geneve"),
        "9: nodeToNodeTransport: must be one of vxlan, srv6, nooverlay, not the text 'geneve'",
    ),
    # what is not supported
    (
        NEW + "useDX6ForSrv6NodetoNodeTransport: true",
        "11: useDX6ForSrv6NodetoNodeTransport: tunnels that end in DX6 are not supported;"
        " remove it",
    ),
    (
        NEW + "stealFirstNIC: true",
        "11: stealFirstNIC: sharing a NIC with the host (STN) is not supported; remove it",
    ),
    (
        NEW + "stealInterface: eth0",
        "11: stealInterface: sharing a NIC with the host (STN) is not supported; remove it",
    ),
    (
        NEW + "nodeConfig:\n- nodeName: n1\n  stealInterface: eth0",
        "13: nodeConfig[0].stealInterface: sharing a NIC with the host (STN) is not supported;"
        " remove it",
    ),
    (
        changed(NEW, "fe10:f00d::/90", "10.2.0.0/16") + "srv6kv:\n  ipv4: true",
        "2: ipamConfig.nodeInterconnectCIDR: 10.2.0.0/16 is IPv4; give an IPv6 prefix, SRv6 has no"
        " other addresses",
    ),
    (
        changed(NEW, "2001::/48", "10.1.0.0/16") + "srv6kv:\n  ipv4: true",
        "4: ipamConfig.podSubnetOneNodePrefixLen: 64 is too long: a node's part holds its hosts 1"
        " and 2; set it from 17 to 30",
    ),
    (
        NEW + "srv6kv:\n  externalIPs:\n    allowedCIDRs: [fd00::/16, 10.0.0.0/33]",
        "13: srv6kv.externalIPs.allowedCIDRs[1]: must be a prefix, not the text '10.0.0.0/33'",
    ),
    (
        NEW + "srv6kv:\n  externalIPs: {allowed: []}",
        "12: srv6kv.externalIPs.allowed: unknown key; did you mean allowedCIDRs?",
    ),
    # annotations of pods
    (
        NEW + "srv6kv:\n  podAnnotations: maybe",
        "12: srv6kv.podAnnotations: must be true or false, not the text 'maybe'",
    ),
    (
        NEW + "srv6kv:\n  podNamespaceDirectories: /run/netns",
        "12: srv6kv.podNamespaceDirectories: must be a list, not the text '/run/netns'",
    ),
    (
        NEW + "srv6kv:\n  podAnnotations: true\n  podNamespaceDirectories: []",
        "13: srv6kv.podNamespaceDirectories: is empty; name directories, or set podAnnotations:"
        " false",
    ),
    *(
        (
            NEW + f"srv6kv:\n  podNamespaceDirectories:\n  - /run/netns\n  - {text}",
            "14: srv6kv.podNamespaceDirectories[1]: must be an absolute path without ., .. or"
            f" doubled slashes, not {what}",
        )
        for text, what in (
            ("run/netns", "the text 'run/netns'"),
            ("/run/../proc", "the text '/run/../proc'"),
            ("/./proc", "the text '/./proc'"),
            ("//proc", "the text '//proc'"),
            ("/run/netns/", "the text '/run/netns/'"),
            ("7", "7"),
            ("''", "the text ''"),
        )
    ),
    *(
        (
            NEW + f"srv6kv:\n  podNamespaceDirectories: [{text}]",
            "12: srv6kv.podNamespaceDirectories[0]: must hold named network namespaces only, as"
            f" /run/netns does, not the text '{text}'",
        )
        for text in ("/", "/proc", "/proc/1/ns")
    ),
    # VRFs
    (NEW + "podVRFID: 0", "11: podVRFID: mainVRFID and podVRFID are both 0; set two numbers"),
    (NEW + "mainVRFID: 1", "11: mainVRFID: mainVRFID and podVRFID are both 1; set two numbers"),
    (
        NEW + "mainVRFID: 4294967295",
        "11: mainVRFID: must be a whole number from 0 to 4294967294, not 4294967295",
    ),
    # subnets
    (
        "useSRv6ForServices: true",
        "1: ipamConfig.serviceCIDR: missing; give the service CIDR of the Kubernetes API server",
    ),
    (
        changed(NEW, "  podSubnetCIDR: 2001::/48\n", ""),
        "1: ipamConfig.podSubnetCIDR: missing; give an IPv6 prefix, or contivCIDR for all",
    ),
    (
        changed(NEW, "2001::/48", "null"),
        "3: ipamConfig.podSubnetCIDR: missing; give an IPv6 prefix, or contivCIDR for all",
    ),
    (
        changed(NEW, "2002::/64", "''"),
        "5: ipamConfig.vppHostSubnetCIDR: missing; give an IPv6 prefix, or contivCIDR for all",
    ),
    (
        changed(NEW, "  nodeInterconnectCIDR: fe10:f00d::/90\n", ""),
        "1: ipamConfig.nodeInterconnectCIDR: missing; give an IPv6 prefix, or contivCIDR for all",
    ),
    (
        changed(NEW, "  serviceCIDR: 2096::/110\n", ""),
        "1: ipamConfig.serviceCIDR: missing; give the service CIDR of the Kubernetes API server",
    ),
    (
        changed(NEW, "2096::/110", "10.96.0.0/12"),
        "8: ipamConfig.serviceCIDR: 10.96.0.0/12 holds no IPv6 prefix; services here need one",
    ),
    (
        changed(NEW, "2096::/110", "2096::/110,x"),
        "8: ipamConfig.serviceCIDR: 'x' is not a prefix; give address/length,"
        " such as 2001:db8::/48",
    ),
    (
        changed(NEW, "2001::/48", "10.1.0.0/16"),
        "3: ipamConfig.podSubnetCIDR: 10.1.0.0/16 is IPv4; give an IPv6 prefix, or set"
        " srv6kv.ipv4: true",
    ),
    (
        changed(NEW, "2002::/64", "172.30.0.0/16"),
        "5: ipamConfig.vppHostSubnetCIDR: 172.30.0.0/16 is IPv4; give an IPv6 prefix, or set"
        " srv6kv.ipv4: true",
    ),
    (
        changed(NEW, "2001::/48", "2001::/129"),
        "3: ipamConfig.podSubnetCIDR: '2001::/129' is not a prefix; give address/length,"
        " such as 2001:db8::/48",
    ),
    (
        changed(NEW, "2001::/48", "::ffff:10.1.0.0/112"),
        "3: ipamConfig.podSubnetCIDR: ::ffff:10.1.0.0/112 is an IPv4-mapped address;"
        " give an IPv6 prefix",
    ),
    (
        changed(NEW, "  podSubnetOneNodePrefixLen: 64\n", ""),
        "1: ipamConfig.podSubnetOneNodePrefixLen: not set, and the default 24 is not longer than"
        " podSubnetCIDR 2001::/48; set it from 49 to 126",
    ),
    (
        changed(NEW, "OneNodePrefixLen: 64", "OneNodePrefixLen: 48"),
        "4: ipamConfig.podSubnetOneNodePrefixLen: 48 is not longer than podSubnetCIDR 2001::/48;"
        " set it from 49 to 126",
    ),
    (
        changed(NEW, "OneNodePrefixLen: 112", "OneNodePrefixLen: 127"),
        "6: ipamConfig.vppHostSubnetOneNodePrefixLen: 127 is too long: a node's part holds its"
        " hosts 1 and 2; set it from 65 to 126",
    ),
    (
        changed(NEW, "2002::/64", "2002::/126"),
        "6: ipamConfig.vppHostSubnetOneNodePrefixLen: 112 is not longer than vppHostSubnetCIDR"
        " 2002::/126; set it at most 126, and vppHostSubnetCIDR shorter",
    ),
    (
        changed(NEW, "vxlanCIDR: 2005::/112", "contivCIDR: 2005::/111"),
        "7: ipamConfig.contivCIDR: 2005::/111 is too small; the length must be 110 at most",
    ),
    (
        changed(NEW, "vxlanCIDR: 2005::/112", "contivCIDR: 10.0.0.0/8"),
        "7: ipamConfig.contivCIDR: 10.0.0.0/8 is IPv4; give an IPv6 prefix, SRv6 has no other"
        " addresses",
    ),
    (
        changed(NEW, "vxlanCIDR: 2005::/112", "defaultGateway: router"),
        "7: ipamConfig.defaultGateway: 'router' is not an address; give one such as fe10::1",
    ),
    (
        changed(NEW, "vxlanCIDR: 2005::/112", "defaultGateway: ::ffff:10.0.0.1"),
        "7: ipamConfig.defaultGateway: '::ffff:10.0.0.1' is not an address;"
        " give one such as fe10::1",
    ),
    # SID prefixes
    (
        changed(NEW, "ipamConfig:\n", SRV6 + "servicePolicyBSIDSubnetCIDR: 5555::/113\n"),
        "3: ipamConfig.srv6.servicePolicyBSIDSubnetCIDR: 5555::/113 is too long; BSIDs that clash"
        " need 16 bits, so 112 at most",
    ),
    (
        changed(NEW, "ipamConfig:\n", SRV6 + "nodeToNodePodPolicySIDSubnetCIDR: 5555::/128\n"),
        "3: ipamConfig.srv6.nodeToNodePodPolicySIDSubnetCIDR: 5555::/128 is too long; BSIDs that"
        " clash need 16 bits, so 112 at most",
    ),
    (
        changed(NEW, "ipamConfig:\n", SRV6 + "servicePodLocalSIDSubnetCIDR: 10.0.0.0/8\n"),
        "3: ipamConfig.srv6.servicePodLocalSIDSubnetCIDR: 10.0.0.0/8 is IPv4; give an IPv6 prefix,"
        " SRv6 has no other addresses",
    ),
    (
        changed(NEW, "ipamConfig:\n", SRV6 + "servicePodLocalSIDSubnetCIDR: ::/0\n"),
        "3: ipamConfig.srv6.servicePodLocalSIDSubnetCIDR: ::/0 can make IPv4-mapped addresses;"
        " give a prefix that cannot",
    ),
    (
        changed(NEW, "ipamConfig:\n", SRV6 + "servicePodLocalSIDSubnetCIDR: '::8000:0:0/81'\n"),
        "3: ipamConfig.srv6.servicePodLocalSIDSubnetCIDR: ::8000:0:0/81 can make IPv4-mapped"
        " addresses; give a prefix that cannot",
    ),
    (
        changed(NEW, "ipamConfig:\n", SRV6 + "servicePodLocalSIDSubnetCIDR: ::/96\n"),
        "3: ipamConfig.srv6.servicePodLocalSIDSubnetCIDR: ::/96 can make the addresses below"
        " ::1:0:0; give a prefix that cannot",
    ),
    (
        changed(NEW, "ipamConfig:\n", SRV6 + "servicePodLocalSIDSubnetCIDR: 2001::/16\n"),
        "3: ipamConfig.srv6.servicePodLocalSIDSubnetCIDR: 2001::/16 overlaps 2001::/48 of"
        " ipamConfig.podSubnetCIDR; choose another",
    ),
    (
        changed(NEW, "ipamConfig:\n", SRV6 + "serviceNodeLocalSIDSubnetCIDR: fe10:f00d::/96\n"),
        "3: ipamConfig.srv6.serviceNodeLocalSIDSubnetCIDR: fe10:f00d::/96 overlaps fe10:f00d::/90"
        " of ipamConfig.nodeInterconnectCIDR; choose another",
    ),
    (
        changed(NEW, "2096::/110", "8fff::/110"),
        "8: ipamConfig.serviceCIDR: 8fff::/110 overlaps 8fff::/16, the default of"
        " servicePolicyBSIDSubnetCIDR; set that one",
    ),
    (
        changed(NEW, "vxlanCIDR: 2005::/112", "contivCIDR: 9300::/64"),
        "7: ipamConfig.contivCIDR: 9300::/112 overlaps 9300::/16, the default of"
        " servicePodLocalSIDSubnetCIDR; set that one",
    ),
    (
        changed(NEW, "ipamConfig:\n", SRV6 + "servicePolicyBSIDSubnetCIDR: '9300:1::/32'\n"),
        "3: ipamConfig.srv6.servicePolicyBSIDSubnetCIDR: 9300:1::/32 overlaps 9300::/16 of"
        " servicePodLocalSIDSubnetCIDR; choose another",
    ),
    (
        changed(NEW, "ipamConfig:\n", SRV6 + "servicePodLocalSIDSubnetCIDR: 8500::/16\n"),
        "3: ipamConfig.srv6.servicePodLocalSIDSubnetCIDR: 8500::/16 overlaps 8500::/16 of"
        " nodeToNodeHostPolicySIDSubnetCIDR; choose another",
    ),
    (
        changed(NEW, "ipamConfig:\n", SRV6 + "nodeToNodePodLocalSIDSubnetCIDR: 9000::/16\n"),
        "3: ipamConfig.srv6.nodeToNodePodLocalSIDSubnetCIDR: 9000::/16 is also"
        " serviceNodeLocalSIDSubnetCIDR; both SIDs of a node would be one",
    ),
    (
        changed(NEW, "ipamConfig:\n", SRV6 + "serviceNodeLocalSIDSubnetCIDR: 9501::/16\n"),
        "3: ipamConfig.srv6.serviceNodeLocalSIDSubnetCIDR: 9501::/16 is also"
        " nodeToNodePodLocalSIDSubnetCIDR; both SIDs of a node would be one",
    ),
    # types and unknown keys
    (
        NEW + "mtuSize: '1500'",
        "11: mtuSize: must be a whole number from 0 to 65535, not the text '1500'",
    ),
    (NEW + "mtuSize: true", "11: mtuSize: must be a whole number from 0 to 65535, not true"),
    (NEW + "mtuSize: -1", "11: mtuSize: must be a whole number from 0 to 65535, not -1"),
    (NEW + "mtuSize: 1.5", "11: mtuSize: must be a whole number from 0 to 65535, not 1.5"),
    (
        NEW + "mtuSize: .nan",
        "11: mtuSize: must be a whole number from 0 to 65535, not the text '.nan'",
    ),
    (
        NEW + "mtuSize: " + "9" * 64,
        f"11: mtuSize: must be a whole number from 0 to 65535, not {'9' * 57}...",
    ),
    (
        changed(NEW, "ces: true", "ces: 'true'"),
        "10: useSRv6ForServices: must be true or false, not the text 'true'",
    ),
    (changed(NEW, "2001::/48", "5"), "3: ipamConfig.podSubnetCIDR: must be text, not 5"),
    (changed(NEW, "2096::/110", "5"), "8: ipamConfig.serviceCIDR: must be text, not 5"),
    (changed(NEW, "2001::/48", "[a]"), "3: ipamConfig.podSubnetCIDR: must be text, not a list"),
    ("ipamConfig: []\nuseSRv6ForServices: true", "1: ipamConfig: must be a mapping, not a list"),
    (NEW + "srv6kv: full", "11: srv6kv: must be a mapping, not the text 'full'"),
    (NEW + "nodeConfig: {}", "11: nodeConfig: must be a list, not a mapping"),
    (NEW + "nodeConfig: [n1]", "11: nodeConfig[0]: must be a mapping, not the text 'n1'"),
    (
        changed(NEW, "vxlanCIDR: 2005::/112", "srv6: [9300::/16]"),
        "7: ipamConfig.srv6: must be a mapping, not a list",
    ),
    (
        changed(NEW, "vxlanCIDR", "vxlanCidr"),
        "7: ipamConfig.vxlanCidr: unknown key; did you mean vxlanCIDR?",
    ),
    (
        changed(NEW, "ipamConfig:\n", SRV6 + "zz: 1\n"),
        "3: ipamConfig.srv6.zz: unknown key",
    ),
    (NEW + "srv6kv:\n  zz: 1", "12: srv6kv.zz: unknown key"),
    (
        NEW + "srv6kv: {nodePlumbing: half}",
        "11: srv6kv.nodePlumbing: must be one of full, segments, none, not the text 'half'",
    ),
    (
        NEW + "srv6kv: {kubeProxy: true}",
        "11: srv6kv.kubeProxy: must be one of present, masqueradeAll, absent, not true",
    ),
    *(
        (
            NEW + "srv6kv: {replaceWindow: " + value + "}",
            "11: srv6kv.replaceWindow: must be 0 to 10000 milliseconds, as 300, 300ms or 1s,"
            f" not {said}",
        )
        for value, said in [
            ("-1", "-1"),
            ("10001", "10001"),
            ("11s", "the text '11s'"),
            ("true", "true"),
            ("1.5", "1.5"),
            ("1m", "the text '1m'"),
            ("[]", "a list"),
        ]
    ),
    # the text as a whole
    ("", "1: the settings are empty; at least ipamConfig is needed"),
    ("# nothing\n", "1: the settings are empty; at least ipamConfig is needed"),
    ("null", "1: the settings are empty; at least ipamConfig is needed"),
    ("- a", "1: the settings must be a mapping of keys, not a list"),
    ("\nhello", "2: the settings must be a mapping of keys, not the text 'hello'"),
    (NEW + "---\na: 1", "12: a second document; settings are one document"),
    (
        NEW + "podVRFID: 1\npodVRFID: 2",
        "12: key 'podVRFID' is there twice, first at line 11; give valid YAML",
    ),
    (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: contiv-agent-cfg}\ndata: {}",
        "1: manifests, but no ConfigMap contiv-agent-cfg with a text contiv.conf under data",
    ),
    # the first line counts
    (
        changed(NEW, "2001::/48", "5") + "zz: 1\nmtuSize: no",
        "3: ipamConfig.podSubnetCIDR: must be text, not 5",
    ),
    ("mtuSize: no\nipamConfig: 5", "1: mtuSize: must be a whole number from 0 to 65535, not false"),
]


@pytest.mark.parametrize(("text", "message"), REFUSALS)
def test_refusal(text: str, message: str) -> None:
    """Settings are refused with one line: file, line, key, what is wrong and what is right."""
    assert f"c:{message}" == refusal(text)


def test_pod_and_host_sids_may_share() -> None:
    """Pod and host SIDs may have one prefix, and prefixes that only touch do not overlap."""
    text = changed(
        NEW,
        "ipamConfig:\n",
        SRV6
        + "servicePodLocalSIDSubnetCIDR: 2000::/16\n"
        + "    serviceHostLocalSIDSubnetCIDR: 2000::/16\n",
    )
    shared = Prefix.parse("2000::/16")
    found, _ = settings.load(text, "c")

    assert replace(NEW_SIDS, pod=shared, host=shared) == found.sid


def test_json_settings() -> None:
    """A contiv.conf in JSON is read, tabs and all."""
    text = """{
\t"useSRv6ForServices": true, "nodeToNodeTransport": "srv6",
\t"ipamConfig": {"podSubnetCIDR": "2001::/48", "podSubnetOneNodePrefixLen": 64,
\t\t"vppHostSubnetCIDR": "2002::/64", "vppHostSubnetOneNodePrefixLen": 112,
\t\t"nodeInterconnectCIDR": "fe10:f00d::/90", "serviceCIDR": "2096::/110"}}"""

    assert settings.load(text, "c") == (EXPECTED, ())


def indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {}\ndata:\n  contiv.conf: |-\n"
OURS = CONFIG_MAP.format("contiv-agent-cfg")  # the text begins at line 7


def test_config_map() -> None:
    """A ConfigMap is read as the contiv.conf in it; lines are those of the manifest."""
    warnings = (OLD_WARNING.replace("c:9", "c:15"),)

    assert (replace(EXPECTED, sid=OLD_SIDS), warnings) == settings.load(OURS + indented(OLD), "c")
    assert "c:16: zz: unknown" in settings.load(OURS + indented("zz: 1\n" + NEW), "c", 10)[1][0]


def test_config_map_of_many() -> None:
    """Of several ConfigMaps in one file contiv-agent-cfg counts, wherever it stands."""
    other = CONFIG_MAP.format("other") + indented("mtuSize: no")
    mine = OURS + indented("mtuSize: no")
    right = "mtuSize: must be a whole number from 0 to 65535, not false"

    assert f"c:7: {right}" == refusal(other)
    assert f"c:15: {right}" == refusal(f"{other}---\n{mine}")
    assert f"c:7: {right}" == refusal(f"{mine}---\nkind: Pod\n---\n{other}")


def test_config_map_in_a_list() -> None:
    """A list of ConfigMaps is searched; lines in a quoted text count as its first one."""
    text = (
        '{"apiVersion": "v1", "kind": "%s", "items": [1,\n'
        '%s"data": {"contiv.conf":\n"\\n\\na: ["}}]}'
    )
    for kinds in (("ConfigMapList", "{"), ("List", '{"kind": "ConfigMap", ')):
        said = refusal(text % kinds)

        assert said.startswith("c:3: not valid YAML: ")
        assert said.endswith("; give valid YAML")


def test_excerpt() -> None:
    """The contiv.conf of a ConfigMap that somebody else read is refused at its true line."""
    with pytest.raises(SettingsError, match=r"^m.yaml:12: mtuSize: must be a whole number"):
        settings.load_excerpt(Excerpt("---\n\nmtuSize: no", "m.yaml", 10, True))
    with pytest.raises(SettingsError, match=r"^m.yaml:10: mtuSize: must be a whole number"):
        settings.load_excerpt(Excerpt("---\n\nmtuSize: no", "m.yaml", 10, False))


def test_find_order(tmp_path: Path) -> None:
    """The option goes before the environment, the default file and the ConfigMap."""
    option, variable, default = (tmp_path / name for name in ("option", "variable", "default"))
    for number, path in enumerate((option, variable, default)):
        path.write_text(f"{NEW}mtuSize: {1501 + number}\n")
    excerpt = Excerpt(f"{NEW}mtuSize: 1504\n", "m.yaml", 7, True)
    environ = {"CONTIV_CONFIG": str(variable)}
    empty = {"CONTIV_CONFIG": ""}
    found = [
        settingsfile.find(option, environ, excerpt, default),
        settingsfile.find(None, environ, excerpt, default),
        settingsfile.find(None, empty, excerpt, default),
        settingsfile.find(None, {}, excerpt, tmp_path / "absent"),
    ]

    assert [one.mtu for one, _ in found] == [1501, 1502, 1503, 1504]


def test_find_failures(tmp_path: Path) -> None:
    """A named file that cannot be read is an error, and so is no file at all."""
    latin = tmp_path / "latin"
    latin.write_bytes(b"a: 1\nb: \xe4\n")
    cases = [
        (tmp_path / "absent", f"{tmp_path}/absent: cannot be read: No such file or directory"),
        (tmp_path, f"{tmp_path}: cannot be read: Is a directory"),
        (Path("a\0b"), "'a\\x00b': cannot be read: embedded null byte"),
        (latin, f"{latin}:2: not UTF-8; save it as UTF-8"),
        (
            None,
            f"no settings: give --config FILE, set CONTIV_CONFIG, create {tmp_path}/none"
            " or put the ConfigMap contiv-agent-cfg among the manifests",
        ),
    ]
    for path, message in cases:
        with pytest.raises((SettingsError, InputError)) as caught:
            settingsfile.find(path, {}, None, tmp_path / "none")

        assert message == str(caught.value)


KEYS = [
    *file.TOP,
    *file.IPAM,
    *file.SIDS,
    *file.OWN,
]
KEYS += ["a", "<<", "kind", "apiVersion", "data", "contiv.conf", "\u2028"]
SCALARS = ["true", "false", "~", "1", "-5", "1e400", ".nan", "::/0", "2001::/48", "10.0.0.0/8", "s"]
SCALARS += ["'a\\nb'", '"a\\u2028b"', "ConfigMap", "contiv-agent-cfg", "srv6", "*x", "!!set {}"]
WORDS = st.sampled_from(KEYS)
VALUES = st.recursive(
    st.sampled_from([*SCALARS, "\x01"]) | st.text(max_size=5),
    lambda inner: (
        st.dictionaries(WORDS, inner, max_size=5).map(
            lambda entries: (
                "{" + ", ".join(f'"{key}": {value}' for key, value in entries.items()) + "}"
            )
        )
        | st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
    ),
    max_leaves=12,
)
LINES = st.lists(st.tuples(WORDS, VALUES), max_size=6).map(
    lambda entries: "".join(f"{key}: {value}\n" for key, value in entries)
)


@given(st.text() | VALUES | LINES | LINES.map(lambda text: NEW + text) | LINES.map(OURS.__add__))
def test_any_text(text: str) -> None:
    """Any text gives settings or one line that begins with the file name and a line number."""
    try:
        _, warnings = settings.load(text, "some/file.conf")
    except SettingsError as error:
        warnings = (str(error),)
    for message in warnings:
        file, line, rest = message.split(":", 2)

        assert len(message.splitlines()) == 1
        assert file == "some/file.conf"
        assert 1 <= int(line) <= len(text) + 1
        assert rest.startswith(" ")
