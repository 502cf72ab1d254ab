"""A dump, more work, and the dump restored under the running system, with Valkey and the broker alive."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.database import Database
from tests.support.account import NO_TLS, Account
from tests.support.directories import open_directory
from tests.support.example_consumer import example
from tests.support.folding import columns_of, fold
from tests.support.system import System
from tests.support.topic_reader import TASKS, read_all, read_teams
from tests.support.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.system, pytest.mark.timeout(300)]

BEFORE, AFTER = 20, 25


@pytest.fixture
def system(services_root: Path) -> Iterator[System]:
    """A system of its own: what is done to it here is nothing that others should share."""
    with open_directory(services_root) as directory:
        system = System(directory)
        try:
            system.start()
            # Whoever asks for a topic before it is laid out makes another one.
            system.wait_until(lambda: system.status("/readyz", "ops") == 200, "the worker is ready")
            yield system
            assert system.stop() == 0
        finally:
            system.kill()


class Feed:
    """Server-Sent Events of a team, read as a browser would: it comes again from its last id after every cut."""

    def __init__(self, system: System, account: Account, team: str) -> None:
        self.frames: list[tuple[str, str]] = []
        """(event, id) of everything but heartbeats."""
        self._url = f"{system.url}/v1/teams/{team}/events"
        self._headers = {"authorization": account.http.headers["authorization"], "accept": "text/event-stream"}
        self._last = ""

    async def run(self) -> None:
        async with httpx.AsyncClient(verify=NO_TLS, timeout=httpx.Timeout(10, read=40)) as client:
            while True:
                headers = self._headers | ({"last-event-id": self._last} if self._last else {})
                try:
                    async with client.stream("GET", self._url, headers=headers) as answer:
                        if answer.status_code == 200:
                            await self._read(answer)
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.05)

    async def _read(self, answer: httpx.Response) -> None:
        fields: dict[str, str] = {}
        async for line in answer.aiter_lines():
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
                continue
            self._last = fields.get("id", self._last)
            if fields.get("event", "heartbeat") not in {"heartbeat", "reconnect"}:
                self.frames.append((fields["event"], fields["id"]))
            fields = {}


def changes(account: Account, team: str, prefix: str, count: int) -> list[dict[str, Any]]:
    operations = [{"op": "create", "title": f"{prefix} {number}"} for number in range(count)]
    items: list[dict[str, Any]] = account.call("POST", "/v1/tasks/batch", team_id=team, operations=operations)["items"]
    return items


def insist(account: Account, method: str, path: str, **body: Any) -> Any:
    """Ask until the answer is not 503: what is restored may be away for a moment, and says so."""

    def asked() -> httpx.Response | None:
        try:
            answer = account.http.request(method, path, json=body or None)
        except httpx.TransportError:
            return None
        return None if answer.status_code == 503 else answer

    answer = eventually(asked, f"{method} {path} is answered")
    assert answer is not None
    assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
    return answer.json()


async def test_after_a_restore_nothing_of_the_lost_history_is_left_anywhere(system: System) -> None:
    database = Database(system)
    account = await asyncio.to_thread(Account, system.url)
    team, calm = account.team(), account.team("calm")
    kept = changes(account, team, "kept", BEFORE)
    dump = await database.dump()
    changes(account, team, "lost", AFTER)
    for task in kept[:5]:
        account.call("PATCH", f"/v1/tasks/{task['id']}", title="lost title")
    lost = account.call("GET", f"/v1/teams/{team}/board")
    bootstrap = f"127.0.0.1:{system.port('kafka')}"
    await read_teams(bootstrap, {team: lost["seq"]})
    boards = example().Boards()
    following = asyncio.create_task(example().follow(bootstrap, boards))
    await until(lambda: sum(map(len, boards.board(team).values())) == BEFORE + AFTER)
    feed = Feed(system, account, team)
    reading = asyncio.create_task(feed.run())
    await until(lambda: feed._last.endswith(f":{lost['seq']}"))

    await database.drop()
    await database.restore(dump)
    board = await asyncio.to_thread(eventually, lambda: board_of_epoch(account, team, 2), "the team has its new epoch")
    assert board["seq"] == 2 + BEFORE + 1
    assert {task["title"] for column in board["columns"] for task in column["tasks"]} == {
        f"kept {number}" for number in range(BEFORE)
    }
    changed = await asyncio.to_thread(insist, account, "PATCH", f"/v1/tasks/{kept[0]['id']}", title="new title")
    assert changed["version"] == board["seq"] + 1
    await asyncio.to_thread(insist, account, "GET", f"/v1/teams/{calm}/board")

    await until(lambda: ("task.updated", f"2:{changed['version']}") in feed.frames)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert [name for name, _ in feed.frames].count("reset") == 1
    assert feed.frames[-1] == ("task.updated", f"2:{changed['version']}")

    board = account.call("GET", f"/v1/teams/{team}/board")
    events = await read_epoch(bootstrap, team, 2, changed["version"])
    contents: dict[str, set[str]] = {}
    for event in events:
        contents.setdefault(event["id"], set()).add(json.dumps(event, sort_keys=True))
    assert not {name for name, found in contents.items() if len(found) > 1}, "an event id has two contents"
    assert fold(standing(events)) == columns_of(board)
    assert await state_of(bootstrap, team) == {
        task["id"]: task for tasks in columns_of(board).values() for task in tasks
    }
    await until(lambda: team in boards.teams and boards.teams[team].at == (2, changed["version"]))
    assert boards.board(team) == {status: tasks for status, tasks in columns_of(board).items() if tasks}

    await asyncio.to_thread(system.kill_part, "bin/tansu")
    again = await asyncio.to_thread(insist, account, "PATCH", f"/v1/tasks/{kept[0]['id']}", title="after the broker")
    await until(lambda: team in boards.teams and boards.teams[team].at == (2, again["version"]))
    assert not boards.lacking
    board = account.call("GET", f"/v1/teams/{team}/board")
    assert boards.board(team) == {status: tasks for status, tasks in columns_of(board).items() if tasks}
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    account.http.close()


def board_of_epoch(account: Account, team: str, epoch: int) -> Any:
    board = insist(account, "GET", f"/v1/teams/{team}/board")
    return board if board["epoch"] == epoch else None


def standing(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As the guide says: an event of an older epoch from `from_seq` on has not happened."""
    starts = {event["epoch"]: event["data"]["from_seq"] for event in events if event["type"] == "team.restored"}
    once = {event["id"]: event for event in events}
    return [
        event
        for event in once.values()
        if not any(event["epoch"] < epoch and event["seq"] >= first for epoch, first in starts.items())
    ]


async def read_epoch(bootstrap: str, team: str, epoch: int, seq: int) -> list[dict[str, Any]]:
    """Everything the topic has of the team, once it has this event."""
    async with asyncio.timeout(60):
        while True:
            events = (await read_teams(bootstrap, {team: seq}))[team]
            if (events[-1]["epoch"], events[-1]["seq"]) == (epoch, seq):
                return events
            await asyncio.sleep(0.1)


async def state_of(bootstrap: str, team: str) -> dict[str, Any]:
    """The tasks of the team, as the compacted topic has them in the end."""
    state: dict[str, Any] = {}
    for record in await read_all(bootstrap, TASKS):
        state[record.key.decode()] = None if record.value is None else json.loads(record.value)
    return {key: task for key, task in state.items() if task is not None and task["team_id"] == team}


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.05)
