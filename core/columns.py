"""The columns of a team's board. A column has a category, which is the status of the tasks that stand in it."""

from functools import lru_cache
from typing import Final
from uuid import UUID, uuid5

from core.task import Status

__all__ = ["Category", "default_column_id"]

Category = Status
"""What standing in a column means. It never changes, so that a status changes by events about its task alone."""

REMEMBERED: Final = 4_096


@lru_cache(maxsize=REMEMBERED)
def default_column_id(team_id: UUID, category: Category) -> UUID:
    """The id of a team's first column of a category: the UUIDv5 (RFC 9562) of the category in the team's namespace.

    These columns are there from the beginning without events, and tasks of events that name no column stand in them.
    The migration 0023 computes the same.
    """
    return uuid5(team_id, category)
