"""Exports as their user sees them: asked for, followed, downloaded once they are there, and gone in time."""

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
import uuid_utils.compat as uuids
from msgspec import structs

from api.object_links import LINK_SECONDS, ObjectLinks
from core.secret import Secret
from db import objects
from db.keyset import Keyset
from db.object_store import Stored
from db.settings import DatabaseSettings, ObjectSettings
from db.transaction import writing
from streams.housekeeping import tidy
from taskforge.devstack import DevStack
from tests.support.account import NO_TLS
from tests.support.desk import RANDOM, new_key, problem
from tests.support.keys import make_key
from tests.support.long_work import Hands
from tests.support.s3 import KEY_ID, SECRET, running_s3
from tests.support.site import Person, Site, frame, joined, removed, serving, settings_for

pytestmark = pytest.mark.anyio


def links(site: Site) -> ObjectLinks:
    return site.services.object_links


def token_of(url: str) -> str:
    return url.rpartition("/")[2]


def now() -> float:
    return datetime.now(UTC).timestamp()


async def an_object(hands: Hands, user_id: str, team_id: str | None = None, data: bytes = b"<script>") -> UUID:
    """A whole object of the user's, or of a team."""
    pool = hands.site.services.pools.worker
    async with writing(pool) as tx:
        object_id = await objects.reserve(
            tx,
            user_id=UUID(user_id),
            team_id=None if team_id is None else UUID(team_id),
            kind="tests",
            name='a "page" of mine.html',
            media_type="text/html",
        )

    async def chunks() -> AsyncIterator[bytes]:
        yield data

    key = objects.new_key("tests", object_id)
    stored: Stored = await hands.store.put(key, chunks(), limit=1000, media_type="text/html", name="a.html")
    async with writing(pool) as tx:
        await objects.complete(tx, object_id, stored, seconds=3600)
    return object_id


class TestExport:
    async def test_it_is_asked_for_followed_and_downloaded(self, site: Site, hands: Hands) -> None:
        ada = await site.person()
        asked = await hands.ask(ada)
        assert (asked.status_code, asked.headers["cache-control"]) == (202, "no-store")
        waiting = asked.json()
        assert asked.headers["location"] == f"/v1/operations/{waiting['id']}"
        assert (waiting["status"], waiting["kind"], waiting["progress"]) == ("waiting", "export", 0.0)
        assert "result" not in waiting
        await hands.finish()
        done = (await hands.get(asked.headers["location"], ada)).json()
        assert (done["status"], done["progress"], done["error"]) == ("succeeded", 1.0, None)
        assert [step["status"] for step in done["steps"]] == ["done", "done"]
        result = done["result"]
        assert "object_id" not in result
        ends = datetime.fromisoformat(result["expires_at"]) - datetime.now(UTC)
        assert timedelta(days=6.9) < ends < timedelta(days=7.1)
        answer = await site.client.get(result["download_url"])
        assert answer.status_code == 200
        assert (len(answer.content), hashlib.sha256(answer.content).hexdigest()) == (result["size"], result["sha256"])
        assert answer.headers["content-type"] == "application/zip"
        assert answer.headers["content-disposition"] == f"attachment; filename*=UTF-8''{result['name']}"

    async def test_each_answer_has_an_address_of_its_own(self, site: Site, hands: Hands) -> None:
        ada = await site.person()
        done = await hands.exported(ada)
        again = links(site).make("GET", uuids.uuid7(), UUID(ada.user_id), now())
        assert done["result"]["download_url"] != again
        assert len({token_of(done["result"]["download_url"]), token_of(again)}) == 2

    async def test_there_is_one_at_a_time(self, site: Site, hands: Hands) -> None:
        ada = await site.person()
        assert (await hands.ask(ada)).status_code == 202
        assert problem(await hands.ask(ada), 409, "conflict")["reason"] == "export-running"
        await hands.finish()
        assert (await hands.ask(ada)).status_code == 202
        await hands.finish()

    async def test_the_same_key_starts_it_once(self, site: Site, hands: Hands) -> None:
        ada, key = await site.person(), new_key()
        first = await hands.ask(ada, **{"Idempotency-Key": key})
        await hands.finish()
        again = await hands.ask(ada, **{"Idempotency-Key": key})
        assert (again.status_code, again.content) == (202, first.content)
        assert again.headers["idempotent-replayed"] == "true"
        assert again.headers["location"] == first.headers["location"]

    async def test_one_that_would_be_too_large_fails_and_leaves_nothing(self, site: Site, hands: Hands) -> None:
        ada = await site.person()
        hands.runner = hands.runner_for(largest_bytes=100)
        before = set(hands.files())
        failed = await hands.exported(ada)
        assert failed["status"] == "failed"
        assert "more about you" in failed["error"]
        assert "result" not in failed
        await tidy(site.services.pools.worker, hands.store)
        assert set(hands.files()) == before

    async def test_after_a_week_it_is_gone(self, site: Site, hands: Hands, superuser: "asyncpg.Connection") -> None:
        ada = await site.person()
        done = await hands.exported(ada)
        before = len(hands.files())
        await superuser.execute("update objects set expires_at = now() where user_id = $1", UUID(ada.user_id))
        assert (await site.client.get(done["result"]["download_url"])).status_code == 404
        shown = (await hands.get(f"/v1/operations/{done['id']}", ada)).json()
        assert (shown["status"], shown["result"]["download_url"]) == ("succeeded", None)
        assert (await tidy(site.services.pools.worker, hands.store))["objects that expired"] >= 1
        assert len(hands.files()) == before - 1
        assert await superuser.fetchval("select count(*) from objects where user_id = $1", UUID(ada.user_id)) == 0

    async def test_a_crash_between_the_object_and_its_row_is_made_up_for(
        self, site: Site, hands: Hands, superuser: "asyncpg.Connection"
    ) -> None:
        ada = await site.person()
        await hands.exported(ada)
        row = await superuser.fetchrow("select id, kind from objects where user_id = $1", UUID(ada.user_id))
        await superuser.execute("update objects set expires_at = now() where id = $1", row["id"])
        await hands.store.delete_below(objects.path_of(row["kind"], row["id"]))
        await tidy(site.services.pools.worker, hands.store)
        assert await superuser.fetchval("select count(*) from objects where id = $1", row["id"]) == 0

    async def test_an_api_key_neither_starts_one_nor_sees_it(self, site: Site, hands: Hands) -> None:
        ada = await site.person()
        headers = (await make_key(site, ada, "read", "write", "admin")).headers
        problem(await site.client.post("/v1/me/export", headers=headers), 403, "forbidden")
        done = await hands.exported(ada)
        problem(await site.client.get(f"/v1/operations/{done['id']}", headers=headers), 404, "not-found")

    async def test_without_a_store_there_is_no_export(self, own_site: Site) -> None:
        ada = await own_site.person()
        answer = await own_site.client.post("/v1/me/export", headers=ada.headers)
        problem(answer, 503, "unavailable")


