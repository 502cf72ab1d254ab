"""The statements of the journal, apart from the group commit itself (`commit_sql`)."""

from typing import Final

__all__ = [
    "ARCHIVED",
    "ATTACHED",
    "ATTACHMENTS",
    "BOARD",
    "COMMENTS",
    "COMMENT_SELECT",
    "DIGEST",
    "EVENT_SELECT",
    "HISTORY",
    "LAST_CHANGE",
    "LAST_CHANGES",
    "LOCKED",
    "LOCK_TEAM",
    "LOCK_TEAMS",
    "POSITIONS",
    "READ",
    "READ_STORED",
    "REDACTED_SINCE",
    "STORED_EVENT_SELECT",
    "TASK_COLUMNS",
    "TASK_SELECT",
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
    "column_id": "uuid",
    "due_on": "date",
    "recurrence": "jsonb",
}
TASK_SELECT: Final = ", ".join(f"t.{name}" for name in TASK_COLUMNS)

BOARD: Final = f"select {TASK_SELECT} from tasks t where t.team_id = $1 and t.archived_at is null"  # noqa: S608
ATTACHMENTS: Final = "select * from attachments where team_id = $1 and id = any($2::uuid[])"
ATTACHED: Final = "select count(*) as count, coalesce(sum(size), 0)::bigint as size from attachments where team_id = $1"

ARCHIVED: Final = f"""
select {TASK_SELECT}, g.key as team_key from tasks t join teams g on g.id = t.team_id
where t.id = any($2::uuid[]) and t.team_id is not distinct from $1 and t.archived_at is not null
"""  # noqa: S608

COMMENT_SELECT: Final = (
    "c.id, c.task_id, c.author_id, c.body, c.mentions, c.created_at, c.updated_at, c.version, c.team_id"
)
COMMENTS: Final = f"select {COMMENT_SELECT} from comments c where c.team_id = $1 and c.id = any($2::uuid[])"  # noqa: S608

DIGEST: Final = "select digest from task_events where team_id = $1 and seq = $2"
POSITIONS: Final = """
select t.id, t.seq, t.epoch, exists (select from epochs_due d where d.team_id = t.id) as due
from teams t where t.id = any($1::uuid[])
"""
LOCK_TEAM: Final = "set local lock_timeout = '{}ms'; select from teams where id = '{}' for update"
LOCK_TEAMS: Final = "select id, seq from teams where id = any($1::uuid[]) order by id for update"
# Those of the teams whose rows somebody else holds, without waiting for any; what is locked here is free again at once.
LOCKED: Final = """
with free as materialized (select id from teams where id = any($1::uuid[]) for no key update skip locked)
select id from teams where id = any($1::uuid[]) and id not in (select id from free)
"""

# The fields of a `JournalRow` in their order, of `task_events` as `e`. A redacted row has no salt. As they are stored
# they are for the topics and their checkpoints alone (`rows.stored_row`).
STORED_EVENT_SELECT: Final = """
e.team_id, e.seq, e.type, e.subject_id, e.actor_id, e.at, e.traceparent, convert_to(e.payload, 'UTF8') as payload,
coalesce(e.salt, '') as salt, e.digest, e.actor_kind, e.via, e.schema_version, coalesce((
    select p.epoch from team_epochs p where p.team_id = e.team_id and p.from_seq <= e.seq order by p.epoch desc limit 1
), 1) as epoch
"""
# For everybody else (`rows.journal_row`): with what is to be forgotten of the row, until a worker has redacted it. The
# table is nearly always empty, and the look into it by its key costs what that for the epoch does.
EVENT_SELECT: Final = f"""{STORED_EVENT_SELECT.rstrip()}, (
    select array_agg(d.subject_id) from redactions_due d where d.team_id = e.team_id and d.task_id = e.subject_id
) as due
"""  # noqa: S608 (column names of our own)
_EVENTS: Final = f"select {EVENT_SELECT} from task_events e"  # noqa: S608
READ_STORED: Final = f"""
select {STORED_EVENT_SELECT} from task_events e where e.team_id = $1 and e.seq > $2 order by e.seq limit $3
"""  # noqa: S608
READ: Final = f"{_EVENTS} where e.team_id = $1 and e.seq > $2 order by e.seq limit $3"
# Found by the index on subjects: history's own events have the team as theirs.
REDACTED_SINCE: Final = """
select exists (
    select from task_events where team_id = $1 and subject_id = $1 and seq > $2 and type = 'history.redacted'
)
"""
HISTORY: Final = f"{_EVENTS} where e.team_id = $1 and e.subject_id = $2 and e.seq > $3 order by e.seq limit $4"
# Each by one step into the index on subjects, however long its history is.
LAST_CHANGES: Final = """
select s.id, l.seq from unnest($2::uuid[]) as s(id) cross join lateral (
    select e.seq from task_events e where e.team_id = $1 and e.subject_id = s.id order by e.seq desc limit 1
) l
"""
LAST_CHANGE: Final = """
select max(seq) from task_events
where team_id = $1 and subject_id = $2 and actor_id = $3 and type = any($4::text[]) and actor_kind <> 'system'
"""
