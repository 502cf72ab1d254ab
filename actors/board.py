"""L1: a team's committed state with its answers as ready bytes, valid for exactly one `seq`.

Which bytes those are is for the reader to say, who brings a `Representation`; the board keeps them ready for each one.
Everything here is synchronous and touches no network: a hot read is a dictionary look-up. What could hold the event
loop for long (a search through much text) is a generator, to be run in slices.
"""

from collections.abc import Callable, Generator, Iterable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from msgspec import Struct, structs

from actors.counts import Counts
from actors.orders import move, settled, zone_of
from actors.ports import ColumnTop, Representation
from actors.search import SLICE, TASK_COST, Found, SearchTexts, cost_of, find_tasks
from actors.slices import at_once, first_slice
from core.columns import Column
from core.permissions import Role
from core.query import SortField, SortKey, TaskQuery, sort_key
from core.sorted_runs import SortedRuns
from core.task import Task
from core.team import TeamState

PAGES: Final = 256
"""Most list answers kept per team and representation: a page of 50 tasks is some 50 kB, so they are at most 13 MB."""
TOPS: Final = 8
"""Most lengths of columns that are kept; clients ask for one or two."""
LONG: Final = 2 * SLICE
"""A page that may cost more than this is not made on the hot path."""
LOOK_COST: Final = 2 * TASK_COST
"""Of finding that a task is encoded already, in the measure of `TASK_COST`."""
JOINED_AT_ONCE: Final = 1_000
"""Encoded tasks that are put together in one go, a megabyte in all."""
DROPPED_AT_ONCE: Final = 2_000
SORTED_AT_ONCE: Final = 1_000
"""Tasks that are brought into an order in one go: a millisecond."""
TEAM_BYTES, TASK_BYTES = 20_000, 1_500
"""Rough weights: of a team without its tasks, of a task without its text and answers."""


Change = tuple[Task | None, Task | None]
"""A task before and after; None where it is not on the board."""


class JoinedBoard(Struct, frozen=True):
    """The columns of a board with many tasks in each piece, and the state that they show."""

    state: TeamState
    columns: list[tuple[Column, list[bytes]]]


class _Ready:
    """The answers that are ready in one representation."""

    __slots__ = ("_page_bytes", "_task_bytes", "board", "pages", "representation", "tasks", "tops")

    def __init__(self, representation: Representation) -> None:
        self.representation = representation
        self.tasks: dict[UUID, bytes] = {}
        self.pages: dict[TaskQuery, bytes] = {}
        self.board: bytes | None = None
        self.tops: dict[int, bytes] = {}
        """By how many tasks of each column they show."""
        self._task_bytes = self._page_bytes = 0

    def task(self, task: Task) -> bytes:
        encoded = self.tasks.get(task.id)
        if encoded is None:
            encoded = self.tasks[task.id] = self.representation.task(task)
            self._task_bytes += len(encoded)
        return encoded

    def keep_page(self, query: TaskQuery, page: bytes) -> bytes:
        if len(self.pages) >= PAGES:
            self.pages.clear()
            self._page_bytes = 0
        self.pages[query] = page
        self._page_bytes += len(page)
        return page

    def replace(self, changed: Iterable[tuple[UUID, bytes | None]]) -> None:
        """Drop whatever names a `seq`, and the changed tasks, unless their new bytes are at hand."""
        self.pages.clear()
        self.tops.clear()
        self._page_bytes, self.board = 0, None
        for task_id, encoded in changed:
            self._task_bytes -= len(self.tasks.pop(task_id, b""))
            if encoded is not None:
                self.tasks[task_id] = encoded
                self._task_bytes += len(encoded)

    def weight(self) -> int:
        return self._task_bytes + self._page_bytes + len(self.board or b"") + sum(map(len, self.tops.values()))


