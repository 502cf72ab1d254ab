"""L1: a team's committed state with its answers as ready bytes, valid for exactly one `seq`.

Which bytes those are is for the reader to say, who brings a `Representation`; the board keeps them ready for each one.
Everything here is synchronous and touches no network: a hot read is a dictionary look-up.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final
from uuid import UUID

from msgspec import structs

from actors.ports import Representation
from core.permissions import Role
from core.query import SortField, SortKey, TaskQuery, sort_key
from core.task import STATUSES, Task
from core.team import TeamState

PAGES: Final = 256
"""Most list answers kept per team and representation: a page of 50 tasks is some 50 kB, so they are at most 13 MB."""


class _Ready:
    """The answers that are ready in one representation."""

    __slots__ = ("board", "pages", "representation", "tasks")

    def __init__(self, representation: Representation) -> None:
        self.representation = representation
        self.tasks: dict[UUID, bytes] = {}
        self.pages: dict[TaskQuery, bytes] = {}
        self.board: bytes | None = None

    def task(self, task: Task) -> bytes:
        encoded = self.tasks.get(task.id)
        if encoded is None:
            encoded = self.tasks[task.id] = self.representation.task(task)
        return encoded

    def keep_page(self, query: TaskQuery, page: bytes) -> bytes:
        if len(self.pages) >= PAGES:
            self.pages.clear()
        self.pages[query] = page
        return page

    def replace(self, changed: Iterable[tuple[UUID, bytes | None]]) -> None:
        """Drop whatever names a `seq`, and the changed tasks, unless their new bytes are at hand."""
        self.pages.clear()
        self.board = None
        for task_id, encoded in changed:
            if encoded is None:
                self.tasks.pop(task_id, None)
            else:
                self.tasks[task_id] = encoded

    def weight(self) -> int:
        return sum(map(len, self.tasks.values())) + sum(map(len, self.pages.values())) + len(self.board or b"")


class TeamView:
    """The committed board for readers. `state` is for reading only."""

    __slots__ = ("_numbers", "_orders", "_ready", "state")

    def __init__(self, state: TeamState) -> None:
        self.state = state
        self._ready: dict[Representation, _Ready] = {}
        self._orders: dict[SortField, list[SortKey]] = {}
        self._numbers: dict[int, UUID] | None = None

    @property
    def seq(self) -> int:
        """The team's number at which everything here is true."""
        return self.state.seq

    @property
    def epoch(self) -> int:
        """Changes only when history was rewritten."""
        return self.state.epoch

    def role_of(self, user_id: UUID) -> Role:
        """The member's role; raises NotFound("team") for everyone else."""
        return self.state.role_of(user_id)

    def task(self, task_id: UUID, representation: Representation) -> tuple[int, bytes] | None:
        """(version, bytes) of a board task, or None."""
        task = self.state.tasks.get(task_id)
        return None if task is None else (task.version, self._in(representation).task(task))

    def task_by_number(self, number: int) -> UUID | None:
        """The id of the board task with this number, or None."""
        if self._numbers is None:
            self._numbers = {task.number: task.id for task in self.state.tasks.values()}
        return self._numbers.get(number)

    def page(self, query: TaskQuery, representation: Representation) -> bytes:
        """The answer to a query over the board."""
        ready = self._in(representation)
        page = ready.pages.get(query)
        return ready.keep_page(query, self._make_page(query, ready)) if page is None else page

    def board(self, representation: Representation) -> bytes:
        """The whole board, column by column."""
        ready = self._in(representation)
        if ready.board is None:
            columns = [(status, list(map(ready.task, self.state.ordered(status)))) for status in STATUSES]
            ready.board = representation.board(self.seq, self.epoch, columns)
        return ready.board

    def advance(self, state: TeamState, changed: Mapping[UUID, bytes | None]) -> None:
        """Merge a fork of the state and move on to it: keep what did not change, drop every answer that names a `seq`.

        `changed` has all the tasks that differ, with their JSON in the event where it is at hand.
        """
        before, after = self.state.tasks, state.tasks
        if self._orders or self._numbers is not None:
            for task_id in changed:
                self._reindex(before.get(task_id), after.get(task_id))
        for ready in self._ready.values():
            reuses = ready.representation.reuses_events
            ready.replace(
                [(task_id, data if reuses and task_id in after else None) for task_id, data in changed.items()]
            )
        self.state = state.merge()

    def reload(self, state: TeamState) -> None:
        """Start over from a state that was loaded as a whole."""
        self.state = state
        self._ready, self._orders, self._numbers = {}, {}, None

    def weight(self) -> int:
        """Roughly how many bytes of memory the team holds: texts, ready answers and 1.5 kB per task for the rest."""
        texts = sum(len(task.title) + len(task.description) for task in self.state.tasks.values())
        ready = sum(ready.weight() for ready in self._ready.values())
        return 20_000 + texts + ready + 1_500 * len(self.state.tasks)

    def _in(self, representation: Representation) -> _Ready:
        ready = self._ready.get(representation)
        if ready is None:
            ready = self._ready[representation] = _Ready(representation)
        return ready

    def _reindex(self, before: Task | None, after: Task | None) -> None:
        if self._numbers is not None:
            if before is not None:
                self._numbers.pop(before.number, None)
            if after is not None:
                self._numbers[after.number] = after.id
        for field, order in self._orders.items():
            old = None if before is None else sort_key(before, field)
            new = None if after is None else sort_key(after, field)
            if old == new:
                continue
            if old is not None:
                del order[bisect_left(order, old)]
            if new is not None:
                insort(order, new)

    def _make_page(self, query: TaskQuery, ready: _Ready) -> bytes:
        tasks, conditions = self.state.tasks, _conditions(query)
        found: list[Task] = []
        last: SortKey | None = None
        for key in self._walk(query):
            task = tasks.get(key[2])
            if task is None or not all(condition(task) for condition in conditions):
                continue
            if len(found) == query.limit:
                last = sort_key(found[-1], query.sort)
                break
            found.append(task)
        return ready.representation.page(list(map(ready.task, found)), query, last)

    def _walk(self, query: TaskQuery) -> Iterator[SortKey]:
        """The sort keys after the cursor, in the query's order; missing values come last in both directions."""
        order = self._order(query.sort)
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

    def _order(self, field: SortField) -> list[SortKey]:
        order = self._orders.get(field)
        if order is None:
            order = self._orders[field] = sorted(sort_key(task, field) for task in self.state.tasks.values())
        return order


def _backwards(order: Sequence[SortKey], *ranges: tuple[int, int]) -> Iterator[SortKey]:
    """The keys of each range (end exclusive, start inclusive) from high to low."""
    for end, start in ranges:
        for index in range(end - 1, start - 1, -1):
            yield order[index]


def _conditions(query: TaskQuery) -> tuple[Callable[[Task], bool], ...]:
    """The fewest checks for a query: none for a plain list, a cheap one for statuses alone, else the whole match."""
    if not query.filtered:
        return ()
    if not structs.replace(query, status=()).filtered:
        wanted = frozenset(query.status)
        return (lambda task: task.status in wanted,)
    return (query.matches,)
