"""Which tasks, in which order, from where on: one description for the answers from memory and those by SQL."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, tzinfo
from functools import partial
from operator import attrgetter
from typing import Any, Final, Literal, get_args
from uuid import UUID

from msgspec import Struct

from core.calendar import due_moment
from core.task import PRIORITY_ORDER, Priority, Status, Task
from core.text import fold_search
from core.windows import When, Window, window_of

SortField = Literal["created_at", "updated_at", "due_at", "priority", "number", "title", "rank", "estimate"]
SORT_FIELDS: Final[tuple[SortField, ...]] = get_args(SortField)
DEFAULT_LIMIT: Final = 50

SortKey = tuple[bool, Any, UUID]
"""(value is missing, value, task id): missing values come last in both directions, the id makes the order total."""


class TaskQuery(Struct, frozen=True, kw_only=True):
    """A list request, already checked and resolved ("me" is a user id). Empty tuples and None mean "any".

    Of `status`, `column`, `priority`, `assignee` and `parent` any will do, and None among them is a field without a
    value. The `labels` must all be there, and None asks for a task without any. What ends with `_not` must be none of
    these; a missing value is none of any given ones. `changed_since` leaves out what has not changed after that `seq`.
    `updated_after` includes that very moment: several tasks can have it, and not all of them may have been seen. So do
    its likes; each of these takes a date or an instant (`core.windows`). `zone` is the team's, in which dates are
    judged and `due_at` orders, `now` is there with `overdue`. `after` is the sort key of the last task already seen.
    """

    status: tuple[Status, ...] = ()
    status_not: tuple[Status, ...] = ()
    column: tuple[UUID | None, ...] = ()
    column_not: tuple[UUID | None, ...] = ()
    priority: tuple[Priority, ...] = ()
    priority_not: tuple[Priority, ...] = ()
    assignee: tuple[UUID | None, ...] = ()
    assignee_not: tuple[UUID | None, ...] = ()
    parent: tuple[UUID | None, ...] = ()
    parent_not: tuple[UUID | None, ...] = ()
    labels: tuple[UUID | None, ...] = ()
    labels_not: tuple[UUID | None, ...] = ()
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

    def matches(self, task: Task, comments: Sequence[str] = ()) -> bool:
        """Whether the task satisfies all conditions; `q`: each of its words, as `is_mentioned` looks for them."""
        if not all(condition(task) for condition in conditions(self)):
            return False
        return self.q is None or is_mentioned(words_of(self.q), task.key, search_text(task, comments))


TIMES: Final = (
    *("due_before", "due_after", "due_on", "created_before", "created_after"),
    *("updated_before", "updated_after", "completed_before", "completed_after"),
)
CHOICES: Final = {
    "status": "status",
    "column": "column_id",
    "priority": "priority",
    "assignee": "assignee_id",
    "parent": "parent_id",
}
"""The filters of which any value will do, by the field of the task that they are about."""


def conditions(query: TaskQuery) -> list[Callable[[Task], bool]]:
    """What a task must satisfy beside `q`: made once for a query, and only what the query says."""
    found = [*_choices(query), *_labels(query)]
    if query.timed:
        found.append(query.window(query.zone).holds)
    if (since := query.changed_since) is not None:
        found.append(lambda task: task.version > since)
    if (external := query.external_id) is not None:
        found.append(lambda task: task.external_id == external)
    if (source := query.external_source) is not None:
        found.append(lambda task: task.external_source == source)
    return found


def _choices(query: TaskQuery) -> Iterator[Callable[[Task], bool]]:
    for name, field in CHOICES.items():
        value = attrgetter(field)
        if wanted := frozenset(getattr(query, name)):
            yield partial(_is_among, value, wanted)
        if unwanted := frozenset(getattr(query, f"{name}_not")):
            yield partial(_is_not_among, value, unwanted)


def _is_among(value: Callable[[Task], Any], wanted: frozenset[Any], task: Task) -> bool:
    return value(task) in wanted


def _is_not_among(value: Callable[[Task], Any], unwanted: frozenset[Any], task: Task) -> bool:
    return value(task) not in unwanted


def _labels(query: TaskQuery) -> Iterator[Callable[[Task], bool]]:
    wanted, unwanted = frozenset(query.labels), frozenset(query.labels_not)
    if wanted:
        yield lambda task: wanted.issubset(task.label_ids or (None,))
    if unwanted:
        yield lambda task: unwanted.isdisjoint(task.label_ids or (None,))


APART: Final = "\x1f"
"""Between the parts of a text that is searched. No text that comes in may hold it; who asks for it finds nothing."""


def search_text(task: Task, comments: Iterable[str] = ()) -> str:
    """What `q` is looked for in, beside the key: title, description and comments, folded and kept apart."""
    return document(task.title, task.description, comments)


def document(title: str, description: str, comments: Iterable[str]) -> str:
    """As `search_text`, of the parts alone."""
    return APART.join(fold_search(part) for part in (title, description, *comments))


def words_of(q: str) -> tuple[str, ...]:
    """What `q` asks for: what stands between its blanks, folded, each once."""
    return tuple(dict.fromkeys(word for word in _BLANKS.split(fold_search(q)) if word))


_BLANKS: Final = re.compile("[ \t\r\n]+")


def is_mentioned(words: Sequence[str], key: str, text: str) -> bool:
    """Whether each of the words is somewhere in a task's `search_text`, in any order, or is its whole key."""
    return bool(words) and all((word in text and APART not in word) or word == fold_search(key) for word in words)


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
