"""Cursors are stepped while the next round is on its way: what is there when such a step fails, hangs or comes late."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import anyio
import pytest

from core.errors import StorageUnavailable
from db.journal import relay_cursors
from db.journal.relay_cursors import Move
from db.pool import Pool, Pools
from streams.relay.steps import Steps
from streams.settings import KafkaSettings
from tests.support.journal_writer import JournalWriter
from tests.support.relaying import relaying
from tests.support.topic_reader import EVENTS, read_all, read_count, seqs_by_team
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

advance = relay_cursors.advance


class Gate:
    """Stands in for the step of cursors: it hangs while it is shut, and fails as often as it is said to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open, self.came, self.failures = anyio.Event(), list[Sequence[Move]](), 0
        monkeypatch.setattr(relay_cursors, "advance", self)

    async def __call__(self, pool: Pool, moves: Sequence[Move]) -> frozenset[UUID]:
        self.came.append(moves)
        await self.open.wait()
        if self.failures:
            self.failures -= 1
            raise StorageUnavailable("cut off")
        return await advance(pool, moves)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


async def seqs(kafka: KafkaSettings, team_id: UUID) -> list[int]:
    return seqs_by_team(await read_all(kafka.bootstrap_servers, EVENTS))[str(team_id)]


async def published(kafka: KafkaSettings, count: int) -> None:
    """Once the topic has so many events."""
    await read_count(kafka.bootstrap_servers, EVENTS, count)


async def test_the_next_round_does_not_wait_for_the_step_and_the_one_after_it_does(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings, gate: Gate
) -> None:
    team_id = await journal.team()
    async with relaying(pools, kafka) as (relay, _):
        await until(lambda: relay.ready)  # The topics are there: a reader that is earlier may not see them for minutes.
        for number in (1, 2, 3):
            await journal.append(team_id, 1)
            relay.wake(team_id)
            await published(kafka, min(2, number))
        assert (len(gate.came), relay.statistics().published) == (1, 0), "one step hangs, and none has begun after it"
        assert await seqs(kafka, team_id) == [1, 2], "so the topic is no more than two rounds ahead"
        gate.open.set()
        await until(lambda: relay.statistics().published == 3)
    assert await seqs(kafka, team_id) == [1, 2, 3]
    assert [(move.old, move.new) for moves in gate.came for move in moves] == [(0, 1), (1, 2), (2, 3)]
    assert await journal.cursor(team_id) == 3


async def test_a_relay_killed_two_rounds_ahead_of_its_cursors_repeats_nothing(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    team_id = await journal.team()
    async with relaying(pools, kafka, kill=True) as (relay, _):
        await until(lambda: relay.ready)
        for number in (1, 2):
            await journal.append(team_id, 5)
            relay.wake(team_id)
            await published(kafka, 5 * number)
    assert await journal.cursor(team_id) == 0
    monkeypatch.setattr(relay_cursors, "advance", advance)
    async with relaying(pools, kafka) as (relay, _):
        await until(lambda: relay.statistics().spared == 10)
        await journal.append(team_id, 1)
        relay.wake(team_id)
        await until(lambda: relay.statistics().published == 1)
    assert await seqs(kafka, team_id) == list(range(1, 12))


async def test_a_step_that_fails_is_taken_again_and_nothing_is_sent_twice(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings, gate: Gate
) -> None:
    team_id, other = await journal.team(), await journal.team()
    gate.failures = 1
    async with relaying(pools, kafka) as (relay, _):
        await until(lambda: relay.ready)
        await journal.append(team_id, 3)
        relay.wake(team_id)
        await published(kafka, 3)
        await journal.append(other, 2)
        relay.wake(other)
        await published(kafka, 5)
        gate.open.set()
        await until(lambda: relay.statistics().published + relay.statistics().spared == 5)
    assert [await journal.cursor(one) for one in (team_id, other)] == [3, 2]
    assert (await seqs(kafka, team_id), await seqs(kafka, other)) == ([1, 2, 3], [1, 2])


async def test_a_replay_that_is_asked_for_during_a_step_is_carried_out(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings, gate: Gate
) -> None:
    team_id = await journal.team()
    gate.open.set()
    async with relaying(pools, kafka) as (relay, _):
        await until(lambda: relay.ready)
        await journal.append(team_id, 3)
        relay.wake(team_id)
        await until(lambda: relay.statistics().published == 3)
        gate.open = anyio.Event()
        await journal.append(team_id, 2)
        relay.wake(team_id)
        await published(kafka, 5)
        assert await relay_cursors.rewind(pools.worker, team_id, 1) == 1
        gate.open.set()
        await until(lambda: relay.statistics().published == 9)
    assert await seqs(kafka, team_id) == [1, 2, 3, 4, 5, 2, 3, 4, 5]
    assert await journal.cursor(team_id) == 5


async def test_what_a_step_is_on_its_way_to_is_known_until_it_has_ended(pools: Pools, gate: Gate) -> None:
    doubted: list[Any] = []
    team_id = UUID(int=1)
    gate.failures = 1
    async with anyio.create_task_group() as group:
        steps = Steps(pools.worker, group, doubted.extend)
        await steps.take([Move(team_id, 0, 7)], lambda: doubted.append("then"))
        assert steps.ahead == {team_id: 7}
        gate.open.set()
        with pytest.raises(StorageUnavailable):
            await steps.settle()
        await steps.settle()
    assert (steps.ahead, doubted) == ({}, [team_id])
