"""`/v1/auth/oidc`: signing in by another issuer. A browser goes there and comes back; its page fetches the tokens."""

import logging
from collections.abc import Sequence
from typing import Annotated, Final, Literal
from urllib.parse import parse_qsl
from uuid import UUID

from blacksheep import Request, Response, Router
from msgspec import Meta, Struct

from api import paths
from api.answers import NO_STORE, Answer, Header, encode, json, replay
from api.asks import anonymous_ask, key_of
from api.auth.bearer import session_of
from api.auth.oidc import FLOW_SECONDS, Flow, SignInFailed
from api.auth.sign_in_cookie import SignInCookie
from api.binding import body_of, decoder_for, no_query, path_value, query_of
from api.calls import call_of
from api.endpoints.account_examples import ISSUERS
from api.endpoints.auth import TOKENS, Tokens, client_of
from api.openapi import Operation, Parameter, Reply
from api.paths import pattern
from api.services import Services
from api.used_keys import answered_once
from core.ask import Ask
from core.errors import BadInput, Conflict
from core.rights import ANYBODY
from core.writes import StoredReply
from db import outbox
from db.idempotency import replay_or_run
from db.people.external_identities import ExternalIdentity
from db.people.sessions import Client
from db.transaction import Writing, reading

__all__ = ["OPERATIONS", "register"]

logger = logging.getLogger(__name__)

MOST_FIELDS: Final = 20
NO_REFERRER: Final[Header] = (b"referrer-policy", b"no-referrer")


class OfferedIssuer(Struct, frozen=True):
    """An issuer by which people can sign in: its name in paths, and what a button says."""

    name: str
    label: str


class OfferedIssuers(Struct, frozen=True):
    """All of them, in the order of the settings."""

    items: Sequence[OfferedIssuer]
    next_cursor: str | None = None


class SignInCode(Struct, frozen=True, forbid_unknown_fields=True):
    """What the page was given when its browser came back."""

    code: Annotated[str, Meta(max_length=200, description="Good once, for 60 seconds, in the browser that began.")]


class _Beginning(Struct, frozen=True, kw_only=True):
    link: Literal["true", "false"] = "false"


_TEXT: Final = {"type": "string"}
_TO_PAGE: Final = Reply(
    description="To the page `/sign-in`, with `#code=…`, `#proof=…` or `#error=…`.",
    headers=("Location", "Cache-Control"),
)

OPERATIONS: Final = (
    Operation(
        method="GET",
        path=paths.OIDC,
        id="listSignInIssuers",
        summary="The issuers by which people can sign in",
        tag="Auth",
        description=(
            "Those for which a client id is set (`TASKFORGE_AUTH__ISSUERS`); the page offers a button for each."
        ),
        replies={200: Reply(description="All of them.", body=OfferedIssuers, example=ISSUERS)},
        secured=False,
        requires=ANYBODY,
    ),
    Operation(
        method="GET",
        path=paths.OIDC_BEGIN,
        id="beginSignIn",
        summary="Sign in by another issuer",
        tag="Auth",
        description=(
            "For browsers: authorization code with PKCE (S256), state and nonce. A cookie binds what follows to this "
            "browser, for ten minutes. With `link`, for which only pages of ours may ask, the page gets a proof, not "
            "a code, by which the account that is signed in links the identity: `POST /v1/me/identities`."
        ),
        parameters=(
            Parameter(
                name="link",
                schema={"type": "string", "enum": ["true", "false"], "default": "false"},
                description="`true`: not to sign in, but to link.",
            ),
        ),
        replies={302: Reply(description="To the issuer.", headers=("Location", "Cache-Control"))},
        problems=("not-found",),
        secured=False,
        requires=ANYBODY,
    ),
    Operation(
        method="GET",
        path=paths.OIDC_CALLBACK,
        id="finishSignIn",
        summary="Where the issuer sends the browser back",
        tag="Auth",
        description="For browsers. Whatever went wrong is told to the page behind `#error=`, not by a status.",
        parameters=tuple(
            Parameter(name=name, schema=_TEXT, description="As the issuer says (RFC 6749, 4.1.2; RFC 9207).")
            for name in ("code", "state", "iss", "error")
        ),
        replies={302: _TO_PAGE},
        problems=("not-found",),
        secured=False,
        limit="login",
        requires=ANYBODY,
        open_query=True,
    ),
    Operation(
        method="POST",
        path=paths.OIDC_TOKENS,
        id="exchangeSignInCode",
        summary="Open the session of a finished sign-in",
        tag="Auth",
        description=(
            "Takes the `code` that the page got behind `#code=`, in the browser that began; the cookie proves that."
        ),
        replies={200: TOKENS},
        body=SignInCode,
        body_example={"code": "tfs_…"},
        secured=False,
        limit="refresh",
        keyed=True,
        requires=ANYBODY,
    ),
)


def register(router: Router, services: Services) -> None:
    """Add the endpoints to the router."""
    oidc = _Oidc(services)
    router.add_get(pattern(paths.OIDC), oidc.offered)
    router.add_get(pattern(paths.OIDC_BEGIN), oidc.begin)
    router.add_get(pattern(paths.OIDC_CALLBACK), oidc.finish)
    router.add_post(pattern(paths.OIDC_TOKENS), oidc.exchange)


