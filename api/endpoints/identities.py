"""`/v1/me/identities`: who the caller is at other issuers. Only a session of ours manages them."""

import logging
from collections.abc import Sequence
from typing import Annotated, Final
from uuid import UUID

from blacksheep import Request, Response, Router
from msgspec import UNSET, Meta, Struct, UnsetType

from api import paths
from api.answers import Answer, encode, json, replay
from api.asks import ask_of
from api.auth.bearer import session_of
from api.auth.jws import LONGEST, BadToken
from api.auth.oidc import LONGEST_SEALED
from api.auth.sign_in_cookie import SignInCookie
from api.binding import body_of, decoder_for, no_query, path_value, query_of
from api.calls import Call, call_of
from api.endpoints.account_examples import IDENTITY
from api.endpoints.team_examples import page
from api.openapi import PAGE, Operation, Reply
from api.paging import IDENTITIES, PageQuery, page_of
from api.paths import pattern
from api.preconditions import refuse_if_match
from api.problems import problem_answer
from api.services import Services
from api.used_keys import UsedKeys
from core.errors import BadInput, NotFound
from core.rights import SESSION
from core.writes import StoredReply
from db.idempotency import find_reply, replay_or_run
from db.people.external_identities import ExternalIdentity, LinkedIdentity
from db.transaction import Writing

__all__ = ["OPERATIONS", "register"]

logger = logging.getLogger(__name__)


class ProvenIdentity(Struct, frozen=True, forbid_unknown_fields=True):
    """An access token of the other issuer, or what the page got of a sign-in there that this browser began."""

    token: Annotated[str, Meta(max_length=LONGEST, description="As it would be sent in Authorization.")] | UnsetType = (
        UNSET
    )
    proof: Annotated[str, Meta(max_length=LONGEST_SEALED, description="Behind `#proof=`.")] | UnsetType = UNSET

    def __post_init__(self) -> None:
        if (self.token is UNSET) == (self.proof is UNSET):
            raise ValueError("give either token or proof")


class IdentityPage(Struct, frozen=True):
    """A page of identities, newest first."""

    items: Sequence[LinkedIdentity]
    next_cursor: str | None


OPERATIONS: Final = (
    Operation(
        method="GET",
        path=paths.MY_IDENTITIES,
        id="listMyIdentities",
        summary="Who I am at other issuers",
        tag="Me",
        description="An identity is the pair of issuer and subject, never an address.",
        parameters=PAGE,
        replies={200: Reply(description="Linked identities, newest first.", body=IdentityPage, example=page(IDENTITY))},
        problems=("forbidden",),
        requires=SESSION,
    ),
    Operation(
        method="POST",
        path=paths.MY_IDENTITIES,
        id="linkMyIdentity",
        summary="Link an identity at another issuer",
        tag="Me",
        description="From then on the issuer's tokens and sign-ins are those of this account. Again changes nothing.",
        body=ProvenIdentity,
        body_example={"token": "eyJhbGciOiJFUzI1NiIsImtpZCI6…"},
        replies={201: Reply(description="The identity.", body=LinkedIdentity, example=IDENTITY)},
        problems=("forbidden", "conflict"),
        requires=SESSION,
        keyed=True,
    ),
    Operation(
        method="DELETE",
        path=paths.MY_IDENTITY,
        id="unlinkMyIdentity",
        summary="Unlink an identity",
        tag="Me",
        description="Not the last one of an account without a password: nothing else would sign its user in.",
        replies={204: Reply(description="The issuer's tokens are no longer this account's.")},
        problems=("forbidden", "not-found", "conflict"),
        requires=SESSION,
        keyed=True,
    ),
)


def register(router: Router, services: Services) -> None:
    """Add the endpoints to the router."""
    identities, keyed = _Identities(services), UsedKeys(services).around
    router.add_get(pattern(paths.MY_IDENTITIES), identities.list)
    router.add_post(pattern(paths.MY_IDENTITIES), keyed(identities.link))
    router.add_delete(pattern(paths.MY_IDENTITY), keyed(identities.unlink))


