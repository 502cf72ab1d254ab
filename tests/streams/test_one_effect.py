"""Every consumer's records come 64 times, and each cause has one effect: a row, a mail, a PDF, a chain of attempts.

A worker like those of the command has relay and consumers; what its relay has published is sent again by hand.
"""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import pytest
from aiokafka import ConsumerRecord

from db.outbox import JOBS, MAIL
from streams.kafka.topics import TASK_EVENTS
from streams.settings import KafkaSettings
from taskforge.parts import work
from taskforge.parts.process import Process
from taskforge.parts.work import CONSUMERS
from taskforge.settings import Settings
from tests.support.consuming import producing
from tests.support.effect_stage import Stage, staging
from tests.support.effects import EFFECTS, Planted, frequent, once_each
from tests.support.proofs import share
from tests.support.topic_reader import read_all
from tests.support.waiting import until, until_answered
from tests.support.working import consumer_of, working

pytestmark = pytest.mark.anyio

COPIES = 64
CAUSES = 2
"""Of each kind where all consumers are looked at at once."""


@pytest.fixture
async def stage(
    settings: Settings, superuser: "asyncpg.Connection[Any]", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stage]:
    monkeypatch.setattr(work, "CONSUMERS", frequent())
    async with staging(settings, superuser, tmp_path) as opened:
        yield opened


def test_every_consumer_of_a_worker_has_its_effect_looked_at() -> None:
    assert EFFECTS.keys() == CONSUMERS.keys()


async def published(kafka: KafkaSettings) -> Sequence[ConsumerRecord]:
    """All that consumers are to hear of."""
    return [record for topic in (TASK_EVENTS, JOBS, MAIL) for record in await read_all(kafka.bootstrap_servers, topic)]


async def repeat(kafka: KafkaSettings, records: Sequence[ConsumerRecord]) -> None:
    """Send these so often that each has come 64 times, in no order."""
    many = [record for record in records for _ in range(COPIES - 1)]
    Random(COPIES).shuffle(many)
    async with producing(kafka) as producer:
        for record in many:
            await producer.send(record.topic, record.value, key=record.key, headers=list(record.headers))
        await producer.flush()


def done_with(worker: Process, name: str) -> int:
    """Records that the consumer has handled; it failed at none of them."""
    statistics = consumer_of(worker, name)
    assert (statistics.dead, statistics.retried) == (0, 0), f"{name}: {statistics}"
    return statistics.applied + statistics.passed + statistics.expired


async def play(stage: Stage, planted: Mapping[str, Planted], seconds: float) -> None:
    """Have these caused and repeated, and see that each has come to one effect."""
    kafka = stage.settings.kafka
    async with working(stage.settings, "relay", *planted) as worker:
        for one in planted.values():
            await until_answered(one.complete, seconds)
        records = await published(kafka)
        of_topic = Counter(record.topic for record in records)
        wanted = {name: COPIES * of_topic[EFFECTS[name].topic] for name in planted}
        assert all(wanted.values()), wanted
        await repeat(kafka, records)
        await until(lambda: all(done_with(worker, name) >= number for name, number in wanted.items()), seconds)
    for one in planted.values():
        once_each(one, await one.seen())


async def test_what_comes_64_times_is_one_effect_of_each_consumer_beside_all_the_others(stage: Stage) -> None:
    planted = {name: await effect.plant(stage, CAUSES) for name, effect in EFFECTS.items()}
    await play(stage, planted, 120)


@pytest.mark.proof
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", EFFECTS)
async def test_a_thousand_that_come_64_times_are_a_thousand_effects(stage: Stage, name: str) -> None:
    effect = EFFECTS[name]
    await play(stage, {name: await effect.plant(stage, share(effect.most))}, 1500)
