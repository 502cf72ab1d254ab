"""`core.query.TaskQuery` as SQL: the same tasks in the same order as its `matches` and `sort_key` say."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

from core.query import APART, CHOICES, SortField, TaskQuery
from core.task import PRIORITY_ORDER
from core.text import fold_search
from db.journal.sql import TASK_COLUMNS, TASK_SELECT

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
    "due_at": _Order("t.due_at", "timestamptz", nullable=True),
    "priority": _Order(f"(case t.priority {_PRIORITY} end)", "integer"),
    "number": _Order("t.number", "bigint"),
    "title": _Order("t.title", "text"),
    "rank": _Order("t.rank", "text"),
    "estimate": _Order("t.estimate", "double precision", nullable=True),
}


class _Arguments(list[Any]):
    """Collects arguments and gives the placeholder of each."""

    def add(self, value: Any, kind: str) -> str:
        self.append(value)
        return f"${len(self)}::{kind}"


_DOCUMENTS: Final = "left join search_documents d on d.team_id = t.team_id and d.task_id = t.id"
_IS_WRITTEN: Final = "d.seq is not distinct from t.version"
"""Whether the document is of the task as it is now. The texts of all others are folded by whoever searches."""


def select_tasks(
    user_id: UUID, query: TaskQuery, team_id: UUID | None, unwritten: Collection[UUID] = ()
) -> tuple[str, list[Any]]:
    """The statement and its arguments; rows as `journal_rows.task_of` reads them, then `team_key`.

    One row more than `query.limit` is asked for, so that the caller knows whether there is a next page. `unwritten` are
    tasks that `q` is found in although no document says so.
    """
    arguments = _Arguments()
    source, conditions = _source(user_id, query, team_id, arguments)
    if query.q is not None:
        source += f" {_DOCUMENTS}"
        conditions.append(_mentions(query.q, unwritten, arguments))
    direction = "desc" if query.descending else "asc"
    parts = (
        f"select {TASK_SELECT}, g.key as team_key {source} where {' and '.join(conditions)}",
        f"order by {_ORDERS[query.sort].expression} {direction} nulls last, t.id {direction}",
        f"limit {arguments.add(query.limit + 1, 'integer')}",
    )
    return " ".join(parts), arguments


def select_unwritten(user_id: UUID, query: TaskQuery, team_id: UUID | None) -> tuple[str, list[Any]]:
    """The tasks that satisfy everything but `q` and have no document of their version: `team_id` and `id`."""
    arguments = _Arguments()
    source, conditions = _source(user_id, query, team_id, arguments)
    conditions.append(f"not {_IS_WRITTEN}")
    return f"select t.team_id, t.id {source} {_DOCUMENTS} where {' and '.join(conditions)}", arguments


def _source(user_id: UUID, query: TaskQuery, team_id: UUID | None, arguments: _Arguments) -> tuple[str, list[str]]:
    """Where tasks come from, seen by this user, and the conditions on them."""
    scope = f"m.team_id = t.team_id and m.user_id = {arguments.add(user_id, 'uuid')}"
    conditions = _conditions(query, arguments)
    if team_id is not None:
        conditions.append(f"t.team_id = {arguments.add(team_id, 'uuid')}")
    return f"from tasks t join memberships m on {scope} join teams g on g.id = t.team_id", conditions


def _mentions(text: str, unwritten: Collection[UUID], arguments: _Arguments) -> str:
    words = fold_search(text)
    if not is_storable(words) or APART in words:
        return "false"
    needle = arguments.add(words, "text")
    found = f"({_IS_WRITTEN} and strpos(d.text, {needle}) > 0) or lower(g.key || '-' || t.number) = {needle}"
    return f"({found} or t.id = any({arguments.add(list(unwritten), 'uuid[]')}))"


def _conditions(query: TaskQuery, arguments: _Arguments) -> list[str]:
    found = [f"t.archived_at is {'not null' if query.archived else 'null'}"]
    found += [*_choices(query, arguments), *_labels(query, arguments)]
    if query.due_before is not None:
        found.append(f"t.due_at < {arguments.add(query.due_before, 'timestamptz')}")
    if query.updated_after is not None:
        found.append(f"t.updated_at >= {arguments.add(query.updated_after, 'timestamptz')}")
    if query.external_id is not None:
        found.append(_equals("t.external_id", query.external_id, arguments))
    if query.external_source is not None:
        found.append(_equals("t.external_source", query.external_source, arguments))
    if query.after is not None:
        found.append(_after(query, arguments))
    return found


def _choices(query: TaskQuery, arguments: _Arguments) -> Iterator[str]:
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


def _labels(query: TaskQuery, arguments: _Arguments) -> Iterator[str]:
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


def _equals(column: str, text: str, arguments: _Arguments) -> str:
    return f"{column} = {arguments.add(text, 'text')}" if is_storable(text) else "false"


def is_storable(text: str) -> bool:
    """No stored text holds the NUL character or lone surrogates."""
    return "\0" not in text and text.encode("utf-8", "surrogatepass").decode("utf-8", "replace") == text


def _after(query: TaskQuery, arguments: _Arguments) -> str:
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
