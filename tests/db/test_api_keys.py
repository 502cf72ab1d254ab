"""API keys in the database: hashes only, each behind its user, and gone when they ended."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import uuid_utils.compat as uuids

from core.errors import NotFound, QuotaReached
from core.key_form import is_key
from db.journal.journal import PostgresJournal
from db.people.api_keys import ApiKey, ApiKeys, NewKey, forget_ended_keys, token_hash_of
from db.pool import Pools
from db.transaction import reading, writing
from tests.support.refused import refused
from tests.support.team_writer import add_user, new_team

pytestmark = pytest.mark.anyio

PLAIN = NewKey("Import", ("write",))


@pytest.fixture
def keys(pools: Pools) -> ApiKeys:
    return ApiKeys(pools.api, 5)


@pytest.fixture
async def ada(pools: Pools) -> UUID:
    return await add_user(pools, "Ada")


async def make(pools: Pools, keys: ApiKeys, user_id: UUID, wanted: NewKey = PLAIN) -> tuple[ApiKey, str]:
    async with writing(pools.api, user_id) as tx:
        return await keys.create_in(tx, user_id, wanted)


async def revoke(pools: Pools, keys: ApiKeys, user_id: UUID, key_id: UUID) -> bool:
    async with writing(pools.api, user_id) as tx:
        return await keys.revoke_in(tx, user_id, key_id)


async def listed(keys: ApiKeys, user_id: UUID) -> Sequence[UUID]:
    return [key.id for key in await keys.list(user_id, before=None, limit=100)]


async def test_a_key_is_found_by_its_hash_and_by_nothing_else(pools: Pools, keys: ApiKeys, ada: UUID) -> None:
    key, token = await make(pools, keys, ada)
    assert is_key(token.encode())
    assert key.prefix == token[:8]
    found = await keys.find(token_hash_of(token.encode()))
    assert found is not None
    assert (found.id, found.user_id, found.scopes, found.team_id, found.seconds_left) == (
        key.id, ada, ["write"], None, None,
    )  # fmt: skip
    principal = found.principal()
    assert (principal.id, principal.key_id, principal.kind) == (key.id, key.id, "key")
    assert principal.scopes == {"read", "write"}
    assert await keys.find(token_hash_of(token.encode() + b"x")) is None


async def test_the_table_holds_nothing_that_lets_anybody_in(
    pools: Pools, keys: ApiKeys, ada: UUID, superuser: "asyncpg.Connection"
) -> None:
    _, token = await make(pools, keys, ada)
    row: str = await superuser.fetchval("select api_keys::text from api_keys")
    assert token not in row
    assert token[8:] not in row
    assert token.encode().hex() not in row
    assert token_hash_of(token.encode()).hex() in row


@pytest.mark.parametrize("ending", ["expires_at = now() - interval '1 ms'", "revoked_at = now()"])
async def test_a_key_that_ended_is_neither_found_nor_listed_nor_revoked(
    pools: Pools, keys: ApiKeys, ada: UUID, superuser: "asyncpg.Connection", ending: str
) -> None:
    key, token = await make(pools, keys, ada)
    await superuser.execute(f"update api_keys set {ending}")
    assert await keys.find(token_hash_of(token.encode())) is None
    assert await listed(keys, ada) == []
    assert not await revoke(pools, keys, ada, key.id)
    with pytest.raises(NotFound):
        await keys.get(ada, key.id)


async def test_how_long_a_key_is_good_for_is_measured_by_the_database(
    pools: Pools, keys: ApiKeys, ada: UUID, superuser: "asyncpg.Connection"
) -> None:
    _, token = await make(pools, keys, ada)
    await superuser.execute("update api_keys set expires_at = now() + interval '1 hour'")
    found = await keys.find(token_hash_of(token.encode()))
    assert found is not None
    assert found.seconds_left is not None
    assert 3_590 < found.seconds_left <= 3_600


async def test_only_members_make_keys_for_a_team(pools: Pools, keys: ApiKeys, ada: UUID) -> None:
    eve = await add_user(pools, "Eve")
    team = await new_team(PostgresJournal(pools), ada, 1)
    key, _ = await make(pools, keys, ada, NewKey("x", ("read",), team.team_id))
    assert key.team_id == team.team_id
    for team_id in (team.team_id, uuids.uuid7()):
        with pytest.raises(NotFound, match="team"):
            await make(pools, keys, eve, NewKey("x", ("read",), team_id))


async def test_made_at_once_there_are_no_more_than_there_may_be(pools: Pools, keys: ApiKeys, ada: UUID) -> None:
    made = await asyncio.gather(*(make(pools, keys, ada) for _ in range(12)), return_exceptions=True)
    refusals = [one for one in made if isinstance(one, QuotaReached)]
    assert len(refusals) == 7
    assert {(one.quota, one.limit) for one in refusals} == {("api-keys-per-user", 5)}
    assert len(await listed(keys, ada)) == 5
    await revoke(pools, keys, ada, (await listed(keys, ada))[0])
    await make(pools, keys, ada)
    await make(pools, keys, await add_user(pools, "Bob"))


async def test_pages_go_from_the_newest_to_the_oldest(pools: Pools, keys: ApiKeys, ada: UUID) -> None:
    made = [(await make(pools, keys, ada))[0].id for _ in range(4)]
    assert await listed(keys, ada) == made[::-1]
    rest = await keys.list(ada, before=made[2], limit=1)
    assert [key.id for key in rest] == [made[1]]


async def test_a_use_is_written_at_most_every_five_minutes(
    pools: Pools, keys: ApiKeys, ada: UUID, superuser: "asyncpg.Connection"
) -> None:
    async def last() -> Any:
        return (await keys.get(ada, key.id)).last_used_at

    key, _ = await make(pools, keys, ada)
    assert await last() is None
    await keys.note_use(ada, key.id)
    first = await last()
    assert first is not None
    await keys.note_use(ada, key.id)
    assert await last() == first
    await superuser.execute("update api_keys set last_used_at = last_used_at - interval '301 s'")
    await keys.note_use(ada, key.id)
    assert await last() > first


async def test_all_keys_of_a_user_end_at_once_and_nobody_elses(pools: Pools, keys: ApiKeys, ada: UUID) -> None:
    eve = await add_user(pools, "Eve")
    mine = {(await make(pools, keys, ada))[0].id for _ in range(3)}
    hers, _ = await make(pools, keys, eve)
    async with writing(pools.api, ada) as tx:
        assert set(await keys.revoke_all_in(tx, ada)) == mine
        assert await keys.revoke_all_in(tx, ada) == []
    assert await listed(keys, ada) == []
    assert await listed(keys, eve) == [hers.id]
    assert set(await keys.revoked_within(60)) == mine


async def test_nobody_sees_or_changes_the_keys_of_others(
    pools: Pools, keys: ApiKeys, ada: UUID, superuser: "asyncpg.Connection"
) -> None:
    key, token = await make(pools, keys, ada)
    eve = await add_user(pools, "Eve")
    with pytest.raises(NotFound):
        await keys.get(eve, key.id)
    assert not await revoke(pools, keys, eve, key.id)
    async with writing(pools.api, eve) as tx:
        assert await tx.fetch("select * from api_keys") == []
        assert await tx.execute("update api_keys set revoked_at = now()") == 0
    async with reading(pools.api, None) as tx:
        assert await tx.fetch("select * from api_keys") == []
        await tx.scope("app.token_hash", "")
        assert await tx.fetch("select * from api_keys") == []
        await tx.scope("app.token_hash", token_hash_of(token.encode()).hex())
        assert [row["user_id"] for row in await tx.fetch("select user_id from api_keys")] == [ada]
    async with writing(pools.api) as tx:
        await tx.scope("app.token_hash", token_hash_of(token.encode()).hex())
        assert await tx.execute("update api_keys set revoked_at = now()") == 0
    assert await superuser.fetchval("select revoked_at from api_keys") is None


@pytest.mark.parametrize(
    "statement",
    [
        "update api_keys set scopes = array['admin']",
        "update api_keys set team_id = null",
        "update api_keys set token_hash = sha256('x')",
        "update api_keys set expires_at = null",
        "delete from api_keys",
    ],
)
async def test_a_key_is_never_changed_only_ended(pools: Pools, keys: ApiKeys, ada: UUID, statement: str) -> None:
    await make(pools, keys, ada)
    with refused():
        async with writing(pools.api, ada) as tx:
            await tx.execute(statement)


@pytest.mark.parametrize("role", ["worker", "writer"])
async def test_no_other_role_reads_hashes(pools: Pools, keys: ApiKeys, ada: UUID, role: str) -> None:
    await make(pools, keys, ada)
    with refused():
        async with writing(getattr(pools, role)) as tx:
            await tx.fetch("select token_hash from api_keys")


async def test_keys_that_ended_long_ago_are_forgotten_and_no_others(
    pools: Pools, keys: ApiKeys, ada: UUID, superuser: "asyncpg.Connection"
) -> None:
    (expired, _), (revoked, _), (lately, _), (good, _) = [await make(pools, keys, ada) for _ in range(4)]
    for key, ending in (
        (expired, "expires_at = now() - interval '31 days'"),
        (revoked, "revoked_at = now() - interval '31 days'"),
        (lately, "revoked_at = now() - interval '29 days'"),
    ):
        await superuser.execute(f"update api_keys set {ending} where id = $1", key.id)
    assert await forget_ended_keys(pools.worker) == 2
    left = await superuser.fetch("select id from api_keys order by id")
    assert [row["id"] for row in left] == [lately.id, good.id]
    await revoke(pools, keys, ada, good.id)
    assert await forget_ended_keys(pools.worker, days=0) == 1  # Not the one that other processes may not know of yet.
    assert await superuser.fetchval("select id from api_keys") == good.id


async def test_keys_go_with_their_user(pools: Pools, keys: ApiKeys, ada: UUID, superuser: "asyncpg.Connection") -> None:
    await make(pools, keys, ada)
    await superuser.execute("delete from users where id = $1", ada)
    assert await superuser.fetchval("select count(*) from api_keys") == 0
