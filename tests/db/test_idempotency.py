"""Idempotency keys of changes that are no team commands: once, whatever happens."""

import asyncio
from collections.abc import Awaitable, Callable
from unittest.mock import patch

import asyncpg
import pytest
import uuid_utils.compat as uuids

from core.ask import Ask
from core.errors import Conflict, DomainError, KeyInFlight, KeyReused, StorageUnavailable
from core.principal import Principal
from core.writes import StoredReply
from db.idempotency import Found, Ran, find_reply, forget_old_keys, replay_or_run
from db.people.identity import Identity
from db.people.sessions import Client, Lifetimes
from db.pool import Pools, open_pools
from db.settings import DatabaseSettings
from db.transaction import Writing, reading
from taskforge.devstack import DevStack

pytestmark = pytest.mark.anyio

KEY = "0123456789abcdef"
ONE, OTHER = b"1" * 32, b"2" * 32
REPLY = StoredReply(200, (("content-type", "application/json"), ("x", "ÿ")), b'{"a":1}', 0)


@pytest.fixture
async def ada(pools: Pools) -> Principal:
    return await new_user(pools, "ada@example.com")


async def new_user(pools: Pools, email: str) -> Principal:
    identity = Identity(pools.api, Lifetimes(idle=60, absolute=60, grace=10))
    return (await identity.sign_up(email, "Name", "hash", Client())).principal


def renaming(ada: Principal, name: str) -> Callable[[Writing], Awaitable[StoredReply]]:
    async def run(tx: Writing) -> StoredReply:
        assert await tx.execute("update users set name = name || $2 where id = $1", ada.user_id, name) == 1
        return REPLY

    return run


async def name_of(pools: Pools, principal: Principal) -> str:
    async with reading(pools.api, principal.user_id) as tx:
        name: str = await tx.fetchval("select name from users where id = $1", principal.user_id)
        return name


async def test_the_second_request_gets_the_first_ones_reply_and_has_no_effect(pools: Pools, ada: Principal) -> None:
    first = await replay_or_run(pools.api, Ask(ada, KEY, ONE), renaming(ada, "!"))
    second = await replay_or_run(pools.api, Ask(ada, KEY, ONE), renaming(ada, "?"))
    assert (first, second) == (Ran(REPLY, replayed=False), Ran(REPLY, replayed=True))
    assert await name_of(pools, ada) == "Name!"


async def test_without_a_key_every_request_has_its_effect(pools: Pools, ada: Principal) -> None:
    for _ in range(2):
        assert not (await replay_or_run(pools.api, Ask(ada), renaming(ada, "!"))).replayed
    assert await name_of(pools, ada) == "Name!!"


async def test_another_request_under_the_same_key_is_refused(pools: Pools, ada: Principal) -> None:
    await replay_or_run(pools.api, Ask(ada, KEY, ONE), renaming(ada, "!"))
    with pytest.raises(KeyReused):
        await replay_or_run(pools.api, Ask(ada, KEY, OTHER), renaming(ada, "?"))
    assert await name_of(pools, ada) == "Name!"


async def test_another_user_with_the_same_key_is_on_their_own(pools: Pools, ada: Principal) -> None:
    bob = await new_user(pools, "bob@example.com")
    await replay_or_run(pools.api, Ask(ada, KEY, ONE), renaming(ada, "!"))
    ran = await replay_or_run(pools.api, Ask(bob, KEY, OTHER), renaming(bob, "?"))
    assert not ran.replayed
    assert (await name_of(pools, ada), await name_of(pools, bob)) == ("Name!", "Name?")


async def test_another_session_of_the_same_user_gets_the_replay(pools: Pools, ada: Principal) -> None:
    await replay_or_run(pools.api, Ask(ada, KEY, ONE), renaming(ada, "!"))
    elsewhere = Principal.of_user(ada.user_id, uuids.uuid7())
    assert (await replay_or_run(pools.api, Ask(elsewhere, KEY, ONE), renaming(ada, "?"))).replayed


async def test_an_api_key_and_its_user_use_the_same_name_without_meeting(pools: Pools, ada: Principal) -> None:
    key, other = (Principal.of_key(uuids.uuid7(), ada.user_id, ["write"]) for _ in range(2))
    for principal in (ada, key, other):
        assert not (await replay_or_run(pools.api, Ask(principal, KEY, ONE), renaming(ada, "!"))).replayed
        assert (await replay_or_run(pools.api, Ask(principal, KEY, ONE), renaming(ada, "?"))).replayed
        assert await find_reply(pools.api, Ask(principal, KEY, ONE)) == Found(REPLY, None)
    assert await name_of(pools, ada) == "Name!!!"


async def test_sixty_four_at_once_have_one_effect(pools: Pools, ada: Principal) -> None:
    asked = (replay_or_run(pools.api, Ask(ada, KEY, ONE), renaming(ada, "!")) for _ in range(64))
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(answer, Ran) and not answer.replayed for answer in answers) == 1
    rest = [answer for answer in answers if not isinstance(answer, KeyInFlight)]
    assert {isinstance(answer, Ran) and answer.reply == REPLY for answer in rest} == {True}
    assert await name_of(pools, ada) == "Name!"


