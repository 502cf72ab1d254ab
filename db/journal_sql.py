"""The statements of the journal. The first one is the heart of the product: a group commit in one round trip."""

from typing import Final

__all__ = [
    "ARCHIVED",
    "BOARD",
    "COMMIT",
    "DELETE_LABELS",
    "DELETE_MEMBERS",
    "FIND_KEYS",
    "HISTORY",
    "INSERT_CURSOR",
    "INSERT_TEAM",
    "LOCK_TEAMS",
    "READ",
    "TASK_COLUMNS",
    "TASK_SELECT",
    "UPDATE_TEAM",
    "UPSERT_LABELS",
    "UPSERT_MEMBERS",
]

TASK_COLUMNS: Final = {
    "team_id": "uuid",
    "id": "uuid",
    "number": "bigint",
    "title": "text",
    "description": "text",
    "status": "text",
    "priority": "text",
    "assignee_id": "uuid",
    "label_ids": "uuid[]",
    "due_at": "timestamptz",
    "estimate": "double precision",
    "parent_id": "uuid",
    "blocked_by": "uuid[]",
    "rank": "text",
    "external_id": "text",
    "external_source": "text",
    "comment_count": "integer",
    "attachment_count": "integer",
    "created_by": "uuid",
    "created_at": "timestamptz",
    "updated_at": "timestamptz",
    "completed_at": "timestamptz",
    "archived_at": "timestamptz",
    "version": "bigint",
}
TASK_SELECT: Final = ", ".join(f"t.{name}" for name in TASK_COLUMNS)

BOARD: Final = f"select {TASK_SELECT} from tasks t where t.team_id = $1 and t.archived_at is null"  # noqa: S608
ARCHIVED: Final = f"""
select {TASK_SELECT}, g.key as team_key from tasks t join teams g on g.id = t.team_id
where t.team_id = $1 and t.id = any($2::uuid[]) and t.archived_at is not null
"""  # noqa: S608

_FIRST_TASK_PARAMETER: Final = 23
_NEVER_CHANGE: Final = frozenset({"team_id", "id", "number", "created_by", "created_at"})


def _task_arrays() -> str:
    """The parameters of the task columns. There are no arrays of arrays: those columns travel as text."""
    kinds = ("text" if kind.endswith("[]") else kind for kind in TASK_COLUMNS.values())
    return ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(kinds, _FIRST_TASK_PARAMETER))


def _task_values() -> str:
    return ", ".join(f"n.{name}::{kind}" if kind.endswith("[]") else f"n.{name}" for name, kind in TASK_COLUMNS.items())


_TASK_NAMES: Final = ", ".join(TASK_COLUMNS)
_TASK_CHANGES: Final = ", ".join(f"{name} = excluded.{name}" for name in TASK_COLUMNS if name not in _NEVER_CHANGE)

