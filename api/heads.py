"""What the head of a request must be: the rules of RFC 9110 and 9112 that the server beneath us does not keep itself.

Granian refuses what it cannot parse. What it lets through is refused here, before a route is looked for: a `Host`
that is missing, doubled or malformed, transfer and content codings that nobody decodes, blocks of fields and addresses
that are too long. A hot read pays one look at names that good reads never have, one sum, and one look at the hosts
seen before.
"""

import re
from ipaddress import AddressValueError, IPv6Address
from typing import Any, Final

from api import paths
from api.calls import BodyTooLarge, Call
from api.problems import AddressTooLong, FieldsTooLarge, NoSuchPath, UnsupportedCoding
from core.errors import BadInput

__all__ = ["FIELDS_LIMIT", "METHODS", "OTHER_METHOD", "Heads", "is_host"]

FIELDS_LIMIT: Final = 32 * 1024
"""Most bytes of a block of header fields, four for each field included, as in HTTP/1.1's text."""
ADDRESS_LIMIT: Final = 8 * 1024
"""Most bytes of path and query: what RFC 9110, 4.1 recommends to support."""
SHORT: Final = 8 * 1024
"""Names and values that are together no longer than this cannot come near `FIELDS_LIMIT`: of at most 100 fields."""
HOSTS: Final = 1_024
"""Most `Host` values remembered as well-formed."""
LONGEST_HOST: Final = 260

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
OTHER_METHOD: Final = "OTHER"
"""What logs and metrics call every other method: anybody can make up as many as they like."""

_SINGLE: Final = (b"host", b"authorization", b"idempotency-key", b"if-match", b"content-length", b"content-type")
_LISTS: Final = (b"accept", b"if-none-match")
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~-]|%[0-9A-Fa-f]{2})+|\[[0-9A-Fa-f:.]+\]")


def takes_file(call: Call) -> bool:
    """Whether the request's body is a file, or a form with one: such a body is read in pieces, by its own limit."""
    if call.method == "POST":
        return call.path.endswith(_ATTACHMENTS)
    return call.method == "PUT" and call.path.startswith(_OBJECTS)


_ATTACHMENTS: Final = paths.TASK_ATTACHMENTS[paths.TASK_ATTACHMENTS.rindex("/") :]
_OBJECTS: Final = paths.OBJECT[: paths.OBJECT.index("{")]


class Heads:
    """Judges the heads of requests. One for each process: it remembers the hosts that it has found well-formed."""

    def __init__(self, file_limit: int) -> None:
        """`file_limit`: most bytes of a body that is a file."""
        self._file_limit = file_limit
        self._hosts: set[bytes | None] = set()

    def plain(self, call: Call, fields: list[tuple[bytes, bytes]]) -> bool:
        """Whether a read has nothing that must be looked at more closely. A miss costs time and nothing else."""
        headers = call.headers
        return (
            len(headers) == len(fields)
            and headers.get(b"host") in self._hosts
            and b"if-match" not in headers
            and b"transfer-encoding" not in headers
            and b"content-encoding" not in headers
            # Names that are too long would cost as much again to find, and do no harm to a read.
            and sum(map(len, headers.values())) <= SHORT
        )

    def _simple(self, headers: dict[bytes, bytes], fields: list[tuple[bytes, bytes]]) -> bool:
        return (
            len(headers) == len(fields)
            and headers.get(b"host") in self._hosts
            and b"transfer-encoding" not in headers
            and b"content-encoding" not in headers
            and len(b"".join((*headers, *headers.values()))) <= SHORT
        )

    def check(self, call: Call, scope: dict[str, Any]) -> None:
        """Raise FieldsTooLarge, AddressTooLong, BadInput, NoSuchPath, UnsupportedCoding or BodyTooLarge.

        The connection of a request that is refused here is not used again.
        """
        fields, call.closing = scope["headers"], True
        if not self._simple(call.headers, fields):
            self._check_fields(call, scope, fields)
        if len(call.path) + len(call.query) > ADDRESS_LIMIT:
            raise AddressTooLong(ADDRESS_LIMIT)
        if call.path == "*" and call.method == "OPTIONS":
            raise NoSuchPath
        if not call.path.startswith("/"):
            raise BadInput("The request target must be a path or an absolute address.")
        if takes_file(call):
            call.body_limit = self._file_limit
        length = call.headers.get(b"content-length")
        if length is not None and length.isdigit() and int(length) > call.body_limit:
            raise BodyTooLarge(call.body_limit)
        call.closing = False

    def _check_fields(self, call: Call, scope: dict[str, Any], fields: list[tuple[bytes, bytes]]) -> None:
        if sum(len(name) + len(value) + 4 for name, value in fields) > FIELDS_LIMIT:
            raise FieldsTooLarge(FIELDS_LIMIT)
        if len(call.headers) != len(fields):
            self._merge(call, fields)
        self._check_host(call, scope)
        self._check_codings(call)

    def _merge(self, call: Call, fields: list[tuple[bytes, bytes]]) -> None:
        """Repeated fields: refused where there can be one value only, joined where the value is a list."""
        names = [name for name, _ in fields]
        for name in _SINGLE:
            if names.count(name) > 1:
                raise BadInput(f"The header {name.decode()} is given twice.", parameter=name.decode())
        for name in (*_LISTS, b"transfer-encoding", b"content-encoding"):
            if names.count(name) > 1:
                call.headers[name] = b", ".join(value for other, value in fields if other == name)

    def _check_host(self, call: Call, scope: dict[str, Any]) -> None:
        """RFC 9112, 3.2: without exactly one valid `Host` the answer is 400; HTTP/1.0 had none yet."""
        host = call.headers.get(b"host")
        if host in self._hosts:
            return
        if not host:
            if scope.get("http_version") in {"1", "1.0"}:
                return
            raise BadInput("The header Host is missing.", parameter="Host")
        if not is_host(host):
            raise BadInput("The header Host is malformed.", parameter="Host")
        if len(self._hosts) >= HOSTS:
            self._hosts.clear()
        self._hosts.add(host)

    def _check_codings(self, call: Call) -> None:
        """Codings that nobody decodes (RFC 9112, 6.1; RFC 9110, 8.4)."""
        headers = call.headers
        transfer = headers.get(b"transfer-encoding")
        if transfer is not None:
            if transfer.strip().lower() != b"chunked":
                raise BadInput("Transfer-Encoding must be chunked, once.", parameter="Transfer-Encoding")
            if b"content-length" in headers:
                raise BadInput("Transfer-Encoding and Content-Length exclude each other.", parameter="Content-Length")
        if headers.get(b"content-encoding", b"identity").strip().lower() not in {b"identity", b""}:
            raise UnsupportedCoding


def is_host(host: bytes) -> bool:
    """Whether it is a name or address with an optional port, as RFC 3986, 3.2.2 writes them."""
    name = _HOST.match(host)
    if name is None or len(host) > LONGEST_HOST:
        return False
    rest = host[name.end() :]
    port = rest[1:]
    if rest and not (rest[:1] == b":" and (not port or (port.isdigit() and len(port) <= 5 and int(port) < 65_536))):
        return False
    return host[:1] != b"[" or _is_ipv6(name[0][1:-1])


def _is_ipv6(text: bytes) -> bool:
    try:
        IPv6Address(text.decode("ascii"))
    except AddressValueError:
        return False
    return True
