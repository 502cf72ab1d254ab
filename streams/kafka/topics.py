"""The topics: names, keys, headers, and how they are made. Names and headers are the contract with data teams.

| topic | key | value | order |
|---|---|---|---|
| task-events | team id as text | CloudEvent (`streams/cloud_events.py`, to the byte) | `seq` per team |
| tasks (compacted) | task id as text | the task's JSON, null once it is deleted | `version` per task |
| <consumer>.retry, .dlq | as the original | as the original | none; kept for 14 days |
| mail, jobs, ai-usage | subject as text | `db.outbox`: the row's id, a purpose, a subject | per subject; for 14 days |
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

__all__ = [
    "FAILED_DAYS",
    "INCARNATION",
    "RELAY_STATE",
    "RETRY_LEVELS",
    "TASKS",
    "TASK_EVENTS",
    "Headers",
    "TopicPlan",
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
RELAY_STATE: Final = "taskforge.relay.v1"

INCARNATION: Final = "tf-incarnation"
"""The header with the name of the broker's life: a reader that meets a new one begins the topic anew."""

RETRY_LEVELS: Final = 5
FAILED_DAYS: Final = 14
"""How long records of the retry and dead-letter topics are kept."""
REPLICAS: Final = 3  # Or as many as there are brokers.
DAY_MS: Final = 86_400_000
# As long as an effect outside may still be due for what is in there: older mails and jobs are not run any more.
OUTBOX_DAYS: Final = 14
# A description of 64 KiB, before and after, can grow sixfold as JSON.
LARGEST_RECORD: Final = 2 * 1024 * 1024

Headers = list[tuple[str, bytes]]


class TopicPlan(Struct, frozen=True):
    """How a topic is made. `from_journal`: it can be emptied and written anew from Postgres at any time."""

    name: str
    partitions: int
    config: Mapping[str, str]
    from_journal: bool = False


def retry_topic(consumer: str) -> str:
    """Where the records wait that a consumer tries again."""
    return f"taskforge.{consumer}.retry.v1"


def dlq_topic(consumer: str) -> str:
    """Where the records lie that a consumer has given up."""
    return f"taskforge.{consumer}.dlq.v1"


def plans(partitions: int, consumers: Iterable[str] = ()) -> tuple[TopicPlan, ...]:
    """Every topic of ours, with those of the named consumers; `partitions` is for the topics that carry events."""
    forever, large = {"retention.ms": "-1"}, {"max.message.bytes": str(LARGEST_RECORD)}
    return (
        TopicPlan(TASK_EVENTS, partitions, forever | large, from_journal=True),
        TopicPlan(TASKS, partitions, {"cleanup.policy": "compact"} | large, from_journal=True),
        *(TopicPlan(name, partitions, {"retention.ms": str(OUTBOX_DAYS * DAY_MS)}) for name in outbox.TOPICS),
        TopicPlan(RELAY_STATE, 1, forever),
        *(plan for consumer in consumers for plan in _failure_topics(consumer, large)),
    )


def _failure_topics(consumer: str, config: Mapping[str, str]) -> Iterable[TopicPlan]:
    kept = {"retention.ms": str(FAILED_DAYS * DAY_MS), **config}
    # Partition n carries the n-th delay, so that due times within a partition are in order and one pause is enough.
    yield TopicPlan(retry_topic(consumer), RETRY_LEVELS, kept)
    yield TopicPlan(dlq_topic(consumer), 1, kept)


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


async def partition_counts(admin: AIOKafkaAdminClient) -> dict[str, int]:
    """Every topic of the broker with its number of partitions.

    Asks for all topics and never for one by name: a broker that creates topics by itself would do so at the question.
    """
    topics: list[dict[str, Any]] = await admin.describe_topics(None)
    return {topic["topic"]: len(topic["partitions"]) for topic in topics}


async def create(admin: AIOKafkaAdminClient, wanted: Sequence[TopicPlan]) -> None:
    """Make the topics that are not there yet. Raises KafkaError when the broker refuses one."""
    if not wanted:
        return
    replicas = min(REPLICAS, len((await admin.describe_cluster())["brokers"]))
    made = [NewTopic(plan.name, plan.partitions, replicas, topic_configs=dict(plan.config)) for plan in wanted]
    answer = await admin.create_topics(made)
    for name, code, *_ in answer.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise KafkaError(f"topic {name} cannot be created: {error.__name__}")
