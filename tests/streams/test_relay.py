"""From the journal to the topics, against the real database and broker."""

import asyncio

import pytest

from core.codec import cloud_event
from db.pool import Pools
from streams.settings import KafkaSettings
from tests.streams.conftest import relaying, until
from tests.streams.journal_writer import JournalWriter
from tests.streams.topic_reader import EVENTS, read_count, seqs_by_team

pytestmark = pytest.mark.anyio


async def test_sixteen_writers_at_once_are_read_in_order_without_hole_or_repeat_and_to_the_byte(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings
) -> None:
    teams = [await journal.team() for _ in range(5)]
    wanted: dict[str, bytes] = {}

    async def write(number: int) -> None:
        for step in range(12):
            for event in await journal.append(teams[(number + step) % len(teams)], 1 + step % 4):
                wanted[f"{event.row.team_id}:{event.row.seq}"] = cloud_event(event.row)

    async with relaying(pools, kafka) as (relay, _):
        async with asyncio.TaskGroup() as writers:
            for number in range(16):
                writers.create_task(write(number))
        records = await read_count(kafka.bootstrap_servers, EVENTS, len(wanted))
        await until(lambda: relay.statistics().published == len(wanted))

    assert {dict(record.headers)["event_id"].decode(): record.value for record in records} == wanted
    assert len(records) == len(wanted)
    for team_id, seqs in seqs_by_team(records).items():
        assert seqs == list(range(1, len(seqs) + 1)), team_id
    assert {record.key.decode() for record in records} == {str(team_id) for team_id in teams}
