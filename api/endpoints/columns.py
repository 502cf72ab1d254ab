"""The columns of a team's board. Reads come from the board in memory, changes are commands to the team."""

import asyncio
from bisect import bisect_right
from typing import Final
from uuid import UUID

from blacksheep import Request, Response, Router
from msgspec import Struct, structs

from actors.envelope import CommandResult
from api import paths
from api.access import Access
from api.answers import Answer, about_team, encode, json
from api.asks import ask_of
from api.binding import MERGE_PATCH, body_of, decoder_for, no_query, path_value, query_of
from api.calls import Call, call_of
from api.changes import Changes, Render
from api.endpoints.column_docs import OPERATIONS
from api.paging import COLUMNS, PageQuery, page_of
from api.paths import link, pattern
from api.preconditions import refuse_if_match
from api.rest_v1 import column_among
from api.schemas import ColumnMove, ColumnPatch, NewColumn
from api.services import Services
from api.used_keys import UsedKeys
from core.ask import Ask
from core.columns import Column
from core.commands import AnyCommand, CloseColumn, CreateColumn, DeleteColumn, MoveColumn, UpdateColumn
from core.errors import NotFound, Unavailable
from core.principal import Principal

__all__ = ["OPERATIONS", "register"]

CLOSING: Final = 202
CLOSING_SHARE: Final = 0.6
"""Of the time until the answer is due: so long its tasks move before a request lets go of a column that is closing."""


class DeleteQuery(Struct, frozen=True, kw_only=True):
    """`move_to`: the column that the tasks go to."""

    move_to: UUID | None = None


