"""Databases for tests: made, named, and dropped again."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg

from core.secret import Secret
from db.settings import DatabaseSettings
from taskforge.devstack import DevStack
from tests.support import directories

numbers = itertools.count(1)


def settings_of(services: DevStack, name: str) -> DatabaseSettings:
    """The database as each of our roles reaches it."""
    return DatabaseSettings(
        owner_url=Secret(services.role_url("taskforge_owner", name)),
        api_url=Secret(services.role_url("taskforge_api", name)),
        writer_url=Secret(services.role_url("taskforge_writer", name)),
        worker_url=Secret(services.role_url("taskforge_worker", name)),
    )


def name_of(database: DatabaseSettings) -> str:
    """The name under which the server knows it."""
    return urlsplit(database.owner_url.reveal()).path.lstrip("/")


def superuser_url(services: DevStack, database: DatabaseSettings) -> str:
    return services.postgres.url_of(name_of(database))


async def create(services: DevStack, name: str, template: str = "template1") -> None:
    """A copy of the template, also when a test has left the server down."""
    await services.postgres.start()
    # Through the log a copy needs no checkpoints; in memory these cost nothing, and the log would fill it.
    strategy = "file_copy" if directories.in_memory(services.data.path) else "wal_log"
    statement = f"create database {name} template {template} strategy {strategy}"
    await execute(services.postgres.url_of("postgres"), statement)
    await execute(services.postgres.url_of(name), OWN_HISTORY)


# A copy is another database with the template's history: without this it would pass for a restored one.
OWN_HISTORY = """
do $$ begin
    if to_regclass('installation') is not null then
        update installation set database_oid = (select oid from pg_database where datname = current_database());
    end if;
end $$
"""


@asynccontextmanager
async def copied(services: DevStack, template: str) -> AsyncIterator[str]:
    """The name of a copy that is gone afterwards."""
    name = f"taskforge_test_{next(numbers)}"
    await create(services, name, template)
    try:
        yield name
    finally:
        await drop(services, name)


async def drop(services: DevStack, name: str) -> None:
    await services.postgres.start()
    await execute(services.postgres.url_of("postgres"), f"drop database {name} with (force)")


async def execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()
