"""The open feeds of this process, counted by user and by client address, so that nobody has all connections."""

from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address
from typing import Final, TypeVar
from uuid import UUID

from core.errors import TooManyAtOnce
from core.quotas import Quotas
from streams.feeds.subscription import Subscription

__all__ = ["OpenFeeds", "network_of"]

K = TypeVar("K")

RETRY_SECONDS: Final = 10
"""Nobody knows when a feed is closed: a guess that keeps clients from asking at once."""
IPV6_PREFIX: Final = 64


class OpenFeeds:
    """Each feed from before it is placed until its connection is over."""

    def __init__(self, quotas: Quotas) -> None:
        self._quotas = quotas
        self._networks: dict[Subscription, str] = {}
        self._of_user, self._of_network = Counter[UUID](), Counter[str]()

    def admit(self, reader: Subscription, address: str) -> None:
        """Count a feed of this client address ("" where there is none). Raises TooManyAtOnce, and counts nothing."""
        network, most = network_of(address), self._quotas
        if self._of_user[reader.user_id] >= most.feeds_per_user:
            detail = f"You have {most.feeds_per_user} live feeds open, and may have no more: close some."
            raise TooManyAtOnce("feeds-per-user", most.feeds_per_user, detail, RETRY_SECONDS)
        if network and 0 < most.feeds_per_address <= self._of_network[network]:
            detail = f"From your address {most.feeds_per_address} live feeds are open, and there may be no more."
            raise TooManyAtOnce("feeds-per-address", most.feeds_per_address, detail, RETRY_SECONDS)
        self._networks[reader] = network
        self._of_user[reader.user_id] += 1
        self._of_network[network] += 1

    def discard(self, reader: Subscription) -> None:
        """Stop counting a feed, if it still counts."""
        network = self._networks.pop(reader, None)
        if network is not None:
            _take(self._of_user, reader.user_id)
            _take(self._of_network, network)

    def __iter__(self) -> Iterator[Subscription]:
        """The feeds that are open at this moment, whatever closes meanwhile."""
        return iter(list(self._networks))

    def __len__(self) -> int:
        return len(self._networks)


def network_of(address: str) -> str:
    """What one client may have of addresses: one of IPv4, a /64 of IPv6; "" for what is no address (a Unix socket)."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    prefix = int(parsed) >> (128 - IPV6_PREFIX) << (128 - IPV6_PREFIX)
    return f"{IPv6Address(prefix)}/{IPV6_PREFIX}"


def _take(counter: Counter[K], key: K) -> None:
    """One less; what is none any more leaves memory."""
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]
