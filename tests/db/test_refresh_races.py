"""Refresh tokens when everything happens at once: one live leaf for each family, and none once it was revoked.

Two pools stand for two API workers. What lives afterwards is counted in the database, not believed from answers.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Final
from uuid import UUID

import asyncpg
import pytest

from core.errors import Unauthenticated
from db.people.identity import Identity
from db.people.sessions import Client, Grant, Lifetimes, Reused
from db.pool import Pools, open_pools
from db.settings import DatabaseSettings
from tests.support.asking import session_of

pytestmark = [pytest.mark.anyio, pytest.mark.proof, pytest.mark.timeout(240)]

LIFETIMES: Final = Lifetimes(idle=7 * 86_400, absolute=30 * 86_400, grace=10)
FAMILIES, AT_ONCE = 200, 16
RACES, GRACE_REFRESHES = 500, 32
SIDE_BY_SIDE = 4
"""So many families at a time: more would only wait for connections."""

LEAVES: Final = """
select count(*) from refresh_tokens t join sessions s on s.id = t.session_id
where s.id = $1 and s.revoked_at is null and s.expires_at > now() and t.consumed_at is null and t.expires_at > now()
"""

Outcome = Grant | Reused | bool | Unauthenticated


@pytest.fixture
async def workers(pools: Pools, database: DatabaseSettings) -> AsyncIterator[tuple[Identity, Identity]]:
    async with open_pools(database) as others:
        yield Identity(pools.api, LIFETIMES), Identity(others.api, LIFETIMES)


async def all_of(works: Sequence[Awaitable[Outcome]]) -> list[Outcome]:
    """The outcomes; nothing but a refusal may be raised."""
    found = await asyncio.gather(*works, return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException) and not isinstance(one, Unauthenticated):
            raise one
    return [one for one in found if isinstance(one, Grant | Reused | bool | Unauthenticated)]


async def in_portions(number: int, one: "Play") -> None:
    for start in range(0, number, SIDE_BY_SIDE):
        await asyncio.gather(*(one(index) for index in range(start, min(number, start + SIDE_BY_SIDE))))


class Play:
    """One family's race; `leaves` counts what is alive after each."""

    def __init__(self, workers: tuple[Identity, Identity], superuser: "asyncpg.Connection[asyncpg.Record]") -> None:
        self.workers = workers
        self.leaves: dict[int, int] = {}
        self._superuser, self._turn = superuser, asyncio.Lock()

    async def __call__(self, number: int) -> None:
        grant = await self.workers[0].sign_up(f"u{number}@example.com", "Ada", "hash", Client("a browser", None))
        await self.race(grant)
        async with self._turn:
            self.leaves[number] = await self._superuser.fetchval(LEAVES, session_of(grant.principal))

    async def race(self, grant: Grant) -> None:
        raise NotImplementedError

    def refresh(self, index: int, token: str) -> Awaitable[Grant | Reused]:
        return self.workers[index % 2].sessions.refresh(token)


class Refreshing(Play):
    """The same token from sixteen tabs of two workers; then its successors from all of them once more."""

    async def race(self, grant: Grant) -> None:
        first = await all_of([self.refresh(index, grant.refresh_token) for index in range(AT_ONCE)])
        successors = {one.refresh_token for one in first if isinstance(one, Grant)}
        assert len(successors) == 1, "two tabs were given different successors"
        (successor,) = successors
        second = await all_of([self.refresh(index, successor) for index in range(AT_ONCE)])
        assert len({one.refresh_token for one in second if isinstance(one, Grant)}) == 1


class Revoking(Play):
    """Thirty-two tabs ask for the successor within the grace while the session is revoked."""

    async def race(self, grant: Grant) -> None:
        user_id: UUID = grant.principal.user_id
        newest = await self.workers[0].sessions.refresh(grant.refresh_token)
        assert isinstance(newest, Grant)
        works: list[Awaitable[Outcome]] = [self.refresh(index, grant.refresh_token) for index in range(GRACE_REFRESHES)]
        works.insert(GRACE_REFRESHES // 2, self.workers[1].sessions.revoke(user_id, session_of(grant.principal)))
        await all_of(works)
        for token in (grant.refresh_token, newest.refresh_token):
            with pytest.raises(Unauthenticated):
                await self.workers[0].sessions.refresh(token)


async def test_two_hundred_families_keep_at_most_one_live_leaf_each(
    workers: tuple[Identity, Identity], superuser: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    play = Refreshing(workers, superuser)
    await in_portions(FAMILIES, play)
    assert list(play.leaves.values()) == [1] * FAMILIES


async def test_a_revocation_that_races_grace_refreshes_leaves_no_live_token(
    workers: tuple[Identity, Identity], superuser: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    play = Revoking(workers, superuser)
    await in_portions(RACES, play)
    assert list(play.leaves.values()) == [0] * RACES
