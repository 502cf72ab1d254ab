"""A line in the log for every request, or only for those that were refused, failed or slow.

A line has the method, the route's template, the status, milliseconds, the request's id, the client's address and trace,
who asks, and the team once they are known to be a member of it. It never has a path, a query, a header or a body: all
of them can hold secrets.

What went well can wait a moment: to write lines together costs a fifth of writing each.
"""

import asyncio
import logging
import math
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from api.calls import Call
from api.problems import FIRST_ERROR, INTERNAL
from api.settings import AccessLog, HttpSettings

__all__ = ["AccessLine", "AccessLines", "RequestLog"]

log = logging.getLogger("taskforge.access")

WAIT_SECONDS: Final = 0.05
MOST_LINES: Final = 200
"""As many go out at once without waiting for others."""
PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds, for ever: only what goes wrong there is worth a line."""

_LEAST: Final[dict[AccessLog, float]] = {"off": math.inf, "problems": FIRST_ERROR, "all": 0}


class AccessLine(Struct, frozen=True, gc=False, omit_defaults=True):
    """All that the log says about a request, in the order in which it says it. `ms` are milliseconds."""

    time: datetime
    level: str
    logger: str
    message: str
    method: str
    route: str
    status: int
    ms: float
    request_id: str
    trace_id: str = ""
    user_id: UUID | None = None
    team_id: str = ""
    client: str = ""
    slow: bool = False


class AccessLines(logging.LogRecord):
    """Lines about requests, of one level. Whoever formats them may take them as they are: none can hold a secret."""

    def __init__(self, level: int, lines: list[AccessLine]) -> None:
        super().__init__(log.name, level, "", 0, "request", None, None)
        self.lines = lines


class RequestLog:
    """Writes the lines that the settings ask for.

    `status` and `seconds` are the least that deserve a line: the edge compares before it calls, so that a request
    without a line costs two comparisons.
    """

    __slots__ = ("_due", "_waiting", "seconds", "status")

    def __init__(self, settings: HttpSettings) -> None:
        self.status = _LEAST[settings.access_log]
        self.seconds = math.inf if settings.access_log == "off" else settings.slow_seconds
        self._waiting: list[AccessLine] = []
        self._due: asyncio.TimerHandle | None = None

    def write(self, call: Call, status: int, seconds: float) -> None:
        """A warning for a failure of ours and for what was slow, else information."""
        slow = seconds >= self.seconds
        level = logging.WARNING if slow or status >= INTERNAL.status else logging.INFO
        if not log.isEnabledFor(level):
            return
        line = AccessLine(
            datetime.now(UTC),
            "warning" if level == logging.WARNING else "info",
            log.name,
            "request",
            call.method,
            call.route,
            status,
            round(seconds * 1000, 3),
            call.request_id.decode(),
            call.trace_id,
            call.user_id,
            call.team.decode(),
            call.client,
            slow,
        )
        if slow or status >= FIRST_ERROR:
            self.flush()
            log.handle(AccessLines(level, [line]))
        elif call.route not in PROBES:
            self._waiting.append(line)
            if len(self._waiting) >= MOST_LINES:
                self.flush()
            elif self._due is None:
                self._due = asyncio.get_running_loop().call_later(WAIT_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what waits."""
        waiting, self._waiting = self._waiting, []
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if waiting:
            log.handle(AccessLines(logging.INFO, waiting))
