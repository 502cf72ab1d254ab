"""Who is notified of a comment: whom it mentions, the assignee and earlier commenters, each once, never its author."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from msgspec import structs

from db.settings import DatabaseSettings
from taskforge.settings import Settings
from tests.support.apache_kafka import kafka_settings
from tests.support.site import Person, Site, joined, removed, serving, settings_for
from tests.support.waiting import until
from tests.support.working import handled, working

pytestmark = pytest.mark.anyio


@pytest.fixture
async def settings(database: DatabaseSettings, valkey_url: str, kafka_bootstrap: str) -> Settings:
    return structs.replace(settings_for(database, valkey_url), kafka=kafka_settings(kafka_bootstrap))


class Talk:
    """A team with a task, and people by their first names."""

    def __init__(self, site: Site) -> None:
        self.site, self.people, self.team, self.task = site, dict[str, Person](), "", ""

    async def open(self, *names: str) -> None:
        for name in names:
            person = self.people[name] = await self.site.person()
            await self.ask("PATCH", "/v1/me", name, {"name": name})
            if name != names[0]:
                await joined(self.site, self.team, self.people[names[0]], person)
                await self.ask("PATCH", "/v1/me", name, {"name": name})
            else:
                self.team = await self.site.team(person)
        self.task = (await self.site.task(self.people[names[0]], self.team, "Shed"))["id"]

    async def ask(self, method: str, path: str, who: str, body: Any = None) -> Any:
        answer = await self.site.client.request(method, path, json=body, headers=self.people[who].headers)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def say(self, who: str, body: str) -> str:
        return str((await self.ask("POST", f"/v1/tasks/{self.task}/comments", who, {"body": body}))["id"])

    async def told(self, who: str) -> list[tuple[str, str]]:
        """The kinds of what they were told of, oldest first, and which comment it was."""
        items = (await self.ask("GET", "/v1/me/notifications", who))["items"]
        return [(one["kind"], one["data"].get("comment_id", "")) for one in reversed(items)]

    @asynccontextmanager
    async def heard(self, settings: Settings) -> AsyncIterator[None]:
        """A worker, at whose end everything said so far was handled."""
        async with working(settings, "relay", "notifications") as worker:
            yield
            seq = (await self.site.services.teams.view(UUID(self.team))).seq
            await until(lambda: handled(worker) >= seq)


async def test_everybody_concerned_is_told_once_and_nobody_of_their_own_words(settings: Settings) -> None:
    async with serving(settings) as site:
        talk = Talk(site)
        await talk.open("Olga", "Ann", "Ben", "Cid", "Eve")
        await talk.ask("PATCH", f"/v1/tasks/{talk.task}", "Ann", {"assignee_id": talk.people["Ann"].user_id})
        async with talk.heard(settings):
            first = await talk.say("Ben", "Is it dry, @ben?")
            second = await talk.say("Cid", "Ask @Ann, @Ann and @Ben; not @Cid.")
            third = await talk.say("Ann", "It is.")
        assert await talk.told("Ann") == [("comment.added", first), ("comment.mentioned", second)]
        assert await talk.told("Ben") == [("comment.mentioned", second), ("comment.added", third)]
        assert await talk.told("Cid") == [("comment.added", third)]
        assert await talk.told("Olga") == await talk.told("Eve") == []
        (newest, _) = (await talk.ask("GET", "/v1/me/notifications", "Ben"))["items"]
        assert newest["data"] == {"key": newest["data"]["key"], "title": "Shed", "comment_id": third}
        assert (newest["task_id"], newest["actor_id"]) == (talk.task, talk.people["Ann"].user_id)


async def test_an_edit_tells_only_whom_it_newly_mentions_and_who_knows_nothing_yet(settings: Settings) -> None:
    async with serving(settings) as site:
        talk = Talk(site)
        await talk.open("Olga", "Ann", "Ben", "Cid")
        async with talk.heard(settings):
            first = await talk.say("Ben", "Hm.")
            second = await talk.say("Olga", "@Ann?")
            for body in ("@Ann, @Ben?", "@Ann, @Ben, @Cid?", "@Ann, @Cid?", "@Ann, @Cid, @Ben!"):
                await talk.ask("PATCH", f"/v1/comments/{second}", "Olga", {"body": body})
            await talk.ask("PATCH", f"/v1/comments/{first}", "Ben", {"body": "Hm!"})
        assert await talk.told("Ann") == await talk.told("Cid") == [("comment.mentioned", second)]
        assert await talk.told("Ben") == [("comment.added", second)], "of one comment nobody is told twice"
        assert await talk.told("Olga") == []


async def test_whoever_left_is_told_of_nothing_and_a_deleted_comment_tells_nobody(settings: Settings) -> None:
    async with serving(settings) as site:
        talk = Talk(site)
        await talk.open("Olga", "Ann", "Ben")
        await talk.say("Ann", "Hm.")
        await talk.say("Ben", "Hm.")
        gone = await talk.say("Olga", "@Ben, a secret")
        last = await talk.say("Olga", "@Ann and @Ben?")
        await talk.ask("DELETE", f"/v1/comments/{gone}", "Olga")
        await removed(site, talk.team, talk.people["Olga"], talk.people["Ann"])
        async with talk.heard(settings):
            pass
        found = await site.services.pools.worker.fetch(
            "select kind, data::jsonb ->> 'comment_id' as comment from notifications where user_id = $1",
            UUID(talk.people["Ann"].user_id),
        )
        assert found == []
        assert ("comment.mentioned", last) in await talk.told("Ben")
        assert gone not in {comment for _, comment in await talk.told("Ben")}
