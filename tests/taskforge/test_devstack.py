"""The embedded services against real processes: crashes, remains of earlier runs, second copies."""

import asyncio
import os
import signal
from collections.abc import Callable

import asyncpg
import pytest
import valkey.asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from taskforge.devstack import Services

pytestmark = pytest.mark.anyio


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in other processes
            await asyncio.sleep(0.01)


async def fetchval(url: str, sql: str) -> object:
    session = await asyncpg.connect(url)
    try:
        return await session.fetchval(sql)
    finally:
        await session.close()


async def test_postgres_is_durable_has_vectors_and_demands_a_password(services: Services) -> None:
    url = services.postgres_url
    assert await fetchval(url, "select current_database()") == "taskforge"
    assert await fetchval(url, "show fsync") == "on"
    assert await fetchval(url, "show synchronous_commit") == "on"
    assert await fetchval(url, "show wal_level") == "replica"
    assert await fetchval(url, "select 1 from pg_available_extensions where name = 'vector'") == 1
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(services.postgres.url_of("taskforge", password="wrong"))


async def test_valkey_answers_with_its_password_only(services: Services, valkey_url: str) -> None:
    async with valkey.asyncio.from_url(valkey_url) as client:
        assert await client.set("a", "1")
    async with valkey.asyncio.from_url(f"valkey://127.0.0.1:{services.valkey.port}") as stranger:
        with pytest.raises(valkey.AuthenticationError):
            await stranger.get("a")


async def test_kafka_carries_a_message(kafka_bootstrap: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka_bootstrap)
    await producer.start()
    try:
        await producer.send_and_wait("greetings", b"hello", key=b"k")
    finally:
        await producer.stop()
    consumer = AIOKafkaConsumer("greetings", bootstrap_servers=kafka_bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        assert (await asyncio.wait_for(consumer.getone(), 10)).value == b"hello"
    finally:
        await consumer.stop()


@pytest.mark.parametrize("name", ["postgres", "valkey", "kafka"])
async def test_a_killed_service_is_restarted_on_the_same_port(services: Services, name: str) -> None:
    service = getattr(services, name)
    pid, port = service.pid, service.port
    restarts = services.supervisor.statistics().restarts[name]
    os.kill(pid, signal.SIGKILL)
    await until(lambda: services.supervisor.statistics().restarts[name] == restarts + 1, seconds=5)
    assert await service.ready()
    assert service.pid != pid
    assert service.port == port


async def test_a_service_killed_on_purpose_stays_down_until_started(services: Services) -> None:
    await services.valkey.kill()
    assert services.valkey.pid is None
    assert not await services.valkey.ready()
    await services.valkey.start()
    assert await services.valkey.ready()


async def test_postgres_killed_under_write_load_keeps_every_acknowledged_row(services: Services) -> None:
    url = services.postgres_url
    await fetchval(url, "create table if not exists acknowledged (n bigint primary key)")
    acknowledged: list[int] = []

    async def write(lane: int) -> None:
        session = await asyncpg.connect(url)
        try:
            for n in range(lane * 1_000_000, (lane + 1) * 1_000_000):
                await session.execute("insert into acknowledged values ($1)", n)
                acknowledged.append(n)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
            return
        finally:
            session.terminate()

    writers = [asyncio.create_task(write(lane)) for lane in range(8)]
    await until(lambda: len(acknowledged) > 200)
    await services.postgres.kill()
    await asyncio.gather(*writers)
    await services.postgres.start()
    kept = await fetchval(url, "select array_agg(n) from acknowledged")
    assert isinstance(kept, list)
    assert set(acknowledged) <= set(kept)
    await fetchval(url, "drop table acknowledged")
