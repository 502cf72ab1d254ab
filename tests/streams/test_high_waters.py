"""Where partitions end by the broker's answers, and that no answer is not taken for one."""

from collections.abc import Mapping, Sequence
from typing import Any

import anyio.lowlevel
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic

from streams.dead_letters.high_waters import ASK_AGAIN, HighWaters
from streams.kafka.broker import administrating, producing, reading
from streams.settings import KafkaSettings
from tests.support.apache_kafka import APACHE

pytestmark = pytest.mark.anyio

TOPIC = "measured"
PLACE = TopicPartition(TOPIC, 0)
LISTED = {PLACE: 1}


async def send(producer: AIOKafkaProducer, number: int) -> None:
    """So many records in one batch."""
    batch = producer.create_batch()
    for _ in range(number):
        batch.append(key=None, value=b"one", timestamp=None)
    batch.close()
    await (await producer.send_batch(batch, TOPIC, partition=0))


@pytest.mark.parametrize("listed", [0, 6, 15, 1_000])
async def test_a_partition_ends_behind_its_last_batch_wherever_somebody_asks(kafka: KafkaSettings, listed: int) -> None:
    async with administrating(kafka) as admin, producing(kafka) as producer, reading(kafka) as reader:
        await admin.create_topics([NewTopic(TOPIC, 1, 1)])
        for number in (1, 4, 10):
            await send(producer, number)
        assert await HighWaters().ask(reader, {PLACE: listed}) == {PLACE: 15}


@pytest.mark.skipif(APACHE, reason="Apache Kafka takes no record for a topic that does not exist")
async def test_records_taken_for_a_topic_that_was_none_are_not_there(kafka: KafkaSettings) -> None:
    async with administrating(kafka) as admin, producing(kafka) as producer, reading(kafka) as reader:
        await admin.create_topics([NewTopic(TOPIC, 1, 1)])
        await send(producer, 1)
        await admin.delete_topics([TOPIC])
        await send(producer, 1)
        await admin.create_topics([NewTopic(TOPIC, 1, 1)])
        assert await reader.end_offsets([PLACE]) == {PLACE: 1}
        assert await HighWaters().ask(reader, LISTED) == {PLACE: 0}


class Slow:
    """As much of a reader as is needed; it has no answer before so many fetches."""

    def __init__(self, fetches: float) -> None:
        self.left, self.questions = fetches, 0

    def assign(self, _: Sequence[TopicPartition]) -> None:
        self.questions += 1

    def seek(self, *_: object) -> None: ...

    def pause(self, *_: TopicPartition) -> None: ...

    async def getmany(self, **_: int) -> Mapping[TopicPartition, Sequence[bytes]]:
        await anyio.lowlevel.checkpoint()
        self.left -= 1
        return {}

    def highwater(self, _: TopicPartition) -> int | None:
        return 0 if self.left <= 0 else None


async def test_a_partition_that_is_slow_to_answer_is_not_taken_for_an_empty_one() -> None:
    for_ever: Any = Slow(float("inf"))
    assert await HighWaters(patience=0.02).ask(for_ever, LISTED) == {}
    a_while: Any = Slow(10)
    assert await HighWaters().ask(a_while, LISTED) == {PLACE: 0}


async def test_an_answer_counts_until_another_end_is_listed_or_the_question_comes_up_again() -> None:
    high_waters, reader = HighWaters(), Slow(0)
    asked: Any = reader
    for _ in range(3):
        assert await high_waters.ask(asked, LISTED) == {PLACE: 0}
    assert reader.questions == 1
    assert await high_waters.ask(asked, {PLACE: 2}) == {PLACE: 0}
    assert reader.questions == 2
    assert await high_waters.ask(asked, {}) == {}
    for _ in range(ASK_AGAIN):
        await high_waters.ask(asked, LISTED)
    assert reader.questions == 4, "once for the partition that was forgotten, once because time has passed"
