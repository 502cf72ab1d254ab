"""Erasing a user and redacting a task: step by step, whatever dies in between, and back where it cannot go on."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest
import uuid_utils.compat as uuids
from msgspec import structs

from core.codec import decode
from core.commands import (
    AddComment,
    AddMember,
    ChangeRole,
    CreateTask,
    DeleteComment,
    DeleteTask,
    EditComment,
    RemoveMember,
    UpdateTask,
)
from core.errors import Conflict, Unauthenticated
from core.redaction import DELETED_USER
from core.task import TaskFields, TaskPatch
from core.team import TeamState, evolve
from db.operations import Operation
from db.people.identity import Identity
from db.people.sessions import Lifetimes
from db.settings import DatabaseSettings
from db.transaction import writing
from streams.operations.erasure import ERASURE, ErasurePorts, erasure
from streams.operations.kinds import Context, Kind
from streams.operations.redaction import (
    COMMENT_REDACTION,
    TASK_REDACTION,
    comment_redaction,
    task_redaction,
)
from taskforge.parts.names import API
from taskforge.wiring import running
from tests.support.asking import by
from tests.support.columns import placed
from tests.support.erasing import CANARY, Mortal, Town, dying, nobody
from tests.support.sagas import Killed
from tests.support.site import settings_for
from tests.support.waiting import until_answered

pytestmark = pytest.mark.anyio


@pytest.fixture
async def town(
    database: DatabaseSettings, valkey_url: str, superuser: "asyncpg.Connection[Any]"
) -> AsyncIterator[Town]:
    async with running(settings_for(database, valkey_url), API) as process:
        services = process.services
        yield Town(services.pools, services.teams, services.valkey, superuser)


def names_in(rows: list[Any], user_id: UUID) -> set[str]:
    """What the journal calls the user."""
    about = [row for row in rows if row["subject_id"] == user_id]
    return {msgspec.json.decode(row["payload"])["member"]["name"] for row in about}


async def check_erased(town: Town, user_id: UUID, *teams: UUID) -> None:
    """Nothing of the user is left, and each team has heard of it once, as its last event."""
    user = await town.superuser.fetchrow("select * from users where id = $1", user_id)
    assert (user["name"], user["email"]) == (DELETED_USER, f"deleted-{user_id}@invalid")
    assert (user["password_hash"], user["email_verified_at"]) == (None, None)
    assert await town.superuser.fetchval("select count(*) from memberships where user_id = $1", user_id) == 0
    for team_id in teams:
        rows = await town.rows(team_id)
        assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
        assert names_in(rows, user_id) == {DELETED_USER}
        about = [row for row in rows if row["type"] == "history.redacted"]
        assert [msgspec.json.decode(row["payload"])["subjects"] for row in about] == [[str(user_id)]]
        assert (await town.teams.view(team_id)).seq == len(rows)


async def test_a_user_leaves_every_team_and_is_called_nothing_in_any(town: Town) -> None:
    keeper, leaver = await town.user(), await town.user(CANARY)
    here, left = await town.team(keeper, leaver), await town.team(keeper, leaver)
    await town.teams.ask(left, RemoveMember(leaver), by(keeper))
    elsewhere = await town.team(keeper)
    ended = await town.erase(leaver)
    assert (ended.status, ended.error) == ("succeeded", None)
    await check_erased(town, leaver, here, left)
    assert (await town.types(here))[-2:] == ["member.removed", "history.redacted"]
    assert "history.redacted" not in await town.types(elsewhere)
    assert names_in(await town.rows(here), keeper) == {f"{CANARY} {keeper}"}, "others keep their names"
    former = await town.superuser.fetch("select name from former_members where user_id = $1", leaver)
    assert [row["name"] for row in former] == [DELETED_USER] * 2


async def test_the_address_of_an_erased_user_signs_up_as_somebody_else(town: Town) -> None:
    leaver = await town.user(CANARY)
    await town.erase(leaver)
    other = uuids.uuid7()
    async with writing(town.pools.api, other) as tx:
        await tx.execute(
            "insert into users (id, email, name, created_at, updated_at) values ($1, $2, 'New', now(), now())",
            other,
            f"{leaver}@example.org",
        )
    assert await town.superuser.fetchval("select count(*) from users") == 2


async def test_the_only_owner_stays_and_gets_back_what_was_left_already(town: Town) -> None:
    """Of a team that has another owner when the erasure begins, and none any more when its turn comes."""
    keeper, leaver = await town.user(), await town.user(CANARY)
    first = await town.team(keeper, leaver)
    last = await town.team(leaver, keeper)
    ended = await town.erase(leaver)
    assert ended.status == "failed"
    assert ended.error == f"You are the only owner of the team {last} (last-owner)."
    assert (await town.teams.view(first)).role_of(leaver) == "member"
    assert (await town.teams.view(last)).role_of(leaver) == "owner"
    user = await town.superuser.fetchrow("select * from users where id = $1", leaver)
    assert (user["name"], user["erased_at"]) == (CANARY, None)
    await town.teams.ask(last, ChangeRole(keeper, "owner"), by(leaver))
    assert (await town.erase(leaver)).status == "succeeded"
    await check_erased(town, leaver, first, last)


async def test_of_two_owners_who_leave_at_once_one_stays(town: Town) -> None:
    one, two = await town.user(), await town.user()
    team = await town.team(one, two)
    await town.teams.ask(team, ChangeRole(two, "owner"), by(one))
    ended = await asyncio.gather(town.erase(one), town.erase(two))
    assert sorted(operation.status for operation in ended) == ["failed", "succeeded"]
    owners = await town.superuser.fetchval("select count(*) from memberships where role = 'owner'")
    assert owners == 1


async def test_sessions_keys_and_tickets_end_with_the_account(town: Town) -> None:
    leaver = await town.user(CANARY)
    async with writing(town.pools.api, leaver) as tx:
        await tx.execute(
            "insert into sessions (id, user_id, created_at, last_used_at, expires_at, user_agent, ip)"
            " values ($1, $1, now(), now(), now() + interval '1 day', $2, '192.0.2.7')",
            leaver,
            CANARY,
        )
        await tx.execute(
            "insert into api_keys (id, user_id, token_hash, prefix, name, scopes, created_at)"
            " values ($1, $1, sha256('x'), 'tfk_abcd', $2, array['read'], now())",
            leaver,
            CANARY,
        )
        await tx.execute(
            "insert into live_tickets values (sha256('y'), $1, $1, null, now() + interval '1 h', '192.0.2.7')", leaver
        )
    await town.erase(leaver)
    session = await town.superuser.fetchrow("select * from sessions")
    assert session["revoked_at"] is not None
    assert (session["user_agent"], session["ip"]) == ("", None)
    key = await town.superuser.fetchrow("select * from api_keys")
    assert key["revoked_at"] is not None
    assert key["name"] == "Deleted"
    assert await town.superuser.fetchval("select count(*) from live_tickets") == 0


async def test_the_last_mail_is_waited_for_but_not_for_ever(town: Town) -> None:
    leaver = await town.user(CANARY)
    patient = erasure(ErasurePorts(town.ports, 600.0))
    async with writing(town.pools.api, leaver) as tx:
        started = await ERASURE.start(tx, leaver)

    async def waits() -> bool:
        await Mortal(town.pools.worker, [patient], nobody).move()
        return any(
            state.name == "farewell" and state.status == "running"
            for state in (await town.now(leaver, started.id)).steps
        )

    await until_answered(waits)
    identity = Identity(town.pools.api, Lifetimes(idle=3600, absolute=7200, grace=10))
    assert await identity.credentials(f"{leaver}@example.org") is None, "no forgotten password opens it again"
    with pytest.raises(Unauthenticated):
        async with writing(town.pools.api, leaver) as tx:
            await identity.set_password_in(tx, leaver, "a hash")
    mail = (await town.now(leaver, started.id)).data["mail"]
    assert await town.superuser.fetchval("select email from users where id = $1", leaver) == f"{leaver}@example.org"
    assert await town.superuser.fetchval("select payload::json ->> 'purpose' from outbox where id = $1", UUID(mail))
    await town.superuser.execute("insert into inbox (consumer, event_id) values ('mail', $1)", mail)
    await town.superuser.execute("update operations set next_at = now()")
    assert (await town.ended(leaver, started.id, patient)).status == "succeeded"
    await check_erased(town, leaver)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ERASURE.steps)
async def test_killed_at_any_step_an_erasure_ends_the_same(town: Town, step: str, when: str) -> None:
    keeper, leaver = await town.user(), await town.user(CANARY)
    team = await town.team(keeper, leaver)
    ended = await town.erase(leaver, dying(town.erasure(), step, when))
    assert ended.status == "succeeded"
    await check_erased(town, leaver, team)


async def test_killed_while_it_goes_back_the_memberships_are_there_once(town: Town) -> None:
    keeper, leaver = await town.user(), await town.user(CANARY)
    first, _ = await town.team(keeper, leaver), await town.team(leaver)
    kind = town.erasure()
    leave = kind.steps[1]
    rejoin, times = leave.undo_outside, [1]
    assert rejoin is not None

    async def killed_once(context: Context) -> None:
        await rejoin(context)
        if times:
            times.pop()
            raise Killed

    steps = (kind.steps[0], structs.replace(leave, undo_outside=killed_once), *kind.steps[2:])
    ended = await town.erase(leaver, Kind(kind.plan, steps))
    assert ended.status == "failed"
    assert (await town.types(first)).count("member.added") == 3, "the owner, the user, and the user back again"
    assert (await town.teams.view(first)).role_of(leaver) == "member"


# A task that was deleted for good


async def deleted_task(town: Town, owner: UUID, team: UUID) -> UUID:
    fields = TaskFields(title=CANARY, description=CANARY, external_id=CANARY, external_source=CANARY)
    task = (await town.teams.ask(team, CreateTask(fields), by(owner))).items[0].task
    await town.teams.ask(team, UpdateTask(task.id, TaskPatch(title=f"{CANARY} again")), by(owner))
    await town.teams.ask(team, DeleteTask(task.id), by(owner))
    return task.id


async def redact(town: Town, owner: UUID, team: UUID, task: UUID, kind: Kind) -> Operation:
    async with writing(town.pools.worker) as tx:
        started = await TASK_REDACTION.start(tx, owner, team_id=team, data={"task_id": task})
    return await town.ended(owner, started.id, kind)


@pytest.mark.parametrize("step", ["begin", "redact", "forget", "tell"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_killed_at_any_step_a_task_is_forgotten_and_told_of_once(town: Town, step: str, when: str) -> None:
    owner = await town.user()
    team = await town.team(owner)
    task = await deleted_task(town, owner, team)
    ended = await redact(town, owner, team, task, dying(task_redaction(town.ports), step, when))
    assert ended.status == "succeeded"
    rows = await town.rows(team)
    assert not [row for row in rows if row["subject_id"] == task and CANARY in row["payload"]]
    assert [row["type"] for row in rows].count("history.redacted") == 1
    told = msgspec.json.decode(rows[-1]["payload"])
    assert told == {"subjects": [str(task)], "through_seq": len(rows) - 1}
    assert rows[-1]["actor_kind"] == "system"
    assert await subjects_due(town, team) == []


async def subjects_due(town: Town, team: UUID) -> list[UUID]:
    """What readers still have to leave out of the team's rows, because no worker has redacted it."""
    found = await town.pools.worker.fetch("select subject_id from redactions_due where team_id = $1", team)
    return [row["subject_id"] for row in found]


