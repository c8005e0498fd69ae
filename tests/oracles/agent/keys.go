package main

import (
	"fmt"
	"net"
	"path"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// keyOf is the key that follows from a value: prefix and name of its model, joined and cleaned.
func keyOf(message protoreflect.Message) string {
	text := func(field protoreflect.Name) string {
		return message.Get(message.Descriptor().Fields().ByName(field)).String()
	}
	switch message.Descriptor().FullName() {
	case "ligato.vpp.srv6.LocalSID":
		return path.Join("config/vpp/srv6/v2/localsid", text("sid"))
	case "ligato.vpp.srv6.Policy":
		return path.Join("config/vpp/srv6/v2/policy", text("bsid"))
	case "ligato.vpp.srv6.Steering":
		return path.Join("config/vpp/srv6/v2/steering", text("name"))
	case "ligato.vpp.srv6.SRv6Global":
		return "config/vpp/srv6/v2/srv6-global"
	case "ligato.vpp.l3.Route":
		return path.Join("config/vpp/v2/route", routeName(text))
	case "ligato.vpp.l3.VrfTable":
		return path.Join("config/vpp/v2/vrf-table/id", text("id"), "protocol", enumName(message, "protocol"))
	case "ligato.vpp.l3.ARPEntry":
		return path.Join("config/vpp/v2/arp", text("interface"), text("ip_address"))
	case "ligato.linux.interfaces.Interface":
		return path.Join("config/linux/interfaces/v2/interface", text("name"))
	case "ligato.linux.iptables.RuleChain":
		return path.Join("config/linux/iptables/v2/rulechain", text("name"))
	}
	return ""
}

// routeName has the destination as Go's net package prints the network.
func routeName(text func(protoreflect.Name) string) string {
	network, bits := "<invalid>", 0
	if _, parsed, err := net.ParseCIDR(text("dst_network")); err == nil {
		network = parsed.IP.String()
		bits, _ = parsed.Mask.Size()
	}
	name := fmt.Sprintf("vrf/%s/dst/%s/%d", text("vrf_id"), network, bits)
	if through := text("outgoing_interface"); through != "" {
		name = "if/" + through + "/" + name
	}
	if hop := text("next_hop_addr"); hop != "" {
		name += "/gw/" + hop
	}
	return name
}

func enumName(message protoreflect.Message, field protoreflect.Name) string {
	descriptor := message.Descriptor().Fields().ByName(field)
	return string(descriptor.Enum().Values().ByNumber(message.Get(descriptor).Enum()).Name())
}
