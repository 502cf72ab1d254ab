"""Which team somebody at the command line means."""

from uuid import UUID

from db.people import directory
from db.pool import Pool
from taskforge.transfer.files import TransferError

__all__ = ["team_called"]


async def team_called(pool: Pool, words: str) -> UUID | None:
    """The team with this id, key or name; None when there is none. Raises TransferError when several have the name."""
    try:
        return UUID(words)
    except ValueError:
        found = await directory.teams_called(pool, words)
    if len(found) > 1:
        listed = ", ".join(f"{team.id} ({team.key}, {team.name})" for team in found)
        raise TransferError(f"several teams are called {words!r}; name one by its id: {listed}")
    return found[0].id if found else None
