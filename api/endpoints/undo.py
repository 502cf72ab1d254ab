"""Taking back a change of a task."""

from typing import Annotated, Final
from uuid import UUID

from blacksheep import Request, Response, Router
from msgspec import Meta, Struct

from actors.ports import Representation
from api import paths
from api.access import Access
from api.asks import ask_of
from api.binding import decoder_for, no_query, optional_body_of, path_value
from api.calls import Call, call_of
from api.changes import Changes
from api.endpoints.task_changes import Shown, right_now
from api.endpoints.task_docs import CHANGED, DECIDED
from api.openapi import IF_MATCH, MIN_SEQ, TEAM_HINT, Operation
from api.paths import pattern
from api.preconditions import if_match
from api.rest_v1 import REST_V1
from api.services import Services
from api.used_keys import UsedKeys
from core.commands import UndoTask
from core.errors import NotFound
from core.rights import WRITE_TASKS, in_team
from core.seq import MAX_SEQ
from db import readmodel

__all__ = ["OPERATIONS", "register"]


class UndoRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which change to take back; without `seq` the newest one that you have made of this task."""

    seq: Annotated[int, Meta(ge=1, le=MAX_SEQ, description="Of a change of this task.")] | None = None


OPERATIONS: Final = (
    Operation(
        method="POST",
        path=paths.TASK_UNDO,
        id="undoTask",
        summary="Take back a change of a task",
        tag="Tasks",
        description=(
            "The fields that the change changed get their values from before, in an event of the usual types by "
            "whoever asks: an undo can itself be taken back. When anybody has changed one of these fields since, or a "
            "value refers to something that is gone, nothing happens: 409 with the reason `undo-conflict`, whose "
            "`fields` names them. Where a task stands (column and place) is one thing, and so is when it is due. "
            "Undoing a creation archives the task; archiving and restoring take each other back. What was forgotten "
            "for good, as of a task that was deleted, is 409 `undo-redacted`. Of a batch it takes back what was done "
            "to this task. No body is the same as `{}`."
        ),
        parameters=(IF_MATCH, TEAM_HINT, MIN_SEQ),
        body=UndoRequest,
        body_required=False,
        body_example={},
        replies={200: CHANGED},
        problems=(*DECIDED, "invalid-reference", "stale-version"),
        keyed=True,
        requires=in_team(WRITE_TASKS),
    ),
)


class _Undo:
    def __init__(self, services: Services, representation: Representation) -> None:
        self._access, self._changes = Access(services), Changes(services)
        self._representation = representation
        self._pool = services.pools.api
        self._decoder = decoder_for(UndoRequest)

    async def undo(self, request: Request) -> Response:
        """POST /v1/tasks/{task_id}/undo."""
        call, task_id = call_of(request), path_value(request, "task_id")
        no_query(call)
        team_id = await self._team_of(call, task_id)
        wanted = await optional_body_of(request, self._decoder, UndoRequest())
        command = UndoTask(task_id=task_id, user_id=call.principal().user_id, seq=wanted.seq, if_match=if_match(call))
        shown = Shown(self._changes, team_id, self._representation)
        return (await self._changes.make(await ask_of(call), team_id, command, shown)).response()

    async def _team_of(self, call: Call, task_id: UUID) -> UUID:
        """The team of the task, also of one that was deleted for good, which members are told. Raises NotFound."""
        try:
            return (await self._access.task(call, task_id))[0]
        except NotFound:
            team_id = await readmodel.team_of_deleted_task(self._pool, call.principal().user_id, task_id)
            if team_id is None or not call.principal().reaches(team_id):
                raise
        await self._access.team(call, team_id)
        return team_id


def register(router: Router, services: Services) -> None:
    """Add the endpoint to the router."""
    undo = _Undo(services, REST_V1)
    router.add_post(pattern(paths.TASK_UNDO), UsedKeys(services).around(undo.undo, right_now))
