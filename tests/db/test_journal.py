"""What only the journal in Postgres can get wrong; what every journal does is in `tests/contracts`."""

import asyncio
import random
import re
from uuid import UUID

import asyncpg
import pytest
import uuid_utils.compat as uu
from msgspec import structs

from core.commands import (
    AddMember,
    AnyCommand,
    ArchiveTask,
    CreateLabel,
    CreateTask,
    CreateTeam,
    DeleteLabel,
    DeleteTask,
    MoveTask,
    RemoveMember,
    RestoreTask,
    UpdateTask,
    UpdateTeam,
)
from core.errors import DomainError, NotFound, StorageUnavailable
from core.events import TaskUpdated
from core.ranking import between
from core.task import STATUSES, TaskFields, TaskPatch
from core.writes import Committed, CommitUnknown, FenceBroken, JournalPosition, KeysTaken, Rejected, TeamWrites
from db import readmodel
from db.idempotency import Found, find_reply
from db.journal import relay_cursors
from db.journal.commit_sql import SHAPES, statement_of
from db.journal.journal import PostgresJournal
from db.pool import Connection, Pools
from db.settings import DatabaseSettings
from db.transaction import reading
from tests.support.asking import by
from tests.support.columns import placed, tasks_of
from tests.support.team_writer import Writer, add_user, key_row, new_team, opened, spoilt

pytestmark = pytest.mark.anyio


@pytest.fixture
def journal(pools: Pools) -> PostgresJournal:
    return PostgresJournal(pools)


@pytest.fixture
async def owner(pools: Pools) -> UUID:
    return await add_user(pools)


def first_task(writer: Writer) -> UUID:
    return next(iter(writer.state.tasks.values())).id


def retitle(writer: Writer, title: str) -> TeamWrites:
    return writer.decided(UpdateTask(first_task(writer), TaskPatch(title=title)))


async def count(pools: Pools, query: str, *arguments: object) -> int:
    async with reading(pools.writer, None) as rows:
        return int(await rows.fetchval(query, *arguments))


async def test_a_new_team_has_a_row_a_membership_and_a_relay_cursor(
    pools: Pools, journal: PostgresJournal, owner: UUID
) -> None:
    writer = await new_team(journal, owner)
    async with reading(pools.writer, None) as rows:
        team = await rows.fetchrow("select seq, epoch, version, top_number from teams where id = $1", writer.team_id)
        cursor = await rows.fetchrow("select published_seq from relay_cursors where team_id = $1", writer.team_id)
        member = await rows.fetchrow("select user_id, role from memberships where team_id = $1", writer.team_id)
    assert team is not None
    assert tuple(team) == (2, 1, 1, 0)
    assert cursor is not None
    assert cursor[0] == 0
    assert member is not None
    assert tuple(member) == (owner, "owner")


async def test_creating_a_team_whose_key_was_used_leaves_nothing_behind(
    pools: Pools, journal: PostgresJournal, owner: UUID
) -> None:
    before = await new_team(journal, owner, 1)
    row = key_row(owner, "create-me-once-1")
    assert (await journal.commit([structs.replace(retitle(before, "x"), keys=(row,))]))[before.team_id] == Committed()
    writer = Writer(owner)
    writes = writer.decided(CreateTeam(writer.team_id, "Again", "AGN", "Ada"), keys=[row])
    assert (await journal.commit([writes]))[writer.team_id] == KeysTaken((row,))
    assert await count(pools, "select count(*) from teams where id = $1", writer.team_id) == 0
    assert await count(pools, "select count(*) from relay_cursors where team_id = $1", writer.team_id) == 0


async def test_a_key_taken_in_one_team_does_not_hold_up_the_others(
    journal: PostgresJournal, pools: Pools, owner: UUID
) -> None:
    one, two = [await new_team(journal, owner, 1) for _ in range(2)]
    row = key_row(owner, "the-same-key-twice", body=b"\x00\xff raw", seq=4)
    first = structs.replace(retitle(one, "first"), keys=(row,))
    assert (await journal.commit([first]))[one.team_id] == Committed()
    one.apply(first)
    again = structs.replace(retitle(one, "again"), keys=(row,))
    outcomes = await journal.commit([again, retitle(two, "other")])
    assert outcomes == {one.team_id: KeysTaken((row,)), two.team_id: Committed()}
    assert (await journal.position([one.team_id]))[one.team_id].seq == one.state.seq
    stored = Found(row.reply, one.team_id)
    assert await find_reply(pools.api, by(owner, key=row.key, fingerprint=row.fingerprint)) == stored
    assert await find_reply(pools.api, by(owner, key="unknown-key-00000")) is None
    assert await find_reply(pools.api, by(uu.uuid7(), key=row.key, fingerprint=row.fingerprint)) is None


