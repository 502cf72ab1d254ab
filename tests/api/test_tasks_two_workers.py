"""Two API processes on one database: what one wrote, the other reads at once."""

from typing import Any

import httpx
import pytest

from db.settings import DatabaseSettings
from tests.support.site import serving, settings_for

pytestmark = pytest.mark.anyio


async def test_what_one_worker_wrote_the_other_reads_at_its_seq(database: DatabaseSettings, valkey_url: str) -> None:
    settings = settings_for(database, valkey_url)
    async with serving(settings) as here, serving(settings) as there:
        ada = await here.person()
        team = await here.team(ada)
        board = f"/v1/teams/{team}/board"
        for site in (here, there):
            assert (await site.client.get(board, headers=ada.headers)).status_code == 200
        for number in range(20):
            writer, reader = (here, there) if number % 2 else (there, here)
            made = await create(writer.client, ada.headers, team, f"t{number}")
            headers = {**ada.headers, "TaskForge-Min-Seq": made.headers["taskforge-seq"]}
            for path in (made.headers["location"], board, f"/v1/tasks?team_id={team}"):
                read = await reader.client.get(path, headers=headers)
                assert read.status_code == 200
                assert int(read.headers["taskforge-seq"]) >= int(made.headers["taskforge-seq"])
                assert made.json()["id"] in read.text
            patched = await reader.client.patch(made.headers["location"], json={"title": "p"}, headers=headers)
            assert int(patched.headers["taskforge-seq"]) == int(made.headers["taskforge-seq"]) + 1
        numbers = [task["number"] for task in await listed(here.client, ada.headers, team)]
        assert numbers == list(range(1, 21))


async def test_a_task_of_the_other_worker_is_found_without_asking_for_a_seq(
    database: DatabaseSettings, valkey_url: str
) -> None:
    settings = settings_for(database, valkey_url)
    async with serving(settings) as here, serving(settings) as there:
        ada = await here.person()
        team = await here.team(ada)
        await there.client.get(f"/v1/teams/{team}/board", headers=ada.headers)
        made = await create(here.client, ada.headers, team, "new")
        read = await there.client.get(made.headers["location"], headers=ada.headers)
        assert read.json() == made.json()


async def create(client: httpx.AsyncClient, headers: dict[str, str], team: str, title: str) -> httpx.Response:
    answer = await client.post("/v1/tasks", json={"team_id": team, "title": title}, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer


async def listed(client: httpx.AsyncClient, headers: dict[str, str], team: str) -> list[dict[str, Any]]:
    answer = await client.get(f"/v1/tasks?team_id={team}&sort=number&limit=100", headers=headers)
    items: list[dict[str, Any]] = answer.json()["items"]
    return items