class _Identities:
    def __init__(self, services: Services) -> None:
        self._pool, self._revocations = services.pools.api, services.revocations
        self._issuers, self._identities = services.external.issuers, services.external.identities
        self._accounts = services.identity
        self._oidc, self._cookie = services.external.oidc, SignInCookie(services.external.site)
        self._proven = decoder_for(ProvenIdentity)

    async def list(self, request: Request) -> Response:
        """A page of identities."""
        user_id = _person(call_of(request))
        query = query_of(request, PageQuery)
        before = None if query.cursor is None else IDENTITIES.read(query.cursor)
        found = await self._identities.list(user_id, before=before, limit=query.limit + 1)
        shown, last = page_of(found, query.limit)
        return json(200, IdentityPage(shown, None if last is None else IDENTITIES.write(last.id)))

    async def link(self, request: Request) -> Response:
        """201. Raises BadInput for a bad token, Conflict("identity-taken"), Unavailable without the issuer's keys."""
        call = call_of(request)
        user_id = _person(call)
        _check_plain(call)
        given, ask = await body_of(request, self._proven), await ask_of(call)
        if ask.key is not None and (found := await find_reply(self._pool, ask)) is not None:
            return replay(found.reply).response()
        if isinstance(given.proof, UnsetType):
            assert not isinstance(given.token, UnsetType), "one of the two is there"
            identity = await self._of_token(given.token, user_id)
        else:
            identity = await self._of_proof(given.proof, request, user_id)

        async def run(tx: Writing) -> StoredReply:
            return Answer(201, encode(await self._identities.link_in(tx, user_id, identity))).stored(0)

        ran = await replay_or_run(self._pool, ask, run, render=lambda error: problem_answer(error).stored(0))
        return replay(ran.reply, replayed=ran.replayed).response()

    async def _of_token(self, token: str, user_id: UUID) -> ExternalIdentity:
        try:
            identity, _ = await self._issuers.identity_of(token.encode(errors="replace"))
        except BadToken as error:
            logger.info("a token to link was refused: %s", error, extra={"user_id": str(user_id)})
            detail = "This is no good access token of an issuer that is known here."
            raise BadInput(detail, pointer="/token") from error
        return identity

    async def _of_proof(self, sealed: str, request: Request, user_id: UUID) -> ExternalIdentity:
        """Only in the browser that began: otherwise a link could tie a stranger's identity to whoever follows it."""
        proof = self._oidc.proof_in(sealed, self._oidc.flow_in(self._cookie.value_in(request)))
        if proof is None:
            raise BadInput("This took too long, or began in another browser. Please begin again.", pointer="/proof")
        if proof.same_address:
            own, theirs = (await self._accounts.user(user_id)).email, proof.identity.email
            if own is None or theirs is None or own.lower() != theirs.lower():
                raise BadInput("This identity has another e-mail address than the account.", pointer="/proof")
        return proof.identity

    async def unlink(self, request: Request) -> Response:
        """204. Raises NotFound for any that is not the user's, Conflict("last-way-in")."""
        call = call_of(request)
        user_id = _person(call)
        _check_plain(call)
        identity_id: UUID = path_value(request, "identity_id")

        async def run(tx: Writing) -> StoredReply:
            if not await self._identities.unlink_in(tx, user_id, identity_id):
                raise NotFound("identity")
            return Answer(204).stored(0)

        ran = await replay_or_run(
            self._pool, await ask_of(call), run, render=lambda error: problem_answer(error).stored(0)
        )
        if ran.reply.status == 204:
            await self._revocations.announce([identity_id])
        return replay(ran.reply, replayed=ran.replayed).response()


def _person(call: Call) -> UUID:
    """The user, asking in a session. Raises Unauthenticated, Forbidden."""
    session_of(call.principal())
    return call.principal().user_id


def _check_plain(call: Call) -> None:
    """Raise BadInput for what these changes do not have: a query, a precondition."""
    no_query(call)
    refuse_if_match(call)
