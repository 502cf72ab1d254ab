"""Which tasks, in which order, from where on: one description for the answers from memory and those by SQL."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, Literal, get_args
from uuid import UUID

from msgspec import Struct

from core.task import PRIORITY_ORDER, Priority, Status, Task

SortField = Literal["created_at", "updated_at", "due_at", "priority", "number", "title", "rank", "estimate"]
SORT_FIELDS: Final[tuple[SortField, ...]] = get_args(SortField)
DEFAULT_LIMIT: Final = 50

SortKey = tuple[bool, Any, UUID]
"""(value is missing, value, task id): missing values come last in both directions, the id makes the order total."""


class TaskQuery(Struct, frozen=True, kw_only=True):
    """A list request, already checked and resolved ("me" is a user id). Empty tuples and None mean "any".

    `updated_after` includes that very moment: several tasks can have it, and not all of them may have been seen.
    `unassigned` and `no_parent` ask for the absence of a value; `after` is the sort key of the last task already seen.
    """

    status: tuple[Status, ...] = ()
    columns: tuple[UUID, ...] = ()
    assignee: UUID | None = None
    unassigned: bool = False
    labels: tuple[UUID, ...] = ()
    priority: tuple[Priority, ...] = ()
    due_before: datetime | None = None
    updated_after: datetime | None = None
    external_id: str | None = None
    external_source: str | None = None
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
        return self.matches_fields(task) and (self.q is None or is_mentioned(self.q.lower(), task, search_text(task)))

    def matches_fields(self, task: Task) -> bool:
        """Whether the task satisfies all conditions but `q`."""
        return (
            (not self.status or task.status in self.status)
            and (not self.columns or task.column_id in self.columns)
            and (self.assignee is None or task.assignee_id == self.assignee)
            and (not self.unassigned or task.assignee_id is None)
            and (not self.priority or task.priority in self.priority)
            and (not self.labels or all(label in task.label_ids for label in self.labels))
            and (self.due_before is None or (task.due_at is not None and task.due_at < self.due_before))
            and (self.updated_after is None or task.updated_at >= self.updated_after)
            and (self.external_id is None or task.external_id == self.external_id)
            and (self.external_source is None or task.external_source == self.external_source)
            and (self.parent is None or task.parent_id == self.parent)
            and (not self.no_parent or task.parent_id is None)
        )


_APART: Final = "\0"
"""No stored text holds it."""


def search_text(task: Task) -> str:
    """What `q` is looked for in, beside the key: title and description in lower case, kept apart."""
    return f"{task.title.lower()}{_APART}{task.description.lower()}"


def is_mentioned(words: str, task: Task, text: str) -> bool:
    """Whether `words`, in lower case, are in the task's `search_text` or are its whole key."""
    return (words in text and _APART not in words) or words == task.key.lower()


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