class Columns:
    """The handlers of this module over one set of services."""

    def __init__(self, services: Services) -> None:
        self._teams = services.teams
        self._access = Access(services)
        self._changes = Changes(services)
        self._new = decoder_for(NewColumn)
        self._patch = decoder_for(ColumnPatch)
        self._move = decoder_for(ColumnMove)

    async def list(self, request: Request) -> Response:
        """GET /v1/teams/{team_id}/columns."""
        call = call_of(request)
        call.principal()
        query = query_of(request, PageQuery)
        state = (await self._access.team(call, path_value(request, "team_id"))).state
        ordered = list(state.columns.values())
        if query.cursor is not None:
            ordered = ordered[bisect_right(ordered, COLUMNS.read(query.cursor), key=place_of) :]
        shown, last = page_of(ordered, query.limit)
        cursor = None if last is None else COLUMNS.write(place_of(last))
        page = {"items": [column_among(state.columns, column.id) for column in shown], "next_cursor": cursor}
        return json(200, page, about_team(call.team, call.seq, call.epoch))

    async def get(self, request: Request) -> Response:
        """GET /v1/teams/{team_id}/columns/{column_id}."""
        call = call_of(request)
        call.principal()
        no_query(call)
        state = (await self._access.team(call, path_value(request, "team_id"))).state
        column_id = path_value(request, "column_id")
        if column_id not in state.columns:
            raise NotFound("column")
        return json(200, column_among(state.columns, column_id), about_team(call.team, call.seq, call.epoch))

    async def create(self, request: Request) -> Response:
        """POST /v1/teams/{team_id}/columns."""
        call, team_id = await self._changing(request)
        new = await body_of(request, self._new)
        command = CreateColumn(name=new.name, category=new.category, wip_limit=new.wip_limit)

        def render(result: CommandResult) -> Answer:
            column_id = result.events[0].row.subject
            own = ((b"location", link(paths.TEAM_COLUMN, team_id, column_id)),)
            body = encode(column_among(result.columns, column_id))
            return Answer(201, body, self._changes.headers(team_id, result, own))

        return (await self._changes.make(await ask_of(call), team_id, command, render)).response()

    async def update(self, request: Request) -> Response:
        """PATCH /v1/teams/{team_id}/columns/{column_id}."""
        call, team_id = await self._changing(request)
        column_id = path_value(request, "column_id")
        patch = await body_of(request, self._patch, *MERGE_PATCH)
        command = UpdateColumn(column_id=column_id, name=patch.name, wip_limit=patch.wip_limit)
        return await self._shown(call, team_id, column_id, command)

    async def move(self, request: Request) -> Response:
        """POST /v1/teams/{team_id}/columns/{column_id}/move."""
        call, team_id = await self._changing(request)
        column_id = path_value(request, "column_id")
        wanted = await body_of(request, self._move)
        command = MoveColumn(column_id=column_id, before_id=wanted.before_id, after_id=wanted.after_id)
        return await self._shown(call, team_id, column_id, command)

    async def delete(self, request: Request) -> Response:
        """DELETE /v1/teams/{team_id}/columns/{column_id}."""
        call, team_id, column_id = call_of(request), path_value(request, "team_id"), path_value(request, "column_id")
        query = query_of(request, DeleteQuery)
        refuse_if_match(call)
        await self._access.team(call, team_id)
        began = asyncio.get_running_loop().time()
        command = DeleteColumn(column_id=column_id, move_to=query.move_to)
        answer = await self._changes.make(await ask_of(call), team_id, command, self._closing(team_id, column_id))
        if answer.status == CLOSING:
            answer = await self._close(call, team_id, column_id, began, answer)
        return answer.response()

    def _closing(self, team_id: UUID, column_id: UUID) -> Render:
        """Gone, or on its way: what is stored under the request's key, too."""

        def render(result: CommandResult) -> Answer:
            if column_id not in result.columns:
                return Answer(204, b"", self._changes.headers(team_id, result), b"")
            own = ((b"location", link(paths.TEAM_COLUMN, team_id, column_id)),)
            body = encode(column_among(result.columns, column_id))
            return Answer(CLOSING, body, self._changes.headers(team_id, result, own))

        return render

    async def _close(self, call: Call, team_id: UUID, column_id: UUID, began: float, answer: Answer) -> Answer:
        """Move the tasks as long as there is time; what is left then goes on without this request."""
        replayed = tuple(one for one in answer.headers if one[0] == b"idempotent-replayed")
        ends = began + CLOSING_SHARE * self._teams.answer_seconds
        loop = asyncio.get_running_loop()
        ask = Ask(Principal.of_system(call.principal().user_id), traceparent=call.traceparent)
        while (left := ends - loop.time()) > 0:
            try:
                result = await self._teams.ask(team_id, CloseColumn(column_id), structs.replace(ask, deadline=left))
            except Unavailable:
                break  # The column is closing, whatever becomes of this step.
            except NotFound as missing:
                if missing.what != "column":
                    raise
                return Answer(204, b"", about_team(call.team, call.seq, call.epoch, replayed), b"")
            if column_id not in result.columns:
                return Answer(204, b"", self._changes.headers(team_id, result, replayed), b"")
        return answer

    async def _shown(self, call: Call, team_id: UUID, column_id: UUID, command: AnyCommand) -> Response:
        """Make the change; the answer is the column after it."""

        def render(result: CommandResult) -> Answer:
            body = encode(column_among(result.columns, column_id))
            return Answer(200, body, self._changes.headers(team_id, result))

        return (await self._changes.make(await ask_of(call), team_id, command, render)).response()

    async def _changing(self, request: Request) -> tuple[Call, UUID]:
        """The call and its team. Raises what signing in, conditions and membership demand."""
        call, team_id = call_of(request), path_value(request, "team_id")
        no_query(call)
        refuse_if_match(call)
        await self._access.team(call, team_id)
        return call, team_id


def place_of(column: Column) -> tuple[str, UUID]:
    """Where the column stands among the others."""
    return column.rank, column.id


def register(router: Router, services: Services) -> None:
    """The endpoints of columns."""
    columns, keyed = Columns(services), UsedKeys(services).around
    router.add_get(pattern(paths.TEAM_COLUMNS), columns.list)
    router.add_post(pattern(paths.TEAM_COLUMNS), keyed(columns.create))
    router.add_get(pattern(paths.TEAM_COLUMN), columns.get)
    router.add_patch(pattern(paths.TEAM_COLUMN), keyed(columns.update))
    router.add_delete(pattern(paths.TEAM_COLUMN), keyed(columns.delete))
    router.add_post(pattern(paths.TEAM_COLUMN_MOVE), keyed(columns.move))
