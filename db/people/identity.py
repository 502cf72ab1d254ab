"""Users and how they prove themselves. Everything runs as the API's role, under row-level security of one user."""

from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg
from msgspec import Struct
from piccolo.query.functions import Lower

from core.errors import Conflict, Unauthenticated
from core.quotas import Quotas
from db.expressions import NOW, folded
from db.ids import new_id
from db.people.sessions import Client, Grant, Lifetimes, Sessions
from db.pool import Pool
from db.statements import change, columns, given, insert, rows
from db.tables import Users
from db.transaction import Writing, reading, writing

__all__ = ["Credentials", "Identity", "User"]


class User(Struct, frozen=True):
    """A person with an account. `email` is shown as it was given, and compared without regard to case."""

    id: UUID
    email: str
    name: str
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
        self, tx: Writing, user_id: UUID, email: str, name: str, password_hash: str, client: Client
    ) -> Grant:
        """`sign_up` inside a transaction of the new user's, which must not go on when this raises."""
        try:
            await tx.run(_ADD, user_id=user_id, email=email, name=name, password_hash=password_hash)
            return await self.sessions.start_in(tx, user_id, client)
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name != "users_email_key":
                raise
            detail = "There is an account with this e-mail address already."
            raise Conflict("email-taken", detail, pointer="/email") from error

    async def credentials(self, email: str) -> Credentials | None:
        """What to check a login with this address against, if there is such a user."""
        async with reading(self._pool, None) as tx:
            await tx.scope_email(email)
            return await tx.one(_CREDENTIALS, email=email)

    async def upgrade_hash(self, user_id: UUID, before: str, after: str) -> None:
        """Store the same password's hash under newer parameters, unless the password changed meanwhile."""
        async with writing(self._pool, user_id) as tx:
            await tx.run(_UPGRADE, user_id=user_id, before=before, after=after)

    async def user(self, user_id: UUID) -> User:
        """The account. Raises Unauthenticated when it is gone."""
        async with reading(self._pool, user_id) as tx:
            return _there(await tx.one(_USER, user_id=user_id))

    async def rename_in(self, tx: Writing, user_id: UUID, name: str | None) -> User:
        """Change the name (None: leave it) inside a transaction of the user's.

        Raises Unauthenticated when the account is gone.
        """
        if name is not None:
            await tx.run(_RENAME, user_id=user_id, name=name)
        return _there(await tx.one(_USER, user_id=user_id))


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
    )
)
_CREDENTIALS: Final = rows(
    Credentials,
    Users.select(Users.id.as_alias("user_id"), Users.password_hash).where(Lower(Users.email) == folded(given("email"))),
)
_UPGRADE: Final = change(
    Users.update({Users.password_hash: given("after"), Users.updated_at: NOW}).where(
        Users.id == given("user_id"), Users.password_hash == given("before")
    )
)
_USER: Final = rows(User, Users.select(*columns(Users, User)).where(Users.id == given("user_id")))
_RENAME: Final = change(
    Users.update({Users.name: given("name"), Users.updated_at: NOW}).where(
        Users.id == given("user_id"), Users.name != given("name")
    )
)


def _there(user: User | None) -> User:
    if user is None:
        raise Unauthenticated("This account no longer exists.")
    return user
