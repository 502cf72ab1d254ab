"""Webhooks of a whole system whose worker is killed as by kill -9, before it has an answer and before it writes one.

A claimed attempt waits until its lease has run out, 45 s.
"""

import contextlib
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from standardwebhooks import Webhook

from streams.webhooks.sender import LEASE_SECONDS
from tests.support.account import NO_TLS, PASSWORD
from tests.support.directories import open_directory
from tests.support.receivers import Behaviour, Receiver, receiving
from tests.support.system import System
from tests.support.waiting import until_answered

pytestmark = [pytest.mark.anyio, pytest.mark.system, pytest.mark.proof, pytest.mark.timeout(420)]

TASKS: Final = 30
KILLED_AT: Final = (5, 15)
"""At which of the requests that come the worker is killed: it never hears their answers."""


@contextlib.contextmanager
def running(root: Path) -> Any:
    with open_directory(root) as directory:
        system = System(directory)
        try:
            system.start()
            yield system
            assert system.stop() == 0
        finally:
            system.kill()


def killing(system: System, receiver: Receiver) -> Callable[[str, Mapping[str, str]], Behaviour]:
    def behave(_path: str, _headers: Mapping[str, str]) -> Behaviour:
        if len(receiver.received) in KILLED_AT:
            system.kill_part("taskforge worker")
        return Behaviour()

    return behave


@contextlib.asynccontextmanager
async def owner(system: System) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=system.url, timeout=30, verify=NO_TLS) as http:
        body = {"email": "ada@example.org", "password": PASSWORD, "name": "Ada"}
        given = (await http.post("/v1/auth/signup", json=body)).raise_for_status().json()
        http.headers["Authorization"] = f"Bearer {given['access_token']}"
        yield http


async def made(http: httpx.AsyncClient, path: str, body: Any) -> Any:
    return (await http.post(path, json=body)).raise_for_status().json()


async def test_no_event_is_lost_and_each_has_one_chain_under_one_id(services_root: Path) -> None:
    with running(services_root) as system:
        async with receiving() as receiver, owner(system) as http:
            team = (await made(http, "/v1/teams", {"name": "Killed", "key": "KIL"}))["id"]
            hook = await made(http, "/v1/webhooks/subscriptions", {"team_id": team, "url": receiver.url("/in")})
            receiver.behave = killing(system, receiver)
            for number in range(TASKS):
                await made(http, "/v1/tasks", {"team_id": team, "title": f"Task {number}"})
            log = f"/v1/webhooks/subscriptions/{hook['id']}/deliveries?limit=100"

            async def all_delivered() -> bool:
                items = (await http.get(log)).raise_for_status().json()["items"]
                return len(items) == TASKS and all(one["status"] == "delivered" for one in items)

            await until_answered(all_delivered, 4 * LEASE_SECONDS)
            await check(http, receiver, hook)


async def check(http: httpx.AsyncClient, receiver: Receiver, hook: Any) -> None:
    came = defaultdict[str, list[bytes]](list)
    for got in receiver.received:
        Webhook(hook["secret"]).verify(got.body, dict(got.headers))
        came[got.headers["webhook-id"]].append(got.body)
    assert len(came) == TASKS
    assert all(len(set(bodies)) == 1 for bodies in came.values()), "a repeat is the same to the byte"
    repeats = sum(len(bodies) - 1 for bodies in came.values())
    assert repeats >= 1, "nothing was cut off"
    interrupted = 0
    items = (await http.get(f"/v1/webhooks/subscriptions/{hook['id']}/deliveries?limit=100")).json()["items"]
    for one in items:
        attempts = (await http.get(f"/v1/webhooks/deliveries/{one['id']}")).json()["attempts"]
        assert [attempt["number"] for attempt in attempts] == list(range(1, len(attempts) + 1))
        assert [attempt["status"] for attempt in attempts].count(204) == 1, json.dumps(attempts)
        interrupted += sum(attempt["error"] == "interrupted" for attempt in attempts)
    assert interrupted >= repeats
