"""Dead letters against the real broker and database: what is found, what is tried again, and what stays."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial

import anyio
import pytest

from core.codec import JournalRow, event_id
from db import dead_letters
from db.pool import Pools
from db.transaction import Writing
from streams.cloud_events import cloud_event, parse_cloud_event
from streams.consumers import retries
from streams.consumers.notifications import notifications
from streams.consumers.plan import ConsumerPlan, Handled, Permanent
from streams.consumers.retries import REPLAY
from streams.consumers.runner import ConsumerRunner
from streams.consumers.transactional import in_transaction
from streams.dead_letters.letters import Wanted
from streams.dead_letters.replaying import Judge, count, judged, replay
from streams.dead_letters.watching import Backlog, FailureWatch, Group
from streams.kafka.monitor import BrokerMonitor
from streams.kafka.topics import TASK_EVENTS, dlq_topic, event_headers, retry_topic
from streams.settings import KafkaSettings
from tests.support.consuming import consuming, producing, publish
from tests.support.journal_writer import JournalWriter
from tests.support.letters import Source, bury
from tests.support.topic_reader import read_all, read_count
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

NAME = "cook"
OF_COOK = Wanted(consumers=(NAME,))


class Kitchen:
    """An effect that fails for good until it is mended, and counts what it has done."""

    def __init__(self, pools: Pools) -> None:
        self.broken = True
        self.done: Counter[str] = Counter()
        self.rows: list[JournalRow] = []
        self.plan = ConsumerPlan(NAME, TASK_EVENTS, in_transaction(pools.worker, self._cook))

    def has(self, number: int) -> bool:
        """Whether it has handled so many events."""
        return len(self.rows) == number

    async def _cook(self, _: Writing, row: JournalRow) -> None:
        if self.broken:
            raise Permanent("the stove is cold")
        self.done[event_id(row)] += 1
        self.rows.append(row)


@pytest.fixture
def judge(pools: Pools, kafka: KafkaSettings) -> Judge:
    return Judge(pools.worker, kafka)


@pytest.fixture
async def kitchen(pools: Pools) -> Kitchen:
    return Kitchen(pools)


async def buried(
    kitchen: Kitchen, runner: ConsumerRunner, kafka: KafkaSettings, journal: JournalWriter, events: int
) -> list[JournalRow]:
    """So many events of a team that the consumer has given up."""
    rows = [one.row for one in await journal.append(await journal.team(), events)]
    async with producing(kafka) as producer:
        for row in rows:
            await publish(producer, row)
    await until(lambda: runner.statistics().dead == events)
    return rows


async def test_what_is_mended_is_tried_again_once_and_everybody_knows_who_had_it(
    judge: Judge, kitchen: Kitchen, journal: JournalWriter
) -> None:
    async with consuming(kitchen.plan, judge.kafka) as runner:
        rows = await buried(kitchen, runner, judge.kafka, journal, 3)
        assert (await count(judge, OF_COOK)).counts == {"open": 3}

        kitchen.broken = False
        outcome = await replay(judge, OF_COOK, who="ann", why="the stove is warm")
        await until(lambda: runner.statistics().applied == 3)
        assert outcome.counts == {"open": 3}

        assert (await count(judge, OF_COOK)).counts == {"replayed": 3}
        assert (await replay(judge, OF_COOK, who="ben", why="to be sure")).sent == 0
        repeated = Wanted(consumers=(NAME,), again=True)
        assert (await replay(judge, repeated, who="ben", why="to be very sure")).counts == {"applied": 3}
        await until(lambda: runner.statistics().passed == 3)
    assert kitchen.done == {event_id(row): 1 for row in rows}

    audit = await dead_letters.newest(judge.pool, 10)
    assert [(one.who, one.why, one.letters) for one in audit] == [
        ("ben", "to be very sure", 3), ("ben", "to be sure", 0), ("ann", "the stove is warm", 3)
    ]  # fmt: skip
    assert all(one.ended_at for one in audit)
    sent = await read_all(judge.kafka.bootstrap_servers, retry_topic(NAME))
    assert [dict(record.headers)["event_id"].decode() for record in sent] == 2 * [event_id(row) for row in rows]


async def test_only_what_is_asked_for_goes(judge: Judge, kitchen: Kitchen, journal: JournalWriter) -> None:
    async with consuming(kitchen.plan, judge.kafka) as runner:
        rows = await buried(kitchen, runner, judge.kafka, journal, 6)
        kitchen.broken = False
        for wanted, seqs in (
            (Wanted(consumers=(NAME,), ids=frozenset({f"{NAME}:0:4"})), {5}),
            (Wanted(consumers=(NAME,), first=1, last=2), {2, 3}),
            (Wanted(consumers=(NAME,), event=event_id(rows[5])), {6}),
            (Wanted(consumers=(NAME,), error="STOVE", team=rows[0].team_id, kind=rows[0].type, last=0), {1}),
            (Wanted(consumers=(NAME,), error="the oven"), set()),
            (Wanted(consumers=(NAME,), until=datetime.now(UTC) - timedelta(hours=1)), set()),
        ):
            before = len(kitchen.rows)
            assert (await replay(judge, wanted, who="ann", why="a test")).sent == len(seqs), wanted
            await until(partial(kitchen.has, before + len(seqs)))
            assert {row.seq for row in kitchen.rows[before:]} == seqs
    assert (await count(judge, OF_COOK)).counts == {"open": 1, "replayed": 5}


@pytest.mark.parametrize("times", [4, pytest.param(64, marks=pytest.mark.proof)])
async def test_a_letter_replayed_many_times_at_once_has_one_effect(
    judge: Judge, kitchen: Kitchen, journal: JournalWriter, times: int
) -> None:
    async with consuming(kitchen.plan, judge.kafka) as runner:
        (row,) = await buried(kitchen, runner, judge.kafka, journal, 1)
        kitchen.broken = False
        repeated, at_once = Wanted(consumers=(NAME,), again=True), anyio.CapacityLimiter(8)

        async def replay_it() -> None:
            async with at_once:
                assert (await replay(judge, repeated, who="ann", why="a test")).sent == 1

        async with anyio.create_task_group() as group:
            for _ in range(times):
                group.start_soon(replay_it)
        await until(lambda: runner.statistics().passed == times - 1)
    assert kitchen.done == {event_id(row): 1}


async def test_a_letter_that_fails_again_is_a_new_one_with_the_place_of_the_first(
    judge: Judge, kitchen: Kitchen, journal: JournalWriter
) -> None:
    async with consuming(kitchen.plan, judge.kafka) as runner:
        (row,) = await buried(kitchen, runner, judge.kafka, journal, 1)
        outcome = await replay(judge, OF_COOK, who="ann", why="too early")
        await until(lambda: runner.statistics().dead == 2)
    first, second = [one async for some in judged(judge, OF_COOK) for one in some]
    assert (first.verdict, second.verdict) == ("replayed", "open")
    assert (second.letter.topic, second.letter.source) == (first.letter.topic, first.letter.source)
    assert (second.letter.attempts, second.letter.replay) == (1, str(outcome.replay_id))
    assert second.letter.event_id == event_id(row)


async def test_what_was_redacted_since_is_not_repeated(judge: Judge, kitchen: Kitchen, journal: JournalWriter) -> None:
    """The letter still says what the journal has forgotten; what is sent is what the journal says today."""
    async with consuming(kitchen.plan, judge.kafka) as runner:
        (row,) = await buried(kitchen, runner, judge.kafka, journal, 1)
        async with journal.pool.acquire() as connection, connection.transaction():
            await connection.execute("set local session_replication_role = replica")
            await connection.execute(
                "update task_events set payload = '{}', salt = null where team_id = $1 and seq = 1", row.team_id
            )
        kitchen.broken = False
        await replay(judge, OF_COOK, who="ann", why="a test")
        await until(lambda: runner.statistics().applied == 1)
    assert (kitchen.rows[0].payload, kitchen.rows[0].redacted) == (b"{}", True)
    (sent,) = await read_count(judge.kafka.bootstrap_servers, retry_topic(NAME), 1)
    assert parse_cloud_event(sent.value or b"").payload == b"{}"
    assert dict(sent.headers)[REPLAY]


async def test_what_is_too_old_too_large_or_of_a_lost_history_stays(
    judge: Judge, journal: JournalWriter, kitchen: Kitchen
) -> None:
    now = datetime.now(UTC)
    team_id = await journal.team()
    (row,) = [one.row for one in await journal.append(team_id, 1)]
    lost = event_headers(row, "one")
    lost[0] = ("event_id", f"{team_id}:2:1".encode())
    long_ago = int((now - timedelta(days=15)).timestamp() * 1000)
    async with consuming(kitchen.plan, judge.kafka) as runner:
        buried_at = {
            "too old": Source(cloud_event(row), event_headers(row, "one"), timestamp=long_ago),
            "rewritten": Source(cloud_event(row), lost),
            "open": Source(b"\xffno event at all", [("event_id", b"99:99999999999999999999")]),
        }
        offsets = {
            verdict: await bury(judge.kafka, NAME, source, ValueError("no")) for verdict, source in buried_at.items()
        }
        old = Source(cloud_event(row), event_headers(row, "one"))
        await bury(judge.kafka, NAME, old, ValueError("no"), now - timedelta(days=14, seconds=5))
        cut = retries.cut_down(retries.after_failure(Source(b"x" * 99, []), Permanent("large"), now))
        async with producing(judge.kafka) as producer:
            await producer.send_and_wait(dlq_topic(NAME), cut.value, partition=0, headers=cut.headers)
        found = {one.letter.offset: one.verdict async for some in judged(judge, OF_COOK) for one in some}
        assert {found[offset]: verdict for verdict, offset in offsets.items()} == {name: name for name in buried_at}
        assert [*found.values()].count("too old") == 2
        assert [*found.values()].count("cut") == 1
        outcome = await replay(judge, OF_COOK, who="ann", why="a test")
        assert outcome.counts == {"too old": 2, "rewritten": 1, "open": 1, "cut": 1}
        # What is no event of ours goes as it lies there, and is given up as it was before.
        await until(lambda: runner.statistics().dead == 1)
    assert not kitchen.done


@pytest.fixture
async def watch(judge: Judge) -> AsyncIterator[FailureWatch]:
    """Looks at the consumer of notifications ten times a second."""
    monitor = BrokerMonitor(judge.kafka, ["notifications"])
    watch = FailureWatch(judge.pool, judge.kafka, monitor, [Group("notifications", TASK_EVENTS)], seconds=0.1)
    async with anyio.create_task_group() as group:
        await group.start(monitor.run)
        group.start_soon(watch.run)
        yield watch
        group.cancel_scope.cancel()


def backlog(watch: FailureWatch) -> Backlog:
    found = watch.statistics().backlogs
    return found[0] if found else Backlog("notifications", TASK_EVENTS, {}, {}, 0)


async def test_a_consumer_that_runs_nowhere_is_seen_to_fall_behind_and_to_catch_up(
    judge: Judge, pools: Pools, journal: JournalWriter, watch: FailureWatch
) -> None:
    team_id = await journal.team()
    await until(lambda: len(backlog(watch).lag) == judge.kafka.partitions)
    assert sum(backlog(watch).lag.values()) == 0
    async with producing(judge.kafka) as producer:
        for one in await journal.append(team_id, 5):
            await publish(producer, one.row)
    await until(lambda: sum(backlog(watch).lag.values()) == 5)
    assert sorted(backlog(watch).lag.values()) == [0] * (judge.kafka.partitions - 1) + [5]
    async with consuming(notifications(pools.worker), judge.kafka):
        await until(lambda: sum(backlog(watch).lag.values()) == 0)


async def test_retries_and_dead_letters_are_counted_until_somebody_has_them_tried_again(
    judge: Judge, journal: JournalWriter, watch: FailureWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "DELAYS", (600.0,) * 5)
    (row,) = [one.row for one in await journal.append(await journal.team(), 1)]

    async def fails(_: str, __: JournalRow) -> Handled:
        raise ZeroDivisionError

    began = datetime.now(UTC)
    async with consuming(ConsumerPlan("notifications", TASK_EVENTS, fails), judge.kafka):
        async with producing(judge.kafka) as producer:
            await publish(producer, row)
        await until(lambda: backlog(watch).retries.get(0) == 1)
        await until(lambda: backlog(watch).oldest_retry)
        assert began - timedelta(seconds=5) < (backlog(watch).oldest_retry or began) < datetime.now(UTC)
    for offset in range(3):
        source = Source(cloud_event(row), event_headers(row, "one"))
        assert await bury(judge.kafka, "notifications", source, ValueError("no")) == offset
    await until(lambda: backlog(watch).dead == 3)
    await until(lambda: backlog(watch).oldest_dead)
    oldest = backlog(watch).oldest_dead
    assert oldest
    assert began < oldest + timedelta(seconds=1)
    await replay(judge, Wanted(consumers=("notifications",), last=0), who="ann", why="a test")
    await until(lambda: backlog(watch).dead == 2)
    await until(lambda: (backlog(watch).oldest_dead or oldest) > oldest)
    await replay(judge, Wanted(consumers=("notifications",)), who="ann", why="a test")
    await until(lambda: (backlog(watch).dead, backlog(watch).oldest_dead) == (0, None))
