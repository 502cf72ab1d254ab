"""What a command needs loaded beside the board before `decide` may see it. Closed over all commands."""

from collections.abc import Iterable
from typing import Final, assert_never
from uuid import UUID

from msgspec import Struct, structs

from core.commands import (
    AddAttachment,
    AddMember,
    AnyCommand,
    ArchiveTask,
    Batch,
    ChangeRole,
    CreateLabel,
    CreateTask,
    CreateTeam,
    DeleteAttachment,
    DeleteLabel,
    DeleteTask,
    MoveTask,
    RedactHistory,
    RemoveMember,
    RenameMember,
    RestoreTask,
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
    attachments: tuple[UUID, ...] = ()
    """They are never in memory; neither is what `attached` asks for: how much is attached to tasks of the team."""
    attached: bool = False

    def beyond(self, state: TeamState) -> "Needs":
        """Those that are not in the state already, so that they have to be looked up."""
        missing = tuple(task_id for task_id in self.tasks if task_id not in state.tasks)
        return structs.replace(self, tasks=missing)


NOTHING: Final = Needs()


def needs(command: AnyCommand) -> Needs:
    """What `decide` must find in the state for this command."""
    match command:
        case UpdateTask() | MoveTask() | ArchiveTask() | RestoreTask() | DeleteTask():
            return Needs(tasks=(command.task_id,))
        case AddAttachment():
            return Needs(tasks=(command.task_id,), attachments=(command.attachment_id,), attached=True)
        case DeleteAttachment():
            return Needs(attachments=(command.attachment_id,))
        case Batch(operations=operations):
            return needs_of(operations)
        case CreateTask():
            return NOTHING
        case CreateTeam() | UpdateTeam() | AddMember() | ChangeRole() | RenameMember() | RemoveMember():
            return NOTHING
        case CreateLabel() | UpdateLabel() | DeleteLabel() | RedactHistory():
            return NOTHING
        case _:
            assert_never(command)


def needs_of(commands: Iterable[AnyCommand]) -> Needs:
    """What several commands need together, each thing once, in the order of the commands."""
    each = list(map(needs, commands))
    return Needs(
        tasks=tuple(dict.fromkeys(task_id for one in each for task_id in one.tasks)),
        attachments=tuple(dict.fromkeys(attachment_id for one in each for attachment_id in one.attachments)),
        attached=any(one.attached for one in each),
    )
