"""The two address families, and a value for each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from srv6kv.net.addresses import is_ipv4

T = TypeVar("T")


class Family(Enum):
    """An address family."""

    IPV6 = "IPv6"
    IPV4 = "IPv4"

    @property
    def is_ipv4(self) -> bool:
        """Whether it is IPv4."""
        return self is Family.IPV4


def family_of(address: str) -> Family:
    """Return the family of an address."""
    return Family.IPV4 if is_ipv4(address) else Family.IPV6


@dataclass(frozen=True, slots=True)
class ByFamily(Generic[T]):
    """One value for each family."""

    ipv6: T
    ipv4: T

    @classmethod
    def of(cls, make: Callable[[Family], T]) -> ByFamily[T]:
        """Make the value of each family."""
        return cls(make(Family.IPV6), make(Family.IPV4))

    def __getitem__(self, family: Family) -> T:
        return self.ipv4 if family is Family.IPV4 else self.ipv6

    def __iter__(self) -> Iterator[T]:
        return iter((self.ipv6, self.ipv4))
