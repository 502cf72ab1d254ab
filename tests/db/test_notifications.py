"""Notifications: written once per event for a new assignee, read by nobody else."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest
import uuid_utils.compat as uuids

from core.events import AnyTaskEvent, TaskCreated
from core.task import Task
from db.notices.notify import Collecting
from db.notices.tasks import add_assigned
from db.people.identity import Identity
from db.people.notifications import list_notifications, mark_read
from db.people.sessions import Client, Lifetimes
from db.pool import Pools
from db.transaction import reading, writing

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 2, tzinfo=UTC)
TEAM = uuids.uuid7()
SOMEBODY = uuids.uuid7()


@pytest.fixture
async def ada(pools: Pools, superuser: "asyncpg.Connection") -> UUID:
    return await member(pools, superuser, "ada@example.com")


async def member(pools: Pools, superuser: "asyncpg.Connection", email: str, team: UUID = TEAM) -> UUID:
    identity = Identity(pools.api, Lifetimes(idle=60, absolute=60, grace=10))
    user_id = (await identity.sign_up(email, "Name", "hash", Client())).principal.user_id
    await superuser.execute(
        "insert into teams (id, name, key, created_by, created_at, updated_at, version)"
        " values ($1, 'Team', 'ENG', $2, now(), now(), 1) on conflict do nothing",
        team,
        user_id,
    )
    await superuser.execute(
        "insert into memberships (team_id, user_id, role, name, joined_at) values ($1, $2, 'member', 'Name', now())",
        team,
        user_id,
    )
    return user_id


def task(assignee: UUID | None) -> Task:
    return Task(
        id=uuids.uuid7(),
        team_id=TEAM,
        number=42,
        key="ENG-42",
        title="Feed the cat",
        assignee_id=assignee,
        rank="a0",
        created_by=SOMEBODY,
        created_at=NOW,
        updated_at=NOW,
        version=1,
    )


def created(assignee: UUID | None, *, seq: int = 7, by: UUID = SOMEBODY) -> TaskCreated:
    return TaskCreated(team_id=TEAM, seq=seq, actor_id=by, at=NOW, task=task(assignee))


async def assigned(pools: Pools, user_id: UUID, event: AnyTaskEvent, seq: int = 7) -> bool:
    async with writing(pools.worker) as tx:
        return await add_assigned(tx, user_id, event, f"{TEAM}:1:{seq}", now=NOW, collecting=Collecting())


async def test_an_assignment_is_one_notification_however_often_it_is_written(pools: Pools, ada: UUID) -> None:
    event = created(ada)
    assert await assigned(pools, ada, event)
    assert not await assigned(pools, ada, event)
    async with reading(pools.api, ada) as tx:
        (told,) = await list_notifications(tx, ada, unread=False, before=None, limit=50)
    assert (told.kind, told.team_id, told.task_id, told.actor_id) == ("task.assigned", TEAM, event.task.id, SOMEBODY)
    assert (told.event_id, told.data) == (f"{TEAM}:1:7", {"key": "ENG-42", "title": "Feed the cat"})
    assert (told.created_at, told.read_at) == (NOW, None)


async def test_twenty_deliveries_at_once_write_one_notification(pools: Pools, ada: UUID) -> None:
    event = created(ada)
    answers = await asyncio.gather(*(assigned(pools, ada, event) for _ in range(20)))
    assert sum(answers) == 1


async def test_somebody_who_has_left_the_team_is_not_notified_and_nothing_fails(pools: Pools, ada: UUID) -> None:
    stranger = uuids.uuid7()
    assert not await assigned(pools, stranger, created(stranger))


async def test_notifications_are_listed_newest_first_in_pages_and_ticked_off(pools: Pools, ada: UUID) -> None:
    for seq in range(1, 6):
        await assigned(pools, ada, created(ada, seq=seq), seq)
    async with reading(pools.api, ada) as tx:
        first = await list_notifications(tx, ada, unread=False, before=None, limit=3)
        rest = await list_notifications(tx, ada, unread=False, before=first[-1].id, limit=3)
    assert [told.event_id for told in (*first, *rest)] == [f"{TEAM}:1:{seq}" for seq in (5, 4, 3, 2, 1)]
    async with writing(pools.api, ada) as tx:
        assert await mark_read(tx, ada, [first[0].id, uuids.uuid7()]) == 1
        assert await mark_read(tx, ada, [first[0].id]) == 0
        assert len(await list_notifications(tx, ada, unread=True, before=None, limit=50)) == 4
        assert await mark_read(tx, ada, None) == 4
        assert len(await list_notifications(tx, ada, unread=True, before=None, limit=50)) == 0


async def test_nobody_else_sees_or_ticks_off_a_notification(
    pools: Pools, superuser: "asyncpg.Connection", ada: UUID
) -> None:
    bob = await member(pools, superuser, "bob@example.com")
    await assigned(pools, ada, created(ada))
    async with writing(pools.api, bob) as tx:
        assert await tx.fetchval("select count(*) from notifications") == 0
        assert await mark_read(tx, ada, None) == 0
        assert list(await list_notifications(tx, ada, unread=False, before=None, limit=50)) == []


async def test_somebody_removed_from_the_team_no_longer_sees_its_notifications(
    pools: Pools, superuser: "asyncpg.Connection", ada: UUID
) -> None:
    await assigned(pools, ada, created(ada))
    await superuser.execute("delete from memberships where user_id = $1", ada)
    async with reading(pools.api, ada) as tx:
        assert list(await list_notifications(tx, ada, unread=False, before=None, limit=50)) == []
