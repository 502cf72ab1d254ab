"""Whether a broker answers, asked without a Kafka client: one that is frozen still accepts connections."""

import asyncio
import contextlib
import ssl
import struct
from typing import Final

from streams.kafka.tls import tls_context
from streams.settings import KafkaSettings

__all__ = ["answering"]

API_VERSIONS: Final = 18
CORRELATION: Final = 7
_QUESTION: Final = struct.pack(">ihhih", 10, API_VERSIONS, 0, CORRELATION, -1)


async def answering(settings: KafkaSettings) -> None:
    """Come back as soon as one of the brokers answers; raises OSError when none does. Waits for as long as it takes."""
    context = tls_context(settings)
    servers = settings.bootstrap_servers.split(",")
    if len(servers) == 1:  # No task of its own, which somebody else could cancel.
        return await _ask(servers[0], context)
    asked = [asyncio.ensure_future(_ask(server, context)) for server in servers]
    try:
        for answer in asyncio.as_completed(asked):
            with contextlib.suppress(OSError, ValueError):
                return await answer
        raise OSError("no broker answers")
    finally:
        for one in asked:
            one.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


async def _ask(server: str, context: ssl.SSLContext | None) -> None:
    """ApiVersions, version 0, which is answered before a login, too.

    https://kafka.apache.org/protocol#The_Messages_ApiVersions
    """
    host, _, port = server.strip().rpartition(":")
    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port), ssl=context)
    try:
        writer.write(_QUESTION)
        _, correlation, error = struct.unpack(">iih", await reader.readexactly(10))
        if (correlation, error) != (CORRELATION, 0):
            raise OSError(f"{server} gives another answer than a Kafka broker")
    except asyncio.IncompleteReadError as hung_up:
        raise OSError(f"{server} closes the connection without an answer") from hung_up
    finally:
        writer.close()
