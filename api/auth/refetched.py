"""A document of another server, kept here: fetched again at most once a minute, and good while that server is away."""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from msgspec import Struct

from api.auth.fetching import FetchFailed
from api.auth.shared_fetches import INTERVAL_SECONDS, Fetched, SharedFetches
from db.valkey import QuietLog

__all__ = ["FRESH_SECONDS", "INTERVAL_SECONDS", "STALE_SECONDS", "Refetched", "RefetchedStatistics"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

FRESH_SECONDS: Final = 600.0
"""An older document is fetched again when it is next needed, so that a key that was withdrawn is not believed long."""
STALE_SECONDS: Final = 86_400.0
"""So long it stays good while it cannot be fetched."""


class RefetchedStatistics(Struct, frozen=True):
    """How often it was fetched since the start, and how often in vain."""

    fetched: int
    failed: int


class Refetched(Generic[T]):
    """One document: `load` fetches and `read` reads it, and both raise FetchFailed. `monotonic` gives seconds.

    Whoever needs it meanwhile waits, or goes on with what is known. With `shared` other processes fetch for this one.
    """

    def __init__(
        self,
        what: str,
        load: Callable[[], Awaitable[bytes]],
        read: Callable[[bytes], T],
        *,
        shared: SharedFetches | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what, self._load, self._read, self._shared, self._monotonic = what, load, read, shared, monotonic
        self._value: T | None = None
        self._got = self._tried = -math.inf
        self._alone = asyncio.Lock()
        self._fetched = self._failed = 0
        self._log = QuietLog(logger)

    @property
    def value(self) -> T | None:
        """The document, unless it was never fetched, or not for so long that it is good no more."""
        return self._value if self._age() <= STALE_SECONDS else None

    @property
    def was_fetched(self) -> bool:
        """Whether there has ever been one."""
        return self._value is not None

    @property
    def retry_after(self) -> int:
        """Whole seconds until the next fetch may be made, at least 1."""
        return max(1, math.ceil(self._tried + INTERVAL_SECONDS - self._monotonic()))

    def statistics(self) -> RefetchedStatistics:
        return RefetchedStatistics(self._fetched, self._failed)

    async def get(self, suffices: Callable[[T], bool] = lambda _: True) -> T | None:
        """The document, fetched anew if it is old or does not suffice, and a minute has passed since the last time."""
        if self._good(suffices) and (self._age() <= FRESH_SECONDS or self._alone.locked()):
            return self._value
        async with self._alone:
            if not (self._good(suffices) and self._age() <= FRESH_SECONDS):
                await self._fetch()
        return self.value

    def _good(self, suffices: Callable[[T], bool]) -> bool:
        value = self.value
        return value is not None and suffices(value)

    def _age(self) -> float:
        return self._monotonic() - self._got

    async def _fetch(self) -> None:
        now = self._monotonic()
        if now < self._tried + INTERVAL_SECONDS:
            return
        self._tried = now
        self._fetched += 1
        try:
            found = await self._found()
            self._value = self._read(found.document)
        except FetchFailed as error:
            self._failed += 1
            self._log.warning("%s not fetched: %s", self._what, error)
        else:
            # The minute of a document that another process fetched began there.
            self._got, self._tried = self._monotonic() - found.age, now - found.age

    async def _found(self) -> Fetched:
        if self._shared is None:
            return Fetched(await self._load(), 0.0)
        return await self._shared.fetch(self._what, self._load)
