"""A database of before there were columns is served as before, and its history goes on."""

import re
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from taskforge.devstack import DevStack
from tests.fixtures.before_columns.opening import EMAIL, PASSWORD, answers, opened
from tests.support.site import Person, Site, serving, settings_for

pytestmark = pytest.mark.anyio

ADDED: Final = frozenset({"column_id", "due_on", "wip", "seen_seq", "unread", "recurrence"})
GONE: Final = frozenset({"wip_limits"})
SEEN: Final = re.compile(r'-\d+-\d+"$')


@pytest.fixture
async def house(services: DevStack, template_database: str, valkey_url: str) -> AsyncIterator[tuple[Site, Person]]:
    async with opened(services, "before_columns_api") as settings, serving(settings_for(settings, valkey_url)) as site:
        body = {"email": EMAIL, "password": PASSWORD}
        tokens = (await site.client.post("/v1/auth/login", json=body)).raise_for_status().json()
        yield site, Person(answers()["user_id"], tokens["access_token"], tokens["refresh_token"])


def as_before(value: Any) -> Any:
    """An answer as it would have been then."""
    if isinstance(value, list):
        return [as_before(one) for one in value]
    if not isinstance(value, dict):
        return value
    if "category" in value:
        return {"status": value["category"], "tasks": as_before(value["tasks"])}
    return {name: as_before(one) for name, one in value.items() if name not in ADDED | GONE}


def etag_as_before(etag: str | None) -> str | None:
    """That of a team says what its reader has seen, too."""
    return etag and SEEN.sub('"', etag)


async def test_everything_is_answered_as_before(house: tuple[Site, Person]) -> None:
    site, ada = house
    for path, then in answers()["answers"].items():
        answer = await site.client.get(path, headers={**ada.headers, "Accept-Encoding": "identity"})
        assert as_before(answer.json()) == as_before(then["body"]), path
        # What was compressed then has a weak tag.
        assert etag_as_before(answer.headers.get("etag")) == (then["etag"] and then["etag"].removeprefix("W/")), path


async def test_history_goes_on_where_it_ended(house: tuple[Site, Person]) -> None:
    site, ada = house
    team = answers()["teams"][0]
    before = (await site.client.get(f"/v1/teams/{team}/board", headers=ada.headers)).json()
    card, target = before["columns"][0]["tasks"][0], before["columns"][3]
    path = f"/v1/tasks/{card['id']}/move"
    moved = await site.client.post(path, json={"column_id": target["id"]}, headers=ada.headers)
    assert (moved.status_code, moved.json()["version"]) == (200, before["seq"] + 1), moved.text
    assert (moved.json()["status"], moved.json()["column_id"]) == ("done", target["id"])
    events = (await site.client.get(f"/v1/teams/{team}/events?after=0&limit=100", headers=ada.headers)).json()
    assert [event["seq"] for event in events["items"]] == list(range(1, len(events["items"]) + 1))
