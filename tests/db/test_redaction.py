"""Redaction in the database: who may change history, in which way alone, and what is left of it."""

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest
from msgspec import Struct

from core.codec import decode
from core.commands import AddMember, CreateTask, DeleteTask, RemoveMember, UpdateTask
from core.redaction import DELETED_TASK, DELETED_USER
from core.task import TaskFields, TaskPatch
from core.team import TeamState, evolve
from core.writes import Committed
from db.journal.journal import PostgresJournal
from db.pool import Pools
from db.redaction import history
from db.redaction.history import redact_history, redact_slice, teams_that_name
from db.redaction.role import as_redactor, redacting
from db.roles import may_become_redactor
from db.transaction import writing
from tests.support.columns import placed
from tests.support.team_writer import add_user, new_team

pytestmark = pytest.mark.anyio

CANARY = "canary-4711"


@pytest.fixture
def journal(pools: Pools) -> PostgresJournal:
    return PostgresJournal(pools)


class Gone(Struct):
    """A task that was edited and then deleted for good, in a team that has another one."""

    team_id: UUID
    owner: UUID
    task_id: UUID


@pytest.fixture
async def gone(pools: Pools, journal: PostgresJournal) -> Gone:
    writer = await new_team(journal, await add_user(pools), 1)
    fields = TaskFields(title=f"{CANARY} one", description=CANARY, external_id=CANARY, external_source=CANARY)
    assert await writer.commit(journal, CreateTask(fields)) == Committed()
    task_id = next(task.id for task in writer.state.tasks.values() if CANARY in task.title)
    assert await writer.commit(journal, UpdateTask(task_id, TaskPatch(title=f"{CANARY} two"))) == Committed()
    assert await writer.commit(journal, DeleteTask(task_id)) == Committed()
    return Gone(writer.team_id, writer.owner, task_id)


async def rows(superuser: Any, team_id: UUID) -> list[Any]:
    return await superuser.fetch("select * from task_events where team_id = $1 order by seq", team_id)


async def test_the_journal_forgets_the_task_and_keeps_all_else_of_its_rows(
    pools: Pools, gone: Gone, superuser: Any
) -> None:
    before = await rows(superuser, gone.team_id)
    assert sum(CANARY in row["payload"] for row in before) == 2
    assert await redact_history(pools.worker, gone.team_id, {gone.task_id}) == 2
    after = await rows(superuser, gone.team_id)
    assert not any(CANARY in row["payload"] for row in after)
    for old, new in zip(before, after, strict=True):
        same = {name: value for name, value in old.items() if name not in {"payload", "salt"}}
        assert same == {name: value for name, value in new.items() if name not in {"payload", "salt"}}
        assert (new["salt"] is None) == (CANARY in old["payload"])
    assert await redact_history(pools.worker, gone.team_id, {gone.task_id}) == 0, "once is enough"


async def test_a_redacted_history_folds_to_the_board_in_the_tables(
    pools: Pools, journal: PostgresJournal, gone: Gone
) -> None:
    await redact_history(pools.worker, gone.team_id, {gone.task_id})
    state = TeamState()
    for row in await journal.read(gone.team_id, 0):
        evolve(state, decode(row))
    loaded = await journal.load(gone.team_id)
    assert loaded is not None
    assert list(state.tasks.values()) == list(loaded.tasks.values())
    assert (state.seq, state.members, state.columns) == (loaded.seq, loaded.members, loaded.columns)
    assert placed(state) == placed(loaded)
    assert state.external.as_dict() == loaded.external.as_dict() == {}


async def test_rows_are_redacted_in_slices_and_two_at_once_do_each_once(
    pools: Pools, gone: Gone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "SLICE", 1)
    first, changed = await redact_slice(pools.worker, gone.team_id, {gone.task_id}, 0)
    assert (len(first), changed) == (1, 1)
    done = await asyncio.gather(*(redact_history(pools.worker, gone.team_id, {gone.task_id}) for _ in range(4)))
    assert sum(done) == 1


async def test_a_user_is_found_in_every_team_they_were_in_and_called_nothing(
    pools: Pools, journal: PostgresJournal, superuser: Any
) -> None:
    user = await add_user(pools, CANARY)
    writers = [await new_team(journal, await add_user(pools)) for _ in range(3)]
    for writer in writers[:2]:
        assert await writer.commit(journal, AddMember(user, CANARY, "member")) == Committed()
    assert await writers[1].commit(journal, RemoveMember(user)) == Committed()
    found = await teams_that_name(pools.worker, user)
    assert sorted(found) == sorted(writer.team_id for writer in writers[:2])
    for team_id in found:
        await redact_history(pools.worker, team_id, {user})
        about = [row for row in await rows(superuser, team_id) if row["subject_id"] == user]
        assert {msgspec.json.decode(row["payload"])["member"]["name"] for row in about} == {DELETED_USER}