async def test_while_the_first_runs_the_second_is_told_to_wait(
    database: DatabaseSettings, pools: Pools, ada: Principal
) -> None:
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def slow(tx: Writing) -> StoredReply:
        inside.set()
        await go_on.wait()
        return await renaming(ada, "!")(tx)

    first = asyncio.ensure_future(replay_or_run(pools.api, Ask(ada, KEY, ONE), slow))
    await inside.wait()
    async with open_pools(database) as another_process:
        with pytest.raises(KeyInFlight):
            await replay_or_run(another_process.api, Ask(ada, KEY, ONE), renaming(ada, "?"))
        go_on.set()
        assert not (await first).replayed
        assert (await replay_or_run(another_process.api, Ask(ada, KEY, ONE), renaming(ada, "?"))).replayed


async def test_a_refusal_is_stored_and_what_was_done_before_it_is_taken_back(pools: Pools, ada: Principal) -> None:
    async def refused(tx: Writing) -> StoredReply:
        await renaming(ada, "!")(tx)
        raise Conflict("name-taken", "Taken.")

    def render(error: DomainError) -> StoredReply:
        return StoredReply(409, (), error.detail.encode(), 0)

    first = await replay_or_run(pools.api, Ask(ada, KEY, ONE), refused, render=render)
    second = await replay_or_run(pools.api, Ask(ada, KEY, ONE), renaming(ada, "?"), render=render)
    assert first.reply == second.reply == StoredReply(409, (), b"Taken.", 0)
    assert (first.replayed, second.replayed) == (False, True)
    assert await name_of(pools, ada) == "Name"


async def test_a_crash_in_the_middle_leaves_neither_effect_nor_key(pools: Pools, ada: Principal) -> None:
    async def crashing(tx: Writing) -> StoredReply:
        await renaming(ada, "!")(tx)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await replay_or_run(pools.api, Ask(ada, KEY, ONE), crashing)
    assert not (await replay_or_run(pools.api, Ask(ada, KEY, ONE), renaming(ada, "?"))).replayed
    assert await name_of(pools, ada) == "Name?"


@pytest.mark.parametrize("committed", [True, False])
async def test_an_unknown_commit_is_answered_from_what_is_stored(pools: Pools, ada: Principal, committed: bool) -> None:
    """The connection breaks at COMMIT: after the server did it, or before it heard of it."""
    real = asyncpg.Connection.execute

    async def breaking(connection: "asyncpg.Connection", query: str, *rest: object, **more: object) -> str:
        if query == "commit":
            if committed:
                await real(connection, query)
            connection.terminate()
            raise ConnectionResetError("reset by peer")
        return await real(connection, query, *rest, **more)

    async def run(tx: Writing) -> StoredReply:
        broken.start()
        return await renaming(ada, "!")(tx)

    broken = patch.object(asyncpg.Connection, "execute", breaking)
    real_reading = reading

    def mended(*arguments: object, **more: object) -> object:
        broken.stop()
        return real_reading(*arguments, **more)  # type: ignore[arg-type]

    with patch("db.idempotency.reading", mended):
        if committed:
            assert await replay_or_run(pools.api, Ask(ada, KEY, ONE), run) == Ran(REPLY, replayed=False)
        else:
            with pytest.raises(StorageUnavailable):
                await replay_or_run(pools.api, Ask(ada, KEY, ONE), run)
    assert await name_of(pools, ada) == ("Name!" if committed else "Name")


async def test_keys_are_forgotten_after_seven_days(
    services: DevStack, database: DatabaseSettings, pools: Pools, ada: Principal
) -> None:
    for number in range(3):
        await replay_or_run(pools.api, Ask(ada, f"{KEY}{number}", ONE), renaming(ada, "!"))
    owner = await asyncpg.connect(services.postgres.url_of(database.api_url.reveal().rpartition("/")[2].split("?")[0]))
    await owner.execute("update idempotency_keys set created_at = now() - interval '8 days' where key <> $1", f"{KEY}0")
    await owner.close()
    assert await forget_old_keys(pools.worker) == 2
    assert (await replay_or_run(pools.api, Ask(ada, f"{KEY}0", ONE), renaming(ada, "?"))).replayed
    assert not (await replay_or_run(pools.api, Ask(ada, f"{KEY}1", ONE), renaming(ada, "?"))).replayed


async def test_row_security_hides_keys_from_other_users(pools: Pools, ada: Principal) -> None:
    await replay_or_run(pools.api, Ask(ada, KEY, ONE), renaming(ada, "!"))
    for user_id, seen in ((ada.user_id, 1), (uuids.uuid7(), 0), (None, 0)):
        async with reading(pools.api, user_id) as tx:
            assert await tx.fetchval("select count(*) from idempotency_keys") == seen
