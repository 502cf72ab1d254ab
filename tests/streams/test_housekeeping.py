"""What has expired goes, what has not stays."""

import asyncpg
import pytest
import uuid_utils.compat as uuids

from db.pool import open_pools
from db.settings import DatabaseSettings
from streams.housekeeping import tidy
from taskforge.devstack import DevStack
from tests.support.databases import superuser_url

pytestmark = pytest.mark.anyio

KEY = """insert into idempotency_keys (principal, key, fingerprint, status, headers, body, seq, created_at)
values ($1, $2, $3, 200, '[]', '', 0, now() - $4 * interval '1 day')"""
MARK = "insert into inbox (consumer, event_id, at) values ('notifications', $1, now() - $2 * interval '1 day')"

SENT = """insert into outbox_sent (position, id, topic, key, payload, traceparent, created_at, life, sent_at)
values ($1, $2, 'taskforge.mail.v1', 'key', '{}', '', now(), 'life', now() - $1::bigint * interval '1 day')"""
USER = "insert into users (id, email, name, created_at, updated_at) values ($1, 'a@example.com', 'A', now(), now())"
PLACE = "insert into team_places values ($1, $2, now() + $3 * interval '1 second')"


async def test_old_keys_and_marks_are_forgotten_and_young_ones_kept(
    database: DatabaseSettings, services: DevStack, template_database: str
) -> None:
    connection = await asyncpg.connect(superuser_url(services, database))
    try:
        for days in (6, 8):
            await connection.execute(KEY, uuids.uuid7(), "k" * 16, b"f" * 32, days)
        for days in (29, 31):
            await connection.execute(MARK, f"team:{days}", days)
        for days in (13, 15):
            await connection.execute(SENT, days, uuids.uuid7())
        user = uuids.uuid7()
        await connection.execute(USER, user)
        for seconds in (-1, 30):
            await connection.execute(PLACE, uuids.uuid7(), user, seconds)
        async with open_pools(database) as pools:
            assert await tidy(pools.worker) == {
                "stored answers": 1,
                "marks of applied events": 1,
                "sessions that ended": 0,
                "sign-ins by other issuers": 0,
                "tokens from mails": 0,
                "API keys that ended": 0,
                "live tickets nobody used": 0,
                "invitations that expired": 0,
                "operations that ended": 0,
                "places of teams that were not made": 1,
                "marks of schedules": 0,
                "replays of dead letters": 0,
                "what left the outbox": 1,
                "deliveries of webhooks": 0,
                "folders of workers that were killed": 0,
                "objects that expired": 0,
            }
            assert not any((await tidy(pools.worker)).values())
        assert await connection.fetchval("select count(*) from idempotency_keys") == 1
        assert await connection.fetchval("select event_id from inbox") == "team:29"
        assert await connection.fetchval("select position from outbox_sent") == 13
        assert await connection.fetchval("select count(*) from team_places where expires_at > now()") == 1
    finally:
        await connection.close()
