"""What every journal does, said once: the fake in memory and the real one in Postgres."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
import uuid_utils.compat as uuids

from actors.envelope import Envelope, slot_for
from actors.ports import Journal
from actors.prepared_batch import PreparedBatch
from core.codec import decode, reread
from core.commands import (
    AddComment,
    AddMember,
    AnyCommand,
    ArchiveTask,
    ChangeRole,
    CreateLabel,
    CreateTask,
    CreateTeam,
    DeleteComment,
    DeleteTask,
    EditComment,
    MoveTask,
    RemoveMember,
    RenameMember,
    UpdateLabel,
    UpdateTask,
    UpdateTeam,
)
from core.comment import Comment
from core.errors import NotFound
from core.events import CommentEvent
from core.quotas import Quotas
from core.task import TaskFields, TaskPatch
from core.team import TeamState
from core.writes import Committed, FenceBroken, JournalPosition, KeysTaken
from db.journal.journal import PostgresJournal
from db.pool import open_pools
from db.settings import DatabaseSettings
from taskforge.clock import SystemClock
from tests.support.actor_harness import keyed, stored
from tests.support.asking import by
from tests.support.columns import placed
from tests.support.memory_ports import MemoryJournal

pytestmark = pytest.mark.anyio


class Author:
    """Decides commands for one team and commits them, like an actor without a mailbox."""

    def __init__(self, journal: Journal, owner: UUID) -> None:
        self.journal, self.owner = journal, owner
        self.team = uuids.uuid7()
        self.state = TeamState()

    def prepare(self, *commands: AnyCommand, key: str | None = None) -> PreparedBatch:
        prepared = PreparedBatch(self.team, self.state)
        for command in commands:
            reply = asyncio.get_running_loop().create_future()
            ask = by(self.owner) if key is None else keyed(key, principal=self.owner)
            envelope = Envelope(command, ask, 0.0, slot_for(ask, stored), reply)
            prepared.add([envelope], SystemClock().now(), uuids.uuid7, Quotas())
        return prepared

    async def do(self, *commands: AnyCommand, key: str | None = None) -> Any:
        prepared = self.prepare(*commands, key=key)
        outcome = (await self.journal.commit([prepared.writes()]))[self.team]
        if isinstance(outcome, Committed):
            self.state = prepared.state.merge()
        return outcome


async def said(journal: Journal, author: Author) -> list[Comment]:
    """The comment of each event about one, in the order of the events."""
    events = map(decode, await journal.read(author.team, 0))
    return [event.comment for event in events if isinstance(event, CommentEvent)]


class JournalContract:
    """Inherited by each implementation, which provides `journal` and `people` (user ids that exist)."""

    @pytest.fixture
    async def author(self, journal: Journal, people: list[UUID]) -> Author:
        author = Author(journal, people[0])
        assert await author.do(CreateTeam(author.team, "Engineering", "ENG", "Ada")) == Committed()
        return author

    async def test_a_new_team_is_there_at_once(self, journal: Journal, author: Author) -> None:
        assert await journal.position([author.team, uuids.uuid7()]) == {author.team: JournalPosition(2)}
        loaded = await journal.load(author.team)
        assert loaded is not None
        assert_same(loaded, author.state)
        assert await journal.load(uuids.uuid7()) is None

    async def test_comments_are_there_as_they_were_last_committed_and_go_with_their_task(
        self, journal: Journal, author: Author
    ) -> None:
        await author.do(CreateTask(TaskFields(title="one")), CreateTask(TaskFields(title="two")))
        one, two = author.state.tasks.values()
        await author.do(*[AddComment(task.id, f"so @Ada {n}") for task in (one, two) for n in range(2)])
        first, second, third, fourth = await said(journal, author)
        author.state.comments = {first.id: first, second.id: second}
        await author.do(EditComment(first.id, "otherwise"), DeleteComment(second.id), AddComment(two.id, "more"))
        edited = (await said(journal, author))[4]
        assert (edited.id, edited.body, edited.created_at) == (first.id, "otherwise", first.created_at)
        ids = [first.id, second.id, third.id, fourth.id, uuids.uuid7()]
        found = {comment.id: comment for comment in await journal.comments(author.team, ids)}
        assert found == {edited.id: edited, third.id: third, fourth.id: fourth}
        await author.do(AddComment(two.id, "last words"), DeleteTask(two.id))
        assert list(await journal.comments(author.team, ids)) == [edited]
        assert list(await journal.comments(uuids.uuid7(), ids)) == []
        loaded = await journal.load(author.team)
        assert loaded is not None
        assert_same(loaded, author.state)
        (left,) = loaded.tasks.values()
        assert left.comment_count == 1

    async def test_the_tables_say_what_the_events_say(
        self, journal: Journal, author: Author, people: list[UUID]
    ) -> None:
        await author.do(AddMember(people[1], "Bob", "member"), CreateLabel("bug", "#ff0000"))
        label = next(iter(author.state.labels))
        await author.do(
            CreateTask(
                TaskFields(
                    title='ünï \\ "',
                    description="\u2028" + "x" * 3000,
                    label_ids=(label,),
                    assignee_id=people[1],
                    estimate=0.5,
                    external_id="E-1",
                    external_source="jira",
                )
            ),
            *(CreateTask(TaskFields(title=f"t{n}")) for n in range(3)),
        )
        first, second, third, fourth = (task.id for task in author.state.tasks.values())
        await author.do(
            UpdateTask(second, TaskPatch(parent_id=first, blocked_by=(third,))),
            MoveTask(task_id=third, status="done"),
            ArchiveTask(fourth),
            UpdateLabel(label_id=label, name="defect"),
            UpdateTeam(name="Platform", wip="block"),
            ChangeRole(people[1], "admin"),
            RenameMember("Renamed"),
        )
        await author.do(DeleteTask(first), AddMember(people[2], "Cy", "viewer"))
        await author.do(RemoveMember(people[2]))
        loaded = await journal.load(author.team)
        assert loaded is not None
        assert_same(loaded, author.state)
        assert [task.id for task in await journal.archived_tasks(author.team, [fourth, second])] == [fourth]

    async def test_history_comes_back_to_the_byte(self, journal: Journal, author: Author) -> None:
        prepared = author.prepare(CreateTask(TaskFields(title="ünï")), CreateTask(TaskFields(title="b")))
        await journal.commit([prepared.writes()])
        rows = await journal.read(author.team, 2)
        assert list(rows) == [encoded.row for encoded in prepared.events]
        assert [reread(row) for row in rows] == list(prepared.events)
        assert [row.seq for row in await journal.read(author.team, 0, limit=3)] == [1, 2, 3]
        assert await journal.task_history(author.team, rows[0].subject, 2) == [rows[0]]
        assert await journal.task_history(author.team, rows[0].subject, 3) == []

    async def test_the_last_change_of_anything_is_found_also_of_what_is_gone(
        self, journal: Journal, author: Author
    ) -> None:
        await author.do(CreateTask(TaskFields(title="one")), CreateTask(TaskFields(title="two")))
        one, two = (task.id for task in author.state.tasks.values())
        await author.do(UpdateTask(one, TaskPatch(title="changed")))
        await author.do(DeleteTask(two))
        subjects = [one, two, uuids.uuid7()]
        seq = author.state.seq
        assert await journal.last_changes(author.team, subjects) == {one: seq - 1, two: seq}
        assert await journal.last_changes(uuids.uuid7(), subjects) == {}, "another team's"

    async def test_a_stale_batch_writes_nothing(self, journal: Journal, author: Author) -> None:
        stale = author.prepare(CreateTask(TaskFields(title="stale")), key="k" * 16)
        await author.do(CreateTask(TaskFields(title="first")))
        assert await journal.commit([stale.writes()]) == {author.team: FenceBroken(3)}
        assert await journal.position([author.team]) == {author.team: JournalPosition(3)}
        assert await author.do(CreateTask(TaskFields(title="again")), key="k" * 16) == Committed()

    async def test_a_used_key_writes_nothing_and_gives_its_answer(self, journal: Journal, author: Author) -> None:
        prepared = author.prepare(CreateTask(TaskFields(title="t")), key="k" * 16)
        await journal.commit([prepared.writes()])
        author.state = prepared.state.merge()
        stored = prepared.writes().keys[0]
        outcome = await author.do(CreateTask(TaskFields(title="t")), key="k" * 16)
        assert outcome == KeysTaken((stored,))
        assert await journal.position([author.team]) == {author.team: JournalPosition(3)}
        assert await author.do(CreateTask(TaskFields(title="t")), key="x" * 16) == Committed()

    async def test_a_refusal_can_be_stored_without_an_event(self, journal: Journal, author: Author) -> None:
        outcome = await author.do(UpdateTask(uuids.uuid7(), TaskPatch(title="t")), key="r" * 16)
        assert outcome == Committed()
        assert await journal.position([author.team]) == {author.team: JournalPosition(2)}
        again = await author.do(UpdateTask(uuids.uuid7(), TaskPatch(title="t")), key="r" * 16)
        assert isinstance(again, KeysTaken)

    async def test_teams_in_one_transaction_have_their_own_outcomes(
        self, journal: Journal, author: Author, people: list[UUID]
    ) -> None:
        other = Author(journal, people[1])
        await other.do(CreateTeam(other.team, "Other", "OTH", "Bob"))
        stale = author.prepare(CreateTask(TaskFields(title="stale")))
        await author.do(CreateTask(TaskFields(title="first")))
        good = other.prepare(CreateTask(TaskFields(title="good")))
        outcomes = await journal.commit([stale.writes(), good.writes()])
        assert outcomes == {author.team: FenceBroken(3), other.team: Committed()}

    async def test_a_locked_team_waits_for_nobody_and_keeps_others_out(self, journal: Journal, author: Author) -> None:
        blocked = author.prepare(CreateTask(TaskFields(title="blocked")))
        async with journal.lock(author.team) as locked:
            assert len(await locked.read(0)) == 2
            mine = author.prepare(CreateTask(TaskFields(title="mine")))
            assert await locked.commit(mine.writes()) == Committed()
        assert await journal.commit([blocked.writes()]) == {author.team: FenceBroken(3)}
        with pytest.raises(NotFound):
            async with journal.lock(uuids.uuid7()):
                pass


def assert_same(loaded: TeamState, state: TeamState) -> None:
    """Everything that decides later commands is equal."""
    assert (loaded.team, loaded.seq, loaded.epoch, loaded.top_number) == (
        state.team,
        state.seq,
        state.epoch,
        state.top_number,
    )
    assert (dict(loaded.members), dict(loaded.labels)) == (dict(state.members), dict(state.labels))
    assert sorted(loaded.tasks.values(), key=id_of) == sorted(state.tasks.values(), key=id_of)
    assert (loaded.columns, placed(loaded)) == (state.columns, placed(state))
    assert sorted(loaded.external.values()) == sorted(state.external.values())


def id_of(task: Any) -> UUID:
    return task.id


class TestMemoryJournal(JournalContract):
    @pytest.fixture
    def journal(self) -> Journal:
        return MemoryJournal()

    @pytest.fixture
    def people(self) -> list[UUID]:
        return [uuids.uuid7() for _ in range(3)]


class TestPostgresJournal(JournalContract):
    @pytest.fixture
    async def journal(self, database: DatabaseSettings) -> AsyncIterator[Journal]:
        async with open_pools(database) as pools:
            yield PostgresJournal(pools)

    @pytest.fixture
    async def people(self, journal: Journal, database: DatabaseSettings) -> list[UUID]:
        import asyncpg

        people = [uuids.uuid7() for _ in range(3)]
        connection = await asyncpg.connect(database.owner_url.reveal())
        await connection.execute("alter table users no force row level security")
        for number, user_id in enumerate(people):
            await connection.execute(
                "insert into users (id, email, name, password_hash, created_at, updated_at)"
                " values ($1, $2, $3, 'x', now(), now())",
                user_id,
                f"user{number}@example.com",
                f"User {number}",
            )
        await connection.close()
        return people
