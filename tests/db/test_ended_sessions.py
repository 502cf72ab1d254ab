"""What is forgotten of sessions that ended, and above all what is not."""

import asyncpg
import pytest

from db import slices
from db.people.ended_sessions import forget_ended_sessions
from db.people.identity import Identity
from db.people.sessions import Client, Grant, Lifetimes, Reused
from db.pool import Pools
from db.transaction import writing
from tests.support.asking import session_of

pytestmark = pytest.mark.anyio

CLIENT = Client()


@pytest.fixture
def identity(pools: Pools) -> Identity:
    return Identity(pools.api, Lifetimes(idle=7 * 86_400, absolute=30 * 86_400, grace=10))


@pytest.fixture
async def ada(identity: Identity) -> Grant:
    return await identity.sign_up("ada@example.com", "Ada", "hash", CLIENT)


async def count(superuser: "asyncpg.Connection", table: str) -> int:
    return await superuser.fetchval(f"select count(*) from {table}")


async def test_a_used_token_of_a_session_that_goes_on_is_recognised_however_old_it_is(
    pools: Pools, identity: Identity, ada: Grant, superuser: "asyncpg.Connection"
) -> None:
    newest = await identity.sessions.refresh(ada.refresh_token)
    await superuser.execute(
        "update refresh_tokens set consumed_at = now() - interval '29 days', expires_at = now() - interval '22 days'"
        " where consumed_at is not null"
    )
    assert await forget_ended_sessions(pools.worker) == 0
    assert await identity.sessions.refresh(ada.refresh_token) == Reused(session_of(ada.principal))
    assert isinstance(newest, Grant)


async def test_what_ended_lately_is_kept_for_whoever_looks_into_it(
    pools: Pools, identity: Identity, ada: Grant, superuser: "asyncpg.Connection"
) -> None:
    other = await identity.sessions.start(ada.principal.user_id, CLIENT)
    await identity.sessions.revoke(ada.principal.user_id, session_of(ada.principal))
    await superuser.execute("update sessions set revoked_at = now() - interval '29 days' where revoked_at is not null")
    await superuser.execute(
        "update sessions set expires_at = now() - interval '29 days' where id = $1", session_of(other.principal)
    )
    assert await forget_ended_sessions(pools.worker) == 0
    assert await forget_ended_sessions(pools.worker, days=28) == 2
    assert await count(superuser, "refresh_tokens") == 0


async def test_a_session_revoked_within_the_day_is_never_forgotten_because_other_processes_may_not_know_yet(
    pools: Pools, identity: Identity, ada: Grant
) -> None:
    await identity.sessions.revoke(ada.principal.user_id, session_of(ada.principal))
    assert await forget_ended_sessions(pools.worker, days=0) == 0
    assert list(await identity.sessions.revoked_within(86_400)) == [session_of(ada.principal)]


async def test_a_session_with_more_tokens_than_a_slice_goes_slice_by_slice(
    pools: Pools, identity: Identity, ada: Grant, superuser: "asyncpg.Connection", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices, "ROWS_AT_ONCE", 2)
    grant = ada
    for _ in range(4):
        refreshed = await identity.sessions.refresh(grant.refresh_token)
        assert isinstance(refreshed, Grant)
        grant = refreshed
    others = [await identity.sessions.start(ada.principal.user_id, CLIENT) for _ in range(4)]
    await superuser.execute("update sessions set expires_at = now() - interval '40 days'")
    await superuser.execute(
        "create function slice() returns trigger language plpgsql as $$ begin"
        " if (select count(*) from gone) > 2 then raise exception 'more than a slice'; end if; return null; end $$"
    )
    for table in ("refresh_tokens", "sessions"):
        await superuser.execute(
            f"create trigger slice after delete on {table} referencing old table as gone execute function slice()"
        )
    assert await forget_ended_sessions(pools.worker) == 1 + len(others)
    assert await count(superuser, "refresh_tokens") == await count(superuser, "sessions") == 0


async def test_the_worker_cannot_delete_what_has_not_ended(
    pools: Pools, identity: Identity, ada: Grant, superuser: "asyncpg.Connection"
) -> None:
    await superuser.execute("update refresh_tokens set expires_at = now() - interval '2 days'")
    async with writing(pools.worker) as tx:
        # It sees what a mail about a sign-in says, and of tokens nothing.
        assert len(await tx.fetch("select id, user_id, revoked_at from sessions")) == 1
        assert await tx.execute("delete from refresh_tokens") == 0
        assert await tx.execute("delete from sessions") == 0
    assert await count(superuser, "refresh_tokens") == 1
