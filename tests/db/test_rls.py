"""Row-level security and grants: what each role sees and may write, with the queries' own scopes out of the way."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import uuid_utils.compat as uu

from core.commands import AddMember, CreateLabel, RemoveMember
from core.writes import Committed
from db.journal.journal import PostgresJournal
from db.pool import Pool, Pools, open_pools
from db.settings import DatabaseSettings
from db.transaction import reading, writing
from tests.support.refused import refused
from tests.support.team_writer import START, Writer, add_user, new_team

pytestmark = pytest.mark.anyio

TENANT = ("teams", "memberships", "labels", "tasks", "task_events")
PEOPLE = ("users", "sessions", "refresh_tokens")
BOOKKEEPING = ("projections", "relay_cursors", "inbox", "outbox", "notifications", "idempotency_keys", "comments")


@pytest.fixture(scope="module")
async def pools(module_database: DatabaseSettings) -> AsyncIterator[Pools]:
    async with open_pools(module_database) as pools:
        yield pools


@pytest.fixture(scope="module")
async def ada(pools: Pools) -> UUID:
    return await add_user(pools, "Ada")


@pytest.fixture(scope="module")
async def eve(pools: Pools) -> UUID:
    return await add_user(pools, "Eve")


@pytest.fixture(scope="module")
async def team(pools: Pools, ada: UUID, eve: UUID) -> Writer:
    """Ada's team; Eve has one of her own."""
    journal = PostgresJournal(pools)
    for person in (eve, ada):
        writer = await new_team(journal, person, 2)
        assert await writer.commit(journal, CreateLabel("bug", "#ff0000")) == Committed()
        await signed_in(pools, person)
    return writer


async def signed_in(pools: Pools, user_id: UUID) -> bytes:
    """A session with one refresh token, whose hash is returned."""
    session_id, token_hash = uu.uuid7(), hashlib.sha256(user_id.bytes).digest()
    async with writing(pools.api, user_id) as rows:
        await rows.execute(
            "insert into sessions (id, user_id, created_at, last_used_at, expires_at) values ($1, $2, $3, $3, $3)",
            session_id, user_id, START,
        )  # fmt: skip
        await rows.execute(
            "insert into refresh_tokens (id, token_hash, session_id, user_id, issued_at, expires_at)"
            " values ($1, $2, $3, $4, $5, $5)",
            uu.uuid7(), token_hash, session_id, user_id, START,
        )  # fmt: skip
    return token_hash


async def teams_seen(pool: Pool, user_id: UUID | None, table: str) -> set[UUID]:
    column = "id" if table == "teams" else "team_id"
    async with reading(pool, user_id) as rows:
        return {row[0] for row in await rows.fetch(f"select {column} from {table}")}


async def users_seen(pool: Pool, user_id: UUID | None, table: str) -> set[UUID]:
    column = "id" if table == "users" else "user_id"
    async with reading(pool, user_id) as rows:
        return {row[0] for row in await rows.fetch(f"select {column} from {table}")}


@pytest.mark.parametrize("table", TENANT)
async def test_members_see_their_teams_and_no_other(pools: Pools, ada: UUID, team: Writer, table: str) -> None:
    assert await teams_seen(pools.api, ada, table) == {team.team_id}
    assert len(await teams_seen(pools.writer, None, table)) == 2


@pytest.mark.parametrize("table", PEOPLE)
async def test_people_see_their_own_rows_only(pools: Pools, ada: UUID, team: Writer, table: str) -> None:
    assert await users_seen(pools.api, ada, table) == {ada}


@pytest.mark.parametrize("table", [*TENANT, *PEOPLE, "comments", "notifications", "idempotency_keys"])
async def test_without_a_user_there_are_no_rows(pools: Pools, ada: UUID, team: Writer, table: str) -> None:
    async with reading(pools.api, None) as rows:
        assert await rows.fetchval(f"select count(*) from {table}") == 0
        await rows.scope("app.user_id", "")
        assert await rows.fetchval(f"select count(*) from {table}") == 0
        await rows.scope("app.user_id", str(uu.uuid7()))
        assert await rows.fetchval(f"select count(*) from {table}") == 0


async def test_the_user_of_one_transaction_is_gone_in_the_next(pools: Pools, ada: UUID, team: Writer) -> None:
    """A connection is reused after an end of every kind; the setting is then empty, not that of the last user."""
    async with pools.api.acquire() as connection:
        one: Any = _OneConnection(connection)
        for ending in (None, ZeroDivisionError, asyncpg.PostgresError):
            try:
                async with reading(one, ada) as rows:
                    assert await rows.fetchval("select count(*) from teams") == 1
                    if ending is ZeroDivisionError:
                        raise ZeroDivisionError
                    if ending is asyncpg.PostgresError:
                        await rows.fetch("select 1 / 0")
            except (ZeroDivisionError, asyncpg.PostgresError):
                pass
            async with reading(one, None) as rows:
                assert await rows.fetchval("select count(*) from teams") == 0
            assert await connection.fetchval("select current_setting('app.user_id', true)") == ""


