"""What the agent's descriptors do with a value: validate, depend, compare, create, update, delete.

Rule: agent rules A41 to A45 for SRv6, A32 for the others. Everything goes through FakeVpp,
which answers with VPP's codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_interface
from typing import Any

from agentmodel import values
from agentmodel.objects import Localsid, VppError, canonical
from agentmodel.values import Plain
from agentmodel.vpp import FakeVpp

Dependency = tuple[str, str]


class Invalid(Exception):
    """A value that Validate refuses (agent rule A46)."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(f"field {field} is invalid: {text}")
        self.field = field


class Failed(Exception):
    """An operation that VPP refused, or that could not be done."""


class Descriptor:
    """The handlers of one model; without ``can_update`` each change is a delete and a create."""

    can_update = False

    def validate(self, value: Any) -> None:
        """Raise ``Invalid`` for what the agent would not try."""

    def dependencies(self, value: Any) -> tuple[Dependency, ...]:
        """Labels and keys that must be there first, compared as text (agent rule A41)."""
        return ()

    def is_equivalent(self, old: Any, new: Any) -> bool:
        """Whether nothing needs to be done."""
        return bool(old == new)

    def must_recreate(self, old: Any, new: Any) -> bool:
        """Whether an update cannot be done in place."""
        return not self.can_update

    def create(self, vpp: FakeVpp, value: Any) -> Any:
        """Make it; what is to be remembered of it. Raises ``Failed``."""
        raise NotImplementedError

    def update(self, vpp: FakeVpp, old: Any, new: Any, metadata: Any) -> Any:
        """Change it in place; what is to be remembered then. Raises ``Failed``."""
        raise NotImplementedError

    def delete(self, vpp: FakeVpp, value: Any, metadata: Any) -> None:
        """Remove it. Raises ``Failed``."""
        raise NotImplementedError

    def retrieve(self, vpp: FakeVpp) -> Mapping[str, Any] | None:
        """What VPP has, by key; None: it is never read back, as all of SRv6 (0, item 3)."""
        return None


@lru_cache(maxsize=65536)
def is_ip(text: str) -> bool:
    """Whether Go's ParseIP takes it."""
    try:
        ip_interface(text if "/" not in text else "")
    except ValueError:
        return False
    return True


def same_address(one: str, other: str) -> bool:
    """Whether two texts are one address."""
    if not is_ip(one) or not is_ip(other):
        return False
    return canonical(one) == canonical(other)


def vrf_table(vrf: int, family: str) -> str:
    """The key of a VRF table."""
    return f"{values.VRF_TABLE}id/{vrf}/protocol/{family}"


