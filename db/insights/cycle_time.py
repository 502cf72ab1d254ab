"""How long tasks take from being created to being done, for the team and for each assignee.

`percentile_cont` is an ordered-set aggregate: it sorts the durations of its group and takes the one at that share of
them, between two neighbours if need be. `grouping sets` makes the groups of the assignees and the one group of all in
one pass; `grouping(…)` tells the row of all from that of what nobody is assigned to.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from db.transaction import Reading

__all__ = ["CycleTime", "read_cycle_times"]

_CYCLE_TIMES: Final = """
with done as (
    select t.assignee_id, extract(epoch from t.completed_at - t.created_at)::double precision as seconds
    from tasks t
    join memberships m on m.team_id = t.team_id and m.user_id = $1
    where t.team_id = $2 and t.completed_at >= $3 and t.completed_at < $4
)
select d.assignee_id,
       grouping(d.assignee_id) = 1 as everybody,
       count(*) as completed,
       percentile_cont(0.5) within group (order by d.seconds) as median,
       percentile_cont(0.9) within group (order by d.seconds) as p90
from done d
group by grouping sets ((), (d.assignee_id))
"""


class CycleTime(Struct, frozen=True):
    """Of `completed` tasks, half took no longer than `median` and nine of ten no longer than `p90`, in seconds."""

    completed: int
    median: float | None
    p90: float | None


async def read_cycle_times(
    rows: Reading, user_id: UUID, team_id: UUID, since: datetime, until: datetime
) -> tuple[CycleTime, Mapping[UUID | None, CycleTime]]:
    """Of the tasks that became done in the range: of all, and by assignee (None: of nobody)."""
    found = await rows.fetch(_CYCLE_TIMES, user_id, team_id, since, until)
    times = {
        (row["everybody"], row["assignee_id"]): CycleTime(row["completed"], row["median"], row["p90"]) for row in found
    }
    everybody = times.pop((True, None), CycleTime(0, None, None))
    return everybody, {assignee_id: time for (_, assignee_id), time in times.items()}
