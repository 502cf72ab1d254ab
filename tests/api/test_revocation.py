"""Revocation is ordered, over two workers: what a role or a membership no longer allows is refused by both of them."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from db.settings import DatabaseSettings
from tests.support.desk import Desk, new_key, problem
from tests.support.site import Site, frame, frames_until_closed, serving, settings_for
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

ROUNDS = 10


class Pair:
    """Two workers, at each of which the same people ask; both have the team in memory."""

    def __init__(self, desk: Desk, there: Site) -> None:
        self.desk, self.here, self.there = desk, desk.site, there

    async def at(self, site: Site, method: str, path: str, who: str, **options: Any) -> httpx.Response:
        headers = {**self.desk[who].headers, **options.pop("headers", {})}
        return await site.client.request(method, path, headers=headers, **options)

    async def awake(self) -> None:
        """Both have the board in memory, so that neither has to ask Postgres who is a member."""
        for site in (self.here, self.there):
            assert (await self.at(site, "GET", f"/v1/teams/{self.desk.team}/board", "owner")).is_success

    async def role(self, who: str, role: str) -> int:
        """Change a role at one worker; the seq of it."""
        path = f"/v1/teams/{self.desk.team}/members/{self.desk[who].user_id}"
        answer = await self.at(self.here, "PATCH", path, "owner", json={"role": role})
        assert answer.is_success, answer.text
        return int(answer.headers["taskforge-seq"])

    async def remove(self, who: str) -> int:
        """Remove a member at one worker; the seq of it."""
        path = f"/v1/teams/{self.desk.team}/members/{self.desk[who].user_id}"
        answer = await self.at(self.here, "DELETE", path, "owner")
        assert answer.is_success, answer.text
        return int(answer.headers["taskforge-seq"])

    @contextlib.contextmanager
    def deaf(self) -> Iterator[None]:
        """The other worker hears nothing of what is committed: its memory goes on saying what was true before."""
        with pytest.MonkeyPatch.context() as patch:
            for name in ("absorb", "catch_up_to", "compare"):
                patch.setattr(self.there.services.teams, name, lambda *_: None)
            yield


@pytest.fixture
async def pair(database: DatabaseSettings, valkey_url: str) -> AsyncIterator[Pair]:
    settings = settings_for(database, valkey_url)
    async with serving(settings) as here, serving(settings) as there:
        pair = Pair(await Desk.open(here), there)
        await pair.awake()
        yield pair


async def test_the_next_write_of_a_demoted_member_is_refused_by_the_other_worker(pair: Pair) -> None:
    body = {"team_id": pair.desk.team, "title": "x"}
    for _ in range(ROUNDS):
        await pair.role("member", "member")
        assert (await pair.at(pair.there, "POST", "/v1/tasks", "member", json=body)).status_code == 201
        with pair.deaf():
            await pair.role("member", "viewer")
            problem(await pair.at(pair.there, "POST", "/v1/tasks", "member", json=body), 403, "forbidden")


async def test_the_next_invitation_of_a_demoted_admin_is_refused_by_the_other_worker(pair: Pair) -> None:
    path = f"/v1/teams/{pair.desk.team}/invitations"
    for _ in range(ROUNDS):
        await pair.role("admin", "admin")
        assert (await pair.at(pair.there, "POST", path, "admin", json={"role": "viewer"})).status_code == 201
        with pair.deaf():
            await pair.role("admin", "member")
            for method, options in (("POST", {"json": {"role": "viewer"}}), ("GET", {})):
                problem(await pair.at(pair.there, method, path, "admin", **options), 403, "forbidden")


async def test_a_stored_answer_is_denied_after_a_demotion_and_after_a_removal(pair: Pair) -> None:
    body = {"team_id": pair.desk.team, "title": "x"}
    for number in range(ROUNDS):
        keyed = {"Idempotency-Key": new_key()}
        first = await pair.at(pair.there, "POST", "/v1/tasks", "member", json=body, headers=keyed)
        assert first.status_code == 201
        with pair.deaf():
            await (pair.role("member", "viewer") if number % 2 else pair.remove("member"))
            replayed = await pair.at(pair.there, "POST", "/v1/tasks", "member", json=body, headers=keyed)
        if number % 2:
            problem(replayed, 403, "forbidden")
            await pair.role("member", "member")
        else:
            problem(replayed, 404, "not-found")
            await pair.desk.join(pair.desk.team, "owner", "member", "member")
        assert "idempotent-replayed" not in replayed.headers


async def test_a_removed_member_reads_nothing_at_or_after_the_removal(pair: Pair) -> None:
    task = (await pair.desk.task())["id"]
    paths = [f"/v1/teams/{pair.desk.team}/board", f"/v1/tasks?team_id={pair.desk.team}", f"/v1/tasks/{task}"]
    for _ in range(ROUNDS):
        for path in paths:
            assert (await pair.at(pair.there, "GET", path, "member")).is_success
        seq = await pair.remove("member")
        for path in paths:
            reached = {"TaskForge-Min-Seq": str(seq)}
            problem(await pair.at(pair.there, "GET", path, "member", headers=reached), 404, "not-found")
        await pair.desk.join(pair.desk.team, "owner", "member", "member")


async def test_a_removed_member_is_forgotten_by_every_worker_without_being_asked(pair: Pair) -> None:
    await pair.remove("member")
    path = f"/v1/teams/{pair.desk.team}/board"

    with anyio.fail_after(2):
        while (await pair.at(pair.there, "GET", path, "member")).status_code != 404:
            pass


async def test_nothing_after_the_removal_reaches_a_feed_of_the_removed_at_any_worker(pair: Pair) -> None:
    desk, done = pair.desk, asyncio.Event()

    async def write(site: Site) -> None:
        while not done.is_set():
            body = {"team_id": desk.team, "title": "x"}
            assert (await pair.at(site, "POST", "/v1/tasks", "owner", json=body)).status_code == 201

    seen: list[list[int]] = []

    async def follow(site: Site) -> None:
        seen.append(seqs := [])
        async with site.stream(desk.team, desk["member"], "?after=0") as stream:
            while event := await stream.next():
                if event["event"] not in {"heartbeat", "reset"} and "subject" in event["data"]:
                    seqs.append(event["data"]["seq"])

    async def watch(site: Site) -> int:
        seen.append(seqs := [])
        async with site.live(desk.team, desk["member"], "?after=0") as live:
            with anyio.fail_after(20), contextlib.suppress(ConnectionClosed):
                while True:
                    frame = json.loads(await live.recv())
                    if frame["type"] == "event":
                        seqs.append(frame["seq"])
            return live.close_code or 0

    writing = [asyncio.create_task(write(site)) for site in (pair.here, pair.there)]
    streams = [asyncio.create_task(follow(site)) for site in (pair.here, pair.there)]
    sockets = [asyncio.create_task(watch(site)) for site in (pair.here, pair.there)]
    await until(lambda: len(seen) == 4 and all(len(seqs) > 10 for seqs in seen))
    removal = await pair.remove("member")
    await asyncio.gather(*streams)
    codes = await asyncio.gather(*sockets)
    done.set()
    await asyncio.gather(*writing)
    for seqs in seen:
        assert seqs == list(range(1, removal + 1))
    assert codes == [4403, 4403]
    events = (await desk.get(f"/v1/teams/{desk.team}/events?after={removal}")).json()["items"]
    assert events, "something happened after the removal, or nothing was proven"


async def test_a_refresh_token_that_comes_back_ends_family_access_and_feeds_at_both_workers(pair: Pair) -> None:
    thief, desk = pair.desk["member"], pair.desk
    spent = {"refresh_token": thief.refresh_token}
    for _ in range(2):  # The grace is for the direct parent of the newest leaf, and for nobody else.
        answer = await pair.here.client.post("/v1/auth/refresh", json=spent)
        spent = {"refresh_token": answer.raise_for_status().json()["refresh_token"]}
    async with (
        pair.there.live(desk.team, thief) as live,
        pair.there.stream(desk.team, thief) as stream,
        pair.there.live(desk.team, desk["owner"]) as kept,
    ):
        await frame(live, "hello")
        await frame(kept, "hello")
        await stream.next()
        async with asyncio.timeout(1):
            came_back = {"refresh_token": thief.refresh_token}
            problem(await pair.here.client.post("/v1/auth/refresh", json=came_back), 401, "unauthenticated")
            assert await frames_until_closed(live) == ([], 4401, "authenticate again")
            assert await stream.next() == {}
        for site in (pair.here, pair.there):
            problem(await pair.at(site, "GET", "/v1/me", "member"), 401, "unauthenticated")
            problem(await site.client.post("/v1/auth/refresh", json=spent), 401, "unauthenticated")
        await desk.task()
        await frame(kept, "event")