class TeamView:
    """The committed board for readers. `state` is for reading only."""

    __slots__ = ("_counts", "_numbers", "_orders", "_ready", "_sorting", "_texts", "coded", "state")

    def __init__(self, state: TeamState) -> None:
        self.state = state
        self.coded: dict[tuple[bytes, int], tuple[bytes, bytes]] = {}
        """For whoever sends the answers: those of this seq in another form, by the identity of their bytes."""
        self._ready: dict[Representation, _Ready] = {}
        self._orders: dict[SortField, list[SortKey]] = {}
        self._sorting: list[list[Change]] = []
        """What has changed since each sorting under way began."""
        self._numbers: dict[int, UUID] | None = None
        self._texts = SearchTexts()
        self._counts = Counts(state)

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

    def answers(self, query: TaskQuery) -> bool:
        """Whether the board holds all that the query looks at: neither the archive nor texts of comments are here."""
        return not query.archived and (query.q is None or not self._counts.commented(self.state))

    def task(self, task_id: UUID, representation: Representation) -> tuple[int, bytes] | None:
        """(version, bytes) of a board task, or None."""
        task = self.state.tasks.get(task_id)
        return None if task is None else (task.version, self._in(representation).task(task))

    def task_by_number(self, number: int) -> UUID | None:
        """The id of the board task with this number, or None."""
        if self._numbers is None:
            self._numbers = {task.number: task.id for task in self.state.tasks.values()}
        return self._numbers.get(number)

    def resolved(self, query: TaskQuery, now: datetime) -> TaskQuery:
        """The query with its dates in the team's zone, and as it is now."""
        ready = query.overdue is not None and self._is_quickly_sorted("due_at")
        by_due = self._order("due_at") if ready else None
        return settled(structs.replace(query, zone=zone_of(self.state)), now, by_due)

    def ready_page(self, query: TaskQuery, representation: Representation) -> bytes | None:
        """The answer to a query, if it is at hand or quickly made; else see `page_in_slices`, off the hot path."""
        page = self._in(representation).pages.get(query)
        if page is None and not self._is_long(query) and self._is_quickly_sorted(query.sort):
            found = first_slice(self._find(query))
            page = None if found is None else self._keep_page(query, found, representation)
        return page

    def page(self, query: TaskQuery, representation: Representation) -> bytes:
        """The answer to a query over the board; at once, whatever it costs."""
        page = self._in(representation).pages.get(query)
        return self._keep_page(query, at_once(self._find(query)), representation) if page is None else page

    def page_in_slices(self, query: TaskQuery, representation: Representation) -> Generator[None, None, bytes]:
        """As `page`, of the state that stands once the tasks are sorted; the board may go on between the steps."""
        if query.overdue is not None:
            yield from self._sort_in_slices("due_at")  # For `resolved`, next time.
        yield from self._sort_in_slices(query.sort)
        state, order, tasks = self.state, self._order(query.sort).copy(), self.state.tasks.as_dict()
        found = yield from find_tasks(query, order, tasks, self._texts)
        if self.state is not state:
            return _page(query, found, representation, representation.task, state)
        return self._keep_page(query, found, representation)

    def ready_board(self, representation: Representation) -> bytes | None:
        """The whole board, if it is at hand or quickly made; else see `join_in_slices`, off the hot path."""
        ready = self._in(representation)
        if ready.board is None:
            tasks = len(self.state.tasks)
            if tasks > JOINED_AT_ONCE:
                return None
            missing = 1 - len(ready.tasks) / max(1, tasks)
            if missing * (tasks * TASK_COST + self._counts.characters(self.state)) > LONG:
                return None
        return self.board(representation)

    def encode_in_slices(self, representation: Representation) -> Generator[None, None, None]:
        """Encode every task that is not yet; the board may go on between the steps."""
        spent = 0
        for task_id in self.state.tasks.as_dict():
            task, ready = self.state.tasks.get(task_id), self._in(representation)
            spent += LOOK_COST
            if task is not None and task_id not in ready.tasks:
                spent += TASK_COST + len(ready.task(task))
            if spent >= SLICE:
                yield
                spent = 0

    def join_in_slices(self, representation: Representation) -> Generator[None, None, JoinedBoard]:
        """What `representation.board` makes a board of, once the tasks are encoded; the board may go on meanwhile.

        That copies the whole board once, and lets go of the interpreter meanwhile: run it in a thread, then `keep` it.
        """
        yield from self.encode_in_slices(representation)
        state = self.state
        columns = yield from _joined(state, state.tasks.as_dict(), self._in(representation))
        return JoinedBoard(state, columns)

    def keep(self, joined: JoinedBoard, board: bytes, representation: Representation) -> None:
        """Have the board at hand, if it is still true."""
        if self.state is joined.state:
            self._in(representation).board = board

    def board(self, representation: Representation) -> bytes:
        """The whole board, column by column; at once, whatever it costs."""
        ready = self._in(representation)
        if ready.board is None:
            state = self.state
            columns = [(column, list(map(ready.task, state.ordered(column.id)))) for column in state.columns.values()]
            ready.board = representation.board(self.seq, self.epoch, columns)
        return ready.board

    def board_top(self, per_column: int, representation: Representation) -> bytes:
        """The first tasks of each column, with how many it has; what it costs does not depend on how many these are."""
        ready = self._in(representation)
        top = ready.tops.get(per_column)
        if top is None:
            if len(ready.tops) >= TOPS:
                ready.tops.clear()
            columns = [self._top(column, per_column, ready) for column in self.state.columns.values()]
            top = ready.tops[per_column] = representation.board_top(self.seq, self.epoch, columns)
        return top

    def _top(self, column: Column, most: int, ready: _Ready) -> ColumnTop:
        places = self.state.places_in(column.id)
        tasks = [task for _, task_id in places[:most] if (task := self.state.tasks.get(task_id)) is not None]
        last = sort_key(tasks[-1], "rank") if len(places) > most else None
        return ColumnTop(column, len(places), list(map(ready.task, tasks)), last)

    def advance(self, state: TeamState, changed: Mapping[UUID, bytes | None]) -> None:
        """Merge a fork of the state and move on to it: keep what did not change, drop every answer that names a `seq`.

        `changed` has all the tasks that differ, with their JSON in the event where it is at hand.
        """
        before, after = self.state.tasks, state.tasks
        indexed = bool(self._orders or self._sorting) or self._numbers is not None
        for task_id in changed:
            if indexed:
                self._reindex(before.get(task_id), after.get(task_id))
            self._counts.changes(task_id, before.get(task_id))
        for ready in self._ready.values():
            reuses = ready.representation.reuses_events
            ready.replace(
                [(task_id, data if reuses and task_id in after else None) for task_id, data in changed.items()]
            )
        self.coded = {}
        if zone_of(self.state) is not zone_of(state):
            self._orders.pop("due_at", None)
            self._sorting = []
        self.state = state.merge()

    def reload(self, state: TeamState) -> None:
        """Start over from a state that was loaded as a whole."""
        self.state, self.coded = state, {}
        self._ready, self._orders, self._numbers, self._texts = {}, {}, None, SearchTexts()
        self._sorting = []
        self._counts = Counts(state)

    def pieces(self) -> list[list[Any]]:
        """What the board is made of, by kind.

        Whoever lets go of a large one holds these a little longer, see `drop_in_slices`: to take it apart in one go
        would hold the event loop.
        """
        state = self.state
        of_state = (state.tasks.values(), state.external.as_dict(), *state.places.values(), *self._orders.values())
        return [list(things) for things in (*of_state, *(ready.tasks.values() for ready in self._ready.values()))]

    def weigh(self) -> int:
        """Roughly how many bytes of memory the team holds; costs O(tasks that changed since it was last weighed).

        Counted are texts (also folded ones), ready answers, and 1.5 kB per task for the rest.
        """
        texts = self._counts.characters(self.state) + self._texts.characters
        ready = sum([ready.weight() for ready in self._ready.values()])
        coded = sum([len(coded) for _, coded in self.coded.values()])
        return TEAM_BYTES + len(self.state.tasks) * TASK_BYTES + texts + ready + coded

    def _find(self, query: TaskQuery) -> Generator[None, None, Found]:
        """The page's tasks, on the live board: for work that the event loop does not interrupt."""
        return find_tasks(query, self._order(query.sort), self.state.tasks, self._texts)

    def _keep_page(self, query: TaskQuery, found: Found, representation: Representation) -> bytes:
        ready = self._in(representation)
        return ready.keep_page(query, _page(query, found, representation, ready.task, self.state))

    def _is_long(self, query: TaskQuery) -> bool:
        """Whether a search of text may cost so much that it is not begun on the hot path."""
        return query.q is not None and cost_of(query, len(self.state.tasks), self._counts.characters(self.state)) > LONG

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
        for since in self._sorting:
            since.append((before, after))
        zone = zone_of(self.state)
        for field, order in self._orders.items():
            move(order, field, zone, before, after)

    def _is_quickly_sorted(self, field: SortField) -> bool:
        return field in self._orders or len(self.state.tasks) <= SORTED_AT_ONCE

    def _sort_in_slices(self, field: SortField) -> Generator[None, None, None]:
        """Have the order of a large board at hand. What changes between the steps is put in its place in the end."""
        while not self._is_quickly_sorted(field):
            runs, since, zone = SortedRuns[SortKey](), list[Change](), zone_of(self.state)
            tasks = list(self.state.tasks.as_dict().values())
            self._sorting.append(since)
            for start in range(0, len(tasks), SORTED_AT_ONCE):
                runs.add([sort_key(task, field, zone) for task in tasks[start : start + SORTED_AT_ONCE]])
                yield
            while runs.merge():
                yield
            order = runs.result()
            for before, after in since:
                move(order, field, zone, before, after)
            if any(since is other for other in self._sorting):  # Else the board was loaded anew.
                self._sorting = [other for other in self._sorting if other is not since]
                self._orders[field] = order

    def _order(self, field: SortField) -> list[SortKey]:
        order = self._orders.get(field)
        if order is None:
            zone = zone_of(self.state)
            order = self._orders[field] = sorted(sort_key(task, field, zone) for task in self.state.tasks.values())
        return order


