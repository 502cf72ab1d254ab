"""A line in the log for requests that were refused, failed or were slow, or for all of them.

A line has the method, the route's template, the status, milliseconds, the request's id and the team once whoever
asks is known to be a member of it. It never has a path, a query, a header or a body: all of them can hold secrets.
"""

import logging
import math
from typing import Any, Final

from api.calls import Call
from api.problems import FIRST_ERROR, INTERNAL
from api.settings import AccessLog, HttpSettings

__all__ = ["RequestLog"]

log = logging.getLogger("taskforge.access")

_LEAST: Final[dict[AccessLog, float]] = {"off": math.inf, "problems": FIRST_ERROR, "all": 0}


class RequestLog:
    """Writes the lines that the settings ask for.

    `status` and `seconds` are the least that deserve a line: the edge compares before it calls, so that a request
    without a line costs two comparisons.
    """

    __slots__ = ("seconds", "status")

    def __init__(self, settings: HttpSettings) -> None:
        self.status = _LEAST[settings.access_log]
        self.seconds = math.inf if settings.access_log == "off" else settings.slow_seconds

    def write(self, call: Call, status: int, seconds: float) -> None:
        """A warning for a failure of ours and for what was slow, else information."""
        slow = seconds >= self.seconds
        level = logging.WARNING if slow or status >= INTERNAL.status else logging.INFO
        if not log.isEnabledFor(level):
            return
        fields: dict[str, Any] = {
            "method": call.method,
            "route": call.route,
            "status": status,
            "ms": round(seconds * 1000, 3),
            "request_id": call.request_id.decode(),
        }
        if call.team:
            fields["team_id"] = call.team.decode()
        if slow:
            fields["slow"] = True
        log.log(level, "request", extra=fields)
