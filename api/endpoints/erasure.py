"""`DELETE /v1/me`: the end of an account, which takes longer than a request."""

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Final
from uuid import UUID

from blacksheep import Request, Response, Router
from msgspec import Meta, Struct, structs

from api import paths
from api.answers import NO_STORE, Answer, encode, replay
from api.asks import ask_of
from api.auth.bearer import session_of
from api.binding import body_of, decoder_for, no_query
from api.calls import Call, call_of
from api.endpoints.operations import OPERATION_EXAMPLE, OperationAnswer, answer_of
from api.openapi import Operation, Reply
from api.paths import link, pattern
from api.preconditions import refuse_if_match
from api.services import Services
from api.turns import Turns
from core.ask import Ask
from core.errors import BadInput, Conflict, Forbidden, NotFound
from core.events import Team
from core.rights import SESSION
from core.writes import StoredReply
from db import operations, readmodel
from db.idempotency import find_reply, replay_or_run
from db.transaction import Writing
from streams.operations.erasure import ERASURE

__all__ = ["OPERATIONS", "register"]

logger = logging.getLogger(__name__)

RECENT: Final = timedelta(minutes=5)
PAGE: Final = 100


class Goodbye(Struct, frozen=True, forbid_unknown_fields=True):
    """The password, of an account that has one."""

    password: Annotated[str, Meta(max_length=1024)] | None = None


_EXAMPLE: Final = {
    **OPERATION_EXAMPLE,
    "kind": "erasure",
    "status": "waiting",
    "steps": [{"name": name, "status": "waiting"} for name in ERASURE.steps],
    "progress": 0.0,
}

OPERATIONS: Final = (
    Operation(
        method="DELETE",
        path=paths.ME,
        id="deleteMe",
        summary="Delete my account, and all that it says about me",
        tag="Me",
        description=(
            "Starts an operation that takes the caller out of every team, ends their sessions, API keys and feeds, "
            "and then replaces their name and address wherever they stand: other people see `Deleted user`. An "
            "account without a password takes a session that began in the last five minutes. While the caller is "
            "some team's only owner it is refused (409 `conflict`, reason `last-owner`, which names the teams). The "
            "operation can be read as long as the session lasts: a 401 there means that the account is closed."
        ),
        replies={
            202: Reply(
                description="The operation has been started, or is on its way already.",
                body=OperationAnswer,
                headers=("Location", "Cache-Control"),
                example=_EXAMPLE,
            )
        },
        body=Goodbye,
        body_example={"password": "correct horse battery staple"},
        problems=("forbidden", "conflict"),
        keyed=True,
        requires=SESSION,
        limit="password",
    ),
)


def register(router: Router, services: Services) -> None:
    """Add the endpoint to the router."""
    router.add_delete(pattern(paths.ME), _Erasure(services).start)


class _Erasure:
    def __init__(self, services: Services) -> None:
        self._pool, self._teams, self._clock = services.pools.api, services.teams, services.clock
        self._identity, self._passwords, self._sealed = services.identity, services.passwords, services.sealed
        self._goodbye, self._turns = decoder_for(Goodbye), Turns()

    async def start(self, request: Request) -> Response:
        """DELETE /v1/me. Raises BadInput for a wrong password, Forbidden, Conflict("last-owner")."""
        call = call_of(request)
        no_query(call)
        refuse_if_match(call)
        session_id, user_id = session_of(call.principal()), call.principal().user_id
        given = await body_of(request, self._goodbye)
        ask = await self._ask(call)
        if ask.key is not None and (found := await find_reply(self._pool, ask)) is not None:
            return replay(found.reply).response()
        await self._check_identity(user_id, session_id, given.password)
        if alone := await self._owned_alone(user_id):
            names = ", ".join(f"{team.name} ({team.id})" for team in alone)
            raise Conflict("last-owner", f"You are the only owner of: {names}. Give these teams another owner first.")

        async def run(tx: Writing) -> StoredReply:
            await tx.alone(f"erasure of {user_id}")
            operation_id = await operations.running_of(tx, user_id, ERASURE.kind)
            running = None if operation_id is None else await operations.find(tx, user_id, operation_id)
            running = running or await ERASURE.start(tx, user_id, traceparent=call.traceparent)
            location = (b"location", link(paths.OPERATION, running.id))
            return Answer(202, encode(answer_of(running, None)), (location, NO_STORE)).stored(0)

        async with self._turns.of(str(user_id)):
            ran = await replay_or_run(self._pool, ask, run)
        logger.info("an account is going to be deleted", extra={"user_id": str(user_id)})
        return replay(ran.reply, replayed=ran.replayed).response()

    async def _ask(self, call: Call) -> Ask:
        """The ask, whose fingerprint tells nobody without the keyset which password it was made with."""
        ask = await ask_of(call)
        return ask if ask.key is None else structs.replace(ask, fingerprint=self._sealed.fingerprint(ask.fingerprint))

    async def _check_identity(self, user_id: UUID, session_id: UUID, password: str | None) -> None:
        password_hash = await self._identity.password_of(user_id)
        if password_hash is None:
            began = await self._identity.signed_in_at(user_id, session_id)
            if began is None or self._clock.now() - began > RECENT:
                raise Forbidden("delete_account", "Sign in again, and delete the account within five minutes.")
        elif password is None or not (await self._passwords.verify(password_hash, password)).ok:
            logger.info("deletion of an account refused: the password is wrong", extra={"user_id": str(user_id)})
            raise BadInput("This is not your password.", pointer="/password")

    async def _owned_alone(self, user_id: UUID) -> Sequence[Team]:
        """The teams that would be left without an owner, by what they say themselves."""
        alone, after = list[Team](), None
        while True:
            page = await readmodel.my_teams(self._pool, user_id, after=after, limit=PAGE)
            alone += [mine.team for mine in page if mine.role == "owner" and await self._is_alone(mine.team.id)]
            if len(page) < PAGE:
                return alone
            after = page[-1].team.id

    async def _is_alone(self, team_id: UUID) -> bool:
        try:
            members = (await self._teams.view(team_id)).state.members.values()
        except NotFound:
            return False
        return sum(member.role == "owner" for member in members) == 1