def _joined(
    state: TeamState, tasks: Mapping[UUID, Task], ready: _Ready
) -> Generator[None, None, list[tuple[Column, list[bytes]]]]:
    """The columns, of each so many tasks at a time in one piece; what is in `ready` now is as the tasks are.

    Nobody changes `places` of a state that has been merged, only those of a fork.
    """
    encoded, columns, places = ready.tasks.copy(), list[tuple[Column, list[bytes]]](), state.places
    for column in state.columns.values():
        own, pieces = places.get(column.id, []), list[bytes]()
        for start in range(0, len(own), JOINED_AT_ONCE):
            ids = [task_id for _, task_id in own[start : start + JOINED_AT_ONCE]]
            pieces.append(b",".join([encoded.get(i) or ready.representation.task(tasks[i]) for i in ids]))
            yield
        columns.append((column, pieces))
    return columns


def _page(
    query: TaskQuery, found: Found, representation: Representation, encoded: Callable[[Task], bytes], state: TeamState
) -> bytes:
    last = sort_key(found.tasks[-1], query.sort, zone_of(state)) if found.more else None
    return representation.page(list(map(encoded, found.tasks)), query, last, state.epoch)


def drop_in_slices(pieces: list[list[Any]]) -> Generator[None, None, None]:
    """Let go of the pieces of a board that nobody needs any more, a few at a time."""
    while pieces:
        del pieces[-1][-DROPPED_AT_ONCE:]
        if not pieces[-1]:
            pieces.pop()
        yield
