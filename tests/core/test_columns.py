"""Columns: the five that every team begins with, their order, and how one goes."""

from uuid import UUID, uuid5

import pytest

from core import decide_columns
from core.columns import default_column_id
from core.commands import CreateColumn, CreateTask, DeleteColumn, MoveColumn, UpdateColumn
from core.errors import Conflict
from core.events import ColumnDeleted, ColumnUpdated, TaskMoved
from core.task import TaskFields
from core.text import fold_name
from tests.support.core_team import TEAM, CoreTeam


def test_the_ids_of_the_first_columns_never_change() -> None:
    """They are in journals, topics and warehouses, and the migration 0023 has computed the same."""
    assert default_column_id(UUID("01a21f60-3963-73d0-a235-48e32f99bf04"), "in_review") == uuid5(
        UUID("01a21f60-3963-73d0-a235-48e32f99bf04"), "in_review"
    )
    assert str(default_column_id(UUID(int=1), "open")) == str(uuid5(UUID(int=1), "open"))
    assert [column.id for column in CoreTeam().state.columns.values()] == [
        uuid5(TEAM, category) for category in ("open", "in_progress", "in_review", "done", "cancelled")
    ]


@pytest.mark.parametrize(("one", "other"), [("Straße", "STRASSE"), ("ﬁx", "FIX"), ("İ", "i̇"), ("é", "e\u0301")])
def test_names_that_a_reader_takes_for_the_same_are_folded_to_the_same(one: str, other: str) -> None:
    assert fold_name(one) == fold_name(other)


def test_a_board_whose_names_differ_in_blanks_since_before_can_be_worked_on(monkeypatch: pytest.MonkeyPatch) -> None:
    team = CoreTeam()
    with monkeypatch.context() as before:
        before.setattr(decide_columns, "fold_name", str.lower)
        for name in ("To  do", "To do"):
            team.ask(CreateColumn(name=name, category="open"))
    one, other = [column for column in team.state.columns.values() if column.name.startswith("To")]
    for column in (one, other):
        team.ask(UpdateColumn(column_id=column.id, wip_limit=3))
        team.ask(UpdateColumn(column_id=column.id, name=column.name))
        team.ask(MoveColumn(column_id=column.id, after_id=next(iter(team.state.columns))))
        with pytest.raises(Conflict) as refused:
            team.ask(UpdateColumn(column_id=column.id, name=" to\u00a0do"))
        assert (refused.value.reason, refused.value.pointer) == ("name-taken", "/name")
    team.ask(UpdateColumn(column_id=other.id, name="Later"))
    team.ask(UpdateColumn(column_id=one.id, name="To do"))
    assert {team.state.columns[one.id].name, team.state.columns[other.id].name} == {"To do", "Later"}


def test_columns_keep_short_ranks_however_often_they_are_moved() -> None:
    team = CoreTeam()
    for turn in range(400):
        columns = list(team.state.columns)
        team.ask(MoveColumn(column_id=columns[turn % 2], after_id=columns[3]))
        assert len(set(team.state.columns)) == 5
    assert max(len(column.rank) for column in team.state.columns.values()) <= 24


def test_a_column_that_goes_says_so_moves_its_tasks_in_order_and_is_gone() -> None:
    team = CoreTeam()
    (made,) = team.ask(CreateColumn(name="From", category="in_progress"))
    tasks = [team.task(f"t{n}", column_id=made.subject) for n in range(3)]
    done = team.state.firsts["done"]
    events = team.ask(DeleteColumn(column_id=made.subject, move_to=done.id))
    assert [type(event) for event in events] == [ColumnUpdated, TaskMoved, TaskMoved, TaskMoved, ColumnDeleted]
    assert [task.title for task in team.state.ordered(done.id)] == [task.title for task in tasks]
    assert all(task.completed_at for task in team.state.ordered(done.id))
    assert made.subject not in team.state.columns
    assert team.state.closing is None


def test_a_column_is_the_target_of_another_one_or_goes_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.decide_columns.MOVED_AT_ONCE", 1)
    team = CoreTeam()
    first, second = [team.ask(CreateColumn(name=name, category="open"))[0].subject for name in ("First", "Second")]
    for _ in range(3):
        team.task("t", column_id=first)
    team.ask(DeleteColumn(column_id=first, move_to=second))
    assert team.state.closing is not None
    for command in (
        DeleteColumn(column_id=second, move_to=team.state.firsts["done"].id),
        DeleteColumn(column_id=first, move_to=team.state.firsts["done"].id),
        CreateTask(TaskFields(title="t", column_id=first)),
    ):
        with pytest.raises(Conflict) as refused:
            team.ask(command)
        assert refused.value.reason == "column-closing"
    assert team.ask(DeleteColumn(column_id=first, move_to=second)) == []
    assert team.ask(UpdateColumn(column_id=second, name="Third"))
