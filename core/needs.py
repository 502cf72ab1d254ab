"""What a command needs loaded beside the board before `decide` may see it. Closed over all commands."""

from collections.abc import Iterable
from typing import Final, assert_never
from uuid import UUID

from msgspec import Struct

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
from core.team import TeamState

__all__ = ["Needs", "needs", "needs_of"]


class Needs(Struct, frozen=True, gc=False):
    """Ids of what commands name. `tasks` may be on the board or archived; the actor loads the archived ones.

    Each further noun whose rows stay in the database (comments, columns, …) is a further field.
    """

    tasks: tuple[UUID, ...] = ()

    def beyond(self, state: TeamState) -> "Needs":
        """Those that are not in the state already, so that they have to be looked up."""
        return Needs(tasks=tuple(task_id for task_id in self.tasks if task_id not in state.tasks))


NOTHING: Final = Needs()


def needs(command: AnyCommand) -> Needs:
    """What `decide` must find in the state for this command."""
    match command:
        case UpdateTask() | MoveTask() | ArchiveTask() | RestoreTask() | DeleteTask():
            return Needs(tasks=(command.task_id,))
        case Batch(operations=operations):
            return needs_of(operations)
        case CreateTask():
            return NOTHING
        case CreateTeam() | UpdateTeam() | AddMember() | ChangeRole() | RenameMember() | RemoveMember():
            return NOTHING
        case CreateLabel() | UpdateLabel() | DeleteLabel() | RedactHistory():
            return NOTHING
        case CreateColumn() | UpdateColumn() | MoveColumn() | DeleteColumn() | CloseColumn():
            return NOTHING
        case _:
            assert_never(command)


def needs_of(commands: Iterable[AnyCommand]) -> Needs:
    """What several commands need together, each thing once, in the order of the commands."""
    tasks = dict.fromkeys(task_id for command in commands for task_id in needs(command).tasks)
    return Needs(tasks=tuple(tasks))
