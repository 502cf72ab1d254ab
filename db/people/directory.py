"""Who and what there is, for the operator at the command line: it looks over all teams, so nothing in `api` may use it.

Runs as the worker's role, which may read teams and the addresses of users, and can write neither.
"""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct

from db.pool import Pool
from db.transaction import reading

__all__ = ["KnownTeam", "KnownUser", "addresses_of", "find_users", "some_users", "teams_called"]


class KnownTeam(Struct, frozen=True):
    """A team by its id, name and key."""

    id: UUID
    name: str
    key: str


class KnownUser(Struct, frozen=True):
    """An account by its id, address and name."""

    id: UUID
    email: str
    name: str


_FOLDED: Final = "lower(wanted.email collate pg_unicode_fast)"


async def teams_called(pool: Pool, words: str) -> list[KnownTeam]:
    """Teams with this key or this name, in any case; oldest first, at most ten."""
    async with reading(pool, None) as rows:
        found = await rows.fetch(
            "select id, name, key from teams where key = upper($1) or lower(name) = lower($1) order by id limit 10",
            words,
        )
    return [KnownTeam(*row) for row in found]


async def find_users(pool: Pool, emails: Sequence[str]) -> Mapping[str, KnownUser]:
    """The accounts behind these addresses, in any case, by the address as it was asked for."""
    async with reading(pool, None) as rows:
        found = await rows.fetch(
            "select wanted.email as asked, u.id, u.email, u.name from unnest($1::text[]) as wanted (email)"  # noqa: S608
            f" join users u on lower(u.email) = {_FOLDED}",
            list(emails),
        )
    return {row["asked"]: KnownUser(row["id"], row["email"], row["name"]) for row in found}


async def addresses_of(pool: Pool, user_ids: Sequence[UUID]) -> Mapping[UUID, str]:
    """The addresses of those accounts that exist."""
    async with reading(pool, None) as rows:
        found = await rows.fetch("select id, email from users where id = any($1::uuid[])", list(user_ids))
    return {row["id"]: row["email"] for row in found}


async def some_users(pool: Pool, limit: int) -> list[KnownUser]:
    """The oldest accounts, at most `limit`."""
    async with reading(pool, None) as rows:
        found = await rows.fetch("select id, email, name from users order by id limit $1", limit)
    return [KnownUser(*row) for row in found]
