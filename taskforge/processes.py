"""Our own processes as `taskforge up` runs them."""

import asyncio
import contextlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from taskforge.devstack.child import Launch
from taskforge.devstack.ports import LOOPBACK, claim, is_free
from taskforge.devstack.service import ProcessService, RestartPolicy

__all__ = ["Api", "Worker", "command", "http_get"]

PROBE_SECONDS = 3.0
BODY_LIMIT = 64 * 1024


def command(*arguments: str) -> list[str]:
    """This very installation's `taskforge`."""
    return [sys.executable, "-m", "taskforge", *arguments]


class Worker(ProcessService):
    """`taskforge worker`: relay, consumers, scheduler. It counts as up while it runs."""

    name = "worker"
    stop_seconds = 10.0
    restart = RestartPolicy(hang=None)
    arguments: Sequence[str] = ("worker",)

    def __init__(self, environment: Mapping[str, str]) -> None:
        super().__init__(port=None, log=None)
        self._environment = environment

    async def launch(self) -> Launch:
        return Launch(argv=command(*self.arguments), env=self._environment, cwd=Path.cwd())

    async def probe(self) -> bool:
        return True


class Api(Worker):
    """`taskforge api`: up when it answers `/healthz`; whether its dependencies are well is `/readyz`'s business."""

    name = "api"
    start_seconds = 60.0
    restart = RestartPolicy(hang=30.0)
    arguments = ("api",)

    def __init__(self, environment: Mapping[str, str], host: str, port: int) -> None:
        super().__init__(environment)
        self.port = port
        self._host = LOOPBACK if host in {"0.0.0.0", "::", ""} else host  # noqa: S104 - compared, not listened on

    def port_taken(self, port: int) -> bool:
        handle = claim(port, "api")
        if handle is None:
            return True
        handle.close()
        return not is_free(port, self._host)

    async def probe(self) -> bool:
        return (await self.get("/healthz"))[0] == 200

    async def get(self, path: str) -> tuple[int, bytes]:
        return await http_get(self._host, self.port or 0, path)


async def http_get(host: str, port: int, path: str) -> tuple[int, bytes]:
    """Status and body of a GET; status 0 when nobody answers in time."""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            reader, writer = await asyncio.open_connection(host, port, limit=BODY_LIMIT)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            return int(head.split(maxsplit=2)[1]), await reader.read(BODY_LIMIT)
    except (OSError, TimeoutError, ValueError, IndexError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return 0, b""
    finally:
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
