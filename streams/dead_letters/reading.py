"""The dead letters of some consumers, from the broker."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

import anyio

from streams.dead_letters.letters import DeadLetter, Wanted, letter_of
from streams.kafka import relay_state
from streams.kafka.broker import administrating, broker_errors, reading
from streams.kafka.relay_state import BROKER
from streams.kafka.topics import RELAY_STATE, dlq_topic, partition_counts
from streams.relay.topic_ends import read_topic
from streams.settings import KafkaSettings

__all__ = ["incarnation_of", "letters"]

ANSWER_SECONDS: Final = 5.0


async def incarnation_of(kafka: KafkaSettings) -> str:
    """The broker's present life, which offsets belong to; empty before a worker has named it. Makes no topic.

    Raises BrokerUnavailable.
    """
    async with administrating(kafka) as admin:
        with broker_errors(), anyio.fail_after(ANSWER_SECONDS):
            known = await partition_counts(admin)
    if RELAY_STATE not in known:
        return ""
    async with reading(kafka) as consumer:
        return (await relay_state.read(consumer)).get(BROKER, b"").decode()


async def letters(kafka: KafkaSettings, wanted: Wanted) -> AsyncGenerator[Sequence[DeadLetter]]:
    """Those that are wanted, replayed or not, consumer by consumer and oldest first, in slices as they are read.

    Raises BrokerUnavailable.
    """
    async with administrating(kafka) as admin:
        with broker_errors(), anyio.fail_after(ANSWER_SECONDS):
            counts = await partition_counts(admin)
    for consumer in wanted.consumers:
        topic = dlq_topic(consumer)
        async with aclosing(read_topic(kafka, topic, range(counts.get(topic, 0)))) as slices:
            async for records in slices:
                found = (letter_of(consumer, record) for record in records)
                if chosen := [letter for letter in found if wanted.takes(letter)]:
                    yield chosen
