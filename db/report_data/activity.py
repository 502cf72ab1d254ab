"""What happened to a team's tasks in a period: counts, and its newest events with the names of what they are about."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct

from core.codec import JournalRow, decode
from core.events import AnyEvent, AnyTaskEvent
from core.sentences import references_of
from core.upcasts import UnknownEvent
from db.insights.throughput import Week, read_throughput
from db.journal.rows import journal_row
from db.journal.sql import EVENT_SELECT
from db.report_data.shares import MOST_ROWS
from db.transaction import Reading

__all__ = ["ActivityData", "Happened", "read_activity"]

SKEW: Final = timedelta(hours=1)
"""A team's events stand in the order of their numbers; the clocks that wrote them may differ by less than this."""


class Happened(Struct, frozen=True):
    """An event about a task. `event` is None for one of a type that this version does not know."""

    row: JournalRow
    event: AnyEvent | None


class ActivityData(Struct, frozen=True, kw_only=True):
    """`total` counts the events, `by_part` those of each part of the period by type, `by_actor` those of each user.

    `newest` has the last of them, newest first; `names` what they mention is called.
    """

    total: int
    by_part: Sequence[Mapping[str, int]]
    by_actor: Mapping[UUID, int]
    throughput: Sequence[Week]
    newest: Sequence[Happened]
    names: Mapping[UUID, str]


async def read_activity(
    rows: Reading, user_id: UUID, team_id: UUID, since: datetime, until: datetime, begins: Sequence[datetime]
) -> ActivityData:
    """What happened from `since` to before `until`; `begins` are the beginnings of the period's parts."""
    first = await _seq_at(rows, user_id, team_id, since - SKEW)
    last = await _seq_at(rows, user_id, team_id, until + SKEW)
    span = (user_id, team_id, first, last, since, until)
    counted = await rows.fetch(_COUNTS, *span, list(begins))
    by_part: list[dict[str, int]] = [{} for _ in begins]
    by_actor: dict[UUID, int] = {}
    for row in counted:
        part = by_part[row["part"] - 1]
        part[row["type"]] = part.get(row["type"], 0) + row["events"]
        by_actor[row["actor_id"]] = by_actor.get(row["actor_id"], 0) + row["events"]
    newest = [_happened(journal_row(row)) for row in await rows.fetch(_NEWEST, *span, MOST_ROWS)]
    return ActivityData(
        total=sum(by_actor.values()),
        by_part=by_part,
        by_actor=by_actor,
        throughput=await read_throughput(rows, user_id, team_id, since, until, begins),
        newest=newest,
        names=await _names(rows, user_id, team_id, _mentioned(newest) | by_actor.keys()),
    )


async def _seq_at(rows: Reading, user_id: UUID, team_id: UUID, moment: datetime) -> int:
    """The first number whose event is no older than the moment, found by halving: no index has the times."""
    low, high = 1, int(await rows.fetchval(_SEQ, user_id, team_id) or 0) + 1
    while low < high:
        middle = (low + high) // 2
        at = await rows.fetchval(_AT, user_id, team_id, middle)
        low, high = (low, middle) if at is None or at >= moment else (middle + 1, high)
    return low


def _happened(row: JournalRow) -> Happened:
    try:
        return Happened(row, decode(row))
    except UnknownEvent:
        return Happened(row, None)


def _mentioned(happened: Sequence[Happened]) -> set[UUID]:
    found = {one.row.actor_id for one in happened}
    for one in happened:
        if isinstance(one.event, AnyTaskEvent):
            found |= references_of(one.event)
    return found


async def _names(rows: Reading, user_id: UUID, team_id: UUID, ids: set[UUID]) -> dict[UUID, str]:
    found = await rows.fetch(_NAMES, user_id, team_id, list(ids))
    return {row["id"]: row["name"] for row in found if row["name"]}


_SEQ: Final = """
select t.seq from teams t join memberships m on m.team_id = t.id and m.user_id = $1 where t.id = $2
"""
_AT: Final = """
select e.at from task_events e join memberships m on m.team_id = e.team_id and m.user_id = $1
where e.team_id = $2 and e.seq >= $3 order by e.seq limit 1
"""
_EVENTS: Final = """
from task_events e
join memberships m on m.team_id = e.team_id and m.user_id = $1
where e.team_id = $2 and e.seq >= $3 and e.seq < $4 and e.at >= $5 and e.at < $6
  and (e.type like 'task.%' or e.type like 'comment.%' or e.type like 'attachment.%')
"""
_COUNTS: Final = f"""
select width_bucket(e.at, $7::timestamptz[]) as part, e.type, e.actor_id, count(*) as events {_EVENTS}
group by part, e.type, e.actor_id
"""
_NEWEST: Final = f"select {EVENT_SELECT} {_EVENTS} order by e.seq desc limit $7"
# People who left, and labels and columns that are gone, are called as they were last.
_NAMES: Final = """
select o.user_id as id, o.name from memberships o
join memberships m on m.team_id = o.team_id and m.user_id = $1
where o.team_id = $2 and o.user_id = any($3::uuid[])
union all
select f.user_id, f.name from former_members f
join memberships m on m.team_id = f.team_id and m.user_id = $1
where f.team_id = $2 and f.user_id = any($3::uuid[])
  and not exists (select from memberships o where o.team_id = f.team_id and o.user_id = f.user_id)
union all
select t.id, g.key || '-' || t.number || ' ' || t.title from tasks t
join teams g on g.id = t.team_id
join memberships m on m.team_id = t.team_id and m.user_id = $1
where t.team_id = $2 and t.id = any($3::uuid[])
union all
select last.subject_id, coalesce(last.payload -> 'label' ->> 'name', last.payload -> 'column' ->> 'name')
from (
    select distinct on (e.subject_id) e.subject_id, e.payload::json as payload from task_events e
    join memberships m on m.team_id = e.team_id and m.user_id = $1
    where e.team_id = $2 and e.subject_id = any($3::uuid[]) and (e.type like 'label.%' or e.type like 'column.%')
    order by e.subject_id, e.seq desc
) last
union all
select c.id, c.name from columns c
join memberships m on m.team_id = c.team_id and m.user_id = $1
where c.team_id = $2 and c.id = any($3::uuid[])
  and not exists (
    select from task_events e where e.team_id = c.team_id and e.subject_id = c.id and e.type like 'column.%'
  )
"""