async def test_a_stale_writer_learns_where_the_team_is_and_others_commit(journal: PostgresJournal, owner: UUID) -> None:
    hot, calm = [await new_team(journal, owner, 1) for _ in range(2)]
    stale = retitle(hot, "stale")
    assert await hot.commit(journal, UpdateTask(first_task(hot), TaskPatch(title="quick"))) == Committed()
    unknown = structs.replace(stale, team_id=uu.uuid7())
    outcomes = await journal.commit([stale, retitle(calm, "calm"), unknown])
    assert outcomes == {
        hot.team_id: FenceBroken(hot.state.seq),
        calm.team_id: Committed(),
        unknown.team_id: FenceBroken(0),
    }
    titles = [row.payload.count(b"stale") for row in await journal.read(hot.team_id, 0)]
    assert sum(titles) == 0


async def test_two_committers_on_one_team_never_fork_the_sequence(database: DatabaseSettings, owner: UUID) -> None:
    async with opened(database) as (_, journal), opened(database) as (_, rival):
        first = await new_team(journal, owner, 1)
        second = Writer(owner)
        second.team_id = first.team_id
        broken = 0

        async def see(writer: Writer, through: PostgresJournal) -> None:
            state = await through.load(writer.team_id)
            assert state is not None
            writer.state = state

        async def fight(writer: Writer, through: PostgresJournal, name: str) -> None:
            nonlocal broken
            for turn in range(40):
                while True:
                    task_id = first_task(writer)
                    outcome = await writer.commit(through, UpdateTask(task_id, TaskPatch(title=f"{name} {turn}")))
                    if outcome == Committed():
                        break
                    assert isinstance(outcome, FenceBroken)
                    assert outcome.seq > writer.state.seq
                    broken += 1
                    await see(writer, through)

        # Both know the same seq when they begin: whoever commits first, the other's fence breaks.
        await see(first, journal)
        await see(second, rival)
        await asyncio.gather(fight(first, journal, "a"), fight(second, rival, "b"))
        rows = await journal.read(first.team_id, 0)
        assert [row.seq for row in rows] == list(range(1, 3 + 80 + 1))
        assert broken > 0


async def test_committers_that_share_teams_do_not_deadlock(database: DatabaseSettings, owner: UUID) -> None:
    async with opened(database) as (_, journal), opened(database) as (_, rival):
        writers = [await new_team(journal, owner, 1) for _ in range(8)]

        async def press(through: PostgresJournal, order: int) -> None:
            for _ in range(25):
                states = [await through.load(writer.team_id) for writer in writers]
                batches = []
                for state, writer in zip(states, writers, strict=True):
                    mine = Writer(owner)
                    mine.team_id, mine.state = writer.team_id, state or writer.state
                    batches.append(mine.decided(UpdateTask(first_task(mine), TaskPatch(title=f"{uu.uuid7()}"))))
                await through.commit(batches[::order])

        await asyncio.gather(press(journal, 1), press(rival, -1), press(journal, -1))
        for writer in writers:
            rows = await journal.read(writer.team_id, 0)
            assert [row.seq for row in rows] == list(range(1, len(rows) + 1))


async def test_a_constraint_fails_only_the_guilty_team(journal: PostgresJournal, owner: UUID) -> None:
    good, bad, ugly = [await new_team(journal, owner, 2) for _ in range(3)]
    refused = spoilt(retitle(bad, "fine"), title="")
    too_big = spoilt(retitle(ugly, "fine"), version=2**70)
    outcomes = await journal.commit([good_writes := retitle(good, "good"), refused, too_big])
    assert outcomes[good.team_id] == Committed()
    assert outcomes[bad.team_id] == Rejected("task_title_check")
    assert isinstance(outcomes[ugly.team_id], Rejected)
    good.apply(good_writes)
    for writer in (good, bad, ugly):
        assert await journal.position([writer.team_id]) == {writer.team_id: JournalPosition(writer.state.seq)}
    assert await bad.commit(journal, UpdateTask(first_task(bad), TaskPatch(title="later"))) == Committed()


