"""Reading tasks: lists, single tasks, boards. What memory can answer the edge has answered already."""

from uuid import UUID

from blacksheep import Request, Response, Router
from msgspec import structs

from actors.ports import Representation
from api import paths
from api.access import Access
from api.answers import Answer, about_team
from api.binding import no_query, path_value
from api.calls import Call, call_of
from api.endpoints.task_docs import READS as OPERATIONS
from api.etags import versioned
from api.listing import ListRequest, ListRequests
from api.paging import NO_EPOCH
from api.past import PastReads
from api.paths import pattern
from api.reads import board_answer, board_query_of, list_answer, long_board_answer, long_list_answer, task_answer
from api.rest_v1 import REST_V1
from api.services import Services
from core.errors import HistoryRewritten, NotFound
from db import readmodel

__all__ = ["OPERATIONS", "register"]


class TaskReads:
    """The handlers of this module over one set of services."""

    def __init__(self, services: Services, representation: Representation) -> None:
        self._access, self._representation = Access(services), representation
        self._pool, self._clock = services.pools.api, services.clock
        self._lists = ListRequests()
        self._past = PastReads(services, representation)

    async def list_tasks(self, request: Request) -> Response:
        """GET /v1/tasks."""
        call = call_of(request)
        call.principal()
        asked = self._lists.read(call.query)
        if asked.team_id is None:
            return await self._stored_page(call, asked)
        view = await self._access.team(call, asked.team_id, at=asked.since)
        if not view.answers(asked.query):
            if NO_EPOCH < asked.epoch < view.epoch:
                raise HistoryRewritten(view.epoch, view.seq)
            return await self._stored_page(call, asked, view.epoch)
        shown, clock = self._representation, self._clock
        answer = list_answer(call, view, asked, shown, clock) or await long_list_answer(call, view, asked, shown, clock)
        return answer.response()

    async def _stored_page(self, call: Call, asked: ListRequest, epoch: int = NO_EPOCH) -> Response:
        """A page by SQL: of the archive, of what comments say too, or of all the teams that the caller reaches."""
        principal = call.principal()
        user_id, only = principal.user_id, asked.team_id or principal.team_id
        query, shown = asked.for_user(user_id), self._representation
        if query.overdue is not None:
            query = structs.replace(query, now=self._clock.now())
        page = await readmodel.list_tasks(self._pool, user_id, query, team_id=only)
        body = shown.page(list(map(shown.task, page.tasks)), query, page.last, epoch)
        return Answer(200, body, about_team(call.team, call.seq, call.epoch) if call.team else ()).response()

    async def get_task(self, request: Request) -> Response:
        """GET /v1/tasks/{task_id}."""
        call, task_id = call_of(request), path_value(request, "task_id")
        call.principal()
        no_query(call)
        team_id, view = await self._access.task(call, task_id)
        answer = task_answer(call, view, task_id, self._representation) or await self._archived(call, team_id, task_id)
        return answer.response()

    async def _archived(self, call: Call, team_id: UUID, task_id: UUID) -> Answer:
        task = await readmodel.stored_task(self._pool, call.principal().user_id, team_id, task_id)
        if task is None:
            raise NotFound("task")
        return versioned(call, task.version, self._representation.task(task))

    async def get_by_number(self, request: Request) -> Response:
        """GET /v1/teams/{team_id}/tasks/by-number/{number}."""
        call, team_id, number = call_of(request), path_value(request, "team_id"), path_value(request, "number")
        call.principal()
        no_query(call)
        view = await self._access.team(call, team_id)
        task_id = view.task_by_number(number) or await self._archived_number(call, team_id, number)
        answer = task_answer(call, view, task_id, self._representation) or await self._archived(call, team_id, task_id)
        return answer.response()

    async def _archived_number(self, call: Call, team_id: UUID, number: int) -> UUID:
        task = await readmodel.task_by_number(self._pool, call.principal().user_id, team_id, number)
        if task is None:
            raise NotFound("task")
        return task.id

    async def get_board(self, request: Request) -> Response:
        """GET /v1/teams/{team_id}/board."""
        call = call_of(request)
        call.principal()
        (per_column, as_of), team_id = board_query_of(call.query), path_value(request, "team_id")
        if as_of is not None:
            return (await self._past.board(call, team_id, as_of)).response()
        view, shown = await self._access.team(call, team_id), self._representation
        answer = board_answer(call, view, per_column, shown) or await long_board_answer(call, view, shown)
        return answer.response()


def register(router: Router, services: Services) -> None:
    """The reading endpoints of tasks."""
    reads = TaskReads(services, REST_V1)
    router.add_get(pattern(paths.TASKS), reads.list_tasks)
    router.add_get(pattern(paths.TASK), reads.get_task)
    router.add_get(pattern(paths.TEAM_TASK_BY_NUMBER), reads.get_by_number)
    router.add_get(pattern(paths.TEAM_BOARD), reads.get_board)
