"""`/v1/me/api-keys`: what programs of a user authenticate with. Only a session manages them, never a key."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Final, get_args
from uuid import UUID

from blacksheep import Request, Response, Router
from msgspec import Meta, Struct, structs

from api import paths
from api.answers import NO_STORE, Answer, encode, json, replay
from api.asks import ask_of
from api.auth.bearer import session_of
from api.auth.emails import clean_name
from api.binding import body_of, decoder_for, no_query, path_value, query_of
from api.calls import Call, call_of
from api.endpoints.account_examples import API_KEY, NEW_API_KEY
from api.endpoints.team_examples import page
from api.openapi import PAGE, Operation, Reply
from api.paging import API_KEYS, PageQuery, page_of
from api.paths import link, pattern
from api.preconditions import refuse_if_match
from api.problems import problem_answer
from api.services import Services
from api.used_keys import UsedKeys
from core.errors import BadInput, NotFound
from core.principal import Scope
from core.rights import SESSION
from core.writes import StoredReply
from db.idempotency import replay_or_run
from db.people.api_keys import ApiKey, NewKey
from db.transaction import Writing

__all__ = ["OPERATIONS", "register"]

LONGEST_LIFE: Final = timedelta(days=1826)
"""Five years."""


class NewApiKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key to make: for all my teams or for one, for ever or until it expires."""

    name: Annotated[str, Meta(min_length=1, max_length=200, description="1 to 100 characters after trimming.")]
    scopes: Annotated[
        tuple[Scope, ...], Meta(min_length=1, max_length=3, description="`write` includes `read`, `admin` both.")
    ]
    team_id: UUID | None = None
    expires_at: Annotated[datetime, Meta(tz=True, description="In the future, at most five years.")] | None = None


class CreatedApiKey(ApiKey, frozen=True, kw_only=True):
    """The key, and the `token` that goes into `Authorization: Bearer …`. It is shown this once."""

    token: str


class ApiKeyPage(Struct, frozen=True):
    """A page of keys that can be used, newest first."""

    items: Sequence[ApiKey]
    next_cursor: str | None


OPERATIONS: Final = (
    Operation(
        method="GET",
        path=paths.MY_API_KEYS,
        id="listMyApiKeys",
        summary="My API keys",
        tag="Me",
        description="`last_used_at` may be some minutes behind.",
        parameters=PAGE,
        replies={200: Reply(description="Usable keys, newest first.", body=ApiKeyPage, example=page(API_KEY))},
        problems=("forbidden",),
        requires=SESSION,
    ),
    Operation(
        method="POST",
        path=paths.MY_API_KEYS,
        id="createMyApiKey",
        summary="Make an API key",
        tag="Me",
        description="The `token` is `tfk_` and 49 letters and digits, of which the last six are a checksum.",
        body=NewApiKey,
        body_example={"name": "Nightly import", "scopes": ["write"]},
        replies={
            201: Reply(
                description="The key.", body=CreatedApiKey, headers=("Cache-Control", "Location"), example=NEW_API_KEY
            )
        },
        problems=("forbidden", "not-found", "quota-reached"),
        requires=SESSION,
        keyed=True,
    ),
    Operation(
        method="DELETE",
        path=paths.MY_API_KEYS,
        id="revokeMyApiKeys",
        summary="Revoke all my API keys",
        tag="Me",
        description="They stop working at once, in every process.",
        replies={204: Reply(description="The keys have ended, with the feeds that they opened.")},
        problems=("forbidden",),
        requires=SESSION,
        keyed=True,
    ),
    Operation(
        method="GET",
        path=paths.MY_API_KEY,
        id="getMyApiKey",
        summary="One of my API keys",
        tag="Me",
        description="Keys that were revoked or have expired are a 404.",
        replies={200: Reply(description="The key, without its token.", body=ApiKey, example=API_KEY)},
        problems=("forbidden",),
        requires=SESSION,
    ),
    Operation(
        method="DELETE",
        path=paths.MY_API_KEY,
        id="revokeMyApiKey",
        summary="Revoke an API key",
        tag="Me",
        description="It stops working at once, in every process.",
        replies={204: Reply(description="The key has ended, with the feeds that it opened.")},
        problems=("forbidden",),
        requires=SESSION,
        keyed=True,
    ),
)


