"""What every embedded service and every supervised process has in common."""

import abc
import asyncio
import logging
import signal
from pathlib import Path
from typing import Protocol

import msgspec

from taskforge.devstack.child import Child, Launch, signal_group
from taskforge.devstack.errors import DevstackError, PortTaken, ServiceFailed
from taskforge.devstack.ports import is_free

__all__ = ["ProcessService", "RestartPolicy", "Service", "tail"]

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.02
TAIL_BYTES = 2000


class RestartPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When a lost service comes back. Seconds throughout.

    `hang`: a service that lives but has not answered for this long is killed; None never kills, only warns.
    """

    first_delay: float = 0.1
    last_delay: float = 2.0
    steady: float = 10.0
    check: float = 5.0
    hang: float | None = 30.0

    def delay(self, failures: int) -> float:
        return min(self.last_delay, self.first_delay * 2.0 ** min(failures, 16))


class Service(Protocol):
    """Something the supervisor starts, watches, restarts and stops."""

    @property
    def name(self) -> str: ...
    @property
    def restart(self) -> RestartPolicy: ...
    @property
    def pid(self) -> int | None: ...
    @property
    def wanted(self) -> bool: ...

    async def start(self) -> None: ...
    async def ready(self) -> bool: ...
    async def lost(self) -> int: ...
    async def stop(self) -> None: ...
    async def kill(self) -> None: ...
    def break_off(self) -> None: ...


def tail(path: Path | None) -> str:
    """The last lines of a log, for an error message."""
    if path is None or not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-8:])


class ProcessService(abc.ABC):
    """A service made of one process (and its children).

    `start` returns when the service answers. `stop` and `kill` make it unwanted: it stays down until `start`.
    A process that ends while wanted is reported by `lost`.
    """

    name: str
    restart = RestartPolicy()
    stop_signal = signal.SIGTERM
    stop_seconds = 10.0
    start_seconds = 30.0

    def __init__(self, port: int | None, log: Path | None) -> None:
        self.port = port
        self.log = log
        self._child: Child | None = None
        self._changing = asyncio.Lock()
        self._up = asyncio.Event()
        self._wanted = False

    @abc.abstractmethod
    async def launch(self) -> Launch:
        """What to run, asked anew at every start."""

    @abc.abstractmethod
    async def probe(self) -> bool:
        """Whether the service answers now; bounded in time, never raises for a refusal."""

    async def prepare(self) -> None:
        """Put the ground in order before a start."""
        return

    async def complete(self) -> None:
        """Finish a start once the service answers."""
        return

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None and self._child.alive else None

    @property
    def wanted(self) -> bool:
        return self._wanted

    async def ready(self) -> bool:
        return self.pid is not None and await self.probe()

    async def start(self) -> None:
        """Raises `PortTaken` or `ServiceFailed`; does nothing when already up."""
        async with self._changing:
            self._wanted = True
            if self.pid is not None and self._up.is_set():
                return
            self._up.clear()
            if self._child is not None:  # What the ended process left of its session.
                signal_group(self._child.pid, signal.SIGKILL)
            await self.prepare()
            self._child = await Child.spawn(await self.launch())
            try:
                await self._until_ready(self._child)
                await self.complete()
            except BaseException:
                await self._child.stop(self.stop_signal, 1.0)
                raise
            self._up.set()

    async def _until_ready(self, child: Child) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + self.start_seconds
        while loop.time() < end:
            # Looking at the process after the probe: a foreign server on our port must not pass for ours.
            if await self.probe() and child.alive:
                return
            if not child.alive:
                raise self._failure(f"ended with code {child.exit_code} before it was ready")
            await asyncio.sleep(POLL_SECONDS)
        raise self._failure(f"was not ready within {self.start_seconds:g} s")

    def _failure(self, what: str) -> DevstackError:
        if self.pid is None and self.port is not None and self.port_taken(self.port):
            return PortTaken(self.name, self.port)
        lines = tail(self.log)
        return ServiceFailed(f"{self.name} {what}" + (f"; {self.log} ends with:\n{lines}" if lines else ""))

    def port_taken(self, port: int) -> bool:
        """Whether somebody else holds the port, asked when our own process has ended."""
        return not is_free(port)

    async def lost(self) -> int:
        """Wait until the process ends although it is wanted; gives its exit code (negative: a signal)."""
        while True:
            await self._up.wait()
            child = self._child_now()
            code = await child.wait()
            if child is self._child and self._wanted and self._up.is_set():
                self._up.clear()
                return code

    async def stop(self) -> None:
        """End it in order, by force after `stop_seconds`."""
        self._retire()
        async with self._changing:
            self._retire()
            if self.pid is None:
                return
            child = self._child_now()
            if await child.stop(self.stop_signal, self.stop_seconds):
                logger.info("%s has ended (code %s)", self.name, child.exit_code)
            else:
                logger.warning("%s did not end within %g s and was killed", self.name, self.stop_seconds)

    async def kill(self) -> None:
        """SIGKILL to the leading process alone, as a crash would be; it stays down until `start`."""
        self._retire()
        async with self._changing:
            self._retire()
            if self.pid is not None:
                self._child_now().send(signal.SIGKILL)
                await self._child_now().wait()

    def _retire(self) -> None:
        self._wanted = False
        self._up.clear()

    def _child_now(self) -> Child:
        if self._child is None:
            raise ServiceFailed(f"{self.name} was never started")
        return self._child

    def break_off(self) -> None:
        """SIGKILL a process that hangs; it stays wanted, so that the supervisor starts it again."""
        if self._child is not None:
            signal_group(self._child.pid, signal.SIGKILL)
