"""The columns of a team's board. A column has a category, which is the status of the tasks that stand in it."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, Literal
from uuid import UUID, uuid5

from msgspec import Struct

from core.task import STATUSES, Status

__all__ = [
    "MOST_COLUMNS",
    "MOVED_AT_ONCE",
    "NEEDED",
    "Category",
    "Column",
    "WipPolicy",
    "default_column_id",
    "default_columns",
    "first_columns",
    "in_order",
]

Category = Status
"""What standing in a column means. It never changes, so that a status changes by events about its task alone."""

WipPolicy = Literal["off", "warn", "block"]
"""What becomes of a limit on work in progress: ignored, warned of in the answer, or enforced."""

MOST_COLUMNS: Final = 30
NEEDED: Final[tuple[Category, ...]] = ("open", "done")
"""There is always a column of each of these: where work begins, and where it ends."""
MOVED_AT_ONCE: Final = 250
"""Tasks that leave a closing column in one commit: a few milliseconds of the event loop, which other teams share."""

REMEMBERED: Final = 4_096
_NAMES: Final[dict[Category, str]] = {
    "open": "Open",
    "in_progress": "In progress",
    "in_review": "In review",
    "done": "Done",
    "cancelled": "Cancelled",
}


class Column(Struct, frozen=True, kw_only=True, gc=False):
    """A column of the board. `rank` orders the columns, as that of tasks does within one.

    A column that is being deleted while it holds tasks is closing: they move to `closing_into` bit by bit, in the name
    of the user `closing_by`, and no task enters any more.
    """

    id: UUID
    name: str
    category: Category
    wip_limit: int | None = None
    rank: str
    closing_into: UUID | None = None
    closing_by: UUID | None = None


@lru_cache(maxsize=REMEMBERED)
def default_column_id(team_id: UUID, category: Category) -> UUID:
    """The id of a team's first column of a category: the UUIDv5 (RFC 9562) of the category in the team's namespace.

    These columns are there from the beginning without events, and tasks of events that name no column stand in them.
    The migration 0023 computes the same.
    """
    return uuid5(team_id, category)


def default_columns(team_id: UUID) -> dict[UUID, Column]:
    """The columns that every team begins with, one of each category, by id."""
    columns = (
        Column(id=default_column_id(team_id, category), name=_NAMES[category], category=category, rank=f"a{place}")
        for place, category in enumerate(STATUSES)
    )
    return {column.id: column for column in columns}


def in_order(columns: Iterable[Column]) -> dict[UUID, Column]:
    """The columns by id, from the first to the last."""
    return {column.id: column for column in sorted(columns, key=lambda one: (one.rank, one.id))}


def first_columns(columns: Mapping[UUID, Column]) -> dict[Category, Column]:
    """The first column of each category that tasks may enter; `columns` are in their order."""
    found: dict[Category, Column] = {}
    for column in columns.values():
        if column.closing_into is None:
            found.setdefault(column.category, column)
    return found