class _OneConnection:
    """A pool that always lends the same connection."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def acquire(self, *, timeout: float) -> Any:
        return self._connection

    async def release(self, connection: Any, *, timeout: float) -> None:
        pass


async def test_somebody_removed_sees_nothing_from_then_on(pools: Pools, ada: UUID) -> None:
    journal, bob = PostgresJournal(pools), await add_user(pools, "Bob")
    writer = await new_team(journal, ada, 1)
    assert await writer.commit(journal, AddMember(bob, "Bob", "member")) == Committed()
    assert await teams_seen(pools.api, bob, "tasks") == {writer.team_id}
    async with writing(pools.worker) as rows:
        await rows.execute(
            "insert into notifications (user_id, id, team_id, kind, event_id, created_at)"
            " values ($1, $2, $3, 'assigned', 'x:1', $4)",
            bob, uu.uuid7(), writer.team_id, START,
        )  # fmt: skip
    assert await teams_seen(pools.api, bob, "notifications") == {writer.team_id}
    assert await writer.commit(journal, RemoveMember(bob)) == Committed()
    for table in (*TENANT, "notifications"):
        assert await teams_seen(pools.api, bob, table) == set()


REFUSED = [
    (
        "insert into teams (id, name, key, created_by, created_at, updated_at, version)"
        " values (gen_random_uuid(), 'x', 'XX', gen_random_uuid(), now(), now(), 1)"
    ),
    "update teams set seq = 0",
    "delete from teams",
    (
        "insert into memberships (team_id, user_id, role, name, joined_at) select id, app_user(), 'owner', 'x', now()"
        " from teams"
    ),
    "update memberships set role = 'owner'",
    "delete from memberships",
    "update tasks set title = 'x'",
    "delete from tasks",
    "update labels set name = 'x'",
    "delete from task_events",
    "update task_events set payload = '{}'",
    "insert into relay_cursors (team_id) values (gen_random_uuid())",
    "select * from relay_cursors",
    "select * from inbox",
    "select * from projections",
    "select * from outbox",
    "select * from migration",
    "update users set id = gen_random_uuid()",
    "delete from users",
    "update sessions set user_id = gen_random_uuid()",
    "update refresh_tokens set token_hash = ''",
    (
        "insert into notifications (user_id, id, team_id, kind, event_id, created_at)"
        " select app_user(), gen_random_uuid(), id, 'x', 'x', now() from teams"
    ),
    "update notifications set user_id = gen_random_uuid()",
    "update idempotency_keys set body = ''",
    "set role taskforge_writer",
    "create table mine (id int)",
]


@pytest.mark.parametrize("statement", REFUSED)
async def test_the_api_role_cannot_write_what_the_committer_owns(
    pools: Pools, ada: UUID, team: Writer, statement: str
) -> None:
    with refused():
        async with writing(pools.api, ada) as rows:
            await rows.execute(statement)


async def test_the_api_role_cannot_write_other_peoples_rows(pools: Pools, ada: UUID, eve: UUID, team: Writer) -> None:
    async with writing(pools.api, ada) as rows:
        assert await rows.execute("update users set name = 'x' where id = $1", eve) == 0
        assert await rows.execute("update sessions set revoked_at = now() where user_id = $1", eve) == 0
        assert await rows.execute("delete from refresh_tokens where user_id = $1", eve) == 0
    for statement in (
        (
            "insert into sessions (id, user_id, created_at, last_used_at, expires_at)"
            " values (gen_random_uuid(), $1, now(), now(), now())"
        ),
        "insert into users (id, email, name, created_at, updated_at) values ($1, 'x@x.org', 'x', now(), now())",
        (
            "insert into idempotency_keys (principal, key, fingerprint, status, body)"
            " values ($1, 'k', sha256('k'), 200, '')"
        ),
    ):
        with refused():
            async with writing(pools.api, ada) as rows:
                await rows.execute(statement, eve)


async def test_naming_an_address_opens_that_user_for_reading_only(pools: Pools, ada: UUID, team: Writer) -> None:
    async with writing(pools.api) as rows:
        await rows.scope("app.email", f"{ada}@example.org")
        assert [row[0] for row in await rows.fetch("select id from users")] == [ada]
        assert await rows.execute("update users set name = 'x'") == 0
        assert await rows.fetchval("select count(*) from sessions") == 0
        await rows.scope("app.email", "%")
        assert await rows.fetchval("select count(*) from users") == 0


async def test_holding_a_token_opens_that_token_for_reading_only(pools: Pools, ada: UUID, team: Writer) -> None:
    token_hash = hashlib.sha256(ada.bytes).digest()
    async with writing(pools.api) as rows:
        await rows.scope("app.token_hash", token_hash.hex())
        assert [row[0] for row in await rows.fetch("select user_id from refresh_tokens")] == [ada]
        assert await rows.execute("update refresh_tokens set consumed_at = now()") == 0
        await rows.scope("app.user_id", str(ada))
        assert await rows.execute("update refresh_tokens set consumed_at = null") == 1


async def test_addresses_are_unique_whatever_their_case(pools: Pools, ada: UUID) -> None:
    other = uu.uuid7()
    with pytest.raises(asyncpg.UniqueViolationError) as caught:
        async with writing(pools.api, other) as rows:
            await rows.execute(
                "insert into users (id, email, name, created_at, updated_at) values ($1, $2, 'x', now(), now())",
                other, f"{ada}@Example.ORG",
            )  # fmt: skip
    assert caught.value.constraint_name == "users_email_key"


@pytest.mark.parametrize(
    "statement",
    [
        "update task_events set type = 'x'",
        "delete from task_events",
        "select * from users",
        "select * from refresh_tokens",
        "delete from teams",
        "delete from idempotency_keys",
        "update relay_cursors set published_seq = 1",
    ],
)
async def test_the_committer_cannot_rewrite_history_or_read_people(pools: Pools, team: Writer, statement: str) -> None:
    with refused():
        async with writing(pools.writer) as rows:
            await rows.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "update teams set seq = 0",
        "update tasks set title = 'x'",
        "insert into task_events select * from task_events",
        "delete from task_events",
        "select password_hash from users",
        "update users set name = 'x'",
        "select token_hash from refresh_tokens",
        "select body from idempotency_keys",
    ],
)
async def test_workers_cannot_write_team_data_or_read_secrets(pools: Pools, team: Writer, statement: str) -> None:
    with refused():
        async with writing(pools.worker) as rows:
            await rows.execute(statement)


async def test_workers_may_delete_only_what_has_expired(pools: Pools, team: Writer) -> None:
    later = await add_user(pools, "Later")
    await signed_in(pools, later)
    async with writing(pools.api, later) as rows:
        await rows.execute("update sessions set expires_at = now() + interval '1 hour'")
        await rows.execute("update refresh_tokens set expires_at = now() + interval '1 hour'")
    async with writing(pools.worker) as rows:
        await rows.execute("delete from refresh_tokens where expires_at < now()")
        await rows.execute("delete from sessions")
    assert await users_seen(pools.api, later, "sessions") == {later}
    assert await users_seen(pools.api, later, "refresh_tokens") == {later}


async def test_not_even_the_owner_of_the_tables_sees_rows(module_database: DatabaseSettings, team: Writer) -> None:
    session = await asyncpg.connect(module_database.owner_url.reveal())
    try:
        for table in (*TENANT, *PEOPLE, *BOOKKEEPING):
            assert await session.fetchval(f"select count(*) from {table}") == 0
    finally:
        await session.close()


async def test_ids_of_foreign_teams_cannot_be_probed_by_foreign_keys(pools: Pools, ada: UUID, eve: UUID) -> None:
    """Composite keys: a task of another team is as unknown as a random id, and the same id may exist in two teams."""
    journal = PostgresJournal(pools)
    mine, theirs = await new_team(journal, ada, 1), await new_team(journal, eve, 1)
    foreign = next(iter(theirs.state.tasks.values()))
    own = next(iter(mine.state.tasks.values()))
    for parent in (foreign.id, uu.uuid7()):
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            async with writing(pools.writer) as rows:
                await rows.execute("update tasks set parent_id = $1 where team_id = $2", parent, own.team_id)
    async with writing(pools.writer) as rows:
        columns = (
            "number, title, description, status, priority, label_ids, blocked_by, rank, comment_count,"
            " attachment_count, created_by, created_at, updated_at, version, column_id"
        )
        copied = await rows.execute(
            f"insert into tasks (team_id, id, {columns}) select $1, id, number + 1, title, description, status,"
            " priority, label_ids, blocked_by, rank, comment_count, attachment_count, created_by, created_at,"
            " updated_at, version, column_id from tasks where id = $2",
            own.team_id, foreign.id,
        )  # fmt: skip
    assert copied == 1