class _Oidc:
    def __init__(self, services: Services) -> None:
        self._pool, self._sealed = services.pools.api, services.sealed
        self._oidc, self._identities = services.external.oidc, services.external.identities
        self._sign_ins, self._identity = services.external.sign_ins, services.identity
        self._tokens, self._revocations = services.tokens, services.revocations
        self._cookie = SignInCookie(services.external.site)
        self._code = decoder_for(SignInCode)

    async def offered(self, request: Request) -> Response:
        """The issuers that have a client id."""
        no_query(call_of(request))
        return json(200, OfferedIssuers([OfferedIssuer(one.name, one.shown) for one in self._oidc.offered]))

    async def begin(self, request: Request) -> Response:
        """302 to the issuer; to our page with an error when it cannot be reached. Raises NotFound("issuer")."""
        link = query_of(request, _Beginning).link == "true"
        try:
            if link and call_of(request).headers.get(b"sec-fetch-site") != b"same-origin":
                raise SignInFailed("refused", "linking was begun by another site, or by no page at all")
            url, kept = await self._oidc.begin(path_value(request, "issuer"), link=link)
        except SignInFailed as error:
            return self._failed(error)
        return _redirect(url, self._cookie.header(kept, FLOW_SECONDS))

    async def finish(self, request: Request) -> Response:
        """302 to our page with a code that only this browser can exchange, or an error. Raises NotFound("issuer")."""
        call, flow = call_of(request), self._flow_of(request)
        try:
            given = dict(parse_qsl(call.query.decode("latin-1"), max_num_fields=MOST_FIELDS))
        except ValueError:
            given = {}
        try:
            identity = await self._oidc.finish(path_value(request, "issuer"), flow, given)
            assert flow is not None, "without one nothing is finished"
            return await self._arrived(flow, identity)
        except SignInFailed as error:
            return self._failed(error)
        except BadInput as error:
            return self._failed(SignInFailed("expired", error.detail))

    async def _arrived(self, flow: Flow, identity: ExternalIdentity) -> Response:
        """To the page with a code for tokens, or with a proof to link the identity with. Raises BadInput."""
        if flow.link:
            return _redirect(f"/sign-in#proof={self._oidc.proof_of(flow, identity)}")
        try:
            owned = await self._identities.find_or_make(identity)
        except Conflict as error:
            logger.info("sign-in by another issuer needs an account first: %s", error.detail)
            proof = f"&proof={self._oidc.proof_of(flow, identity)}" if identity.verified else ""
            return _redirect(f"/sign-in#error=email-taken{proof}")
        return _redirect(f"/sign-in#code={await self._sign_ins.begin(owned.user_id, flow.state)}")

    async def exchange(self, request: Request) -> Response:
        """200 with tokens, once. Raises BadInput, the same for every bad code and in every other browser."""
        call = call_of(request)
        key_of(call)
        no_query(call)
        given, flow = await body_of(request, self._code), self._flow_of(request)
        state = "" if flow is None else flow.state
        # A stored answer is this browser's, as the code is.
        ask = await anonymous_ask(call, f"{given.code} {state}", self._sealed)
        work = self._exchange_in(ask, given, state, client_of(request))
        return await answered_once(self._pool, self._sealed, ask, work)

    async def _exchange_in(self, ask: Ask, given: SignInCode, state: str, client: Client) -> Response:
        async with reading(self._pool, None) as tx:
            user_id = await self._sign_ins.owner_in(tx, given.code, state)
        ended = list[UUID]()

        async def run(tx: Writing) -> StoredReply:
            await self._sign_ins.spend_in(tx, user_id, given.code)
            new = await self._identity.sessions.is_new_client(tx, user_id, client)
            grant = await self._identity.sessions.start_in(tx, user_id, client)
            ended.extend(grant.ended)
            if new:
                await outbox.put(tx, outbox.MAIL, "new-sign-in", session_of(grant.principal))
            access = self._tokens.issue(grant.principal)
            tokens = Tokens(access, "Bearer", self._tokens.expires_in, grant.refresh_token)
            return Answer(200, encode(tokens), (NO_STORE, self._cookie.header("", 0))).stored(0)

        ran = await replay_or_run(self._pool, ask, run, user_id=user_id, sealed=self._sealed)
        await self._revocations.announce(ended)
        return replay(ran.reply, replayed=ran.replayed).response()

    def _flow_of(self, request: Request) -> Flow | None:
        """The sign-in that this browser has under way."""
        return self._oidc.flow_in(self._cookie.value_in(request))

    def _failed(self, error: SignInFailed) -> Response:
        logger.info("sign-in by another issuer failed (%s): %s", error.problem, error)
        return _redirect(f"/sign-in#error={error.problem}", self._cookie.header("", 0))


def _redirect(where: str, *headers: Header) -> Response:
    return Answer(
        302, headers=(NO_STORE, NO_REFERRER, (b"location", where.encode()), *headers), media_type=b""
    ).response()
