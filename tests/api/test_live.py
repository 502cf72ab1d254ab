"""The live socket over a real connection: who may open it, what it says, and why it closes."""

import asyncio
import json
from uuid import uuid4

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from api.auth.lifetimes import origin_allowed, token_ends_at
from core.principal import Principal
from db.settings import DatabaseSettings
from tests.support.site import Person, Site, frame, frames_until_closed, joined, removed, serving, settings_for
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


async def ticket_for(site: Site, person: Person, team: object) -> httpx.Response:
    return await site.client.post("/v1/live-tickets", json={"team_id": str(team)}, headers=person.headers)


async def test_a_socket_says_hello_and_carries_the_cloud_event(site: Site) -> None:
    ada = await site.person()
    team = await site.team(ada)
    async with site.live(team, ada) as live:
        assert await frame(live) == {"type": "hello", "seq": 2, "epoch": 1, "you": ada.user_id}
        task = await site.task(ada, team, 'Quote " and \N{ROCKET}')
        event = await frame(live)
        assert (event["type"], event["seq"]) == ("event", 3)
        assert event["event"]["data"]["task"] == task


async def test_a_socket_resumes_after_a_place(site: Site) -> None:
    ada = await site.person()
    team = await site.team(ada)
    for _ in range(3):
        await site.task(ada, team)
    async with site.live(team, ada, "?after=1:2") as live:
        assert (await frame(live))["seq"] == 5
        assert [(await frame(live))["seq"] for _ in range(3)] == [3, 4, 5]
    async with site.live(team, ada, "?after=3:2") as live:
        await frame(live)
        assert await frame(live) == {
            "type": "reset", "reason": "epoch", "seq": 5, "epoch": 1, "snapshot": f"/v1/teams/{team}/board"
        }  # fmt: skip


@pytest.mark.parametrize("query", ["?after=-1", "?after=9223372036854775808", "?after=1&after=2", "?other=1"])
async def test_a_malformed_place_is_an_error_and_closes(site: Site, query: str) -> None:
    ada = await site.person()
    team = await site.team(ada)
    async with site.live(team, ada, query) as live:
        frames, code, reason = await frames_until_closed(live)
    assert [(found["type"], found["code"]) for found in frames] == [("error", "bad-input")]
    assert (code, reason) == (1008, "malformed request")


