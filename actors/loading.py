"""What commands need beside the board, brought from the journal."""

from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct

from actors.ports import Journal
from core.commands import AnyCommand
from core.comment import Comment
from core.needs import needs_of
from core.task import Task
from core.team import TeamState

__all__ = ["Loaded", "load_needs"]


class Loaded(Struct, frozen=True):
    """What was found of the commands' needs: archived `tasks` and `comments` that exist."""

    tasks: Sequence[Task] = ()
    comments: Sequence[Comment] = ()

    def put_beside(self, fork: TeamState) -> None:
        """Let `decide` find it in a working copy."""
        for task in self.tasks:
            fork.archived[task.id] = task
        if self.comments:
            fork.comments = {**fork.comments, **{comment.id: comment for comment in self.comments}}


NOTHING: Final = Loaded()


async def load_needs(journal: Journal, team_id: UUID, commands: Iterable[AnyCommand], state: TeamState) -> Loaded:
    """Look up what the commands need and `state` does not hold. Raises StorageUnavailable.

    Fork the state only afterwards: a fork made before the wait could miss what was merged during it.
    """
    missing = needs_of(commands).beyond(state)
    if not missing.tasks and not missing.comments:
        return NOTHING
    return Loaded(
        tasks=await journal.archived_tasks(team_id, missing.tasks) if missing.tasks else (),
        comments=await journal.comments(team_id, missing.comments) if missing.comments else (),
    )
