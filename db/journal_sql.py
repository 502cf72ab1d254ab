"""The statements of the journal. The first one is the heart of the product: a group commit in one round trip."""

from collections.abc import Iterable
from typing import Final

__all__ = [
    "ARCHIVED",
    "BOARD",
    "CHANGE",
    "CHANGEABLE",
    "COMMIT",
    "DELETE_LABELS",
    "DELETE_MEMBERS",
    "FIND_KEYS",
    "HISTORY",
    "INSERT_CURSOR",
    "INSERT_TEAM",
    "LOCK_TEAMS",
    "POSITIONS",
    "READ",
    "SHARED_BY_TASKS",
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
where t.id = any($2::uuid[]) and t.team_id is not distinct from $1 and t.archived_at is not null
"""  # noqa: S608

# What a later event may change. Everything else is written once, when the task is created.
CHANGEABLE: Final = tuple(name for name in TASK_COLUMNS if name not in {"number", "created_by", "created_at"})
_NULLABLE: Final = frozenset(
    {"assignee_id", "due_at", "estimate", "parent_id", "external_id", "external_source", "completed_at", "archived_at"}
)
# Often equal for all tasks of a commit; never null.
SHARED_BY_TASKS: Final = frozenset({"team_id", "status", "priority", "updated_at"})
_FIRST_CHANGE: Final = 21
_FIRST_NEW: Final = _FIRST_CHANGE + len(CHANGEABLE)


def _arrays(names: Iterable[str], first: int) -> str:
    """Typed parameters for these task columns. There are no arrays of arrays: such columns travel as text."""
    kinds = (TASK_COLUMNS[name] for name in names)
    return ", ".join(f"${n}::{'text' if kind.endswith('[]') else kind}[]" for n, kind in enumerate(kinds, first))


def _value(name: str) -> str:
    return f"n.{name}::{TASK_COLUMNS[name]}" if TASK_COLUMNS[name].endswith("[]") else f"n.{name}"


def _assignments() -> str:
    """A column whose parameter is NULL keeps its value: nobody in the commit changed it."""
    parts = list[str]()
    for number, name in enumerate(CHANGEABLE, _FIRST_CHANGE):
        if name == "team_id":
            continue
        if name in _NULLABLE:
            parts.append(f"{name} = case when ${number} is null then t.{name} else {_value(name)} end")
        elif name in SHARED_BY_TASKS:
            parts.append(f"{name} = coalesce(n.{name}, (${number}::{TASK_COLUMNS[name]}[])[1], t.{name})")
        elif name != "id":
            parts.append(f"{name} = coalesce({_value(name)}, t.{name})")
    return ", ".join(parts)


_TASK_NAMES: Final = ", ".join(TASK_COLUMNS)
_TASK_VALUES: Final = ", ".join(map(_value, TASK_COLUMNS))

# Parameters: 1-4 the teams (id, expected seq, number of events, highest new task number), 5-12 idempotency keys, 13-20
# journal rows, 21… the changed columns of changed tasks; then deleted tasks, and all columns of new tasks.
# Where all rows have the same team, type, actor, time or trace, an array of one stands for all: encoding arrays is most
# of what a commit costs this process.
#
# Everything is written only for teams in `fence`, those whose seq was as expected: where another committer was faster,
# the update waits for its end and then checks the seq of the newest row. It takes its rows in id order, so that two
# committers cannot deadlock. "(… in …) is true" is looked up in a hash table; a plain "in" would be a nested loop.
# `gone` is counted before tasks are inserted, so that a new task may take over the external id of one that the same
# batch deletes.
#
# A task is looked up by its id alone: `is not distinct from` keeps the team out of the choice of an index. While the
# tables have no statistics every index that begins with the team looks as good as the primary key, and the plan, made
# once per connection, walked all tasks of the team for each change.
#
# CHANGE is the same without deleting and creating tasks: starting those parts costs a tenth of a small commit.
_HEAD: Final = """
with wanted as (
    select * from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[]) as w (id, expected, added, top)
), asked as (
    select * from unnest($5::uuid[], $6::text[], $7::uuid[], $8::bytea[], $9::smallint[], $10::json[], $11::bytea[],
                         $12::bigint[]) as a (principal, key, team_id, fingerprint, status, headers, body, seq)
), clash as materialized (
    select a.team_id, k.principal, k.key, k.fingerprint, k.status, k.headers, k.body, k.seq
    from asked a join idempotency_keys k on k.principal = a.principal and k.key = a.key
), fence as (
    update teams t set seq = t.seq + w.added, top_number = greatest(t.top_number, w.top)
    from (select * from wanted order by id) w
    where t.id = w.id and t.seq = w.expected and not exists (select from clash c where c.team_id = w.id)
    returning t.id
), journal as (
    insert into task_events (team_id, seq, type, subject_id, actor_id, at, traceparent, payload)
    select coalesce(e.team_id, ($13::uuid[])[1]), e.seq, coalesce(e.type, ($15::text[])[1]), e.subject_id,
           coalesce(e.actor_id, ($17::uuid[])[1]), coalesce(e.at, ($18::timestamptz[])[1]),
           coalesce(e.traceparent, ($19::text[])[1]), e.payload
    from unnest($13::uuid[], $14::bigint[], $15::text[], $16::uuid[], $17::uuid[], $18::timestamptz[], $19::text[],
                $20::json[]) as e (team_id, seq, type, subject_id, actor_id, at, traceparent, payload)
    where (coalesce(e.team_id, ($13::uuid[])[1]) in (select id from fence)) is true
"""
_CHANGED: Final = f"""), changed as (
    update tasks t set {_assignments()}
    from unnest({_arrays(CHANGEABLE, _FIRST_CHANGE)}) as n ({", ".join(CHANGEABLE)})
    where t.id = n.id and t.team_id is not distinct from coalesce(n.team_id, (${_FIRST_CHANGE}::uuid[])[1])
      and (t.team_id in (select id from fence)) is true
"""  # noqa: S608 (made of the column names above, nothing else)
_GONE_AND_CREATED: Final = f"""), gone as (
    delete from tasks t
    using unnest(${_FIRST_NEW}::uuid[], ${_FIRST_NEW + 1}::uuid[]) as d (team_id, id)
    where t.id = d.id and t.team_id is not distinct from d.team_id and (d.team_id in (select id from fence)) is true
    returning t.id
), created as (
    insert into tasks ({_TASK_NAMES})
    select {_TASK_VALUES}
    from unnest({_arrays(TASK_COLUMNS, _FIRST_NEW + 2)}) as n ({_TASK_NAMES})
    where (n.team_id in (select id from fence)) is true and (select count(*) from gone) >= 0
"""  # noqa: S608 (as above)
_TAIL: Final = """), kept as (
    insert into idempotency_keys (principal, key, team_id, fingerprint, status, headers, body, seq)
    select a.principal, a.key, a.team_id, a.fingerprint, a.status, a.headers, a.body, a.seq
    from asked a where (a.team_id in (select id from fence)) is true
)
select w.id, (w.id in (select id from fence)) is true as held,
       c.principal, c.key, c.fingerprint, c.status, c.headers, c.body, c.seq
from wanted w left join clash c on c.team_id = w.id
"""
COMMIT: Final = _HEAD + _CHANGED + _GONE_AND_CREATED + _TAIL
CHANGE: Final = _HEAD + _CHANGED + _TAIL

POSITIONS: Final = "select id, seq from teams where id = any($1::uuid[])"
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
