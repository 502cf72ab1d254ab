"""Event pages and event streams over real HTTP."""

import asyncio
import json
from uuid import uuid4

import pytest

from db.settings import DatabaseSettings
from tests.support.site import Site, joined, removed, serving, settings_for
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


async def test_a_page_holds_the_cloud_events_in_order_and_names_the_next(site: Site) -> None:
    ada = await site.person()
    team = await site.team(ada)
    for number in range(4):
        await site.task(ada, team, f"Task {number}")
    path = f"/v1/teams/{team}/events"
    first = (await site.client.get(path, params={"limit": 4}, headers=ada.headers)).raise_for_status()
    assert [event["seq"] for event in first.json()["items"]] == [1, 2, 3, 4]
    assert first.json()["next_cursor"] == "1:4"
    assert first.headers["taskforge-team"] == team
    assert first.headers["taskforge-seq"] == "6"
    second = (await site.client.get(path, params={"after": "1:4"}, headers=ada.headers)).json()
    assert [event["type"] for event in second["items"]] == ["task.created", "task.created"]
    assert second["next_cursor"] is None
    assert second["items"][0]["id"] == f"{team}:1:5"
    at_head = (await site.client.get(path, params={"after": "1:6"}, headers=ada.headers)).json()
    assert at_head == {"items": [], "next_cursor": None}


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "after=-1", "after=9223372036854775808", "after=", "nonsense=1"],
)
async def test_a_bad_page_request_is_a_bad_request(site: Site, query: str) -> None:
    ada = await site.person()
    team = await site.team(ada)
    answer = await site.client.get(f"/v1/teams/{team}/events?{query}", headers=ada.headers)
    assert answer.status_code == 400
    assert answer.json()["code"] == "bad-input"


@pytest.mark.parametrize("after", ["99", "1:99", "2:1"])
async def test_a_page_after_a_place_that_was_never_reached_is_a_bad_request(site: Site, after: str) -> None:
    ada = await site.person()
    team = await site.team(ada)
    answer = await site.client.get(f"/v1/teams/{team}/events?after={after}", headers=ada.headers)
    assert answer.status_code == 400
    assert answer.json()["code"] == "ahead-of-history"


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
async def test_foreign_and_random_teams_look_alike(site: Site, accept: str) -> None:
    ada, eve = await site.person(), await site.person()
    team = await site.team(ada)
    answers = [
        await site.client.get(f"/v1/teams/{asked}/events", headers={**eve.headers, "Accept": accept})
        for asked in (team, uuid4())
    ]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].json()["detail"] == answers[1].json()["detail"]
    nobody = await site.client.get(f"/v1/teams/{team}/events", headers={"Accept": accept})
    assert nobody.status_code == 401


async def test_a_stream_starts_with_a_place_and_goes_on_with_what_happens(site: Site) -> None:
    ada = await site.person()
    team = await site.team(ada)
    async with site.stream(team, ada) as stream:
        assert stream.answer.headers["content-type"] == "text/event-stream"
        assert stream.answer.headers["cache-control"] == "no-store"
        assert stream.answer.headers["x-accel-buffering"] == "no"
        hello = await stream.next()
        assert hello == {"id": "1:2", "event": "heartbeat", "data": {"seq": 2}}
        assert 1000 <= stream.retry <= 3000
        task = await site.task(ada, team, "\N{ROCKET}", "Zeile\neins\r\nzwei \u2028 \N{ROCKET}")
        event = await stream.next()
        assert (event["id"], event["event"]) == ("1:3", "task.created")
        assert event["data"]["data"]["task"] == task
    page = await site.client.get(f"/v1/teams/{team}/events?after=2", headers=ada.headers)
    assert page.json()["items"] == [event["data"]]


async def test_a_stream_resumes_after_the_last_event_id_which_wins_over_after(site: Site) -> None:
    ada = await site.person()
    team = await site.team(ada)
    for _ in range(3):
        await site.task(ada, team)
    async with site.stream(team, ada, "?after=4", **{"Last-Event-ID": "1:2"}) as stream:
        assert await stream.seqs(3) == [3, 4, 5]
        await site.task(ada, team)
        assert await stream.seqs(1) == [6]
    async with site.stream(team, ada, "?after=5") as stream:
        assert await stream.seqs(1) == [6]


@pytest.mark.parametrize(("place", "reason"), [("7:2", "epoch"), ("1:99", "ahead"), ("9223372036854775807", "ahead")])
async def test_a_place_that_cannot_be_resumed_gives_one_reset(site: Site, place: str, reason: str) -> None:
    ada = await site.person()
    team = await site.team(ada)
    async with site.stream(team, ada, **{"Last-Event-ID": place}) as stream:
        reset = await stream.next()
        assert (reset["id"], reset["event"], reset["data"]["reason"]) == ("1:2", "reset", reason)
        snapshot = await site.client.get(reset["data"]["snapshot"], headers=ada.headers)
        assert snapshot.json()["seq"] == 2
        await site.task(ada, team)
        assert await stream.seqs(1) == [3]


