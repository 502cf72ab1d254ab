"""`/v1/auth`: a new password for who forgot theirs or wants another, and the proof that an address is somebody's."""

import logging
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Final
from uuid import UUID

from blacksheep import Request, Response, Router
from msgspec import Meta, Struct

from api import paths
from api.answers import NO_STORE, Answer, encode, replay
from api.asks import anonymous_ask, ask_of
from api.auth.bearer import session_of
from api.auth.emails import clean_email, known_forms
from api.auth.passwords import check_password
from api.binding import body_of, decoder_for, no_query
from api.calls import call_of
from api.endpoints.auth import TOKENS, Email, NewPassword, Password, Tokens
from api.openapi import Operation, Reply
from api.paths import pattern
from api.services import Services
from api.used_keys import answered_once
from core.ask import Ask
from core.errors import BadInput
from core.rights import ANYBODY, SESSION
from core.writes import StoredReply
from db import outbox
from db.idempotency import replay_or_run
from db.ids import new_id
from db.people.identity import User
from db.transaction import Writing, reading

__all__ = ["OPERATIONS", "register"]

logger = logging.getLogger(__name__)

MailToken = Annotated[str, Meta(max_length=200, description="From the link in the mail; good once.")]


class ForgottenPassword(Struct, frozen=True, forbid_unknown_fields=True):
    """The address of the account whose password is forgotten."""

    email: Email


class NewPasswordByMail(Struct, frozen=True, forbid_unknown_fields=True):
    """The token of the mail, and the password from now on."""

    token: MailToken
    password: NewPassword


class ChangedPassword(Struct, frozen=True, forbid_unknown_fields=True):
    """The password until now, and the one from now on."""

    password: Password
    new_password: NewPassword


class EmailProof(Struct, frozen=True, forbid_unknown_fields=True):
    """The token of the mail that was sent to the address."""

    token: MailToken


OPERATIONS: Final = (
    Operation(
        method="POST",
        path=paths.PASSWORD_RESET,
        id="requestPasswordReset",
        summary="Ask for a mail with which a forgotten password can be replaced",
        tag="Auth",
        description=(
            "The answer is the same whether there is such an account. The mail's link is good once and for 30 minutes; "
            "at most three such mails reach an address within a quarter of an hour."
        ),
        replies={202: Reply(description="If there is such an account, a mail is on its way.")},
        body=ForgottenPassword,
        body_example={"email": "ada@example.com"},
        secured=False,
        keyed=True,
        requires=ANYBODY,
        limit="reset",
    ),
    Operation(
        method="POST",
        path=paths.PASSWORD_RESET_CONFIRM,
        id="confirmPasswordReset",
        summary="Replace a forgotten password",
        tag="Auth",
        description="All sessions of the account end, and its address counts as verified: the mail was read.",
        replies={204: Reply(description="The password is replaced; log in with it.")},
        body=NewPasswordByMail,
        body_example={"token": "tfm_…", "password": "another long password"},
        secured=False,
        keyed=True,
        requires=ANYBODY,
        limit="reset",
    ),
    Operation(
        method="POST",
        path=paths.PASSWORD_CHANGE,
        id="changePassword",
        summary="Replace the password by another",
        tag="Auth",
        description=(
            "All other sessions end, and so do the refresh tokens of this one; the answer carries the next one."
        ),
        replies={200: TOKENS},
        body=ChangedPassword,
        body_example={"password": "a long enough password", "new_password": "another long password"},
        keyed=True,
        requires=SESSION,
        limit="password",
    ),
    Operation(
        method="POST",
        path=paths.VERIFY_EMAIL,
        id="verifyEmail",
        summary="Prove that an address is yours",
        tag="Auth",
        description=(
            "The token is good once and comes from the mail of a sign-up or of `POST /v1/me/email-verification`."
        ),
        replies={204: Reply(description="The address is verified.")},
        body=EmailProof,
        body_example={"token": "tfm_…"},
        secured=False,
        keyed=True,
        requires=ANYBODY,
        limit="reset",
    ),
    Operation(
        method="POST",
        path=paths.MY_EMAIL_VERIFICATION,
        id="requestEmailVerification",
        summary="Ask for another mail to verify the address",
        tag="Me",
        description=(
            "Its link is good once and for seven days. The answer is the same when the address is verified already."
        ),
        replies={202: Reply(description="A mail is on its way, unless the address is verified already.")},
        keyed=True,
        requires=SESSION,
    ),
)


