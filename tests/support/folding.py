"""What a data team would write: read the topic with a plain Kafka client, check the numbers, fold the events.

Nothing in here knows our code: JSON, aiokafka and the contract's words are all it uses.
"""

import json
from collections import defaultdict
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

TOPIC = "taskforge.task-events.v1"
Events = list[dict[str, Any]]


async def read_topic(bootstrap: str, wanted: dict[str, int]) -> dict[str, Events]:
    """The teams' events in the order of the topic, until every wanted team has reached its `seq`."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False, group_id=None
    )
    await consumer.start()
    try:
        partitions = consumer.partitions_for_topic(TOPIC) or set()
        while not partitions:
            await consumer._client.force_metadata_update()
            partitions = consumer.partitions_for_topic(TOPIC) or set()
        consumer.assign([TopicPartition(TOPIC, partition) for partition in partitions])
        await consumer.seek_to_beginning()
        events: dict[str, Events] = defaultdict(list)
        while any(last_seq(events[team]) < seq for team, seq in wanted.items()):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    event = json.loads(record.value)
                    assert record.key.decode() == event["teamid"]
                    events[event["teamid"]].append(event)
        return events
    finally:
        await consumer.stop()


def last_seq(events: Events) -> int:
    return max((event["seq"] for event in events), default=0)


def fold(events: Events) -> dict[str, list[dict[str, Any]]]:
    """The board that the events add up to: the columns' tasks from top to bottom."""
    tasks: dict[str, dict[str, Any]] = {}
    for event in events:
        kind, data = event["type"], event["data"]
        if not kind.startswith("task."):
            continue
        task = data["task"]
        for neighbour, rank in data.get("ranks", {}).items():
            tasks[neighbour] = tasks[neighbour] | {"rank": rank, "version": event["seq"]}
        if kind in {"task.archived", "task.deleted"}:
            tasks.pop(task["id"], None)
        else:
            tasks[task["id"]] = task
    columns: dict[str, list[dict[str, Any]]] = {
        status: [] for status in ("open", "in_progress", "in_review", "done", "cancelled")
    }
    for task in sorted(tasks.values(), key=lambda task: (task["rank"], task["id"])):
        columns[task["status"]].append(task)
    return columns


def columns_of(board: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The same shape from `GET …/board`."""
    return {column["status"]: column["tasks"] for column in board["columns"]}
