"""The operators' listener of a process: `/healthz`, `/readyz` and `/metrics`, the same answers as those of the API.

A worker's has a page, `/ops`, too (`taskforge/ops`).

It is served by a thread of its own, so that an event loop that hangs is seen from outside instead of hiding it.
"""

import asyncio
import contextlib
import logging
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager
from functools import partial
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, Final, TypeVar
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import anyio
import anyio.to_thread
from msgspec import json

from api.health import Health, Readiness
from api.metrics import CONTENT_TYPE, Metrics

if TYPE_CHECKING:
    from taskforge.ops.page import OpsPage

__all__ = ["listening"]

log = logging.getLogger(__name__)

LOOP_SECONDS: Final = 0.95
"""The whole answer of `/readyz` comes within a second; each probe inside has a little less."""
POLL_SECONDS: Final = 0.05
CONNECTION_SECONDS: Final = 2.0
"""How long a connection lasts at most, however its client sends and reads."""
PAGE_SECONDS: Final = 75.0
"""The same for the operators' page, on which a replay may be waited for."""
CONNECTIONS: Final = 64
"""At a time; what comes beyond them is closed at once."""

T = TypeVar("T")
Start = Callable[[str, list[tuple[str, str]]], Any]
Answer = tuple[str, str, bytes]

ALLOW: Final = "taskforge.allow"
JSON: Final = "application/json"
NOT_FOUND: Final = ("404 Not Found", JSON, b'{"status":"not found"}')
OK: Final = "200 OK"
NOT_READY: Final = "503 Service Unavailable"
LOOP_HANGS: Final = Readiness("unavailable", {"event_loop": "down"})
ALIVE: Final = (OK, JSON, b'{"status":"ok"}')
HANGING: Final = (NOT_READY, JSON, json.encode(LOOP_HANGS))


@asynccontextmanager
async def listening(
    host: str, port: int, health: Health, metrics: Metrics, *, shared: bool = False, page: "OpsPage | None" = None
) -> AsyncIterator[int]:
    """Answer until the block ends, on the port that is yielded. Raises OSError when it is taken.

    A `shared` port is one that the processes of an API server listen on together: any of them answers. Workers have a
    `page`.
    """
    application = _Operators(asyncio.get_running_loop(), health, metrics, page)
    kind = _SharingServer if shared else _Server
    server = make_server(host, port, application, server_class=kind, handler_class=_SilentHandler)
    thread = threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,), name="operators", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(server.shutdown)
            await anyio.to_thread.run_sync(server.finish)


class _Server(ThreadingMixIn, WSGIServer):
    """A thread per connection, each for a limited time: a slow client keeps neither others nor the end waiting."""

    daemon_threads = True
    request_queue_size = 2 * CONNECTIONS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ends: dict[Any, float] = {}
        """When each open connection is cut."""

    def process_request(self, request: Any, client_address: Any) -> None:
        if len(self._ends) >= CONNECTIONS:
            super().shutdown_request(request)
            return
        self._ends[request] = time.monotonic() + CONNECTION_SECONDS
        super().process_request(request, client_address)

    def allow(self, request: Any, seconds: float) -> None:
        """Let the connection last so much longer from now on."""
        if request in self._ends:
            self._ends[request] = time.monotonic() + seconds

    def shutdown_request(self, request: Any) -> None:
        self._ends.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Called at every poll."""
        now = time.monotonic()
        for request, end in list(self._ends.items()):
            if end < now:
                with contextlib.suppress(OSError):  # It ended by itself.
                    request.shutdown(socket.SHUT_RDWR)

    def finish(self) -> None:
        """Wait for the answers on their way, which may need the event loop, and cut what is left in time."""
        soon = time.monotonic() + CONNECTION_SECONDS
        while self._ends:
            self._ends = {request: min(end, soon) for request, end in list(self._ends.items())}
            self.service_actions()
            time.sleep(POLL_SECONDS)
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 (the base class calls it so)
        """A client that falls silent, or goes, is worth no traceback."""
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            log.debug("a connection of an operator ended: %s", error)
        else:
            log.error("an operator could not be answered", exc_info=error)


class _SharingServer(_Server):
    allow_reuse_port = True


class _SilentHandler(WSGIRequestHandler):
    timeout = 1.0

    def get_environ(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environ()
        environ[ALLOW] = partial(self.server.allow, self.connection)  # type: ignore[attr-defined]
        return environ

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class's name)
        """Scrapes are not worth a line each."""


class _Operators:
    """The WSGI application (PEP 3333). It runs in threads; whatever it asks of the process runs in the event loop."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, health: Health, metrics: Metrics, page: "OpsPage | None"
    ) -> None:
        self._loop, self._health, self._metrics, self._page = loop, health, metrics, page

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        if self._page is not None and self._page.is_at(environ["PATH_INFO"]):
            environ[ALLOW](PAGE_SECONDS)
            shown = self._page.answer(environ, self._in_loop)
            always = [("Content-Length", str(len(shown.body))), ("Cache-Control", "no-store")]
            start(shown.status, [("Content-Type", shown.kind), *always, *shown.headers])
            return [shown.body]
        match environ["PATH_INFO"]:
            case "/healthz":
                answer = self._liveness()
            case "/readyz":
                answer = self._readiness()
            case "/metrics":
                answer = self._numbers()
            case _:
                answer = NOT_FOUND
        status, kind, body = answer
        start(status, [("Content-Type", kind), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")])
        return [body]

    def _liveness(self) -> Answer:
        return ALIVE if self._in_loop(_turn) is not None else HANGING

    def _readiness(self) -> Answer:
        state = self._in_loop(self._health.readiness) or LOOP_HANGS
        return OK if state.ready else NOT_READY, JSON, json.encode(state)

    def _numbers(self) -> Answer:
        flushed = self._in_loop(self._flush) is not None
        return (OK, CONTENT_TYPE, self._metrics.text()) if flushed else HANGING

    async def _flush(self) -> bool:
        self._metrics.flush()
        return True

    def _in_loop(self, question: Callable[[], Coroutine[Any, Any, T]], seconds: float = LOOP_SECONDS) -> T | None:
        """The answer of the process, or None when its event loop does not give it in time."""
        asked = asyncio.run_coroutine_threadsafe(question(), self._loop)
        try:
            return asked.result(seconds)
        except (TimeoutError, CancelledError):
            asked.cancel()
            return None


async def _turn() -> bool:
    """This answer proves that the event loop turns."""
    return True
