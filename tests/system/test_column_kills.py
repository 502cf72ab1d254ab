"""A column with thousands of tasks is deleted while clients move its cards and the API is killed: no task is lost."""

import asyncio
import contextlib
import os
import random
from typing import Any, Final

import httpx
import pytest

from tests.support.account import NO_TLS, Account
from tests.support.folding import columns_of, fold
from tests.support.system import System
from tests.support.waiting import until_answered

pytestmark = [pytest.mark.anyio, pytest.mark.system, pytest.mark.proof, pytest.mark.timeout(600)]

TASKS: Final = int(os.environ.get("TASKFORGE_PROOF_TASKS", "5000"))
CLIENTS: Final = 8
KILLS: Final = 3


class Mover:
    """Moves cards of its own to another column, one after the other, and repeats each until it is acknowledged."""

    def __init__(self, number: int, http: httpx.AsyncClient, cards: list[str], target: str) -> None:
        self.number, self.http, self.cards, self.target = number, http, cards, target
        self.moved = list[str]()

    async def run(self, stop: asyncio.Event) -> None:
        for count, card in enumerate(self.cards):
            if stop.is_set():
                return
            key = f"move-{self.number:04}-{count:08}"
            await insist(self.http, "POST", f"/v1/tasks/{card}/move", {"column_id": self.target}, key)
            self.moved.append(card)


async def insist(http: httpx.AsyncClient, method: str, path: str, body: Any, key: str) -> httpx.Response:
    while True:
        with contextlib.suppress(httpx.TransportError):
            answer = await http.request(method, path, json=body, headers={"Idempotency-Key": key})
            if answer.is_success:
                return answer
            assert answer.status_code in {409, 503}, f"{answer.status_code} {answer.text}"
        await asyncio.sleep(0.05)


async def filled(http: httpx.AsyncClient, team: str, column: str) -> list[str]:
    ids = list[str]()
    for start in range(0, TASKS, 100):
        operations = [{"op": "create", "title": f"t{start + n}", "column_id": column} for n in range(100)]
        body = {"team_id": team, "operations": operations}
        ids += [
            task["id"] for task in (await http.post("/v1/tasks/batch", json=body)).raise_for_status().json()["items"]
        ]
    return ids


async def events_of(http: httpx.AsyncClient, team: str) -> list[dict[str, Any]]:
    events = list[dict[str, Any]]()
    while True:
        after = events[-1]["seq"] if events else 0
        page = (await http.get(f"/v1/teams/{team}/events?after={after}&limit=100")).raise_for_status().json()["items"]
        if not page:
            return events
        events += page


async def test_no_task_is_lost_and_the_order_is_kept_when_a_column_goes_under_kills(system: System) -> None:
    account = await asyncio.to_thread(Account, system.url)
    headers = {"authorization": account.http.headers["authorization"]}
    team = await asyncio.to_thread(account.team)
    columns, stop = f"/v1/teams/{team}/columns", asyncio.Event()
    async with httpx.AsyncClient(base_url=system.url, headers=headers, timeout=20, verify=NO_TLS) as http:
        body = {"name": "From", "category": "open"}
        column = (await http.post(columns, json=body)).raise_for_status().json()["id"]
        target, done = [item["id"] for item in (await http.get(columns)).json()["items"]][0:4:3]
        ids = await filled(http, team, column)
        cards = random.Random(7).sample(ids, len(ids) // 4)
        movers = [Mover(number, http, cards[number::CLIENTS], done) for number in range(CLIENTS)]
        async with asyncio.TaskGroup() as group:
            moving = [group.create_task(mover.run(stop)) for mover in movers]
            path = f"{columns}/{column}"
            deleting = group.create_task(insist(http, "DELETE", f"{path}?move_to={target}", None, "a-column-that-goes"))
            for number in range(KILLS):
                await asyncio.sleep(0.3 * (number + 1))
                await asyncio.to_thread(system.kill_part, "taskforge api")

            async def is_gone() -> bool:
                with contextlib.suppress(httpx.TransportError):
                    return (await http.get(path)).status_code == 404
                return False

            await until_answered(is_gone, seconds=120)
            stop.set()
            await asyncio.gather(*moving)
            assert (await deleting).status_code in {202, 204}
        board = (await http.get(f"/v1/teams/{team}/board")).json()
        events = await events_of(http, team)
    account.http.close()
    shown = {item["id"]: [task["id"] for task in item["tasks"]] for item in board["columns"]}
    assert column not in shown
    assert sorted(shown[target] + shown[done]) == sorted(ids), "a task was lost, or is there twice"
    moved = {card for mover in movers for card in mover.moved}
    assert moved == set(shown[done])
    assert shown[target] == [task for task in ids if task not in moved], "what went with the column kept its order"
    assert [event["seq"] for event in events] == list(range(1, board["seq"] + 1))
    assert sum(event["type"] == "column.deleted" for event in events) == 1
    assert fold(events) == columns_of(board)
