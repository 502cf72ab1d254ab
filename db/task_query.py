"""`core.query.TaskQuery` as SQL: the same tasks in the same order as its `matches` and `sort_key` say."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import tzinfo
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

from msgspec import structs

from core.query import APART, CHOICES, SortField, TaskQuery, words_of
from core.task import PRIORITY_ORDER
from db.arguments import Arguments
from db.journal.sql import TASK_COLUMNS, TASK_SELECT
from db.task_times import DUE_MOMENT, due_days_join, time_conditions
from db.zones import DueDays

__all__ = ["select_tasks", "select_unwritten"]

T = TypeVar("T")


class _Order(NamedTuple):
    """How a field sorts: an expression over `t`, its type, and whether it can be missing."""

    expression: str
    kind: str
    nullable: bool = False


_PRIORITY: Final = " ".join(f"when '{name}' then {order}" for name, order in PRIORITY_ORDER.items())

_ORDERS: Final[dict[SortField, _Order]] = {
    "created_at": _Order("t.created_at", "timestamptz"),
    "updated_at": _Order("t.updated_at", "timestamptz"),
    "due_at": _Order(DUE_MOMENT, "timestamptz", nullable=True),
    "priority": _Order(f"(case t.priority {_PRIORITY} end)", "integer"),
    "number": _Order("t.number", "bigint"),
    "title": _Order("t.title", "text"),
    "rank": _Order("t.rank", "text"),
    "estimate": _Order("t.estimate", "double precision", nullable=True),
}


_KEY: Final = "g.key || '-' || t.number"
_DOCUMENTS: Final = "left join search_documents d on d.team_id = t.team_id and d.task_id = t.id"
_IS_WRITTEN: Final = "d.seq is not distinct from t.version"
"""Whether the document is of the task as it is now. The texts of all others are folded by whoever searches."""


class _Source(NamedTuple):
    """Where tasks come from, seen by a user, and the conditions on them."""

    tables: list[str]
    conditions: list[str]


def select_tasks(
    user_id: UUID,
    query: TaskQuery,
    team_id: UUID | None,
    zones: Mapping[str, tzinfo],
    due_days: DueDays,
    unwritten: Collection[UUID] = (),
) -> tuple[str, list[Any]]:
    """The statement and its arguments; rows as `journal_rows.task_of` reads them, then `team_key` and `time_zone`.

    `zones` are those of the user's teams where the query is `timed`, `due_days` those of their tasks where it sorts by
    `due_at`; `unwritten` are tasks that `q` is found in although no document says so. One row more than `query.limit`
    is asked for, so that the caller knows whether there is a next page.
    """
    arguments = Arguments()
    tables, conditions = _source(user_id, query, team_id, zones, arguments)
    if query.q is not None:
        tables.append(_DOCUMENTS)
        conditions.append(_mentions(query.q, unwritten, arguments))
    if query.sort == "due_at":
        tables.append(due_days_join(due_days, arguments))
    direction = "desc" if query.descending else "asc"
    parts = (
        f"select {TASK_SELECT}, g.key as team_key, g.time_zone {' '.join(tables)} where {' and '.join(conditions)}",
        f"order by {_ORDERS[query.sort].expression} {direction} nulls last, t.id {direction}",
        f"limit {arguments.add(query.limit + 1, 'integer')}",
    )
    return " ".join(parts), arguments


def select_unwritten(
    user_id: UUID, query: TaskQuery, team_id: UUID | None, zones: Mapping[str, tzinfo]
) -> tuple[str, list[Any]]:
    """The tasks that satisfy all but `q`, on any page, and have no document of their version: team, id and key."""
    arguments = Arguments()
    tables, conditions = _source(user_id, structs.replace(query, after=None), team_id, zones, arguments)
    tables.append(_DOCUMENTS)
    conditions.append(f"not {_IS_WRITTEN}")
    return f"select t.team_id, t.id, {_KEY} as key {' '.join(tables)} where {' and '.join(conditions)}", arguments


def _source(
    user_id: UUID, query: TaskQuery, team_id: UUID | None, zones: Mapping[str, tzinfo], arguments: Arguments
) -> _Source:
    scope = f"m.team_id = t.team_id and m.user_id = {arguments.add(user_id, 'uuid')}"
    tables = [f"from tasks t join memberships m on {scope} join teams g on g.id = t.team_id"]
    conditions = _conditions(query, arguments)
    if query.timed:
        bounds, timed = time_conditions(query, zones, arguments)
        tables.append(bounds)
        conditions += timed
    if team_id is not None:
        conditions.append(f"t.team_id = {arguments.add(team_id, 'uuid')}")
    return _Source(tables, conditions)


def _mentions(text: str, unwritten: Collection[UUID], arguments: Arguments) -> str:
    words = words_of(text)
    if not words or not all(is_storable(word) and APART not in word for word in words):
        return "false"
    needles = [arguments.add(word, "text") for word in words]
    there = " and ".join(f"(strpos(d.text, {needle}) > 0 or lower({_KEY}) = {needle})" for needle in needles)
    return f"(({_IS_WRITTEN} and {there}) or t.id = any({arguments.add(list(unwritten), 'uuid[]')}))"


def _conditions(query: TaskQuery, arguments: Arguments) -> list[str]:
    found = [f"t.archived_at is {'not null' if query.archived else 'null'}"]
    found += [*_choices(query, arguments), *_labels(query, arguments)]
    if query.changed_since is not None:
        found.append(f"t.version > {arguments.add(query.changed_since, 'bigint')}")
    if query.external_id is not None:
        found.append(_equals("t.external_id", query.external_id, arguments))
    if query.external_source is not None:
        found.append(_equals("t.external_source", query.external_source, arguments))
    if query.after is not None:
        found.append(_after(query, arguments))
    return found


def _choices(query: TaskQuery, arguments: Arguments) -> Iterator[str]:
    """Any of these, or none of these; None among them is a missing value."""
    for name, field in CHOICES.items():
        column, kind = f"t.{field}", f"{TASK_COLUMNS[field]}[]"
        if wanted := getattr(query, name):
            there = f"{column} = any({arguments.add(_present(wanted), kind)})"
            yield f"({there} or {column} is null)" if None in wanted else there
        if unwanted := getattr(query, f"{name}_not"):
            yield f"({column} = any({arguments.add(_present(unwanted), kind)})) is not true"
            if None in unwanted:
                yield f"{column} is not null"


def _labels(query: TaskQuery, arguments: Arguments) -> Iterator[str]:
    if wanted := query.labels:
        yield f"t.label_ids @> {arguments.add(_present(wanted), 'uuid[]')}"
        if None in wanted:
            yield "t.label_ids = '{}'" if len(wanted) == 1 else "false"
    if unwanted := query.labels_not:
        yield f"not t.label_ids && {arguments.add(_present(unwanted), 'uuid[]')}"
        if None in unwanted:
            yield "t.label_ids <> '{}'"


def _present(values: Sequence[T | None]) -> list[T]:
    return [value for value in values if value is not None]


def _equals(column: str, text: str, arguments: Arguments) -> str:
    return f"{column} = {arguments.add(text, 'text')}" if is_storable(text) else "false"


def is_storable(text: str) -> bool:
    """No stored text holds the NUL character or lone surrogates."""
    return "\0" not in text and text.encode("utf-8", "surrogatepass").decode("utf-8", "replace") == text


def _after(query: TaskQuery, arguments: Arguments) -> str:
    """What comes after the cursor; missing values come last in both directions."""
    assert query.after is not None
    missing, value, task_id = query.after
    order, sign = _ORDERS[query.sort], "<" if query.descending else ">"
    last = arguments.add(task_id, "uuid")
    if missing:
        return f"({order.expression} is null and t.id {sign} {last})"
    if order.kind == "double precision":
        value = float(value)
    further = f"({order.expression}, t.id) {sign} ({arguments.add(value, order.kind)}, {last})"
    return f"({further} or {order.expression} is null)" if order.nullable else further
