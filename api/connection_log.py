"""A line in the log for every live connection, when it is over: how it was answered and how long it stayed open.

As with requests (`request_log.py`), the setting says which ones get a line, and none has a path, a query, a header or a
frame. Who it was is added to every record of a connection.
"""

import logging
from typing import Final

from api.problems import FIRST_ERROR
from api.settings import HttpSettings

__all__ = ["ConnectionLog"]

log = logging.getLogger("taskforge.access")

REFUSED: Final = frozenset({1002, 1003, 1008, 1009, 1011, 1013, 4008, 4401, 4403})
"""Close codes of what was refused, failed or too slow."""


class ConnectionLog:
    """Writes the lines that the settings ask for."""

    def __init__(self, settings: HttpSettings) -> None:
        self._wanted = settings.access_log

    def write(self, route: str, status: int, seconds: float, close: int = 0) -> None:
        """`close` is the code of a WebSocket that was opened: the client's, when it was the client that left."""
        if self._wanted == "off":
            return
        if self._wanted == "problems" and status < FIRST_ERROR and close not in REFUSED:
            return
        fields = {"method": "GET", "route": route, "status": status, "seconds": round(seconds, 3)}
        log.info("connection", extra=fields | {"close": close} if close else fields)
