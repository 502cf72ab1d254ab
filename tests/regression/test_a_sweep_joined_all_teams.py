"""Every second, each relay joined all teams of its ranges with their cursors, however large the installation."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import anyio
import pytest
import uuid_utils.compat as uuids

from db.pool import Pools
from streams.kafka.monitor import BrokerMonitor
from streams.relay.relay import SWEEP_TEAMS, Relay
from streams.settings import KafkaSettings
from tests.support.journal_writer import JournalWriter
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


class Watched:
    """The pool, counting for each look at cursors how many rows of `teams` Postgres read for it."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self.looks: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    async def fetch(self, query: str, *args: object) -> Any:
        rows = await self._pool.fetch(query, *args)
        if "relay_cursors" in query and "teams" in query:
            plan = json.loads(await self._pool.fetchval(f"explain (analyze, format json) {query}", *args))
            self.looks.append(sum(_rows_of_teams(plan[0]["Plan"])))
        return rows


def _rows_of_teams(node: dict[str, Any]) -> Iterator[int]:
    if node.get("Relation Name") == "teams":
        yield (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    for child in node.get("Plans", ()):
        yield from _rows_of_teams(child)


async def test_a_sweep_reads_no_more_teams_than_a_slice(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    teams = await _many_teams(journal, 10 * SWEEP_TEAMS)
    monkeypatch.setattr("streams.relay.relay.SWEEP_SECONDS", 0.01)
    pool: Any = Watched(pools.worker)
    monitor = BrokerMonitor(kafka)
    relay = Relay(pool, kafka, monitor, pools.writer)
    async with anyio.create_task_group() as group:
        await group.start(monitor.run)
        await group.start(relay.run)
        await until(lambda: relay.statistics().ready)
        begun = len(pool.looks)
        await until(lambda: len(pool.looks) > begun + 4)
        assert all(0 < rows <= SWEEP_TEAMS for rows in pool.looks[begun:]), pool.looks
        # Nobody wakes the relay: the sweeps come to every team all the same.
        for team_id in (teams[0], teams[SWEEP_TEAMS], teams[-1]):
            await journal.append(team_id, 1)
        await until(lambda: relay.statistics().published == 3)
        assert pool.looks[begun:], "there were no looks"
        relay.stop()
        group.cancel_scope.cancel()


async def _many_teams(journal: JournalWriter, number: int) -> list[UUID]:
    ids = [uuids.uuid7() for _ in range(number)]
    await journal.pool.execute(
        "insert into teams (id, name, key, created_by, created_at, updated_at, version)"
        " select id, 'Team', 'TEAM', id, now(), now(), 0 from unnest($1::uuid[]) t (id)",
        ids,
    )
    await journal.pool.execute("analyze teams")
    return ids
