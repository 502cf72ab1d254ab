"""Ends connections that never say what they want, which the server beneath us waits for without a deadline.

Granian reads the first bytes of a connection to tell HTTP/1.1 from HTTP/2, and there its deadline for heads does not
hold yet. Its sockets are out of reach for Python, but the kernel knows how many bytes each has received: one that has
no more than HTTP/2's preface after the deadline is shut down, which Granian takes for a client that has left. On Linux
only; elsewhere, and for connections that are idle later on, see `docs/http-edge.md`.
"""

import asyncio
import logging
import os
import socket
import stat
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import anyio

__all__ = ["SUPPORTED", "SilentConnections"]

log = logging.getLogger(__name__)

DESCRIPTORS: Final = Path("/proc/self/fd")
SUPPORTED: Final = hasattr(socket, "TCP_INFO") and DESCRIPTORS.is_dir()
PREFACE: Final = 24
"""Bytes of HTTP/2's preface (RFC 9113, 3.4). No request with a Host is as short."""
LOOKS: Final = 4
"""How often each connection is looked at before its deadline."""
_INFO_BYTES: Final = 136
_RECEIVED: Final = struct.Struct("@128xQ")
"""`tcpi_bytes_received` of Linux's `struct tcp_info`, which only ever grows at its end."""


class SilentConnections:
    """Watches the connections that this process has accepted on a port, each for so many seconds."""

    def __init__(self, port: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._port, self._seconds, self._clock = port, seconds, clock
        self._heard: set[int] = set()
        """Sockets, by inode, that have said enough, or are none of the server's."""
        self._silent: dict[int, float] = {}
        """The others, and since when they are known."""

    async def run(self) -> None:
        """Watch until cancelled. In a thread: with thousands of connections a look takes milliseconds."""
        while True:
            await anyio.sleep(self._seconds / LOOKS)
            if ended := await asyncio.to_thread(self.look):
                log.info("ended %d connections that stayed silent for %g s", ended, self._seconds)

    def look(self) -> int:
        """End what has been silent for too long; how many that were."""
        now, ended = self._clock(), 0
        heard, silent = set[int](), dict[int, float]()
        for descriptor, inode in _sockets():
            if inode in self._heard or not self._is_silent(descriptor):
                heard.add(inode)
                continue
            since = silent[inode] = self._silent.get(inode, now)
            if now - since >= self._seconds:
                ended += self._end(descriptor)
        self._heard, self._silent = heard, silent
        return ended

    def _is_silent(self, descriptor: int) -> bool:
        with suppress(OSError), _duplicate(descriptor) as connection:
            return self._has_said_nothing(connection)
        return False

    def _end(self, descriptor: int) -> int:
        """The descriptor may have become another socket's meanwhile: only the copy that is looked at is shut down."""
        with suppress(OSError), _duplicate(descriptor) as connection:
            if self._has_said_nothing(connection):
                connection.shutdown(socket.SHUT_RDWR)
                return 1
        return 0

    def _has_said_nothing(self, connection: socket.socket) -> bool:
        """Of a connection to our port. Raises OSError for what is no connection (any more)."""
        if connection.family not in (socket.AF_INET, socket.AF_INET6) or connection.type != socket.SOCK_STREAM:
            return False
        if connection.getsockname()[1] != self._port:
            return False
        connection.getpeername()
        (received,) = _RECEIVED.unpack(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES))
        return bool(received <= PREFACE)


def _sockets() -> Iterator[tuple[int, int]]:
    """The descriptors of this process that are sockets, with their inodes."""
    for name in os.listdir(DESCRIPTORS):  # noqa: PTH208 (thousands of names, of which no path is needed)
        with suppress(OSError):
            found = os.fstat(int(name))
            if stat.S_ISSOCK(found.st_mode):
                yield int(name), found.st_ino


def _duplicate(descriptor: int) -> socket.socket:
    return socket.socket(fileno=os.dup(descriptor))
