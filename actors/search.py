"""Finds the tasks of a page: walks the board in the query's order, in slices that do not hold the event loop for long.

`core.query.TaskQuery.matches` says what belongs to a page; here is only how not to pay for it twice.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Final, Protocol
from uuid import UUID

from msgspec import Struct

from core.query import SortKey, TaskQuery, conditions, is_mentioned, search_text, words_of
from core.task import Task

__all__ = ["SLICE", "TASK_COST", "Found", "SearchTexts", "Tasks", "cost_of", "find_tasks"]

# What the work costs, in units of 10 ns.
SLICE: Final = 200_000
"""Between two yields: some 2 ms."""
TASK_COST: Final = 150
"""To look at a task's fields."""
FOLD_COST: Final = 5
"""To fold a character of text; of text in ASCII alone it costs a fiftieth of that."""
SCAN_SHARE: Final = 10
"""So many characters of folded text are searched for one word with one unit."""

KEPT_CHARACTERS: Final = 2_000_000
"""Most folded text kept per team."""


class Tasks(Protocol):
    """The board's tasks by id: as they are, or a copy of what they were."""

    def get(self, key: UUID, /) -> Task | None: ...


class Found(Struct, frozen=True):
    """The tasks of a page; `more` says whether others follow."""

    tasks: list[Task]
    more: bool


class SearchTexts:
    """The tasks' texts, folded, made once for each version of a task and kept while there is room."""

    __slots__ = ("_texts", "characters")

    def __init__(self) -> None:
        self._texts: dict[UUID, tuple[int, str]] = {}
        self.characters = 0

    def of(self, task: Task) -> tuple[str, int]:
        """The task's text, and what it cost to get and to search it."""
        kept = self._texts.get(task.id)
        if kept is not None and kept[0] == task.version:
            return kept[1], len(kept[1]) // SCAN_SHARE
        text = search_text(task)
        size = len(text)
        self.characters += size - (0 if kept is None else len(kept[1]))
        if self.characters > KEPT_CHARACTERS:
            self._texts.clear()
            self.characters = size
        self._texts[task.id] = (task.version, text)
        return text, (size // SCAN_SHARE if text.isascii() else size * FOLD_COST) + size // SCAN_SHARE


def cost_of(query: TaskQuery, tasks: int, characters: int) -> int:
    """What `find_tasks` costs at most for a filtered query, on a board of so many tasks and characters of text."""
    scans = 0 if query.q is None else len(words_of(query.q))
    return tasks * TASK_COST + (characters * (FOLD_COST + scans // SCAN_SHARE) if scans else 0)


def find_tasks(
    query: TaskQuery, order: Sequence[SortKey], tasks: Tasks, texts: SearchTexts
) -> Generator[None, None, Found]:
    """Walk `order` from the query's cursor on, and yield after each slice. Both must not change between two slices."""
    fits = _field_condition(query)
    words = None if query.q is None else words_of(query.q)
    found: list[Task] = []
    spent = 0
    for key in _walk(query, order):
        spent += TASK_COST
        task = tasks.get(key[2])
        if task is None or not (fits is None or fits(task)):
            wanted = False
        elif words is None:
            wanted = True
        else:
            text, cost = texts.of(task)
            spent += cost + (len(words) - 1) * len(text) // SCAN_SHARE
            wanted = is_mentioned(words, task.key, text)
        if wanted and task is not None:
            if len(found) == query.limit:
                return Found(found, more=True)
            found.append(task)
        if spent >= SLICE:
            yield
            spent = 0
    return Found(found, more=False)


def _field_condition(query: TaskQuery) -> Callable[[Task], bool] | None:
    """The cheapest check of a query's conditions beyond `q`: none for a plain list, that of the one that there is."""
    found = conditions(query)
    if len(found) > 1:
        return lambda task: all(condition(task) for condition in found)
    return found[0] if found else None


def _walk(query: TaskQuery, order: Sequence[SortKey]) -> Iterator[SortKey]:
    """The sort keys after the cursor, in the query's order; missing values come last in both directions."""
    if not query.descending:
        start = 0 if query.after is None else bisect_right(order, query.after)
        return (order[index] for index in range(start, len(order)))
    missing = bisect_left(order, (True,))
    after = query.after
    if after is None:
        return _backwards(order, (missing, 0), (len(order), missing))
    if after[0]:
        return _backwards(order, (bisect_left(order, after), missing))
    return _backwards(order, (bisect_left(order, after), 0), (len(order), missing))


def _backwards(order: Sequence[SortKey], *ranges: tuple[int, int]) -> Iterator[SortKey]:
    """The keys of each range (end exclusive, start inclusive) from high to low."""
    for end, start in ranges:
        for index in range(end - 1, start - 1, -1):
            yield order[index]
