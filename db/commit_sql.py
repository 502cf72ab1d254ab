"""The heart of the product: a group commit in one statement and one round trip, in the few shapes that commits have."""

from collections.abc import Iterable
from functools import cache
from typing import Final

from msgspec import Struct

from db.journal_sql import TASK_COLUMNS

__all__ = [
    "ALWAYS",
    "CHANGEABLE",
    "JOINED",
    "KEY_COLUMNS",
    "PLACE",
    "ROW_COLUMNS",
    "SHAPES",
    "SHARED_BY_ROWS",
    "SHARED_BY_TASKS",
    "TEXT",
    "Shape",
    "shape_for",
    "statement_of",
]

# What a later event may change. Everything else is written once, when the task is created.
CHANGEABLE: Final = tuple(name for name in TASK_COLUMNS if name not in {"number", "created_by", "created_at"})
ALWAYS: Final = ("team_id", "id", "updated_at", "version")
# The commonest changes. What starts with a commit, column by column and part by part, costs more than 64 of its rows.
TEXT: Final = (*ALWAYS, "title", "description")
PLACE: Final = (*ALWAYS, "status", "rank", "completed_at")

_NULLABLE: Final = frozenset(
    {"assignee_id", "due_at", "estimate", "parent_id", "external_id", "external_source", "completed_at", "archived_at"}
)
# Often equal for all tasks of a commit; never null.
SHARED_BY_TASKS: Final = frozenset({"team_id", "status", "priority", "updated_at"})

ROW_COLUMNS: Final = {
    "team_id": "uuid",
    "seq": "bigint",
    "type": "text",
    "subject_id": "uuid",
    "actor_id": "uuid",
    "at": "timestamptz",
    "traceparent": "text",
    "payload": "json",
}
# The same for the rows of the journal.
SHARED_BY_ROWS: Final = frozenset({"team_id", "type", "actor_id", "at", "traceparent"})
KEY_COLUMNS: Final = {
    "principal": "uuid",
    "key": "text",
    "team_id": "uuid",
    "fingerprint": "bytea",
    "status": "smallint",
    "headers": "json",
    "body": "bytea",
    "seq": "bigint",
}
# What has no comma in it and is never empty.
JOINED: Final = frozenset({"uuid", "bigint", "integer", "timestamptz", "double precision"})


class Shape(Struct, frozen=True):
    """Which parts a commit has: the task columns it may change, idempotency keys, new or deleted tasks."""

    changed: tuple[str, ...]
    keys: bool
    creates: bool


SHAPES: Final = (
    *(Shape(changed, keys, False) for changed in (TEXT, PLACE, CHANGEABLE) for keys in (False, True)),
    Shape(CHANGEABLE, True, True),
)


def shape_for(touched: Iterable[str], *, keys: bool, creates: bool) -> Shape:
    """The smallest shape with all these parts. There are seven: each is planned once per connection, and kept."""
    if creates:
        return SHAPES[-1]
    wanted = set(touched).intersection(CHANGEABLE)
    return next(shape for shape in SHAPES if shape.keys == keys and wanted.issubset(shape.changed))


@cache
def statement_of(shape: Shape) -> str:
    """The commit statement of a shape. It answers with (id, held) of each team, and with keys that were taken.

    Parameters, in this order: of the teams id, expected seq, number of events, highest new task number; the columns of
    journal rows; where there are keys, those of idempotency rows; the changed columns of changed tasks; where tasks
    come and go, team and id of deleted tasks and all columns of new ones. A column is an array; where its type is one
    of `JOINED` it is a text of its values, joined by commas, because the driver examines each element of an array for
    longer than all else takes. What rows often share (`SHARED_BY_ROWS`, `SHARED_BY_TASKS`) is two parameters: the value
    of all, and the column; one of them is null.

    Everything is written only for teams in `fence`, those whose seq was as expected: where another committer was
    faster, the update waits for its end and then checks the seq of the newest row. It takes its rows in id order, so
    that two committers cannot deadlock. "(… in …) is true" is looked up in a hash table; a plain "in" would be a nested
    loop. `gone` is counted before tasks are inserted, so that a new task may take over the external id of one that the
    same batch deletes.

    A task is looked up by its id alone: `is not distinct from` keeps the team out of the choice of an index. While the
    tables have no statistics every index that begins with the team looks as good as the primary key, and the plan, made
    once per connection, walked all tasks of the team for each change.
    """
    take = _Parameters()
    parts = [_WANTED.format(*map(take.column, ("uuid", "bigint", "bigint", "bigint")))]
    journal = _journal(take)
    if shape.keys:
        parts.append(_ASKED.format(", ".join(map(take.column, KEY_COLUMNS.values()))))
    parts += [_fence(keys=shape.keys), journal, _changed(shape.changed, take)]
    if shape.creates:
        deleted = [take.column("uuid"), take.column("uuid")]
        parts.append(_GONE_AND_CREATED.format(*deleted, created=", ".join(map(take.task_column, TASK_COLUMNS))))
    text = "with " + ", ".join(part.strip() for part in parts)
    return text + (_KEPT_AND_TAKEN if shape.keys else _HELD)


