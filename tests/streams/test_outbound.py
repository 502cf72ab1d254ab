"""Effects outside the database, against a server that records what it was asked to do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import anyio
import asyncpg
import httpx
import pytest
import uuid_utils.compat as uuids

from core.codec import JournalRow, encode, event_id
from db.pool import Pools
from db.transaction import Reading
from streams.consumers.outbound import Outbound, outbound
from streams.consumers.plan import Busy, Handling, Permanent
from tests.support.journal_writer import NOW, SALT, a_task, created

pytestmark = pytest.mark.anyio

CONSUMER = "webhooks"
TEAM = uuids.uuid7()


def event(seq: int = 1) -> JournalRow:
    return encode(created(a_task(TEAM, seq), seq), salt=SALT).row


class Recorder:
    """A small HTTP server: remembers the id of each request, and answers as it is told to."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.status = 200
        self.silent = False
        self.url = ""

    async def __call__(self, stable_id: str, row: JournalRow) -> None:
        """The effect: one request, under the id that stays the same."""
        async with httpx.AsyncClient() as client:
            answer = await client.post(self.url, content=row.payload, headers={"webhook-id": stable_id})
        if answer.status_code == 410:
            raise Permanent("the receiver is gone")
        answer.raise_for_status()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            self.ids.append(next(line for line in head.splitlines() if line.startswith("webhook-id:")).split(": ")[1])
            if not self.silent:
                writer.write(f"HTTP/1.1 {self.status} Said\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
                await writer.drain()
            else:
                await reader.read()
        except asyncio.IncompleteReadError:
            """On a busy machine the effect's time may be over before it has asked."""
        finally:
            writer.close()


@asynccontextmanager
async def recording() -> AsyncIterator[Recorder]:
    recorder = Recorder()
    server = await asyncio.start_server(recorder.serve, "127.0.0.1", 0)
    recorder.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server:
        yield recorder


@pytest.fixture
async def recorder() -> AsyncIterator[Recorder]:
    async with recording() as made:
        yield made


def wanted(recorder: Recorder, now: datetime = NOW, seconds: float = 5.0) -> Outbound:
    return Outbound(effect=recorder, seconds=seconds, now=lambda: now)


async def test_an_event_delivered_twice_is_sent_once(pools: Pools, recorder: Recorder) -> None:
    handle = outbound(pools.worker, wanted(recorder))
    assert [await handle(CONSUMER, event()) for _ in range(2)] == ["applied", "passed"]
    assert recorder.ids == [event_id(event())]


async def test_a_failed_attempt_is_repeated_under_the_same_id(pools: Pools, recorder: Recorder) -> None:
    handle = outbound(pools.worker, wanted(recorder))
    recorder.status = 503
    with pytest.raises(httpx.HTTPStatusError):
        await handle(CONSUMER, event())
    recorder.status = 200
    assert await handle(CONSUMER, event()) == "applied"
    assert recorder.ids == [event_id(event())] * 2


async def test_a_receiver_that_is_gone_for_good_is_a_permanent_failure(pools: Pools, recorder: Recorder) -> None:
    recorder.status = 410
    with pytest.raises(Permanent):
        await outbound(pools.worker, wanted(recorder))(CONSUMER, event())


async def test_a_silent_receiver_costs_a_bounded_time_and_another_attempt_follows(
    pools: Pools, recorder: Recorder
) -> None:
    recorder.silent = True
    with pytest.raises(TimeoutError):
        await outbound(pools.worker, wanted(recorder, seconds=0.2))(CONSUMER, event())
    recorder.silent = False
    assert await outbound(pools.worker, wanted(recorder))(CONSUMER, event()) == "applied"


async def delivered(handle: Handling) -> None:
    await handle(CONSUMER, event())


async def test_two_deliveries_at_once_send_once_and_the_second_has_to_wait(pools: Pools, recorder: Recorder) -> None:
    recorder.silent = True
    handle = outbound(pools.worker, wanted(recorder))
    async with anyio.create_task_group() as group:
        group.start_soon(delivered, handle)
        with anyio.fail_after(5):
            while not recorder.ids:
                await anyio.sleep(0.005)
        with pytest.raises(Busy):
            await handle(CONSUMER, event())
        group.cancel_scope.cancel()
    assert len(recorder.ids) == 1


async def test_whoever_is_cut_off_leaves_the_event_to_be_claimed_at_once(pools: Pools, recorder: Recorder) -> None:
    recorder.silent = True
    handle = outbound(pools.worker, wanted(recorder))
    async with anyio.create_task_group() as group:
        group.start_soon(delivered, handle)
        with anyio.fail_after(5):
            while not recorder.ids:
                await anyio.sleep(0.005)
        group.cancel_scope.cancel()
    recorder.silent = False
    assert await handle(CONSUMER, event()) == "applied"
    assert recorder.ids == [event_id(event())] * 2


async def test_after_a_crash_between_effect_and_mark_the_same_id_is_sent_again_once_the_claim_has_run_out(
    pools: Pools, superuser: "asyncpg.Connection", recorder: Recorder
) -> None:
    handle = outbound(pools.worker, wanted(recorder))
    await superuser.execute(
        "insert into inbox (consumer, event_id, claimed_until) values ($1, $2, now() + interval '1 hour')",
        CONSUMER,
        event_id(event()),
    )
    with pytest.raises(Busy):
        await handle(CONSUMER, event())
    await superuser.execute("update inbox set claimed_until = now() - interval '1 second'")
    assert await handle(CONSUMER, event()) == "applied"
    assert recorder.ids == [event_id(event())]
    assert await superuser.fetchval("select claimed_until from inbox") is None


async def test_nothing_older_than_two_weeks_is_sent(pools: Pools, recorder: Recorder) -> None:
    late = NOW + timedelta(days=14)
    assert await outbound(pools.worker, wanted(recorder, late))(CONSUMER, event()) == "applied"
    later = late + timedelta(seconds=1)
    assert await outbound(pools.worker, wanted(recorder, later))(CONSUMER, event(2)) == "expired"
    assert recorder.ids == [event_id(event())]


async def test_nothing_from_before_the_consumers_start_mark_is_sent(pools: Pools, recorder: Recorder) -> None:
    async def subscribed_at(_: Reading, row: JournalRow) -> int:
        assert row.team_id == TEAM
        return 3

    handle = outbound(pools.worker, Outbound(effect=recorder, start_mark=subscribed_at, now=lambda: NOW))
    answers = [await handle(CONSUMER, event(seq)) for seq in range(1, 6)]
    assert answers == ["expired"] * 3 + ["applied"] * 2
    assert recorder.ids == [event_id(event(seq)) for seq in (4, 5)]


async def test_events_that_do_not_concern_the_consumer_are_neither_claimed_nor_sent(
    pools: Pools, superuser: "asyncpg.Connection", recorder: Recorder
) -> None:
    handle = outbound(pools.worker, Outbound(effect=recorder, concerns=lambda _: False, now=lambda: NOW))
    assert await handle(CONSUMER, event()) == "passed"
    assert (recorder.ids, await superuser.fetchval("select count(*) from inbox")) == ([], 0)


async def test_no_connection_is_held_while_the_effect_runs(pools: Pools) -> None:
    """A slow receiver must not take the database away from everybody else."""
    idle: list[tuple[int, int]] = []

    async def look(_: str, __: JournalRow) -> None:
        idle.append((pools.worker.get_size(), pools.worker.get_idle_size()))

    await outbound(pools.worker, Outbound(effect=look, now=lambda: NOW))(CONSUMER, event())
    ((size, free),) = idle
    assert size == free > 0
