"""What commands need beside the board, brought from the journal."""

from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct, structs

from actors.ports import Journal
from core.commands import AnyCommand
from core.events import Attachment
from core.needs import needs_of
from core.task import Task
from core.team import Attached, TeamState

__all__ = ["Loaded", "load_needs"]


class Loaded(Struct, frozen=True):
    """What was found of the commands' needs: those `tasks` that exist and are archived, and the `attachments`."""

    tasks: Sequence[Task] = ()
    attachments: Sequence[Attachment] = ()
    attached: Attached | None = None

    def put_beside(self, fork: TeamState) -> None:
        """Let `decide` find it in a working copy."""
        for task in self.tasks:
            fork.archived[task.id] = task
        for attachment in self.attachments:
            fork.attachments[attachment.id] = attachment
        fork.attached = self.attached


NOTHING: Final = Loaded()


async def load_needs(journal: Journal, team_id: UUID, commands: Iterable[AnyCommand], state: TeamState) -> Loaded:
    """Look up what the commands need and `state` does not hold. Raises StorageUnavailable.

    Fork the state only afterwards: a fork made before the wait could miss what was merged during it.
    """
    missing = needs_of(commands).beyond(state)
    found = NOTHING
    if missing.tasks:
        found = structs.replace(found, tasks=await journal.archived_tasks(team_id, missing.tasks))
    if missing.attachments:
        found = structs.replace(found, attachments=await journal.attachments(team_id, missing.attachments))
    if missing.attached:
        found = structs.replace(found, attached=await journal.attached(team_id))
    return found
