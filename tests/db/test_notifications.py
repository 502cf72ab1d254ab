"""Notifications: written once per event for a new assignee, read by nobody else."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest
import uuid_utils.compat as uuids

from core.events import AnyTaskEvent, TaskArchived, TaskCreated, TaskMoved, TaskUpdated
from core.task import Task
from db.people.identity import Identity
from db.people.notifications import assigned, list_notifications, mark_read, newly_assigned
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


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (created(SOMEBODY, by=TEAM), True),
        (created(SOMEBODY, by=SOMEBODY), False),
        (created(None), False),
        (
            TaskUpdated(
                team_id=TEAM, seq=1, actor_id=TEAM, at=NOW, task=task(SOMEBODY), previous={"assignee_id": None}
            ),
            True,
        ),
        (TaskUpdated(team_id=TEAM, seq=1, actor_id=TEAM, at=NOW, task=task(SOMEBODY), previous={"title": "x"}), False),
        (
            TaskUpdated(team_id=TEAM, seq=1, actor_id=TEAM, at=NOW, task=task(None), previous={"assignee_id": "x"}),
            False,
        ),
        (TaskMoved(team_id=TEAM, seq=1, actor_id=TEAM, at=NOW, task=task(SOMEBODY), previous={"rank": "x"}), False),
        (TaskArchived(team_id=TEAM, seq=1, actor_id=TEAM, at=NOW, task=task(SOMEBODY)), False),
    ],
)
async def test_only_who_is_newly_assigned_by_somebody_else_is_told(event: AnyTaskEvent, told: bool) -> None:
    assert (newly_assigned(event) == SOMEBODY) is told


async def test_an_assignment_is_told_once_however_often_it_is_delivered(pools: Pools, ada: UUID) -> None:
    event = created(ada)
    assert await assigned(pools.worker, event, f"{TEAM}:7")
    assert not await assigned(pools.worker, event, f"{TEAM}:7")
    async with reading(pools.api, ada) as tx:
        (told,) = await list_notifications(tx, ada, unread=False, before=None, limit=50)
    assert (told.kind, told.team_id, told.task_id, told.actor_id) == ("task.assigned", TEAM, event.task.id, SOMEBODY)
    assert (told.event_id, told.data) == (f"{TEAM}:7", {"key": "ENG-42", "title": "Feed the cat"})
    assert (told.created_at, told.read_at) == (NOW, None)


async def test_twenty_deliveries_at_once_write_one_notification(pools: Pools, ada: UUID) -> None:
    event = created(ada)
    answers = await asyncio.gather(*(assigned(pools.worker, event, f"{TEAM}:7") for _ in range(20)))
    assert sum(answers) == 1


async def test_somebody_who_has_left_the_team_is_not_told_and_nothing_fails(pools: Pools, ada: UUID) -> None:
    assert not await assigned(pools.worker, created(uuids.uuid7()), f"{TEAM}:7")


async def test_notifications_are_listed_newest_first_in_pages_and_ticked_off(pools: Pools, ada: UUID) -> None:
    for seq in range(1, 6):
        await assigned(pools.worker, created(ada, seq=seq), f"{TEAM}:{seq}")
    async with reading(pools.api, ada) as tx:
        first = await list_notifications(tx, ada, unread=False, before=None, limit=3)
        rest = await list_notifications(tx, ada, unread=False, before=first[-1].id, limit=3)
    assert [told.event_id for told in (*first, *rest)] == [f"{TEAM}:{seq}" for seq in (5, 4, 3, 2, 1)]
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
    await assigned(pools.worker, created(ada), f"{TEAM}:7")
    async with writing(pools.api, bob) as tx:
        assert await tx.fetchval("select count(*) from notifications") == 0
        assert await mark_read(tx, ada, None) == 0
        assert list(await list_notifications(tx, ada, unread=False, before=None, limit=50)) == []


async def test_somebody_removed_from_the_team_no_longer_sees_its_notifications(
    pools: Pools, superuser: "asyncpg.Connection", ada: UUID
) -> None:
    await assigned(pools.worker, created(ada), f"{TEAM}:7")
    await superuser.execute("delete from memberships where user_id = $1", ada)
    async with reading(pools.api, ada) as tx:
        assert list(await list_notifications(tx, ada, unread=False, before=None, limit=50)) == []
