"""Comments through two API processes on one database: nothing is lost, counted twice, skipped or repeated."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from db.settings import DatabaseSettings
from tests.support.proofs import share
from tests.support.site import Person, Site, serving, settings_for

pytestmark = pytest.mark.anyio


class Pair:
    """Two workers, somebody in a team, and a task to talk about."""

    def __init__(self, here: Site, there: Site, ada: Person, team: str, task: str) -> None:
        self.sites, self.ada, self.team, self.task = (here, there), ada, team, task
        self.path = f"/v1/tasks/{task}/comments"

    async def ask(self, turn: int, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        client = self.sites[turn % 2].client
        return await client.request(method, path, json=body, headers={**self.ada.headers, **headers})

    async def say(self, turn: int, body: str = "so") -> dict[str, Any]:
        answer = await self.ask(turn, "POST", self.path, {"body": body})
        assert answer.status_code == 201, answer.text
        comment: dict[str, Any] = answer.json()
        return comment

    async def walk(self, turn: int, limit: int, sort: str = "created_at") -> list[dict[str, Any]]:
        found, cursor = list[dict[str, Any]](), ""
        while True:
            page = (await self.ask(turn, "GET", f"{self.path}?limit={limit}&sort={sort}{cursor}")).json()
            found += page["items"]
            if page["next_cursor"] is None:
                return found
            cursor = f"&cursor={page['next_cursor']}"


@asynccontextmanager
async def pair_of(database: DatabaseSettings, valkey_url: str) -> AsyncIterator[Pair]:
    settings = settings_for(database, valkey_url)
    async with serving(settings) as here, serving(settings) as there:
        ada = await here.person()
        team = await here.team(ada)
        task = (await here.task(ada, team))["id"]
        yield Pair(here, there, ada, team, task)


async def test_what_two_workers_write_at_once_is_all_there_and_counted(
    database: DatabaseSettings, valkey_url: str
) -> None:
    async with pair_of(database, valkey_url) as pair:
        before = [await pair.say(turn) for turn in range(8)]
        deleting = [pair.ask(turn, "DELETE", f"/v1/comments/{one['id']}") for turn, one in enumerate(before[:5])]
        editing = [
            pair.ask(turn, "PATCH", f"/v1/comments/{one['id']}", {"body": f"again {turn}"})
            for one in before[5:]
            for turn in range(4)
        ]
        added, answers = await asyncio.gather(
            asyncio.gather(*[pair.say(turn, f"number {turn}") for turn in range(30)]),
            asyncio.gather(*deleting, *editing),
        )
        assert {answer.status_code for answer in answers} == {200, 204}
        wanted = {one["id"] for one in (*before[5:], *added)}
        seq = max(int(answer.headers["taskforge-seq"]) for answer in answers)
        for turn in range(2):
            headers = {"TaskForge-Min-Seq": str(seq)}
            task = (await pair.ask(turn, "GET", f"/v1/tasks/{pair.task}", **headers)).json()
            found = await pair.walk(turn, 7)
            assert (task["comment_count"], len(found)) == (33, 33)
            assert {comment["id"] for comment in found} == wanted
        versions = (await pair.ask(0, "GET", f"/v1/comments/{before[5]['id']}/edits")).json()["items"]
        assert sorted(one["body"] for one in versions) == [*(f"again {turn}" for turn in range(4)), "so"]


async def test_of_edits_that_saw_the_same_version_one_is_made(database: DatabaseSettings, valkey_url: str) -> None:
    async with pair_of(database, valkey_url) as pair:
        comment = await pair.say(0)
        path, seen = f"/v1/comments/{comment['id']}", {"If-Match": f'"{comment["version"]}"'}
        answers = await asyncio.gather(
            *[pair.ask(turn, "PATCH", path, {"body": f"by {turn}"}, **seen) for turn in range(12)]
        )
        assert sorted(answer.status_code for answer in answers) == [200] + [412] * 11
        (won,) = [answer.json() for answer in answers if answer.is_success]
        assert (await pair.ask(1, "GET", path)).json() == won
        lost = [answer.json()["conflicts"] for answer in answers if not answer.is_success]
        assert {conflict["theirs"] for (conflict,) in lost} == {won["body"]}


async def test_walks_of_pages_skip_and_repeat_nothing_that_stays(database: DatabaseSettings, valkey_url: str) -> None:
    await walk_beside_writers(database, valkey_url, walks=8)


@pytest.mark.proof
@pytest.mark.timeout(900)
async def test_two_hundred_walks_skip_and_repeat_nothing_that_stays(
    database: DatabaseSettings, valkey_url: str
) -> None:
    await walk_beside_writers(database, valkey_url, walks=share(200))


async def walk_beside_writers(database: DatabaseSettings, valkey_url: str, walks: int) -> None:
    choices = random.Random(4711)
    async with pair_of(database, valkey_url) as pair:
        stays = [(await pair.say(turn, f"stays {turn}"))["id"] for turn in range(20)]
        passing, walking = [(await pair.say(turn))["id"] for turn in range(5)], True

        async def write() -> None:
            while walking:
                turn = choices.randrange(1 << 16)
                passing.append((await pair.say(turn))["id"])
                gone = passing.pop(choices.randrange(len(passing)))
                await pair.ask(turn, "PATCH", f"/v1/comments/{passing[-1]}", {"body": f"edited {turn}"})
                await pair.ask(turn, "DELETE", f"/v1/comments/{gone}")

        writing = asyncio.create_task(write())
        try:
            for walk in range(walks):
                limit, sort = choices.randint(1, 9), choices.choice(["created_at", "-created_at"])
                found = [comment["id"] for comment in await pair.walk(walk, limit, sort)]
                assert len(found) == len(set(found))
                kept = [one for one in found if one in set(stays)]
                assert kept == (stays if sort == "created_at" else stays[::-1])
        finally:
            walking = False
            await writing
