"""What commands need beside the board, brought from the journal."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct

from actors.ports import Journal
from core.attached import Attached
from core.codec import JournalRow, decode
from core.commands import AnyCommand
from core.comment import Comment
from core.errors import StorageUnavailable
from core.events import AnyEvent, Attachment
from core.needs import Needs, needs_of
from core.task import Task
from core.task_history import UNDOABLE, TaskHistory, Wanted, history_of
from core.team import TeamState
from core.upcasts import UnknownEvent

__all__ = ["Loaded", "load_needs"]


class Loaded(Struct, frozen=True):
    """What was found of the commands' needs: those `tasks` that exist and are archived, `comments` and `attachments`
    that exist, how much is `attached`, the `seq` of last changes (0: never), and all `histories`.
    """

    tasks: Sequence[Task] = ()
    comments: Sequence[Comment] = ()
    attachments: Sequence[Attachment] = ()
    attached: Attached | None = None
    last_changes: Mapping[UUID, int] = {}
    histories: Mapping[Wanted, TaskHistory] = {}

    def put_beside(self, fork: TeamState) -> None:
        """Let `decide` find it in a working copy."""
        for task in self.tasks:
            fork.archived[task.id] = task
        if self.comments:
            fork.comments = {**fork.comments, **{comment.id: comment for comment in self.comments}}
        for subject, seq in self.last_changes.items():
            fork.note_change(subject, seq)
        if self.histories:
            fork.histories = {**fork.histories, **self.histories}
        for attachment in self.attachments:
            fork.attachments[attachment.id] = attachment
        if self.attached is not None:
            fork.attached = self.attached


NOTHING: Final = Loaded()


async def load_needs(journal: Journal, team_id: UUID, commands: Iterable[AnyCommand], state: TeamState) -> Loaded:
    """Look up what the commands need and `state` does not hold. Raises StorageUnavailable.

    Fork the state only afterwards: a fork made before the wait could miss what was merged during it.
    """
    missing = needs_of(commands).beyond(state)
    if missing == Needs():
        return NOTHING
    found = await journal.last_changes(team_id, missing.last_changes) if missing.last_changes else {}
    return Loaded(
        tasks=await journal.archived_tasks(team_id, missing.tasks) if missing.tasks else (),
        comments=await journal.comments(team_id, missing.comments) if missing.comments else (),
        attachments=await journal.attachments(team_id, missing.attachments) if missing.attachments else (),
        attached=await journal.attached(team_id) if missing.attached else None,
        last_changes={subject: found.get(subject, 0) for subject in missing.last_changes},
        histories={wanted: await _history(journal, team_id, wanted) for wanted in missing.histories},
    )


async def _history(journal: Journal, team_id: UUID, wanted: Wanted) -> TaskHistory:
    """The change that is to be taken back, and what came after it, a page of the task's events at a time."""
    first = wanted.seq
    if first is None:
        first = await journal.last_change(team_id, wanted.task_id, wanted.user_id, UNDOABLE)
    if first is None:
        # Nothing to take back: all that remains to be known is whether the task is gone for good, which comes last.
        first = 1
    history, after = TaskHistory(), first - 1
    while rows := await journal.task_history(team_id, wanted.task_id, after):
        history = history_of(wanted, [(_event(row), row.redacted) for row in rows], history)
        after = rows[-1].seq
    return history


def _event(row: JournalRow) -> AnyEvent:
    try:
        return decode(row)
    except UnknownEvent as error:
        raise StorageUnavailable("A newer program has changed this task: another server answers.") from error
