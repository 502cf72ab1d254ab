"""When requests must have their answer, whatever hangs below: one look at all of them, now and then.

A timer for each request, and a second one for its body, would cost an eighth of a change.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from blacksheep import Request, Response

from actors.envelope import NOT_KNOWN
from api.calls import BodyTooSlow, Call
from core.errors import DeadlineExceeded

__all__ = ["LOOK_SECONDS", "Deadlines"]

LOOK_SECONDS: Final = 0.05
"""So much later than said may a request be ended."""
_READS: Final = frozenset({"GET", "HEAD"})
_LATE_READ: Final = "It could not be read in time."


class Deadlines:
    """Ends handlers that are still at work `seconds` after they began. One for each process.

    The time in which a request's body arrives does not count; it has a limit of its own (`Call.body`).
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._running: dict[Call, asyncio.Task[Any]] = {}
        self._looking = False

    async def answer(self, call: Call, handler: Callable[[Request], Awaitable[Response]], request: Request) -> Response:
        """The handler's answer. Raises DeadlineExceeded or BodyTooSlow when it does not come in time."""
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None, "a server runs requests as tasks"
        call.ends, before = loop.time() + self._seconds, task.cancelling()
        self._running[call] = task
        if not self._looking:
            self._looking = True
            loop.call_later(LOOK_SECONDS, self._look, loop)
        try:
            return await handler(request)
        except asyncio.CancelledError:
            # Cancelled by somebody else, too, it must end as such.
            if call.late and task.cancelling() <= before + 1:
                raise _late(call) from None
            raise
        finally:
            del self._running[call]
            if call.late:
                task.uncancel()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for call, task in self._running.items():
            if now >= call.ends and not call.late:
                call.late = True
                task.cancel()
        self._looking = bool(self._running)
        if self._looking:
            loop.call_later(LOOK_SECONDS, self._look, loop)


def _late(call: Call) -> Exception:
    if call.receiving:
        return BodyTooSlow(call.body_seconds)
    return DeadlineExceeded(_LATE_READ if call.method in _READS else NOT_KNOWN)