class LocalSids(Descriptor):
    """``vpp-sr-localsid`` (agent rule A42)."""

    def validate(self, value: Any) -> None:
        """The SID, the next hop and that there is an end function; nothing else."""
        if not is_ip(value.sid):
            raise Invalid("sid", f"failed to parse sid {value.sid}, should be a valid ipv6 address")
        name = value.WhichOneof("end_function")
        if name is None:
            raise Invalid("end_function", "end function must be provided")
        end = getattr(value, name)
        if name in ("end_function_x", "end_function_dx6") and not is_ip(end.next_hop):
            raise Invalid(f"{name}.next_hop", f"{end.next_hop!r} is no IP address")
        if name == "end_function_dx4" and (":" in end.next_hop or not is_ip(end.next_hop)):
            raise Invalid(f"{name}.next_hop", f"{end.next_hop!r} is no IPv4 address")
        if name == "end_function_ad":
            service = end.l3_service_address
            if service and not is_ip(service):
                raise Invalid(f"{name}.l3_service_address", f"{service!r} is no IP address")

    def dependencies(self, value: Any) -> tuple[Dependency, ...]:
        """Rule A41: the VRF table even for VRF 0, the end function's table or interface."""
        found = [
            (
                "sr-localsid-installation-vrf-table-exists",
                vrf_table(value.installation_vrf_id, "IPV6"),
            )
        ]
        name = value.WhichOneof("end_function")
        end = getattr(value, name)
        if name in ("end_function_t", "end_function_dt6", "end_function_dt4") and end.vrf_id:
            family = "IPV4" if name == "end_function_dt4" else "IPV6"
            label = "sr-localsid-routing-lookup-vrf-table-exists"
            found.append((label, vrf_table(end.vrf_id, family)))
        for side in ("outgoing", "incoming"):
            if f"{side}_interface" in end.DESCRIPTOR.fields_by_name:
                label = f"sr-localsid-{side}-interface-exists"
                found.append((label, values.INTERFACE + getattr(end, f"{side}_interface")))
        return tuple(found)

    def is_equivalent(self, old: Any, new: Any) -> bool:
        """VRF, address, end function; the next hop of DX6 as text; PSP of End not at all."""
        if old.installation_vrf_id != new.installation_vrf_id:
            return False
        if not same_address(old.sid, new.sid):
            return False
        name = old.WhichOneof("end_function")
        if name != new.WhichOneof("end_function"):
            return False
        if name == "base_end_function":
            return True
        fields = getattr(old, name).DESCRIPTOR.fields_by_name
        return all(
            _same_field(name, field, getattr(getattr(old, name), field), getattr(new_end, field))
            for new_end in (getattr(new, name),)
            for field in fields
        )

    def create(self, vpp: FakeVpp, value: Any) -> Any:
        """One call; End.AD by CLI."""
        name = value.WhichOneof("end_function")
        end = getattr(value, name)
        try:
            vpp.localsid_add(
                Localsid(
                    canonical(value.sid),
                    value.installation_vrf_id,
                    "end" if name == "base_end_function" else name.rpartition("_")[2],
                    getattr(end, "outgoing_interface", ""),
                    _printed(getattr(end, "next_hop", ""), name),
                    getattr(end, "vrf_id", 0),
                    getattr(end, "psp", False),
                )
            )
        except VppError as error:
            raise Failed(f"failed to add local sid {value.sid}: {error}") from None

    def delete(self, vpp: FakeVpp, value: Any, metadata: Any) -> None:
        """One call, with the same table."""
        try:
            vpp.localsid_del(canonical(value.sid), value.installation_vrf_id)
        except VppError as error:
            raise Failed(f"failed to delete local sid {value.sid}: {error}") from None


def _printed(next_hop: str, name: str) -> str:
    return next_hop if not next_hop or name == "end_function_dx4" else canonical(next_hop)


def _same_field(function: str, field: str, old: Any, new: Any) -> bool:
    """Names as text without case; addresses as such, but for DX6 (agent rule A42)."""
    is_address = field in ("next_hop", "l3_service_address") and function != "end_function_dx6"
    if is_address and old and new:
        return same_address(old, new)
    if isinstance(old, str):
        return bool(old.strip().lower() == new.strip().lower())
    return bool(old == new)


