"""Answers from memory as ready bytes. Synchronous: the edge calls them before anything else is tried.

Four steps: which read it is, whether the caller may see the team (`access.py`), the bytes that the board has ready
(`actors/board.py`), the answer around them (`etags.py`). The handlers take the last two as well, when a board had to be
activated first, so that both ways lead to the same bytes.
"""

import asyncio
from typing import Annotated, Final
from uuid import UUID

from msgspec import Meta, Struct

from actors.board import TeamView
from actors.ports import Clock, Representation
from actors.slices import in_slices
from api import paths
from api.access import Access
from api.answers import Answer, Header, epoch_header
from api.binding import read_query
from api.calls import Call
from api.codings import VARY
from api.etags import PRIVATE, known_as, versioned
from api.listing import ListRequest, ListRequests
from api.paging import NO_EPOCH
from core.calendar import TICK
from core.errors import BadInput, HistoryRewritten, TaskForgeError
from core.query import TaskQuery
from core.seq import Position, read_position
from core.team import NEVER
from db.ids import uuid_of

__all__ = [
    "Reads",
    "board_answer",
    "board_query_of",
    "list_answer",
    "long_board_answer",
    "long_list_answer",
    "task_answer",
]

KEPT: Final = 4_096
"""Most ids remembered per process."""

# A path is recognised by its length and its ends; what stands between them is read as an id, or the path is not ours.
_LIST: Final = paths.TASKS
_TASK_START, _ = paths.TASK.split("{task_id}")
_TASK_ID: Final = slice(len(_TASK_START), len(_TASK_START) + 36)
_TASK_LENGTH: Final = _TASK_ID.stop
_BOARD_START, _BOARD_END = paths.TEAM_BOARD.split("{team_id}")
_BOARD_ID: Final = slice(len(_BOARD_START), len(_BOARD_START) + 36)
_BOARD_LENGTH: Final = _BOARD_ID.stop + len(_BOARD_END)
_LIST_ROUTE: Final = paths.pattern(paths.TASKS)
_TASK_ROUTE: Final = paths.pattern(paths.TASK)
_BOARD_ROUTE: Final = paths.pattern(paths.TEAM_BOARD)


class _BoardQuery(Struct, frozen=True):
    per_column: Annotated[int, Meta(ge=1, le=100)] | None = None
    as_of: str | None = None


class Reads:
    """The read endpoints that memory can answer."""

    def __init__(self, access: Access, representation: Representation, clock: Clock) -> None:
        self._access, self._representation, self._clock = access, representation, clock
        self._lists = ListRequests()
        self._ids: dict[str, UUID] = {}

    def answer(self, call: Call) -> Answer | None:
        """The finished answer of a GET, or None: whatever the reason, the ordinary way finds it again and says it."""
        path = call.path
        try:
            if path == _LIST:
                call.route = _LIST_ROUTE
                return self._list(call)
            if len(path) == _TASK_LENGTH and path.startswith(_TASK_START):
                call.route = _TASK_ROUTE
                return self._task(call, self._id(path[_TASK_ID]))
            if len(path) == _BOARD_LENGTH and path.startswith(_BOARD_START) and path.endswith(_BOARD_END):
                call.route = _BOARD_ROUTE
                return self._board(call, self._id(path[_BOARD_ID]))
        except (TaskForgeError, ValueError):
            return None
        return None

    def _list(self, call: Call) -> Answer | None:
        asked = self._lists.read(call.query)
        if asked.team_id is None or asked.query.archived:
            return None
        view = self._access.ready(call, asked.team_id, at=asked.since)
        if view is None or not view.answers(asked.query):
            return None
        return list_answer(call, view, asked, self._representation, self._clock)

    def _task(self, call: Call, task_id: UUID) -> Answer | None:
        if call.query:
            return None
        view = self._access.ready_task(call, task_id)
        return None if view is None else task_answer(call, view, task_id, self._representation)

    def _board(self, call: Call, team_id: UUID) -> Answer | None:
        per_column, as_of = board_query_of(call.query)
        view = self._access.ready(call, team_id) if as_of is None else None
        return None if view is None else board_answer(call, view, per_column, self._representation)

    def _id(self, text: str) -> UUID:
        found = self._ids.get(text)
        if found is None:
            found = uuid_of(text)
            if len(self._ids) >= KEPT:
                self._ids.clear()
            self._ids[text] = found
        return found


