"""`DELETE /v1/teams/{team_id}`: who may end a team, how often it ends, and what is found of it afterwards."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from db.operations import Operation
from db.settings import DatabaseSettings
from streams.operations.offboarding import off_boarding
from streams.operations.redaction import RedactionPorts
from streams.operations.runner import OperationRunner
from taskforge.devstack import DevStack
from tests.support.databases import superuser_url
from tests.support.desk import RANDOM, Desk, new_key, problem
from tests.support.site import frames_until_closed
from tests.support.waiting import until_answered

pytestmark = pytest.mark.anyio

LOCK = "select pg_advisory_xact_lock(hashtextextended($1, 0))"
STEPS = ["end", "publish", "clear", "files"]


class Worker:
    """Ends teams, beside a relay that has published whatever there is."""

    def __init__(self, desk: Desk, superuser: "asyncpg.Connection[Any]") -> None:
        services = desk.site.services
        ports = RedactionPorts(services.pools.worker, services.teams, services.valkey, services.objects)
        self._desk, self.superuser = desk, superuser
        self._runner = OperationRunner(services.pools.worker, [off_boarding(ports)], _nobody)

    async def end(self, team: str, who: str = "owner") -> Any:
        """The team is gone: what the operation says of it."""
        started = await self._desk.delete(f"/v1/teams/{team}", who)
        assert started.status_code == 202, started.text
        await self.superuser.execute("update relay_cursors set published_seq = 1000")

        async def ended() -> bool:
            await self._runner.move()
            now = (await self._desk.get(started.headers["location"], who)).json()
            return now["ended_at"] is not None

        await until_answered(ended)
        return (await self._desk.get(started.headers["location"], who)).json()


async def _nobody(_: Operation) -> None:
    return


@pytest.fixture
async def worker(desk: Desk, services: DevStack, module_database: DatabaseSettings) -> AsyncIterator[Worker]:
    superuser = await asyncpg.connect(superuser_url(services, module_database))
    yield Worker(desk, superuser)
    await superuser.close()


@pytest.fixture
async def team(desk: Desk) -> str:
    """The owner's, with the others in it: the desk's own stays for other tests."""
    made = await desk.new_team()
    for role in ("admin", "member", "viewer"):
        await desk.join(made, "owner", role, role)
    return made


async def test_an_owner_starts_an_operation_that_only_they_can_read(desk: Desk, team: str) -> None:
    answer = await desk.delete(f"/v1/teams/{team}")
    assert answer.status_code == 202, answer.text
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert (body["kind"], body["status"], body["team_id"]) == ("off-boarding", "waiting", team)
    assert [step["name"] for step in body["steps"]] == STEPS
    read = await desk.get(answer.headers["location"])
    assert (read.status_code, read.json()["id"]) == (200, body["id"])
    problem(await desk.get(answer.headers["location"], "admin"), 404, "not-found")


@pytest.mark.parametrize("who", ["admin", "member", "viewer"])
async def test_members_who_do_not_own_it_are_refused(desk: Desk, team: str, who: str) -> None:
    refused = problem(await desk.delete(f"/v1/teams/{team}", who), 403, "forbidden")
    assert refused["permission"] == "own_team"


async def test_a_foreign_team_looks_like_a_random_one(desk: Desk) -> None:
    foreign = problem(await desk.delete(f"/v1/teams/{desk.other_team}"), 404, "not-found")
    random = problem(await desk.delete(f"/v1/teams/{RANDOM}"), 404, "not-found")
    assert {**foreign, "instance": ""} == {**random, "instance": ""}


@pytest.mark.parametrize(("scope", "status"), [("read", 403), ("write", 403), ("admin", 202)])
async def test_a_key_needs_the_widest_scope(desk: Desk, team: str, scope: str, status: int) -> None:
    made = await desk.post("/v1/me/api-keys", {"name": "k", "scopes": [scope], "team_id": team})
    key = {"Authorization": f"Bearer {made.json()['token']}"}
    answer = await desk.client.delete(f"/v1/teams/{team}", headers=key)
    assert answer.status_code == status, answer.text


async def test_asked_64_times_at_once_it_is_one_operation(desk: Desk, team: str) -> None:
    answers = await asyncio.gather(*(desk.delete(f"/v1/teams/{team}") for _ in range(64)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.headers["location"] for answer in answers}) == 1
    other = await desk.new_team()
    assert (await desk.delete(f"/v1/teams/{other}")).headers["location"] != answers[0].headers["location"]


async def test_whoever_waits_for_their_turn_holds_no_connection(desk: Desk, team: str, worker: Worker) -> None:
    """64 times the same question, while another process has the lock: everybody else is served meanwhile."""
    asked = "select count(*) from pg_locks where locktype = 'advisory' and not granted and database = "
    waiting = asked + "(select oid from pg_database where datname = current_database())"
    async with asyncio.TaskGroup() as group, worker.superuser.transaction():
        await worker.superuser.execute(LOCK, f"off-boarding of {team}")
        asking = [group.create_task(desk.delete(f"/v1/teams/{team}")) for _ in range(64)]

        async def waits() -> bool:
            return await worker.superuser.fetchval(waiting) > 0

        await until_answered(waits)
        for _ in range(20):
            problem(await desk.get(f"/v1/operations/{RANDOM}"), 404, "not-found")
        assert await worker.superuser.fetchval(waiting) == 1
    assert {task.result().status_code for task in asking} == {202}
    assert len({task.result().headers["location"] for task in asking}) == 1


async def test_a_key_answers_the_same_also_when_the_team_is_gone(desk: Desk, team: str, worker: Worker) -> None:
    key = {"Idempotency-Key": new_key()}
    first = await desk.delete(f"/v1/teams/{team}", **key)
    again = await desk.delete(f"/v1/teams/{team}", **key)
    assert (again.status_code, again.content) == (202, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    other = await desk.new_team()
    problem(await desk.delete(f"/v1/teams/{other}", **key), 422, "idempotency-key-reused")
    await worker.end(team)
    late = await desk.delete(f"/v1/teams/{team}", **key)
    assert (late.status_code, late.content) == (202, first.content), "whoever retries learns which operation it was"
    problem(await desk.delete(f"/v1/teams/{team}"), 404, "not-found")


async def test_it_takes_no_query_and_no_condition(desk: Desk, team: str) -> None:
    problem(await desk.delete(f"/v1/teams/{team}?permanent=true"), 400, "bad-input")
    problem(await desk.delete(f"/v1/teams/{team}", **{"If-Match": '"1"'}), 400, "bad-input")


async def test_nobody_finds_anything_of_it_afterwards(desk: Desk, team: str, worker: Worker) -> None:
    task = (await desk.post("/v1/tasks", {"team_id": team, "title": "A task"})).json()
    said = await desk.post(f"/v1/tasks/{task['id']}/comments", {"body": "so"})
    link = await desk.post(f"/v1/teams/{team}/invitations", {"role": "member"})
    hook = {"team_id": team, "url": "https://hooks.example.com/in", "event_types": []}
    subscription = (await desk.post("/v1/webhooks/subscriptions", hook)).json()["id"]
    made = await desk.post("/v1/me/api-keys", {"name": "k", "scopes": ["read"], "team_id": team})
    ended = await worker.end(team)
    assert (ended["status"], ended["error"], ended["progress"]) == ("succeeded", None, 1.0)
    assert ended["result"].keys() == {"deleted_at", "forgotten_from"}
    for who in ("owner", "member"):
        for path in (
            f"/v1/teams/{team}",
            f"/v1/teams/{team}/members",
            f"/v1/teams/{team}/members?former=true",
            f"/v1/teams/{team}/board",
            f"/v1/teams/{team}/board?as_of=3",
            f"/v1/teams/{team}/events?after=0",
            f"/v1/tasks?team_id={team}",
            f"/v1/tasks/{task['id']}",
            f"/v1/tasks/{task['id']}/activity",
            f"/v1/webhooks/subscriptions?team_id={team}",
            f"/v1/webhooks/subscriptions/{subscription}",
        ):
            problem(await desk.get(path, who), 404, "not-found")
        assert team not in [one["id"] for one in (await desk.get("/v1/teams", who)).json()["items"]]
    problem(await desk.patch(f"/v1/comments/{said.json()['id']}", {"body": "late"}), 404, "not-found")
    problem(await desk.post("/v1/tasks", {"team_id": team, "title": "late"}), 404, "not-found")
    late = await desk.post("/v1/invitations/accept", {"token": link.json()["token"]}, "stranger")
    assert late.status_code >= 400, late.text
    key = {"Authorization": f"Bearer {made.json()['token']}"}

    async def ends() -> bool:
        return (await desk.client.get("/v1/teams", headers=key)).status_code == 401

    await until_answered(ends)


async def test_feeds_end_with_the_team(desk: Desk, team: str, worker: Worker) -> None:
    async with desk.site.live(team, desk["member"]) as live:
        await live.recv()
        await worker.end(team)
        _, code, _ = await frames_until_closed(live)
    assert code == 4403


async def test_whoever_deletes_their_team_may_leave_for_good(desk: Desk, worker: Worker) -> None:
    leave, desk.people["leaver"] = {"password": "correct horse battery"}, await desk.site.person()
    team = await desk.new_team("leaver")
    problem(await desk.ask("DELETE", "/v1/me", "leaver", json=leave), 409, "conflict")
    await worker.end(team, "leaver")
    assert (await desk.ask("DELETE", "/v1/me", "leaver", json=leave)).status_code == 202
