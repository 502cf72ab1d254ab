"""Turns: of all that ask for the same at once, one holds a connection to the database, and the others none."""

import asyncio
from weakref import WeakValueDictionary

__all__ = ["Turns"]


class Turns:
    """A lock for each name, as long as somebody has or wants it.

    Whoever waits for a lock of the database waits with a connection in hand, so that one client that asks the same
    dozens of times would take the whole pool. Who waits here has not taken any yet. Other processes do not know of
    these turns: what must be true across processes still needs `Writing.alone`.
    """

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, what: str) -> asyncio.Lock:
        """The lock of that name, for `async with`; those who wait have it in the order in which they came."""
        return self._locks.setdefault(what, asyncio.Lock())