def register(router: Router, services: Services) -> None:
    """Add the endpoints to the router."""
    passwords = _Passwords(services)
    router.add_post(pattern(paths.PASSWORD_RESET), passwords.forgotten)
    router.add_post(pattern(paths.PASSWORD_RESET_CONFIRM), passwords.replace)
    router.add_post(pattern(paths.PASSWORD_CHANGE), passwords.change)
    router.add_post(pattern(paths.VERIFY_EMAIL), passwords.verify_email)
    router.add_post(pattern(paths.MY_EMAIL_VERIFICATION), passwords.ask_to_verify)


class _Passwords:
    def __init__(self, services: Services) -> None:
        self._pool, self._sealed = services.pools.api, services.sealed
        self._identity, self._mail_tokens = services.identity, services.account_tokens
        self._passwords, self._tokens = services.passwords, services.tokens
        self._revocations, self._limits = services.revocations, services.limits
        self._api_keys = services.api_keys
        self._identities, self._sign_ins = services.external.identities, services.external.sign_ins
        self._forgotten = decoder_for(ForgottenPassword)
        self._replace = decoder_for(NewPasswordByMail)
        self._change = decoder_for(ChangedPassword)
        self._proof = decoder_for(EmailProof)
        self._once = partial(answered_once, self._pool, self._sealed)

    async def forgotten(self, request: Request) -> Response:
        """202, whoever the address is: what is done for nobody is the same, except that no mail leaves."""
        call = call_of(request)
        given = await body_of(request, self._forgotten)
        await self._limits.admit_account(call, "reset", given.email)
        email = clean_email(given.email)
        if email is None:
            raise BadInput("This is not an e-mail address.", pointer="/email")
        ask = await anonymous_ask(call, email, self._sealed)
        known = await self._identity.known_by(known_forms(given.email))
        user_id = new_id() if known is None else known.user_id

        async def run(tx: Writing) -> StoredReply:
            await self._mail_tokens.ask_in(tx, "reset-password", user_id, nobody=known is None)
            return Answer(202, headers=(NO_STORE,)).stored(0)

        ran = await replay_or_run(self._pool, ask, run, user_id=user_id)
        return replay(ran.reply, replayed=ran.replayed).response()

    async def replace(self, request: Request) -> Response:
        """204 once. Raises BadInput for a bad token, and for a bad password, which leaves the token good."""
        call = call_of(request)
        given = await body_of(request, self._replace)
        ask = await anonymous_ask(call, given.token, self._sealed)
        return await self._once(ask, self._replace_by(ask, given))

    async def _replace_by(self, ask: Ask, given: NewPasswordByMail) -> Response:
        async with reading(self._pool, None) as tx:
            user_id = await self._mail_tokens.owner_in(tx, "reset-password", given.token)
        user = await self._identity.user(user_id)
        check_password(given.password, user.email or "")
        password_hash = await self._passwords.hash(given.password)
        ended = list[UUID]()

        async def run(tx: Writing) -> StoredReply:
            await self._mail_tokens.spend_in(tx, "reset-password", user_id, given.token)
            await self._mail_tokens.void_in(tx, "reset-password", user_id)
            ended.extend(await self._identity.set_password_in(tx, user_id, password_hash))
            ended.extend(await self._end_other_ways_in(tx, user))
            await self._identity.verify_email_in(tx, user_id, None)
            await outbox.put(tx, outbox.MAIL, "password-changed", user_id)
            return Answer(204, headers=(NO_STORE,)).stored(0)

        ran = await replay_or_run(self._pool, ask, run, user_id=user_id)
        await self._revocations.announce(ended)
        return replay(ran.reply, replayed=ran.replayed).response()

    async def _end_other_ways_in(self, tx: Writing, user: User) -> Sequence[UUID]:
        """What whoever had the account until now could still come in by; the ids of what ended.

        Until its address is verified an account may have been made by anybody. Who proves the address now, by the token
        of a mail, shares it with nobody: neither API keys nor identities elsewhere that were made before stay good.
        """
        await self._sign_ins.void_in(tx, user.id)
        if user.email_verified_at is not None:
            return []
        keys = await self._api_keys.revoke_all_in(tx, user.id)
        return [*keys, *await self._identities.unlink_all_in(tx, user.id)]

    async def change(self, request: Request) -> Response:
        """200 with tokens of the same session. Raises BadInput when the password until now is another."""
        call = call_of(request)
        no_query(call)
        session_id = session_of(call.principal())
        given = await body_of(request, self._change)
        ask = await ask_of(call)
        return await self._once(ask, self._change_in(session_id, ask, given))

    async def _change_in(self, session_id: UUID, ask: Ask, given: ChangedPassword) -> Response:
        user_id = ask.principal.user_id
        user = await self._identity.user(user_id)
        check = await self._passwords.verify(await self._identity.password_of(user_id), given.password)
        if not check.ok:
            logger.info("change of a password refused: the old one is wrong", extra={"user_id": str(user_id)})
            raise BadInput("This is not your password.", pointer="/password")
        check_password(given.new_password, user.email or "", pointer="/new_password")
        password_hash = await self._passwords.hash(given.new_password)
        ended = list[UUID]()

        async def run(tx: Writing) -> StoredReply:
            ended.extend(await self._identity.set_password_in(tx, user_id, password_hash, keep=session_id))
            await self._mail_tokens.void_in(tx, "reset-password", user_id)
            grant = await self._identity.sessions.renew_in(tx, user_id, session_id)
            await outbox.put(tx, outbox.MAIL, "password-changed", user_id)
            access = self._tokens.issue(grant.principal)
            tokens = Tokens(access, "Bearer", self._tokens.expires_in, grant.refresh_token)
            return Answer(200, encode(tokens), (NO_STORE,)).stored(0)

        ran = await replay_or_run(self._pool, ask, run, sealed=self._sealed)
        await self._revocations.announce(ended)
        return replay(ran.reply, replayed=ran.replayed).response()

    async def verify_email(self, request: Request) -> Response:
        """204 once. Raises BadInput for a bad token, and for one that was sent to an address which is gone."""
        call = call_of(request)
        given = await body_of(request, self._proof)
        ask = await anonymous_ask(call, given.token, self._sealed)
        return await self._once(ask, self._verify_by(ask, given))

    async def _verify_by(self, ask: Ask, given: EmailProof) -> Response:
        async with reading(self._pool, None) as tx:
            user_id = await self._mail_tokens.owner_in(tx, "verify-email", given.token)

        async def run(tx: Writing) -> StoredReply:
            proof = await self._mail_tokens.spend_in(tx, "verify-email", user_id, given.token)
            if not await self._identity.verify_email_in(tx, user_id, proof.email):
                raise BadInput("The account has another address by now.", pointer="/token")
            return Answer(204, headers=(NO_STORE,)).stored(0)

        ran = await replay_or_run(self._pool, ask, run, user_id=user_id)
        return replay(ran.reply, replayed=ran.replayed).response()

    async def ask_to_verify(self, request: Request) -> Response:
        """202. For an address that is verified already nothing is sent."""
        call = call_of(request)
        no_query(call)
        session_of(call.principal())
        user = await self._identity.user(call.principal().user_id)

        async def run(tx: Writing) -> StoredReply:
            if user.email is not None and user.email_verified_at is None:
                await self._mail_tokens.ask_in(tx, "verify-email", user.id, email=user.email)
            return Answer(202, headers=(NO_STORE,)).stored(0)

        ran = await replay_or_run(self._pool, await ask_of(call), run)
        return replay(ran.reply, replayed=ran.replayed).response()