REPLACE = "update task_events set {} where team_id = '{}' and seq = 4"


async def refused_to(superuser: Any, role: str, statement: str) -> type[Exception] | None:
    """What the role is told that tries; None when it may."""
    await superuser.execute(f"set role {role}")
    try:
        await superuser.execute(statement)
    except asyncpg.PostgresError as error:
        return type(error)
    finally:
        await superuser.execute("reset role")
    return None


@pytest.mark.parametrize("role", ["taskforge_api", "taskforge_writer", "taskforge_worker"])
async def test_no_other_role_changes_or_deletes_a_journal_row(superuser: Any, gone: Gone, role: str) -> None:
    statement = REPLACE.format("payload = '{}', salt = null", gone.team_id)
    for asked in (statement, "delete from task_events"):
        assert await refused_to(superuser, role, asked) is asyncpg.InsufficientPrivilegeError


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ("payload = payload", asyncpg.CheckViolationError),
        ("payload = '{\"team\":1}', salt = null", asyncpg.CheckViolationError),
        ("salt = decode(repeat('00', 16), 'hex')", asyncpg.CheckViolationError),
        ("salt = null", None),
        *((f"{column} = {column}", asyncpg.InsufficientPrivilegeError) for column in ("seq", "type", "at", "digest")),
        ("actor_id = gen_random_uuid()", asyncpg.InsufficientPrivilegeError),
        ("subject_id = gen_random_uuid()", asyncpg.InsufficientPrivilegeError),
    ],
)
async def test_the_redactor_can_do_nothing_but_redact(
    superuser: Any, gone: Gone, change: str, error: type[Exception] | None
) -> None:
    statement = REPLACE.format(change, gone.team_id)
    assert await refused_to(superuser, "taskforge_redactor", statement) is error
    deleted = await refused_to(superuser, "taskforge_redactor", "delete from task_events")
    assert deleted is asyncpg.InsufficientPrivilegeError


@pytest.mark.parametrize("column", ["seq = 99", "digest = sha256('x')", "type = 'x'", "at = now()"])
async def test_the_trigger_holds_even_for_whoever_has_every_right(superuser: Any, gone: Gone, column: str) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="may only be redacted"):
        await superuser.execute(REPLACE.format(f"{column}, salt = null", gone.team_id))


async def test_a_worker_has_the_rights_of_the_redactor_only_while_it_says_so(pools: Pools, superuser: Any) -> None:
    async with redacting(pools.worker) as tx:
        assert await tx.fetchval("select current_user") == "taskforge_redactor"
    async with writing(pools.worker) as tx:
        async with as_redactor(tx):
            assert await tx.fetchval("select current_user") == "taskforge_redactor"
        assert await tx.fetchval("select current_user") == "taskforge_worker"
    assert await may_become_redactor(pools.worker)
    assert not await may_become_redactor(pools.api)
    others = ("taskforge_api", "taskforge_writer", "taskforge_owner")
    able = "select pg_has_role($1, 'taskforge_redactor', 'member')"
    assert [await superuser.fetchval(able, role) for role in others] == [False] * 3


async def test_rows_of_the_release_before_are_redacted_too(pools: Pools, superuser: Any, gone: Gone) -> None:
    """`task.deleted` carried its content: nobody is shown it any more, and redaction takes it out of the row."""
    payload = '{"task":{"id":"%s","team_id":"%s","number":2,"key":"ENG-2","title":"%s"},"previous":{}}'
    await superuser.execute(
        "insert into task_events (team_id, seq, type, subject_id, actor_id, payload, at)"
        " values ($1, 99, 'task.deleted', $2, $3, $4, now())",
        gone.team_id, gone.task_id, gone.owner, payload % (gone.task_id, gone.team_id, CANARY),
    )  # fmt: skip
    (row,) = await PostgresJournal(pools).read(gone.team_id, 98)
    assert CANARY.encode() not in row.payload
    assert row.redacted
    assert await redact_history(pools.worker, gone.team_id, {gone.task_id}) == 3
    assert DELETED_TASK in (await rows(superuser, gone.team_id))[-1]["payload"]
    (again,) = await PostgresJournal(pools).read(gone.team_id, 98)
    assert again == row
