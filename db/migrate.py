"""Forwards, back and check, for the migrations in `db/migrations/`.

The files are Piccolo migrations (`piccolo migrations …` runs them too) and share its `migration` table. This runner
adds what Piccolo lacks: an advisory lock, so that two processes may start at once, and the row in `migration` inside
the migration's own transaction. It needs neither Piccolo's global engine nor the formatter its command line imports.
"""

import importlib.util
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg
from msgspec import Struct

from db.errors import storage_errors
from db.scram import scram_verifier

__all__ = ["MigrationReport", "back", "check", "migrate"]

logger = logging.getLogger(__name__)

APP: Final = "taskforge"
FOLDER: Final = Path(__file__).parent / "migrations"
LOCK: Final = 0x7461736B666F7267  # "taskforg" in ASCII
LOCK_SECONDS: Final = 120
CONNECT_SECONDS: Final = 10
PASSWORD_TRIES: Final = 5

# As Piccolo creates it, so that its own commands read the same history.
_HISTORY: Final = """
create table if not exists migration (
    id serial primary key not null,
    name varchar(200) not null default '',
    app_name varchar(200) not null default '',
    ran_on timestamp not null default current_timestamp
)
"""


class MigrationReport(Struct, frozen=True):
    """What was done, in order, and what is applied now."""

    ran: tuple[str, ...]
    applied: tuple[str, ...]


async def migrate(owner_url: str, *, passwords: Mapping[str, str] | None = None) -> MigrationReport:
    """Apply every pending migration, then give the named roles these passwords.

    `owner_url` is of a superuser (which also makes the roles) or of `taskforge_owner`. Each migration is one
    transaction. Raises StorageUnavailable when Postgres cannot be reached and asyncpg's errors for a failed statement.
    """
    async with _locked(owner_url) as connection:
        await connection.execute(_HISTORY)
        applied = await _applied(connection)
        ran = [name for name in _known() if name not in applied]
        for name in ran:
            await _run(connection, name, "up")
        for role, password in (passwords or {}).items():
            await _set_password(connection, role, password)
        return MigrationReport(tuple(ran), (*applied, *ran))


async def back(owner_url: str, steps: int) -> MigrationReport:
    """Undo the last `steps` migrations, newest first. Data in their tables is lost."""
    async with _locked(owner_url) as connection:
        applied = await _applied(connection)
        undone = applied[::-1][:steps]
        for name in undone:
            await _run(connection, name, "down")
        return MigrationReport(tuple(undone), tuple(applied[: len(applied) - len(undone)]))


async def check(owner_url: str) -> list[str]:
    """The names of pending migrations; nothing is changed."""
    with storage_errors():
        connection = await asyncpg.connect(owner_url, timeout=CONNECT_SECONDS)
        try:
            applied = await _applied(connection)
        finally:
            await connection.close(timeout=CONNECT_SECONDS)
    return [name for name in _known() if name not in applied]


@asynccontextmanager
async def _locked(owner_url: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """A connection that holds the lock of all migrations of this database; the lock goes with the connection."""
    with storage_errors():
        connection = await asyncpg.connect(owner_url, timeout=CONNECT_SECONDS)
        try:
            await connection.execute("select pg_advisory_lock($1::bigint)", LOCK, timeout=LOCK_SECONDS)
            yield connection
        finally:
            await connection.close(timeout=CONNECT_SECONDS)


def _known() -> Sequence[str]:
    return sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


async def _applied(connection: "asyncpg.Connection[Any]") -> list[str]:
    if await connection.fetchval("select to_regclass('migration')") is None:
        return []
    rows = await connection.fetch("select name from migration where app_name = $1 order by name", APP)
    return [row["name"] for row in rows]


async def _run(connection: "asyncpg.Connection[Any]", name: str, direction: str) -> None:
    script: str = _load(name).script(direction)
    logger.info("migration %s %s", name, direction)
    async with connection.transaction():
        await connection.execute(script)
        if direction == "up":
            await connection.execute("insert into migration (name, app_name) values ($1, $2)", name, APP)
        else:
            await connection.execute("delete from migration where name = $1 and app_name = $2", name, APP)


def _load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def _set_password(connection: "asyncpg.Connection[Any]", role: str, password: str) -> None:
    """Only the verifier travels, so that no statement log ever holds a password.

    Roles are shared by all databases of a cluster: another migration may be changing the same role right now.
    """
    statement = await connection.fetchval(
        "select format('alter role %I password %L', $1::text, $2::text)", role, scram_verifier(password)
    )
    for attempt in range(1, PASSWORD_TRIES + 1):
        try:
            await connection.execute(statement)
        except asyncpg.InternalServerError:  # "tuple concurrently updated"
            if attempt == PASSWORD_TRIES:
                raise
        else:
            return
