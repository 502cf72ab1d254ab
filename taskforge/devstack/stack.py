"""The embedded services together: one data directory, one supervisor."""

import contextlib
import logging
from collections.abc import AsyncIterator, Set
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from taskforge.devstack.cluster import Cluster
from taskforge.devstack.datadir import DataDir, LocalSecrets
from taskforge.devstack.errors import PortTaken
from taskforge.devstack.kafka import Kafka
from taskforge.devstack.ports import PortBook
from taskforge.devstack.postgres import DATABASE, Postgres, binaries
from taskforge.devstack.service import ProcessService
from taskforge.devstack.supervisor import Supervisor
from taskforge.devstack.valkey import Valkey

__all__ = ["ALL", "Kind", "ServiceUrls", "DevStack", "running_devstack"]

logger = logging.getLogger(__name__)

Kind = Literal["postgres", "valkey", "kafka"]
AnyService = TypeVar("AnyService", bound=ProcessService)

ALL: Set[Kind] = frozenset({"postgres", "valkey", "kafka"})
DEFAULT_PORTS = {"postgres": 15432, "valkey": 16379, "kafka": 19092}
PORT_TRIES = 3


class ServiceUrls(msgspec.Struct, frozen=True, kw_only=True):
    """Where the services are; empty for one that was not asked for. `postgres_url` is the superuser's."""

    postgres_url: str = ""
    valkey_url: str = ""
    kafka_bootstrap: str = ""

    def __repr__(self) -> str:
        return "ServiceUrls(********)"


class DevStack:
    """The running services. Each can be killed, stopped and started by itself; one not asked for raises `KeyError`."""

    def __init__(self, data: DataDir, secrets: LocalSecrets, parts: dict[str, ProcessService]) -> None:
        self.data = data
        self.secrets = secrets
        self._parts = parts
        self.supervisor = Supervisor(list(parts.values()))

    async def start(self, book: PortBook) -> None:
        """Start in order, on another port where one was taken meanwhile, and supervise."""
        for part in self._parts.values():
            await _start(part, book)
        await self.supervisor.start()

    async def stop(self) -> None:
        await self.supervisor.stop()

    @property
    def postgres(self) -> Postgres:
        return self._part("postgres", Postgres)

    @property
    def valkey(self) -> Valkey:
        return self._part("valkey", Valkey)

    @property
    def kafka(self) -> Kafka:
        return self._part("kafka", Kafka)

    @property
    def ports(self) -> dict[str, int]:
        return {name: part.port for name, part in self._parts.items() if part.port is not None}

    @property
    def urls(self) -> ServiceUrls:
        return ServiceUrls(
            postgres_url=self.postgres.url if "postgres" in self._parts else "",
            valkey_url=self.valkey.url if "valkey" in self._parts else "",
            kafka_bootstrap=self.kafka.bootstrap_servers if "kafka" in self._parts else "",
        )

    @property
    def postgres_url(self) -> str:
        return self.postgres.url

    @property
    def valkey_url(self) -> str:
        return self.valkey.url

    @property
    def kafka_bootstrap(self) -> str:
        return self.kafka.bootstrap_servers

    def role_url(self, role: str, database: str = DATABASE) -> str:
        """A role's connection string; its password is set by `taskforge migrate`."""
        return self.postgres.url_of(database, role, self.secrets.role_passwords[role])

    def _part(self, name: str, kind: type[AnyService]) -> AnyService:
        part = self._parts[name]
        if not isinstance(part, kind):
            raise TypeError(name)
        return part


@contextlib.asynccontextmanager
async def running_devstack(
    data_dir: Path,
    *,
    want: Set[Kind] = ALL,
    default_ports: dict[str, int] | None = None,
    broker: type[Kafka] = Kafka,
) -> AsyncIterator[DevStack]:
    """Run the wanted services under `data_dir` until the block ends, supervised.

    Ports: those of the last run, else `default_ports` (name to port; an empty dict takes any free ones), else the
    next free ones. Must be entered in the thread whose event loop runs for the whole block: the children are tied
    to it and end with it. `broker` is what runs as Kafka. Raises `DataDirBusy`, `ServiceFailed` and other
    `DevstackError`s.
    """
    data = DataDir(data_dir)
    data.lock()
    try:
        book = PortBook(data.ports, DEFAULT_PORTS if default_ports is None else default_ports)
        services = await _assemble(data, want, book, broker)
        try:
            await services.start(book)
            yield services
        finally:
            await services.stop()
    finally:
        data.unlock()


async def _assemble(data: DataDir, want: Set[Kind], book: PortBook, broker: type[Kafka]) -> DevStack:
    secrets = data.secrets()
    parts: dict[str, ProcessService] = {}
    if "postgres" in want:
        log = data.log("postgres")
        # Before the port is chosen: what an earlier run left behind would still hold it.
        await Cluster(binaries(), data.postgres, log).clear_remains()
        parts["postgres"] = Postgres(data.postgres, log, book.claim("postgres"), secrets.postgres_password)
    if "valkey" in want:
        valkey = data.path / "valkey"
        parts["valkey"] = Valkey(valkey, data.log("valkey"), book.claim("valkey"), secrets.valkey_password)
    if "kafka" in want:
        parts["kafka"] = broker(data.path / "kafka", data.log("kafka"), book.claim("kafka"))
    return DevStack(data, secrets, parts)


async def _start(part: ProcessService, book: PortBook) -> None:
    for _ in range(PORT_TRIES):
        try:
            await part.start()
        except PortTaken as taken:
            part.port = book.claim(part.name)
            logger.warning("%s; using %s", taken, part.port)
        else:
            return
    await part.start()
