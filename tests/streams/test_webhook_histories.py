"""Of a team's history nothing is missed, sent twice, or sent once it is forgotten, whatever a broker loses."""

import json
import random
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec import structs

from core.webhooks import Filter
from db.pool import Pools
from db.redaction.history import redact_history
from db.redaction.tasks import forget_task
from db.transaction import writing
from db.webhooks.keeping import forget_old_deliveries
from streams.consumers.webhooks import NAME, catch_up
from streams.webhooks.chat import escaped
from taskforge.devstack import DevStack
from taskforge.settings import Settings
from tests.support.apache_kafka import empty
from tests.support.hooks import SITE, Hooks
from tests.support.journal_writer import JournalWriter, a_task, created, deleted, updated
from tests.support.receivers import Behaviour, Received, Receiver, receiving
from tests.support.waiting import until
from tests.support.working import consumer_of, working

pytestmark = pytest.mark.anyio

ADA = UUID(int=9)


@pytest.fixture
async def hooks(pools: Pools, journal: JournalWriter) -> Hooks:
    return await Hooks(pools, journal).open()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


async def walk(hooks: Hooks, chance: random.Random, events: int) -> None:
    """Tasks that are created, change their status and are deleted for good, at random."""
    tasks: list[Any] = []
    for _ in range(events):
        head = await hooks.journal.head(hooks.team_id) + 1
        if not tasks or chance.random() < 0.3:
            task = a_task(hooks.team_id, head, status=chance.choice(["open", "done"]))
            tasks.append(task)
            await hooks.happen(created(task, head))
        elif chance.random() < 0.1:
            await hooks.happen(deleted(tasks.pop(chance.randrange(len(tasks))), head))
        else:
            place = chance.randrange(len(tasks))
            before = tasks[place]
            tasks[place] = structs.replace(before, status=chance.choice(["open", "in_progress", "done"]))
            changed = {} if tasks[place].status == before.status else {"status": before.status}
            await hooks.happen(updated(tasks[place], head, **changed))


def losses(received: Sequence[Received]) -> set[int]:
    """Which events a receiver knows it has not got: named as the one before another, and not there itself."""
    got = {one.seq for one in received}
    return {before for one in received if (before := int(one.headers["taskforge-prev-seq"])) and before not in got}


@pytest.mark.parametrize("seed", range(3))
async def test_a_filtered_receiver_that_drops_a_third_finds_every_loss_and_none_falsely(
    hooks: Hooks, receiver: Receiver, seed: int
) -> None:
    chance = random.Random(seed)
    hook = await hooks.subscribe(receiver.url(), filter=Filter(status=("done",)))
    await walk(hooks, chance, 60)
    async with hooks.sending():
        await catch_up(hooks.pools.worker, hooks.project)
        sent = len(await hooks.deliveries(hook))
        await hooks.ended(hook, sent)
    everything = sorted(receiver.received, key=lambda one: one.seq)
    assert 10 < len(everything) < 60
    assert losses(everything) == set()
    kept = [one for one in everything[:-1] if chance.random() > 0.3] + everything[-1:]
    # Of a run of losses the receiver sees the last one, asks for it, and sees the one before it.
    found = losses(kept)
    while unseen := losses([*kept, *(one for one in everything if one.seq in found)]):
        found |= unseen
    assert found == {one.seq for one in everything} - {one.seq for one in kept}


async def test_a_task_that_is_deleted_for_good_is_told_to_those_who_knew_it(hooks: Hooks, receiver: Receiver) -> None:
    done = await hooks.subscribe(receiver.url(), filter=Filter(status=("done",)))
    other = await hooks.subscribe(receiver.url(), filter=Filter(status=("open",)))
    head = await hooks.journal.head(hooks.team_id)
    task = a_task(hooks.team_id, head + 1, status="done")
    rows = [*await hooks.happen(created(task, head + 1)), *await hooks.happen(deleted(task, head + 2))]
    await hooks.projected(*rows)
    assert [one.event_type for one in await hooks.deliveries(done)] == ["task.deleted", "task.created"]
    assert await hooks.deliveries(other) == []


async def test_sixty_four_deliveries_of_each_event_make_one_chain_of_each(hooks: Hooks, receiver: Receiver) -> None:
    hook = await hooks.subscribe(receiver.url())
    rows = await hooks.happen(count=8)
    many = rows * 64
    random.Random(1).shuffle(many)
    async with hooks.sending(senders=2):
        await hooks.projected(*many)
        await hooks.ended(hook, 8)
    assert sorted(one.seq for one in receiver.received) == list(range(2, 10))


async def test_a_history_of_forty_days_ago_sends_nothing(
    hooks: Hooks, receiver: Receiver, journal: JournalWriter
) -> None:
    hook = await hooks.subscribe(receiver.url())
    old = [structs.replace(row, at=datetime.now(UTC) - timedelta(days=40)) for row in await hooks.happen(count=5)]
    await journal.age("40 days")
    await hooks.projected(*old)
    assert await hooks.deliveries(hook) == []
    (row,) = await hooks.happen()
    await hooks.projected(row)
    (delivery,) = await hooks.deliveries(hook)
    assert (delivery.seq, delivery.prev_seq) == (row.seq, row.seq - 1)


