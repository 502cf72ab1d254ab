"""kill -9 of each part in turn while eight clients write: nothing acknowledged is lost, nothing happens twice."""

import asyncio
import contextlib
import itertools
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from websockets.asyncio.client import connect

from tests.support.account import NO_TLS, Account
from tests.support.folding import columns_of, fold
from tests.support.system import BROKER, System
from tests.support.topic_reader import read_teams
from tests.support.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.system, pytest.mark.timeout(300)]

WRITERS = 8
PARTS = ("taskforge api", "taskforge worker", BROKER, "bin/postgres", "valkey-server")
PAUSE = 0.02
"""Seconds between a writer's tasks: what is proven needs eight that never stop, not two cores that are full of them."""

RESTART_SECONDS = 10.0
"""From the kill to ten more tasks per writer: the part's own start and the five seconds allowed after it."""


class Writer:
    """Creates and renames tasks for ever; each change has its own key and is repeated until it is acknowledged."""

    def __init__(self, number: int, url: str, headers: dict[str, str], team: str) -> None:
        self.number, self.team = number, team
        self.http = httpx.AsyncClient(base_url=url, headers=headers, timeout=10, verify=NO_TLS)
        self.acknowledged: dict[str, dict[str, Any]] = {}
        self.last = time.monotonic()
        self.replays = 0

    async def run(self, stop: asyncio.Event) -> None:
        async with self.http:
            for count in itertools.count():
                if stop.is_set():
                    return
                title = f"task {self.number}-{count}"
                body = {"team_id": self.team, "title": title}
                task = await self.insist("POST", "/v1/tasks", body, f"create-{self.number:04}-{count:08}")
                patch = {"description": f"renamed {self.number}-{count}"}
                changed = await self.insist(
                    "PATCH", f"/v1/tasks/{task['id']}", patch, f"patch-{self.number:05}-{count:08}"
                )
                self.acknowledged[title] = changed
                await asyncio.sleep(PAUSE)

    async def insist(self, method: str, path: str, body: dict[str, Any], key: str) -> dict[str, Any]:
        while True:
            with contextlib.suppress(httpx.TransportError):
                answer = await self.http.request(method, path, json=body, headers={"Idempotency-Key": key})
                if answer.is_success:
                    self.last = time.monotonic()
                    self.replays += "Idempotent-Replayed" in answer.headers
                    found: dict[str, Any] = answer.json()
                    return found
                assert answer.status_code in {409, 503}, f"{answer.status_code} {answer.text}"
            await asyncio.sleep(0.02)


class Reader:
    """A live feed that comes again after every cut, from where it stood."""

    def __init__(self, url: str, headers: dict[str, str], team: str) -> None:
        self.url, self.headers, self.team = url.replace("http", "ws", 1), headers, team
        self.seqs: list[int] = []

    async def run(self) -> None:
        while True:
            with contextlib.suppress(OSError, TimeoutError, websockets.WebSocketException):
                after = self.seqs[-1] if self.seqs else 0
                address = f"{self.url}/v1/teams/{self.team}/live?after={after}"
                async with connect(address, additional_headers=self.headers, open_timeout=3) as socket:
                    async for text in socket:
                        frame = json.loads(text)
                        assert frame["type"] != "reset", frame
                        if frame["type"] == "event":
                            self.seqs.append(seq_of(frame))
            await asyncio.sleep(0.05)


def seq_of(frame: dict[str, Any]) -> int:
    event = frame.get("event", frame.get("data", frame))
    return int(event["seq"])


async def test_nothing_acknowledged_is_lost_and_nothing_happens_twice(system: System, tmp_path: Path) -> None:
    account = await asyncio.to_thread(Account, system.url)
    headers = {"authorization": account.http.headers["authorization"]}
    team = await asyncio.to_thread(account.team)
    writers = [Writer(number, system.url, headers, team) for number in range(WRITERS)]
    reader, stop = Reader(system.url, headers, team), asyncio.Event()
    outages: dict[str, float] = {}
    reading = asyncio.create_task(reader.run())
    async with asyncio.TaskGroup() as group:
        for writer in writers:
            group.create_task(writer.run(stop))
        await progress(writers, 20)
        for part in PARTS:
            killed = time.monotonic()
            await asyncio.to_thread(system.kill_part, part)
            await progress(writers, 10)
            outages[part] = time.monotonic() - killed
            await asyncio.to_thread(eventually, system.ready, "ready again")
        stop.set()
    acknowledged = {title: task for writer in writers for title, task in writer.acknowledged.items()}
    board = await asyncio.to_thread(account.call, "GET", f"/v1/teams/{team}/board")
    columns = columns_of(board)
    # Not every broker is back before the next part is killed.
    await asyncio.to_thread(eventually, lambda: system.status("/readyz", "ops") == 200, "the worker is ready", 60)
    async with asyncio.timeout(60):
        while not reader.seqs or reader.seqs[-1] < board["seq"]:
            await asyncio.sleep(0.05)
        events = await read_teams(f"127.0.0.1:{system.port('kafka')}", {team: board["seq"]})
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    account.http.close()
    print(f"{len(acknowledged)} tasks, seq {board['seq']}, outages {outages}")  # noqa: T201 (shown with pytest -s)

    on_board = {task["title"]: task for tasks in columns.values() for task in tasks}
    assert len(on_board) == sum(map(len, columns.values())), "a task was created twice"
    assert {title: on_board.get(title) for title in acknowledged} == acknowledged
    assert reader.seqs == list(range(1, board["seq"] + 1)), "the feed has a hole or a repeat"
    once = {event["seq"]: event for event in reversed(events[team])}
    in_order = list(dict.fromkeys(event["seq"] for event in events[team]))
    assert in_order == list(range(1, board["seq"] + 1)), "the topic has a hole or another order"
    assert fold([once[seq] for seq in in_order]) == columns
    assert all(seconds < RESTART_SECONDS * system.slowness for seconds in outages.values()), outages


async def progress(writers: list[Writer], changes: int) -> None:
    """Wait until every writer has had that many more tasks acknowledged."""
    goals = [len(writer.acknowledged) + changes for writer in writers]
    async with asyncio.timeout(60):
        while any(len(writer.acknowledged) < goal for writer, goal in zip(writers, goals, strict=True)):
            await asyncio.sleep(0.01)
