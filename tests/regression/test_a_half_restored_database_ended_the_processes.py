"""While `pg_restore` was at work, rights and tables were missing, which no part of a process took for "away, wait".

The relay and the outbox ended the worker with the driver's own error, and the watch on the format took a table that
was not there for a database that this program must not run on.
"""

import asyncio

import asyncpg
import pytest
import uuid_utils.compat as uuids

from core.errors import StorageUnavailable
from db import installation
from db.errors import storage_errors
from db.highest_epoch import HighestEpoch
from db.installation import FORMAT, WrongFormat, until_outdated
from db.pool import Pools, open_pools
from db.settings import DatabaseSettings
from db.transaction import writing
from streams.settings import KafkaSettings
from taskforge.parts import history_watch
from tests.support.epochs import remembering
from tests.support.journal_writer import JournalWriter
from tests.support.relaying import relaying
from tests.support.team_writer import add_user
from tests.support.topic_reader import EVENTS, read_count, seqs_by_team
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

TAKEN = "revoke all on all tables in schema public from taskforge_api, taskforge_writer, taskforge_worker"


ONCE = """
insert into inbox (consumer, event_id, at) select 'x', 'y', now() where not exists (select from teams)
on conflict (consumer, event_id) do nothing
"""


async def given(superuser: asyncpg.Connection) -> None:
    """The rights as they were before `TAKEN`, in the order in which a restore brings them: last."""
    for role in ("taskforge_api", "taskforge_writer", "taskforge_worker"):
        await superuser.execute(f"grant all on all tables in schema public to {role}")


@pytest.mark.parametrize(
    "away",
    [
        TAKEN,
        "alter table teams rename to teams_that_are_not_there_yet",
        "alter schema public rename to not_public",
        "alter table inbox drop constraint inbox_pkey",
    ],
)
async def test_what_is_not_there_yet_is_a_database_that_is_away(
    pools: Pools, superuser: asyncpg.Connection, away: str
) -> None:
    await superuser.execute(away)
    with pytest.raises(StorageUnavailable, match="may be being restored"):
        async with writing(pools.worker) as tx:
            await tx.execute(ONCE)


async def test_a_row_that_is_somebody_elses_is_no_such_thing(pools: Pools, superuser: asyncpg.Connection) -> None:
    """Row-level security refuses with the code of a missing right: to ask again would be no use."""
    ada = await add_user(pools, "Ada")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with writing(pools.api, ada) as tx:
            await tx.execute(
                "insert into users (id, email, name, created_at, updated_at) values ($1, 'x', 'Eve', now(), now())",
                uuids.uuid7(),
            )
    with pytest.raises(asyncpg.InsufficientPrivilegeError), storage_errors():
        raise asyncpg.InsufficientPrivilegeError("new row violates row-level security policy")


async def test_a_program_does_not_end_because_the_table_of_formats_is_away(
    pools: Pools, superuser: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, look = 0, installation._format

    async def counted(pool: asyncpg.Pool) -> int | None:
        nonlocal looks
        looks += 1
        return await look(pool)

    monkeypatch.setattr(installation, "_format", counted)
    watching = asyncio.create_task(until_outdated(pools.worker, seconds=0.01))
    for away, back in (
        (TAKEN, "grant select on installation to taskforge_worker"),
        ("alter table installation rename to later", "alter table later rename to installation"),
    ):
        await superuser.execute(away)
        before = looks
        await until(lambda before=before: looks >= before + 3)  # type: ignore[misc]
        assert not watching.done()
        await superuser.execute(back)
    await superuser.execute("update installation set format = $1", FORMAT + 1)
    async with asyncio.timeout(10):
        assert isinstance(await watching, WrongFormat)


async def test_the_watch_on_histories_waits_for_the_rest_of_the_database(
    pools: Pools, superuser: asyncpg.Connection, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_watch, "LOOK_SECONDS", 0.01)
    settled, settle = 0, history_watch.settle_history

    async def counted(pool: asyncpg.Pool, highest: HighestEpoch) -> None:
        nonlocal settled
        await settle(pool, highest)
        settled += 1

    monkeypatch.setattr(history_watch, "settle_history", counted)
    async with remembering(valkey_url) as highest:
        watching = asyncio.create_task(history_watch.watch_history(pools, highest))
        try:
            await superuser.execute(TAKEN)
            with pytest.raises(StorageUnavailable):
                await settle(pools.writer, highest)
            assert not watching.done()
            await given(superuser)
            await until(lambda: settled >= 1)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


async def test_a_relay_goes_on_once_its_rights_are_back(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings, superuser: asyncpg.Connection
) -> None:
    team_id = await journal.team()
    async with relaying(pools, kafka) as (relay, _):
        await journal.append(team_id, 2)
        await until(lambda: relay.statistics().published == 2)
        await superuser.execute(TAKEN)
        await until(lambda: not relay.statistics().ready)
        await given(superuser)
        await journal.append(team_id, 2)
        await until(lambda: relay.statistics().published == 4)
    records = await read_count(kafka.bootstrap_servers, EVENTS, 4)
    assert seqs_by_team(records) == {str(team_id): [1, 2, 3, 4]}


async def test_whoever_connects_while_a_database_is_being_restored_may_not_write(
    database: DatabaseSettings, superuser: asyncpg.Connection
) -> None:
    """Such a connection had not asked for the history, and nobody would have asked it before the next look."""
    async with open_pools(database) as pools:
        assert await pools.writer.fetchval("select 1") == 1
        await pools.writer.expire_connections()
        await superuser.execute("alter table epochs_due rename to later")
        with pytest.raises(StorageUnavailable):
            async with writing(pools.writer):
                pytest.fail("it was connected")
        await superuser.execute("alter table later rename to epochs_due")
        async with writing(pools.writer) as tx:
            assert await tx.fetchval("select 1") == 1
