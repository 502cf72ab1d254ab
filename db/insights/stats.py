"""A team's numbers, read in one moment."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from db.insights.cycle_time import CycleTime, read_cycle_times
from db.insights.throughput import Week, read_throughput
from db.insights.workload import Workload, read_workload
from db.pool import Pool
from db.transaction import reading

__all__ = ["Stats", "read_stats"]


class Stats(Struct, frozen=True):
    """What happened in a range of time, and what is on the board now."""

    weeks: Sequence[Week]
    everybody: CycleTime
    by_assignee: Mapping[UUID | None, CycleTime]
    workload: Workload


async def read_stats(
    pool: Pool, user_id: UUID, team_id: UUID, since: datetime, until: datetime, weeks: Sequence[datetime]
) -> Stats:
    """The numbers of a team of the user's from `since` to before `until`; `weeks` are the beginnings of its weeks.

    Another's team has none. Raises StorageUnavailable.
    """
    async with reading(pool, user_id, snapshot=True) as rows:
        throughput = await read_throughput(rows, user_id, team_id, since, until, weeks)
        everybody, by_assignee = await read_cycle_times(rows, user_id, team_id, since, until)
        return Stats(throughput, everybody, by_assignee, await read_workload(rows, user_id, team_id))