async def test_after_a_restore_what_was_lost_is_dropped_and_what_lasted_is_not_repeated(
    hooks: Hooks, receiver: Receiver, journal: JournalWriter
) -> None:
    hook = await hooks.subscribe(receiver.url())
    lasting, lost = await hooks.happen(), await hooks.happen(count=2)
    async with hooks.sending():
        await hooks.projected(*lasting)
        await hooks.ended(hook, 1)
    await hooks.projected(*lost)
    async with journal.pool.acquire() as connection, connection.transaction():
        await connection.execute("set local session_replication_role = replica")
        await connection.execute("delete from task_events where team_id = $1 and seq > 2", hooks.team_id)
        await connection.execute("update teams set seq = 2, epoch = 2 where id = $1", hooks.team_id)
        await connection.execute("insert into team_epochs (team_id, epoch, from_seq) values ($1, 2, 3)", hooks.team_id)
    (again,) = await hooks.happen()
    async with hooks.sending():
        await hooks.projected(structs.replace(again, epoch=2))
        await hooks.ended(hook, 2)
    assert [(one.seq, one.headers["taskforge-epoch"]) for one in receiver.received] == [(2, "1"), (3, "2")]
    assert receiver.received[1].headers["taskforge-prev-seq"] == "2"
    assert json.loads(receiver.received[1].body)["id"] == f"{hooks.team_id}:2:3"
    assert [one.seq for one in await hooks.deliveries(hook)] == [3, 2]


async def test_an_event_committed_while_a_webhook_was_being_made_is_found(hooks: Hooks, receiver: Receiver) -> None:
    """The consumer had looked before the subscription could be seen, and nothing happens in the team afterwards."""
    hook = await hooks.subscribe(receiver.url())
    await hooks.happen()
    assert await catch_up(hooks.pools.worker, hooks.project) == 1
    assert [one.seq for one in await hooks.deliveries(hook)] == [2]
    assert await catch_up(hooks.pools.worker, hooks.project) == 0


async def test_what_is_redacted_is_not_in_the_next_attempt_nor_in_the_log(
    hooks: Hooks, receiver: Receiver, pools: Pools
) -> None:
    receiver.behave = lambda _path, _headers: Behaviour(
        status=500 if len(receiver.received) == 0 else 200, body=b"I know about the canary"
    )
    hook = await hooks.subscribe(receiver.url())
    (row,) = await hooks.happen(title="canary", description="canary")
    async with hooks.sending():
        await hooks.projected(row)
        delivery = await hooks.tried(hook, 1)
        assert [one.response for one in await hooks.attempts(delivery)] == ["I know about the canary"]
        await redact_history(pools.worker, hooks.team_id, [row.subject])
        async with writing(pools.worker) as tx:
            await forget_task(tx, hooks.team_id, row.subject)
        assert [one.response for one in await hooks.attempts(delivery)] == [""]
        hooks.ahead += 7
        await hooks.ended(hook)
    first, second = receiver.received
    assert (b"canary" in first.body, b"canary" in second.body) == (True, False)
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert json.loads(second.body)["redacted"] is True


async def test_a_chat_gets_a_line_in_which_nothing_is_markup_of_others(hooks: Hooks, receiver: Receiver) -> None:
    hook = await hooks.subscribe(receiver.url(), format="slack")
    (row,) = await hooks.happen(title="<!channel> *bold* & <https://evil.example|click>")
    async with hooks.sending():
        await hooks.projected(row)
        await hooks.ended(hook)
    (got,) = receiver.received
    said = json.loads(got.body)
    assert got.headers["content-type"] == "application/json"
    card, _, line = said["blocks"][0]["elements"][0]["elements"]
    assert card["type"] == "link"
    assert card["text"].endswith("<!channel> *bold* & <https://evil.example|click>"), "as it was written"
    assert card["url"] == f"{SITE}/#/{hooks.team_id}/{row.subject}"
    assert line["text"].endswith("created it.")
    assert said["blocks"][1]["elements"][0]["type"] == "plain_text"
    assert said["blocks"][1]["elements"][0]["text"]
    assert said["text"].startswith(f"<{card['url']}|")
    assert said["text"].count("<") == 1, "nothing but our own link is markup"
    assert "&lt;!channel&gt;" in said["text"]
    assert "\u2060" not in got.body.decode()


def test_mrkdwn_is_escaped_as_slack_asks_for() -> None:
    assert escaped("a & b < c > d") == "a &amp; b &lt; c &gt; d"


async def test_a_broker_that_is_wiped_and_refilled_repeats_no_webhook(
    settings: Settings, services: DevStack, pools: Pools, journal: JournalWriter, receiver: Receiver
) -> None:
    """Relay, topic, consumer and sender as a worker has them; what the broker loses is read from the journal."""
    settings = structs.replace(settings, webhooks=structs.replace(settings.webhooks, loopback=True))
    hooks = await Hooks(pools, journal).open()
    hook = await hooks.subscribe(receiver.url())
    await hooks.happen(count=20)
    async with working(settings, "relay", "webhooks") as process:
        await hooks.ended(hook, 20)
        await empty(services.kafka)
        await hooks.happen(count=5)
        await hooks.ended(hook, 25)
        # The refilled topic is read from its beginning: the start mark and the position know it all.
        await until(lambda: consumer_of(process, NAME).passed + consumer_of(process, NAME).expired >= 20)
    assert sorted(one.seq for one in receiver.received) == list(range(2, 27))


async def test_deliveries_are_kept_for_thirty_days(hooks: Hooks, receiver: Receiver, pools: Pools) -> None:
    hook = await hooks.subscribe(receiver.url())
    async with hooks.sending():
        await hooks.sent()
        await hooks.ended(hook)
    assert await forget_old_deliveries(pools.worker) == 0
    await hooks.journal.pool.execute("update webhook_deliveries set created_at = now() - interval '31 days'")
    assert await forget_old_deliveries(pools.worker) == 1
    assert await hooks.deliveries(hook) == []
    assert await hooks.journal.pool.fetchval("select count(*) from webhook_attempts") == 0
