"""`/v1/operations/{id}`: how far long work is; `/v1/me/export`, which starts some."""

from typing import Any, Final
from uuid import UUID

from blacksheep import Request, Response, Router
from msgspec import UNSET, UnsetType, structs

from api import paths
from api.answers import NO_STORE, Answer, encode, json
from api.auth.bearer import session_of
from api.binding import no_query, path_value
from api.calls import call_of
from api.once import once
from api.openapi import Operation, Reply
from api.paths import link, pattern
from api.preconditions import refuse_if_match
from api.services import Services
from api.turns import Turns
from api.used_keys import UsedKeys
from core.errors import Conflict, NotFound, Unavailable
from core.principal import Principal
from core.rights import SESSION, SIGNED_IN
from db import objects, operations
from db.transaction import Reading, Writing, reading
from streams.operations.export import EXPORT
from streams.operations.notices import OperationState, state_of

__all__ = ["OPERATIONS", "OPERATION_EXAMPLE", "OperationAnswer", "answer_of", "register"]


class OperationAnswer(OperationState, frozen=True, kw_only=True):
    """How far an operation is. `progress` is from 0 to 1. `error` says why it failed.

    `result` is there once it has succeeded. Where that is a file, it has a `download_url`, made anew for each answer
    and good for five minutes, as long as the file is kept (`expires_at`).
    """

    result: dict[str, Any] | UnsetType = UNSET


_ID: Final = "019a3b1e-7e00-7000-8000-0000000000f1"
_STEPS: Final = [{"name": "reserve", "status": "done"}, {"name": "write", "status": "running"}]
OPERATION_EXAMPLE: Final = {
    "id": _ID,
    "kind": "export",
    "status": "running",
    "steps": _STEPS,
    "progress": 0.75,
    "team_id": None,
    "created_at": "2026-11-27T09:30:00Z",
    "ended_at": None,
    "error": None,
}

OPERATIONS: Final = (
    Operation(
        method="GET",
        path=paths.OPERATION,
        id="getOperation",
        summary="How far long work is",
        tag="Operations",
        description=(
            "Work that takes longer than a request is an operation of whoever asked for it. Its changes also reach "
            "their open live feeds as frames `notice`, which have no `seq` and are never replayed. An API key sees "
            "operations of its team, and those of any team if it is for none; what is personal takes a session."
        ),
        replies={
            200: Reply(
                description="The operation.",
                body=OperationAnswer,
                headers=("Cache-Control",),
                example=OPERATION_EXAMPLE,
            )
        },
        problems=("not-found",),
        requires=SIGNED_IN,
    ),
    Operation(
        method="POST",
        path=paths.MY_EXPORT,
        id="exportMe",
        summary="Export everything about me",
        tag="Me",
        description=(
            "Starts an operation whose result is a zip archive of JSON files, kept for 7 days. One at a time: while "
            "one is on its way, another is refused with 409 (`conflict`, reason `export-running`)."
        ),
        replies={
            202: Reply(
                description="The operation has been started.",
                body=OperationAnswer,
                headers=("Location", "Cache-Control"),
                example={**OPERATION_EXAMPLE, "status": "waiting", "progress": 0.0},
            )
        },
        problems=("conflict",),
        keyed=True,
        requires=SESSION,
    ),
)


def register(router: Router, services: Services) -> None:
    """Add the endpoints to the router."""
    long_work, keyed = _LongWork(services), UsedKeys(services).around
    router.add_get(pattern(paths.OPERATION), long_work.show)
    router.add_post(pattern(paths.MY_EXPORT), keyed(long_work.export))


class _LongWork:
    def __init__(self, services: Services) -> None:
        self._pool, self._clock = services.pools.api, services.clock
        self._store, self._links, self._turns = services.objects, services.object_links, Turns()

    async def show(self, request: Request) -> Response:
        """GET /v1/operations/{operation_id}. Raises NotFound for any that is not the caller's."""
        call = call_of(request)
        no_query(call)
        principal, operation_id = call.principal(), path_value(request, "operation_id")
        async with reading(self._pool, principal.user_id) as tx:
            found = await operations.find(tx, principal.user_id, operation_id)
            if found is None or not _reaches(principal, found):
                raise NotFound("operation")
            result = None if found.result is None else await self._result(tx, principal.user_id, dict(found.result))
        return json(200, answer_of(found, result), (NO_STORE,))

    async def export(self, request: Request) -> Response:
        """POST /v1/me/export. Raises Conflict while one is on its way, Unavailable where none could be kept."""
        call = call_of(request)
        no_query(call)
        refuse_if_match(call)
        session_of(call.principal())
        user_id = call.principal().user_id
        if self._store is None:
            raise Unavailable("No object store is set, in which an export could be kept.", retry_after=600)

        async def run(tx: Writing) -> Answer:
            await tx.alone(f"exports of {user_id}")
            if await operations.running_of(tx, user_id, EXPORT.kind) is not None:
                raise Conflict("export-running", "An export is on its way: wait for its end.")
            started = await EXPORT.start(tx, user_id, traceparent=call.traceparent)
            location = (b"location", link(paths.OPERATION, started.id))
            return Answer(202, encode(answer_of(started, None)), (location, NO_STORE))

        return await once(self._pool, call, run, refusals=True, turn=self._turns.of(str(user_id)))

    async def _result(self, tx: Reading, user_id: UUID, result: dict[str, Any]) -> dict[str, Any]:
        """The result as it is shown: an object is an address to download it from, or none once it has gone."""
        object_id = result.pop("object_id", None)
        if object_id is None:
            return result
        there = await objects.find(tx, UUID(object_id))
        now = self._clock.now().timestamp()
        url = None if there is None else self._links.make("GET", there.id, user_id, now)
        return {**result, "download_url": url}


def _reaches(principal: Principal, operation: operations.Operation) -> bool:
    """Whether these credentials of the user's reach the operation: API keys do not reach what is personal."""
    if principal.session_id is not None:
        return True
    return operation.team_id is not None and principal.team_id in (None, operation.team_id)


def answer_of(operation: operations.Operation, result: dict[str, Any] | None) -> OperationAnswer:
    """The operation as its user sees it."""
    return OperationAnswer(**structs.asdict(state_of(operation)), result=UNSET if result is None else result)
