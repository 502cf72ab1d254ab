"""The aggregate itself: loading, forking, and errors that carry data."""

import pickle

import pytest

from core.commands import ArchiveTask, Batch, CreateTask, MoveTask
from core.errors import DomainError, NotFound, StaleVersion, Unavailable
from core.secret import Secret
from core.task import STATUSES, TaskFields
from core.team import TeamState, column_without, evolve
from tests.support.core_team import OWNER, World


def loaded(world: World) -> TeamState:
    state = world.state
    return TeamState.load(
        team=state.team,
        seq=state.seq,
        epoch=state.epoch,
        top_number=state.top_number,
        members=state.members.values(),
        labels=state.labels.values(),
        tasks=reversed(list(state.tasks.values())),
        archived_external={
            (task.external_source, task.external_id): task.id
            for task in world.archive.values()
            if task.external_id is not None and task.external_source is not None
        },
    )


def test_a_state_loaded_from_rows_is_the_one_that_was_lived_through() -> None:
    world = World()
    world.label()
    kept = world.task("Kept", external_id="1", external_source="x")
    gone = world.task("Archived", external_id="2", external_source="x")
    world.task("Third", status="done")
    world.ask(MoveTask(task_id=kept.id, after_id=gone.id))
    world.ask(ArchiveTask(gone.id))
    state, again = world.state, loaded(world)
    assert again.columns == state.columns
    assert (again.seq, again.epoch, again.top_number) == (state.seq, state.epoch, state.top_number)
    assert (again.team, again.members, again.labels) == (state.team, state.members, state.labels)
    assert {task.id: task for task in again.tasks.values()} == {task.id: task for task in state.tasks.values()}
    for number in ("1", "2"):
        assert again.external.get(("x", number)) == state.external.get(("x", number))


def test_a_working_copy_is_invisible_until_it_is_merged() -> None:
    world = World()
    task = world.task("T")
    before = {status: list(world.state.columns[status]) for status in STATUSES}
    draft, events = world.decide(Batch((ArchiveTask(task.id), CreateTask(TaskFields(title="N", status="done")))))
    assert events
    assert world.state.columns == before
    assert task.id in world.state.tasks
    assert task.id not in draft.tasks
    assert (world.state.top_number, draft.top_number) == (1, 2)


def test_a_detached_copy_stays_while_the_team_goes_on() -> None:
    world = World()
    task = world.task("T")
    copy = world.state.detach()
    world.ask(MoveTask(task_id=task.id, status="done"))
    world.task("New")
    assert [one.title for one in copy.ordered("open")] == ["T"]
    assert len(copy.tasks) == 1
    assert copy.seq < world.state.seq


def test_a_column_without_a_task_that_is_not_there_is_the_column_itself() -> None:
    world = World()
    task = world.task("T")
    assert column_without(world.state, "open", task) == []
    assert column_without(world.state, "done", task) is world.state.columns["done"]


def test_a_deleted_task_without_a_row_on_the_board_is_still_gone() -> None:
    world = World()
    task = world.task("T")
    archived = world.ask(ArchiveTask(task.id))
    fresh = World()
    fresh.task("T")
    evolve(fresh.state, archived[0])
    assert fresh.titles() == []


def test_an_unknown_task_is_not_found() -> None:
    with pytest.raises(NotFound, match="No such task"):
        World().state.task(OWNER)


def test_errors_carry_their_data_and_a_sentence() -> None:
    stale = StaleVersion(OWNER, 1, 2, {"title": "a"}, {"title": "b"})
    assert isinstance(stale, DomainError)
    assert stale.detail == "The task is at version 2, not 1."
    assert stale.conflicts == ()
    assert Unavailable("busy", 7).retry_after == 7


def test_a_secret_never_shows_itself() -> None:
    secret = Secret("hunter2é")
    assert "hunter2" not in f"{secret} {secret!r} {[secret]}"
    assert secret.reveal() == "hunter2é"
    assert (len(secret), bool(secret), bool(Secret(""))) == (9, True, False)
    assert secret == Secret("hunter2é")
    assert secret != Secret("other")
    assert secret != "hunter2é"
    assert hash(secret) == hash(Secret("hunter2é"))
    with pytest.raises(TypeError):
        pickle.dumps(secret)
