"""`/v1/teams/{team_id}/bootstraps`: files that copies of a team begin with, asked for here, found as an operation."""

from blacksheep import Request, Response, Router

from api import paths
from api.access import Access
from api.answers import NO_STORE, Answer, about_team, encode
from api.binding import body_of, decoder_for, no_query, path_value
from api.calls import call_of
from api.endpoints.bootstrap_docs import OPERATIONS, NewBootstrap
from api.endpoints.operations import answer_of
from api.once import once
from api.paths import link, pattern
from api.preconditions import refuse_if_match
from api.services import Services
from api.turns import Turns
from api.used_keys import UsedKeys
from core.errors import Conflict, Unavailable
from core.permissions import check_right
from core.rights import BOOTSTRAP_COPIES
from core.seq import Position
from db import operations
from db.transaction import Writing
from streams.operations.bootstrap import BOOTSTRAP

__all__ = ["OPERATIONS", "register"]


def register(router: Router, services: Services) -> None:
    """Add the endpoint to the router."""
    bootstraps, keyed = _Bootstraps(services), UsedKeys(services).around
    router.add_post(pattern(paths.TEAM_BOOTSTRAPS), keyed(bootstraps.make))


class _Bootstraps:
    def __init__(self, services: Services) -> None:
        self._services, self._access, self._pool = services, Access(services), services.pools.api
        self._decoder, self._turns = decoder_for(NewBootstrap), Turns()

    async def make(self, request: Request) -> Response:
        """POST …/bootstraps. Raises AheadOfHistory for a seq to come, Conflict while one is made, Unavailable where
        none could be kept."""
        call, team_id = call_of(request), path_value(request, "team_id")
        no_query(call)
        refuse_if_match(call)
        view, principal = await self._access.team(call, team_id), call.principal()
        check_right(view.role_of(principal.user_id), principal, BOOTSTRAP_COPIES)
        wanted = await body_of(request, self._decoder)
        if wanted.seq is not None:
            await self._access.team(call, team_id, at=Position(wanted.seq))
        if self._services.objects is None:
            raise Unavailable("No object store is set, in which a bootstrap could be kept.", retry_after=600)
        data = {"format": wanted.format, "seq": wanted.seq}
        headers = about_team(call.team, call.seq, call.epoch, (NO_STORE,))

        async def run(tx: Writing) -> Answer:
            await tx.alone(f"bootstraps of {principal.user_id}")
            if await operations.running_of(tx, principal.user_id, BOOTSTRAP.kind) is not None:
                raise Conflict("bootstrap-running", "A bootstrap of yours is being made: wait for its end.")
            started = await BOOTSTRAP.start(
                tx, principal.user_id, team_id=team_id, data=data, traceparent=call.traceparent
            )
            location = (b"location", link(paths.OPERATION, started.id))
            return Answer(202, encode(answer_of(started, None)), (location, *headers))

        return await once(self._pool, call, run, refusals=True, turn=self._turns.of(str(principal.user_id)))
