"""The team that a report is about: what it and its things are called, and how far its journal is."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
from msgspec import Struct

from core.columns import Category
from core.task import Priority, Status
from db.transaction import Reading

__all__ = ["LINE", "Column", "Group", "Line", "Team", "groups_of", "label_of", "read_team"]


class Column(Struct, frozen=True):
    """A column of the team's board."""

    id: UUID
    name: str
    category: Category


class Team(Struct, frozen=True, kw_only=True):
    """A team of the asker's. `time_zone` is an IANA name, `members` are names by user, `columns` stand in order."""

    id: UUID
    name: str
    key: str
    time_zone: str
    seq: int
    members: Mapping[UUID, str]
    columns: Sequence[Column]


class Line(Struct, frozen=True, kw_only=True):
    """As much of a task as is printed."""

    number: int
    title: str
    status: Status
    priority: Priority
    assignee_id: UUID | None
    column_id: UUID
    due_at: datetime | None
    due_on: date | None


class Group(Struct, frozen=True):
    """Tasks that stand together: how many there are, and the first of them."""

    count: int
    lines: Sequence[Line]


LINE: Final = ", ".join(f"t.{name}" for name in Line.__struct_fields__)
"""The columns of a line, of tasks `t`."""


async def read_team(rows: Reading, user_id: UUID, team_id: UUID) -> Team | None:
    """The team, if it is one of the user's."""
    found = await rows.fetchrow(_TEAM, user_id, team_id)
    if found is None:
        return None
    members = await rows.fetch("select user_id, name from memberships where team_id = $1", team_id)
    columns = await rows.fetch(_COLUMNS, team_id)
    return Team(
        **found,
        members={row["user_id"]: row["name"] for row in members},
        columns=[Column(**row) for row in columns],
    )


async def label_of(rows: Reading, team_id: UUID) -> tuple[str, str] | None:
    """The team's key and time zone; None when it is gone. For the worker's role."""
    found = await rows.fetchrow("select key, time_zone from teams where id = $1", team_id)
    return None if found is None else (found["key"], found["time_zone"])


def groups_of(counts: Mapping[Any, int], found: Sequence[asyncpg.Record], by: str) -> dict[Any, Group]:
    """The lines found, in their order, by what they have in the column `by`."""
    lines: dict[Any, list[Line]] = {key: [] for key in counts}
    for row in found:
        lines[row[by]].append(Line(**{name: row[name] for name in Line.__struct_fields__}))
    return {key: Group(count, lines[key]) for key, count in counts.items()}


_TEAM: Final = """
select t.id, t.name, t.key, t.time_zone, t.seq from teams t
join memberships m on m.team_id = t.id and m.user_id = $1
where t.id = $2
"""
_COLUMNS: Final = "select id, name, category from columns where team_id = $1 order by rank, id"
