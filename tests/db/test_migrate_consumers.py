"""Migration 0007 with rows in it: what consumers have applied stays, whichever way the schema goes."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from db import migrate as runner
from db.migrate import back, migrate
from taskforge.devstack import DevStack
from tests.support import databases

pytestmark = pytest.mark.anyio

NAME = "taskforge_0007_consumers"
STEPS = sum(path.stem >= NAME for path in runner.FOLDER.glob("*.py"))

TEAM = "01920000-0000-7000-8000-000000000001"
ROWS = f"""
insert into teams (id, name, key, created_by, created_at, updated_at, version)
values ('{TEAM}', 'Team', 'ENG', '{TEAM}', now(), now(), 1);
insert into projections (name, team_id, seq, epoch) values ('statistics', '{TEAM}', 7, 1);
insert into inbox (consumer, event_id, claimed_until)
values ('webhooks', 'claimed', now()), ('webhooks', 'applied', null);
"""


@pytest.fixture
async def urls(services: DevStack, template_database: str) -> AsyncIterator[tuple[str, str]]:
    """The superuser's and the owner's URL of a migrated database."""
    async with databases.copied(services, template_database) as name:
        yield services.postgres.url_of(name), services.role_url("taskforge_owner", name)


async def fetch(url: str, query: str) -> list[tuple[Any, ...]]:
    session = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await session.fetch(query)]
    finally:
        await session.close()


@pytest.mark.parametrize("who", [0, 1], ids=["superuser", "owner"])
async def test_applied_events_stay_so_and_claimed_ones_are_delivered_again(urls: tuple[str, str], who: int) -> None:
    superuser = urls[0]
    session = await asyncpg.connect(superuser)
    await session.execute(ROWS)
    await session.close()

    await back(urls[who], STEPS)
    assert await fetch(superuser, "select consumer, event_id from inbox") == [("webhooks", "applied")]
    assert await fetch(superuser, "select to_regclass('projections') is null") == [(True,)]
    await migrate(urls[who])
    assert await fetch(superuser, "select event_id, claimed_until from inbox") == [("applied", None)]
    assert await fetch(superuser, "select * from projections") == []
    forced = "select relrowsecurity and relforcerowsecurity from pg_class where relname in ('inbox', 'projections')"
    assert await fetch(superuser, forced) == [(True,), (True,)]


async def test_the_program_before_writes_its_inbox_rows_into_the_new_schema(urls: tuple[str, str]) -> None:
    session = await asyncpg.connect(urls[0])
    try:
        await session.execute("set role taskforge_worker")
        await session.execute("insert into inbox (consumer, event_id) values ('a', 'one') on conflict do nothing")
        assert await session.fetchval("select claimed_until from inbox") is None
    finally:
        await session.close()
