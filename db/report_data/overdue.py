"""What is overdue in a team, by assignee: due in a period that ends by now, judged in the team's zone."""

from collections.abc import Mapping
from datetime import date, datetime, tzinfo
from typing import Final
from uuid import UUID

from msgspec import Struct

from core.calendar import due_moment
from core.windows import FINISHED, Range
from db.report_data.shares import allotted
from db.report_data.team import LINE, Group, groups_of
from db.transaction import Reading

__all__ = ["OverdueData", "read_overdue_tasks"]


class OverdueData(Struct, frozen=True):
    """Overdue tasks by assignee (None: nobody's), longest overdue first. `pressing` counts those of priority high or
    urgent, `ages` those overdue for at most a week, for at most thirty days, and for longer."""

    by_assignee: Mapping[UUID | None, Group]
    pressing: int
    ages: tuple[int, int, int]


async def read_overdue_tasks(
    rows: Reading,
    user_id: UUID,
    team_id: UUID,
    zone: tzinfo,
    at: Range[datetime],
    on: Range[date],
    marks: tuple[datetime, datetime],
) -> OverdueData:
    """What is due at an instant in the range `at` or on a date in the range `on`, and not finished.

    `marks` are the moments a week and thirty days ago.
    """
    span = (user_id, team_id, at.since, at.until, on.since, on.until, list(FINISHED))
    days = [row["due_on"] for row in await rows.fetch(_DAYS, *span)]
    moments = [due_moment(None, day, zone) for day in days]
    counted = await rows.fetch(_COUNTS, *span, days, moments, *marks)
    counts = {row["assignee_id"]: row["tasks"] for row in counted}
    shares = allotted(counts)
    found = await rows.fetch(_OVERDUE, *span, days, moments, list(shares), list(shares.values()))
    ages = tuple(sum(row[name] for row in counted) for name in ("weeks", "months", "longer"))
    return OverdueData(
        groups_of(counts, found, "assignee_id"),
        sum(row["pressing"] for row in counted),
        (ages[0], ages[1], ages[2]),
    )


_LATE: Final = """
from tasks t
join memberships m on m.team_id = t.team_id and m.user_id = $1
where t.team_id = $2 and t.archived_at is null and t.status <> all ($7::text[]) and (
    ((t.due_at >= $3 or $3::timestamptz is null) and t.due_at < $4)
    or ((t.due_on >= $5 or $5::date is null) and t.due_on < $6)
)
"""
_DAYS: Final = f"select distinct t.due_on {_LATE} and t.due_on is not null"
_MOMENTS: Final = f"""
select {LINE}, t.id, coalesce(t.due_at, d.moment) as moment
from (select t.* {_LATE}) t
left join unnest($8::date[], $9::timestamptz[]) as d(day, moment) on d.day = t.due_on
"""  # noqa: S608 (column names of our own)
_COUNTS: Final = f"""
select l.assignee_id, count(*) as tasks,
       count(*) filter (where l.priority in ('urgent', 'high')) as pressing,
       count(*) filter (where l.moment >= $10) as weeks,
       count(*) filter (where l.moment < $10 and l.moment >= $11) as months,
       count(*) filter (where l.moment < $11) as longer
from ({_MOMENTS}) l
group by l.assignee_id
"""  # noqa: S608 (statements of our own)
_OVERDUE: Final = f"""
select p.* from (
    select l.*, row_number() over (partition by l.assignee_id order by l.moment, l.id) as place from ({_MOMENTS}) l
) p
join unnest($10::uuid[], $11::integer[]) as share(assignee_id, most)
  on share.assignee_id is not distinct from p.assignee_id and p.place <= share.most
order by p.assignee_id, p.place
"""  # noqa: S608 (statements of our own)