async def test_an_unknown_user_as_member_is_refused_by_the_foreign_key(journal: PostgresJournal, owner: UUID) -> None:
    writer, other = [await new_team(journal, owner, 1) for _ in range(2)]
    stranger = writer.decided(AddMember(uu.uuid7(), "Nobody", "member"))
    outcomes = await journal.commit([stranger, retitle(other, "fine")])
    assert outcomes == {writer.team_id: Rejected("memberships_user_id_fkey"), other.team_id: Committed()}
    assert await journal.position([writer.team_id]) == {writer.team_id: JournalPosition(writer.state.seq)}


async def test_changes_beside_tasks_are_committed_by_the_one_statement(
    pools: Pools, journal: PostgresJournal, owner: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> None:
        raise AssertionError("nothing was refused: no team needs a savepoint")

    monkeypatch.setattr("db.journal.journal._commit_apart", never)
    plain, stale, special = [await new_team(journal, owner, 1) for _ in range(3)]
    old = retitle(stale, "old")
    assert await stale.commit(journal, UpdateTask(first_task(stale), TaskPatch(title="new"))) == Committed()
    fresh, friend = Writer(owner), await add_user(pools, "Bob")
    batches = [
        retitle(plain, "plain"),
        old,
        special.decided(AddMember(friend, "Bob", "member"), CreateLabel("bug", "#ff0000")),
        fresh.decided(CreateTeam(fresh.team_id, "Fresh", "FRE", "Ada"), CreateTask(TaskFields(title="x"))),
    ]
    outcomes = dict(await journal.commit(batches))
    assert outcomes.pop(stale.team_id) == FenceBroken(stale.state.seq)
    assert set(outcomes.values()) == {Committed()}
    assert len(outcomes) == 3
    loaded = await journal.load(special.team_id)
    assert loaded is not None
    assert set(loaded.members) == {owner, friend}
    assert len(loaded.labels) == 1
    assert (await journal.position([fresh.team_id]))[fresh.team_id].seq == 3


async def test_a_constraint_refuses_only_the_team_whose_members_broke_it(
    pools: Pools, journal: PostgresJournal, owner: UUID
) -> None:
    bad, good = [await new_team(journal, owner) for _ in range(2)]
    fresh, friend = Writer(owner), await add_user(pools, "Bob")
    good_writes = good.decided(AddMember(friend, "Bob", "admin"), UpdateTeam(name="Better", wip="block"))
    outcomes = await journal.commit(
        [
            bad.decided(AddMember(uu.uuid7(), "Nobody", "member"), UpdateTeam(name="Worse")),
            good_writes,
            fresh.decided(CreateTeam(fresh.team_id, "Fresh", "FRE", "Ada")),
        ]
    )
    assert outcomes == {
        bad.team_id: Rejected("memberships_user_id_fkey"),
        good.team_id: Committed(),
        fresh.team_id: Committed(),
    }
    good.apply(good_writes)
    for writer in (bad, good):
        await assert_tables_match(journal, writer)


async def test_a_label_takes_over_the_name_of_one_deleted_in_the_same_batch(
    journal: PostgresJournal, owner: UUID
) -> None:
    writer = await new_team(journal, owner)
    assert await writer.commit(journal, CreateLabel("bug", "#ff0000")) == Committed()
    (label,) = writer.state.labels
    assert await writer.commit(journal, DeleteLabel(label), CreateLabel("Bug", "#00ff00")) == Committed()
    await assert_tables_match(journal, writer)


async def test_a_team_is_created_once_whoever_tries(database: DatabaseSettings, owner: UUID) -> None:
    async with opened(database) as (_, journal), opened(database) as (_, rival):
        for _ in range(20):
            one, two = Writer(owner), Writer(owner)
            two.team_id = one.team_id
            beside = await new_team(journal, owner, 1)
            batches = [
                [writer.decided(CreateTeam(one.team_id, name, "ENG", "Ada")), retitle(beside, name)]
                for writer, name in ((one, "One"), (two, "Two"))
            ]
            first, second = await asyncio.gather(journal.commit(batches[0]), rival.commit(batches[1][::-1]))
            made = [outcomes[one.team_id] for outcomes in (first, second)]
            assert sorted(map(str, made)) == ["Committed()", "FenceBroken(seq=2, rewritten=False)"]
            assert len(await journal.read(one.team_id, 0)) == 2


async def test_a_new_task_takes_over_the_external_id_of_one_deleted_in_the_same_batch(
    journal: PostgresJournal, owner: UUID
) -> None:
    writer = await new_team(journal, owner)
    fields = TaskFields(title="one", external_id="E-1", external_source="jira")
    assert await writer.commit(journal, CreateTask(fields)) == Committed()
    delete, create = DeleteTask(first_task(writer)), CreateTask(structs.replace(fields, title="two"))
    assert await writer.commit(journal, delete, create) == Committed()
    loaded = await journal.load(writer.team_id)
    assert loaded is not None
    assert [task.title for task in loaded.tasks.values()] == ["two"]
    assert loaded.top_number == 2


async def test_numbers_of_tasks_created_and_deleted_in_one_batch_are_not_given_again(
    journal: PostgresJournal, owner: UUID
) -> None:
    writer = await new_team(journal, owner)
    task_id = uu.uuid7()
    ids = iter([task_id])
    asking = writer.asking
    writer.asking = lambda: structs.replace(asking(), new_id=lambda: next(ids, None) or uu.uuid7())  # type: ignore[method-assign]
    assert await writer.commit(journal, CreateTask(TaskFields(title="gone")), DeleteTask(task_id)) == Committed()
    loaded = await journal.load(writer.team_id)
    assert loaded is not None
    assert (loaded.top_number, len(loaded.tasks)) == (1, 0)


async def test_payloads_come_back_to_the_byte(journal: PostgresJournal, owner: UUID) -> None:
    writer = await new_team(journal, owner)
    title, text = 'ünï "quoted" \\ 🚀', "\u2028 \t\n" + "x" * 50_000
    writes = writer.decided(CreateTask(TaskFields(title=title, description=text)), traceparent="00-ab-cd-01")
    assert (await journal.commit([writes]))[writer.team_id] == Committed()
    rows = await journal.read(writer.team_id, writer.state.seq)
    assert list(rows) == [encoded.row for encoded in writes.events]
    task_id = writes.rows["task"].kept[0].id
    assert await journal.task_history(writer.team_id, task_id, 0) == rows
    assert await journal.task_history(writer.team_id, task_id, rows[-1].seq) == []
    assert [row.seq for row in await journal.read(writer.team_id, 0, 2)] == [1, 2]


async def test_rows_keep_the_version_in_which_they_were_written(
    pools: Pools, journal: PostgresJournal, owner: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = await new_team(journal, owner, 1)
    with monkeypatch.context() as later:
        later.setattr(TaskUpdated, "schema_version", 7)
        assert await journal.commit([retitle(writer, "by a later program")]) == {writer.team_id: Committed()}
    versions = [2, 1, 1, 7]
    assert [row.schema_version for row in await journal.read(writer.team_id, 0)] == versions
    assert [
        row.schema_version for row in await readmodel.events_after(pools.api, owner, writer.team_id, 0, 9)
    ] == versions
    (page,) = await relay_cursors.read(pools.worker, [writer.team_id], per_team=100)
    assert [row.schema_version for row in page.rows] == versions


async def test_a_lock_lets_nobody_else_commit_until_it_is_done(journal: PostgresJournal, owner: UUID) -> None:
    writer = await new_team(journal, owner, 1)
    async with journal.lock(writer.team_id) as locked:
        assert [row.seq for row in await locked.read(1)] == list(range(2, writer.state.seq + 1))
        rival = asyncio.ensure_future(journal.commit([retitle(writer, "rival")]))
        mine = retitle(writer, "mine")
        assert await locked.commit(mine) == Committed()
        with pytest.raises(RuntimeError):
            await locked.commit(mine)
    assert await rival == {writer.team_id: FenceBroken(mine.expected_seq + 1)}
    with pytest.raises(NotFound):
        async with journal.lock(uu.uuid7()):
            pass


async def test_a_lock_that_is_not_used_or_refused_writes_nothing(journal: PostgresJournal, owner: UUID) -> None:
    writer = await new_team(journal, owner, 1)
    async with journal.lock(writer.team_id):
        pass
    with pytest.raises(ZeroDivisionError):
        async with journal.lock(writer.team_id):
            raise ZeroDivisionError
    async with journal.lock(writer.team_id) as locked:
        bad = spoilt(retitle(writer, "x"), title="")
        assert await locked.commit(bad) == Rejected("task_title_check")
    assert (await journal.position([writer.team_id]))[writer.team_id].seq == writer.state.seq


async def test_random_commands_leave_the_tables_as_memory_says(journal: PostgresJournal, owner: UUID) -> None:
    """Only changed columns are sent: whatever an event forgets to name would show here."""
    writer, dice = await new_team(journal, owner, 5), random.Random(7)
    for _ in range(60):
        batch: list[AnyCommand] = []
        draft = Writer(owner)
        for _ in range(dice.randint(1, 6)):
            draft.state = writer.state.fork()
            command = random_command(writer, dice)
            try:
                writer.decided(*batch, command)
            except DomainError:
                continue
            batch.append(command)
        if batch and writer.decided(*batch).events:
            assert await writer.commit(journal, *batch) == Committed()
            await assert_tables_match(journal, writer)


def random_command(writer: Writer, dice: random.Random) -> AnyCommand:
    board = list(writer.state.tasks.values())
    labels, away = list(writer.state.labels), list(writer.state.archived.values())
    task = dice.choice(board) if board else None
    roll = dice.randrange(11)
    if task is None or roll == 0:
        due = writer.asking().now if dice.random() < 0.5 else None
        return CreateTask(TaskFields(title=f"New {dice.random()}", due_at=due, label_ids=tuple(labels[:1])))
    other = dice.choice(board)
    match roll:
        case 1:
            return UpdateTask(task.id, TaskPatch(title=f"Title {dice.random()}", estimate=dice.choice([None, 1.5])))
        case 2:
            return UpdateTask(task.id, TaskPatch(parent_id=dice.choice([None, other.id]), blocked_by=(other.id,)))
        case 3:
            return UpdateTask(task.id, TaskPatch(label_ids=tuple(dice.sample(labels, min(2, len(labels))))))
        case 4:
            return UpdateTask(task.id, TaskPatch(status=dice.choice(STATUSES), assignee_id=writer.owner))
        case 5:
            return MoveTask(task_id=task.id, status=other.status, before_id=other.id)
        case 6:
            return ArchiveTask(task.id)
        case 7 if away:
            return RestoreTask(dice.choice(away).id)
        case 8:
            return DeleteTask(task.id)
        case 9 if labels:
            return DeleteLabel(dice.choice(labels))
        case 10:
            return UpdateTeam(name=f"Team {dice.randrange(9)}", wip=dice.choice(("off", "warn")))
        case _:
            return CreateLabel(f"label {dice.random()}", "#00ff00")


async def assert_tables_match(journal: PostgresJournal, writer: Writer) -> None:
    loaded, state = await journal.load(writer.team_id), writer.state
    assert loaded is not None
    assert (loaded.seq, loaded.team, loaded.top_number) == (state.seq, state.team, state.top_number)
    assert (loaded.members, loaded.labels, loaded.columns) == (state.members, state.labels, state.columns)
    assert placed(loaded) == placed(state)
    assert {task.id: task for task in loaded.tasks.values()} == {task.id: task for task in state.tasks.values()}


async def test_spread_ranks_of_neighbours_are_stored(journal: PostgresJournal, owner: UUID) -> None:
    writer = await new_team(journal, owner, 3)
    first, second, third = (task.id for task in tasks_of(writer.state, "open"))
    for turn in range(200):
        moved, before = (third, second) if turn % 2 else (second, third)
        writes = writer.decided(MoveTask(task_id=moved, before_id=before))
        assert (await journal.commit([writes]))[writer.team_id] == Committed()
        writer.apply(writes)
        if writes.rows and len(writes.rows["task"].kept) > 1:
            break
    else:
        pytest.fail("ranks were never spread")
    assert between(None, writer.state.task(first).rank) is not None
    await assert_tables_match(journal, writer)


async def test_a_backend_killed_while_committing_leaves_the_outcome_unknown(
    journal: PostgresJournal, owner: UUID, superuser: asyncpg.Connection
) -> None:
    writer = await new_team(journal, owner, 1)
    async with journal.lock(writer.team_id):
        commit = asyncio.ensure_future(journal.commit([retitle(writer, "who knows")]))
        await terminate_waiting(superuser)
        with pytest.raises(CommitUnknown):
            await commit
    assert (await journal.position([writer.team_id]))[writer.team_id].seq == writer.state.seq
    assert await writer.commit(journal, UpdateTask(first_task(writer), TaskPatch(title="again"))) == Committed()


async def test_a_backend_killed_before_commit_was_sent_is_plainly_unavailable(
    journal: PostgresJournal, owner: UUID, superuser: asyncpg.Connection
) -> None:
    writer = await new_team(journal, owner, 1)

    async def commit_under_a_lock() -> None:
        async with journal.lock(writer.team_id) as locked:
            await locked.commit(writer.decided(CreateLabel("bug", "#ff0000")))

    async with journal.lock(writer.team_id):
        commit = asyncio.ensure_future(commit_under_a_lock())
        await terminate_waiting(superuser)
        with pytest.raises(StorageUnavailable):
            await commit
    assert await writer.commit(journal, CreateLabel("bug", "#ff0000")) == Committed()


async def terminate_waiting(superuser: asyncpg.Connection) -> None:
    """Kill the backend of this database that waits for a lock, as soon as there is one."""
    killed = 0
    while not killed:
        killed = await superuser.fetchval(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity"
            " where datname = current_database() and wait_event_type = 'Lock'"
        )


async def plan_of(connection: Connection, statement: str) -> str:
    """As the committer has it: made once, before anything is known of the parameters."""
    nothing = ", ".join(["null"] * max(int(n) for n in re.findall(r"\$(\d+)", statement)))
    await connection.execute(f"prepare commit_plan as {statement}")
    rows = await connection.fetch(f"explain execute commit_plan({nothing})")
    await connection.execute("deallocate commit_plan")
    return "\n".join(row[0] for row in rows)


async def test_no_part_of_the_commit_ever_scans_a_table(database: DatabaseSettings, owner: UUID) -> None:
    """With the committer's settings, on empty and never analysed tables, where the planner knows least."""
    async with opened(database) as (pools, _), pools.writer.acquire() as connection:
        for shape in SHAPES:
            plan = await plan_of(connection, statement_of(shape))
            assert "Seq Scan" not in plan
            assert plan.count("Index Scan using") + plan.count("Index Only Scan using") >= 2 + shape.keys
            for line in plan.splitlines():
                assert "Disabled: true" not in line, plan


async def test_a_changed_task_is_found_by_its_id_before_there_are_statistics(
    database: DatabaseSettings, owner: UUID
) -> None:
    """A plan made on empty tables once took the index of (team_id, parent_id) and walked the whole team per change."""
    async with opened(database) as (pools, _), pools.writer.acquire() as connection:
        for shape in SHAPES:
            plan = await plan_of(connection, statement_of(shape))
            used = set(re.findall(r"Index Scan using (tasks\w*)", plan))
            assert used == {"tasks_id"}, plan


async def test_each_team_of_a_commit_is_looked_up_however_few_there_are(
    database: DatabaseSettings, owner: UUID, superuser: asyncpg.Connection
) -> None:
    """With statistics of a small installation, the plan once compared all its teams with all of the commit."""
    async with opened(database) as (pools, journal):
        for _ in range(32):
            await new_team(journal, owner)
        async with superuser.transaction():  # As many versions of the rows as a busy minute leaves behind.
            for _ in range(16):
                await superuser.execute("update teams set version = version")
        await superuser.execute("analyze teams")
        async with pools.writer.acquire() as connection:
            for shape in SHAPES:
                plan = await plan_of(connection, statement_of(shape))
                assert re.search(r"Index Scan using teams_pkey .*\n +Index Cond: \(id = w\w*\.id\)", plan), plan


async def test_removing_a_member_or_a_label_takes_the_rows_away(
    pools: Pools, journal: PostgresJournal, owner: UUID
) -> None:
    writer, friend = await new_team(journal, owner), await add_user(pools, "Bob")
    assert await writer.commit(journal, AddMember(friend, "Bob", "admin"), CreateLabel("bug", "#ff0000")) == Committed()
    label = next(iter(writer.state.labels))
    assert await writer.commit(journal, RemoveMember(friend), DeleteLabel(label)) == Committed()
    loaded = await journal.load(writer.team_id)
    assert loaded is not None
    assert set(loaded.members) == {owner}
    assert not loaded.labels
