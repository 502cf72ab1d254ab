"""While Postgres was stopped for 14 seconds, `/readyz`, a POST and a page of events waited for 14 seconds."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from msgspec import structs

from actors.settings import ActorSettings
from db.settings import DatabaseSettings
from taskforge.devstack import DevStack
from tests.support.freezing import frozen
from tests.support.site import Person, Site, serving, settings_for

pytestmark = pytest.mark.anyio

SLACK = 0.5
"""The clients share event loop and cores with the server: their clocks run on while they wait for a turn."""
DEADLINE = 3.0
RECOVERY = 5.0
CLIENTS = 6


@pytest.fixture
async def hasty_site(database: DatabaseSettings, valkey_url: str) -> AsyncIterator[Site]:
    settings = settings_for(database, valkey_url)
    async with serving(structs.replace(settings, actors=ActorSettings(deadline_seconds=DEADLINE))) as site:
        yield site


async def timed(site: Site, method: str, path: str, **given: Any) -> tuple[httpx.Response, float]:
    """The answer, and the seconds that it took."""
    begun = time.monotonic()
    answer = await site.client.request(method, path, **given)
    return answer, time.monotonic() - begun


def asked(site: Site, owner: Person, task: dict[str, Any], number: int) -> list[Any]:
    """One request of each kind that needs the database, and what only seems to."""
    team, headers = task["team_id"], owner.headers
    keyed = {**headers, "Idempotency-Key": f"frozen-{number:09d}"}
    signup = {"email": f"frozen{number}@example.com", "password": "correct horse battery", "name": "Ada"}
    return [
        timed(site, "PATCH", f"/v1/tasks/{task['id']}", json={"title": f"frozen {number}"}, headers=keyed),
        timed(site, "POST", "/v1/teams", json={"name": "Another", "key": "ANO"}, headers=headers),
        timed(site, "GET", f"/v1/teams/{team}/events?after=0", headers=headers),
        timed(site, "GET", f"/v1/tasks/{task['id']}/activity", headers=headers),
        timed(site, "GET", "/v1/teams", headers=headers),
        timed(site, "GET", f"/v1/tasks?team_id={team}&archived=true", headers=headers),
        timed(site, "POST", "/v1/auth/signup", json=signup),
    ]


async def test_every_request_answers_by_its_deadline_and_readyz_within_a_second(
    hasty_site: Site, services: DevStack
) -> None:
    site = hasty_site
    owner = await site.person()
    task = await site.task(owner, await site.team(owner))
    assert services.postgres.pid is not None
    with frozen(services.postgres.pid):
        requests = [request for number in range(CLIENTS) for request in asked(site, owner, task, number)]
        readiness, *answers = await asyncio.gather(timed(site, "GET", "/readyz"), *requests)
        again, board = await asyncio.gather(
            timed(site, "GET", "/readyz"),
            timed(site, "GET", f"/v1/teams/{task['team_id']}/board", headers=owner.headers),
        )
    for state, seconds in (readiness, again):
        assert state.json()["checks"]["postgres"] == "frozen"
        assert (state.json()["status"], state.status_code) == ("unavailable", 503)
        assert seconds < 1.0
    for answer, seconds in answers:
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["retry-after"]) > 0
        assert seconds <= DEADLINE + SLACK, answer.text
    assert (board[0].status_code, board[1] < 0.5) == (200, True), "what is in memory needs no database"
    await assert_recovers(site, owner, task)


async def assert_recovers(site: Site, owner: Person, task: dict[str, Any]) -> None:
    """Without a restart; and what was answered as unknown was made once or not at all, and can be made again."""
    begun = time.monotonic()
    while (await site.client.get("/readyz")).json()["checks"]["postgres"] != "ok":
        assert time.monotonic() - begun < RECOVERY
    for number in range(CLIENTS):
        answer = await patched(site, owner, task, number)
        while answer.status_code in (409, 503):
            assert time.monotonic() - begun < RECOVERY, answer.text
            answer = await patched(site, owner, task, number)
        assert answer.status_code == 200, answer.text
    path = f"/v1/teams/{task['team_id']}/events?after=0&limit=100"
    events = (await site.client.get(path, headers=owner.headers)).json()["items"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    titles = [event["data"]["task"]["title"] for event in events if event["type"] == "task.updated"]
    assert sorted(titles) == sorted(f"frozen {number}" for number in range(CLIENTS))


async def patched(site: Site, owner: Person, task: dict[str, Any], number: int) -> httpx.Response:
    headers = {**owner.headers, "Idempotency-Key": f"frozen-{number:09d}"}
    return await site.client.patch(f"/v1/tasks/{task['id']}", json={"title": f"frozen {number}"}, headers=headers)
