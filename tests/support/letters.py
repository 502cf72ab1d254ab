"""Dead letters for tests: put where a consumer leaves them, with whatever headers somebody wishes."""

from datetime import UTC, datetime
from typing import Any

from streams.consumers.plan import Permanent
from streams.consumers.retries import after_failure
from streams.kafka.topics import TASK_EVENTS, Headers, dlq_topic
from streams.settings import KafkaSettings
from tests.support.consuming import producing

__all__ = ["Source", "bury"]


class Source:
    """A record as a consumer has read it."""

    topic, partition, offset = TASK_EVENTS, 0, 0

    def __init__(self, value: bytes | None, headers: Headers, *, key: bytes | None = None, **fields: Any) -> None:
        self.value, self.headers, self.key = value, headers, key
        self.timestamp = int(datetime.now(UTC).timestamp() * 1000)
        vars(self).update(fields)


async def bury(
    kafka: KafkaSettings, consumer: str, source: Source, error: Exception, now: datetime | None = None
) -> int:
    """Leave it where the consumer leaves what it gives up at the time `now`; the offset of the letter."""
    cause = Permanent(str(error))
    cause.__cause__ = error
    dead = after_failure(source, cause, now or datetime.now(UTC))
    async with producing(kafka, largest=8 * 1024 * 1024) as producer:
        sent = await producer.send_and_wait(
            dlq_topic(consumer), dead.value, key=dead.key, partition=0, headers=dead.headers
        )
    offset: int = sent.offset
    return offset