class _Parameters:
    """Numbers the parameters as they are taken."""

    def __init__(self) -> None:
        self.count = 0

    def value(self, kind: str) -> str:
        """One value."""
        self.count += 1
        return f"${self.count}::{kind}"

    def column(self, kind: str) -> str:
        """An array with a value for each row."""
        if kind in JOINED:
            return f"string_to_array({self.value('text')}, ',', '')::{kind}[]"
        return self.value(f"{kind}[]")

    def task_column(self, name: str) -> str:
        """There are no arrays of arrays: such columns travel as text."""
        kind = TASK_COLUMNS[name]
        return self.column("text" if kind.endswith("[]") else kind)


_WANTED: Final = """
wanted as (
    select * from unnest({0}, {1}, {2}, {3}) as w (id, expected, added, top)
)
"""
_KEY_NAMES: Final = ", ".join(KEY_COLUMNS)
_ASKED: Final = f"""
asked as (
    select * from unnest({{0}}) as a ({_KEY_NAMES})
), clash as materialized (
    select a.team_id, k.principal, k.key, k.fingerprint, k.status, k.headers, k.body, k.seq
    from asked a join idempotency_keys k on k.principal = a.principal and k.key = a.key
)
"""  # noqa: S608 (made of column names, nothing else)


def _fence(*, keys: bool) -> str:
    untaken = " and not exists (select from clash c where c.team_id = w.id)" if keys else ""
    return f"""
fence as (
    update teams t set seq = t.seq + w.added, top_number = greatest(t.top_number, w.top)
    from (select * from wanted order by id) w
    where t.id = w.id and t.seq = w.expected{untaken}
    returning t.id
)
"""  # noqa: S608 (made of the two texts above)


def _journal(take: _Parameters) -> str:
    columns, values = list[str](), dict[str, str]()
    for name, kind in ROW_COLUMNS.items():
        values[name] = f"coalesce(e.{name}, {take.value(kind)})" if name in SHARED_BY_ROWS else f"e.{name}"
        columns.append(take.column(kind))
    names = ", ".join(ROW_COLUMNS)
    return f"""
journal as (
    insert into task_events ({names})
    select {", ".join(values.values())}
    from unnest({", ".join(columns)}) as e ({names})
    where ({values["team_id"]} in (select id from fence)) is true
)
"""  # noqa: S608 (made of column names, nothing else)


def _changed(names: tuple[str, ...], take: _Parameters) -> str:
    """A column without any parameter keeps its values: nobody in the commit changed it."""
    columns, parts, team_id = list[str](), list[str](), "n.team_id"
    for name in names:
        shared = take.value(TASK_COLUMNS[name]) if name in SHARED_BY_TASKS else None
        column = take.task_column(name)
        columns.append(column)
        if name == "team_id":
            team_id = f"coalesce(n.team_id, {shared})"
        elif shared is not None:
            parts.append(f"{name} = coalesce(n.{name}, {shared}, t.{name})")
        elif name in _NULLABLE:
            parts.append(f"{name} = case when ${take.count} is null then t.{name} else {_value(name)} end")
        elif name != "id":
            parts.append(f"{name} = coalesce({_value(name)}, t.{name})")
    return f"""
changed as (
    update tasks t set {", ".join(parts)}
    from unnest({", ".join(columns)}) as n ({", ".join(names)})
    where t.id = n.id and t.team_id is not distinct from {team_id} and (t.team_id in (select id from fence)) is true
)
"""  # noqa: S608 (as above)


def _value(name: str) -> str:
    return f"n.{name}::{TASK_COLUMNS[name]}" if TASK_COLUMNS[name].endswith("[]") else f"n.{name}"


_NAMES: Final = ", ".join(TASK_COLUMNS)
_VALUES: Final = ", ".join(map(_value, TASK_COLUMNS))
_GONE_AND_CREATED: Final = f"""
gone as (
    delete from tasks t using unnest({{0}}, {{1}}) as d (team_id, id)
    where t.id = d.id and t.team_id is not distinct from d.team_id and (d.team_id in (select id from fence)) is true
    returning t.id
), created as (
    insert into tasks ({_NAMES})
    select {_VALUES}
    from unnest({{created}}) as n ({_NAMES})
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
