"""Two API workers write the same hot team: one sequence without fork or hole, and every feed the same to the byte."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.support.account import NO_TLS, Account
from tests.support.system import System, children

pytestmark = [pytest.mark.anyio, pytest.mark.system, pytest.mark.timeout(120)]
UP = ("--workers", "2")

CLIENTS, CHANGES, FEEDS = 16, 40, 12


async def change(url: str, headers: dict[str, str], task: str, number: int) -> set[int]:
    """One client on a connection of its own, so that the kernel gives it to either worker; the versions it was told."""
    told = set()
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=20, verify=NO_TLS) as http:
        for count in range(CHANGES):
            answer = await http.patch(f"/v1/tasks/{task}", json={"title": f"{number}-{count}"})
            assert answer.status_code == 200, answer.text
            told.add(answer.json()["version"])
    return told


async def follow(url: str, headers: dict[str, str], team: str, last: "asyncio.Future[int]") -> list[str]:
    """Everything a feed says until the last number is known and reached."""
    heard: list[str] = []
    address = f"{url.replace('http', 'ws', 1)}/v1/teams/{team}/live?after=0"
    async with connect(address, additional_headers=headers, max_queue=None) as socket:
        while not (last.done() and heard and json.loads(heard[-1])["seq"] >= last.result()):
            async with asyncio.timeout(20):
                frame = str(await socket.recv())
            if json.loads(frame)["type"] == "event":
                heard.append(frame)
    return heard


async def test_two_workers_on_one_team_keep_one_sequence_and_tell_it_alike(system: System) -> None:
    assert len(children(system.pid_of("taskforge api"))) >= 2
    account = await asyncio.to_thread(Account, system.url)
    headers = {"authorization": account.http.headers["authorization"]}
    team = await asyncio.to_thread(account.team, "hot", "hotter")
    tasks = [task["id"] for task in (await board(account, team))["columns"][0]["tasks"]]
    last: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    feeds = [asyncio.create_task(follow(system.url, headers, team, last)) for _ in range(FEEDS)]
    told = await asyncio.gather(*(change(system.url, headers, tasks[number % 2], number) for number in range(CLIENTS)))
    # Not the board's: the worker that is asked may not have heard of the other's last change yet.
    last.set_result(max(set().union(*told)))
    await asyncio.to_thread(account.call, "POST", "/v1/tasks", team_id=team, title="the end, for those who wait")
    heard = await asyncio.gather(*feeds)
    account.http.close()

    versions = set().union(*told)
    assert len(versions) == CLIENTS * CHANGES, "two changes were told the same number"
    first = [json.loads(frame)["seq"] for frame in heard[0]]
    assert first == list(range(1, len(first) + 1))
    assert versions <= set(first)
    for feed in heard[1:]:
        shared = min(len(feed), len(heard[0]))
        assert feed[:shared] == heard[0][:shared]


async def board(account: Account, team: str) -> Any:
    return await asyncio.to_thread(account.call, "GET", f"/v1/teams/{team}/board")
