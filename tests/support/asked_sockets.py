"""What a block of a test asks sockets for, counted by the interpreter's own audit of them, below everything of ours.

Only the block's own doing counts. The supervisor of the services asks each of them every few seconds whether it is
well, in the same process and on the same loop, and its connection to 127.0.0.1 once passed for one of the client's.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from msgspec import Struct

__all__ = ["Asked", "counting"]

CONNECTIONS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
NAMES = frozenset({"socket.getaddrinfo", "socket.gethostbyname"})


class Asked(Struct):
    """Addresses to connect or send to, and names to look up."""

    addresses: list[str]
    names: list[str]


_open: list[Asked] = []
_mine: ContextVar[Asked | None] = ContextVar("asked of sockets", default=None)


def _counted() -> Asked | None:
    """Where the caller's question counts, if anywhere.

    Tasks and callbacks that a block begins have its context; those of others, which were there before, do not. Threads
    that a loop lends have no context at all: the question of any of them counts, whoever it was that had it asked.
    """
    if (found := _mine.get()) is not None:
        return found
    beside = threading.current_thread() is not threading.main_thread()
    return _open[-1] if beside and _open else None


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in CONNECTIONS and event not in NAMES:
        return
    if (asked := _counted()) is None:
        return
    if event in NAMES:
        asked.names.append(str(arguments[0]))
    elif isinstance(arguments[1], tuple):
        asked.addresses.append(str(arguments[1][0]))


sys.addaudithook(_audit)


@contextmanager
def counting() -> Iterator[Asked]:
    """What this block, the tasks that it begins, and threads ask for while it lasts."""
    asked = Asked([], [])
    token = _mine.set(asked)
    _open.append(asked)
    try:
        yield asked
    finally:
        _open.remove(asked)
        _mine.reset(token)
