"""The actor against in-memory ports: batches, fences, keys, deadlines, crashes."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from actors.envelope import CommandResult
from actors.system import TeamSystem
from core.commands import ArchiveTask, Batch, CreateTask, DeleteTask, RemoveMember, RestoreTask, UndoTask, UpdateTask
from core.errors import (
    AheadOfHistory,
    Conflict,
    DeadlineExceeded,
    Forbidden,
    KeyInFlight,
    KeyReused,
    NotFound,
    Overloaded,
    ShuttingDown,
    StaleVersion,
    StorageUnavailable,
)
from core.task import Task, TaskFields, TaskPatch
from core.writes import CommitOutcome, CommitUnknown, Rejected, RowChanges, TeamWrites
from tests.support.actor_harness import (
    MEMBER,
    OWNER,
    STRANGER,
    Ports,
    failing_once,
    keyed,
    new_task,
    new_team,
    retitle,
    stored,
    stuck,
)
from tests.support.asking import by
from tests.support.representations import LISTS

pytestmark = pytest.mark.anyio


async def test_waiting_commands_are_committed_as_one_batch_with_contiguous_numbers() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        before = len(ports.journal.commits)
        results = await asyncio.gather(*(new_task_result(system, team, f"t{n}") for n in range(50)))
    assert sorted(result.seq for result in results) == list(range(4, 54))
    assert [row.seq for row in ports.journal.rows[team]] == list(range(1, 54))
    assert len(ports.journal.commits) - before <= 2


async def new_task_result(system: TeamSystem, team: UUID, title: str) -> CommandResult:
    return await system.ask(team, CreateTask(TaskFields(title=title)), by(OWNER))


async def test_one_refused_command_leaves_its_neighbours_alone() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        task = await new_task(system, team)
        good, bad, stranger, last = await asyncio.gather(
            retitle(system, team, task, "good"),
            system.ask(team, RemoveMember(OWNER), by(OWNER)),
            system.ask(team, UpdateTask(task, TaskPatch(title="mine")), by(STRANGER)),
            retitle(system, team, task, "last"),
            return_exceptions=True,
        )
    assert not isinstance(good, BaseException)
    assert not isinstance(last, BaseException)
    assert (good.seq, last.seq) == (5, 6)
    assert isinstance(bad, Conflict)
    assert bad.reason == "last-owner"
    assert isinstance(stranger, NotFound)


async def test_readers_see_nothing_of_a_batch_before_it_is_committed() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        task = await new_task(system, team, "before")
        asking = await stuck(ports, retitle(system, team, task, "after"))
        view = system.peek(team)
        assert view is not None
        assert (view.seq, title_of(view.task(task, LISTS))) == (4, "before")
        ports.journal.gate.set()
        await asking
        assert (view.seq, title_of(view.task(task, LISTS))) == (5, "after")


def title_of(found: tuple[int, bytes] | None) -> str:
    assert found is not None
    return msgspec.json.decode(found[1], type=Task).title


async def test_two_processes_on_one_team_neither_fork_nor_lose_a_number() -> None:
    ports = Ports()
    async with ports.system() as one, ports.system() as other:
        team = await new_team(one)
        task = await new_task(one, team)
        await other.view(team)
        await asyncio.gather(*(retitle(system, team, task, f"{n}") for n in range(100) for system in (one, other)))
        assert [row.seq for row in ports.journal.rows[team]] == list(range(1, 205))
        await one.view(team, min_seq=204)
        await other.view(team, min_seq=204)
        first, second = one.peek(team), other.peek(team)
        assert first is not None
        assert second is not None
        assert first.board(LISTS) == second.board(LISTS)


async def test_a_refusal_on_stale_knowledge_is_checked_against_the_journal() -> None:
    ports = Ports()
    async with ports.system() as one, ports.system() as other:
        team = await new_team(one)
        await other.view(team)
        task = await new_task(one, team)
        result = await retitle(other, team, task, "found after all")
        assert result.seq == 5


async def test_a_removed_member_is_refused_by_a_process_that_has_not_heard_of_it() -> None:
    ports = Ports()
    async with ports.system() as one, ports.system() as other:
        team = await new_team(one)
        task = await new_task(one, team)
        await other.view(team)
        await one.ask(team, RemoveMember(MEMBER), by(OWNER))
        with pytest.raises(NotFound):
            await other.ask(team, UpdateTask(task, TaskPatch(title="x")), by(MEMBER))


async def test_the_same_key_replays_the_same_answer_once_only_executed() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        first = await system.ask(team, CreateTask(TaskFields(title="t")), keyed("k" * 16), stored)
        again = await system.ask(team, CreateTask(TaskFields(title="t")), keyed("k" * 16), stored)
        assert again.replayed is not None
        assert again.replayed.body == first.items[0].encoded(LISTS)
        assert again.seq == first.seq == 4
        with pytest.raises(KeyReused):
            await system.ask(team, CreateTask(TaskFields(title="u")), keyed("k" * 16, b"two"), stored)
        other = await system.ask(team, CreateTask(TaskFields(title="t")), keyed("k" * 16, principal=MEMBER), stored)
        assert other.replayed is None


async def test_sixty_four_at_once_with_one_key_have_one_effect() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        answers = await asyncio.gather(
            *(system.ask(team, CreateTask(TaskFields(title="t")), keyed("k" * 16), stored) for _ in range(64)),
            return_exceptions=True,
        )
        assert sum(isinstance(answer, KeyInFlight) for answer in answers) == 63
        assert len(ports.journal.rows[team]) == 4


async def test_a_decided_refusal_is_replayed_but_who_you_are_is_asked_anew() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        missing = await new_task(system, team)
        await system.ask(team, DeleteTask(missing), by(OWNER))
        command = UpdateTask(missing, TaskPatch(title="x"))
        with pytest.raises(NotFound):
            await system.ask(team, command, keyed("n" * 16, principal=MEMBER), stored)
        replay = await system.ask(team, command, keyed("n" * 16, principal=MEMBER), stored)
        assert replay.replayed is not None
        assert replay.replayed.status == 409
        await system.ask(team, RemoveMember(MEMBER), by(OWNER))
        with pytest.raises(NotFound):
            await system.ask(team, command, keyed("n" * 16, principal=MEMBER), stored)


async def test_roles_too_low_are_refused() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system, role="viewer")
        with pytest.raises(Forbidden):
            await system.ask(team, CreateTask(TaskFields(title="t")), by(MEMBER))


async def test_a_commit_whose_outcome_is_unknown_but_happened_is_answered_once() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        failing_once(ports, CommitUnknown, after=True)
        result = await new_task_result(system, team, "once")
        assert result.seq == 4
        assert len(ports.journal.rows[team]) == 4
        assert [encoded.row.seq for encoded in ports.feed.published] == [1, 2, 3, 4]


async def test_a_commit_whose_outcome_is_unknown_and_did_not_happen_is_made_again() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        failing_once(ports, CommitUnknown, after=False)
        result = await system.ask(team, CreateTask(TaskFields(title="t")), keyed("k" * 16), stored)
        assert result.seq == 4
        assert len(ports.journal.rows[team]) == 4


async def test_storage_that_is_away_refuses_without_forgetting_the_state() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        failing_once(ports, StorageUnavailable("away"), after=False)
        with pytest.raises(StorageUnavailable):
            await new_task_result(system, team, "t")
        assert (await new_task_result(system, team, "t")).seq == 4


async def test_a_journal_that_breaks_in_an_unforeseen_way_makes_the_actor_reload() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        failing_once(ports, ZeroDivisionError, after=False)
        with pytest.raises(StorageUnavailable):
            await new_task_result(system, team, "t")
        loads = ports.journal.loads
        assert (await new_task_result(system, team, "t")).seq == 4
        assert ports.journal.loads == loads + 1


async def test_a_constraint_fails_only_the_guilty_command(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = Ports()
    write = ports.journal._write

    def refuse_evil(writes: TeamWrites) -> CommitOutcome:
        evil = any(task.title == "evil" for task in writes.rows.get("task", RowChanges()).kept)
        return Rejected("tasks_title_check") if evil else write(writes)

    monkeypatch.setattr(ports.journal, "_write", refuse_evil)
    async with ports.system() as system:
        team = await new_team(system)
        answers = await asyncio.gather(
            *(new_task_result(system, team, title) for title in ("a", "evil", "b")), return_exceptions=True
        )
        assert isinstance(answers[1], Conflict)
        assert [answer.seq for answer in (answers[0], answers[2])] == [4, 5]  # type: ignore[union-attr]


async def test_a_full_mailbox_refuses_and_a_late_command_is_dropped_unexecuted() -> None:
    ports = Ports()
    async with ports.system(mailbox_size=2, deadline_seconds=5.0) as system:
        team = await new_team(system)
        task = await new_task(system, team)
        running = await stuck(ports, retitle(system, team, task, "running"))
        waiting = [asyncio.create_task(retitle(system, team, task, f"w{n}")) for n in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await retitle(system, team, task, "too many")
        ports.clock.seconds += 6
        ports.journal.gate.set()
        assert (await running).seq == 5
        for late in waiting:
            with pytest.raises(DeadlineExceeded):
                await late
        view = await system.view(team)
        assert view.seq == 5


async def test_an_asker_that_gave_up_is_not_served() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        task = await new_task(system, team)
        running = await stuck(ports, retitle(system, team, task, "running"))
        gone = asyncio.create_task(retitle(system, team, task, "gone", keyed("g" * 16)))
        await asyncio.sleep(0)
        gone.cancel()
        ports.journal.gate.set()
        await running
        assert (await retitle(system, team, task, "next", keyed("g" * 16))).seq == 6


async def test_a_stale_write_is_explained_field_by_field() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        task = await new_task(system, team, "base")
        await retitle(system, team, task, "middle")
        await retitle(system, team, task, "theirs")
        patch = TaskPatch(title="yours", priority="high")
        with pytest.raises(StaleVersion) as refused:
            await system.ask(team, UpdateTask(task, patch, if_match=4), by(OWNER))
        conflict = refused.value.conflicts[0]
        assert len(refused.value.conflicts) == 1
        assert (conflict.field, conflict.base, conflict.theirs, conflict.yours) == ("title", "base", "theirs", "yours")


async def test_archived_tasks_are_fetched_for_the_commands_that_need_them() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        task = await new_task(system, team)
        await system.ask(team, ArchiveTask(task), by(OWNER))
        view = await system.view(team)
        assert view.task(task, LISTS) is None
        with pytest.raises(Conflict):
            await retitle(system, team, task, "x")
        restored = await system.ask(team, RestoreTask(task), by(OWNER))
        assert restored.items[0].task.id == task
        await system.ask(team, DeleteTask(task), by(OWNER))
        assert ports.journal.tasks[team] == {}


async def test_an_undo_takes_back_what_came_first_in_its_own_batch() -> None:
    """The journal does not have that change yet when the batch is decided; another process has made the one before."""
    ports = Ports()
    async with ports.system() as one, ports.system() as other:
        team = await new_team(one)
        task = await new_task(one, team, "first")
        await retitle(other, team, task, "second")
        asking = await stuck(ports, retitle(one, team, task, "third"))
        undoing = asyncio.ensure_future(one.ask(team, UndoTask(task_id=task, user_id=OWNER), by(OWNER)))
        ports.journal.gate.set()
        await asking
        assert (await undoing).items[0].task.title == "second"
        rows = ports.journal.rows[team]
        assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
        assert (await other.view(team, min_seq=len(rows))).state.task(task).title == "second"


async def test_an_undo_of_a_task_that_was_deleted_elsewhere_is_refused_as_that() -> None:
    ports = Ports()
    async with ports.system() as one, ports.system() as other:
        team = await new_team(one)
        task = await new_task(one, team)
        await other.ask(team, DeleteTask(task), by(OWNER))
        with pytest.raises(Conflict) as refusal:
            await one.ask(team, UndoTask(task_id=task, user_id=OWNER), by(OWNER))
        assert refusal.value.reason == "undo-redacted"


async def test_a_batch_is_all_or_nothing_and_names_each_task() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        task = await new_task(system, team)
        operations = (
            CreateTask(TaskFields(title="new")),
            UpdateTask(task, TaskPatch(title="A task")),
            ArchiveTask(task),
        )
        result = await system.ask(team, Batch(operations), by(OWNER))
        assert (result.seq, len(result.events), len(result.items)) == (6, 2, 3)
        assert result.items[1].task.id == result.items[2].task.id == task
        with pytest.raises(Conflict):
            await system.ask(team, Batch((*operations[:1], operations[2])), by(OWNER))
        assert len(ports.journal.rows[team]) == 6


async def test_a_preview_says_what_would_happen_and_writes_nothing() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        task = await new_task(system, team)
        await system.ask(team, ArchiveTask(task), by(OWNER))
        result = await system.preview(team, RestoreTask(task), by(OWNER))
        assert result.seq == 6
        assert len(ports.journal.rows[team]) == 5
        with pytest.raises(NotFound):
            await system.preview(team, RestoreTask(task), by(STRANGER))


async def test_a_preview_sees_what_was_committed_while_it_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        task, other = await new_task(system, team), await new_task(system, team)
        await system.ask(team, ArchiveTask(task), by(OWNER))
        load = ports.journal.archived_tasks

        async def slow(team_id: UUID, task_ids: Sequence[UUID]) -> Sequence[Task]:
            await system.ask(team, DeleteTask(other), by(OWNER))
            return await load(team_id, task_ids)

        monkeypatch.setattr(ports.journal, "archived_tasks", slow)
        batch = Batch((RestoreTask(task), UpdateTask(other, TaskPatch(title="gone by now"))))
        with pytest.raises(NotFound):
            await system.preview(team, batch, by(OWNER))


async def test_a_view_of_the_future_was_never_handed_out() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        with pytest.raises(AheadOfHistory):
            await system.view(team, min_seq=99)
        with pytest.raises(NotFound):
            await system.view(STRANGER)
        assert system.peek(STRANGER) is None


async def test_stopping_answers_everything_that_waits() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        asking = [asyncio.create_task(new_task_result(system, team, f"t{n}")) for n in range(20)]
        await asyncio.sleep(0)
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert all(not isinstance(answer, BaseException) for answer in answers)
    with pytest.raises(ShuttingDown):
        await new_task_result(system, team, "late")
    assert ports.snapshots.states[team].seq == 23


async def test_times_of_a_team_never_go_back_though_the_clock_does() -> None:
    """Whoever polls for what was updated after the last time seen would miss what comes with an earlier one."""
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        times = [await updated_at(system, team)]
        ports.clock.wall -= timedelta(hours=1)
        times.append(await updated_at(system, team))
    async with ports.system() as system:  # Another process, whose clock is slow as well.
        times.append(await updated_at(system, team))
    assert times == sorted(times)


async def updated_at(system: TeamSystem, team: UUID) -> datetime:
    return (await new_task_result(system, team, "now")).items[0].task.updated_at
