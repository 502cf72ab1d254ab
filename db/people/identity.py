"""Users and how they prove themselves. Everything runs as the API's role, under row-level security of one user."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
from msgspec import Struct
from piccolo.query.functions import Lower

from core.errors import Conflict, Unauthenticated
from core.quotas import Quotas
from db.expressions import DEFAULT, NOW, folded
from db.ids import new_id
from db.people.mail_preferences import MailPreferences, Preference, choose_mails_in
from db.people.mornings import move_morning
from db.people.sessions import Client, Grant, Lifetimes, Sessions
from db.pool import Pool
from db.statements import change, given, insert, rows, values
from db.tables import Sessions as SessionTable
from db.tables import Users
from db.transaction import Writing, reading, writing

__all__ = ["Credentials", "Identity", "User"]


class User(Struct, frozen=True):
    """A person with an account. `email` is shown as it was given, and compared without regard to case.

    Who came by another issuer may have none. `time_zone` is IANA's name of one; `mail` says which mails they want.
    """

    id: UUID
    email: str | None
    name: str
    time_zone: str
    mail: MailPreferences
    email_verified_at: datetime | None
    created_at: datetime
    updated_at: datetime


class Credentials(Struct, frozen=True):
    """What a login is checked against; `password_hash` is None for a user without a password."""

    user_id: UUID
    password_hash: str | None


class Identity:
    """The accounts; `sessions` are theirs. Raises StorageUnavailable."""

    def __init__(self, pool: Pool, lifetimes: Lifetimes, quotas: Quotas | None = None) -> None:
        self._pool = pool
        self.sessions = Sessions(pool, lifetimes, (quotas or Quotas()).sessions_per_user)

    async def sign_up(self, email: str, name: str, password_hash: str, client: Client) -> Grant:
        """A new user with a first session, both or neither. Raises Conflict("email-taken")."""
        user_id = new_id()
        async with writing(self._pool, user_id) as tx:
            return await self.sign_up_in(tx, user_id, email, name, password_hash, client)

    async def sign_up_in(
        self,
        tx: Writing,
        user_id: UUID,
        email: str,
        name: str,
        password_hash: str,
        client: Client,
        *,
        time_zone: str = "UTC",
    ) -> Grant:
        """`sign_up` inside a transaction of the new user's, which must not go on when this raises."""
        given_by_user = {"email": email, "name": name, "password_hash": password_hash, "time_zone": time_zone}
        try:
            await tx.run(_ADD, user_id=user_id, **given_by_user)
            return await self.sessions.start_in(tx, user_id, client)
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name != "users_email_key":
                raise
            detail = "There is an account with this e-mail address already."
            raise Conflict("email-taken", detail, pointer="/email") from error

    async def credentials(self, email: str) -> Credentials | None:
        """What to check a login with this address against, if there is such a user.

        An account that is closed and not yet forgotten is nobody's: no new password opens it again.
        """
        async with reading(self._pool, None) as tx:
            await tx.scope_email(email)
            return await tx.one(_CREDENTIALS, email=email)

    async def known_by(self, emails: Sequence[str]) -> Credentials | None:
        """The same for the first of several addresses that has a user; who has none costs as many questions."""
        found = [await self.credentials(email) for email in emails]
        return next((known for known in found if known is not None), None)

    async def upgrade_hash(self, user_id: UUID, before: str, after: str) -> None:
        """Store the same password's hash under newer parameters, unless the password changed meanwhile."""
        async with writing(self._pool, user_id) as tx:
            await tx.run(_UPGRADE, user_id=user_id, before=before, after=after)

    async def user(self, user_id: UUID) -> User:
        """The account. Raises Unauthenticated when it is gone."""
        async with reading(self._pool, user_id) as tx:
            return _there(await tx.one(_USER, user_id=user_id))

    async def change_in(
        self,
        tx: Writing,
        user_id: UUID,
        *,
        name: str | None,
        time_zone: str | None,
        mail: Mapping[Preference, bool] | None = None,
    ) -> User:
        """Change name, time zone (None: leave it) and some wishes for mail inside a transaction of the user's.

        Raises Unauthenticated when the account is gone.
        """
        if name is not None:
            await tx.run(_RENAME, user_id=user_id, name=name)
        if time_zone is not None:
            await move_morning(tx, user_id, time_zone=time_zone)
        if mail:
            await choose_mails_in(tx, user_id, mail)
        return _there(await tx.one(_USER, user_id=user_id))

    async def signed_in_at(self, user_id: UUID, session_id: UUID) -> datetime | None:
        """When the user opened this session; None when it is forgotten."""
        async with reading(self._pool, user_id) as tx:
            return await tx.one(_SIGNED_IN_AT, user_id=user_id, session_id=session_id)

    async def password_of(self, user_id: UUID) -> str | None:
        """The hash of the user's password, or None where there is no password or no such user."""
        async with reading(self._pool, user_id) as tx:
            return await tx.one(_PASSWORD, user_id=user_id)

    async def set_password_in(
        self, tx: Writing, user_id: UUID, password_hash: str, *, keep: UUID | None = None
    ) -> Sequence[UUID]:
        """Replace the password, inside a transaction of the user's; the sessions that ended with it, all but `keep`.

        Raises Unauthenticated when the account is gone.
        """
        if not await tx.run(_SET_PASSWORD, user_id=user_id, password_hash=password_hash):
            raise _gone()
        return await self.sessions.revoke_all_in(tx, user_id, keep=keep)

    async def verify_email_in(self, tx: Writing, user_id: UUID, email: str | None) -> bool:
        """Note that the user reads mail at the address (None: the account's); False when it is no longer theirs."""
        return await tx.execute(_VERIFY, user_id, email) == 1


