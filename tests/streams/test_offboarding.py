"""The end of a team: step by step, whatever dies in between, and forgotten once 30 days are over."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from core.codec import decode
from core.commands import AddComment, ChangeRole, CreateLabel, CreateTask, CreateTeam, DeleteTeam, UpdateTeam
from core.ended import DELETED_TEAM, GONE_KEY
from core.errors import Conflict, NotFound
from core.task import TaskFields
from core.team import TeamState, evolve
from db.object_store import ObjectStore, open_store
from db.objects import complete, new_key, reserve
from db.offboarding import KEPT
from db.operations import Operation
from db.settings import DatabaseSettings, ObjectSettings
from db.transaction import reading, writing
from streams.operations.kinds import Kind
from streams.operations.offboarding import OFF_BOARDING, TEAM_REDACTION, off_boarding, team_redaction
from streams.operations.redaction import RedactionPorts
from streams.scheduler.forgetting import forgetting
from streams.scheduler.scheduler import Scheduler
from taskforge.parts.names import API
from taskforge.wiring import running
from tests.support.asking import by
from tests.support.columns import placed
from tests.support.erasing import CANARY, Mortal, Town, dying, nobody
from tests.support.site import settings_for
from tests.support.waiting import until_answered

pytestmark = pytest.mark.anyio

OF_MEMBERS = ["member.removed", "member.removed", "team.deleted"]


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    store = open_store(ObjectSettings(url=tmp_path.as_uri()))
    assert store is not None
    return store


@pytest.fixture
async def town(
    database: DatabaseSettings, valkey_url: str, superuser: "asyncpg.Connection[Any]", store: ObjectStore
) -> AsyncIterator[Town]:
    async with running(settings_for(database, valkey_url), API) as process:
        services = process.services
        made = Town(services.pools, services.teams, services.valkey, superuser)
        made.ports = RedactionPorts(services.pools.worker, services.teams, services.valkey, store)
        yield made


async def lived_in(town: Town, store: ObjectStore) -> tuple[UUID, UUID, UUID]:
    """An owner, a member, and their team with things in it."""
    owner, member = await town.user(), await town.user()
    team = await town.team(owner, member)
    fields = TaskFields(title=CANARY, description=CANARY, assignee_id=member)
    task = (await town.teams.ask(team, CreateTask(fields), by(member))).items[0].task
    await town.teams.ask(team, AddComment(task.id, CANARY), by(member))
    await town.teams.ask(team, CreateLabel(CANARY, "#aa0000"), by(owner))
    await town.teams.ask(team, UpdateTeam(name=f"{CANARY} and more"), by(owner))
    async with writing(town.pools.worker) as tx:
        file = await reserve(tx, user_id=owner, kind="report", name=CANARY, media_type="text/plain", team_id=team)
    stored = await store.put(new_key("report", file), _canary(), limit=99, media_type="text/plain", name=CANARY)
    async with writing(town.pools.worker) as tx:
        await complete(tx, file, stored, seconds=9_999.0)
    return owner, member, team


async def _canary() -> AsyncIterator[bytes]:
    yield CANARY.encode()


async def relayed(town: Town) -> None:
    """The topics say by now whatever these teams say."""
    await town.superuser.execute("update relay_cursors set published_seq = 1000")


async def started(town: Town, owner: UUID, team: UUID) -> UUID:
    async with writing(town.pools.api, owner) as tx:
        return (await OFF_BOARDING.start(tx, owner, team_id=team)).id


async def end(town: Town, owner: UUID, team: UUID, kind: Kind | None = None) -> Operation:
    await relayed(town)
    return await town.ended(owner, await started(town, owner, team), kind or off_boarding(town.ports))


async def check_ended(town: Town, owner: UUID, team: UUID, store: ObjectStore) -> None:
    """Nothing of the team is left but its row and its history, and that says so once."""
    rows = await town.rows(team)
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    assert [row["type"] for row in rows][-3:] == OF_MEMBERS
    row = await town.superuser.fetchrow("select * from teams where id = $1", team)
    assert (row["deleted_by"], row["forgotten_at"], row["seq"]) == (owner, None, len(rows))
    assert row["deleted_at"] is not None
    for table in ("tasks", "comments", "labels", "columns", "memberships", "objects"):
        query = f"select count(*) from {table} where team_id = $1"
        assert await town.superuser.fetchval(query, team) == 0, table
    assert await store.keys("report") == []
    assert (await town.teams.view(team)).state.ended


async def test_a_team_ends_by_its_own_event_and_takes_everything_along(town: Town, store: ObjectStore) -> None:
    owner, member, team = await lived_in(town, store)
    beside = await town.team(owner)
    ended = await end(town, owner, team)
    assert (ended.status, ended.error) == ("succeeded", None)
    assert ended.result is not None
    deleted_at = datetime.fromisoformat(ended.result["deleted_at"])
    assert datetime.fromisoformat(ended.result["forgotten_from"]) - deleted_at == timedelta(days=30)
    await check_ended(town, owner, team, store)
    former = await town.superuser.fetch("select user_id from former_members where team_id = $1", team)
    assert {row["user_id"] for row in former} == {owner, member}
    assert CANARY in str(await town.rows(team)), "the history stays as it was, for 30 days"
    assert (await town.teams.view(beside)).role_of(owner) == "owner"
    with pytest.raises(NotFound):
        await town.teams.ask(team, CreateTask(TaskFields(title="Late")), by(owner))
    with pytest.raises(Conflict):
        await town.teams.ask(team, CreateTeam(team, "Again", "TOWN", "Ada"), by(owner))


async def test_whoever_loads_it_from_the_tables_finds_what_the_history_says(town: Town, store: ObjectStore) -> None:
    owner, _, team = await lived_in(town, store)
    await end(town, owner, team)
    await town.teams.passivate(1e12)
    await town.ports.valkey.flushall()
    loaded, folded = (await town.teams.view(team)).state, TeamState()
    for row in await town.journal(team):
        evolve(folded, decode(row))
    assert loaded.ended
    assert (loaded.seq, loaded.team, loaded.top_number) == (folded.seq, folded.team, folded.top_number)
    assert (loaded.members, loaded.labels, loaded.columns, placed(loaded)) == (
        folded.members, folded.labels, folded.columns, placed(folded),
    )  # fmt: skip


async def test_whoever_owns_it_no_more_is_refused_and_nothing_has_happened(town: Town, store: ObjectStore) -> None:
    owner, member, team = await lived_in(town, store)
    await town.teams.ask(team, ChangeRole(member, "owner"), by(owner))
    operation = await started(town, owner, team)
    await town.teams.ask(team, ChangeRole(owner, "admin"), by(member))
    refused = await town.ended(owner, operation, off_boarding(town.ports))
    assert (refused.status, refused.error) == ("failed", "You are not an owner of this team any more.")
    assert "team.deleted" not in await town.types(team)
    assert await town.superuser.fetchval("select deleted_at from teams where id = $1", team) is None
    assert (await town.teams.view(team)).role_of(member) == "owner"


async def test_two_owners_at_once_end_it_once(town: Town, store: ObjectStore) -> None:
    owner, member, team = await lived_in(town, store)
    await town.teams.ask(team, ChangeRole(member, "owner"), by(owner))
    await relayed(town)
    operations = [(user, await started(town, user, team)) for user in (owner, member)]
    kind = off_boarding(town.ports)
    ended = await asyncio.gather(*(town.ended(user, operation, kind) for user, operation in operations))
    assert [one.status for one in ended] == ["succeeded"] * 2
    assert (await town.types(team)).count("team.deleted") == 1
    assert ended[0].result == ended[1].result


async def test_it_waits_until_the_topics_say_so(town: Town, store: ObjectStore) -> None:
    """A broker that is down delays what comes after; the team is gone all the same."""
    owner, _, team = await lived_in(town, store)
    operation = await started(town, owner, team)
    kind = off_boarding(town.ports)

    async def waits() -> bool:
        await Mortal(town.pools.worker, [kind], nobody).move()
        now = await town.now(owner, operation)
        return [step.status for step in now.steps][:2] == ["done", "running"] and now.attempts > 0

    await until_answered(waits)
    assert await town.superuser.fetchval("select count(*) from tasks where team_id = $1", team) == 1
    assert (await town.teams.view(team)).state.ended
    await town.superuser.execute("insert into checkpoints (team_id, format) values ($1, 1)", team)
    await relayed(town)
    await town.superuser.execute("update operations set next_at = now()")
    await until_answered(waits)
    await town.superuser.execute("delete from checkpoints")
    assert (await town.ended(owner, operation, kind)).status == "succeeded"
    await check_ended(town, owner, team, store)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", OFF_BOARDING.steps)
async def test_killed_at_any_step_a_team_ends_the_same(town: Town, store: ObjectStore, step: str, when: str) -> None:
    owner, _, team = await lived_in(town, store)
    ended = await end(town, owner, team, dying(off_boarding(town.ports), step, when))
    assert ended.status == "succeeded"
    await check_ended(town, owner, team, store)


async def raced(town: Town, user: UUID, operation: UUID, kind: Kind) -> Operation:
    """Two workers, neither of which waits for the other."""

    async def one() -> None:
        worker = Mortal(town.pools.worker, [kind], nobody, lease_seconds=0.4)

        async def moved() -> bool:
            await worker.move()
            return (await town.now(user, operation)).ended_at is not None

        await until_answered(moved)

    async with asyncio.TaskGroup() as group:
        group.create_task(one())
        group.create_task(one())
    return await town.now(user, operation)


@pytest.mark.proof
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", [*OFF_BOARDING.steps, *TEAM_REDACTION.steps])
async def test_killed_at_each_step_with_two_who_go_on_there_is_one_end(
    town: Town, store: ObjectStore, step: str, when: str
) -> None:
    owner, _, team = await lived_in(town, store)
    await relayed(town)
    plan, make = (OFF_BOARDING, off_boarding) if step in OFF_BOARDING.steps else (TEAM_REDACTION, team_redaction)
    if plan is TEAM_REDACTION:
        assert (await end(town, owner, team)).status == "succeeded"
    async with writing(town.pools.worker) as tx:
        operation = (await plan.start(tx, owner, team_id=team)).id
    try:
        await Mortal(town.pools.worker, [dying(make(town.ports), step, when)], nobody, lease_seconds=0.4).move()
    except* BaseException:  # noqa: BLE001 (it is dead, wherever it was)
        pass
    raced_to = await raced(town, owner, operation, make(town.ports))
    assert raced_to.status == "succeeded"
    assert all(one.status == "done" for one in raced_to.steps)
    types = await town.types(team)
    assert types.count("team.deleted") == 1
    assert types.count("history.redacted") == (plan is TEAM_REDACTION)


# Forgotten


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


async def begun(town: Town, scheduler: Scheduler) -> list[Any]:
    """Operations that forget teams, once the scheduler has looked."""
    await scheduler.round()
    return await town.superuser.fetch("select * from operations where kind = 'team-redaction'")


async def test_thirty_days_later_nobody_knows_what_was_written_there(town: Town, store: ObjectStore) -> None:
    owner, member, team = await lived_in(town, store)
    beside = await town.team(owner)
    await end(town, owner, team)
    clock = Clock()
    schedulers = [Scheduler(town.pools.worker, [forgetting()], now=clock) for _ in range(2)]
    deleted_at = await town.superuser.fetchval("select deleted_at from teams where id = $1", team)
    clock.now = deleted_at
    assert await begun(town, schedulers[0]) == []
    clock.now = deleted_at + KEPT - timedelta(seconds=1)
    assert await begun(town, schedulers[0]) == []
    clock.now = deleted_at + KEPT + timedelta(hours=1)
    await asyncio.gather(*(scheduler.round() for scheduler in schedulers))
    (operation,) = await begun(town, schedulers[1])
    clock.now += KEPT
    assert len(await begun(town, schedulers[0])) == 1, "once and for all"
    ended = await town.ended(owner, operation["id"], team_redaction(town.ports))
    assert ended.status == "succeeded"
    await check_forgotten(town, team)
    about = (owner, member)
    assert [CANARY in str(await town.rows(other)) for other in (team, beside)] == [False, True]
    left = await town.superuser.fetchval("select count(*) from former_members where user_id = any($1::uuid[])", about)
    assert left == 0


async def check_forgotten(town: Town, team: UUID) -> None:
    rows = await town.rows(team)
    assert CANARY not in str(rows)
    assert [row["type"] for row in rows].count("history.redacted") == 1
    told = msgspec.json.decode(rows[-1]["payload"])
    assert told == {"subjects": [str(team)], "through_seq": len(rows) - 1}
    kept = {row["type"] for row in rows if row["salt"] is not None}
    assert kept == {"team.deleted", "history.redacted"}
    row = await town.superuser.fetchrow("select name, key, forgotten_at from teams where id = $1", team)
    assert (row["name"], row["key"]) == (DELETED_TEAM, GONE_KEY)
    assert row["forgotten_at"] is not None
    state = (await town.teams.view(team)).state
    assert (state.ended, state.team and state.team.name) == (True, DELETED_TEAM)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", TEAM_REDACTION.steps[1:])
async def test_killed_at_any_step_a_team_is_forgotten_and_told_of_once(
    town: Town, store: ObjectStore, step: str, when: str
) -> None:
    owner, _, team = await lived_in(town, store)
    await end(town, owner, team)
    async with writing(town.pools.worker) as tx:
        operation = await TEAM_REDACTION.start(tx, owner, team_id=team)
    ended = await town.ended(owner, operation.id, dying(team_redaction(town.ports), step, when))
    assert ended.status == "succeeded"
    await check_forgotten(town, team)


async def test_who_was_in_it_is_erased_before_and_after_it_is_forgotten(town: Town, store: ObjectStore) -> None:
    """The only owner could not leave the team; once it is deleted nothing keeps them."""
    owner, member, team = await lived_in(town, store)
    await end(town, owner, team)
    assert (await town.erase(owner)).status == "succeeded"
    async with writing(town.pools.worker) as tx:
        operation = await TEAM_REDACTION.start(tx, owner, team_id=team)
    assert (await town.ended(owner, operation.id, team_redaction(town.ports))).status == "succeeded"
    assert (await town.erase(member)).status == "succeeded"
    rows = await town.rows(team)
    assert CANARY not in str(rows)
    assert [row["type"] for row in rows].count("history.redacted") == 3
    async with reading(town.pools.worker, None) as tx:
        assert await tx.fetchval("select name from teams where id = $1", team) == DELETED_TEAM


async def test_a_stranger_finds_no_team_to_delete(town: Town) -> None:
    owner = await town.user()
    team = await town.team(owner)
    with pytest.raises(NotFound):
        await town.teams.ask(team, DeleteTeam(), by(await town.user()))
    assert (await town.teams.view(team)).role_of(owner) == "owner"
