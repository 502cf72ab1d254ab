"""Forwards, back and check, for the migrations in `db/migrations/`.

The files are Piccolo migrations (`piccolo migrations …` runs them too) and share its `migration` table. This runner
adds what Piccolo lacks: an advisory lock, so that two processes may start at once, and the row in `migration` inside
the migration's own transaction. It needs neither Piccolo's global engine nor the formatter its command line imports.

A migration may have a contract step, `<name>.finish.sql`: what must wait until no program of the release before runs,
such as raising `installation.format`. It is run once, by `finish`.
"""

import importlib.util
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Literal

import asyncpg
from msgspec import Struct

from db.errors import storage_errors
from db.scram import scram_verifier

__all__ = ["MigrationReport", "back", "check", "finish", "migrate", "unfinished"]

logger = logging.getLogger(__name__)

APP: Final = "taskforge"
STEPS: Final = "taskforge.finish"
"""Contract steps stand in the history under a name of their own: Piccolo does not know of them."""
FINISH_AT_ONCE: Final = True
"""Until the first release nobody has an older program: contract steps run with their migrations."""
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
    transaction, and so is its contract step. Raises StorageUnavailable when Postgres cannot be reached and asyncpg's
    errors for a failed statement.
    """
    async with _locked(owner_url) as connection:
        await connection.execute(_HISTORY)
        applied = await _applied(connection)
        ran = [name for name in _known() if name not in applied]
        for name in ran:
            await _run(connection, name, "up")
        if FINISH_AT_ONCE:
            await _finish(connection)
        for role, password in (passwords or {}).items():
            await _set_password(connection, role, password)
        return MigrationReport(tuple(ran), (*applied, *ran))


async def finish(owner_url: str) -> MigrationReport:
    """Run the contract steps of what is applied, oldest first. Older programs end: they must have been replaced."""
    async with _locked(owner_url) as connection:
        return MigrationReport(await _finish(connection), tuple(await _applied(connection)))


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
    async with _connected(owner_url) as connection:
        applied = await _applied(connection)
    return [name for name in _known() if name not in applied]


async def unfinished(owner_url: str) -> list[str]:
    """The names of applied migrations whose contract step has not run; nothing is changed."""
    async with _connected(owner_url) as connection:
        return await _unfinished(connection)


@asynccontextmanager
async def _connected(owner_url: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    with storage_errors():
        connection = await asyncpg.connect(owner_url, timeout=CONNECT_SECONDS)
        try:
            yield connection
        finally:
            await connection.close(timeout=CONNECT_SECONDS)


@asynccontextmanager
async def _locked(owner_url: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """A connection that holds the lock of all migrations of this database; the lock goes with the connection."""
    async with _connected(owner_url) as connection:
        await connection.execute("select pg_advisory_lock($1::bigint)", LOCK, timeout=LOCK_SECONDS)
        yield connection


def _known() -> Sequence[str]:
    return sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


async def _applied(connection: "asyncpg.Connection[Any]", app: str = APP) -> list[str]:
    if await connection.fetchval("select to_regclass('migration')") is None:
        return []
    rows = await connection.fetch("select name from migration where app_name = $1 order by name", app)
    return [row["name"] for row in rows]


async def _unfinished(connection: "asyncpg.Connection[Any]") -> list[str]:
    done = await _applied(connection, STEPS)
    return [name for name in await _applied(connection) if name not in done and _step(name).exists()]


def _step(name: str) -> Path:
    return FOLDER / f"{name}.finish.sql"


async def _finish(connection: "asyncpg.Connection[Any]") -> tuple[str, ...]:
    steps = await _unfinished(connection)
    for name in steps:
        await _run(connection, name, "finish")
    return tuple(steps)


async def _run(connection: "asyncpg.Connection[Any]", name: str, direction: Literal["up", "finish", "down"]) -> None:
    script: str = _load(name).script(direction)
    logger.info("migration %s %s", name, direction)
    async with connection.transaction():
        await connection.execute(script)
        if direction == "down":
            await connection.execute("delete from migration where name = $1 and app_name in ($2, $3)", name, APP, STEPS)
        else:
            app = APP if direction == "up" else STEPS
            await connection.execute("insert into migration (name, app_name) values ($1, $2)", name, app)


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