async def deleted_comment(town: Town, owner: UUID, team: UUID, task: UUID) -> UUID:
    """A comment that was edited and is gone."""
    said = (await town.teams.ask(team, AddComment(task, CANARY), by(owner))).comment
    assert said is not None
    await town.teams.ask(team, EditComment(said.id, f"{CANARY} again"), by(owner))
    await town.teams.ask(team, DeleteComment(said.id), by(owner))
    return said.id


@pytest.mark.parametrize("step", ["redact", "forget", "tell"])
async def test_killed_at_any_step_a_comment_is_forgotten_and_its_task_and_neighbours_are_not(
    town: Town, step: str
) -> None:
    owner = await town.user()
    team = await town.team(owner)
    task = (await town.teams.ask(team, CreateTask(TaskFields(title="Kept")), by(owner))).items[0].task.id
    kept = (await town.teams.ask(team, AddComment(task, "Kept, too"), by(owner))).comment
    comment = await deleted_comment(town, owner, team, task)
    async with writing(town.pools.worker) as tx:
        data = {"task_id": task, "comment_id": comment}
        started = await COMMENT_REDACTION.start(tx, owner, team_id=team, data=data)
    assert await subjects_due(town, team) == [comment]
    ended = await town.ended(owner, started.id, dying(comment_redaction(town.ports), step, "after"))
    assert ended.status == "succeeded"
    rows = [row for row in await town.rows(team) if row["subject_id"] == task]
    assert not [row for row in rows if CANARY in row["payload"]]
    assert [row["salt"] is None for row in rows] == [False, False, True, True, True]
    assert "Kept, too" in rows[1]["payload"]
    assert all("Kept" in row["payload"] for row in rows), "the task is still called so"
    assert [row["type"] for row in await town.rows(team)].count("history.redacted") == 1
    board = (await town.teams.view(team)).state
    folded = TeamState()
    for row in await town.journal(team):
        evolve(folded, decode(row))
    assert list(folded.tasks.values()) == list(board.tasks.values())
    assert kept is not None
    assert board.tasks.get(task).comment_count == 1  # type: ignore[union-attr]
    assert await subjects_due(town, team) == []


