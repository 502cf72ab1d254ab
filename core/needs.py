"""What a command needs loaded beside the board before `decide` may see it. Closed over all commands."""

from collections.abc import Iterable
from typing import Final, assert_never
from uuid import UUID

from msgspec import Struct, structs

from core.basis import operated_on
from core.commands import (
    AddAttachment,
    AddComment,
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
from core.task_history import Wanted
from core.team import TeamState

__all__ = ["Needs", "needs", "needs_of"]


class Needs(Struct, frozen=True, gc=False):
    """Ids of what commands name. `tasks` may be on the board or archived; the actor loads the archived ones.

    `comments` stay in the database. `histories` are changes that are to be taken back: the actor loads each with what
    happened to its task since. Each further noun whose rows stay in the database is a further field.
    """

    tasks: tuple[UUID, ...] = ()
    comments: tuple[UUID, ...] = ()
    attachments: tuple[UUID, ...] = ()
    """They are never in memory; neither is what `attached` asks for: how much is attached to tasks of the team."""
    attached: bool = False
    last_changes: tuple[UUID, ...] = ()
    """Of anything: the `seq` of its last change is needed."""
    histories: tuple[Wanted, ...] = ()

    def beyond(self, state: TeamState) -> "Needs":
        """Those that are not in the state already, so that they have to be looked up."""
        return structs.replace(
            self,
            tasks=tuple(task_id for task_id in self.tasks if task_id not in state.tasks),
            last_changes=tuple(
                subject
                for subject in self.last_changes
                if subject not in state.tasks and subject not in state.off_board
            ),
        )


NOTHING: Final = Needs()


def needs(command: AnyCommand) -> Needs:
    """What `decide` must find in the state for this command."""
    match command:
        case UpdateTask() | MoveTask() | ArchiveTask() | RestoreTask() | DeleteTask() | AddComment():
            return Needs(tasks=(command.task_id,))
        case EditComment() | DeleteComment():
            return Needs(comments=(command.comment_id,))
        case AddAttachment():
            return Needs(tasks=(command.task_id,), attachments=(command.attachment_id,), attached=True)
        case DeleteAttachment():
            return Needs(attachments=(command.attachment_id,))
        case UndoTask(task_id=task_id, seq=seq, user_id=user_id):
            return Needs(tasks=(task_id,), histories=(Wanted(task_id, seq, user_id),))
        case Batch(operations=operations, basis=basis):
            last_changes = () if basis is None else (*basis.reads, *operated_on(command))
            return structs.replace(needs_of(operations), last_changes=tuple(dict.fromkeys(last_changes)))
        case CreateTask():
            return NOTHING
        case CreateTeam() | UpdateTeam() | DeleteTeam() | AddMember() | ChangeRole() | RenameMember() | RemoveMember():
            return NOTHING
        case CreateLabel() | UpdateLabel() | DeleteLabel() | RedactHistory() | RepeatTask():
            return NOTHING
        case CreateColumn() | UpdateColumn() | MoveColumn() | DeleteColumn() | CloseColumn():
            return NOTHING
        case _:
            assert_never(command)


def needs_of(commands: Iterable[AnyCommand]) -> Needs:
    """What several commands need together, each thing once, in the order of the commands."""
    every = [needs(command) for command in commands]
    return Needs(
        tasks=tuple(dict.fromkeys(task_id for one in every for task_id in one.tasks)),
        comments=tuple(dict.fromkeys(comment_id for one in every for comment_id in one.comments)),
        attachments=tuple(dict.fromkeys(attachment_id for one in every for attachment_id in one.attachments)),
        attached=any(one.attached for one in every),
        last_changes=tuple(dict.fromkeys(subject for one in every for subject in one.last_changes)),
        histories=tuple(dict.fromkeys(wanted for one in every for wanted in one.histories)),
    )