class Steerings(Descriptor):
    """``vpp-sr-steering`` (agent rule A43)."""

    def __init__(self, *, takes_index: bool = False) -> None:
        self._takes_index = takes_index

    def validate(self, value: Any) -> None:
        """BSID, traffic; by index is INVALID from 3.5.0 on; the name is not looked at."""
        reference = value.WhichOneof("policy_ref")
        if reference == "policy_index" and not self._takes_index:
            text = "policy reference has unexpected model link type *vpp_srv6.Steering_PolicyIndex"
            raise Invalid("policy_ref", text)
        if reference is None or (reference == "policy_bsid" and not is_ip(value.policy_bsid)):
            raise Invalid("policy_bsid", f"failed to parse binding sid {value.policy_bsid!r}")
        traffic = value.WhichOneof("traffic")
        if traffic is None:
            raise Invalid("traffic", "traffic must be provided")
        if traffic == "l2_traffic" and not value.l2_traffic.interface_name.strip():
            raise Invalid("l2_traffic.interface_name", "it is blank")
        if traffic == "l3_traffic" and not _is_cidr(value.l3_traffic.prefix_address):
            text = f"failed to parse prefix address {value.l3_traffic.prefix_address!r}"
            raise Invalid("l3_traffic.prefix_address", text)

    def dependencies(self, value: Any) -> tuple[Dependency, ...]:
        """Agent rule A41: the policy by the text of its BSID, the VRF table or the interface."""
        found = []
        if value.WhichOneof("policy_ref") == "policy_bsid":
            found.append(("sr-policy-for-steering-exists", values.POLICY + value.policy_bsid))
        if value.WhichOneof("traffic") == "l2_traffic":
            key = values.INTERFACE + value.l2_traffic.interface_name
            found.append(("sr-steering-l2-interface-exists", key))
        elif value.l3_traffic.installation_vrf_id:
            family = "IPV6" if ":" in value.l3_traffic.prefix_address else "IPV4"
            key = vrf_table(value.l3_traffic.installation_vrf_id, family)
            found.append(("sr-steering-vrf-table-exists", key))
        return tuple(found)

    def is_equivalent(self, old: Any, new: Any) -> bool:
        """Trimmed name, BSID as an address, prefix as address and mask, VRF (agent rule A43)."""
        if old.name.strip() != new.name.strip():
            return False
        if not same_address(old.policy_bsid, new.policy_bsid):
            return False
        if old.WhichOneof("traffic") != new.WhichOneof("traffic"):
            return False
        if old.WhichOneof("traffic") == "l2_traffic":
            return bool(old.l2_traffic.interface_name == new.l2_traffic.interface_name)
        one, other = _traffic(old), _traffic(new)
        return bool(one == other)

    def create(self, vpp: FakeVpp, value: Any) -> Any:
        """One call; host bits go as they are."""
        vrf, prefix, interface = _traffic(value)
        bsid = canonical(value.policy_bsid) if value.policy_bsid else "::"
        try:
            vpp.steering_add(vrf, prefix, bsid, interface)
        except VppError as error:
            raise Failed(f"failed to add steering: {error}") from None

    def delete(self, vpp: FakeVpp, value: Any, metadata: Any) -> None:
        """One call: whoever has the prefix loses it."""
        try:
            vpp.steering_del(*_traffic(value))
        except VppError as error:
            raise Failed(f"failed to delete steering: {error}") from None


@lru_cache(maxsize=65536)
def _is_cidr(text: str) -> bool:
    try:
        ip_interface(text if "/" in text else "")
    except ValueError:
        return False
    return True


def _traffic(value: Any) -> tuple[int, str, str]:
    if value.WhichOneof("traffic") == "l2_traffic":
        return 0, "", value.l2_traffic.interface_name
    prefix = _cidr(value.l3_traffic.prefix_address)
    return value.l3_traffic.installation_vrf_id, prefix, ""


@lru_cache(maxsize=65536)
def _cidr(text: str) -> str:
    """Address and length, host bits as they are."""
    return str(ip_interface(text))


class Globals(Descriptor):
    """``vpp-srv6-global`` (agent rule A45): no validation, no dependencies."""

    can_update = True

    def create(self, vpp: FakeVpp, value: Any) -> Any:
        """Sets the source for the lists to come."""
        if not is_ip(value.encap_source_address):
            raise Failed(f"failed to parse {value.encap_source_address!r}")
        vpp.set_encap_source(canonical(value.encap_source_address))

    def update(self, vpp: FakeVpp, old: Any, new: Any, metadata: Any) -> Any:
        """As create."""
        self.create(vpp, new)

    def delete(self, vpp: FakeVpp, value: Any, metadata: Any) -> None:
        """Sets ``::``."""
        vpp.set_encap_source("::")


def interface_of(value: Plain) -> tuple[str, str, int, list[str]]:
    """Name, kind, VRF and addresses of an interface's value."""
    body = value.body
    return body["name"], body.get("type", ""), body.get("vrf", 0), body.get("ip_addresses", [])
