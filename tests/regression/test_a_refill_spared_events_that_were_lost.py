"""Once, after its broker was killed, a topic began with event 795: the relay took its last page for its progress.

While the monitor named the broker's new life, the old one passed for current, and a page of it landed in the topics
that had just been made anew. The refill found it at the topic's end and left out all that came before.
"""

from typing import Any

import pytest

from db.pool import Pools
from streams.kafka import monitor as monitor_module
from streams.kafka import relay_state, topics
from streams.kafka.broker import administrating
from streams.kafka.relay_state import BROKER
from streams.relay.topic_ends import Run
from streams.settings import KafkaSettings
from taskforge.devstack import DevStack
from tests.support.journal_writer import JournalWriter
from tests.support.relaying import relaying
from tests.support.topic_reader import EVENTS, read_count, seqs_by_team
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


async def test_the_old_life_is_not_current_while_the_new_one_gets_its_name(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings, services: DevStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    team_id, read = await journal.team(), relay_state.read
    current: list[bool] = []
    async with relaying(pools, kafka) as (relay, monitor):
        await journal.append(team_id, 4)
        await until(lambda: relay.statistics().published == 4)
        old = await monitor.known()

        async def read_and_ask(consumer: Any) -> dict[str, bytes]:
            state = await read(consumer)
            if state.get(BROKER, old.encode()) != old.encode():
                current.append(monitor.is_current(old))
            return state

        monkeypatch.setattr(relay_state, "read", read_and_ask)
        await services.kafka.kill()
        await services.kafka.start()
        # Not before: a relay that notices the loss by itself raises doubts, and those hid the fault most of the time.
        await until(lambda: monitor.statistics().losses == 1)
        await journal.append(team_id, 1)
        await until(lambda: relay.statistics().published == 9)
        records = await read_count(kafka.bootstrap_servers, EVENTS, 5)

    assert current[0] is False
    assert seqs_by_team(records) == {str(team_id): [1, 2, 3, 4, 5]}


async def test_what_stands_after_a_hole_is_no_progress(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings
) -> None:
    team_id = await journal.team()
    async with relaying(pools, kafka) as (relay, _):
        await until(lambda: relay.statistics().ready)
    await journal.append(team_id, 5)
    await journal.pool.execute("insert into relay_cursors (team_id, published_seq) values ($1, 3)", team_id)
    async with relaying(pools, kafka) as (relay, _):
        await until(lambda: relay.statistics().published == 2)
    await journal.pool.execute("update relay_cursors set published_seq = 0")
    async with relaying(pools, kafka) as (relay, _):
        await until(lambda: relay.statistics().published == 5)

    records = await read_count(kafka.bootstrap_servers, EVENTS, 7)
    assert seqs_by_team(records) == {str(team_id): [4, 5, 1, 2, 3, 4, 5]}


async def test_a_topic_that_was_emptied_behind_the_monitors_back_is_filled_again(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    team_id = await journal.team()
    monkeypatch.setattr(monitor_module, "LOOK_SECONDS", 600.0)
    async with relaying(pools, kafka) as (relay, monitor):
        await journal.append(team_id, 4)
        await until(lambda: relay.statistics().published == 4)
        async with administrating(kafka) as admin:
            await admin.delete_topics([EVENTS])
            await topics.create(admin, [plan for plan in topics.plans(kafka) if plan.name == EVENTS], 1)
        await journal.append(team_id, 1)
        relay.wake(team_id)
        await until(lambda: monitor.statistics().losses == 1 and relay.statistics().published == 9)
        records = await read_count(kafka.bootstrap_servers, EVENTS, 6)

    assert seqs_by_team(records) == {str(team_id): [5, 1, 2, 3, 4, 5]}


def test_a_run_grows_without_holes_and_over_rewritten_history() -> None:
    run = Run(3, (1, 3))
    assert run.and_then((1, 4)) == Run(3, (1, 4))
    assert run.and_then((1, 3)) == run
    assert run.and_then((1, 5)) == Run(5, (1, 5))
    assert run.and_then((1, 1)) == Run(1, (1, 1))
    assert Run(3, (1, 9)).and_then((2, 6)) == Run(3, (2, 6))
    assert Run(3, (2, 6)).and_then((1, 7)) == Run(3, (2, 6))
    assert Run(3, (1, 9)).follows(2)
    assert Run(3, (1, 9)).follows(7)
    assert not Run(3, (1, 9)).follows(1)
