"""Who a client is, by address: the peer of the connection, or whom a trusted proxy names.

A proxy adds the address that it was asked from at the right end of `X-Forwarded-For`, or of `Forwarded` (RFC 7239).
Whatever stands further left came with the request, and anybody can write it. So the list is read from the right, past
the proxies that the operator trusts, to the first address that is none of theirs: that is the client. From peers that
are not trusted nothing is read at all, and of a list that cannot be read nothing is believed: the peer is the client.

Only the one header that `TASKFORGE_HTTP__PROXY_HEADER` names is read. Most proxies write one of the two and pass the
other on as it came, so that a client could write whatever it likes into the header that its proxy does not know.
"""

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final

__all__ = ["ClientAddresses"]

Address = IPv4Address | IPv6Address

REMEMBERED: Final = 4_096
"""Most lists of addresses whose client is remembered."""
MOST_HOPS: Final = 32

# RFC 7239, 4: pairs of a token and a token or quoted string, between semicolons, of elements between commas. Both of
# the latter may stand in a quoted string.
_NAME: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PAIR: Final = re.compile(rf'[ \t]*({_NAME})=("(?:[^"\\]|\\.)*"|{_NAME})[ \t]*')


class ClientAddresses:
    """Finds the client of a request. `trusted` are networks (`10.0.0.0/8`) or addresses; others are a ValueError."""

    def __init__(self, trusted: Iterable[str] = (), header: str = "x-forwarded-for") -> None:
        self._trusted = tuple(ip_network(network) for network in trusted)
        self._header, self._standard = header.lower().encode(), header.lower() == "forwarded"
        self._known: dict[tuple[str, bytes], str] = {}

    def __bool__(self) -> bool:
        """Whether any proxy is trusted. Without one, the client is always the peer."""
        return bool(self._trusted)

    def of(self, scope: Mapping[str, Any]) -> str:
        """The client of an ASGI scope; "" when there is no address, as behind a Unix socket."""
        peer = scope.get("client")
        address: str = peer[0] if peer else ""
        if not self._trusted:
            return address
        given = [value for name, value in scope["headers"] if name == self._header]
        if not given:
            return address
        return self._named(address, given[0] if len(given) == 1 else b",".join(given))

    def _named(self, peer: str, given: bytes) -> str:
        found = self._known.get((peer, given))
        if found is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            found = self._known[peer, given] = self._read(peer, given.decode("latin-1"))
        return found

    def _read(self, peer: str, given: str) -> str:
        try:
            if not self._trusts(_address(peer)):
                return peer
            hops = _forwarded(given) if self._standard else [hop.strip(" \t") for hop in given.split(",")]
            address = _address(peer)
            for hop in reversed(hops[-MOST_HOPS:]):
                address = _address(_without_port(hop))
                if not self._trusts(address):
                    break
        except ValueError:
            return peer
        return str(address)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def _address(text: str) -> Address:
    """Raises ValueError. An IPv4 address in an IPv6 one is the former; a zone is the business of one machine."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _without_port(text: str) -> str:
    """`192.0.2.1:80`, `[2001:db8::1]:80`, `[2001:db8::1]` and bare addresses. Raises ValueError."""
    if text.startswith("["):
        host, closed, port = text[1:].partition("]")
        if not closed or not (not port or (port[0] == ":" and port[1:].isdigit())):
            raise ValueError("not an address in brackets")
        return host
    host, colon, port = text.partition(":")
    if colon and ":" not in port:
        if not port.isdigit():
            raise ValueError("not a port")
        return host
    return text


def _forwarded(given: str) -> list[str]:
    """What each element of `Forwarded` has as `for`. Raises ValueError for what is not written as RFC 7239 says.

    An element without `for` is a proxy that does not say whom it was asked by, which nobody can be found behind.
    """
    hops, at = [""], 0
    while at < len(given):
        pair = _PAIR.match(given, at)
        if pair is None:
            raise ValueError("not a pair of Forwarded")
        if pair[1].lower() == "for":
            if hops[-1]:
                raise ValueError("for is given twice")
            hops[-1] = re.sub(r"\\(.)", r"\1", pair[2][1:-1]) if pair[2].startswith('"') else pair[2]
        at = pair.end()
        if at < len(given):
            if given[at] not in ",;":
                raise ValueError("neither a comma nor a semicolon")
            if given[at] == ",":
                hops.append("")
            at += 1
    return hops
