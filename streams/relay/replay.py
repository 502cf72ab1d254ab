"""Setting the relay back by hand: consumers get the same event ids again and do nothing twice."""

from uuid import UUID

import msgspec
from aiokafka import TopicPartition

from db.journal import relay_cursors as cursors
from db.pool import Pool
from streams.kafka import relay_state
from streams.kafka.broker import broker_errors, producing, reading
from streams.kafka.relay_state import ReplayFloor, replay_key
from streams.kafka.topics import TASK_EVENTS
from streams.relay.topic_ends import true_ends
from streams.settings import KafkaSettings

__all__ = ["rewind"]


async def rewind(pool: Pool, kafka: KafkaSettings, incarnation: str, team_id: UUID | None, published: int) -> int:
    """Let one team's events, or everybody's, after `published` go out again; returns the number of teams.

    The broker remembers it first, so that a relay that starts meanwhile does not take what the topic holds for its own
    progress.
    Raises BrokerUnavailable, StorageUnavailable.
    """
    async with producing(kafka) as producer, reading(kafka) as consumer:
        with broker_errors():
            numbers = await producer.partitions_for(TASK_EVENTS)
            ends = await true_ends(consumer, {TopicPartition(TASK_EVENTS, number) for number in numbers})
        floor = ReplayFloor(incarnation, {place.partition: end for place, end in ends.items()})
        await relay_state.write(producer, replay_key(team_id), msgspec.json.encode(floor))
        return await cursors.rewind(pool, team_id, published)
