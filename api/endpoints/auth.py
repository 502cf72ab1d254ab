"""`/v1/auth`: sign up, log in, refresh, log out. Only these four see passwords and refresh tokens."""

import hashlib
import logging
from typing import Annotated, Final
from uuid import UUID

from blacksheep import Request, Response, Router
from msgspec import Meta, Struct

from api import paths
from api.answers import NO_STORE, Answer, Header, empty, encode, replay
from api.asks import anonymous_ask, key_of
from api.auth.bearer import session_of
from api.auth.emails import clean_email, clean_name, known_forms
from api.auth.passwords import check_password
from api.auth.time_zones import check_time_zone
from api.binding import body_of, decoder_for, no_query
from api.calls import call_of
from api.endpoints import account_examples
from api.openapi import Operation, Reply
from api.paths import link, pattern
from api.services import Services
from core.errors import BadInput, Unauthenticated
from core.rights import ANYBODY
from core.writes import StoredReply
from db import outbox
from db.idempotency import find_reply, replay_or_run
from db.ids import new_id
from db.people.sessions import Client, Grant, Reused
from db.transaction import Writing

__all__ = ["OPERATIONS", "TOKENS", "Email", "NewPassword", "Password", "Tokens", "register"]

logger = logging.getLogger(__name__)

Email = Annotated[str, Meta(min_length=3, max_length=320, description="At most 254 bytes after trimming.")]
NewPassword = Annotated[str, Meta(max_length=1024, description="10 to 256 characters, not the e-mail address.")]
Password = Annotated[str, Meta(max_length=1024)]
RefreshToken = Annotated[str, Meta(max_length=200, description="Opaque; changes with every use.")]


class SignUp(Struct, frozen=True, forbid_unknown_fields=True):
    """A new account."""

    email: Email
    password: NewPassword
    name: Annotated[str, Meta(min_length=1, max_length=200, description="1 to 100 characters after trimming.")]
    time_zone: Annotated[str, Meta(max_length=64, description="IANA name, as the browser knows it.")] = "UTC"


class LogIn(Struct, frozen=True, forbid_unknown_fields=True):
    """What a user proves themselves with."""

    email: Email
    password: Password


class Refresh(Struct, frozen=True, forbid_unknown_fields=True):
    """The refresh token of the last answer."""

    refresh_token: RefreshToken


class Tokens(Struct, frozen=True):
    """An access token for `expires_in` seconds, and the refresh token that gets the next pair, once."""

    access_token: str
    token_type: str
    expires_in: int
    refresh_token: str


TOKENS: Final = Reply(
    description="Tokens of a session.", body=Tokens, headers=("Cache-Control",), example=account_examples.TOKENS
)
_EXAMPLE: Final = {"email": "ada@example.com", "password": "a long enough password"}

OPERATIONS: Final = (
    Operation(
        method="POST",
        path=paths.SIGN_UP,
        id="signUp",
        summary="Make an account and open its first session",
        tag="Auth",
        description=(
            "The password has 10 to 256 characters and is not among the commonest. A mail with which the address can "
            "be verified is on its way afterwards. An address that has an account is a 409 (`conflict`, "
            "`email-taken`)."
        ),
        replies={
            201: Reply(
                description="The account exists.",
                body=Tokens,
                headers=("Cache-Control", "Location"),
                example=account_examples.TOKENS,
            )
        },
        problems=("conflict",),
        body=SignUp,
        body_example={**_EXAMPLE, "name": "Ada Lovelace"},
        secured=False,
        limit="signup",
        keyed=True,
        requires=ANYBODY,
    ),
    Operation(
        method="POST",
        path=paths.LOG_IN,
        id="logIn",
        summary="Open a session",
        tag="Auth",
        description=(
            "An unknown address and a wrong password get the same 401, after the same work. A first session from an "
            "unknown client is told to its user by mail."
        ),
        replies={200: TOKENS},
        problems=("unauthenticated",),
        body=LogIn,
        body_example=_EXAMPLE,
        secured=False,
        requires=ANYBODY,
        keyed=True,
        limit="login",
    ),
    Operation(
        method="POST",
        path=paths.REFRESH,
        id="refresh",
        summary="Exchange a refresh token for a new pair of tokens",
        tag="Auth",
        description=(
            "A refresh token is good once. For 10 seconds after its use, and while its successor is unused, it gets "
            "the same successor again (two tabs, a lost answer); any other reuse ends the session (RFC 9700)."
        ),
        replies={200: TOKENS},
        problems=("unauthenticated",),
        body=Refresh,
        body_example={"refresh_token": "tfr_…"},
        secured=False,
        requires=ANYBODY,
        keyed=True,
        limit="refresh",
    ),
    Operation(
        method="POST",
        path=paths.LOG_OUT,
        id="logOut",
        summary="End a session",
        tag="Auth",
        description=(
            "Without a body the session of the access token ends. With `{refresh_token}` that token's session ends, "
            "and the answer is the same whether there was one."
        ),
        replies={204: Reply(description="The session has ended, with its access tokens and feeds.")},
        problems=("unauthenticated", "forbidden", "unsupported-media-type"),
        secured=False,
        requires=ANYBODY,
        keyed=True,
    ),
)


