"""Rate limits of two workers together, by brute force: with Valkey, without it, and with what was put into it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from msgspec import structs
from valkey.asyncio import Valkey

from api.limits.counter import FREE_FRACTION
from db.settings import DatabaseSettings
from taskforge.devstack import DevStack
from tests.support.freezing import frozen
from tests.support.rates import few
from tests.support.site import Site, serving, settings_for
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

Sites = tuple[Site, Site]
QUOTA = 10
MOST = QUOTA + max(1, QUOTA // FREE_FRACTION)
"""Of two workers."""


@asynccontextmanager
async def two(database: DatabaseSettings, valkey_url: str, **limits: int) -> AsyncIterator[Sites]:
    settings = structs.replace(settings_for(database, valkey_url), limits=few(**limits))
    async with serving(settings) as here, serving(settings) as there:
        yield here, there


async def ask(sites: Sites, times: int, request: Callable[[Site, int], Awaitable[httpx.Response]]) -> Counter[int]:
    """So many requests at once, every second one to either worker: their statuses."""
    answers = await asyncio.gather(*(request(sites[number % 2], number) for number in range(times)))
    return Counter(answer.status_code for answer in answers)


def log_in(site: Site, number: int) -> Awaitable[httpx.Response]:
    """A guess; each at an account of its own."""
    body = {"email": f"person{number}@example.com", "password": "a wrong guess"}
    return site.client.post("/v1/auth/login", json=body)


def refresh(site: Site, number: int) -> Awaitable[httpx.Response]:
    return site.client.post("/v1/auth/refresh", json={"refresh_token": f"tfr_{number}"})


def guess(site: Site, number: int) -> Awaitable[httpx.Response]:
    """Nobody's token."""
    return site.client.get("/v1/me", headers={"Authorization": f"Bearer {number}"})


@pytest.mark.parametrize("request_", [log_in, refresh, guess])
async def test_brute_force_over_two_workers_is_limited_as_over_one(
    database: DatabaseSettings, valkey_url: str, request_: Callable[[Site, int], Awaitable[httpx.Response]]
) -> None:
    async with two(database, valkey_url, login=QUOTA, refresh=QUOTA, address=QUOTA) as sites:
        statuses = await ask(sites, 6 * QUOTA, request_)
        assert QUOTA <= statuses[401] <= MOST
        assert statuses[401] + statuses[429] == 6 * QUOTA
        later = await ask(sites, QUOTA, request_)
        assert statuses[401] + later[401] <= MOST
        assert later[401] + later[429] == QUOTA


async def test_one_worker_alone_gives_all_of_the_quota_and_not_one_more(
    database: DatabaseSettings, valkey_url: str
) -> None:
    async with two(database, valkey_url, login=QUOTA) as (here, there):
        assert (await ask((here, here), 3 * QUOTA, log_in)) == {401: QUOTA, 429: 2 * QUOTA}
        assert (await ask((there, there), QUOTA, log_in))[401] <= 1


async def test_the_principal_of_a_hot_read_is_limited_over_two_workers_and_another_is_not(
    database: DatabaseSettings, valkey_url: str
) -> None:
    async with two(database, valkey_url, principal=400) as sites:
        ada, eve = await sites[0].person(), await sites[0].person()
        team = await sites[0].team(ada)
        for site in sites:
            await site.client.get(f"/v1/teams/{team}/board", headers=ada.headers)

        def read(site: Site, _: int) -> Awaitable[httpx.Response]:
            return site.client.get(f"/v1/tasks?team_id={team}", headers=ada.headers)

        asked = 4  # As person, as owner, and twice for the board.
        statuses: Counter[int] = Counter()
        for _ in range(10):
            statuses += await ask(sites, 60, read)
        assert statuses.keys() == {200, 429}
        assert 400 - asked <= statuses[200] <= 400 - asked + 400 // FREE_FRACTION
        for site in sites:
            assert (await site.client.get("/v1/me", headers=eve.headers)).status_code == 200


@pytest.mark.parametrize("request_", [log_in, refresh, guess])
async def test_without_valkey_the_workers_admit_no_more_together(
    database: DatabaseSettings,
    services: DevStack,
    valkey_url: str,
    request_: Callable[[Site, int], Awaitable[httpx.Response]],
) -> None:
    async with two(database, valkey_url, login=QUOTA, refresh=QUOTA, address=QUOTA) as sites:
        await services.valkey.kill()
        try:
            statuses = await ask(sites, 4 * QUOTA, request_)
            assert 1 <= statuses[401] <= QUOTA
            assert statuses[401] + statuses[429] == 4 * QUOTA
            assert (await ask(sites, QUOTA, request_)) == {429: QUOTA}
            assert all(site.services.limits.statistics().cut_off for site in sites)
        finally:
            await services.valkey.start()
        await until(lambda: not any(site.services.limits.statistics().cut_off for site in sites))


