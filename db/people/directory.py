"""Who and what there is, for the operator at the command line: it looks over all teams, so nothing in `api` may use it.

Runs as the worker's role, which may read teams and the addresses of users, and can write neither.
"""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct

from db.expressions import alike, any_of, limited
from db.pool import Pool
from db.statements import columns, given, rows
from db.tables import Teams, Users
from db.transaction import reading

__all__ = ["KnownTeam", "KnownUser", "addresses_of", "find_users", "some_users", "teams_called"]


class KnownTeam(Struct, frozen=True):
    """A team by its id, name and key."""

    id: UUID
    name: str
    key: str


class KnownUser(Struct, frozen=True):
    """An account by its id, address, name and time zone."""

    id: UUID
    email: str
    name: str
    time_zone: str = "UTC"


async def teams_called(pool: Pool, words: str) -> list[KnownTeam]:
    """Teams with this key or this name, in any case; oldest first, at most ten."""
    async with reading(pool, None) as tx:
        return await tx.all(_TEAMS, words=words)


async def find_users(pool: Pool, emails: Sequence[str]) -> Mapping[str, KnownUser]:
    """The accounts behind these addresses, in any case, by the address as it was asked for."""
    async with reading(pool, None) as tx:
        found = await tx.fetch(_FIND, list(emails))
    return {row["asked"]: KnownUser(row["id"], row["email"], row["name"], row["time_zone"]) for row in found}


async def addresses_of(pool: Pool, user_ids: Sequence[UUID]) -> Mapping[UUID, str]:
    """The addresses of those accounts that exist."""
    async with reading(pool, None) as tx:
        found = await tx.all(_BY_IDS, ids=list(user_ids))
    return {user.id: user.email for user in found}


async def some_users(pool: Pool, limit: int) -> list[KnownUser]:
    """The oldest accounts, at most `limit`."""
    async with reading(pool, None) as tx:
        return await tx.all(_OLDEST, limit=limit)


_TEAMS: Final = rows(
    KnownTeam,
    Teams.select(*columns(Teams, KnownTeam))
    .where(alike(Teams.key, given("words")) | alike(Teams.name, given("words")))
    .order_by(Teams.id)
    .limit(10),
)
_BY_IDS: Final = rows(
    KnownUser, Users.select(*columns(Users, KnownUser)).where(any_of(Users.id, given("ids")), Users.email.is_not_null())
)
_OLDEST: Final = rows(
    KnownUser,
    limited(
        Users.select(*columns(Users, KnownUser)).where(Users.email.is_not_null()).order_by(Users.id), given("limit")
    ),
)
# In SQL: what was asked for is folded by the database, and comes back beside what was found.
_FIND: Final = """
select wanted.email as asked, u.id, u.email, u.name, u.time_zone from unnest($1::text[]) as wanted (email)
join users u on lower(u.email) = lower(wanted.email collate pg_unicode_fast)
"""
