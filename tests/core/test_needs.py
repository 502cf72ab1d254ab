"""What commands need beside the board: every kind of command says it, and nothing is asked for twice."""

from typing import Any, get_args
from uuid import UUID

import pytest

from core.commands import (
    AddComment,
    AddMember,
    AnyCommand,
    ArchiveTask,
    Basis,
    Batch,
    ChangeRole,
    CloseColumn,
    CreateColumn,
    CreateLabel,
    CreateTask,
    CreateTeam,
    DeleteAttachment,
    DeleteColumn,
    DeleteComment,
    DeleteLabel,
    DeleteTask,
    DeleteTeam,
    EditComment,
    MoveColumn,
    MoveTask,
    RedactHistory,
    RemoveMember,
    RenameMember,
    RepeatTask,
    RestoreTask,
    UndoTask,
    UpdateColumn,
    UpdateLabel,
    UpdateTask,
    UpdateTeam,
)
from core.needs import Needs, needs, needs_of
from core.task import TaskFields, TaskPatch
from core.task_history import Wanted
from core.team import NEVER
from tests.support.core_team import MEMBER, TEAM, CoreTeam, an_attachment

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
    (RepeatTask(ONE, NEVER), Needs()),
    (RedactHistory((ONE,), 7), Needs()),
    (DeleteTeam(), Needs()),
    (CreateTask(TaskFields(title="t")), Needs()),
    (UpdateTask(ONE, TaskPatch(title="t")), OF_ONE),
    (MoveTask(task_id=ONE, before_id=TWO), OF_ONE),
    (ArchiveTask(ONE), OF_ONE),
    (RestoreTask(ONE), OF_ONE),
    (DeleteTask(ONE), OF_ONE),
    (Batch((ArchiveTask(ONE),), Basis(7, 1, (TWO, ONE))), Needs(tasks=(ONE,), last_changes=(TWO, ONE))),
    (UndoTask(task_id=ONE, user_id=TWO, seq=7), Needs(tasks=(ONE,), histories=(Wanted(ONE, 7, TWO),))),
    (AddComment(ONE, "so"), OF_ONE),
    (EditComment(TWO, "so"), Needs(comments=(TWO,))),
    (DeleteComment(TWO), Needs(comments=(TWO,))),
    (an_attachment(ONE, TWO), Needs(tasks=(ONE,), attachments=(TWO,), attached=True)),
    (DeleteAttachment(TWO), Needs(attachments=(TWO,))),
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
    files: list[AnyCommand] = [an_attachment(ONE, TWO), DeleteAttachment(TWO), DeleteAttachment(ONE)]
    assert needs_of(files) == Needs(tasks=(ONE,), attachments=(TWO, ONE), attached=True)


def test_what_the_board_holds_is_not_looked_up() -> None:
    team = CoreTeam()
    task = team.task()
    assert Needs(tasks=(task.id, ONE)).beyond(team.state) == OF_ONE
