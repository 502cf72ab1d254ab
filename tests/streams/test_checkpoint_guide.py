"""The guide's own lines, run as they stand there over the bytes of a topic: a stranger needs nothing else."""

import json
import re
from typing import Any

import pytest
from msgspec import structs

from core.events import AnyEvent
from db.pool import Pools
from streams.cloud_events import cloud_event
from streams.kafka.topics import CHECKPOINTS
from streams.settings import KafkaSettings
from tests.core.test_checkpoints import a_history
from tests.streams.test_checkpoints import checkpoint_at, publishing
from tests.support.checkpoints import by_pages, forgotten
from tests.support.core_team import every_event
from tests.support.journal_writer import JournalWriter, a_task, created, deleted, updated
from tests.support.source import ROOT
from tests.support.topic_reader import EVENTS, read_all


def a_copy() -> Any:
    """As the guide makes one."""
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "data-teams.md").read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(block, names)
    return names["Copy"]()


def test_what_the_guide_says_agrees_after_every_event_of_every_type() -> None:
    rows = [encoded.row for encoded in every_event(ended=True).journal]
    copy = a_copy()
    for count, row in enumerate(rows, 1):
        copy.take(cloud_event(row))
        if count % 10 == 0 or count == len(rows):
            assert copy.agrees(structs.asdict(by_pages(rows[:count], 7)))


def test_what_the_guide_says_agrees_over_redacted_events() -> None:
    rows, subjects = a_history()
    copy = a_copy()
    for row in forgotten(rows, subjects):
        copy.take(cloud_event(row))
    assert copy.agrees(structs.asdict(by_pages(rows, 7)))


@pytest.mark.anyio
async def test_what_the_guide_says_agrees_with_the_topics_and_finds_what_is_spoiled(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings
) -> None:
    team = await journal.team()
    tasks = [a_task(team, number, estimate=float(number)) for number in range(1, 6)]
    events: list[AnyEvent] = [created(task, seq) for seq, task in enumerate(tasks, 1)]
    events.append(updated(structs.replace(tasks[1], title="Ünïcode \u2028 \U0001f6a2"), 6, title="Task 2"))
    events.append(updated(structs.replace(tasks[2], rank="b"), 7, ranks={tasks[0].id: "c"}, rank="a0"))
    events.append(deleted(tasks[4], 8))
    await journal.commit(events)
    async with publishing(pools, structs.replace(kafka, checkpoint_events=1)):
        await checkpoint_at(kafka, team, 8)
    bodies = [record.value for record in await read_all(kafka.bootstrap_servers, EVENTS)]
    checkpoint = json.loads((await read_all(kafka.bootstrap_servers, CHECKPOINTS))[-1].value)
    assert agrees(bodies, checkpoint)
    for place in range(len(bodies)):
        assert not agrees([*bodies[:place], *bodies[place + 1 :]], checkpoint), "dropped"
        assert not agrees([*bodies[: place + 1], *bodies[place:]], checkpoint), "doubled"
        altered = bodies[place].replace(b'"number":', b'"number":1')
        assert not agrees([*bodies[:place], altered, *bodies[place + 1 :]], checkpoint), "altered"


def agrees(bodies: list[bytes], checkpoint: dict[str, Any]) -> bool:
    copy = a_copy()
    for body in bodies:
        copy.take(body)
    return bool(copy.agrees(checkpoint))
