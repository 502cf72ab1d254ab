"""One request to an endpoint that somebody else has named: what it may cost and where it may go is bounded.

The connection is to the very address that was checked, with the name's SNI and `Host`. Nothing is followed (redirects),
nothing in the environment is asked (proxies), nothing is unpacked (no coding is accepted), and of an answer no more is
read than its first 20 kB. HTTP/1.1 by h11 (RFC 9112), which knows nothing of sockets.
"""

import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import perf_counter
from typing import Final

import anyio
import h11
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream
from msgspec import Struct

from core.webhooks import AttemptError, Outcome
from streams.webhooks.addresses import Address
from streams.webhooks.resolving import Resolve, SystemResolver, addresses_of
from streams.webhooks.urls import NotAllowed, Rules, Target, read_target

__all__ = ["Connect", "Header", "WebhookClient"]

CONNECT_SECONDS: Final = 5.0
SECONDS: Final = 15.0
MOST_BODY: Final = 20_000
MOST_RECEIVED: Final = 96 * 1024
"""Bytes of an answer altogether, its header fields and the framing of its body included."""
EXCERPT: Final = 2_000
"""Characters of an answer that are kept."""
AGENT: Final = b"TaskForge-Webhooks/1"

Header = tuple[bytes, bytes]
Connect = Callable[[Address, int], Awaitable[ByteStream]]
"""Opens a TCP connection. Raises OSError."""


class _Broken(Exception):
    """The connection ended, or what came over it is no HTTP."""


class _Answer(Struct, frozen=True):
    status: int
    retry_after: float | None
    coded: bool
    body: bytes


class WebhookClient:
    """Sends webhooks. `connect`, `resolve` and `tls` are the system's, unless a test has others."""

    def __init__(
        self,
        rules: Rules,
        *,
        resolve: Resolve | None = None,
        connect: Connect | None = None,
        tls: ssl.SSLContext | None = None,
        seconds: float = SECONDS,
        connect_seconds: float = CONNECT_SECONDS,
    ) -> None:
        self._rules = rules
        self._resolve = resolve or SystemResolver()
        self._connect = connect or _connect
        self._tls = tls or ssl.create_default_context()
        self._seconds, self._connect_seconds = seconds, connect_seconds

    async def post(self, url: str, headers: Sequence[Header], body: bytes) -> Outcome:
        """Send it once; whatever comes of it is an outcome, and never an exception."""
        began = perf_counter()
        answer, error = await self._tried(url, headers, body)
        took = round((perf_counter() - began) * 1000)
        if answer is None:
            return Outcome(error=error, duration_ms=took)
        return Outcome(
            status=answer.status,
            duration_ms=took,
            response="" if answer.coded else _excerpt(answer.body),
            retry_after=answer.retry_after,
        )

    async def _tried(self, url: str, headers: Sequence[Header], body: bytes) -> tuple[_Answer | None, AttemptError]:
        error: AttemptError
        try:
            with anyio.fail_after(self._seconds):
                return await self._exchange(read_target(url, self._rules), headers, body), "broken-answer"
        except NotAllowed:
            error = "not-allowed"
        except TimeoutError:
            error = "timeout"
        except ssl.SSLError:
            error = "tls"
        except (_Broken, h11.RemoteProtocolError, anyio.EndOfStream, anyio.BrokenResourceError):
            error = "broken-answer"
        except OSError:
            error = "connect"
        return None, error

    async def _exchange(self, target: Target, headers: Sequence[Header], body: bytes) -> _Answer:
        stream = await self._open(target)
        try:
            return await _ask(stream, target, headers, body)
        finally:
            # Without goodbyes: an endpoint must not hold us up by them.
            await anyio.aclose_forcefully(stream)

    async def _open(self, target: Target) -> ByteStream:
        """A connection to one of the addresses, which are tried in order, within the time for connecting."""
        with anyio.fail_after(self._connect_seconds):
            addresses = await addresses_of(target, self._rules, self._resolve)
            stream = await self._first(addresses, target.port)
            if not target.tls:
                return stream
            try:
                return await TLSStream.wrap(
                    stream, hostname=target.host, ssl_context=self._tls, standard_compatible=False
                )
            except BaseException:
                await anyio.aclose_forcefully(stream)
                raise

    async def _first(self, addresses: Sequence[Address], port: int) -> ByteStream:
        failure: OSError | None = None
        for address in addresses[:4]:
            try:
                return await self._connect(address, port)
            except OSError as error:
                failure = error
        assert failure is not None, "there is an address"
        raise failure


