"""Every team's board, built and kept from the topic alone: `python board_from_topic.py localhost:9092`.

What a consumer of ours must know beyond Kafka is in `docs/data-teams.md`; `Boards.take` is all of it in code.
"""

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import KafkaError

TOPIC = "taskforge.task-events.v1"
SILENT_MS = 1_000
Event = dict[str, Any]


class StartOver(Exception):
    """What was read so far does not add up: read the partition from its beginning again."""


@dataclass
class Team:
    """What the events of a team add up to. `at` is (epoch, seq) of the last one."""

    at: tuple[int, int] = (1, 0)
    tasks: dict[str, Event] = field(default_factory=dict)

    def apply(self, event: Event) -> None:
        self.at = (event["epoch"], event["seq"])
        data, task_id = event["data"], event["subject"]
        if event["type"] == "team.deleted":
            self.tasks.clear()
        if "task" not in data:
            return  # It says nothing of a task; what is said about one (a comment, a file) carries it.
        for neighbour, rank in data.get("ranks", {}).items():
            self.tasks[neighbour] = self.tasks[neighbour] | {"rank": rank, "version": event["seq"]}
        if event["type"] in {"task.archived", "task.deleted"}:
            self.tasks.pop(task_id, None)
        else:
            self.tasks[task_id] = data["task"]


class Boards:
    """All teams. Give `take` every record in the order of its partition."""

    def __init__(self) -> None:
        self.teams: dict[str, Team] = {}
        self._incarnation = ""
        self._epochs: dict[str, dict[int, int]] = {}
        """By team: each epoch after the first, and the seq it begins with."""
        self.lacking: dict[str, int] = {}
        """Teams with a hole, and the first seq after it. The partition is read again for it once; what the topic still
        lacks then may come with a refill, or was forgotten by retention: then the API has the board to start from.
        """

    def take(self, event: Event, headers: Mapping[str, bytes]) -> None:
        """Raises StartOver when the partitions must be read again."""
        incarnation = headers["tf-incarnation"].decode()
        if incarnation != self._incarnation:
            # Another life of the broker: offsets begin anew, and so do we.
            known, self._incarnation = bool(self._incarnation), incarnation
            self.teams.clear()
            if known:
                raise StartOver
        team_id, epoch, seq = event["teamid"], event["epoch"], event["seq"]
        epochs = self._epochs.setdefault(team_id, {})
        if event["type"] == "team.restored" and epoch not in epochs:
            # A restore took events back. Without them the board is another one.
            epochs[epoch] = event["data"]["from_seq"]
            self.teams.pop(team_id, None)
            raise StartOver
        if any(epoch < later and seq >= first for later, first in epochs.items()):
            return  # It has not happened.
        team = self.teams.setdefault(team_id, Team())
        if (epoch, seq) <= team.at:
            return  # Delivered again.
        if seq != team.at[1] + 1:
            if team_id in self.lacking:
                return
            self.lacking[team_id] = seq
            self.teams.pop(team_id)
            raise StartOver
        team.apply(event)
        if seq >= self.lacking.get(team_id, seq + 1):
            del self.lacking[team_id]

    def board(self, team_id: str) -> dict[str, list[Event]]:
        """The team's tasks by status, from top to bottom."""
        columns: dict[str, list[Event]] = {}
        tasks = self.teams[team_id].tasks.values() if team_id in self.teams else ()
        for task in sorted(tasks, key=lambda task: (task["rank"], task["id"])):
            columns.setdefault(task["status"], []).append(task)
        return columns


async def follow(bootstrap: str, boards: Boards) -> None:
    """Keep the boards up to date until cancelled."""
    consumer = AIOKafkaConsumer(
        TOPIC,
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        metadata_max_age_ms=5_000,
    )
    await consumer.start()
    try:
        while True:
            found = await consumer.getmany(timeout_ms=SILENT_MS)
            for records in found.values():
                if not await take_all(consumer, boards, records):
                    break
            if not found:
                await look_at_the_ends(consumer)
    finally:
        await consumer.stop()


async def take_all(consumer: AIOKafkaConsumer, boards: Boards, records: list[ConsumerRecord]) -> bool:
    """Whether they were taken; if not, everything is read from the beginning, and teams skip what they have."""
    try:
        for record in records:
            boards.take(json.loads(record.value), dict(record.headers))
    except StartOver:
        await consumer.seek_to_beginning(*consumer.assignment())
        return False
    return True


async def look_at_the_ends(consumer: AIOKafkaConsumer) -> None:
    """A topic that was written anew may be shorter than what we have read, and then says nothing: look at its end."""
    try:
        ends = await consumer.end_offsets(consumer.assignment())
    except KafkaError:
        return
    for place, end in ends.items():
        if end < await consumer.position(place):
            consumer.seek(place, max(0, end - 1))


async def main(bootstrap: str) -> None:
    boards = Boards()
    following = asyncio.create_task(follow(bootstrap, boards))
    try:
        while not following.done():
            await asyncio.sleep(2)
            for team_id, team in boards.teams.items():
                print(f"{team_id} at {team.at[0]}:{team.at[1]}: {len(team.tasks)} tasks on the board")
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
