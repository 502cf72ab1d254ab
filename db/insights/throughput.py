"""How much was made and how much was done, week by week.

The beginnings of the weeks come in as a sorted array, since which instant a Monday begins at is a matter of the team's
zone. `width_bucket(moment, array)` says in which of them a moment lies, by bisection and without a join: 1 is the first
week. Both halves of the union are ranges of an index.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from db.transaction import Reading

__all__ = ["Week", "read_throughput"]

_THROUGHPUT: Final = """
with happened as (
    select t.created_at as at, false as done
    from tasks t
    join memberships m on m.team_id = t.team_id and m.user_id = $1
    where t.team_id = $2 and t.created_at >= $3 and t.created_at < $4
    union all
    select t.completed_at, true
    from tasks t
    join memberships m on m.team_id = t.team_id and m.user_id = $1
    where t.team_id = $2 and t.completed_at >= $3 and t.completed_at < $4
)
select width_bucket(h.at, $5::timestamptz[]) as week,
       count(*) filter (where not h.done) as created,
       count(*) filter (where h.done) as completed
from happened h
group by week
"""


class Week(Struct, frozen=True):
    """How many tasks were created in a week, and how many became done; archived ones are counted, too."""

    created: int
    completed: int


async def read_throughput(
    rows: Reading, user_id: UUID, team_id: UUID, since: datetime, until: datetime, weeks: Sequence[datetime]
) -> list[Week]:
    """One `Week` for each beginning in `weeks` (sorted, the first no later than `since`), of what lies in the range."""
    found = await rows.fetch(_THROUGHPUT, user_id, team_id, since, until, list(weeks))
    counted = {row["week"]: Week(row["created"], row["completed"]) for row in found}
    return [counted.get(number, Week(0, 0)) for number in range(1, len(weeks) + 1)]