async def test_the_fold_of_a_redacted_history_is_the_board(town: Town) -> None:
    owner, leaver = await town.user(), await town.user(CANARY)
    team = await town.team(owner, leaver)
    kept = (await town.teams.ask(team, CreateTask(TaskFields(title="Kept")), by(leaver))).items[0].task
    task = await deleted_task(town, owner, team)
    await redact(town, owner, team, task, task_redaction(town.ports))
    await town.erase(leaver)
    view, folded = await town.teams.view(team), TeamState()
    for row in await town.journal(team):
        evolve(folded, decode(row))
    assert list(folded.tasks.values()) == list(view.state.tasks.values()) == [kept]
    assert (folded.seq, folded.members, placed(folded)) == (view.state.seq, view.state.members, placed(view.state))
    assert not any(CANARY.encode() in row.payload for row in await town.journal(team) if row.subject != owner)


async def test_who_is_added_while_being_erased_is_a_member_of_nothing_afterwards(town: Town) -> None:
    """Invitations were accepted beside it: some before the account was closed, others after."""
    keeper, leaver = await town.user(), await town.user(CANARY)
    teams = [await town.team(keeper) for _ in range(12)]
    added = list[UUID]()

    async def add_to_all() -> None:
        for team in teams:
            try:
                await town.teams.ask(team, AddMember(leaver, f"{CANARY} {leaver}", "member"), by(keeper))
                added.append(team)
            except Conflict as refusal:
                if refusal.reason != "constraint":
                    raise

    async with asyncio.TaskGroup() as group:
        group.create_task(add_to_all())
        erased = group.create_task(town.erase(leaver))
    assert erased.result().status == "succeeded"
    assert await town.superuser.fetchval("select count(*) from memberships where user_id = $1", leaver) == 0
    for team in added:
        assert names_in(await town.rows(team), leaver) == {DELETED_USER}
    with pytest.raises(Conflict) as late:
        await town.teams.ask(teams[0], AddMember(leaver, "Again", "member"), by(keeper))
    assert late.value.reason == "constraint"
    assert (await town.teams.view(teams[0])).state.members.keys() == {keeper}


async def test_what_was_joined_while_being_erased_in_vain_is_given_back_too(town: Town) -> None:
    keeper, leaver = await town.user(), await town.user(CANARY)
    last = await town.team(leaver, keeper)
    later = await town.team(keeper)
    async with writing(town.pools.api, leaver) as tx:
        started = await ERASURE.start(tx, leaver)
    await Mortal(town.pools.worker, [town.erasure()], nobody).move()  # The look at the teams.
    await town.teams.ask(later, AddMember(leaver, CANARY, "viewer"), by(keeper))
    assert (await town.ended(leaver, started.id, town.erasure())).status == "failed"
    assert (await town.teams.view(last)).role_of(leaver) == "owner"
    assert (await town.teams.view(later)).role_of(leaver) == "viewer"