class TestAuthentication:
    async def test_nobody_and_bad_tokens_are_closed_with_4401(self, site: Site) -> None:
        ada = await site.person()
        team = await site.team(ada)
        given: list[dict[str, str]] = [{}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic YTpi"}]
        for headers in given:
            async with site.live(team, None, "", **headers) as live:
                assert await frames_until_closed(live) == ([], 4401, "authenticate again")

    async def test_a_ticket_opens_one_socket_to_its_team(self, site: Site) -> None:
        ada = await site.person()
        team, other = await site.team(ada), await site.team(ada)
        answer = await ticket_for(site, ada, team)
        assert answer.status_code == 201
        assert answer.json()["expires_in"] == 30
        assert answer.headers["cache-control"] == "no-store"
        query = f"?ticket={answer.json()['ticket']}"
        async with site.live(team, None, query) as live:
            assert (await frame(live))["you"] == ada.user_id
        async with site.live(team, None, query) as live:
            assert (await frames_until_closed(live))[1] == 4401
        elsewhere = (await ticket_for(site, ada, team)).json()["ticket"]
        async with site.live(other, None, f"?ticket={elsewhere}") as live:
            assert (await frames_until_closed(live))[1] == 4401

    async def test_a_ticket_of_a_session_that_ended_opens_nothing(self, site: Site) -> None:
        ada = await site.person()
        team = await site.team(ada)
        ticket = (await ticket_for(site, ada, team)).json()["ticket"]
        await site.client.post("/v1/auth/logout", json={"refresh_token": ada.refresh_token}, headers=ada.headers)
        async with site.live(team, None, f"?ticket={ticket}") as live:
            assert (await frames_until_closed(live))[1] == 4401

    async def test_tickets_are_for_members(self, site: Site) -> None:
        ada, eve = await site.person(), await site.person()
        team = await site.team(ada)
        assert (await ticket_for(site, eve, team)).status_code == 404
        assert (await ticket_for(site, eve, uuid4())).status_code == 404

    async def test_foreign_and_random_teams_close_alike(self, site: Site) -> None:
        ada, eve = await site.person(), await site.person()
        team = await site.team(ada)
        for asked in (team, str(uuid4())):
            async with site.live(asked, eve) as live:
                assert await frames_until_closed(live) == ([], 4403, "not a member of this team")

    async def test_a_socket_ends_with_its_session(self, site: Site) -> None:
        ada = await site.person()
        team = await site.team(ada)
        async with site.live(team, ada) as live:
            await frame(live, "hello")
            body = {"refresh_token": ada.refresh_token}
            (await site.client.post("/v1/auth/logout", json=body, headers=ada.headers)).raise_for_status()
            async with asyncio.timeout(2):
                assert await frames_until_closed(live) == ([], 4401, "authenticate again")

    async def test_a_fresh_token_prolongs_the_socket_and_a_foreign_one_ends_it(self, site: Site) -> None:
        ada, eve = await site.person(), await site.person()
        team = await site.team(ada)
        async with site.live(team, ada) as live:
            await frame(live, "hello")
            await live.send(json.dumps({"type": "auth", "token": ada.token}))
            assert await frame(live) == {"type": "heartbeat", "seq": 2}
            await live.send(json.dumps({"type": "auth", "token": eve.token}))
            assert await frames_until_closed(live) == ([], 4401, "authenticate again")

    async def test_a_socket_lives_no_longer_than_its_token(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        ada = await site.person()
        team = await site.team(ada)
        monkeypatch.setattr("api.auth.lifetimes.token_ends_at", lambda _: site.services.clock.now().timestamp() + 0.2)
        async with site.live(team, ada) as live:
            frames, code, _ = await frames_until_closed(live)
        assert ([found["type"] for found in frames], code) == (["hello"], 4401)

    async def test_the_end_of_a_token_is_read_from_it(self, site: Site) -> None:
        ada = await site.person()
        end = token_ends_at(f"Bearer {ada.token}".encode())
        assert end is not None
        assert 590 < end - site.services.clock.now().timestamp() <= 600
        for header in (b"", b"Bearer x", b"Bearer a.b.c", b"Bearer a.e30.c"):
            assert token_ends_at(header) is None


class TestOrigins:
    async def test_pages_of_this_host_and_allowed_ones_may_connect(self, site: Site) -> None:
        ada = await site.person()
        team = await site.team(ada)
        for origin in (f"http://127.0.0.1:{site.port}", "https://app.example.com"):
            async with site.live(team, ada, Origin=origin) as live:
                assert (await frame(live))["type"] == "hello"

    @pytest.mark.parametrize(
        "origin", ["https://evil.example.com", "null", "http://127.0.0.1:1", "http://[", "file://"]
    )
    async def test_pages_of_other_origins_are_refused_before_anything_is_said(self, site: Site, origin: str) -> None:
        ada = await site.person()
        team = await site.team(ada)
        with pytest.raises(InvalidStatus) as refused:
            async with site.live(team, ada, Origin=origin):
                pass
        assert refused.value.response.status_code == 403

    async def test_an_origin_is_compared_whole(self) -> None:
        assert origin_allowed(None, None, ())
        assert origin_allowed(b"https://A.example", b"a.example", ())
        assert not origin_allowed(b"https://a.example.evil.com", b"a.example", ())
        assert not origin_allowed(b"https://a.example", None, ())
        assert origin_allowed(b"https://b.example", b"a.example", ("https://b.example/",))


class TestClientFrames:
    @pytest.mark.parametrize("kind", ["command", "presence"])
    async def test_frames_that_are_not_served_are_answered_and_the_socket_stays(self, site: Site, kind: str) -> None:
        ada = await site.person()
        team = await site.team(ada)
        async with site.live(team, ada) as live:
            await frame(live, "hello")
            await live.send(json.dumps({"type": kind, "ref": "r1", "op": "create", "title": "x"}))
            error = await frame(live)
            assert (error["type"], error["code"], error["ref"]) == ("error", "unsupported", "r1")
            await site.task(ada, team)
            assert (await frame(live))["seq"] == 3

    @pytest.mark.parametrize(
        "sent",
        ["", "{", "[]", '{"type":1}', '{"type":"x"}', "[" * 50_000],
        ids=["empty", "cut", "list", "number", "unknown", "deep"],
    )
    async def test_nonsense_is_answered_and_the_socket_stays(self, site: Site, sent: str) -> None:
        ada = await site.person()
        team = await site.team(ada)
        async with site.live(team, ada) as live:
            await frame(live, "hello")
            await live.send(sent)
            error = await frame(live)
            assert (error["type"], error["code"]) == ("error", "bad-input")
            await site.task(ada, team)
            assert (await frame(live))["seq"] == 3


class TestEnding:
    async def test_a_removed_member_gets_his_removal_and_4403(self, site: Site) -> None:
        ada, bob = await site.person(), await site.person()
        team = await site.team(ada)
        await joined(site, team, ada, bob)
        async with site.live(team, bob) as live, site.live(team, ada) as hers:
            await frame(live, "hello")
            await frame(hers, "hello")
            await removed(site, team, ada, bob)
            await site.task(ada, team, "not for Bob")
            frames, code, _ = await frames_until_closed(live)
            assert [found["event"]["type"] for found in frames] == ["member.removed"]
            assert code == 4403
            assert [(await frame(hers))["event"]["type"] for _ in range(2)] == ["member.removed", "task.created"]

    async def test_a_member_removed_on_another_worker_is_closed_within_two_seconds(
        self, database: DatabaseSettings, valkey_url: str
    ) -> None:
        settings = settings_for(database, valkey_url)
        async with serving(settings) as here, serving(settings) as there:
            ada, bob = await here.person(), await here.person()
            team = await here.team(ada)
            await joined(here, team, ada, bob)
            async with there.live(team, bob) as live:
                await frame(live, "hello")
                await removed(here, team, ada, bob)
                async with asyncio.timeout(2):
                    frames, code, _ = await frames_until_closed(live)
            assert ([found["event"]["type"] for found in frames], code) == (["member.removed"], 4403)

    async def test_draining_closes_with_1012_within_two_seconds(self, own_site: Site) -> None:
        ada = await own_site.person()
        team = await own_site.team(ada)
        async with own_site.live(team, ada) as live:
            await frame(live, "hello")
            async with asyncio.timeout(2):
                await own_site.services.hub.drain()
            assert await frames_until_closed(live) == ([], 1012, "connect again")
        async with own_site.live(team, ada) as live:
            assert (await frames_until_closed(live))[1] == 1012

    async def test_a_socket_whose_client_leaves_is_released(self, own_site: Site) -> None:
        ada = await own_site.person()
        team = await own_site.team(ada)
        async with own_site.live(team, ada) as live:
            await frame(live, "hello")
            live.transport.abort()
        await until(lambda: not own_site.services.hub._open)

    async def test_a_slow_reader_is_closed_with_4008_and_can_resume(
        self, own_site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ada = await own_site.person()
        team = await own_site.team(ada)
        async with own_site.live(team, ada) as live:
            await frame(live, "hello")
            (reader,) = own_site.services.hub._open
            reader.end("slow")
            assert await frames_until_closed(live) == ([], 4008, "too slow, resume")
        await own_site.task(ada, team)
        async with own_site.live(team, ada, "?after=1:2") as live:
            await frame(live, "hello")
            assert (await frame(live))["seq"] == 3

    async def test_a_silent_socket_beats(self, database: DatabaseSettings, valkey_url: str) -> None:
        async with serving(settings_for(database, valkey_url, heartbeat_seconds=0.05)) as site:
            ada = await site.person()
            team = await site.team(ada)
            async with site.live(team, ada) as live:
                await frame(live, "hello")
                assert [await frame(live) for _ in range(3)] == [{"type": "heartbeat", "seq": 2}] * 3

    async def test_a_failure_of_ours_is_1011_without_a_word_about_it(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ada = await site.person()
        team = await site.team(ada)

        async def broken(*_: object) -> None:
            raise RuntimeError("a secret of the house")

        monkeypatch.setattr(site.services.hub, "subscribe", broken)
        async with site.live(team, ada) as live:
            frames, code, reason = await frames_until_closed(live)
        assert (frames, code) == ([], 1011)
        assert "secret" not in reason


async def test_a_principal_of_another_session_can_be_renewed_by_the_same_user(site: Site) -> None:
    ada = await site.person()
    team = await site.team(ada)
    async with site.live(team, ada) as live:
        await frame(live, "hello")
        body = {"refresh_token": ada.refresh_token}
        fresh = (await site.client.post("/v1/auth/refresh", json=body)).raise_for_status().json()["access_token"]
        await live.send(json.dumps({"type": "auth", "token": fresh}))
        assert (await frame(live))["type"] == "heartbeat"
        assert isinstance(site.services.tokens.principal_of(f"Bearer {fresh}".encode()), Principal)
