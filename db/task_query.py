"""`core.query.TaskQuery` as SQL: the same tasks in the same order as its `matches` and `sort_key` say."""

from typing import Any, Final, NamedTuple
from uuid import UUID

from core.query import SortField, TaskQuery
from core.task import PRIORITY_ORDER
from db.journal.sql import TASK_SELECT

__all__ = ["select_tasks"]


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

# Full case mapping, as Python's str.lower(). The needle was lowered by Python.
_MENTIONS: Final = """(
    strpos(lower(t.title collate pg_unicode_fast), {q}) > 0
    or strpos(lower(t.description collate pg_unicode_fast), {q}) > 0
    or lower(g.key || '-' || t.number) = {q}
)"""


class _Arguments(list[Any]):
    """Collects arguments and gives the placeholder of each."""

    def add(self, value: Any, kind: str) -> str:
        self.append(value)
        return f"${len(self)}::{kind}"


def select_tasks(user_id: UUID, query: TaskQuery, team_id: UUID | None) -> tuple[str, list[Any]]:
    """The statement and its arguments; rows as `journal_rows.task_of` reads them, then `team_key`.

    One row more than `query.limit` is asked for, so that the caller knows whether there is a next page.
    """
    arguments = _Arguments()
    scope = f"m.team_id = t.team_id and m.user_id = {arguments.add(user_id, 'uuid')}"
    conditions = _conditions(query, arguments)
    if team_id is not None:
        conditions.append(f"t.team_id = {arguments.add(team_id, 'uuid')}")
    direction = "desc" if query.descending else "asc"
    parts = (
        f"select {TASK_SELECT}, g.key as team_key from tasks t join memberships m on {scope}",  # noqa: S608
        "join teams g on g.id = t.team_id",
        f"where {' and '.join(conditions)}",
        f"order by {_ORDERS[query.sort].expression} {direction} nulls last, t.id {direction}",
        f"limit {arguments.add(query.limit + 1, 'integer')}",
    )
    return " ".join(parts), arguments


def _conditions(query: TaskQuery, arguments: _Arguments) -> list[str]:
    found = [f"t.archived_at is {'not null' if query.archived else 'null'}"]
    if query.status:
        found.append(f"t.status = any({arguments.add(query.status, 'text[]')})")
    if query.priority:
        found.append(f"t.priority = any({arguments.add(query.priority, 'text[]')})")
    if query.assignee is not None:
        found.append(f"t.assignee_id = {arguments.add(query.assignee, 'uuid')}")
    if query.unassigned:
        found.append("t.assignee_id is null")
    if query.columns:
        found.append(f"t.column_id = any({arguments.add(list(query.columns), 'uuid[]')})")
    if query.labels:
        found.append(f"t.label_ids @> {arguments.add(query.labels, 'uuid[]')}")
    if query.due_before is not None:
        found.append(f"t.due_at < {arguments.add(query.due_before, 'timestamptz')}")
    if query.updated_after is not None:
        found.append(f"t.updated_at >= {arguments.add(query.updated_after, 'timestamptz')}")
    if query.external_id is not None:
        found.append(_equals("t.external_id", query.external_id, arguments))
    if query.external_source is not None:
        found.append(_equals("t.external_source", query.external_source, arguments))
    if query.parent is not None:
        found.append(f"t.parent_id = {arguments.add(query.parent, 'uuid')}")
    if query.no_parent:
        found.append("t.parent_id is null")
    if query.q is not None:
        found.append(_mentions(query.q, arguments))
    if query.after is not None:
        found.append(_after(query, arguments))
    return found


def _equals(column: str, text: str, arguments: _Arguments) -> str:
    return f"{column} = {arguments.add(text, 'text')}" if _is_storable(text) else "false"


def _is_storable(text: str) -> bool:
    """No stored text holds the NUL character or lone surrogates."""
    return "\0" not in text and text.encode("utf-8", "surrogatepass").decode("utf-8", "replace") == text


def _mentions(text: str, arguments: _Arguments) -> str:
    if not _is_storable(text.lower()):
        return "false"
    return _MENTIONS.format(q=arguments.add(text.lower(), "text"))


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
