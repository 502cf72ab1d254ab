"""Which tasks, in which order, from where on: one description for the answers from memory and those by SQL."""

import base64
import math
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, Literal, get_args
from uuid import UUID

import msgspec
from msgspec import Struct

from core.errors import BadInput
from core.task import PRIORITY_ORDER, Priority, Status, Task

SortField = Literal["created_at", "updated_at", "due_at", "priority", "number", "title", "rank", "estimate"]
SORT_FIELDS: Final[tuple[SortField, ...]] = get_args(SortField)
DEFAULT_LIMIT: Final = 50

SortKey = tuple[bool, Any, UUID]
"""(value is missing, value, task id): missing values come last in both directions, the id makes the order total."""


class TaskQuery(Struct, frozen=True, kw_only=True):
    """A list request, already checked and resolved ("me" is a user id). Empty tuples and None mean "any".

    `unassigned` and `no_parent` ask for the absence of a value; `after` is the sort key of the last task already seen.
    """

    status: tuple[Status, ...] = ()
    assignee: UUID | None = None
    unassigned: bool = False
    labels: tuple[UUID, ...] = ()
    priority: tuple[Priority, ...] = ()
    due_before: datetime | None = None
    updated_after: datetime | None = None
    parent: UUID | None = None
    no_parent: bool = False
    q: str | None = None
    archived: bool = False
    sort: SortField = "created_at"
    descending: bool = True
    limit: int = DEFAULT_LIMIT
    after: SortKey | None = None

    @property
    def filtered(self) -> bool:
        """Whether any condition beyond order and page is set."""
        plain = TaskQuery(sort=self.sort, descending=self.descending, limit=self.limit, after=self.after)
        return self != plain

    def matches(self, task: Task) -> bool:
        """Whether the task satisfies all conditions; labels: all of them; `q`: any case, in title, text or key."""
        return (
            (not self.status or task.status in self.status)
            and (self.assignee is None or task.assignee_id == self.assignee)
            and (not self.unassigned or task.assignee_id is None)
            and (not self.priority or task.priority in self.priority)
            and (not self.labels or all(label in task.label_ids for label in self.labels))
            and (self.due_before is None or (task.due_at is not None and task.due_at < self.due_before))
            and (self.updated_after is None or task.updated_at > self.updated_after)
            and (self.parent is None or task.parent_id == self.parent)
            and (not self.no_parent or task.parent_id is None)
            and (self.q is None or self._mentions(task, self.q.lower()))
        )

    @staticmethod
    def _mentions(task: Task, words: str) -> bool:
        return words in task.title.lower() or words in task.description.lower() or words == task.key.lower()


_VALUES: Final[dict[SortField, Callable[[Task], Any]]] = {
    "created_at": lambda task: task.created_at,
    "updated_at": lambda task: task.updated_at,
    "due_at": lambda task: task.due_at,
    "priority": lambda task: PRIORITY_ORDER[task.priority],
    "number": lambda task: task.number,
    "title": lambda task: task.title,
    "rank": lambda task: task.rank,
    "estimate": lambda task: task.estimate,
}


def sort_key(task: Task, field: SortField) -> SortKey:
    """The task's place in the order by `field`, ascending; times in UTC, priority as 0 (none) to 4 (urgent)."""
    value = _VALUES[field](task)
    return (value is None, value if value is not None else 0, task.id)


class _Cursor(Struct, array_like=True):
    sort: SortField
    descending: bool
    missing: bool
    value: Any
    id: UUID


_encode_cursor = msgspec.msgpack.Encoder().encode
_decode_cursor = msgspec.msgpack.Decoder(_Cursor).decode
_TIMES: Final = frozenset({"created_at", "updated_at", "due_at"})
_TEXTS: Final = frozenset({"title", "rank"})


def cursor_after(key: SortKey, sort: SortField, *, descending: bool) -> str:
    """An opaque token for the page after the task with this sort key: URL-safe, no padding."""
    cursor = _Cursor(sort, descending, key[0], key[1], key[2])
    return base64.urlsafe_b64encode(_encode_cursor(cursor)).rstrip(b"=").decode()


def read_cursor(token: str, sort: SortField, *, descending: bool) -> SortKey:
    """The sort key in a token of `cursor_after`. Raises BadInput for a forged one or one of another order."""
    try:
        raw = base64.urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        cursor = _decode_cursor(raw)
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise _forged() from error
    if (cursor.sort, cursor.descending) != (sort, descending):
        raise BadInput("This cursor belongs to another sort order.", parameter="cursor")
    value = cursor.value
    fits = (type(value) is int and value == 0) if cursor.missing else _fits(value, sort)
    if not fits:
        raise _forged()
    return (cursor.missing, value, cursor.id)


def _fits(value: Any, sort: SortField) -> bool:
    """Whether `value` compares with the field's values in memory, and can be sent to Postgres as its column's type."""
    if sort in _TIMES:
        return isinstance(value, datetime)
    if sort in _TEXTS:
        return isinstance(value, str) and "\0" not in value
    if isinstance(value, bool):
        return False
    if sort == "estimate":
        return isinstance(value, int | float) and math.isfinite(value)
    return isinstance(value, int) and abs(value) < 2**31


def _forged() -> BadInput:
    return BadInput("This cursor is not one of ours.", parameter="cursor")
