"""Which tasks, in which order, from where on: one description for the answers from memory and those by SQL."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import Any, Final, Literal, get_args
from uuid import UUID

from msgspec import Struct

from core.task import PRIORITY_ORDER, Priority, Status, Task
from core.text import fold_search

SortField = Literal["created_at", "updated_at", "due_at", "priority", "number", "title", "rank", "estimate"]
SORT_FIELDS: Final[tuple[SortField, ...]] = get_args(SortField)
DEFAULT_LIMIT: Final = 50

SortKey = tuple[bool, Any, UUID]
"""(value is missing, value, task id): missing values come last in both directions, the id makes the order total."""


class TaskQuery(Struct, frozen=True, kw_only=True):
    """A list request, already checked and resolved ("me" is a user id). Empty tuples and None mean "any".

    Of `status`, `priority`, `assignee` and `parent` any will do, and None among them is a field without a value. The
    `labels` must all be there, and None asks for a task without any. What ends with `_not` must be none of these; a
    missing value is none of any given ones. `updated_after` includes that very moment: several tasks can have it, and
    not all of them may have been seen. `after` is the sort key of the last task already seen.
    """

    status: tuple[Status, ...] = ()
    status_not: tuple[Status, ...] = ()
    priority: tuple[Priority, ...] = ()
    priority_not: tuple[Priority, ...] = ()
    assignee: tuple[UUID | None, ...] = ()
    assignee_not: tuple[UUID | None, ...] = ()
    parent: tuple[UUID | None, ...] = ()
    parent_not: tuple[UUID | None, ...] = ()
    labels: tuple[UUID | None, ...] = ()
    labels_not: tuple[UUID | None, ...] = ()
    due_before: datetime | None = None
    updated_after: datetime | None = None
    external_id: str | None = None
    external_source: str | None = None
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

    def matches(self, task: Task, comments: Sequence[str] = ()) -> bool:
        """Whether the task satisfies all conditions; `q`: in title, description or comments, or as the whole key."""
        if not all(condition(task) for condition in conditions(self)):
            return False
        return self.q is None or is_mentioned(fold_search(self.q), task, search_text(task, comments))


CHOICES: Final = {"status": "status", "priority": "priority", "assignee": "assignee_id", "parent": "parent_id"}
"""The filters of which any value will do, by the field of the task that they are about."""


def conditions(query: TaskQuery) -> list[Callable[[Task], bool]]:
    """What a task must satisfy beside `q`: made once for a query, and only what the query says."""
    found = [*_choices(query), *_labels(query)]
    if (due := query.due_before) is not None:
        found.append(lambda task: task.due_at is not None and task.due_at < due)
    if (since := query.updated_after) is not None:
        found.append(lambda task: task.updated_at >= since)
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


def is_mentioned(words: str, task: Task, text: str) -> bool:
    """Whether `words`, folded, are in the task's `search_text` or are its whole key."""
    return (words in text and APART not in words) or words == fold_search(task.key)


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
