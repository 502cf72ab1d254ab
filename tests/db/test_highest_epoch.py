"""What is remembered of the epochs that were given, outside of the database that a restore takes back."""

import pytest
from valkey.asyncio import Valkey

from db.valkey import open_valkey
from tests.support.epochs import remembering

pytestmark = pytest.mark.anyio

KEY = b"taskforge:highest-epoch:books"


async def test_what_one_process_gave_others_of_the_same_database_learn(valkey_url: str) -> None:
    async with remembering(valkey_url, "books") as one, remembering(valkey_url, "books") as other:
        await one.give(3)
        await other.look()
        assert (one.value, other.value) == (3, 3)
        await other.give(2)
        async with remembering(valkey_url, "books") as late, remembering(valkey_url, "films") as elsewhere:
            for one_of_both in (late, elsewhere):
                await one_of_both.look()
            assert (late.value, elsewhere.value) == (3, 0)


async def test_what_is_forged_moved_or_lost_teaches_nothing(valkey_url: str) -> None:
    async with remembering(valkey_url, "books") as one, open_valkey(valkey_url) as valkey:
        await one.give(5)
        genuine = await valkey.get(KEY)
        assert genuine is not None
        for forged in (b"", b"7", genuine[:-1], genuine[:15] + b"\x09" + genuine[16:], genuine + b"x"):
            assert await learnt(valkey, valkey_url, forged) == 0
        await valkey.set(b"taskforge:highest-epoch:films", genuine)
        async with (
            remembering(valkey_url, "films") as moved,
            remembering(valkey_url, "books", secret="another secret of thirty-two bytes.") as stranger,
        ):
            await valkey.set(KEY, genuine)
            for asked in (moved, stranger):
                await asked.look()
                assert asked.value == 0


async def test_what_valkey_has_lost_or_was_given_by_a_stranger_is_said_again(valkey_url: str) -> None:
    async with remembering(valkey_url, "books") as one, open_valkey(valkey_url) as valkey:
        await one.give(5)
        for lost in (None, b"not ours"):
            await valkey.delete(KEY) if lost is None else await valkey.set(KEY, lost)
            await one.look()
            async with remembering(valkey_url, "books") as late:
                await late.look()
                assert (one.value, late.value) == (5, 5)


async def learnt(valkey: Valkey, valkey_url: str, data: bytes) -> int:
    await valkey.set(KEY, data)
    async with remembering(valkey_url, "books") as process:
        await process.look()
        return process.value


async def test_without_valkey_a_process_remembers_by_itself() -> None:
    async with remembering("valkey://127.0.0.1:9/0") as alone:
        await alone.look()
        await alone.give(4)
        assert alone.value == 4
