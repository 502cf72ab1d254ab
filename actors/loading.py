"""What commands need beside the board, brought from the journal."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct

from actors.ports import Journal
from core.commands import AnyCommand
from core.needs import needs_of
from core.task import Task
from core.team import TeamState

__all__ = ["Loaded", "load_needs"]


class Loaded(Struct, frozen=True):
    """What was found of the commands' needs: archived `tasks`, and the `seq` of last changes (0: never)."""

    tasks: Sequence[Task] = ()
    last_changes: Mapping[UUID, int] = {}

    def put_beside(self, fork: TeamState) -> None:
        """Let `decide` find it in a working copy."""
        for task in self.tasks:
            fork.archived[task.id] = task
        for subject, seq in self.last_changes.items():
            fork.note_change(subject, seq)


NOTHING: Final = Loaded()


async def load_needs(journal: Journal, team_id: UUID, commands: Iterable[AnyCommand], state: TeamState) -> Loaded:
    """Look up what the commands need and `state` does not hold. Raises StorageUnavailable.

    Fork the state only afterwards: a fork made before the wait could miss what was merged during it.
    """
    missing = needs_of(commands).beyond(state)
    tasks = await journal.archived_tasks(team_id, missing.tasks) if missing.tasks else ()
    if not missing.last_changes:
        return Loaded(tasks) if tasks else NOTHING
    found = await journal.last_changes(team_id, missing.last_changes)
    return Loaded(tasks, {subject: found.get(subject, 0) for subject in missing.last_changes})
