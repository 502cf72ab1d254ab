"""The board of a team as it is now, and what was made and done in a period."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from db.insights.throughput import Week, read_throughput
from db.report_data.shares import allotted
from db.report_data.team import LINE, Group, groups_of
from db.transaction import Reading

__all__ = ["BoardData", "read_board"]


class BoardData(Struct, frozen=True):
    """Tasks by column; `throughput` has what was created and done in each part of the period."""

    by_column: Mapping[UUID, Group]
    throughput: Sequence[Week]


async def read_board(
    rows: Reading, user_id: UUID, team_id: UUID, since: datetime, until: datetime, begins: Sequence[datetime]
) -> BoardData:
    """The board; `begins` are the beginnings of the period's parts, the first no later than `since`."""
    counts = {row["column_id"]: row["tasks"] for row in await rows.fetch(_COUNTS, user_id, team_id)}
    shares = allotted(counts)
    found = await rows.fetch(_BOARD, user_id, team_id, list(shares), list(shares.values()))
    throughput = await read_throughput(rows, user_id, team_id, since, until, begins)
    return BoardData(groups_of(counts, found, "column_id"), throughput)


_COUNTS: Final = """
select t.column_id, count(*) as tasks from tasks t
join memberships m on m.team_id = t.team_id and m.user_id = $1
where t.team_id = $2 and t.archived_at is null
group by t.column_id
"""
# A lateral limit takes the first of each column off its index instead of numbering all.
_BOARD: Final = f"""
select l.* from unnest($3::uuid[], $4::integer[]) as share(column_id, most)
join memberships m on m.team_id = $2 and m.user_id = $1
cross join lateral (
    select {LINE} from tasks t
    where t.team_id = $2 and t.column_id = share.column_id and t.archived_at is null
    order by t.rank collate "C", t.id limit share.most
) l
"""  # noqa: S608 (column names of our own)
