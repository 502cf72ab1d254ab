"""What things of a team are or were called that are not on its board: read with a member's eyes."""

from collections.abc import Collection
from typing import Final
from uuid import UUID

from db.pool import Pool
from db.transaction import reading

__all__ = ["names_beyond_the_board"]

# A label or column that is gone is named by its last event, a task that is gone by its key.
_NAMES: Final = """
select f.user_id as id, f.name from former_members f
join memberships m on m.team_id = f.team_id and m.user_id = $1
where f.team_id = $2 and f.user_id = any($3::uuid[])
union all
select t.id, g.key || '-' || t.number || ' ' || t.title from tasks t
join teams g on g.id = t.team_id
join memberships m on m.team_id = t.team_id and m.user_id = $1
where t.team_id = $2 and t.id = any($3::uuid[])
union all
select last.subject_id, coalesce(
    last.payload -> 'label' ->> 'name', last.payload -> 'column' ->> 'name', last.payload -> 'task' ->> 'key'
)
from (
    select distinct on (e.subject_id) e.subject_id, e.payload::json as payload from task_events e
    join memberships m on m.team_id = e.team_id and m.user_id = $1
    where e.team_id = $2 and e.subject_id = any($3::uuid[])
      and (e.type like 'label.%' or e.type like 'column.%' or e.type = 'task.deleted')
    order by e.subject_id, e.seq desc
) last
"""


async def names_beyond_the_board(pool: Pool, user_id: UUID, team_id: UUID, ids: Collection[UUID]) -> dict[UUID, str]:
    """The names of those of the ids that were a member, an archived or deleted task, a deleted label or column.

    Raises StorageUnavailable.
    """
    if not ids:
        return {}
    async with reading(pool, user_id) as rows:
        return {row["id"]: row["name"] for row in await rows.fetch(_NAMES, user_id, team_id, list(ids)) if row["name"]}
