"""Migration 0008 with rows in it: an event has one name, whichever release writes it."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from db import migrate as runner
from db.migrate import back, migrate
from taskforge.devstack import DevStack
from tests.support import databases

pytestmark = pytest.mark.anyio

NAME = "taskforge_0008_event_ids"
STEPS = sum(path.stem >= NAME for path in runner.FOLDER.glob("*.py"))

TEAM, ADA, BOB = (f"01920000-0000-7000-8000-00000000000{number}" for number in (1, 2, 3))
PEOPLE = f"""
insert into teams (id, name, key, created_by, created_at, updated_at, version)
values ('{TEAM}', 'Team', 'ENG', '{TEAM}', now(), now(), 1);
insert into users (id, email, name, created_at, updated_at)
values ('{ADA}', 'ada@example.com', 'Ada', now(), now()), ('{BOB}', 'bob@example.com', 'Bob', now(), now());
"""
APPLIED = "insert into inbox (consumer, event_id) values ('notifications', $1) on conflict do nothing"
NOTIFIED = f"""
insert into notifications (user_id, id, team_id, kind, event_id, created_at)
values ($1, gen_random_uuid(), '{TEAM}', 'task.assigned', $2, now()) on conflict do nothing
"""


@pytest.fixture
async def owner(services: DevStack, template_database: str) -> AsyncIterator[str]:
    """The owner's URL of a migrated database."""
    async with databases.copied(services, template_database) as name:
        yield services.role_url("taskforge_owner", name)


@pytest.fixture
async def session(services: DevStack, owner: str) -> AsyncIterator[asyncpg.Connection]:
    """A superuser's connection to that database, with a team and two users in it."""
    connection = await asyncpg.connect(services.postgres.url_of(owner.rpartition("/")[2].partition("?")[0]))
    await connection.execute(PEOPLE)
    yield connection
    await connection.close()


async def ids(session: asyncpg.Connection) -> tuple[list[str], list[tuple[str, str]]]:
    applied = await session.fetch("select event_id from inbox order by 1")
    notified = await session.fetch("select user_id, event_id from notifications order by 1, 2")
    return [row[0] for row in applied], [(str(row[0]), row[1]) for row in notified]


async def write(session: asyncpg.Connection, event_id: str, *users: str) -> list[str]:
    """Apply an event as a worker does; the tags of what was written."""
    await session.execute("set role taskforge_worker")
    tags = [await session.execute(APPLIED, event_id)]
    tags += [await session.execute(NOTIFIED, user, event_id) for user in users]
    await session.execute("reset role")
    return [tag.rpartition(" ")[2] for tag in tags]


async def test_what_one_release_applied_the_other_does_not_apply_again(session: asyncpg.Connection) -> None:
    old, new = f"{TEAM}:7", f"{TEAM}:1:7"
    assert await write(session, old, ADA) == ["1", "1"]
    assert await write(session, new, ADA) == ["0", "0"]
    assert await write(session, f"{TEAM}:1:8", ADA) == ["1", "1"]
    assert await write(session, f"{TEAM}:8", ADA) == ["0", "0"]
    # What is no event of a team has a name of its own, and a later epoch has no older form.
    for other in (TEAM, f"{TEAM}:2:7", f"reset:{ADA}:7"):
        await write(session, other)
    applied, notified = await ids(session)
    assert applied == sorted([new, f"{TEAM}:1:8", TEAM, f"{TEAM}:2:7", f"reset:{ADA}:7"])
    assert notified == [(ADA, new), (ADA, f"{TEAM}:1:8")]


async def test_what_was_applied_under_both_names_is_kept_once(session: asyncpg.Connection, owner: str) -> None:
    await back(owner, STEPS)
    for event_id, users in ((f"{TEAM}:7", (ADA, BOB)), (f"{TEAM}:1:7", (ADA,)), (f"{TEAM}:9", (BOB,))):
        await write(session, event_id, *users)
    await migrate(owner)
    applied, notified = await ids(session)
    assert applied == [f"{TEAM}:1:7", f"{TEAM}:1:9"]
    assert notified == [(ADA, f"{TEAM}:1:7"), (BOB, f"{TEAM}:1:7"), (BOB, f"{TEAM}:1:9")]
    forced = "select relrowsecurity and relforcerowsecurity from pg_class where relname in ('inbox', 'notifications')"
    assert [row[0] for row in await session.fetch(forced)] == [True, True]
