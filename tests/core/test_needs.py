"""What commands need beside the board: every kind of command says it, and nothing is asked for twice."""

from typing import Any, get_args
from uuid import UUID

import pytest

from core.commands import (
    AddMember,
    AnyCommand,
    ArchiveTask,
    Batch,
    ChangeRole,
    CloseColumn,
    CreateColumn,
    CreateLabel,
    CreateTask,
    CreateTeam,
    DeleteColumn,
    DeleteLabel,
    DeleteTask,
    MoveColumn,
    MoveTask,
    RedactHistory,
    RemoveMember,
    RenameMember,
    RestoreTask,
    UpdateColumn,
    UpdateLabel,
    UpdateTask,
    UpdateTeam,
)
from core.needs import Needs, needs, needs_of
from core.task import TaskFields, TaskPatch
from tests.support.core_team import MEMBER, TEAM, CoreTeam

ONE, TWO = UUID(int=101), UUID(int=102)
OF_ONE = Needs(tasks=(ONE,))
CASES: list[tuple[AnyCommand, Needs]] = [
    (CreateTeam(TEAM, "Engineering", "ENG", "Ada"), Needs()),
    (UpdateTeam(name="Other"), Needs()),
    (AddMember(MEMBER, "Bob", "member"), Needs()),
    (ChangeRole(MEMBER, "viewer"), Needs()),
    (RenameMember("Bob"), Needs()),
    (RemoveMember(MEMBER), Needs()),
    (CreateLabel("bug", "#ff0000"), Needs()),
    (UpdateLabel(label_id=ONE), Needs()),
    (DeleteLabel(ONE), Needs()),
    (CreateColumn(name="Doing", category="open"), Needs()),
    (UpdateColumn(column_id=ONE), Needs()),
    (MoveColumn(column_id=ONE), Needs()),
    (DeleteColumn(column_id=ONE), Needs()),
    (CloseColumn(ONE), Needs()),
    (RedactHistory((ONE,), 7), Needs()),
    (CreateTask(TaskFields(title="t")), Needs()),
    (UpdateTask(ONE, TaskPatch(title="t")), OF_ONE),
    (MoveTask(task_id=ONE, before_id=TWO), OF_ONE),
    (ArchiveTask(ONE), OF_ONE),
    (RestoreTask(ONE), OF_ONE),
    (DeleteTask(ONE), OF_ONE),
    (Batch((RestoreTask(TWO), CreateTask(TaskFields(title="t")), ArchiveTask(ONE))), Needs(tasks=(TWO, ONE))),
]


@pytest.mark.parametrize(("command", "expected"), CASES)
def test_a_command_needs_the_tasks_it_names(command: AnyCommand, expected: Needs) -> None:
    assert needs(command) == expected


def test_every_kind_of_command_is_among_the_cases() -> None:
    assert {type(command) for command, _ in CASES} == set(get_args(AnyCommand))


def test_what_is_no_command_is_refused_and_not_passed_over() -> None:
    stranger: Any = object()
    with pytest.raises(AssertionError):
        needs(stranger)


def test_several_commands_need_each_thing_once_in_their_order() -> None:
    assert needs_of([RestoreTask(TWO), ArchiveTask(ONE), DeleteTask(TWO)]) == Needs(tasks=(TWO, ONE))


def test_what_the_board_holds_is_not_looked_up() -> None:
    team = CoreTeam()
    task = team.task()
    assert Needs(tasks=(task.id, ONE)).beyond(team.state) == OF_ONE
