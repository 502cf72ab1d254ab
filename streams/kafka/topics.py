"""The topics: names, keys, headers, and how they are made. Names and headers are the contract with data teams.

| topic | key | value | order |
|---|---|---|---|
| task-events | team id as text | CloudEvent (`core.codec.cloud_event`, to the byte) | `seq` per team |
| tasks (compacted) | task id as text | the task's JSON, null once it is deleted | `version` per task |
| notifications.retry, .dlq | as the original | as the original | none: order-free effects |
| relay (ours alone) | see `relay_state.py` | what the relays remember on the broker itself | |
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code
from msgspec import Struct

from core.codec import EVENTS_MEDIA_TYPE, JournalRow

__all__ = [
    "NOTIFICATIONS_DLQ",
    "NOTIFICATIONS_RETRY",
    "RELAY_STATE",
    "RETRY_LEVELS",
    "TASKS",
    "TASK_EVENTS",
    "Headers",
    "TopicPlan",
    "create",
    "event_headers",
    "partition_counts",
    "plans",
    "task_headers",
    "team_key",
]

TASK_EVENTS: Final = "taskforge.task-events.v1"
TASKS: Final = "taskforge.tasks.v1"
NOTIFICATIONS_RETRY: Final = "taskforge.notifications.retry.v1"
NOTIFICATIONS_DLQ: Final = "taskforge.notifications.dlq.v1"
RELAY_STATE: Final = "taskforge.relay.v1"

RETRY_LEVELS: Final = 5
REPLICAS: Final = 3  # Or as many as there are brokers.
# A description of 64 KiB, before and after, can grow sixfold as JSON.
LARGEST_RECORD: Final = 2 * 1024 * 1024

Headers = list[tuple[str, bytes]]


class TopicPlan(Struct, frozen=True):
    """How a topic is made. `from_journal`: it can be emptied and written anew from Postgres at any time."""

    name: str
    partitions: int
    config: Mapping[str, str]
    from_journal: bool = False


def plans(partitions: int) -> tuple[TopicPlan, ...]:
    """Every topic of ours; `partitions` is for those that carry events."""
    forever = {"retention.ms": "-1"}
    large = {"max.message.bytes": str(LARGEST_RECORD)}
    return (
        TopicPlan(TASK_EVENTS, partitions, forever | large, from_journal=True),
        TopicPlan(TASKS, partitions, {"cleanup.policy": "compact"} | large, from_journal=True),
        # Partition n carries the n-th delay, so that due times within a partition are in order and one pause is enough.
        TopicPlan(NOTIFICATIONS_RETRY, RETRY_LEVELS, forever | large),
        TopicPlan(NOTIFICATIONS_DLQ, 1, forever | large),
        TopicPlan(RELAY_STATE, 1, forever),
    )


def team_key(team_id: UUID) -> bytes:
    """The record key of a team's events: the id as text, as in `event_id` and in the CloudEvent."""
    return str(team_id).encode()


def event_headers(row: JournalRow) -> Headers:
    """`event_id` (`<team id>:<seq>`, what consumers deduplicate by), CloudEvents attributes, and W3C `traceparent`.

    Kafka protocol binding of CloudEvents, structured mode: the content type says that the value is the whole event.
    """
    headers = [
        ("event_id", f"{row.team_id}:{row.seq}".encode()),
        ("content-type", EVENTS_MEDIA_TYPE.encode()),
        ("ce_specversion", b"1.0"),
        ("ce_type", row.type.encode()),
        ("ce_subject", str(row.subject).encode()),
    ]
    if row.traceparent:
        headers.append(("traceparent", row.traceparent.encode()))
    return headers


def task_headers(row: JournalRow) -> Headers:
    """Which event brought a task into the state that the record shows."""
    return [("event_id", f"{row.team_id}:{row.seq}".encode()), ("content-type", b"application/json")]


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
