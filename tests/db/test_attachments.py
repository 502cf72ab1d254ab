"""What the database itself promises of files: none without its object, no object that outlives it, no foreign one."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import uuid_utils.compat as uuids

from core.commands import AddAttachment, DeleteAttachment, DeleteTask
from core.writes import Committed, Rejected
from db.attachments import attachments_of, find_attachment
from db.journal.journal import PostgresJournal
from db.object_store import Stored
from db.objects import find
from db.pool import Pools, open_pools
from db.settings import DatabaseSettings
from db.transaction import reading, writing
from db.uploads import Claim, begin_upload, complete_upload, find_upload, forget_upload
from tests.support.refused import refused
from tests.support.team_writer import Writer, add_user, new_team

pytestmark = pytest.mark.anyio


@pytest.fixture
async def pools(module_database: DatabaseSettings) -> AsyncIterator[Pools]:
    """Of each test: a journal gives its connection back a moment after its last use, and must not do so in the next."""
    async with open_pools(module_database) as pools:
        yield pools


@pytest.fixture
async def ada(pools: Pools) -> UUID:
    return await add_user(pools, "Ada")


@pytest.fixture
async def eve(pools: Pools) -> UUID:
    return await add_user(pools, "Eve")


@pytest.fixture
def journal(pools: Pools) -> PostgresJournal:
    return PostgresJournal(pools)


@pytest.fixture
async def team(journal: PostgresJournal, ada: UUID) -> Writer:
    return await new_team(journal, ada, 2)


def task_of(team: Writer) -> UUID:
    return next(iter(team.state.tasks.values())).id


async def begun(pools: Pools, user_id: UUID, team: Writer, task_id: UUID | None = None) -> UUID:
    async with writing(pools.api, user_id) as tx:
        return await begin_upload(
            tx,
            user_id=user_id,
            team_id=team.team_id,
            task_id=task_id or task_of(team),
            name="a.txt",
            media_type="text/plain",
            most=10,
            claim=Claim(4, bytes(32)),
        )


async def whole(pools: Pools, user_id: UUID, team: Writer) -> UUID:
    upload_id = await begun(pools, user_id, team)
    async with writing(pools.api, user_id) as tx:
        assert await complete_upload(tx, upload_id, Stored(f"attachment/{upload_id}/1", 4, bytes(32)), "text/plain")
    return upload_id


def adding(team: Writer, upload_id: UUID) -> AddAttachment:
    name, kind = "a.txt", "text/plain"
    return AddAttachment(
        task_id=task_of(team), attachment_id=upload_id, name=name, media_type=kind, size=4, digest="00" * 32
    )


async def commit(journal: PostgresJournal, team: Writer, *commands: Any) -> Any:
    """The outcome, with what commands need beside the board loaded as an actor loads it."""
    team.state.attached = await journal.attached(team.team_id)
    for command in commands:
        if isinstance(command, DeleteAttachment):
            for found in await journal.attachments(team.team_id, [command.attachment_id]):
                team.state.attachments[found.id] = found
    return await team.commit(journal, *commands)


async def expiry(pools: Pools, object_id: UUID) -> datetime | None:
    async with reading(pools.worker, None) as tx:
        expires_at: datetime | None = await tx.fetchval("select expires_at from objects where id = $1", object_id)
    return expires_at


async def test_an_attachment_keeps_its_object_and_lets_it_go(
    pools: Pools, journal: PostgresJournal, ada: UUID, team: Writer
) -> None:
    upload_id = await whole(pools, ada, team)
    assert await expiry(pools, upload_id) is not None
    assert await commit(journal, team, adding(team, upload_id)) == Committed()
    assert await expiry(pools, upload_id) is None
    (found,) = await journal.attachments(team.team_id, [upload_id])
    located = await find_attachment(pools.api, ada, upload_id)
    assert located is not None
    assert (located.team_id, located.attachment) == (team.team_id, found)
    assert list(await attachments_of(pools.api, ada, team.team_id, task_of(team), after=None, limit=5)) == [found]
    attached = await journal.attached(team.team_id)
    assert (attached.count, attached.size) == (1, 4)
    loaded = await journal.load(team.team_id)
    assert loaded is not None
    task = loaded.tasks.get(task_of(team))
    assert task is not None
    assert task.attachment_count == 1
    assert await commit(journal, team, DeleteAttachment(upload_id)) == Committed()
    gone = await expiry(pools, upload_id)
    assert gone is not None
    assert gone <= datetime.now(UTC) + timedelta(seconds=1)
    assert await journal.attachments(team.team_id, [upload_id]) == []


async def test_a_task_takes_its_files_along(pools: Pools, journal: PostgresJournal, ada: UUID, team: Writer) -> None:
    upload_id, task_id = await whole(pools, ada, team), task_of(team)
    assert await commit(journal, team, adding(team, upload_id)) == Committed()
    assert await commit(journal, team, DeleteTask(task_id)) == Committed()
    assert await find_attachment(pools.api, ada, upload_id) is None
    assert await expiry(pools, upload_id) is not None


@pytest.mark.parametrize("how", ["missing", "not whole", "over", "nearly over", "of another task", "of another team"])
async def test_without_its_object_nothing_is_attached(
    pools: Pools, journal: PostgresJournal, ada: UUID, team: Writer, how: str
) -> None:
    match how:
        case "missing":
            upload_id = uuids.uuid7()
        case "not whole":
            upload_id = await begun(pools, ada, team)
        case "of another task":
            other = list(team.state.tasks.values())[1].id
            upload_id = await begun(pools, ada, team, other)
        case "of another team":
            upload_id = await whole(pools, ada, await new_team(journal, ada, 1))
        case _:
            upload_id, seconds = await whole(pools, ada, team), 0 if how == "over" else 50
            async with writing(pools.worker) as tx:
                query = "update objects set expires_at = now() + make_interval(secs => $2) where id = $1"
                await tx.execute(query, upload_id, seconds)
    assert await commit(journal, team, adding(team, upload_id)) == Rejected("attachments_object")
    assert await journal.attachments(team.team_id, [upload_id]) == []
    assert (await journal.position([team.team_id]))[team.team_id].seq == team.state.seq


async def test_whoever_is_no_member_sends_nothing_and_sees_nothing(
    pools: Pools, journal: PostgresJournal, ada: UUID, eve: UUID, team: Writer
) -> None:
    upload_id = await whole(pools, ada, team)
    with refused():
        await begun(pools, eve, team)
    async with writing(pools.api, eve) as tx:
        assert await find_upload(tx, eve, upload_id) is None
        assert await find(tx, upload_id) is None
        await forget_upload(tx, upload_id)
    assert await commit(journal, team, adding(team, upload_id)) == Committed()
    assert await find_attachment(pools.api, eve, upload_id) is None
    async with reading(pools.api, eve) as tx:
        assert await tx.fetchval("select count(*) from attachments") == 0


async def test_the_api_neither_takes_a_file_back_nor_keeps_one(
    pools: Pools, journal: PostgresJournal, ada: UUID, team: Writer
) -> None:
    upload_id = await whole(pools, ada, team)
    with refused():
        async with writing(pools.api, ada) as tx:
            await tx.execute("update objects set expires_at = null where id = $1", upload_id)
    with refused():
        async with writing(pools.api, ada) as tx:
            await tx.execute("update objects set expires_at = now() + interval '2 days' where id = $1", upload_id)
    assert await commit(journal, team, adding(team, upload_id)) == Committed()
    async with writing(pools.api, ada) as tx:
        await forget_upload(tx, upload_id)
        await tx.execute("update objects set expires_at = now() where id = $1", upload_id)
        assert not await complete_upload(tx, upload_id, Stored("attachment/other", 1, bytes(32)), "text/html")
    assert await expiry(pools, upload_id) is None
    for statement in ("delete from attachments", "update attachments set name = 'x'"):
        with refused():
            async with writing(pools.api, ada) as tx:
                await tx.execute(statement)


async def test_a_file_is_whole_once(pools: Pools, ada: UUID, team: Writer) -> None:
    upload_id = await whole(pools, ada, team)
    async with writing(pools.api, ada) as tx:
        assert not await complete_upload(tx, upload_id, Stored("attachment/other", 1, bytes(32)), "text/html")
    async with reading(pools.api, ada) as tx:
        found = await find_upload(tx, ada, upload_id)
    assert found is not None
    assert (found.key, found.size, found.media_type) == (f"attachment/{upload_id}/1", 4, "text/plain")