# Parameters: 1-4 the teams (id, expected seq, number of events, highest new task number), 5-12 idempotency keys, 13-20
# journal rows, 21-22 deleted tasks, 23… changed tasks. Everything is written only by a join with `fence`, the teams
# whose seq was as expected.
#
# Teams are locked in id order, so that two committers cannot deadlock. `locked` sees the newest version of a row even
# when it had to wait for another committer; so does the update, which checks the seq again. `gone` is counted before
# tasks are inserted, so that a new task may take over the external id of one that the same batch deletes.
COMMIT: Final = f"""
with wanted as (
    select * from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[]) as w (id, expected, added, top)
), asked as (
    select * from unnest($5::uuid[], $6::text[], $7::uuid[], $8::bytea[], $9::smallint[], $10::json[], $11::bytea[],
                         $12::bigint[]) as a (principal, key, team_id, fingerprint, status, headers, body, seq)
), clash as materialized (
    select a.team_id, k.principal, k.key, k.fingerprint, k.status, k.headers, k.body, k.seq
    from asked a join idempotency_keys k on k.principal = a.principal and k.key = a.key
), locked as materialized (
    select t.id, t.seq from teams t join wanted w on w.id = t.id order by t.id for update of t
), fence as (
    update teams t set seq = t.seq + w.added, top_number = greatest(t.top_number, w.top)
    from locked l join wanted w on w.id = l.id
    where t.id = l.id and l.seq = w.expected and t.seq = w.expected
      and not exists (select from clash c where c.team_id = w.id)
    returning t.id
), journal as (
    insert into task_events (team_id, seq, type, subject_id, actor_id, at, traceparent, payload)
    select e.team_id, e.seq, e.type, e.subject_id, e.actor_id, e.at, e.traceparent, e.payload
    from unnest($13::uuid[], $14::bigint[], $15::text[], $16::uuid[], $17::uuid[], $18::timestamptz[], $19::text[],
                $20::json[]) as e (team_id, seq, type, subject_id, actor_id, at, traceparent, payload)
    join fence f on f.id = e.team_id
), gone as (
    delete from tasks t using unnest($21::uuid[], $22::uuid[]) as d (team_id, id) join fence f on f.id = d.team_id
    where t.team_id = d.team_id and t.id = d.id
    returning t.id
), changed as (
    insert into tasks ({_TASK_NAMES})
    select {_task_values()}
    from unnest({_task_arrays()}) as n ({_TASK_NAMES})
    join fence f on f.id = n.team_id
    where (select count(*) from gone) >= 0
    on conflict (team_id, id) do update set {_TASK_CHANGES}
), kept as (
    insert into idempotency_keys (principal, key, team_id, fingerprint, status, headers, body, seq)
    select a.principal, a.key, a.team_id, a.fingerprint, a.status, a.headers, a.body, a.seq
    from asked a join fence f on f.id = a.team_id
)
select w.id, f.id is not null as held, coalesce(l.seq, 0) as now_at,
       c.principal, c.key, c.fingerprint, c.status, c.headers, c.body, c.seq
from wanted w left join locked l on l.id = w.id left join fence f on f.id = w.id left join clash c on c.team_id = w.id
"""  # noqa: S608 (made of the column names above, nothing else)

LOCK_TEAMS: Final = "select id, seq from teams where id = any($1::uuid[]) order by id for update"

INSERT_TEAM: Final = """
insert into teams (id, seq, name, key, wip_limits, created_by, created_at, updated_at, version)
values ($1, 0, $2, $3, $4, $5, $6, $7, $8) on conflict (id) do nothing
"""
INSERT_CURSOR: Final = "insert into relay_cursors (team_id) values ($1) on conflict (team_id) do nothing"
UPDATE_TEAM: Final = "update teams set name = $2, wip_limits = $3, updated_at = $4, version = $5 where id = $1"

UPSERT_MEMBERS: Final = """
insert into memberships (team_id, user_id, role, name, joined_at)
select $1, m.* from unnest($2::uuid[], $3::text[], $4::text[], $5::timestamptz[]) as m (user_id, role, name, joined_at)
on conflict (team_id, user_id) do update set role = excluded.role, name = excluded.name, joined_at = excluded.joined_at
"""
DELETE_MEMBERS: Final = "delete from memberships where team_id = $1 and user_id = any($2::uuid[])"
UPSERT_LABELS: Final = """
insert into labels (team_id, id, name, color)
select $1, n.* from unnest($2::uuid[], $3::text[], $4::text[]) as n (id, name, color)
on conflict (team_id, id) do update set name = excluded.name, color = excluded.color
"""
DELETE_LABELS: Final = "delete from labels where team_id = $1 and id = any($2::uuid[])"

_ROW: Final = "select team_id, seq, type, subject_id, actor_id, at, traceparent, payload from task_events"
READ: Final = f"{_ROW} where team_id = $1 and seq > $2 order by seq limit $3"
HISTORY: Final = f"{_ROW} where team_id = $1 and subject_id = $2 and seq > $3 order by seq limit $4"

FIND_KEYS: Final = """
select k.principal, k.key, k.fingerprint, k.status, k.headers, k.body, k.seq
from unnest($1::uuid[], $2::text[]) as a (principal, key)
join idempotency_keys k on k.principal = a.principal and k.key = a.key
"""
