"""Our own processes as `taskforge up` runs them."""

import asyncio
import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path

from taskforge.devstack.child import Launch
from taskforge.devstack.ports import LOOPBACK, PortBook, claim, is_free
from taskforge.devstack.service import ProcessService, RestartPolicy
from taskforge.parts.draining import PROCESS_SECONDS

__all__ = ["API_OPS_PORT", "OPS_PORT", "ApiProcess", "WorkerProcess", "command", "http_get", "near"]

OPS_PORT = "TASKFORGE_OPS__PORT"
API_OPS_PORT = "TASKFORGE_OPS__API_PORT"
PROBE_SECONDS = 3.0
BODY_LIMIT = 64 * 1024


def command(*arguments: str) -> list[str]:
    """This very installation's `taskforge`."""
    return [sys.executable, "-m", "taskforge", *arguments]


class WorkerProcess(ProcessService):
    """`taskforge worker`. It counts as started while it runs, for nobody waits for it, and hangs when it is silent.

    Its operators' listener is on `port`; where that is 0, on one that `ports` has for it, chosen anew by a start that
    finds it taken.
    """

    name = "worker"
    stop_seconds = PROCESS_SECONDS
    restart = RestartPolicy(hang=30.0)

    def __init__(self, environment: Mapping[str, str], host: str, port: int, ports: PortBook) -> None:
        super().__init__(port=port or None, log=None)
        self._environment = environment
        self._host, self._given, self._ports = near(host), port, ports

    async def launch(self) -> Launch:
        self.port = self._given or self._ports.claim("ops")
        environment = {**self._environment, OPS_PORT: str(self.port)}
        return Launch(argv=command("worker"), env=environment, cwd=Path.cwd())

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self.port}"

    async def probe(self) -> bool:
        return True

    async def ready(self) -> bool:
        """Whether its listener answers; an event loop that hangs shows there, too."""
        return self.pid is not None and (await http_get(self._host, self.port or 0, "/healthz"))[0] == 200


class ApiProcess(ProcessService):
    """`taskforge api`: up when it answers `/healthz`; whether its dependencies are well is `/readyz`'s business.

    Its operators' listener is on `ops_port`; where that is 0, on one that `ports` has for it.
    """

    name = "api"
    start_seconds = 60.0
    stop_seconds = PROCESS_SECONDS
    restart = RestartPolicy(hang=30.0)

    def __init__(self, environment: Mapping[str, str], host: str, port: int, ops_port: int, ports: PortBook) -> None:
        super().__init__(port=port, log=None)
        self._environment = environment
        self._host, self._given, self._ports = near(host), ops_port, ports
        self._ops_port = ops_port

    async def launch(self) -> Launch:
        self._ops_port = self._given or self._ports.claim("api-ops")
        environment = {**self._environment, API_OPS_PORT: str(self._ops_port)}
        return Launch(argv=command("api"), env=environment, cwd=Path.cwd())

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self.port}"

    @property
    def ops_url(self) -> str:
        return f"http://{self._host}:{self._ops_port}"

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


def near(host: str) -> str:
    """Where a listener on this address can be asked from the same machine."""
    return LOOPBACK if host in {"0.0.0.0", "::", ""} else host  # noqa: S104 - compared, not listened on


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
