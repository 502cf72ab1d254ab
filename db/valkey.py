"""The Valkey client, and its failures as one exception: what uses Valkey must be able to do without it."""

import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import anyio
from valkey.asyncio import BlockingConnectionPool, Valkey
from valkey.exceptions import ValkeyError

__all__ = ["QuietLog", "ValkeyUnavailable", "listen", "open_valkey", "valkey_errors"]

CONNECTIONS: Final = 32
CONNECT_SECONDS: Final = 0.5
ANSWER_SECONDS: Final = 1.0
POOL_SECONDS: Final = 0.5
LISTEN_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 1.0
QUIET_SECONDS: Final = 60.0


class ValkeyUnavailable(Exception):
    """Valkey did not answer in time, cannot be reached or refused the command. Nothing of value was lost."""


@asynccontextmanager
async def open_valkey(url: str) -> AsyncIterator[Valkey]:
    """A client with binary answers for `valkey://`, `valkeys://` or `unix://`; connects on first use, not here.

    Commands give up after a second. Subscribers must read with a timeout of their own (`get_message(timeout=…)`).
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=POOL_SECONDS,
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=ANSWER_SECONDS,
        socket_keepalive=True,
    )
    client = Valkey(connection_pool=pool)
    try:
        yield client
    finally:
        # Also when everything is cancelled: an open connection would be found by the garbage collector.
        with anyio.move_on_after(ANSWER_SECONDS, shield=True):
            await client.aclose()
            await pool.disconnect()


async def listen(
    valkey: Valkey, channel: bytes, hear: Callable[[bytes], None], away: Callable[[ValkeyUnavailable], None]
) -> None:
    """Call `hear` with whatever is said on a channel, until cancelled, and begin again after every failure.

    What is said while Valkey is away, of which `away` is told, is lost.
    """
    while True:
        try:
            async with valkey.pubsub() as heard:
                with valkey_errors():
                    await heard.subscribe(channel)
                    while True:
                        message = await heard.get_message(ignore_subscribe_messages=True, timeout=LISTEN_SECONDS)
                        if message is not None:
                            hear(message["data"])
        except ValkeyUnavailable as error:
            away(error)
        await anyio.sleep(RETRY_SECONDS)


@contextmanager
def valkey_errors() -> Iterator[None]:
    """Turn whatever the client raises for a missing, slow or unwilling server into `ValkeyUnavailable`."""
    try:
        yield
    except (ValkeyError, OSError, TimeoutError) as error:
        raise ValkeyUnavailable(str(error) or type(error).__name__) from error


class QuietLog:
    """Logs a warning at most once per minute, however often it happens; says how many were left out."""

    def __init__(self, logger: logging.Logger, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._monotonic = monotonic
        self._silent_until = float("-inf")
        self._left_out = 0

    def warning(self, message: str, *values: object) -> None:
        now = self._monotonic()
        if now < self._silent_until:
            self._left_out += 1
            return
        self._logger.warning(f"{message} (%d alike left out)", *values, self._left_out)
        self._silent_until, self._left_out = now + QUIET_SECONDS, 0
