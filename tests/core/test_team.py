"""The aggregate itself: loading, forking, and errors that carry data."""

import pickle

import pytest

from core.commands import ArchiveTask, Batch, CreateTask, MoveTask
from core.errors import DomainError, NotFound, StaleVersion, Unavailable
from core.loading import load_team
from core.placing import column_without
from core.secret import Secret
from core.task import TaskFields
from core.team import TeamState, evolve
from tests.support.columns import placed, tasks_of
from tests.support.core_team import OWNER, CoreTeam


def loaded(team: CoreTeam) -> TeamState:
    state = team.state
    return load_team(
        team=state.team,
        seq=state.seq,
        epoch=state.epoch,
        top_number=state.top_number,
        members=state.members.values(),
        labels=state.labels.values(),
        columns=state.columns.values(),
        tasks=reversed(list(state.tasks.values())),
        archived_external={
            (task.external_source, task.external_id): task.id
            for task in team.archive.values()
            if task.external_id is not None and task.external_source is not None
        },
    )


def test_a_state_loaded_from_rows_is_the_one_that_was_lived_through() -> None:
    team = CoreTeam()
    team.label()
    kept = team.task("Kept", external_id="1", external_source="x")
    gone = team.task("Archived", external_id="2", external_source="x")
    team.task("Third", status="done")
    team.ask(MoveTask(task_id=kept.id, after_id=gone.id))
    team.ask(ArchiveTask(gone.id))
    state, again = team.state, loaded(team)
    assert (again.columns, placed(again)) == (state.columns, placed(state))
    assert again.firsts == state.firsts
    assert (again.seq, again.epoch, again.top_number) == (state.seq, state.epoch, state.top_number)
    assert (again.team, again.members, again.labels) == (state.team, state.members, state.labels)
    assert {task.id: task for task in again.tasks.values()} == {task.id: task for task in state.tasks.values()}
    for number in ("1", "2"):
        assert again.external.get(("x", number)) == state.external.get(("x", number))


def test_a_working_copy_is_invisible_until_it_is_merged() -> None:
    team = CoreTeam()
    task = team.task("T")
    before = {column_id: places.copy() for column_id, places in team.state.places.items()}
    draft, events = team.decide(Batch((ArchiveTask(task.id), CreateTask(TaskFields(title="N", status="done")))))
    assert events
    assert team.state.places == before
    assert task.id in team.state.tasks
    assert task.id not in draft.tasks
    assert (team.state.top_number, draft.top_number) == (1, 2)


def test_a_detached_copy_stays_while_the_team_goes_on() -> None:
    team = CoreTeam()
    task = team.task("T")
    copy = team.state.detach()
    team.ask(MoveTask(task_id=task.id, status="done"))
    team.task("New")
    assert [one.title for one in tasks_of(copy, "open")] == ["T"]
    assert len(copy.tasks) == 1
    assert copy.seq < team.state.seq


def test_a_column_without_a_task_that_is_not_there_is_the_column_itself() -> None:
    team = CoreTeam()
    task = team.task("T")
    team.task("Done", status="done")
    columns = {column.category: column.id for column in team.state.columns.values()}
    assert column_without(team.state, columns["open"], task) == []
    assert column_without(team.state, columns["done"], task) is team.state.places[columns["done"]]


def test_a_deleted_task_without_a_row_on_the_board_is_still_gone() -> None:
    team = CoreTeam()
    task = team.task("T")
    archived = team.ask(ArchiveTask(task.id))
    fresh = CoreTeam()
    fresh.task("T")
    evolve(fresh.state, archived[0])
    assert fresh.titles() == []


def test_an_unknown_task_is_not_found() -> None:
    with pytest.raises(NotFound, match="No such task"):
        CoreTeam().state.task(OWNER)


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