def register(router: Router, services: Services) -> None:
    """Add the endpoints to the router."""
    keys, keyed = _ApiKeys(services), UsedKeys(services).around
    router.add_get(pattern(paths.MY_API_KEYS), keys.list)
    router.add_post(pattern(paths.MY_API_KEYS), keyed(keys.create))
    router.add_delete(pattern(paths.MY_API_KEYS), keyed(keys.revoke_all))
    router.add_get(pattern(paths.MY_API_KEY), keys.show)
    router.add_delete(pattern(paths.MY_API_KEY), keyed(keys.revoke))


class _ApiKeys:
    def __init__(self, services: Services) -> None:
        self._pool, self._sealed, self._clock = services.pools.api, services.sealed, services.clock
        self._keys, self._revocations = services.api_keys, services.revocations
        self._new = decoder_for(NewApiKey)

    async def list(self, request: Request) -> Response:
        """A page of usable keys."""
        user_id = _person(call_of(request))
        query = query_of(request, PageQuery)
        before = None if query.cursor is None else API_KEYS.read(query.cursor)
        found = await self._keys.list(user_id, before=before, limit=query.limit + 1)
        shown, last = page_of(found, query.limit)
        return json(200, ApiKeyPage(shown, None if last is None else API_KEYS.write(last.id)))

    async def show(self, request: Request) -> Response:
        """One usable key. Raises NotFound."""
        call = call_of(request)
        user_id = _person(call)
        no_query(call)
        return json(200, await self._keys.get(user_id, path_value(request, "key_id")))

    async def create(self, request: Request) -> Response:
        """201 with the token. Raises BadInput, NotFound("team"), QuotaReached; such refusals are not stored."""
        call = call_of(request)
        user_id = _person(call)
        _check_plain(call)
        wanted = await body_of(request, self._new)
        scopes = [scope for scope in get_args(Scope) if scope in wanted.scopes]
        new = NewKey(clean_name(wanted.name), scopes, wanted.team_id, wanted.expires_at)

        async def run(tx: Writing) -> StoredReply:
            self._check_expiry(new.expires_at)
            key, token = await self._keys.create_in(tx, user_id, new)
            headers = (NO_STORE, (b"location", link(paths.MY_API_KEY, key.id)))
            return Answer(201, encode(CreatedApiKey(**structs.asdict(key), token=token)), headers).stored(0)

        ran = await replay_or_run(self._pool, await ask_of(call), run, sealed=self._sealed)
        return replay(ran.reply, replayed=ran.replayed).response()

    def _check_expiry(self, expires_at: datetime | None) -> None:
        """Only for a key that is made now: a replay is of one whose end may have passed."""
        now = self._clock.now()
        if expires_at is not None and not now < expires_at <= now + LONGEST_LIFE:
            raise BadInput("A key expires in the future, within five years.", pointer="/expires_at")

    async def revoke(self, request: Request) -> Response:
        """204. Raises NotFound for any that is not a usable key of the user's."""
        key_id: UUID = path_value(request, "key_id")

        async def end(tx: Writing, user_id: UUID) -> Sequence[UUID]:
            if not await self._keys.revoke_in(tx, user_id, key_id):
                raise NotFound("API key")
            return (key_id,)

        return await self._end(request, end)

    async def revoke_all(self, request: Request) -> Response:
        """204, whether there was any."""
        return await self._end(request, self._keys.revoke_all_in)

    async def _end(self, request: Request, end: Callable[[Writing, UUID], Awaitable[Sequence[UUID]]]) -> Response:
        """End keys, once for each idempotency key, and say so to all processes."""
        call = call_of(request)
        user_id = _person(call)
        _check_plain(call)
        ended: list[UUID] = []

        async def run(tx: Writing) -> StoredReply:
            ended.extend(await end(tx, user_id))
            return Answer(204).stored(0)

        ran = await replay_or_run(
            self._pool, await ask_of(call), run, render=lambda error: problem_answer(error).stored(0)
        )
        await self._revocations.announce(ended)
        return replay(ran.reply, replayed=ran.replayed).response()


def _person(call: Call) -> UUID:
    """The user, asking in a session. Raises Unauthenticated, Forbidden for an API key."""
    session_of(call.principal())
    return call.principal().user_id


def _check_plain(call: Call) -> None:
    """Raise BadInput for what changes of keys do not have: a query, a precondition."""
    no_query(call)
    refuse_if_match(call)