def list_answer(call: Call, view: TeamView, asked: ListRequest, shown: Representation, clock: Clock) -> Answer | None:
    """A page of the board's tasks, or None when making it here would take too long: then see `long_list_answer`.

    Raises HistoryRewritten for a cursor of an epoch before the team's.
    """
    if NO_EPOCH < asked.epoch < view.epoch:
        raise HistoryRewritten(view.epoch, view.seq)
    query, etag = _tagged(call, view, asked, clock)
    if (tag := known_as(call, etag)) is not None:
        return Answer(304, b"", _headers(call, tag), b"")
    page = view.ready_page(query, shown)
    return None if page is None else _ready(call, view, page, etag)


async def long_list_answer(
    call: Call, view: TeamView, asked: ListRequest, shown: Representation, clock: Clock
) -> Answer:
    """The same page, made in slices. It is of the board's seq at the call, which must be that of `call.seq`."""
    query, etag = _tagged(call, view, asked, clock)
    page = await in_slices(view.page_in_slices(query, shown))
    return _ready(call, view, page, etag)


def _headers(call: Call, etag: bytes) -> tuple[Header, ...]:
    """As `team_headers`, of an answer that may be coded; written out, because every hot read makes them."""
    team, seq, epoch = (b"taskforge-team", call.team), (b"taskforge-seq", b"%d" % call.seq), epoch_header(call.epoch)
    return ((b"etag", etag), PRIVATE, team, seq, epoch, VARY)


def _ready(call: Call, view: TeamView, body: bytes, etag: bytes) -> Answer:
    call.coded = view.coded
    return Answer(200, body, _headers(call, etag))


def _tagged(call: Call, view: TeamView, asked: ListRequest, clock: Clock) -> tuple[TaskQuery, bytes]:
    """The query and its ETag, which is the board's position: the same URL at the same seq is the same page, except that
    "me" is another user for every user, and that what is overdue grows with time."""
    query, mine, passed = asked.query, b"", b""
    if asked.personal:
        user_id = call.principal().user_id
        query, mine = asked.for_user(user_id), b".%x" % (user_id.int & 0xFFFFFFFF)
    if asked.zoned:
        query = view.resolved(query, clock.now())
        passed = b"" if query.now is None else b".t%d" % ((query.now - NEVER) // TICK)
    return query, b'"%d.%d%s%s"' % (view.epoch, view.seq, mine, passed)


def task_answer(call: Call, view: TeamView, task_id: UUID, shown: Representation) -> Answer | None:
    """A task of the board, or None when it is not there."""
    found = view.task(task_id, shown)
    return None if found is None else versioned(call, found[0], found[1])


def board_query_of(query: bytes) -> tuple[int | None, Position | None]:
    """How many tasks of each column the query of a board asks for, None for all; and of when, None for now.

    Raises BadInput, also for both: a list of tasks does not go on in the past.
    """
    if not query:
        return None, None
    asked = read_query(query, _BoardQuery)
    if asked.as_of is not None and asked.per_column is not None:
        raise BadInput("A board of the past is shown whole: leave out per_column.", parameter="per_column")
    return asked.per_column, None if asked.as_of is None else read_position(asked.as_of, "as_of")


def board_answer(call: Call, view: TeamView, per_column: int | None, shown: Representation) -> Answer | None:
    """The board, or None when making it here would take too long: then see `long_board_answer`."""
    etag = b'"%d.%d"' % (view.epoch, view.seq)
    if (tag := known_as(call, etag)) is not None:
        return Answer(304, b"", _headers(call, tag), b"")
    board = view.ready_board(shown) if per_column is None else view.board_top(per_column, shown)
    return None if board is None else _ready(call, view, board, etag)


async def long_board_answer(call: Call, view: TeamView, shown: Representation) -> Answer:
    """The whole board, made in slices, as it is by then: `call.seq` goes there."""
    joined = await in_slices(view.join_in_slices(shown))
    state = joined.state
    body = await asyncio.to_thread(shown.board, state.seq, state.epoch, joined.columns)
    view.keep(joined, body, shown)
    call.seq, call.epoch = state.seq, state.epoch
    return _ready(call, view, body, b'"%d.%d"' % (state.epoch, state.seq))
