"""API keys as credentials: read from Postgres once in a while, in between known like access tokens.

A key is remembered for five minutes and then read again, which is also when its use is noted. Revoked ones end at once
all the same (`api.auth.tokens.Revocations`). A made-up key costs no query if its checksum is wrong, and one otherwise.
Tokens of other issuers come the same way, and go on to `api.auth.external_issuers`.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID

from blacksheep import Request, Response
from msgspec import Struct

from api.auth.external_issuers import ExternalIssuers
from api.auth.tokens import AccessTokens, key_in
from core.errors import StorageUnavailable
from core.key_form import is_key
from db.people.api_keys import USED_SECONDS, ApiKeys, token_hash_of
from db.valkey import QuietLog

__all__ = ["KeyReader", "KeyStatistics"]

logger = logging.getLogger(__name__)

REMEMBERED_SECONDS: Final = USED_SECONDS + 10.0
"""A little longer than uses are noted apart, so that a key in steady use has each time noted."""
UNKNOWN_SECONDS: Final = 5.0
MOST_UNKNOWN: Final = 10_000
READ_AT_ONCE: Final = 4
"""So many connections, of those that requests share, may be busy with keys that are not known yet."""

Handler = Callable[[Request], Awaitable[Response]]


class KeyStatistics(Struct, frozen=True):
    """How often keys were looked for in Postgres since the start, and how many of the keys were not there."""

    read: int
    unknown: int


class KeyReader:
    """Reads keys that this process does not know into its memory of credentials. One for each process.

    `issuers` reads what other issuers signed, where there are any.
    """

    def __init__(
        self,
        keys: ApiKeys,
        tokens: AccessTokens,
        issuers: ExternalIssuers | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys, self._tokens, self._issuers, self._monotonic = keys, tokens, issuers, monotonic
        self._unknown: dict[bytes, float] = {}
        self._reading: dict[bytes, asyncio.Lock] = {}
        self._room = asyncio.Semaphore(READ_AT_ONCE)
        self._used: dict[UUID, UUID] = {}
        self._to_note = asyncio.Event()
        self._read = self._not_found = 0
        self._log = QuietLog(logger)

    def statistics(self) -> KeyStatistics:
        return KeyStatistics(self._read, self._not_found)

    def is_unread(self, authorization: bytes) -> bool:
        """Whether the value has an API key, or another issuer's token, that must be read before it says whose it is."""
        key = key_in(authorization)
        if key is None:
            return self._issuers is not None and self._issuers.is_unread(authorization)
        return (
            not self._tokens.knows(authorization) and is_key(key) and not self._is_unknown(hashlib.sha256(key).digest())
        )

    def before(self, handler: Handler, authorization: bytes) -> Handler:
        """The handler, once the key in the value was looked for."""

        async def handle(request: Request) -> Response:
            await self.read(authorization)
            return await handler(request)

        return handle

    async def read(self, authorization: bytes) -> None:
        """Read what is in the value, if that must be: afterwards `AccessTokens.principal_of` knows it, or refuses.

        Whoever presents the same key meanwhile waits for the one query. Raises StorageUnavailable, and for a token what
        `ExternalIssuers.read` does.
        """
        if not self.is_unread(authorization):
            return
        key = key_in(authorization)
        if key is None:
            assert self._issuers is not None, "what is unread and no key is another issuer's"
            await self._issuers.read(authorization)
            return
        digest = token_hash_of(key)
        alone = self._reading.setdefault(digest, asyncio.Lock())
        try:
            async with alone:
                if self.is_unread(authorization):
                    await self._look_for(digest, authorization)
        finally:
            if not alone.locked():
                self._reading.pop(digest, None)

    async def _look_for(self, digest: bytes, authorization: bytes) -> None:
        async with self._room:
            found = await self._keys.find(digest)
        self._read += 1
        if found is None:
            self._not_found += 1
            self._remember_unknown(digest)
            return
        left = float("inf") if found.seconds_left is None else found.seconds_left
        self._tokens.remember_read(authorization, found.principal(), found.id, seconds=REMEMBERED_SECONDS, left=left)
        self._used[found.id] = found.user_id
        self._to_note.set()

    def _is_unknown(self, digest: bytes) -> bool:
        until = self._unknown.get(digest)
        return until is not None and self._monotonic() < until

    def _remember_unknown(self, digest: bytes) -> None:
        """In the order of their ends: those in front are over, or the ones to give up when there are too many."""
        now = self._monotonic()
        self._unknown.pop(digest, None)
        self._unknown[digest] = now + UNKNOWN_SECONDS
        while (first := next(iter(self._unknown))) and (
            self._unknown[first] <= now or len(self._unknown) > MOST_UNKNOWN
        ):
            del self._unknown[first]

    async def run(self) -> None:
        """Note uses until cancelled, off the way of the requests. A use that cannot be noted is left out."""
        while True:
            await self._to_note.wait()
            self._to_note.clear()
            used, self._used = self._used, {}
            for key_id, user_id in used.items():
                try:
                    await self._keys.note_use(user_id, key_id)
                except StorageUnavailable as error:
                    self._log.warning("the use of an API key is not noted: %s", error)
                    break