class TestOperation:
    async def test_a_foreign_one_is_like_a_random_one(self, site: Site, hands: Hands) -> None:
        ada, eve = await site.person(), await site.person()
        done = await hands.exported(ada)
        foreign = await hands.get(f"/v1/operations/{done['id']}", eve)
        unknown = await hands.get(f"/v1/operations/{RANDOM}", eve)
        problem(foreign, 404, "not-found")
        assert foreign.content == unknown.content
        assert foreign.headers.keys() == unknown.headers.keys()

    async def test_its_changes_reach_the_feeds_that_its_user_has_open(self, site: Site, hands: Hands) -> None:
        ada, bob = await site.person(), await site.person()
        team = await site.team(ada)
        await joined(site, team, ada, bob)
        async with site.live(team, ada) as live, site.live(team, bob) as others, site.stream(team, ada) as stream:
            hello = await frame(live, "hello")
            await frame(others, "hello")
            await stream.next()
            done = await hands.exported(ada)
            heard = [await frame(live, "notice") for _ in range(2)]
            assert [one["operation"]["status"] for one in heard] == ["running", "succeeded"]
            assert {one["operation"]["id"] for one in heard} == {done["id"]}
            assert not {"seq", "result"} & {*heard[0], *heard[0]["operation"]}
            event: dict[str, Any] = {}
            while event.get("event") != "notice":
                event = await stream.next()
            assert "id" not in event
            assert event["data"]["operation"]["id"] == done["id"]
            task = await site.task(ada, team)
            assert (await frame(others, "event"))["seq"] == task["version"]  # Before it there was nothing for Bob.
            assert (await frame(live, "event"))["seq"] == task["version"] > hello["seq"]


