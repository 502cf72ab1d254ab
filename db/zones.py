"""The zones in which the dates of a user's teams are judged. SQL gets dates and instants, and never a zone."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, tzinfo
from functools import cache
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from core.calendar import day_of, due_moment
from db.transaction import Reading

__all__ = ["DueDays", "due_days_of", "todays_in", "zone_named", "zones_of"]

DueDays = Mapping[tuple[str, date], datetime]
"""When tasks are due that are due on a date, by the name of their team's zone and that date."""

_ZONES: Final = """
select distinct g.time_zone from memberships m join teams g on g.id = m.team_id
where m.user_id = $1 and ($2::uuid is null or m.team_id = $2)
"""
_DUE_DAYS: Final = """
select distinct g.time_zone, t.due_on from tasks t
join memberships m on m.team_id = t.team_id and m.user_id = $1
join teams g on g.id = t.team_id
where t.due_on is not null and (t.archived_at is not null) = $3 and ($2::uuid is null or t.team_id = $2)
"""


@cache
def zone_named(name: str) -> tzinfo:
    """A zone of the IANA database, from the tzdata wheel where the system has none."""
    return ZoneInfo(name)


def todays_in(names: Iterable[str], now: datetime) -> list[date]:
    """Which day it is in each of the zones."""
    return [day_of(now, zone_named(name)) for name in names]


async def zones_of(rows: Reading, user_id: UUID, team_id: UUID | None) -> dict[str, tzinfo]:
    """The zones of the user's teams, or of one of them, by name."""
    found = await rows.fetch(_ZONES, user_id, team_id)
    return {row["time_zone"]: zone_named(row["time_zone"]) for row in found}


async def due_days_of(rows: Reading, user_id: UUID, team_id: UUID | None, *, archived: bool) -> DueDays:
    """All dates on which tasks of these teams are due: far fewer than tasks."""
    found = await rows.fetch(_DUE_DAYS, user_id, team_id, archived)
    days = [(row["time_zone"], row["due_on"]) for row in found]
    moments = {(name, day): due_moment(None, day, zone_named(name)) for name, day in days}
    return {key: moment for key, moment in moments.items() if moment is not None}
