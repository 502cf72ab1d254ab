"""L1: a team's committed state with its answers as ready bytes, valid for exactly one `seq`.

Everything here is synchronous and touches no network: a hot read is a dictionary look-up.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final
from uuid import UUID

from msgspec import structs

from core.permissions import Role
from core.query import SortField, SortKey, TaskQuery, sort_key
from core.task import STATUSES, Task, encode_task
from core.team import TeamState

PAGES: Final = 256
"""Most list answers kept per team: a page of 50 tasks is some 50 kB, so this bounds a team's pages at about 13 MB."""


class TeamView:
    """The committed board for readers. `state` is for reading only."""

    __slots__ = ("_board", "_bytes", "_numbers", "_orders", "_pages", "state")

    def __init__(self, state: TeamState) -> None:
        self.state = state
        self._bytes: dict[UUID, bytes] = {}
        self._pages: dict[TaskQuery, bytes] = {}
        self._orders: dict[SortField, list[SortKey]] = {}
        self._numbers: dict[int, UUID] | None = None
        self._board: bytes | None = None

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

    def task(self, task_id: UUID) -> tuple[int, bytes] | None:
        """(version, JSON) of a board task, or None."""
        task = self.state.tasks.get(task_id)
        return None if task is None else (task.version, self._encoded(task))

    def task_by_number(self, number: int) -> UUID | None:
        """The id of the board task with this number, or None."""
        if self._numbers is None:
            self._numbers = {task.number: task.id for task in self.state.tasks.values()}
        return self._numbers.get(number)

    def page(self, query: TaskQuery) -> tuple[list[bytes], SortKey | None]:
        """The JSON of the tasks that a query finds, and the sort key of the last one when there are more."""
        tasks, conditions = self.state.tasks, _conditions(query)
        found: list[Task] = []
        for key in self._walk(query):
            task = tasks.get(key[2])
            if task is None or not all(condition(task) for condition in conditions):
                continue
            if len(found) == query.limit:
                return list(map(self._encoded, found)), sort_key(found[-1], query.sort)
            found.append(task)
        return list(map(self._encoded, found)), None

    def ready_page(self, query: TaskQuery) -> bytes | None:
        """What was kept for this query at this `seq`."""
        return self._pages.get(query)

    def keep_page(self, query: TaskQuery, body: bytes) -> None:
        """Keep a finished answer until the next `seq`."""
        if len(self._pages) >= PAGES:
            self._pages.clear()
        self._pages[query] = body

    def board(self) -> bytes:
        """`{"seq", "epoch", "columns": [{"status", "tasks": […]}]}` as JSON bytes."""
        if self._board is None:
            columns = b",".join(
                b'{"status":"%s","tasks":[%s]}'
                % (status.encode(), b",".join(map(self._encoded, self.state.ordered(status))))
                for status in STATUSES
            )
            self._board = b'{"seq":%d,"epoch":%d,"columns":[%s]}' % (self.seq, self.epoch, columns)
        return self._board

    def advance(self, state: TeamState, changed: Mapping[UUID, bytes | None]) -> None:
        """Merge a fork of the state and move on to it: keep what did not change, drop every answer that names a `seq`.

        `changed` has all the tasks that differ, with their JSON when it is at hand.
        """
        before, after = self.state.tasks, state.tasks
        indexed = bool(self._orders) or self._numbers is not None
        for task_id, encoded in changed.items():
            task = after.get(task_id)
            if indexed:
                self._reindex(before.get(task_id), task)
            if task is None or encoded is None:
                self._bytes.pop(task_id, None)
            else:
                self._bytes[task_id] = encoded
        self._pages.clear()
        self._board = None
        self.state = state.merge()

    def reload(self, state: TeamState) -> None:
        """Start over from a state that was loaded as a whole."""
        self.state = state
        self._bytes, self._orders, self._numbers, self._board = {}, {}, None, None
        self._pages.clear()

    def weight(self) -> int:
        """Roughly how many bytes of memory the team holds: texts, ready answers and 1.5 kB per task for the rest."""
        texts = sum(len(task.title) + len(task.description) for task in self.state.tasks.values())
        ready = sum(map(len, self._bytes.values())) + sum(map(len, self._pages.values())) + len(self._board or b"")
        return 20_000 + texts + ready + 1_500 * len(self.state.tasks)

    def _encoded(self, task: Task) -> bytes:
        encoded = self._bytes.get(task.id)
        if encoded is None:
            encoded = self._bytes[task.id] = encode_task(task)
        return encoded

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
