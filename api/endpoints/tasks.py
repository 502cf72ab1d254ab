"""Reading tasks: lists, single tasks, boards, activity. What memory can answer the edge has answered already."""

import base64
from typing import Annotated, Final
from uuid import UUID

from blacksheep import Request, Response, Router
from msgspec import Meta, Struct

from actors.board import TeamView
from api.access import Access, across_teams
from api.answers import Answer, about_team
from api.binding import no_query, path_value, query_of
from api.calls import Call, call_of
from api.endpoints.task_docs import READS as OPERATIONS
from api.listing import ListRequest, read_list_request
from api.reads import board_answer, list_answer, task_answer, versioned
from api.services import Services
from core.codec import cloud_event
from core.errors import BadInput, NotFound
from core.task import encode_task
from db import readmodel

__all__ = ["OPERATIONS", "register"]

_LARGEST: Final = 2**63 - 1


class ActivityQuery(Struct, frozen=True, kw_only=True):
    """`limit` 1 to 100, `cursor` opaque."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 50
    cursor: Annotated[str, Meta(min_length=1, max_length=100)] | None = None


class TaskReads:
    """The handlers of this module over one set of services."""

    def __init__(self, services: Services) -> None:
        self._access = Access(services)
        self._pool = services.pools.api

    async def list_tasks(self, request: Request) -> Response:
        """GET /v1/tasks."""
        call = call_of(request)
        call.principal()
        asked = read_list_request(call.query)
        if asked.team_id is None:
            return await self._stored_page(call, asked)
        view = await self._access.team(call, asked.team_id)
        if asked.query.archived:
            return await self._stored_page(call, asked)
        return list_answer(view, asked, call).response()

    async def _stored_page(self, call: Call, asked: ListRequest) -> Response:
        """A page by SQL: archived tasks, or those of all my teams."""
        principal = call.principal()
        user_id = across_teams(principal) if asked.team_id is None else principal.user_id
        page = await readmodel.list_tasks(self._pool, user_id, asked.for_user(user_id), team_id=asked.team_id)
        cursor = b"null" if page.next_cursor is None else b'"%s"' % page.next_cursor.encode()
        body = b'{"items":[%s],"next_cursor":%s}' % (b",".join(map(encode_task, page.tasks)), cursor)
        return Answer(200, body, about_team(call.team, call.seq) if call.team else ()).response()

    async def get_task(self, request: Request) -> Response:
        """GET /v1/tasks/{task_id}."""
        call, task_id = call_of(request), path_value(request, "task_id")
        call.principal()
        no_query(call)
        team_id, view = await self._access.task(call, task_id)
        answer = task_answer(view, task_id, call) or await self._archived(call, team_id, task_id)
        return answer.response()

    async def _archived(self, call: Call, team_id: UUID, task_id: UUID) -> Answer:
        task = await readmodel.stored_task(self._pool, call.principal().user_id, team_id, task_id)
        if task is None:
            raise NotFound("task")
        return versioned(call, task.version, encode_task(task))

    async def get_by_number(self, request: Request) -> Response:
        """GET /v1/teams/{team_id}/tasks/by-number/{number}."""
        call, team_id, number = call_of(request), path_value(request, "team_id"), path_value(request, "number")
        call.principal()
        no_query(call)
        view = await self._access.team(call, team_id)
        task_id = view.task_by_number(number) or await self._archived_number(call, team_id, number)
        answer = task_answer(view, task_id, call) or await self._archived(call, team_id, task_id)
        return answer.response()

    async def _archived_number(self, call: Call, team_id: UUID, number: int) -> UUID:
        if number > _LARGEST:
            raise NotFound("task")
        task = await readmodel.task_by_number(self._pool, call.principal().user_id, team_id, number)
        if task is None:
            raise NotFound("task")
        return task.id

    async def get_board(self, request: Request) -> Response:
        """GET /v1/teams/{team_id}/board."""
        call = call_of(request)
        call.principal()
        no_query(call)
        view: TeamView = await self._access.team(call, path_value(request, "team_id"))
        return board_answer(view, call).response()

    async def get_activity(self, request: Request) -> Response:
        """GET /v1/tasks/{task_id}/activity: the task's CloudEvents, newest first."""
        call, task_id = call_of(request), path_value(request, "task_id")
        user_id = call.principal().user_id
        query = query_of(request, ActivityQuery)
        before = None if query.cursor is None else read_position(query.cursor)
        team_id, _ = await self._access.task(call, task_id)
        rows = await readmodel.task_activity(
            self._pool, user_id, team_id, task_id, before=before, limit=query.limit + 1
        )
        shown = rows[: query.limit]
        cursor = b'"%s"' % position(shown[-1].seq) if len(rows) > query.limit else b"null"
        body = b'{"items":[%s],"next_cursor":%s}' % (b",".join(map(cloud_event, shown)), cursor)
        return Answer(200, body, about_team(call.team, call.seq)).response()


def position(seq: int) -> bytes:
    """A place in a team's history as an opaque cursor."""
    return base64.urlsafe_b64encode(b"s%d" % seq).rstrip(b"=")


def read_position(cursor: str) -> int:
    """The seq in a cursor of `position`. Raises BadInput."""
    try:
        raw = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
    except ValueError:
        raw = b""
    if raw[:1] != b"s" or not raw[1:].isdigit() or len(raw) > 20 or int(raw[1:]) > _LARGEST:
        raise BadInput("This cursor is not one of ours.", parameter="cursor")
    return int(raw[1:])


def register(router: Router, services: Services) -> None:
    """The reading endpoints of tasks."""
    reads = TaskReads(services)
    router.add_get("/v1/tasks", reads.list_tasks)
    router.add_get("/v1/tasks/{uuid:task_id}", reads.get_task)
    router.add_get("/v1/tasks/{uuid:task_id}/activity", reads.get_activity)
    router.add_get("/v1/teams/{uuid:team_id}/tasks/by-number/{int:number}", reads.get_by_number)
    router.add_get("/v1/teams/{uuid:team_id}/board", reads.get_board)
