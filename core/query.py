"""Which tasks, in which order, from where on: one description for the answers from memory and those by SQL."""

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import Any, Final, Literal, get_args
from uuid import UUID

from msgspec import Struct

from core.calendar import due_moment
from core.task import PRIORITY_ORDER, Priority, Status, Task
from core.windows import When, Window, window_of

SortField = Literal["created_at", "updated_at", "due_at", "priority", "number", "title", "rank", "estimate"]
SORT_FIELDS: Final[tuple[SortField, ...]] = get_args(SortField)
DEFAULT_LIMIT: Final = 50

SortKey = tuple[bool, Any, UUID]
"""(value is missing, value, task id): missing values come last in both directions, the id makes the order total."""


class TaskQuery(Struct, frozen=True, kw_only=True):
    """A list request, already checked and resolved ("me" is a user id). Empty tuples and None mean "any".

    `updated_after` includes that very moment: several tasks can have it, and not all of them may have been seen. So do
    its likes; each of these takes a date or an instant (`core.windows`). `zone` is the team's, in which dates are
    judged and `due_at` orders, `now` is there with `overdue`. `changed_since` leaves out what has not changed after
    that `seq` of its team.
    `unassigned` and `no_parent` ask for the absence of a value; `after` is the sort key of the last task already seen.
    """

    status: tuple[Status, ...] = ()
    assignee: UUID | None = None
    unassigned: bool = False
    labels: tuple[UUID, ...] = ()
    priority: tuple[Priority, ...] = ()
    due_before: When | None = None
    due_after: When | None = None
    due_on: When | None = None
    created_before: When | None = None
    created_after: When | None = None
    updated_before: When | None = None
    updated_after: When | None = None
    completed_before: When | None = None
    completed_after: When | None = None
    changed_since: int | None = None
    overdue: bool | None = None
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
    zone: tzinfo = UTC
    now: datetime | None = None

    @property
    def filtered(self) -> bool:
        """Whether any condition beyond order and page is set."""
        plain = TaskQuery(
            sort=self.sort,
            descending=self.descending,
            limit=self.limit,
            after=self.after,
            zone=self.zone,
            now=self.now,
        )
        return self != plain

    @property
    def timed(self) -> bool:
        """Whether any condition is about times."""
        return self.overdue is not None or any(getattr(self, name) is not None for name in TIMES)

    @property
    def zoned(self) -> bool:
        """Whether the answer depends on the team's time zone, or on what time it is."""
        if self.sort == "due_at" or self.overdue is not None:
            return True
        given = [(name, when) for name in TIMES if (when := getattr(self, name)) is not None]
        return any(name.startswith("due_") or not isinstance(when, datetime) for name, when in given)

    def window(self, zone: tzinfo) -> Window:
        """What is asked of times, in a zone."""
        return window_of(
            zone,
            created=(self.created_after, self.created_before),
            updated=(self.updated_after, self.updated_before),
            completed=(self.completed_after, self.completed_before),
            due=(self.due_after, self.due_before),
            due_on=self.due_on,
            overdue=self.overdue,
            now=self.now,
        )

    def matches(self, task: Task) -> bool:
        """Whether the task satisfies all conditions; labels: all of them; `q`: any case, in title, text or key."""
        mentioned = self.q is None or is_mentioned(self.q.lower(), task, search_text(task))
        return mentioned and self.field_condition()(task)

    def field_condition(self) -> Callable[[Task], bool]:
        """Says of a task whether it satisfies all conditions but `q`; for many tasks, so that days are found once."""
        if not self.timed:
            return self._matches_untimed
        window = self.window(self.zone)
        return lambda task: self._matches_untimed(task) and window.holds(task)

    def _matches_untimed(self, task: Task) -> bool:
        return (
            (not self.status or task.status in self.status)
            and (self.assignee is None or task.assignee_id == self.assignee)
            and (not self.unassigned or task.assignee_id is None)
            and (not self.priority or task.priority in self.priority)
            and (not self.labels or all(label in task.label_ids for label in self.labels))
            and (self.changed_since is None or task.version > self.changed_since)
            and (self.external_id is None or task.external_id == self.external_id)
            and (self.external_source is None or task.external_source == self.external_source)
            and (self.parent is None or task.parent_id == self.parent)
            and (not self.no_parent or task.parent_id is None)
        )


TIMES: Final = (
    *("due_before", "due_after", "due_on", "created_before", "created_after"),
    *("updated_before", "updated_after", "completed_before", "completed_after"),
)


_APART: Final = "\0"
"""No stored text holds it."""


def search_text(task: Task) -> str:
    """What `q` is looked for in, beside the key: title and description in lower case, kept apart."""
    return f"{task.title.lower()}{_APART}{task.description.lower()}"


def is_mentioned(words: str, task: Task, text: str) -> bool:
    """Whether `words`, in lower case, are in the task's `search_text` or are its whole key."""
    return (words in text and _APART not in words) or words == task.key.lower()


_VALUES: Final[dict[str, Callable[[Task], Any]]] = {
    "created_at": lambda task: task.created_at,
    "updated_at": lambda task: task.updated_at,
    "priority": lambda task: PRIORITY_ORDER[task.priority],
    "number": lambda task: task.number,
    "title": lambda task: task.title,
    "rank": lambda task: task.rank,
    "estimate": lambda task: task.estimate,
}


def sort_key(task: Task, field: SortField, zone: tzinfo = UTC) -> SortKey:
    """The task's place in the order by `field`, ascending; times in UTC, priority as 0 (none) to 4 (urgent).

    By `due_at` tasks are ordered that are due on a date, too: by the last moment of that day in the team's `zone`.
    """
    value = due_moment(task.due_at, task.due_on, zone) if field == "due_at" else _VALUES[field](task)
    return (value is None, value if value is not None else 0, task.id)
