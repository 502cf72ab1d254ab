"""From an event to an endpoint: what is sent, to whom, how often, and what the log says of it."""

import json
from collections.abc import AsyncIterator

import pytest
from standardwebhooks import Webhook

from db.pool import Pools
from streams.cloud_events import cloud_event
from tests.support.hooks import Hooks
from tests.support.journal_writer import JournalWriter
from tests.support.receivers import Behaviour, Receiver, receiving
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def hooks(pools: Pools, journal: JournalWriter) -> Hooks:
    return await Hooks(pools, journal).open()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


async def test_an_event_arrives_signed_as_the_cloud_event_that_it_is(hooks: Hooks, receiver: Receiver) -> None:
    hook = await hooks.subscribe(receiver.url("/in?a=b"))
    (row,) = await hooks.happen()
    async with hooks.sending():
        await hooks.sent(row)
        (delivery,) = await hooks.ended(hook)
    (got,) = receiver.received
    assert got.path == "/in?a=b"
    assert got.body == cloud_event(row)
    assert Webhook(hook.secret).verify(got.body, dict(got.headers)) == json.loads(got.body)
    assert got.headers["webhook-id"] == json.loads(got.body)["id"]
    assert got.headers["content-type"] == "application/cloudevents+json"
    assert (got.headers["taskforge-seq"], got.headers["taskforge-prev-seq"]) == ("2", "0")
    assert got.headers["taskforge-epoch"] == "1"
    assert (delivery.status, delivery.attempts, delivery.last_status) == ("delivered", 1, 204)
    (attempt,) = await hooks.attempts(delivery)
    assert (attempt.status, attempt.error) == (204, None)


async def test_each_event_names_the_one_before_it_that_matched(hooks: Hooks, receiver: Receiver) -> None:
    hook = await hooks.subscribe(receiver.url(), event_types=("task.created",))
    async with hooks.sending():
        for _ in range(4):
            await hooks.sent()
        await hooks.ended(hook, 4)
    places = sorted((got.seq, int(got.headers["taskforge-prev-seq"])) for got in receiver.received)
    assert places == [(2, 0), (3, 2), (4, 3), (5, 4)]


async def test_what_is_delivered_twice_or_happened_before_is_sent_once_or_never(
    hooks: Hooks, receiver: Receiver
) -> None:
    before = await hooks.happen(count=3)
    hook = await hooks.subscribe(receiver.url())
    after = await hooks.happen(count=2)
    async with hooks.sending():
        for _ in range(4):
            answers = await hooks.projected(*before, *after)
        await hooks.ended(hook, 2)
    assert answers == ["expired", "expired", "expired", "passed", "passed"]
    assert sorted(got.seq for got in receiver.received) == [5, 6]


async def test_an_attempt_that_failed_is_made_again_under_the_same_id(hooks: Hooks, receiver: Receiver) -> None:
    receiver.behave = lambda _path, _headers: Behaviour(status=204 if len(receiver.received) else 500, body=b"")
    hook = await hooks.subscribe(receiver.url())
    await hooks.sent()
    async with hooks.sending():
        await hooks.tried(hook, 1)
        hooks.ahead += 6.1
        (delivery,) = await hooks.ended(hook)
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert [one.status for one in await hooks.attempts(delivery)] == [500, 204]


async def test_nothing_is_sent_while_nothing_is_due(hooks: Hooks, receiver: Receiver) -> None:
    async with hooks.sending() as sender:
        await until(lambda: sender.ready)
    assert receiver.received == []
