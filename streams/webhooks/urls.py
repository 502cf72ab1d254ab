"""The one parser of endpoints' URLs: what it does not understand completely is no endpoint.

It reads far less than browsers do. No user name, no fragment, no white space or backslash, no name in another script
(its `xn--` form is accepted), no number that some library might take for an address: an IPv4 address has four decimal
parts, and the last label of a name begins with a letter (WHATWG URL, "ends in a number").
"""

import ipaddress
import re
from collections.abc import Collection
from typing import Final

from msgspec import Struct

from streams.webhooks.addresses import Address, is_deliverable, is_loopback

__all__ = ["MOST_CHARACTERS", "NotAllowed", "Rules", "Target", "read_target"]

MOST_CHARACTERS: Final = 2048


class NotAllowed(Exception):
    """Nothing is sent there. Why is not said: whoever subscribes must not learn what is inside the network."""


class Rules(Struct, frozen=True):
    """Where webhooks may go: to these ports by https and, with `loopback`, to this machine itself by any port."""

    ports: Collection[int] = (443,)
    loopback: bool = False

    def allow(self, address: Address) -> bool:
        """Whether something may be sent to the address."""
        return is_deliverable(address) or (self.loopback and is_loopback(address))


class Target(Struct, frozen=True):
    """A URL that may be an endpoint's. `address` is set where the host is one; `authority` is what `Host` says.

    `only_loopback` is one that is good on this machine only: by http, or by a port that is not allowed elsewhere.
    """

    tls: bool
    host: str
    port: int
    path: str
    authority: str
    address: Address | None
    only_loopback: bool


_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?P<authority>(?P<host>\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::(?P<port>[1-9][0-9]{0,4}))?)"
    r"(?P<path>/[!$-;=?-\[\]_a-z~]*)?(?P<query>\?[!$-;=?-\[\]_a-z~]*)?",
    re.IGNORECASE | re.ASCII,
)
_LABEL: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)", re.ASCII)
_LAST_LABEL: Final = re.compile(r"[a-z][a-z0-9-]{0,62}(?<!-)", re.ASCII)
_INSIDE: Final = frozenset(
    {"localhost", "local", "localdomain", "internal", "intranet", "private", "corp", "home", "lan", "arpa"}
    | {"test", "example", "invalid", "onion", "alt"}
)
"""Last labels that are nobody's on the internet, or of names that stay inside (RFC 6761, 6762, 7686, 9476)."""


def read_target(url: str, rules: Rules) -> Target:
    """The target of a URL. Raises NotAllowed."""
    found = _URL.fullmatch(url) if len(url) <= MOST_CHARACTERS else None
    if found is None:
        raise NotAllowed
    tls = found["scheme"].lower() == "https"
    host = found["host"].lower()
    port = int(found["port"] or (443 if tls else 80))
    address = _address(host)
    local = rules.loopback and (host == "localhost" or (address is not None and is_loopback(address)))
    if address is None and not local:
        _check_name(host)
    if address is not None and not rules.allow(address):
        raise NotAllowed
    elsewhere = tls and port in rules.ports
    if port > 65_535 or not (elsewhere or local):
        raise NotAllowed
    path = (found["path"] or "/") + (found["query"] or "")
    return Target(tls, host.strip("[]"), port, path, found["authority"].lower(), address, not elsewhere or local)


def _address(host: str) -> Address | None:
    """The address that a host is; None for a name. Raises NotAllowed for what is neither."""
    try:
        if host.startswith("["):
            return ipaddress.IPv6Address(host[1:-1])
        if not _ends_in_a_number(host):
            return None
        return ipaddress.IPv4Address(host)
    except ValueError as error:
        raise NotAllowed from error


def _ends_in_a_number(host: str) -> bool:
    last = host.removesuffix(".").rpartition(".")[2]
    return not last or last[0].isdigit()


def _check_name(host: str) -> None:
    """Raise NotAllowed unless it is the full name of a host on the internet."""
    labels = host.split(".")
    whole = len(labels) >= 2 and len(host) <= 253 and _LAST_LABEL.fullmatch(labels[-1]) is not None
    if not whole or not all(_LABEL.fullmatch(label) for label in labels) or labels[-1] in _INSIDE:
        raise NotAllowed