async def _connect(address: Address, port: int) -> ByteStream:
    """A connection to an address: no name is looked up here."""
    return await anyio.connect_tcp(str(address), port)


async def _ask(stream: ByteStream, target: Target, headers: Sequence[Header], body: bytes) -> _Answer:
    connection = h11.Connection(h11.CLIENT)
    fields = [
        (b"Host", target.authority.encode()),
        (b"User-Agent", AGENT),
        (b"Accept", b"*/*"),
        (b"Accept-Encoding", b"identity"),
        (b"Connection", b"close"),
        (b"Content-Length", b"%d" % len(body)),
        *headers,
    ]
    sent = b"".join(
        connection.send(event) or b""
        for event in (
            h11.Request(method=b"POST", target=target.path.encode(), headers=fields),
            h11.Data(data=body),
            h11.EndOfMessage(),
        )
    )
    # An endpoint may answer without having read everything: whether it did, reading tells.
    with suppress(anyio.BrokenResourceError, OSError):
        await stream.send(sent)
    return await _Reader(stream, connection).answer()


class _Reader:
    """Reads one answer off a connection, and no more of it than is wanted."""

    def __init__(self, stream: ByteStream, connection: h11.Connection) -> None:
        self._stream, self._connection = stream, connection
        self._received = 0

    async def answer(self) -> _Answer:
        """The answer with the beginning of its body. Raises _Broken, h11.RemoteProtocolError, EndOfStream, OSError."""
        head = await self._head()
        fields = dict(head.headers)
        coding = fields.get(b"content-encoding", b"identity").strip().lower()
        return _Answer(
            status=head.status_code,
            retry_after=_seconds(fields.get(b"retry-after")),
            coded=coding not in (b"", b"identity"),
            body=await self._body(),
        )

    async def _head(self) -> h11.Response:
        while True:
            event = await self._next()
            if isinstance(event, h11.Response):
                return event
            if not isinstance(event, h11.InformationalResponse):
                raise _Broken

    async def _body(self) -> bytes:
        parts: list[bytes] = []
        size = 0
        while size < MOST_BODY and self._received < MOST_RECEIVED:
            event = await self._next()
            if isinstance(event, h11.EndOfMessage):
                break
            if not isinstance(event, h11.Data):
                raise _Broken
            parts.append(bytes(event.data))
            size += len(event.data)
        return b"".join(parts)[:MOST_BODY]

    async def _next(self) -> object:
        while True:
            event = self._connection.next_event()
            if event is not h11.NEED_DATA:
                return event
            if self._received >= MOST_RECEIVED:
                raise _Broken
            try:
                data = await self._stream.receive(16_384)
            except anyio.EndOfStream:
                data = b""  # Some answers end with the connection; h11 knows which.
            self._received += len(data)
            self._connection.receive_data(data)


def _seconds(retry_after: bytes | None) -> float | None:
    """Seconds from now, of either form of `Retry-After` (RFC 9110, 10.2.3); None for one that cannot be read."""
    if retry_after is None:
        return None
    text = retry_after.decode("latin-1").strip()
    if text.isascii() and text.isdecimal() and len(text) <= 12:
        return float(text)
    try:
        at = parsedate_to_datetime(text)
        return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def _excerpt(body: bytes) -> str:
    """The beginning of an answer as text that a database keeps and a page shows."""
    return body.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")[:EXCERPT]
