"""Whoever owns Valkey and none of our keys changes no answer, no role, no feed and no row, however often they try."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import valkey.asyncio

from tests.faults import faults
from tests.faults.forging import SNAPSHOTS, Forger
from tests.faults.report import Report
from tests.faults.rounds import look, quieten, work
from tests.faults.world import Pace, World, started
from tests.support.directories import open_directory
from tests.support.waiting import until_answered

pytestmark = [pytest.mark.anyio, pytest.mark.system, pytest.mark.timeout(120)]

FORGERIES = 1_000
VOLATILE = {
    "relay_cursors",
    "installation",
    "sessions",
    "refresh_tokens",
    "schedules",
    "checkpoints",
    "checkpoint_things",
}
"""Tables that the system writes by itself, when it comes to it."""


async def answers(world: World) -> dict[str, Any]:
    """Everything about the teams that people of both roles can ask for."""
    found = {}
    for team in world.team_ids:
        for path in ("", "/members", "/labels", "/board"):
            found[team + path] = (await world.insist("GET", f"/v1/teams/{team}{path}")).json()
        tasks = f"/v1/tasks?team_id={team}&limit=100"
        found[team + "/tasks"] = (await world.insist("GET", tasks)).json()
        found[team + "/events"] = (await world.insist("GET", f"/v1/teams/{team}/events?after=0&limit=100")).json()
    found["me"] = (await world.insist("GET", "/v1/me")).json()
    return found


async def rows(world: World) -> dict[str, list[str]]:
    """All rows of all tables."""
    async with world.database.connection() as connection:
        names = await connection.fetch("select tablename from pg_tables where schemaname = 'public'")
        return {name: await rows_of(connection, name) for (name,) in names if name not in VOLATILE}


async def searchable(world: World) -> bool:
    """Whether the worker has written what tasks are found by: it is the last to come to rest."""
    async with world.database.connection() as connection:
        return not await connection.fetchval(
            "select exists (select from tasks t left join search_documents d on d.team_id = t.team_id and "
            "d.task_id = t.id where d.seq is distinct from t.version)"
        )


async def rows_of(connection: "asyncpg.Connection[Any]", table: str) -> list[str]:
    return sorted(record[0] for record in await connection.fetch(f"select t::text from {table} t"))


async def test_no_forgery_changes_an_answer_a_role_a_feed_or_a_row(services_root: Path) -> None:
    report = Report()
    with open_directory(services_root) as directory:
        async with started(directory, report, Pace()) as world, valkey.asyncio.from_url(world.valkey_url) as client:
            report.begin("forgery")
            forger = Forger(client, world.team_ids, world.session.colleague)
            async with forger.listening():
                world.go()
                await work(world, 200)
                await leave_snapshots(world, client)
                await work(world, 200)
                await quieten(world)
                await look(world)
                await until_answered(lambda: searchable(world), seconds=30)
                before, rows_before = await answers(world), await rows(world)
                while forger.said < FORGERIES:
                    await forger.speak()
                    await forger.foretell(await world.database.heads())
                await forger.revoke(await sessions(world))
                # Both processes read all there is in Valkey anew.
                os.kill(faults.pid_of(world, faults.API), signal.SIGKILL)
                await forger.foretell(await world.database.heads())
                assert await answers(world) == before
                assert await rows(world) == rows_before
                await forger.speak()
                await forger.foretell(await world.database.heads())
                await look(world)
                assert await answers(world) == before
                assert await rows(world) == rows_before
                world.go()
                await work(world, 200)
                await quieten(world)
                await look(world)
            assert forger.said >= FORGERIES
    assert not report.red, str(report)


async def sessions(world: World) -> list[UUID]:
    async with world.database.connection() as connection:
        return [UUID(str(row["id"])) for row in await connection.fetch("select id from sessions")]


async def leave_snapshots(world: World, client: Any) -> None:
    """An API server that ends in order saves the teams that it has in memory."""
    os.kill(faults.pid_of(world, faults.API), signal.SIGTERM)
    async with asyncio.timeout(20):
        while len([key async for key in client.scan_iter(SNAPSHOTS)]) < len(world.team_ids):
            await asyncio.sleep(0.05)
