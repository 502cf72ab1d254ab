"""Limits on how much one user, address or team may have: they name themselves, and hold across workers and races."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from uuid import UUID

import asyncpg
import httpx
import pytest
from msgspec import structs

from core.commands import AddMember
from core.errors import QuotaReached
from core.quotas import Quotas
from db.settings import DatabaseSettings
from tests.support.asking import by
from tests.support.desk import new_key, problem
from tests.support.site import Person, Site, frame, frames_until_closed, joined, serving, settings_for
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

FEW = Quotas(
    feeds_per_user=3,
    feeds_per_address=5,
    tickets_per_user=4,
    tickets_per_address=6,
    sessions_per_user=3,
    teams_per_user=4,
    labels_per_team=5,
    members_per_team=3,
)


@pytest.fixture
async def sites(database: DatabaseSettings, valkey_url: str) -> AsyncIterator[tuple[Site, Site]]:
    """Two workers over one database, with room for few of everything."""
    settings = structs.replace(settings_for(database, valkey_url), quotas=FEW)
    async with serving(settings) as here, serving(settings) as there:
        yield here, there


def refused(answer: httpx.Response, quota: str, limit: int) -> None:
    """409, or 429 with a time to wait, that names the limit and its value."""
    code, status = ("quota-reached", 409) if answer.status_code == 409 else ("too-many-at-once", 429)
    document = problem(answer, status, code)
    assert (document["quota"], document["limit"]) == (quota, limit)
    assert str(limit) in document["detail"]
    assert ("retry-after" in answer.headers) == (status == 429)


class TestTeams:
    async def test_a_user_owns_at_most_so_many_whichever_worker_makes_them(self, sites: tuple[Site, Site]) -> None:
        ada, eve = await sites[0].person(), await sites[1].person()
        answers = await asyncio.gather(*(make_team(sites[n % 2], ada) for n in range(24)))
        assert Counter(answer.status_code for answer in answers) == {201: 4, 409: 20}
        for answer in answers:
            if answer.status_code == 409:
                refused(answer, "teams-per-user", 4)
        mine = (await sites[0].client.get("/v1/teams", headers=ada.headers)).json()["items"]
        assert len(mine) == 4
        assert (await make_team(sites[0], eve)).status_code == 201

    async def test_places_that_were_not_used_are_given_back(self, sites: tuple[Site, Site]) -> None:
        site, ada = sites[0], await sites[0].person()
        for _ in range(10):
            answer = await make_team(site, ada, key="lower case")
            assert answer.status_code == 400
        key = {"Idempotency-Key": new_key()}
        made = [await make_team(site, ada, **key) for _ in range(10)]
        assert {answer.json()["id"] for answer in made} == {made[0].json()["id"]}
        assert [(await make_team(site, ada)).status_code for _ in range(4)] == [201, 201, 201, 409]

    async def test_the_last_team_that_was_made_is_replayed_not_refused(self, sites: tuple[Site, Site]) -> None:
        ada = await sites[0].person()
        for _ in range(3):
            await sites[0].team(ada)
        key = {"Idempotency-Key": new_key()}
        first, again = await make_team(sites[0], ada, **key), await make_team(sites[1], ada, **key)
        assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())
        assert again.headers["idempotent-replayed"] == "true"

    async def test_a_place_whose_maker_died_ends_by_itself(
        self, sites: tuple[Site, Site], superuser: "asyncpg.Connection"
    ) -> None:
        ada = await sites[0].person()
        for _ in range(3):
            await sites[0].team(ada)
        await superuser.execute(
            "insert into team_places values (gen_random_uuid(), $1, now() + interval '1 minute')", UUID(ada.user_id)
        )
        refused(await make_team(sites[0], ada), "teams-per-user", 4)
        await superuser.execute("update team_places set expires_at = now() - interval '1 second'")
        assert (await make_team(sites[0], ada)).status_code == 201


class TestSessions:
    async def test_a_further_session_ends_the_one_not_used_for_longest_and_its_feed(
        self, sites: tuple[Site, Site]
    ) -> None:
        here, there = sites
        ada = await here.person()
        team, email = await here.team(ada), await email_of(here, ada)
        second = await log_in(there, email)
        third = await log_in(here, email)
        refreshed = await here.client.post("/v1/auth/refresh", json={"refresh_token": second["refresh_token"]})
        assert refreshed.status_code == 200
        async with there.live(team, ada) as live:
            await frame(live, "hello")
            await log_in(here, email)
            async with asyncio.timeout(2):
                assert (await frames_until_closed(live))[1] == 4401
        for site in sites:
            await until_refused(site, ada.headers)
        for token in (refreshed.json()["access_token"], third["access_token"]):
            answer = await there.client.get("/v1/me/sessions", headers={"Authorization": f"Bearer {token}"})
            assert len(answer.json()["items"]) == 3

    async def test_logins_at_once_leave_no_more_than_there_may_be(
        self, sites: tuple[Site, Site], superuser: "asyncpg.Connection"
    ) -> None:
        ada = await sites[0].person()
        email = await email_of(sites[0], ada)
        await asyncio.gather(*(log_in(sites[n % 2], email) for n in range(8)))
        live = "select count(*) from sessions where revoked_at is null and user_id = $1"
        assert await superuser.fetchval(live, UUID(ada.user_id)) == 3
        last = await log_in(sites[0], email)
        me = await sites[1].client.get("/v1/me", headers={"Authorization": f"Bearer {last['access_token']}"})
        assert me.status_code == 200


class TestLabelsAndMembers:
    async def test_a_team_has_at_most_so_many_labels_whichever_worker_makes_them(
        self, sites: tuple[Site, Site]
    ) -> None:
        ada = await sites[0].person()
        path = f"/v1/teams/{await sites[0].team(ada)}/labels"
        answers = await asyncio.gather(*(make_label(sites[n % 2], ada, path, f"label {n}") for n in range(20)))
        assert Counter(answer.status_code for answer in answers) == {201: 5, 409: 15}
        for answer in answers:
            if answer.status_code == 409:
                refused(answer, "labels-per-team", 5)
        labels = (await sites[0].client.get(path, headers=ada.headers)).json()["items"]
        assert len(labels) == 5
        gone = await sites[1].client.delete(f"{path}/{labels[0]['id']}", headers=ada.headers)
        assert gone.status_code == 204
        assert (await make_label(sites[0], ada, path, "another")).status_code == 201

    async def test_a_team_has_at_most_so_many_members_whichever_worker_adds_them(
        self, sites: tuple[Site, Site]
    ) -> None:
        ada = await sites[0].person()
        team = await sites[0].team(ada)
        others = [await sites[0].person() for _ in range(8)]
        added = await asyncio.gather(
            *(
                sites[n % 2].services.teams.ask(
                    UUID(team), AddMember(UUID(other.user_id), "Bob", "member"), by(ada.user_id)
                )
                for n, other in enumerate(others)
            ),
            return_exceptions=True,
        )
        assert sum(isinstance(one, QuotaReached) for one in added) == 6
        members = await sites[1].client.get(f"/v1/teams/{team}/members", headers=ada.headers)
        assert len(members.json()["items"]) == 3


class TestTickets:
    async def test_a_user_has_at_most_so_many_unused_ones_whichever_worker_issues_them(
        self, sites: tuple[Site, Site]
    ) -> None:
        ada = await sites[0].person()
        team = await sites[0].team(ada)
        answers = await asyncio.gather(*(ask_for_ticket(sites[n % 2], ada, team) for n in range(16)))
        assert Counter(answer.status_code for answer in answers) == {201: 4, 429: 12}
        for answer in answers:
            if answer.status_code == 429:
                refused(answer, "tickets-per-user", 4)
                assert answer.headers["retry-after"] == "30"
        ticket = next(answer.json()["ticket"] for answer in answers if answer.status_code == 201)
        async with sites[0].live(team, None, f"?ticket={ticket}") as live:
            await frame(live, "hello")
        assert (await ask_for_ticket(sites[1], ada, team)).status_code == 201

    async def test_an_address_has_at_most_so_many_whoever_asks(self, sites: tuple[Site, Site]) -> None:
        people = [await sites[0].person() for _ in range(4)]
        teams = [await sites[0].team(person) for person in people]
        answers = await asyncio.gather(*(ask_for_ticket(sites[n % 2], people[n // 2], teams[n // 2]) for n in range(8)))
        assert Counter(answer.status_code for answer in answers) == {201: 6, 429: 2}
        for answer in answers:
            if answer.status_code == 429:
                refused(answer, "tickets-per-address", 6)

    async def test_a_refused_ticket_is_not_stored_under_its_key(
        self, sites: tuple[Site, Site], superuser: "asyncpg.Connection"
    ) -> None:
        ada = await sites[0].person()
        team = await sites[0].team(ada)
        for _ in range(4):
            await ask_for_ticket(sites[0], ada, team)
        key = {"Idempotency-Key": new_key()}
        assert (await ask_for_ticket(sites[0], ada, team, **key)).status_code == 429
        await superuser.execute("delete from live_tickets")
        assert (await ask_for_ticket(sites[0], ada, team, **key)).status_code == 201


class TestFeeds:
    async def test_a_user_has_at_most_so_many_of_either_kind(self, sites: tuple[Site, Site]) -> None:
        site, ada = sites[0], await sites[0].person()
        team = await site.team(ada)
        async with AsyncExitStack() as stack:
            streams = [await stack.enter_async_context(site.stream(team, ada)) for _ in range(2)]
            for stream in streams:
                await stream.next()
            live = await stack.enter_async_context(site.live(team, ada))
            await frame(live, "hello")
            answer = await site.client.get(
                f"/v1/teams/{team}/events", headers={**ada.headers, "Accept": "text/event-stream"}
            )
            refused(answer, "feeds-per-user", 3)
            assert answer.headers["retry-after"] == "10"
            async with site.live(team, ada) as fourth:
                frames, code, reason = await frames_until_closed(fourth)
            assert (code, reason) == (1013, "too many feeds, try again later")
            (error,) = frames
            assert (error["code"], error["quota"], error["limit"]) == ("too-many-at-once", "feeds-per-user", 3)
            await live.close()
            await until(lambda: len(site.services.hub._open) == 2)
            async with site.live(team, ada) as again:
                await frame(again, "hello")
        await until(lambda: not site.services.hub._open)

    async def test_an_address_has_at_most_so_many_whoever_reads(self, sites: tuple[Site, Site]) -> None:
        site = sites[0]
        ada, bob = await site.person(), await site.person()
        team = await site.team(ada)
        await joined(site, team, ada, bob)
        async with AsyncExitStack() as stack:
            for person in (ada, ada, bob, bob, bob):
                live = await stack.enter_async_context(site.live(team, person))
                await frame(live, "hello")
            async with site.live(team, ada) as sixth:
                frames, code, _ = await frames_until_closed(sixth)
            assert (code, frames[0]["quota"], frames[0]["limit"]) == (1013, "feeds-per-address", 5)

    async def test_opened_at_once_they_are_no_more_than_there_may_be(self, sites: tuple[Site, Site]) -> None:
        site, ada = sites[0], await sites[0].person()
        team = await site.team(ada)

        async def first_frame() -> str:
            async with site.live(team, ada) as live:
                kind: str = (await frame(live))["type"]
                if kind == "hello":
                    opened.append(kind)
                    await done.wait()
                return kind

        opened, done = list[str](), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            tries = [group.create_task(first_frame()) for _ in range(20)]
            await until(lambda: sum(one.done() for one in tries) == 17)
            done.set()
        assert Counter(one.result() for one in tries) == {"hello": 3, "error": 17}


async def make_team(site: Site, person: Person, key: str = "ENG", **headers: str) -> httpx.Response:
    body = {"name": "Engineering", "key": key}
    return await site.client.post("/v1/teams", json=body, headers={**person.headers, **headers})


async def make_label(site: Site, person: Person, path: str, name: str) -> httpx.Response:
    return await site.client.post(path, json={"name": name, "color": "#d73a4a"}, headers=person.headers)


async def ask_for_ticket(site: Site, person: Person, team: str, **headers: str) -> httpx.Response:
    return await site.client.post("/v1/live-tickets", json={"team_id": team}, headers={**person.headers, **headers})


async def email_of(site: Site, person: Person) -> str:
    email: str = (await site.client.get("/v1/me", headers=person.headers)).json()["email"]
    return email


async def log_in(site: Site, email: str) -> dict[str, str]:
    body = {"email": email, "password": "correct horse battery"}
    tokens: dict[str, str] = (await site.client.post("/v1/auth/login", json=body)).raise_for_status().json()
    return tokens


async def until_refused(site: Site, headers: dict[str, str]) -> None:
    """Revocations reach other workers soon, not at once."""
    async with asyncio.timeout(5):
        while (await site.client.get("/v1/me", headers=headers)).status_code != 401:
            await asyncio.sleep(0.02)