class TestAddresses:
    """A signed address is good for one method, object and user, for five minutes, and as long as that user may."""

    async def refused(self, site: Site, url: str) -> httpx.Response:
        answer = await site.client.get(url)
        problem(answer, 404, "not-found")
        return answer

    async def test_it_serves_a_file_and_never_a_page(self, site: Site, hands: Hands) -> None:
        ada = await site.person()
        object_id = await an_object(hands, ada.user_id)
        answer = await site.client.get(links(site).make("GET", object_id, UUID(ada.user_id), now()))
        assert (answer.status_code, answer.content) == (200, b"<script>")
        name = "a%20%22page%22%20of%20mine.html"
        assert answer.headers["content-disposition"] == f"attachment; filename*=UTF-8''{name}"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "private, no-store"
        assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert answer.headers["content-length"] == "8"

    async def test_a_tampered_one_is_refused_wherever_it_is_changed(self, site: Site, hands: Hands) -> None:
        ada = await site.person()
        url = links(site).make("GET", await an_object(hands, ada.user_id), UUID(ada.user_id), now())
        path, _, token = url.rpartition("/")
        refused = set()
        for at in range(len(token)):
            changed = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
            refused.add((await self.refused(site, f"{path}/{changed}")).content)
        for other in (token[:-4], token + "AAAA", token + "=", "x" * 5000, "%00", "é"):
            refused.add((await self.refused(site, f"{path}/{other}")).content)
        assert len(refused) == 1
        assert (await site.client.get(url)).status_code == 200

    async def test_one_that_is_over_is_refused(self, site: Site, hands: Hands) -> None:
        ada = await site.person()
        object_id = await an_object(hands, ada.user_id)
        await self.refused(site, links(site).make("GET", object_id, UUID(ada.user_id), now() - LINK_SECONDS - 2))
        almost = links(site).make("GET", object_id, UUID(ada.user_id), now() - LINK_SECONDS + 30)
        assert (await site.client.get(almost)).status_code == 200

    async def test_one_for_another_method_is_refused(self, site: Site, hands: Hands) -> None:
        ada = await site.person()
        object_id = await an_object(hands, ada.user_id)
        await self.refused(site, links(site).make("PUT", object_id, UUID(ada.user_id), now()))
        url = links(site).make("GET", object_id, UUID(ada.user_id), now())
        problem(await site.client.put(url, content=b"x"), 404, "not-found")
        problem(await site.client.delete(url), 405, "method-not-allowed")

    async def test_one_of_another_installation_is_refused(self, site: Site, hands: Hands) -> None:
        ada = await site.person()
        foreign = ObjectLinks(Keyset([Secret("another secret of at least thirty-two bytes")]))
        object_id = await an_object(hands, ada.user_id)
        await self.refused(site, foreign.make("GET", object_id, UUID(ada.user_id), now()))

    async def test_one_made_for_somebody_else_is_refused(self, site: Site, hands: Hands) -> None:
        ada, eve = await site.person(), await site.person()
        object_id = await an_object(hands, ada.user_id)
        await self.refused(site, links(site).make("GET", object_id, UUID(eve.user_id), now()))

    async def test_used_again_it_is_judged_again(
        self, site: Site, hands: Hands, superuser: "asyncpg.Connection"
    ) -> None:
        """Within its five minutes it may be used again, for a download that broke off; not once the object is gone."""
        ada = await site.person()
        object_id = await an_object(hands, ada.user_id)
        url = links(site).make("GET", object_id, UUID(ada.user_id), now())
        assert [(await site.client.get(url)).status_code for _ in range(2)] == [200, 200]
        async with writing(site.services.pools.worker) as tx:
            await objects.expire(tx, object_id)
        gone = await self.refused(site, url)
        assert gone.content == (await self.refused(site, url[:-1] + "_")).content

    async def test_it_ends_with_the_bytes(self, site: Site, hands: Hands) -> None:
        ada = await site.person()
        object_id = await an_object(hands, ada.user_id)
        await hands.store.delete_below(objects.path_of("tests", object_id))
        await self.refused(site, links(site).make("GET", object_id, UUID(ada.user_id), now()))

    async def test_it_ends_with_the_account(self, site: Site, hands: Hands, superuser: "asyncpg.Connection") -> None:
        ada = await site.person()
        url = links(site).make("GET", await an_object(hands, ada.user_id), UUID(ada.user_id), now())
        await superuser.execute("delete from users where id = $1", UUID(ada.user_id))
        await self.refused(site, url)

    async def test_a_teams_object_is_for_members_and_ends_with_the_membership(self, site: Site, hands: Hands) -> None:
        ada, bob, eve = [await site.person() for _ in range(3)]
        team = await site.team(ada)
        await joined(site, team, ada, bob)
        object_id = await an_object(hands, ada.user_id, team)

        def url(person: Person) -> str:
            return links(site).make("GET", object_id, UUID(person.user_id), now())

        assert (await site.client.get(url(bob))).status_code == 200
        await self.refused(site, url(eve))
        await removed(site, team, ada, bob)
        await self.refused(site, url(bob))
        assert (await site.client.get(url(ada))).status_code == 200


async def test_from_a_bucket_an_object_is_a_redirect_to_its_own_address(
    services: DevStack, database: DatabaseSettings, valkey_url: str, tmp_path: Path
) -> None:
    with running_s3() as s3:
        settings = ObjectSettings(url=s3.url, access_key_id=KEY_ID, secret_access_key=Secret(SECRET))
        async with serving(structs.replace(settings_for(database, valkey_url), objects=settings)) as bucket_site:
            hands, ada = Hands(bucket_site, tmp_path), await bucket_site.person()
            done = await hands.exported(ada)
            answer = await bucket_site.client.get(done["result"]["download_url"])
            assert (answer.status_code, answer.headers["cache-control"]) == (302, "private, no-store")
            assert "X-Amz-Expires=60" in answer.headers["location"]
            async with httpx.AsyncClient(verify=NO_TLS) as browser:
                file = await browser.get(answer.headers["location"])
            assert file.status_code == 200
            assert hashlib.sha256(file.content).hexdigest() == done["result"]["sha256"]
            assert file.headers["content-disposition"].startswith("attachment;")
            await all_expired(hands)
            assert (await bucket_site.client.get(done["result"]["download_url"])).status_code == 404
            assert s3.objects == {}


async def all_expired(hands: Hands) -> None:
    """Have everything in the store expire, and be deleted."""
    pool = hands.site.services.pools.worker
    async with writing(pool) as tx:
        await tx.execute("update objects set expires_at = now()")
    await tidy(pool, hands.store)
