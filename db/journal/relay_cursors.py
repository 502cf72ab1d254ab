"""How far each team's journal has been published, and what there is still to publish.

Teams are split into ranges by the last four bits of their id (random in UUIDv7); a relay works on the ranges it leases.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from core.codec import JournalRow
from core.events import TaskCreated, TeamRestored
from core.task import Task
from db.errors import storage_errors
from db.journal.rows import stored_row, task_of
from db.journal.sql import STORED_EVENT_SELECT, TASK_SELECT
from db.pool import Pool

__all__ = [
    "BEGIN",
    "RANGES",
    "Lag",
    "Look",
    "Move",
    "Page",
    "advance",
    "announcements",
    "back_to_differences",
    "backlog",
    "lagging",
    "published_since",
    "range_of",
    "read",
    "reset",
    "restored",
    "rewind",
    "tasks",
    "tasks_after",
]

RANGES: Final = 16
BEGIN: Final = UUID(int=0)
"""Before every team's id."""


class Lag(Struct, frozen=True):
    """A team behind: number of events not published, and when the oldest of them happened (None: it is missing)."""

    team_id: UUID
    events: int
    oldest: datetime | None


class Look(Struct, frozen=True):
    """The teams found `behind`, in no order, and the id that the next look begins `after`: `BEGIN` at the last team."""

    behind: Sequence[Lag]
    after: UUID


class Page(Struct, frozen=True):
    """A team's next events. `published` is the cursor, `head` the team's seq, both as of the same moment as `rows`."""

    team_id: UUID
    published: int
    head: int
    rows: tuple[JournalRow, ...]


class Move(Struct, frozen=True):
    """A cursor's step, taken only if the cursor is still at `old`."""

    team_id: UUID
    old: int
    new: int


def range_of(team_id: UUID) -> int:
    """The range a team belongs to, below `RANGES`."""
    return team_id.int % RANGES


# Whatever the size of the installation, only `$5` teams are read. An index cannot find those behind: it would have to
# cover `teams.seq`, and then no commit could update its row in place (HOT).
_LAGGING: Final = """
with slice as materialized (select id, seq from teams where id > $4 order by id limit $5),
looked_at as (select id, seq from slice union select id, seq from teams where id = any($6::uuid[])),
behind as (
    select t.id, t.seq - coalesce(c.published_seq, 0) as events, e.at
    from looked_at t
    left join relay_cursors c on c.team_id = t.id
    left join task_events e on e.team_id = t.id and e.seq = coalesce(c.published_seq, 0) + 1
    where t.seq > coalesce(c.published_seq, 0)
      and get_byte(uuid_send(t.id), 15) % $1 = any($2::int[]) and t.id <> all($3::uuid[])
)
select last.id as last, behind.id, behind.events, behind.at
from (select 1) always
left join (select id from slice order by id offset $5 - 1 limit 1) last on true
left join behind on true
"""


async def lagging(
    pool: Pool,
    ranges: Collection[int],
    *,
    after: UUID = BEGIN,
    teams: int,
    also: Collection[UUID] = (),
    without: Collection[UUID] = (),
) -> Look:
    """Look for teams of the ranges with events to publish among the next `teams` teams of any range, by id, and `also`.

    Raises StorageUnavailable.
    """
    with storage_errors():
        rows = await pool.fetch(_LAGGING, RANGES, list(ranges), list(without), after, teams, list(also))
    behind = [Lag(row["id"], row["events"], row["at"]) for row in rows if row["id"] is not None]
    return Look(behind, rows[0]["last"] or BEGIN)


_READ: Final = f"""
select e.*, w.team_id as team, t.seq as head, p.seq as published
from unnest($1::uuid[], $3::bigint[]) with ordinality w (team_id, ahead, place)
join teams t on t.id = w.team_id
left join relay_cursors c on c.team_id = w.team_id
cross join lateral (select greatest(coalesce(c.published_seq, 0), w.ahead) as seq) p
left join lateral (
    select {STORED_EVENT_SELECT} from task_events e
    where e.team_id = w.team_id and e.seq > p.seq order by e.seq limit $2
) e on true
order by w.place, e.seq
"""  # noqa: S608 (column names of our own)
_NOWHERE: Final[Mapping[UUID, int]] = {}


