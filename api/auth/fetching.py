"""One HTTP exchange with an issuer: bounded in time and size, and never redirected."""

import asyncio
import ssl
from contextlib import suppress
from functools import cache
from http.client import HTTP_PORT, HTTPS_PORT
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlencode, urlsplit

import h11

__all__ = ["FetchFailed", "fetch", "is_loopback"]

SECONDS: Final = 5.0
LARGEST: Final = 1024 * 1024
OK: Final = 200
_READ: Final = 64 * 1024


class FetchFailed(Exception):
    """There is no usable answer; the text says why, for the log. `status` is that of an answer, 0 without one."""

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.status = status


async def fetch(
    url: str,
    *,
    form: dict[str, str] | None = None,
    headers: tuple[tuple[str, str], ...] = (),
    tls: ssl.SSLContext | None = None,
    seconds: float = SECONDS,
) -> bytes:
    """The body of a 200, at most 1 MiB, within so many seconds in all; `form` makes it a POST.

    Certificates are checked (by `tls`, else the system's authorities). Raises FetchFailed for everything else, a
    redirect included: what an issuer's address answers must be the issuer's.
    """
    try:
        async with asyncio.timeout(seconds):
            return await _exchange(url, form, headers, tls)
    except TimeoutError as error:
        raise FetchFailed(f"no answer within {seconds:g} s") from error
    except (OSError, ValueError, h11.ProtocolError) as error:
        raise FetchFailed(f"{type(error).__name__}: {error}") from error


async def _exchange(
    url: str, form: dict[str, str] | None, headers: tuple[tuple[str, str], ...], tls: ssl.SSLContext | None
) -> bytes:
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    if not host or not (secure or (parts.scheme == "http" and is_loopback(host))):
        raise FetchFailed("neither https nor on loopback")
    context = (tls or _authorities()) if secure else None
    reader, writer = await asyncio.open_connection(
        host, parts.port or (HTTPS_PORT if secure else HTTP_PORT), ssl=context
    )
    try:
        connection = h11.Connection(h11.CLIENT)
        for event in _request(parts.netloc.rpartition("@")[2], parts.path or "/", parts.query, form, headers):
            writer.write(connection.send(event) or b"")
        await writer.drain()
        return await _body(connection, reader)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def _request(
    authority: str, path: str, query: str, form: dict[str, str] | None, headers: tuple[tuple[str, str], ...]
) -> list[h11.Request | h11.Data | h11.EndOfMessage]:
    body = b"" if form is None else urlencode(form).encode()
    common = [("Host", authority), ("Accept", "application/json"), ("User-Agent", "TaskForge"), ("Connection", "close")]
    if form is not None:
        common += [("Content-Type", "application/x-www-form-urlencoded"), ("Content-Length", str(len(body)))]
    target = f"{path}?{query}" if query else path
    request = h11.Request(method="GET" if form is None else "POST", target=target, headers=[*common, *headers])
    return [request, h11.Data(data=body), h11.EndOfMessage()] if body else [request, h11.EndOfMessage()]


async def _body(connection: h11.Connection, reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_READ))
        elif isinstance(event, h11.Response):
            if event.status_code != OK:
                raise FetchFailed(f"status {event.status_code}", event.status_code)
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > LARGEST:
                raise FetchFailed(f"longer than {LARGEST} bytes")
        elif isinstance(event, h11.EndOfMessage):
            return bytes(body)
        elif not isinstance(event, h11.InformationalResponse):
            raise FetchFailed("the connection ended before the answer did")


def is_loopback(host: str) -> bool:
    """Whether a URL's host is this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@cache
def _authorities() -> ssl.SSLContext:
    """Read once: it takes some 50 ms."""
    return ssl.create_default_context()
