"""Whoever held the row of one team (an operator, a migration) held up the transaction of all teams for 20 seconds."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from msgspec import structs

from actors.settings import ActorSettings
from core.commands import UpdateTask
from core.task import TaskPatch
from core.writes import Blocked, Committed
from db.journal.journal import PostgresJournal
from db.pool import Pools
from db.settings import DatabaseSettings
from tests.support.site import Person, Site, serving, settings_for
from tests.support.team_writer import Writer, add_user, new_team

pytestmark = pytest.mark.anyio

SLACK = 0.5
"""The clients share event loop and cores with the server: their clocks run on while they wait for a turn."""
DEADLINE = 2.0
WRITES = 12


@asynccontextmanager
async def held(superuser: asyncpg.Connection, *team_ids: UUID | str) -> AsyncIterator[None]:
    async with superuser.transaction():
        await superuser.execute("select from teams where id = any($1::uuid[]) for update", list(team_ids))
        yield


def retitle(writer: Writer, title: str) -> Any:
    task = next(iter(writer.state.tasks.values()))
    return writer.decided(UpdateTask(task.id, TaskPatch(title=title)))


async def test_the_teams_whose_rows_are_held_are_left_out(pools: Pools, superuser: asyncpg.Connection) -> None:
    journal = PostgresJournal(pools)
    owner = await add_user(pools)
    writers = [await new_team(journal, owner, 1) for _ in range(4)]
    locked = writers[:2]
    async with held(superuser, *(writer.team_id for writer in locked)):
        begun = time.monotonic()
        outcomes = await journal.commit([retitle(writer, "title") for writer in writers])
        assert time.monotonic() - begun < 1
    assert outcomes == {writer.team_id: Blocked() if writer in locked else Committed() for writer in writers}
    for writer in locked:
        assert await journal.commit([retitle(writer, "afterwards")]) == {writer.team_id: Committed()}


async def test_when_it_is_another_row_that_is_held_every_team_goes_alone(
    pools: Pools, superuser: asyncpg.Connection
) -> None:
    journal = PostgresJournal(pools)
    owner = await add_user(pools)
    one, two = [await new_team(journal, owner, 1) for _ in range(2)]
    (task,) = one.state.tasks.values()
    async with superuser.transaction():
        await superuser.execute("select from tasks where id = $1 for update", task.id)
        outcomes = await journal.commit([retitle(one, "waits"), retitle(two, "waits too")])
    assert outcomes == {one.team_id: Blocked(), two.team_id: Blocked()}
    for writer in (one, two):
        assert await journal.commit([retitle(writer, "afterwards")]) == {writer.team_id: Committed()}


@pytest.fixture
async def hasty_site(database: DatabaseSettings, valkey_url: str) -> AsyncIterator[Site]:
    settings = settings_for(database, valkey_url)
    async with serving(structs.replace(settings, actors=ActorSettings(deadline_seconds=DEADLINE))) as site:
        yield site


async def patch(site: Site, owner: Person, task: dict[str, Any], title: str) -> tuple[httpx.Response, float]:
    """The answer, and the seconds that it took. The title is also the key, so that it can be tried again."""
    headers = {**owner.headers, "Idempotency-Key": title, "TaskForge-Team": task["team_id"]}
    begun = time.monotonic()
    answer = await site.client.patch(f"/v1/tasks/{task['id']}", json={"title": title}, headers=headers)
    return answer, time.monotonic() - begun


async def test_other_teams_go_on_and_the_locked_one_answers_by_its_deadline(
    hasty_site: Site, superuser: asyncpg.Connection
) -> None:
    site = hasty_site
    owner = await site.person()
    locked, *others = [await site.task(owner, await site.team(owner)) for _ in range(4)]
    refused = asyncio.Event()

    async def go_on(task: dict[str, Any]) -> list[float]:
        took: list[float] = []
        while not refused.is_set():
            answer, seconds = await patch(site, owner, task, f"goes-on-{task['id']}-{len(took)}")
            assert answer.status_code == 200, answer.text
            took.append(seconds)
        return took

    async def wait() -> list[tuple[httpx.Response, float]]:
        try:
            return await asyncio.gather(*(patch(site, owner, locked, f"waits-{n:011d}") for n in range(WRITES)))
        finally:
            refused.set()

    async with held(superuser, locked["team_id"]):
        waited, went = await asyncio.gather(wait(), asyncio.gather(*(go_on(task) for task in others)))
        read = await site.client.get(f"/v1/teams/{locked['team_id']}/board", headers=owner.headers)
        assert read.status_code == 200
    for answer, seconds in waited:
        assert (answer.status_code, answer.json()["code"]) == (503, "deadline-exceeded")
        assert int(answer.headers["retry-after"]) > 0
        assert seconds <= DEADLINE + SLACK
    assert all(len(took) > WRITES for took in went)
    assert max(max(took) for took in went) < DEADLINE / 2
    await assert_each_is_made_once(site, owner, locked)


async def assert_each_is_made_once(site: Site, owner: Person, locked: dict[str, Any]) -> None:
    """Tried again after the lock is gone, under the keys of before."""
    for number in range(WRITES):
        answer, _ = await patch(site, owner, locked, f"waits-{number:011d}")
        while answer.status_code == 409:  # The last look at the lock, which has not ended yet, has this key.
            assert answer.json()["code"] == "idempotency-key-in-flight"
            answer, _ = await patch(site, owner, locked, f"waits-{number:011d}")
        assert answer.status_code == 200, answer.text
    path = f"/v1/teams/{locked['team_id']}/events?after=0&limit=100"
    events = (await site.client.get(path, headers=owner.headers)).json()["items"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    titles = [event["data"]["task"]["title"] for event in events if event["type"] == "task.updated"]
    assert sorted(titles) == [f"waits-{number:011d}" for number in range(WRITES)]
