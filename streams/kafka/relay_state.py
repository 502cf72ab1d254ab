"""What the relays remember on the broker itself, so that the memory is lost together with the topics.

Records of the topic `taskforge.relay.v1`, the last one per key counts:

- `broker` → the incarnation: a random name given to the broker by the relay that found it without state. Several may
  find it so at once: each says in the header `after` which name it has read, and a name whose turn has passed is none.
- `range:<n>` → the incarnation into which this range of teams is being relayed. Any other value, or none, means that
  the range's cursors speak of a broker that is no more: they go back to zero and everything is published again.
- `replay:<team id>` or `replay:*` → where the partitions of `task-events` ended when a replay was asked for, so that a
  relay looking at the topic's tail does not mistake what was there before for what it has published itself.
"""

from collections.abc import Iterable, Mapping
from typing import Final
from uuid import UUID

import anyio
import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from msgspec import Struct

from streams.kafka.broker import broker_errors
from streams.kafka.topics import RELAY_STATE

__all__ = ["BROKER", "RelayState", "ReplayFloor", "floors_of", "range_key", "read", "replay_key", "write"]

BROKER: Final = "broker"
AFTER: Final = "after"
PARTITION: Final = TopicPartition(RELAY_STATE, 0)
READ_SECONDS: Final = 5.0

RelayState = Mapping[str, bytes]


class ReplayFloor(Struct):
    """End offsets of `task-events` by partition when a replay was asked for, on that incarnation of the broker."""

    incarnation: str
    floors: dict[int, int]


_floor = msgspec.json.Decoder(ReplayFloor).decode


def range_key(number: int) -> str:
    """The key of what is remembered of a range."""
    return f"range:{number}"


def replay_key(team_id: UUID | None) -> str:
    """The key of what is remembered of a replay; None stands for all teams."""
    return f"replay:{'*' if team_id is None else team_id}"


def floors_of(state: RelayState, incarnation: str, team_id: UUID) -> dict[int, int]:
    """By partition the offset below which records of the team tell nothing about the relay's own progress."""
    floors: dict[int, int] = {}
    for key in (replay_key(None), replay_key(team_id)):
        if (record := state.get(key)) is not None and (replay := _floor(record)).incarnation == incarnation:
            floors = {n: max(floors.get(n, 0), replay.floors.get(n, 0)) for n in {*floors, *replay.floors}}
    return floors


async def read(consumer: AIOKafkaConsumer) -> dict[str, bytes]:
    """All of it. `consumer` is kept for this alone and stays paused in between. Raises `BrokerUnavailable`."""
    state: dict[str, bytes] = {}
    with broker_errors(), anyio.fail_after(READ_SECONDS):
        if not consumer.assignment():
            consumer.assign([PARTITION])
        end = (await consumer.end_offsets([PARTITION]))[PARTITION]
        consumer.seek(PARTITION, 0)
        consumer.resume(PARTITION)
        while await consumer.position(PARTITION) < end:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                _take(state, records)
        consumer.pause(PARTITION)
    return state


def _take(state: dict[str, bytes], records: Iterable[ConsumerRecord]) -> None:
    """The log's order decides between those who wrote at once: all readers agree on the first of them."""
    for record in records:
        key, after = record.key.decode(), dict(record.headers).get(AFTER)
        if after is None or after == state.get(key, b""):
            state[key] = record.value


async def write(producer: AIOKafkaProducer, key: str, value: bytes, *, after: bytes | None = None) -> None:
    """Remember a value and wait for its acknowledgement. Raises `BrokerUnavailable`.

    With `after` it counts only where that is still the value before it (`b""`: none); `read` tells who was first.
    """
    headers = [] if after is None else [(AFTER, after)]
    with broker_errors():
        await producer.send_and_wait(RELAY_STATE, value, key=key.encode(), partition=0, headers=headers)
