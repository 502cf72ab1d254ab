"""Answers from memory as ready bytes. Synchronous: the edge calls them before anything else is tried.

The same functions make the answer when a board had to be activated first, so that both ways give the same bytes.
"""

from typing import Final
from uuid import UUID

from actors.board import TeamView
from api.access import Access
from api.answers import Answer
from api.calls import Call
from api.listing import ListRequest, read_list_request
from core.errors import TaskForgeError
from db.ids import uuid_of

__all__ = ["Reads", "fresh", "not_modified", "team_headers"]

KEPT: Final = 4_096
"""Most parsed query strings kept per process."""
LONGEST: Final = 1_024
"""Longer query strings, in bytes, are parsed each time."""

LIST_ROUTE: Final = "/v1/tasks"
TASK_ROUTE: Final = "/v1/tasks/{uuid:task_id}"
BOARD_ROUTE: Final = "/v1/teams/{uuid:team_id}/board"
_TASKS: Final = "/v1/tasks/"
_TEAMS: Final = "/v1/teams/"
_BOARD: Final = "/board"
PRIVATE: Final = (b"cache-control", b"private, no-cache")

Header = tuple[bytes, bytes]


class Reads:
    """The read endpoints that memory can answer."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._parsed: dict[bytes, ListRequest] = {}
        self._ids: dict[str, UUID] = {}

    def answer(self, call: Call) -> Answer | None:
        """The finished answer of a GET, or None: whatever it is, the ordinary way will tell. Never raises."""
        path = call.path
        try:
            if path == LIST_ROUTE:
                call.route = LIST_ROUTE
                return self._list(call)
            if len(path) == 46 and path.startswith(_TASKS):
                call.route = TASK_ROUTE
                return self._task(call, self._id(path[10:]))
            if len(path) == 52 and path.startswith(_TEAMS) and path.endswith(_BOARD) and not call.query:
                call.route = BOARD_ROUTE
                return self._board(call, self._id(path[10:46]))
        except (TaskForgeError, ValueError):
            return None
        return None

    def list_request(self, raw: bytes) -> ListRequest:
        """The parsed query string, remembered. Raises BadInput."""
        parsed = self._parsed.get(raw)
        if parsed is None:
            parsed = read_list_request(raw)
            if len(self._parsed) >= KEPT:
                self._parsed.clear()
            if len(raw) <= LONGEST:
                self._parsed[raw] = parsed
        return parsed

    def _list(self, call: Call) -> Answer | None:
        asked = self.list_request(call.query)
        if asked.team_id is None or asked.query.archived:
            return None
        view = self._access.ready(call, asked.team_id)
        return None if view is None else list_answer(view, asked, call)

    def _task(self, call: Call, task_id: UUID) -> Answer | None:
        if call.query:
            return None
        view = self._access.ready_task(call, task_id)
        return None if view is None else task_answer(view, task_id, call)

    def _board(self, call: Call, team_id: UUID) -> Answer | None:
        view = self._access.ready(call, team_id)
        return None if view is None else board_answer(view, call)

    def _id(self, text: str) -> UUID:
        found = self._ids.get(text)
        if found is None:
            found = uuid_of(text)
            if len(self._ids) >= KEPT:
                self._ids.clear()
            self._ids[text] = found
        return found


def list_answer(view: TeamView, asked: ListRequest, call: Call) -> Answer:
    """A page of the board's tasks. Its ETag is the board's position: the same URL at the same seq is the same page,
    except that "me" is somebody else for somebody else."""
    query, etag = asked.query, b'"%d.%d"' % (view.epoch, view.seq)
    if asked.mine:
        user_id = call.principal().user_id
        query, etag = asked.for_user(user_id), b'"%d.%d.%x"' % (view.epoch, view.seq, user_id.int & 0xFFFFFFFF)
    if fresh(call, etag):
        return not_modified(call, etag)
    return Answer(200, view.page(query), team_headers(call, etag))


def task_answer(view: TeamView, task_id: UUID, call: Call) -> Answer | None:
    """A task of the board, or None when it is not there."""
    found = view.task(task_id)
    if found is None:
        return None
    return versioned(call, found[0], found[1])


def board_answer(view: TeamView, call: Call) -> Answer:
    """All columns of the board."""
    etag = b'"%d.%d"' % (view.epoch, view.seq)
    if fresh(call, etag):
        return not_modified(call, etag)
    return Answer(200, view.board(), team_headers(call, etag))


def versioned(call: Call, version: int, body: bytes) -> Answer:
    """A thing with a version as its ETag."""
    etag = b'"%d"' % version
    if fresh(call, etag):
        return not_modified(call, etag)
    return Answer(200, body, team_headers(call, etag))


def team_headers(call: Call, etag: bytes) -> tuple[Header, ...]:
    """What every answer about a team carries."""
    return ((b"etag", etag), PRIVATE, (b"taskforge-team", call.team), (b"taskforge-seq", b"%d" % call.seq))


def fresh(call: Call, etag: bytes) -> bool:
    """Whether `If-None-Match` (RFC 9110, 13.1.2: weak comparison) says that the client has this already."""
    known = call.headers.get(b"if-none-match")
    if known is None:
        return False
    if known == etag:
        return True
    parts = [part.strip().removeprefix(b"W/") for part in known.split(b",")]
    return etag in parts or parts == [b"*"]


def not_modified(call: Call, etag: bytes) -> Answer:
    """304, with the headers that the 200 would have had."""
    return Answer(304, b"", team_headers(call, etag), b"")
