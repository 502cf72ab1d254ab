"""The heart of the product: a group commit in one statement and one round trip, in the few shapes that commits have."""

from collections.abc import Iterable
from functools import cache
from typing import Final

from msgspec import Struct

from db.journal.nouns import NOUNS
from db.journal.sql import TASK_COLUMNS
from db.redactions_due import SHOWN_BODY

__all__ = [
    "CHANGEABLE",
    "KEY_COLUMNS",
    "PLACE",
    "ROW_COLUMNS",
    "SETTINGS",
    "SHAPES",
    "TASK_ROW",
    "TEAM_COLUMNS",
    "TEXT",
    "Shape",
    "shape_for",
    "statement_of",
]

# The rows that travel to the statement are of composite types of the database (`commit_event_2` and so on), column by
# column in this order. A type is never altered, because programs of two releases commit side by side: what needs one
# more column gets a new type, under the next number, in a migration.
TEAM_COLUMNS: Final = ("id", "expected", "added", "top", "epoch")
ROW_COLUMNS: Final = (
    "team_id",
    "seq",
    "type",
    "subject_id",
    "actor_id",
    "at",
    "traceparent",
    "payload",
    "salt",
    "digest",
    "actor_kind",
    "via",
    "schema_version",
)
KEY_COLUMNS: Final = ("principal", "key", "team_id", "fingerprint", "status", "headers", "body", "seq")
SETTINGS: Final = (
    "id",
    "name",
    "key",
    "wip",
    "time_zone",
    "created_by",
    "created_at",
    "updated_at",
    "version",
)
CHANGEABLE_SETTINGS: Final = ("name", "wip", "time_zone", "updated_at", "version")
# A description may be long: it comes last, and is null where no event of the commit changed one.
TASK_ROW: Final = (*(name for name in TASK_COLUMNS if name != "description"), "description")
# What a later event may change. Everything else is written once, when the task is created.
CHANGEABLE: Final = tuple(name for name in TASK_ROW if name not in {"number", "created_by", "created_at"})
# The commonest changes, in rows of their own: each column costs the driver and Postgres time.
ALWAYS: Final = ("team_id", "id", "updated_at", "version")
TEXT: Final = (*ALWAYS, "title", "description")
PLACE: Final = (*ALWAYS, "status", "rank", "completed_at", "column_id")


class Shape(Struct, frozen=True):
    """Which parts a commit has: rows of changed tasks and what may change in them, keys, new or deleted tasks.

    `beside_tasks`: rows of the other nouns and teams' settings too. That is rare, so one shape with everything will do.
    """

    changed: tuple[str, ...]
    keys: bool
    creates: bool
    beside_tasks: bool = False

    @property
    def row(self) -> tuple[str, ...]:
        """The columns of a changed task's row."""
        return TASK_ROW if self.changed == CHANGEABLE else self.changed


SHAPES: Final = (
    *(Shape(changed, keys, False) for changed in (TEXT, PLACE, CHANGEABLE) for keys in (False, True)),
    Shape(CHANGEABLE, True, True),
    Shape(CHANGEABLE, True, True, True),
)
_TYPES: Final = {TEXT: "commit_text", PLACE: "commit_place_2", CHANGEABLE: "commit_task_3"}


def shape_for(touched: Iterable[str], *, keys: bool, creates: bool, beside_tasks: bool = False) -> Shape:
    """The smallest shape with all these parts. There are eight: each is planned once per connection, and kept."""
    if beside_tasks:
        return SHAPES[-1]
    if creates:
        return SHAPES[-2]
    wanted = set(touched).intersection(CHANGEABLE)
    return next(shape for shape in SHAPES if shape.keys == keys and wanted.issubset(shape.changed))


@cache
def statement_of(shape: Shape) -> str:
    """The commit statement of a shape. It answers with (id, held) of each team, and with keys that were taken.

    Parameters, in this order, each an array of rows: `commit_team_2` (a team's id, its expected seq, how many events it
    adds, its highest new task number, its epoch), `commit_event_2`, the changed tasks; where there are keys,
    `commit_key`; where tasks come and go, new ones as `commit_task_3`, and teams and ids of deleted ones as two arrays;
    where there is anything beside tasks, `commit_settings_3`, and three arrays for each of `NOUNS`.

    Everything is written only for teams in `fence`, those whose seq and epoch were as expected: where another committer
    was faster, the update waits for its end and then checks those of the newest row. It takes its rows in id order, so
    that two committers cannot deadlock. "(… in …) is true" is looked up in a hash table; a plain "in" would be a nested
    loop. `gone` is counted before tasks are inserted, so that a new task may take over the external id of one that the
    same batch deletes.

    The plan is made once per connection, when nothing is known of the parameters, and must be right for one row and for
    two thousand. So the limit, which takes nothing away, makes the planner expect one team: it then looks each team up,
    instead of comparing all teams of a small installation with all of the commit. And a task is looked up by its id
    alone: `is not distinct from` keeps the team out of the choice of an index. While the tables have no statistics
    every index that begins with the team looks as good as the primary key, and the plan walked all tasks of the team
    for each change.
    """
    parts = [_WANTED_SETTINGS if shape.beside_tasks else _WANTED]
    if shape.keys:
        parts.append(_ASKED)
    parts += [_MADE_OR_MOVED if shape.beside_tasks else _fence(keys=shape.keys), _JOURNAL, _changed(shape)]
    if shape.creates:
        parts.append(_GONE_AND_CREATED)
    if shape.beside_tasks:
        parts += [noun.parts(9 + 3 * index) for index, noun in enumerate(NOUNS)]
    text = "with " + ", ".join(part.strip() for part in parts)
    return text + (_KEPT_AND_TAKEN if shape.keys else _HELD)


