"""An erasure whose worker is killed again and again, in the middle of whatever it does, ends as if nothing had been."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from msgspec import structs

from core.commands import AddMember
from core.redaction import DELETED_USER
from core.secret import Secret
from db.settings import DatabaseSettings
from taskforge.devstack import DevStack
from tests.support.asking import by
from tests.support.site import Site, serving, settings_for
from tests.support.waiting import until_answered
from tests.taskforge.test_cli import external

pytestmark = [pytest.mark.anyio, pytest.mark.system, pytest.mark.timeout(240)]

TEAMS = 12
NAME = "Canaria"
PASSWORD = "correct horse battery"


@asynccontextmanager
async def a_worker(environment: dict[str, str]) -> AsyncIterator[None]:
    """A worker of its own process, which is killed in the end."""
    command = (sys.executable, "-m", "taskforge", "worker")
    process = await asyncio.create_subprocess_exec(*command, env=os.environ | environment)
    try:
        yield
    finally:
        process.kill()
        await process.wait()


async def live(site: Site) -> tuple[str, dict[str, str], list[str]]:
    """A user in many teams: their id, their headers, the teams."""
    keeper, leaver = await site.person(), await site.person()
    teams = []
    for _ in range(TEAMS):
        team = await site.team(keeper)
        command = AddMember(UUID(leaver.user_id), NAME, "member")
        await site.services.teams.ask(UUID(team), command, by(keeper.user_id))
        teams.append(team)
    return leaver.user_id, leaver.headers, teams


async def test_a_worker_that_is_killed_in_the_middle_erases_all_the_same(
    services: DevStack,
    database: DatabaseSettings,
    superuser: Any,
    kafka_bootstrap: str,
    tmp_path: Path,
    no_taskforge_environment: pytest.MonkeyPatch,
) -> None:
    no_taskforge_environment.chdir(tmp_path)
    environment = external(services, database) | {"TASKFORGE_MAIL__MAILBOX": str(tmp_path / "mails")}
    environment["TASKFORGE_OPS__PORT"] = environment["TASKFORGE_HTTP__PORT"]
    keys = tuple(map(Secret, services.secrets.keyset))
    settings = structs.replace(settings_for(database, services.valkey.url), keys=keys)
    async with serving(settings) as site:
        user_id, headers, teams = await live(site)
        answer = await site.client.request("DELETE", "/v1/me", json={"password": PASSWORD}, headers=headers)
        assert answer.status_code == 202, answer.text

        async def steps() -> dict[str, str]:
            return {one["name"]: one["status"] for one in msgspec.json.decode(
                await superuser.fetchval("select steps::text from operations where kind = 'erasure'")
            )}  # fmt: skip

        for step in ("leave", "redact", "tell"):
            async with a_worker(environment):
                await until_answered(partial(_begun, steps, step), seconds=60.0)
            # Whoever dies leaves a lease of 20 s, and a claim on a mail of 50: this test does not wait for them.
            await superuser.execute("update operations set next_at = now() where ended_at is null")
            await superuser.execute("update inbox set claimed_until = now() where claimed_until is not null")
        async with a_worker(environment):
            await until_answered(lambda: _succeeded(superuser), seconds=60.0)
        await check(superuser, UUID(user_id), teams)


async def _begun(steps: Any, step: str) -> bool:
    return (await steps())[step] != "waiting"


async def _succeeded(superuser: Any) -> bool:
    status = await superuser.fetchval("select status from operations where kind = 'erasure'")
    assert status not in ("failed", "stuck", "compensating")
    return bool(status == "succeeded")


async def check(superuser: Any, user_id: UUID, teams: list[str]) -> None:
    user = await superuser.fetchrow("select * from users where id = $1", user_id)
    assert (user["name"], user["email"]) == (DELETED_USER, f"deleted-{user_id}@invalid")
    assert await superuser.fetchval("select count(*) from memberships where user_id = $1", user_id) == 0
    for team in teams:
        rows = await superuser.fetch("select * from task_events where team_id = $1 order by seq", UUID(team))
        assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
        types = [row["type"] for row in rows]
        assert types.count("member.removed") == types.count("history.redacted") == 1
        assert not [row for row in rows if NAME in row["payload"]]
        assert all((row["salt"] is None) == (row["subject_id"] == user_id) for row in rows)
