"""Nobody deleted sessions that had expired or were revoked, nor their refresh tokens: both tables only ever grew."""

import asyncpg
import pytest

from db.people.identity import Identity
from db.people.sessions import Client, Lifetimes
from db.pool import Pools
from streams.housekeeping import tidy
from tests.support.asking import session_of

pytestmark = pytest.mark.anyio


async def test_sessions_that_ended_long_ago_are_forgotten_with_their_refresh_tokens(
    pools: Pools, superuser: "asyncpg.Connection"
) -> None:
    identity = Identity(pools.api, Lifetimes(idle=7 * 86_400, absolute=30 * 86_400, grace=10))
    expired = await identity.sign_up("ada@example.com", "Ada", "hash", Client())
    await identity.sessions.refresh(expired.refresh_token)
    revoked = await identity.sessions.start(expired.principal.user_id, Client())
    await identity.sessions.revoke(revoked.principal.user_id, session_of(revoked.principal))
    living = await identity.sessions.start(expired.principal.user_id, Client())
    await superuser.execute(
        "update sessions set expires_at = now() - interval '31 days' where id = $1", session_of(expired.principal)
    )
    await superuser.execute("update sessions set revoked_at = revoked_at - interval '31 days'")

    await tidy(pools.worker)

    kept = {row[0] for row in await superuser.fetch("select id from sessions")}
    assert kept == {session_of(living.principal)}
    assert {row[0] for row in await superuser.fetch("select session_id from refresh_tokens")} == kept