async def test_limits_hold_through_the_death_of_valkey(
    database: DatabaseSettings, services: DevStack, valkey_url: str
) -> None:
    async with two(database, valkey_url, login=QUOTA) as sites:
        before = await ask(sites, 6, log_in)
        await services.valkey.kill()
        try:
            after = await ask(sites, 4 * QUOTA, log_in)
        finally:
            await services.valkey.start()
        assert before[401] == 6
        assert before[401] + after[401] <= MOST
        again = await ask(sites, 4 * QUOTA, log_in)
        assert before[401] + after[401] + again[401] <= MOST


async def test_a_frozen_valkey_holds_no_request_for_long(
    database: DatabaseSettings, services: DevStack, valkey_url: str
) -> None:
    async with two(database, valkey_url, refresh=QUOTA) as sites:
        await ask(sites, 2, refresh)
        assert services.valkey.pid is not None
        with frozen(services.valkey.pid):
            started = asyncio.get_running_loop().time()
            statuses = await ask(sites, 4 * QUOTA, refresh)
            assert asyncio.get_running_loop().time() - started < 5
        assert statuses[401] + 2 <= MOST


class TestPoison:
    async def test_a_flushed_valkey_admits_nothing_anew(
        self, database: DatabaseSettings, valkey_url: str, valkey_client: Valkey
    ) -> None:
        async with two(database, valkey_url, login=QUOTA) as sites:
            count = 0
            for _ in range(20):
                count += (await ask(sites, 4, log_in))[401]
                await valkey_client.flushall()
            assert 2 <= count <= MOST

    @pytest.mark.parametrize("value", ["9223372036854775807", "-1000000", "nonsense", "1000"])
    async def test_counts_that_cannot_be_are_replaced(
        self, database: DatabaseSettings, valkey_url: str, valkey_client: Valkey, value: str
    ) -> None:
        async with two(database, valkey_url, login=QUOTA) as sites:
            assert (await ask(sites, 2, log_in)) == {401: 2}
            await until_counted(valkey_client)
            for key in await valkey_client.keys("taskforge:limit:*"):
                await valkey_client.set(key, value)  # Without an end, too.
            statuses = await ask(sites, 4 * QUOTA, log_in)
            assert 1 <= statuses[401] <= MOST
            for key in await valkey_client.keys("taskforge:limit:*"):
                assert 0 < await valkey_client.pttl(key) <= 3_600_000

    async def test_values_of_another_type_are_replaced(
        self, database: DatabaseSettings, valkey_url: str, valkey_client: Valkey
    ) -> None:
        async with two(database, valkey_url, login=QUOTA) as sites:
            await ask(sites, 2, log_in)
            await until_counted(valkey_client)
            for key in await valkey_client.keys("taskforge:limit:*"):
                async with valkey_client.pipeline(transaction=True) as at_once:  # A worker may count in between.
                    at_once.delete(key)
                    at_once.hset(key, "not", "a count")
                    await at_once.execute()
            statuses = await ask(sites, 4 * QUOTA, log_in)
            assert 1 <= statuses[401] <= MOST
            for key in await valkey_client.keys("taskforge:limit:*"):
                assert await valkey_client.type(key) == b"string"

    async def test_a_forged_count_refuses_for_one_window_at_most(
        self, database: DatabaseSettings, valkey_url: str, valkey_client: Valkey
    ) -> None:
        async with two(database, valkey_url, login=QUOTA, login_seconds=1) as sites:
            await ask(sites, 2, log_in)
            for key in await valkey_client.keys("taskforge:limit:*"):
                await valkey_client.set(key, "50", ex=86_400)
            async with asyncio.timeout(10):
                while (await log_in(sites[0], 0)).status_code != 401:
                    pass

    async def test_nothing_in_valkey_names_an_address_or_an_account(
        self, database: DatabaseSettings, valkey_url: str, valkey_client: Valkey
    ) -> None:
        async with two(database, valkey_url, login=QUOTA, login_account=QUOTA) as sites:
            await ask(sites, 4, log_in)
            await until_counted(valkey_client)
            for key in await valkey_client.keys("taskforge:limit:*"):
                assert b"127.0.0.1" not in key
                assert b"person" not in key
                assert 0 < await valkey_client.pttl(key) <= 900_000


async def until_counted(client: Valkey) -> None:
    async with asyncio.timeout(10):
        while not await client.keys("taskforge:limit:*"):
            pass
