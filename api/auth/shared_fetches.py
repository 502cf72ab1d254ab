"""Fetches of other servers' documents, told between processes over Valkey: one of them fetches, the others hear of it.

What is told is signed, and believed only while it is as young as a fetch of one's own might be. Without Valkey each
process fetches for itself.
"""

import logging
import struct
import time
from collections.abc import Awaitable, Callable
from typing import Final

import anyio
from msgspec import Struct
from valkey.asyncio import Valkey

from api.auth.fetching import SECONDS, FetchFailed
from db.signed import Forged, Signer
from db.valkey import QuietLog, ValkeyUnavailable, valkey_errors

__all__ = ["INTERVAL_SECONDS", "Fetched", "SharedFetches"]

logger = logging.getLogger(__name__)

INTERVAL_SECONDS: Final = 60.0
"""Whatever is asked for, and whether the last fetch succeeded: no sooner is there another."""
POLL_SECONDS: Final = 0.05
_AT: Final = struct.Struct(">d")


class Fetched(Struct, frozen=True):
    """A document and how many seconds ago it was fetched."""

    document: bytes
    age: float


class SharedFetches:
    """Fetches in turn with the other processes. `wall_clock` gives Unix seconds, which they must roughly agree on."""

    def __init__(self, valkey: Valkey, signer: Signer, *, wall_clock: Callable[[], float] = time.time) -> None:
        self._valkey, self._signer, self._wall_clock = valkey, signer, wall_clock
        self._log = QuietLog(logger)

    async def fetch(self, what: str, load: Callable[[], Awaitable[bytes]]) -> Fetched:
        """The document of this name, by `load` unless another process has fetched it within the last minute.

        Raises FetchFailed, also when another one could not fetch it.
        """
        key = f"taskforge:fetched:{what}".encode()
        try:
            found = await self._told(key)
            if found is None and not await self._claim(key):
                found = await self._wait_for(key)
        except ValkeyUnavailable as error:
            self._log.warning("fetches are not told between processes: %s", error)
            found = None
        if found is not None:
            return found
        document = await load()
        await self._tell(key, document)
        return Fetched(document, 0.0)

    async def _told(self, key: bytes) -> Fetched | None:
        """What was fetched by another process. Raises ValkeyUnavailable."""
        with valkey_errors():
            data = await self._valkey.get(key)
        if data is None:
            return None
        try:
            body = self._signer.verify("fetched", key, data).body
        except Forged as error:
            self._log.warning("a fetched document in Valkey is not one of ours: %s", error)
            return None
        age = max(0.0, self._wall_clock() - _AT.unpack_from(body)[0])
        return Fetched(body[_AT.size :], age) if age < INTERVAL_SECONDS else None

    async def _claim(self, key: bytes) -> bool:
        """Whether it is this process' turn: whoever claims first has the minute. Raises ValkeyUnavailable."""
        with valkey_errors():
            return bool(await self._valkey.set(key + b":claim", b"1", nx=True, px=int(INTERVAL_SECONDS * 1000)))

    async def _wait_for(self, key: bytes) -> Fetched:
        """What the process whose turn it is will tell. Raises FetchFailed, ValkeyUnavailable."""
        with anyio.move_on_after(SECONDS):
            while True:
                found = await self._told(key)
                if found is not None:
                    return found
                await anyio.sleep(POLL_SECONDS)
        raise FetchFailed("another process has tried within the last minute, and tells nothing")

    async def _tell(self, key: bytes, document: bytes) -> None:
        body = _AT.pack(self._wall_clock()) + document
        try:
            with valkey_errors():
                signed = self._signer.sign("fetched", key, body, seconds=INTERVAL_SECONDS)
                await self._valkey.set(key, signed, px=int(INTERVAL_SECONDS * 1000))
        except ValkeyUnavailable as error:
            self._log.warning("what was fetched is not told to other processes: %s", error)
