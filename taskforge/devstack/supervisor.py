"""Starting services in order, keeping them up, stopping them in reverse order."""

import asyncio
import logging
from collections.abc import Sequence
from types import TracebackType

import msgspec

from taskforge.devstack.errors import DevstackError
from taskforge.devstack.service import Service

__all__ = ["Supervisor", "SupervisorStatistics"]

logger = logging.getLogger(__name__)


class SupervisorStatistics(msgspec.Struct, frozen=True):
    """`restarts` counts by service name what came back after a loss."""

    restarts: dict[str, int]


class Supervisor:
    """Owns one watching task per service, named `devstack:<service>`, from `start` to `stop`."""

    def __init__(self, services: Sequence[Service]) -> None:
        self._services = tuple(services)
        self._watchers: list[asyncio.Task[None]] = []
        self._restarts = {service.name: 0 for service in services}

    def statistics(self) -> SupervisorStatistics:
        return SupervisorStatistics(restarts=dict(self._restarts))

    async def start(self) -> None:
        """Start in the given order; when one fails, those before it are stopped and its error is raised."""
        try:
            for service in self._services:
                await service.start()
        except BaseException:
            await self.stop()
            raise
        self._watchers = [
            asyncio.create_task(self._watch(service), name=f"devstack:{service.name}") for service in self._services
        ]

    async def stop(self) -> None:
        """Stop watching, then stop the services in reverse order, all of them whatever fails."""
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        self._watchers = []
        for service in reversed(self._services):
            try:
                await service.stop()
            except OSError as error:
                logger.error("%s could not be stopped: %s", service.name, error)

    async def __aenter__(self) -> "Supervisor":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _watch(self, service: Service) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            since = loop.time()
            code = await self._until_lost(service)
            failures = 0 if loop.time() - since > service.restart.steady else failures + 1
            logger.warning("%s ended unexpectedly (code %s)", service.name, code)
            await self._bring_back(service, failures)

    async def _bring_back(self, service: Service, failures: int) -> None:
        while True:
            await asyncio.sleep(service.restart.delay(failures))
            if not service.wanted:
                return
            try:
                await service.start()
            except (DevstackError, OSError) as error:
                failures += 1
                logger.error("%s could not be restarted, trying again: %s", service.name, error)
            else:
                self._restarts[service.name] += 1
                logger.warning("%s is back (pid %s)", service.name, service.pid)
                return

    async def _until_lost(self, service: Service) -> int:
        lost = asyncio.create_task(service.lost(), name=f"devstack:{service.name}:lost")
        try:
            silent = 0.0
            while not (await asyncio.wait({lost}, timeout=service.restart.check))[0]:
                silent = await self._check(service, silent)
            return lost.result()
        finally:
            lost.cancel()
            await asyncio.gather(lost, return_exceptions=True)

    async def _check(self, service: Service, silent: float) -> float:
        """One health check; gives for how many seconds the service has not answered."""
        if not service.wanted or service.pid is None or await service.ready():
            return 0.0
        silent += service.restart.check
        logger.warning("%s has not answered for %g s", service.name, silent)
        hang = service.restart.hang
        if hang is not None and silent >= hang:
            logger.error("%s hangs and is killed", service.name)
            service.break_off()
            return 0.0
        return silent