def register(router: Router, services: Services) -> None:
    """Add the endpoints to the router."""
    auth = _Auth(services)
    router.add_post(pattern(paths.SIGN_UP), auth.sign_up)
    router.add_post(pattern(paths.LOG_IN), auth.log_in)
    router.add_post(pattern(paths.REFRESH), auth.refresh)
    router.add_post(pattern(paths.LOG_OUT), auth.log_out)


class _CameBack(Exception):
    """Out of the transaction in which a used refresh token was recognised."""

    def __init__(self, reused: Reused) -> None:
        super().__init__(reused.session_id)
        self.reused = reused


class _Auth:
    def __init__(self, services: Services) -> None:
        self._pool, self._sealed = services.pools.api, services.sealed
        self._identity, self._mail_tokens = services.identity, services.account_tokens
        self._passwords = services.passwords
        self._tokens = services.tokens
        self._revocations, self._limits = services.revocations, services.limits
        self._sign_up = decoder_for(SignUp)
        self._log_in = decoder_for(LogIn)
        self._refresh = decoder_for(Refresh)

    async def sign_up(self, request: Request) -> Response:
        """201 with tokens. Raises BadInput, Conflict("email-taken"), Overloaded, KeyReused, KeyInFlight.

        Refusals are not stored: what somebody without an account asks for leaves no rows behind.
        """
        call = call_of(request)
        key_of(call)
        wanted = await body_of(request, self._sign_up)
        email = clean_email(wanted.email)
        if email is None:
            raise BadInput("This is not an e-mail address.", pointer="/email")
        name = clean_name(wanted.name)
        check_password(wanted.password, email)
        time_zone = check_time_zone(wanted.time_zone)
        ask = await anonymous_ask(call, email, self._sealed)
        if ask.key is not None and (found := await find_reply(self._pool, ask, self._sealed)) is not None:
            return replay(found.reply).response()
        stored, user_id = await self._passwords.hash(wanted.password), new_id()

        async def run(tx: Writing) -> StoredReply:
            client = client_of(request)
            grant = await self._identity.sign_up_in(tx, user_id, email, name, stored, client, time_zone=time_zone)
            await self._mail_tokens.ask_in(tx, "verify-email", user_id, email=email)
            return self._tokens_of(201, grant, (b"location", link(paths.ME))).stored(0)

        ran = await replay_or_run(self._pool, ask, run, user_id=user_id, sealed=self._sealed)
        return replay(ran.reply, replayed=ran.replayed).response()

    async def log_in(self, request: Request) -> Response:
        """200 with tokens. An unknown address costs the same work as a wrong password, and gets the same answer."""
        call = call_of(request)
        given = await body_of(request, self._log_in)
        await self._limits.admit_account(call, "login", given.email)
        email = clean_email(given.email)
        ask = await anonymous_ask(call, email or given.email, self._sealed)
        known = await self._identity.known_by(known_forms(given.email))
        check = await self._passwords.verify(None if known is None else known.password_hash, given.password)
        if known is None or not check.ok:
            logger.info("login refused", extra=_who(email, None if known is None else known.user_id))
            raise Unauthenticated("The e-mail address or the password is wrong.")
        if check.rehash is not None and known.password_hash is not None:
            await self._identity.upgrade_hash(known.user_id, known.password_hash, check.rehash)
        user_id, ended, client = known.user_id, list[UUID](), client_of(request)

        async def run(tx: Writing) -> StoredReply:
            new = await self._identity.sessions.is_new_client(tx, user_id, client)
            grant = await self._identity.sessions.start_in(tx, user_id, client)
            ended.extend(grant.ended)
            if new:
                await outbox.put(tx, outbox.MAIL, "new-sign-in", session_of(grant.principal))
            return self._tokens_of(200, grant).stored(0)

        ran = await replay_or_run(self._pool, ask, run, user_id=user_id, sealed=self._sealed)
        await self._revocations.announce(ended)
        return replay(ran.reply, replayed=ran.replayed).response()

    async def refresh(self, request: Request) -> Response:
        """200 with the next pair. Raises Unauthenticated; a token that was used before ends its session first."""
        call = call_of(request)
        given = await body_of(request, self._refresh)
        sessions = self._identity.sessions
        if key_of(call) is None:
            outcome = await sessions.refresh(given.refresh_token)
            if isinstance(outcome, Reused):
                raise await self._end_reused(outcome)
            return self._answer(200, outcome)
        ask = await anonymous_ask(call, given.refresh_token, self._sealed)
        owner = await sessions.owner_of(given.refresh_token)

        async def run(tx: Writing) -> StoredReply:
            outcome = await sessions.refresh_in(tx, given.refresh_token)
            if isinstance(outcome, Reused):
                raise _CameBack(outcome)
            return self._tokens_of(200, outcome).stored(0)

        try:
            ran = await replay_or_run(self._pool, ask, run, user_id=owner, sealed=self._sealed)
        except _CameBack as came_back:  # The transaction that noticed was taken back: a refusal is not stored.
            await sessions.revoke(owner, came_back.reused.session_id)
            raise await self._end_reused(came_back.reused) from None
        return replay(ran.reply, replayed=ran.replayed).response()

    async def _end_reused(self, reused: Reused) -> Unauthenticated:
        logger.warning("a used refresh token came back: session %s revoked", reused.session_id)
        await self._revocations.announce([reused.session_id])
        return Unauthenticated("The refresh token is unknown, expired or revoked.")

    async def log_out(self, request: Request) -> Response:
        """204. Raises Unauthenticated when neither a body nor a good access token says which session to end."""
        call = call_of(request)
        no_query(call)
        key_of(call)  # What is asked for twice is done once anyway, and answered alike.
        if await call.body():
            given = await body_of(request, self._refresh)
            ended = await self._identity.sessions.revoke_by_token(given.refresh_token)
        else:
            ended = session_of(call.principal())
            await self._identity.sessions.revoke(call.principal().user_id, ended)
        await self._revocations.announce([] if ended is None else [ended])
        return empty(204, (NO_STORE,))

    def _answer(self, status: int, grant: Grant) -> Response:
        return self._tokens_of(status, grant).response()

    def _tokens_of(self, status: int, grant: Grant, *headers: Header) -> Answer:
        access = self._tokens.issue(grant.principal)
        tokens = Tokens(access, "Bearer", self._tokens.expires_in, grant.refresh_token)
        return Answer(status, encode(tokens), (NO_STORE, *headers))


def _who(email: str | None, user_id: UUID | None) -> dict[str, str]:
    """Whose login was refused. An address that is nobody's is not written down, for it may be a password.

    Its digest tells one from many, which is what a spray of logins looks like.
    """
    if user_id is not None:
        return {"user_id": str(user_id)}
    return {} if email is None else {"address_digest": hashlib.sha256(email.encode()).hexdigest()[:16]}


def client_of(request: Request) -> Client:
    """What the session remembers of its client: only printable characters, and the address."""
    call = call_of(request)
    agent = call.headers.get(b"user-agent", b"").decode("latin-1")
    return Client("".join(letter for letter in agent if letter.isprintable()), call.client or None)
