"""`DELETE /v1/teams/{team_id}`: the end of a team, which takes longer than a request."""

import logging
from typing import Final
from uuid import UUID

from blacksheep import Request, Response, Router

from api import paths
from api.access import Access
from api.answers import NO_STORE, Answer, about_team, encode
from api.binding import no_query, path_value
from api.calls import call_of
from api.endpoints.operations import OPERATION_EXAMPLE, OperationAnswer, answer_of
from api.endpoints.team_docs import OF_TEAM
from api.once import once
from api.openapi import Operation, Reply
from api.paths import link, pattern
from api.preconditions import refuse_if_match
from api.services import Services
from api.turns import Turns
from api.used_keys import UsedKeys
from core.permissions import check_right
from core.rights import OWN_TEAM, in_team
from db import operations
from db.transaction import Writing
from streams.operations.offboarding import OFF_BOARDING

__all__ = ["OPERATIONS", "register"]

logger = logging.getLogger(__name__)

_EXAMPLE: Final = {
    **OPERATION_EXAMPLE,
    "kind": "off-boarding",
    "status": "waiting",
    "steps": [{"name": name, "status": "waiting"} for name in OFF_BOARDING.steps],
    "progress": 0.0,
    "team_id": "019a3b1e-7e00-7000-8000-000000000001",
}

OPERATIONS: Final = (
    Operation(
        method="DELETE",
        path=paths.TEAM,
        id="deleteTeam",
        summary="Delete a team, with everything in it",
        tag="Teams",
        description=(
            "Starts an operation, for owners, that cannot be taken back once its first step is done: every member "
            "leaves, feeds, invitations, webhooks and API keys of the team end, and nobody finds the team any more. "
            "Then its tasks, comments, files and reports are deleted. The history stays on the server for 30 days, "
            "and is then forgotten, names and texts alike. Asked again while it runs, it is the same operation."
        ),
        replies={
            202: Reply(
                description="The operation has been started, or is on its way already.",
                body=OperationAnswer,
                headers=("Location", "Cache-Control", *OF_TEAM),
                example=_EXAMPLE,
            )
        },
        problems=("not-found", "forbidden", "ahead-of-history", "history-rewritten"),
        keyed=True,
        requires=in_team(OWN_TEAM),
    ),
)


def register(router: Router, services: Services) -> None:
    """Add the endpoint to the router."""
    router.add_delete(pattern(paths.TEAM), UsedKeys(services).around(_OffBoarding(services).start))


class _OffBoarding:
    def __init__(self, services: Services) -> None:
        self._access, self._pool, self._turns = Access(services), services.pools.api, Turns()

    async def start(self, request: Request) -> Response:
        """DELETE /v1/teams/{team_id}. Raises NotFound, and Forbidden for members who do not own it."""
        call, team_id = call_of(request), path_value(request, "team_id")
        no_query(call)
        refuse_if_match(call)
        view, principal = await self._access.team(call, team_id), call.principal()
        check_right(view.role_of(principal.user_id), principal, OWN_TEAM)
        user_id, headers = principal.user_id, about_team(call.team, call.seq, call.epoch, (NO_STORE,))

        async def run(tx: Writing) -> Answer:
            operation = await _running(tx, user_id, team_id)
            if operation is None:
                await tx.alone(f"off-boarding of {team_id}")
                operation = await _running(tx, user_id, team_id)
            if operation is None:
                operation = await OFF_BOARDING.start(tx, user_id, team_id=team_id, traceparent=call.traceparent)
            location = (b"location", link(paths.OPERATION, operation.id))
            return Answer(202, encode(answer_of(operation, None)), (location, *headers))

        answer = await once(self._pool, call, run, turn=self._turns.of(str(team_id)))
        logger.info("a team is going to be deleted", extra={"team_id": str(team_id), "user_id": str(user_id)})
        return answer


async def _running(tx: Writing, user_id: UUID, team_id: UUID) -> operations.Operation | None:
    """The user's operation that ends the team, while it is on its way."""
    running = await operations.running_of(tx, user_id, OFF_BOARDING.kind, team_id=team_id)
    return None if running is None else await operations.find(tx, user_id, running)
