"""Users and how they prove themselves. Everything runs as the API's role, under row-level security of one user."""

from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg
from msgspec import Struct

from core.errors import Conflict, Unauthenticated
from db.ids import new_id
from db.people.sessions import Client, Grant, Lifetimes, Sessions
from db.pool import Pool
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

    def __init__(self, pool: Pool, lifetimes: Lifetimes) -> None:
        self._pool = pool
        self.sessions = Sessions(pool, lifetimes)

    async def sign_up(self, email: str, name: str, password_hash: str, client: Client) -> Grant:
        """A new user with a first session, both or neither. Raises Conflict("email-taken")."""
        user_id = new_id()
        try:
            async with writing(self._pool, user_id) as tx:
                await tx.execute(_INSERT, user_id, email, name, password_hash)
                return await self.sessions.start_in(tx, user_id, client)
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name != "users_email_key":
                raise
            raise Conflict("email-taken", "There is an account with this e-mail address already.") from error

    async def credentials(self, email: str) -> Credentials | None:
        """What to check a login with this address against, if there is such a user."""
        async with reading(self._pool, None) as tx:
            await tx.fetchval(_BY_EMAIL_SCOPE, email)
            row = await tx.fetchrow(_CREDENTIALS, email)
        return None if row is None else Credentials(row["id"], row["password_hash"])

    async def upgrade_hash(self, user_id: UUID, before: str, after: str) -> None:
        """Store the same password's hash under newer parameters, unless the password changed meanwhile."""
        async with writing(self._pool, user_id) as tx:
            await tx.execute(_UPGRADE, user_id, before, after)

    async def user(self, user_id: UUID) -> User:
        """The account. Raises Unauthenticated when it is gone."""
        async with reading(self._pool, user_id) as tx:
            return _user(await tx.fetchrow(_SELECT, user_id))

    async def rename_in(self, tx: Writing, user_id: UUID, name: str) -> User:
        """Change the name inside a transaction of the user's. Raises Unauthenticated when the account is gone."""
        return _user(await tx.fetchrow(_RENAME, user_id, name))


_FIELDS: Final = "id, email, name, email_verified_at, created_at, updated_at"
_INSERT: Final = (
    "insert into users (id, email, name, password_hash, created_at, updated_at) values ($1, $2, $3, $4, now(), now())"
)
# Folded by the database, in the column's own collation: two ideas of lower case would be two accounts.
_FOLDED: Final = "lower($1::text collate pg_unicode_fast)"
_BY_EMAIL_SCOPE: Final = f"select set_config('app.email', {_FOLDED}, true)"
_CREDENTIALS: Final = f"select id, password_hash from users where lower(email) = {_FOLDED}"  # noqa: S608 (constants)
_UPGRADE: Final = "update users set password_hash = $3, updated_at = now() where id = $1 and password_hash = $2"
_SELECT: Final = f"select {_FIELDS} from users where id = $1"  # noqa: S608 (constants)
_RENAME: Final = (
    "update users set updated_at = case when name = $2 then updated_at else now() end, name = $2"  # noqa: S608
    f" where id = $1 returning {_FIELDS}"
)


def _user(row: asyncpg.Record | None) -> User:
    if row is None:
        raise Unauthenticated("This account no longer exists.")
    return User(*(row[name] for name in User.__struct_fields__))
