"""What a used key answers when a request fails before it asks its team.

A team (or `db.idempotency`) looks a key up where it commits. But a request may not get that far any more: the task it
is about is gone, its body is another one and has the wrong shape, or what it made was the last that its user may have.
The key still decides: the same request gets its stored answer, another one is refused as a reuse of the key.
"""

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import closing
from typing import Any

from blacksheep import Request, Response

from api.access import Access
from api.answers import replay
from api.asks import ask_of, key_of
from api.calls import Call, call_of
from api.services import Services
from core.ask import Ask
from core.errors import BadInput, NotFound, QuotaReached
from core.permissions import Right, check_right
from core.writes import StoredReply
from db.idempotency import find_reply
from db.pool import Pool
from db.sealed_replies import SealedReplies

__all__ = ["UsedKeys", "answered_once"]

Handler = Callable[[Request], Awaitable[Response]]
ReadAsk = Callable[[Call], Awaitable[Ask]]


async def answered_once(pool: Pool, sealed: SealedReplies, ask: Ask, work: Coroutine[Any, Any, Response]) -> Response:
    """The answer that an earlier request with this key got: what it used up cannot be asked for again.

    Otherwise that of `work`; but its refusal may be due to a duplicate that was quicker since, whose answer counts.
    """
    with closing(work):
        if (stored := await _stored_reply(pool, sealed, ask)) is not None:
            return stored
        try:
            return await work
        except BadInput:
            if (stored := await _stored_reply(pool, sealed, ask)) is None:
                raise
            return stored


async def _stored_reply(pool: Pool, sealed: SealedReplies, ask: Ask) -> Response | None:
    found = None if ask.key is None else await find_reply(pool, ask, sealed)
    return None if found is None else replay(found.reply).response()


class UsedKeys:
    """Goes around every handler that honours Idempotency-Key."""

    def __init__(self, services: Services) -> None:
        self._pool = services.pools.api
        self._access = Access(services)

    def around(
        self, handler: Handler, right_of: Callable[[Call], Right] | None = None, *, read_ask: ReadAsk = ask_of
    ) -> Handler:
        """The handler, after who asks and the key's form are known, and with a last look at the key when it fails.

        `right_of` says what the change takes now, where the team cannot be asked any more; `read_ask` reads what is
        asked from a body that is none of the usual ones.
        """

        async def handle(request: Request) -> Response:
            call = call_of(request)
            call.principal()
            key = key_of(call)
            try:
                return await handler(request)
            except (NotFound, BadInput, QuotaReached):
                stored = None if key is None or call.ask is not None else await self._stored(call, right_of, read_ask)
                if stored is None:
                    raise
            return replay(stored).response()

        return handle

    async def _stored(
        self, call: Call, right_of: Callable[[Call], Right] | None, read_ask: ReadAsk
    ) -> StoredReply | None:
        """The reply stored under the call's key, as long as the caller may still do what it is about.

        Raises KeyReused, NotFound("team") for a former member, Forbidden for one whose role does not suffice any more.
        """
        found = await find_reply(self._pool, await read_ask(call))
        if found is None:
            return None
        if found.team_id is not None:
            view, principal = await self._access.team(call, found.team_id), call.principal()
            if right_of is not None:
                check_right(view.role_of(principal.user_id), principal, right_of(call))
        return found.reply
