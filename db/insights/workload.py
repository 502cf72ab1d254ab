"""What is on the board now: by status, by column and by assignee, in one pass over it.

`grouping sets` groups the same rows in three ways; `grouping(…)` says of each row of the answer to which of them it
belongs: a bit is 1 for what the row was not grouped by.
"""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from msgspec import Struct

from core.task import Status
from db.transaction import Reading

__all__ = ["Workload", "read_workload"]

_WORKLOAD: Final = """
select t.status, t.column_id, t.assignee_id,
       grouping(t.status, t.column_id, t.assignee_id) as by,
       count(*) as tasks,
       count(*) filter (where t.status not in ('done', 'cancelled')) as open
from tasks t
join memberships m on m.team_id = t.team_id and m.user_id = $1
where t.team_id = $2 and t.archived_at is null
group by grouping sets ((t.status), (t.column_id), (t.assignee_id))
"""
BY_STATUS, BY_COLUMN, BY_ASSIGNEE = 0b011, 0b101, 0b110


class Workload(Struct, frozen=True):
    """How many tasks there are on the board; `by_assignee` has only what is neither done nor cancelled."""

    by_status: Mapping[Status, int]
    by_column: Mapping[UUID, int]
    by_assignee: Mapping[UUID | None, int]


async def read_workload(rows: Reading, user_id: UUID, team_id: UUID) -> Workload:
    """The board of a team of the user's as it is now."""
    found = await rows.fetch(_WORKLOAD, user_id, team_id)
    return Workload(
        {row["status"]: row["tasks"] for row in found if row["by"] == BY_STATUS},
        {row["column_id"]: row["tasks"] for row in found if row["by"] == BY_COLUMN},
        {row["assignee_id"]: row["open"] for row in found if row["by"] == BY_ASSIGNEE},
    )
