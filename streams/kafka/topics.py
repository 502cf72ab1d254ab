"""The topics: names, keys, headers, and how they are made. Names and headers are the contract with data teams.

| topic | key | value | order |
|---|---|---|---|
| task-events | team id as text | CloudEvent (`streams/cloud_events.py`, to the byte) | `seq` per team |
| tasks (compacted) | task id as text | the task's JSON, null once it is deleted | `version` per task |
| checkpoints (compacted) | team id as text | `core.checkpoints.Checkpoint` | (`epoch`, `seq`) per team |
| <consumer>.retry, .dlq | as the original | as the original | none |
| mail, jobs, ai-usage | subject as text | `db.outbox`: the row's id, a purpose, a subject | per subject |
| relay (ours alone) | see `relay_state.py` | what the relays remember on the broker itself | |
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code
from msgspec import Struct

from core.codec import JournalRow, event_id
from db import outbox
from streams.cloud_events import MEDIA_TYPE
from streams.settings import KafkaSettings

__all__ = [
    "CHECKPOINTS",
    "FAILED_DAYS",
    "INCARNATION",
    "RELAY_STATE",
    "RETRY_LEVELS",
    "TASKS",
    "TASK_EVENTS",
    "Headers",
    "TopicPlan",
    "checkpoint_headers",
    "create",
    "dlq_topic",
    "event_headers",
    "partition_counts",
    "plans",
    "retry_topic",
    "task_headers",
    "team_key",
]

TASK_EVENTS: Final = "taskforge.task-events.v1"
TASKS: Final = "taskforge.tasks.v1"
CHECKPOINTS: Final = "taskforge.checkpoints.v1"
RELAY_STATE: Final = "taskforge.relay.v1"

INCARNATION: Final = "tf-incarnation"
"""The header with the name of the broker's life: a reader that meets a new one begins the topic anew."""

RETRY_LEVELS: Final = 5
FAILED_DAYS: Final = 14
"""Older events have no effect outside any more, so that nobody needs their failures for longer."""
HOUR_MS: Final = 3_600_000
# A description of 64 KiB, before and after, can grow sixfold as JSON.
LARGEST_RECORD: Final = 2 * 1024 * 1024
# A record that failed says so in headers of ours: what its topic took must not be too large for the next one.
LARGEST_FAILED: Final = LARGEST_RECORD + 64 * 1024

Headers = list[tuple[str, bytes]]


class TopicPlan(Struct, frozen=True):
    """How a topic is made. `from_journal`: it can be emptied and written anew from Postgres at any time, and is when it
    is lost. `beside_journal`: it says something of those, so that it goes with them."""

    name: str
    partitions: int
    config: Mapping[str, str]
    from_journal: bool = False
    beside_journal: bool = False

    @property
    def of_journal(self) -> bool:
        """Whether nothing is lost with it that the journal does not have."""
        return self.from_journal or self.beside_journal


def retry_topic(consumer: str) -> str:
    """Where the records wait that a consumer tries again."""
    return f"taskforge.{consumer}.retry.v1"


def dlq_topic(consumer: str) -> str:
    """Where the records lie that a consumer has given up."""
    return f"taskforge.{consumer}.dlq.v1"


def plans(settings: KafkaSettings, consumers: Iterable[str] = ()) -> tuple[TopicPlan, ...]:
    """Every topic of ours, with those of the named consumers."""
    large = {"max.message.bytes": str(LARGEST_RECORD)}
    failed = {"max.message.bytes": str(LARGEST_FAILED)}
    events, work, compacted = _kept(24 * settings.event_days), _kept(24 * settings.work_days), _compacted(settings)
    return (
        TopicPlan(TASK_EVENTS, settings.partitions, events | large, from_journal=True),
        TopicPlan(TASKS, settings.partitions, compacted | large, from_journal=True),
        TopicPlan(CHECKPOINTS, settings.partitions, compacted, beside_journal=True),
        *(TopicPlan(name, settings.partitions, work) for name in outbox.TOPICS),
        TopicPlan(RELAY_STATE, 1, {"retention.ms": "-1"}),
        *(plan for consumer in consumers for plan in _failure_topics(consumer, work | failed)),
    )


def _kept(hours: float) -> dict[str, str]:
    """Brokers drop whole segments, and never the one that is written to: without short ones records outlive their time
    by a week."""
    retention = round(hours * HOUR_MS)
    return {"retention.ms": str(retention), "segment.ms": str(max(HOUR_MS, min(24 * HOUR_MS, retention // 7)))}


def _compacted(settings: KafkaSettings) -> dict[str, str]:
    return {
        "cleanup.policy": "compact",
        "max.compaction.lag.ms": str(round(settings.compaction_hours * HOUR_MS)),
        "delete.retention.ms": str(round(settings.tombstone_hours * HOUR_MS)),
    }


def _failure_topics(consumer: str, config: Mapping[str, str]) -> Iterable[TopicPlan]:
    # Partition n carries the n-th delay, so that due times within a partition are in order and one pause is enough.
    yield TopicPlan(retry_topic(consumer), RETRY_LEVELS, config)
    yield TopicPlan(dlq_topic(consumer), 1, config)


def team_key(team_id: UUID) -> bytes:
    """The record key of a team's events: the id as text, as in `event_id` and in the CloudEvent."""
    return str(team_id).encode()


def event_headers(row: JournalRow, incarnation: str) -> Headers:
    """`event_id` (what consumers deduplicate by), the life of the broker (`tf-incarnation`), and W3C `traceparent`.

    Kafka protocol binding of CloudEvents, structured mode: the content type says that the value is the whole event. A
    header of the binary mode (`ce_…`) beside it would make libraries that detect the mode take the value for the data.
    """
    headers = [
        ("event_id", event_id(row).encode()),
        ("content-type", MEDIA_TYPE.encode()),
        (INCARNATION, incarnation.encode()),
    ]
    if row.traceparent:
        headers.append(("traceparent", row.traceparent.encode()))
    return headers


def task_headers(row: JournalRow, incarnation: str) -> Headers:
    """Which event brought a task into the state that the record shows, and in which life of the broker it says so."""
    return [
        ("event_id", event_id(row).encode()),
        ("content-type", b"application/json"),
        (INCARNATION, incarnation.encode()),
    ]


def checkpoint_headers(event: str, incarnation: str) -> Headers:
    """The id of the last event that a checkpoint counts, and the life of the broker that has all of them."""
    return [
        ("event_id", event.encode()),
        ("content-type", b"application/json"),
        (INCARNATION, incarnation.encode()),
    ]


async def partition_counts(admin: AIOKafkaAdminClient) -> dict[str, int]:
    """Every topic of the broker with its number of partitions.

    Asks for all topics and never for one by name: a broker that creates topics by itself would do so at the question.
    """
    topics: list[dict[str, Any]] = await admin.describe_topics(None)
    return {topic["topic"]: len(topic["partitions"]) for topic in topics}


async def create(admin: AIOKafkaAdminClient, wanted: Sequence[TopicPlan], most_replicas: int) -> None:
    """Make the topics that are not there yet. Raises KafkaError when the broker refuses one."""
    if not wanted:
        return
    replicas = min(most_replicas, len((await admin.describe_cluster())["brokers"]))
    made = [NewTopic(plan.name, plan.partitions, replicas, topic_configs=dict(plan.config)) for plan in wanted]
    answer = await admin.create_topics(made)
    for name, code, *_ in answer.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise KafkaError(f"topic {name} cannot be created: {error.__name__}")