async def read(
    pool: Pool, team_ids: Sequence[UUID], *, per_team: int, ahead: Mapping[UUID, int] = _NOWHERE
) -> list[Page]:
    """The next events of each team that exists, at most `per_team` of each, by seq. Raises StorageUnavailable.

    `ahead` has the seqs that cursors are being stepped to meanwhile: they count as if they were there already.
    """
    with storage_errors():
        records = await pool.fetch(_READ, list(team_ids), per_team, [ahead.get(team_id, 0) for team_id in team_ids])
    heads: dict[UUID, tuple[int, int]] = {}
    rows: dict[UUID, list[JournalRow]] = {}
    for record in records:
        team_id = record["team"]
        heads[team_id] = (record["published"], record["head"])
        found = rows.setdefault(team_id, [])
        if record["seq"] is not None:
            found.append(stored_row(record))
    return [Page(team_id, *heads[team_id], tuple(found)) for team_id, found in rows.items()]


_ADVANCE: Final = """
with moves as (select * from unnest($1::uuid[], $2::bigint[], $3::bigint[]) as m (team_id, old, new)),
made as (
    insert into relay_cursors (team_id, published_seq) select m.team_id, m.new from moves m
    where m.old = 0 and exists (select from teams t where t.id = m.team_id)
    on conflict do nothing returning team_id
),
moved as (
    update relay_cursors c set published_seq = m.new, updated_at = now() from moves m
    where c.team_id = m.team_id and c.published_seq = m.old returning c.team_id
)
select team_id from made union all select team_id from moved
"""


async def advance(pool: Pool, moves: Sequence[Move]) -> frozenset[UUID]:
    """Take the steps; gives the teams whose cursor was where it was expected. Raises StorageUnavailable."""
    if not moves:
        return frozenset()
    with storage_errors():
        rows = await pool.fetch(
            _ADVANCE,
            [move.team_id for move in moves],
            [move.old for move in moves],
            [move.new for move in moves],
        )
    return frozenset(row["team_id"] for row in rows)


async def reset(pool: Pool, ranges: Collection[int]) -> int:
    """Set the cursors of whole ranges back to zero; gives how many moved. Raises StorageUnavailable."""
    with storage_errors():
        status: str = await pool.execute(
            "update relay_cursors set published_seq = 0, updated_at = now()"
            " where published_seq > 0 and get_byte(uuid_send(team_id), 15) % $1 = any($2::int[])",
            RANGES,
            list(ranges),
        )
    return int(status.rpartition(" ")[2])


_REWIND: Final = """
update relay_cursors set published_seq = least(published_seq, $2), updated_at = now()
where published_seq > $2 and ($1::uuid is null or team_id = $1)
returning team_id
"""


async def rewind(pool: Pool, team_id: UUID | None, published: int) -> int:
    """Set one team's cursor, or everybody's, back to `published`, never forward; gives how many moved.

    Raises StorageUnavailable.
    """
    with storage_errors():
        return len(await pool.fetch(_REWIND, team_id, published))


async def published_since(pool: Pool, team_id: UUID | None, published: int) -> tuple[int, int]:
    """(teams, events) that a rewind to `published` would send again. Raises StorageUnavailable."""
    with storage_errors():
        row = await pool.fetchrow(
            "select count(*) as teams, coalesce(sum(published_seq - $2), 0)::bigint as events from relay_cursors"
            " where published_seq > $2 and ($1::uuid is null or team_id = $1)",
            team_id,
            published,
        )
    assert row is not None
    return row["teams"], row["events"]


async def backlog(pool: Pool, team_id: UUID | None) -> int:
    """Events of the team, or of all, that are not published yet. Raises StorageUnavailable."""
    with storage_errors():
        number: int = await pool.fetchval(
            "select coalesce(sum(t.seq - coalesce(c.published_seq, 0)), 0)::bigint from teams t"
            " left join relay_cursors c on c.team_id = t.id where $1::uuid is null or t.id = $1",
            team_id,
        )
    return number


_TASKS: Final = f"""
select {TASK_SELECT}, m.key as team_key from tasks t join teams m on m.id = t.team_id
join unnest($1::uuid[], $2::uuid[]) as w (team_id, id) on w.team_id = t.team_id and w.id = t.id
"""  # noqa: S608 (column names of our own)


