"""Looking an idempotency key up expired every connection of the committer's pool.

Any client could ask for it: once with each malformed body under a key, twice with each change of an unknown task. Each
time the commits of everybody waited for new connections.
"""

import asyncpg
import pytest

from tests.support.desk import RANDOM, Desk, new_key, problem

pytestmark = pytest.mark.anyio

CONNECTIONS = "select pid from pg_stat_activity where application_name = 'taskforge-writer' and datname = $1"


@pytest.fixture
def expirations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Fills with a word for every time that a pool is made to replace its connections."""
    found: list[str] = []
    real = asyncpg.pool.Pool.expire_connections

    async def expire(pool: "asyncpg.pool.Pool") -> None:
        found.append("expired")
        await real(pool)

    monkeypatch.setattr(asyncpg.pool.Pool, "expire_connections", expire)
    return found


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Fills with every query that reads the table of keys."""
    found: list[str] = []
    real = asyncpg.connection.Connection._execute

    async def execute(connection: "asyncpg.Connection", query: str, *rest: object, **more: object) -> object:
        if "idempotency_keys" in query:
            found.append(query)
        return await real(connection, query, *rest, **more)

    monkeypatch.setattr(asyncpg.connection.Connection, "_execute", execute)
    return found


async def committers(desk: Desk) -> set[int]:
    """The server's process ids of the connections that commit, once a commit has used one."""
    await desk.task("Commits")
    pool = desk.site.services.pools.writer
    name = await pool.fetchval("select current_database()")
    return {row["pid"] for row in await pool.fetch(CONNECTIONS, name)}


async def test_a_malformed_body_under_a_key_leaves_the_committers_connections_alone(
    desk: Desk, expirations: list[str]
) -> None:
    task = await desk.task()
    before = await committers(desk)
    for _ in range(4):
        for path, headers in ((f"/v1/tasks/{task['id']}", {}), (f"/v1/tasks/{task['id']}", {"If-Match": "*"})):
            answer = await desk.patch(path, {"colour": "red"}, **{"Idempotency-Key": new_key(), **headers})
            problem(answer, 400, "bad-input")
    assert await committers(desk) >= before
    assert not expirations


async def test_a_keyed_change_of_an_unknown_task_leaves_the_committers_connections_alone(
    desk: Desk, expirations: list[str]
) -> None:
    before = await committers(desk)
    for _ in range(4):
        answer = await desk.patch(f"/v1/tasks/{RANDOM}", {"title": "x"}, **{"Idempotency-Key": new_key()})
        problem(answer, 404, "not-found")
    assert await committers(desk) >= before
    assert not expirations


async def test_a_keyed_change_of_an_unknown_task_costs_one_look_at_the_keys(desk: Desk, lookups: list[str]) -> None:
    answer = await desk.patch(f"/v1/tasks/{RANDOM}", {"title": "x"}, **{"Idempotency-Key": new_key()})
    problem(answer, 404, "not-found")
    assert len(lookups) == 1


async def test_a_malformed_dry_run_costs_no_look_at_the_keys(desk: Desk, lookups: list[str]) -> None:
    body = {"team_id": desk.team, "operations": "all of them"}
    answer = await desk.post("/v1/tasks/batch?dry_run=true", body, **{"Idempotency-Key": new_key()})
    problem(answer, 400, "bad-input")
    assert not lookups