_WANTED: Final = """
wanted as (
    select * from unnest($1::commit_team_2[]) limit cardinality($1::commit_team_2[])
)
"""
_KEY_NAMES: Final = ", ".join(KEY_COLUMNS)
_ASKED: Final = f"""
asked as (
    select * from unnest($4::commit_key[])
), clash as materialized (
    select a.team_id, k.principal, k.key, k.fingerprint, k.status, k.headers, {SHOWN_BODY} as body, k.seq
    from asked a join idempotency_keys k on k.principal = a.principal and k.key = a.key
)
"""  # noqa: S608 (an expression of our own)


_UNTAKEN: Final = " and not exists (select from clash c where c.team_id = w.id)"


# After a restore no team is written before its new epoch: what the lost history had under the same seqs is known
# outside. The first question is asked once per statement, and nearly always answers the second.
# And none by a connection from before a restore in place, which has made the tables anew (`pg_restore --clean`): who
# connects or looks next notices it (`history_sql`), and this asks whether anybody has. It reads one row, once.
_SETTLED: Final = (
    " and (not exists (select from epochs_due) or not exists (select from epochs_due d where d.team_id = w.id))"
    " and (select i.journal_oid = 'task_events'::regclass from installation i where i.id = 1)"
)


def _fence(*, keys: bool) -> str:
    untaken = _UNTAKEN if keys else ""
    return f"""
fence as (
    update teams t set seq = t.seq + w.added, top_number = greatest(t.top_number, w.top)
    from (select * from wanted order by id) w
    where t.id = w.id and t.seq = w.expected and t.epoch = w.epoch{_SETTLED}{untaken}
    returning t.id
)
"""  # noqa: S608 (made of the two texts above)


# Where settings change, or a team is new and gets its row here. New rows come before old ones, both in id order, so
# that two committers cannot deadlock; a row that another committer has made meanwhile is none of ours.
_WANTED_SETTINGS: Final = f"""
wanted as (
    select w.*, {", ".join(f"s.{name}" for name in SETTINGS[1:])}
    from (select * from unnest($1::commit_team_2[]) limit cardinality($1::commit_team_2[])) w
    left join unnest($8::commit_settings_3[]) s on s.id = w.id
)
"""  # noqa: S608 (as above)
_MADE_OR_MOVED: Final = f"""
made as (
    insert into teams (seq, top_number, {", ".join(SETTINGS)})
    select w.added, w.top, {", ".join(f"w.{name}" for name in SETTINGS)}
    from (select * from wanted order by id) w
    where w.expected = 0 and w.version is not null{_UNTAKEN}
    on conflict (id) do nothing
    returning id
), first_cursor as (
    insert into relay_cursors (team_id) select id from made on conflict (team_id) do nothing
), moved as (
    update teams t set seq = t.seq + w.added, top_number = greatest(t.top_number, w.top),
        {", ".join(f"{name} = coalesce(w.{name}, t.{name})" for name in CHANGEABLE_SETTINGS)}
    from (select * from wanted order by id) w
    where t.id = w.id and t.seq = w.expected and t.epoch = w.epoch and (select count(*) from made) >= 0
        {_SETTLED}{_UNTAKEN}
    returning t.id
), fence as (
    select id from made union all select id from moved
)
"""  # noqa: S608 (as above)

_PAYLOAD: Final = "convert_from(e.payload, 'UTF8')"
_JOURNAL: Final = f"""
journal as (
    insert into task_events ({", ".join(ROW_COLUMNS)})
    select {", ".join(_PAYLOAD if name == "payload" else f"e.{name}" for name in ROW_COLUMNS)}
    from unnest($2::commit_event_2[]) e
    where (e.team_id in (select id from fence)) is true
)
"""  # noqa: S608 (made of column names, nothing else)


def _changed(shape: Shape) -> str:
    parts = []
    for name in shape.changed:
        if name == "description":
            parts.append("description = coalesce(n.description, t.description)")
        elif name not in {"team_id", "id"}:
            parts.append(f"{name} = n.{name}")
    return f"""
changed as (
    update tasks t set {", ".join(parts)}
    from unnest($3::{_TYPES[shape.changed]}[]) n
    where t.id = n.id and t.team_id is not distinct from n.team_id and (t.team_id in (select id from fence)) is true
)
"""  # noqa: S608 (as above)


_NAMES: Final = ", ".join(TASK_ROW)
_GONE_AND_CREATED: Final = f"""
gone as (
    delete from tasks t using unnest($6::uuid[], $7::uuid[]) as d (team_id, id)
    where t.id = d.id and t.team_id is not distinct from d.team_id and (d.team_id in (select id from fence)) is true
    returning t.team_id, t.id
), gone_due as (
    insert into redactions_due (team_id, task_id, subject_id) select team_id, id, id from gone on conflict do nothing
), created as (
    insert into tasks ({_NAMES})
    select {_NAMES}
    from unnest($5::commit_task_3[]) n
    where (n.team_id in (select id from fence)) is true and (select count(*) from gone) >= 0
)
"""  # noqa: S608 (as above)
_HELD: Final = """
select w.id, (w.id in (select id from fence)) is true as held, null as key from wanted w
"""
_KEPT_AND_TAKEN: Final = f""", kept as (
    insert into idempotency_keys ({_KEY_NAMES})
    select {_KEY_NAMES} from asked a where (a.team_id in (select id from fence)) is true
)
select w.id, (w.id in (select id from fence)) is true as held,
       c.principal, c.key, c.fingerprint, c.status, c.headers, c.body, c.seq
from wanted w left join clash c on c.team_id = w.id
"""  # noqa: S608 (as above)