def _user(*, mail_digest: bool, mail_mentions: bool, mail_assignments: bool, **row: Any) -> User:
    return User(**row, mail=MailPreferences(mail_digest, mail_mentions, mail_assignments))


_ADD: Final = change(
    insert(
        Users,
        id=given("user_id"),
        email=given("email"),
        name=given("name"),
        password_hash=given("password_hash"),
        email_verified_at=None,
        created_at=NOW,
        updated_at=NOW,
        time_zone=given("time_zone"),
        erased_at=None,
        mail_digest=True,
        mail_mentions=True,
        mail_assignments=True,
        digest_hour=DEFAULT,
    )
)
_CREDENTIALS: Final = rows(
    Credentials,
    Users.select(Users.id.as_alias("user_id"), Users.password_hash).where(
        Lower(Users.email) == folded(given("email")), Users.erased_at.is_null()
    ),
)
_UPGRADE: Final = change(
    Users.update({Users.password_hash: given("after"), Users.updated_at: NOW}).where(
        Users.id == given("user_id"), Users.password_hash == given("before")
    )
)
_USER: Final = rows(
    _user,
    Users.select(
        Users.id,
        Users.email,
        Users.name,
        Users.time_zone,
        Users.mail_digest,
        Users.mail_mentions,
        Users.mail_assignments,
        Users.email_verified_at,
        Users.created_at,
        Users.updated_at,
    ).where(Users.id == given("user_id"), Users.erased_at.is_null()),
)
_RENAME: Final = change(
    Users.update({Users.name: given("name"), Users.updated_at: NOW}).where(
        Users.id == given("user_id"), Users.name != given("name")
    )
)
_PASSWORD: Final = values(str, Users.select(Users.password_hash).where(Users.id == given("user_id")))
_SIGNED_IN_AT: Final = values(
    datetime,
    SessionTable.select(SessionTable.created_at).where(
        SessionTable.user_id == given("user_id"), SessionTable.id == given("session_id")
    ),
)
_SET_PASSWORD: Final = change(
    Users.update({Users.password_hash: given("password_hash"), Users.updated_at: NOW}).where(
        Users.id == given("user_id"), Users.erased_at.is_null()
    )
)
# In SQL, because null means whichever address there is. The first proof stays.
_VERIFY: Final = """
update users set email_verified_at = coalesce(email_verified_at, now())
where id = $1 and ($2::text is null or lower(email) = lower($2::text collate pg_unicode_fast))
"""


def _there(user: User | None) -> User:
    if user is None:
        raise _gone()
    return user


def _gone() -> Unauthenticated:
    return Unauthenticated("This account no longer exists.")