@pytest.mark.parametrize("place", ["9223372036854775808", "-1", "x"])
async def test_a_malformed_last_event_id_is_a_bad_request(site: Site, place: str) -> None:
    ada = await site.person()
    team = await site.team(ada)
    headers = {**ada.headers, "Accept": "text/event-stream", "Last-Event-ID": place}
    assert (await site.client.get(f"/v1/teams/{team}/events", headers=headers)).status_code == 400


async def test_a_stream_whose_client_leaves_is_released(own_site: Site) -> None:
    ada = await own_site.person()
    team = await own_site.team(ada)
    async with own_site.stream(team, ada) as stream:
        await stream.next()
        assert own_site.services.hub.statistics().subscribers == 1
    await until(lambda: not own_site.services.hub._open)
    assert own_site.services.hub.statistics().subscribers == 0


async def test_a_removed_member_gets_his_removal_and_nothing_more(site: Site) -> None:
    ada, bob = await site.person(), await site.person()
    team = await site.team(ada)
    await joined(site, team, ada, bob)
    async with site.stream(team, bob) as stream:
        await stream.next()
        await removed(site, team, ada, bob)
        await site.task(ada, team, "not for Bob")
        last = await stream.next()
        assert (last["event"], last["data"]["subject"]) == ("member.removed", bob.user_id)
        assert await stream.next() == {}
    again = await site.client.get(f"/v1/teams/{team}/events", headers=bob.headers)
    assert again.status_code == 404


async def test_a_stream_ends_with_its_session(site: Site) -> None:
    ada = await site.person()
    team = await site.team(ada)
    async with site.stream(team, ada) as stream:
        await stream.next()
        body = {"refresh_token": ada.refresh_token}
        (await site.client.post("/v1/auth/logout", json=body, headers=ada.headers)).raise_for_status()
        assert await stream.next() == {}


async def test_draining_sends_streams_elsewhere_within_two_seconds(own_site: Site) -> None:
    ada = await own_site.person()
    team = await own_site.team(ada)
    async with own_site.stream(team, ada) as stream:
        await stream.next()
        async with asyncio.timeout(2):
            await own_site.services.hub.drain()
        assert (await stream.next())["event"] == "reconnect"
        assert 1000 <= stream.retry <= 3000
        assert await stream.next() == {}
    headers = {**ada.headers, "Accept": "text/event-stream"}
    assert (await own_site.client.get(f"/v1/teams/{team}/events", headers=headers)).status_code == 503


async def test_a_silent_stream_beats(database: DatabaseSettings, valkey_url: str) -> None:
    async with serving(settings_for(database, valkey_url, heartbeat_seconds=0.05)) as site:
        ada = await site.person()
        team = await site.team(ada)
        async with site.stream(team, ada) as stream:
            beats = [await stream.next() for _ in range(3)]
        assert beats == [{"id": "1:2", "event": "heartbeat", "data": {"seq": 2}}] * 3


async def test_a_stream_that_lived_long_enough_is_told_to_reconnect(
    database: DatabaseSettings, valkey_url: str
) -> None:
    async with serving(settings_for(database, valkey_url, connection_seconds=1)) as site:
        ada = await site.person()
        team = await site.team(ada)
        async with site.stream(team, ada) as stream:
            await stream.next()
            assert (await stream.next())["event"] == "reconnect"


async def test_a_stream_on_another_worker_follows_and_resumes_across_workers(
    database: DatabaseSettings, valkey_url: str
) -> None:
    settings = settings_for(database, valkey_url)
    async with serving(settings) as here, serving(settings) as there:
        ada = await here.person()
        team = await here.team(ada)
        async with there.stream(team, ada, "?after=0") as stream:
            assert await stream.seqs(2) == [1, 2]
            for number in range(30):
                await (here if number % 3 else there).task(ada, team)
            assert await stream.seqs(30) == list(range(3, 33))
        async with here.stream(team, ada, **{"Last-Event-ID": "1:20"}) as stream:
            assert await stream.seqs(12) == list(range(21, 33))


async def test_pages_are_the_same_bytes_as_the_stream(site: Site) -> None:
    ada = await site.person()
    team = await site.team(ada)
    page = await site.client.get(f"/v1/teams/{team}/events", headers=ada.headers)
    async with site.stream(team, ada, "?after=0") as stream:
        events = [await stream.next() for _ in range(3)]
    data = [event["data"] for event in events if event["event"] != "heartbeat"]
    assert json.loads(page.content)["items"] == data
