"""Which addresses the internet routes to: the others are somebody's inside, and nothing is sent there.

Python's `is_global` asks another question: it calls addresses global by which an inside can be reached (6to4, NAT64,
those mapped from IPv4). Here everything is refused but what the registries of IANA give out as global unicast, without
the blocks for special purposes:
https://www.iana.org/assignments/iana-ipv4-special-registry and https://www.iana.org/assignments/iana-ipv6-special-registry.
"""

import ipaddress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

__all__ = ["Address", "is_deliverable", "is_loopback"]

Address = IPv4Address | IPv6Address

_SPECIAL_V4: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.31.196.0/24",
            "192.52.193.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "192.175.48.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ),
    )
)
_GLOBAL_UNICAST_V6: Final = IPv6Network("2000::/3")
"""All that IANA has given out. Mapped, compatible, translated (NAT64) and local addresses are not in it."""
_SPECIAL_V6: Final = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # Teredo, ORCHID, benchmarks and other protocols.
            "2001:db8::/32",
            "2002::/16",  # 6to4: it has an IPv4 address within.
            "2620:4f:8000::/48",
            "3fff::/20",
        ),
    )
)
_ISATAP: Final = frozenset({0x0000_5EFE, 0x0200_5EFE})
"""The upper half of an interface id that has an IPv4 address in its lower half (RFC 5214)."""


def is_deliverable(address: Address) -> bool:
    """Whether the address is one of the internet's, and hides no other."""
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _SPECIAL_V4)
    if address.scope_id is not None or address not in _GLOBAL_UNICAST_V6:
        return False
    if (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP:
        return False
    return not any(address in network for network in _SPECIAL_V6)


def is_loopback(address: Address) -> bool:
    """Whether the address is this machine's own, written plainly."""
    return address in _LOOPBACK_V4 if isinstance(address, IPv4Address) else address == ipaddress.IPv6Address("::1")


_LOOPBACK_V4: Final = IPv4Network("127.0.0.0/8")
