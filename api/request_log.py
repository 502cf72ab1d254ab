"""A line in the log for every request, or only for those that were refused, failed or slow.

A line has the method, the route's template, the status, milliseconds, the request's id, the client's address and trace,
who asks, and the team once they are known to be a member of it. It never has a path, a query, a header or a body: all
of them can hold secrets.
"""

import logging
import math
import time
from typing import Any, Final

from api.calls import Call
from api.problems import FIRST_ERROR, INTERNAL
from api.settings import AccessLog, HttpSettings

__all__ = ["AccessRecord", "RequestLog"]

log = logging.getLogger("taskforge.access")

_LEAST: Final[dict[AccessLog, float]] = {"off": math.inf, "problems": FIRST_ERROR, "all": 0}


class AccessRecord(logging.LogRecord):
    """One line about a request. `fields` are all that it says; none of them can hold a secret.

    Every request makes one: whoever formats it may take the fields as they are.
    """

    __slots__ = ("fields",)

    def __init__(self, level: int, fields: dict[str, Any]) -> None:
        # What the base class finds out for each record (file, thread, process) is the same for all of these.
        now = time.time()
        self.__dict__.update(_ALIKE, created=now, levelno=level, levelname=logging.getLevelName(level), **fields)
        self.fields = fields


_ALIKE: Final = vars(logging.LogRecord(log.name, logging.INFO, "", 0, "request", None, None))


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
        if call.traceparent:
            fields["trace_id"] = call.trace_id
        if (user_id := call.user_id) is not None:
            fields["user_id"] = str(user_id)
        if call.team:
            fields["team_id"] = call.team.decode()
        if call.client:
            fields["client"] = call.client
        if slow:
            fields["slow"] = True
        log.handle(AccessRecord(level, fields))