async def tasks(pool: Pool, wanted: Collection[tuple[UUID, UUID]]) -> Mapping[UUID, Task]:
    """Those of the tasks, given as (team id, task id), that exist, as they are now. Raises StorageUnavailable."""
    if not wanted:
        return {}
    with storage_errors():
        rows = await pool.fetch(_TASKS, [team for team, _ in wanted], [task for _, task in wanted])
    return {row["id"]: task_of(row, row["team_key"]) for row in rows}


_TASKS_AFTER: Final = f"""
select {TASK_SELECT}, m.key as team_key from tasks t join teams m on m.id = t.team_id
where t.team_id = $1 and ($2::uuid is null or t.id > $2) order by t.id limit $3
"""  # noqa: S608 (column names of our own)


async def tasks_after(pool: Pool, team_id: UUID, after: UUID | None, limit: int) -> Sequence[Task]:
    """The team's tasks, archived ones too, by id; those after the task `after`. Raises StorageUnavailable."""
    with storage_errors():
        rows = await pool.fetch(_TASKS_AFTER, team_id, after, limit)
    return [task_of(row, row["team_key"]) for row in rows]


# Of a redacted history, too: which tasks there were it still says.
_TASKS_EVER_AFTER: Final = """
select distinct subject_id from task_events
where team_id = $1 and seq < $2 and type = $3 and ($4::uuid is null or subject_id > $4) order by subject_id limit $5
"""


async def tasks_ever_after(pool: Pool, team_id: UUID, seq: int, after: UUID | None, limit: int) -> Sequence[UUID]:
    """Ids of tasks that the team has ever made before the event `seq`, in order; those after the task `after`.

    Raises StorageUnavailable.
    """
    with storage_errors():
        rows = await pool.fetch(_TASKS_EVER_AFTER, team_id, seq, TaskCreated.type, after, limit)
    return [row["subject_id"] for row in rows]


_RESTORED: Final = """
select distinct on (p.team_id) p.team_id, p.epoch, p.from_seq
from team_epochs p left join relay_cursors c on c.team_id = p.team_id
where p.from_seq > coalesce(c.published_seq, 0) and get_byte(uuid_send(p.team_id), 15) % $1 = any($2::int[])
order by p.team_id, p.epoch desc
"""


async def restored(pool: Pool, ranges: Collection[int]) -> Mapping[UUID, tuple[int, int]]:
    """By team of the ranges, the newest epoch and its first seq, where nothing of it is published yet.

    Raises StorageUnavailable.
    """
    with storage_errors():
        rows = await pool.fetch(_RESTORED, RANGES, list(ranges))
    return {row["team_id"]: (row["epoch"], row["from_seq"]) for row in rows}


_ANNOUNCEMENTS: Final = f"""
select distinct on (e.team_id, e.seq) {STORED_EVENT_SELECT} from task_events e
join team_epochs p on p.team_id = e.team_id and p.from_seq < e.seq
left join relay_cursors c on c.team_id = e.team_id
where e.team_id = any($1::uuid[]) and e.type = $2 and p.from_seq > coalesce(c.published_seq, 0)
order by e.team_id, e.seq
"""  # noqa: S608 (column names of our own)


async def announcements(pool: Pool, team_ids: Collection[UUID]) -> Sequence[JournalRow]:
    """The events that begin epochs of these teams, where others of those epochs stand before them, unpublished.

    Raises StorageUnavailable.
    """
    with storage_errors():
        rows = await pool.fetch(_ANNOUNCEMENTS, list(team_ids), TeamRestored.type)
    return list(map(stored_row, rows))


_BACK: Final = """
update relay_cursors c set published_seq = least(coalesce(w.first - 1, t.seq), t.seq), updated_at = now()
from unnest($1::uuid[], $2::bigint[]) as w (team_id, first) join teams t on t.id = w.team_id
where c.team_id = w.team_id and c.published_seq > least(coalesce(w.first - 1, t.seq), t.seq)
"""


async def back_to_differences(pool: Pool, firsts: Mapping[UUID, int | None]) -> None:
    """Set the cursors of these teams back before the first event that is to go out again; None: only to their end.

    Raises StorageUnavailable.
    """
    with storage_errors():
        await pool.execute(_BACK, list(firsts), list(firsts.values()))
