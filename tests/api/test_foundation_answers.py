"""A data directory of the last release, opened: every answer as it was, and history goes on where it ended."""

import base64
import re
from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import UUID

import httpx
import msgspec
import pytest

from db.valkey import open_valkey
from taskforge.devstack import DevStack
from tests.fixtures.foundation.reading import PASSWORD, json_of
from tests.fixtures.foundation.restoring import opened
from tests.support.site import Person, Site, serving, settings_for

pytestmark = pytest.mark.anyio

# Names that answers have got since, as the changelog says. Nothing else may differ, to the byte.
ADDED: Final = frozenset({"time_zone", "mail", "column_id", "due_on", "wip", "seen_seq", "unread", "recurrence"}) | {
    "sentence",
    "team_name",
    "actor_name",
}
# Limits by status are those of columns now.
GONE: Final = frozenset({"wip_limits"})
SEEN: Final = re.compile(r'-\d+-\d+"$')
# Permissions that roles have got since.
GRANTED: Final = frozenset({"read_audit"})
# An event's id is `<team>:<seq>` in the last release and `<team>:<epoch>:<seq>` later: the same event.
EVENT_ID: Final = re.compile(rb'"event_id":"([0-9a-f-]{36}):(?:1:)?([0-9]+)"')


class House:
    """An API worker over the data, and those who live there."""

    def __init__(self, site: Site, people: dict[str, Person]) -> None:
        self.site, self.people = site, people

    async def get(self, path: str, who: str = "ada@example.org") -> httpx.Response:
        plain = {"Accept-Encoding": "identity"}  # A coded answer, of which there were none, has a weak ETag.
        return await self.site.client.get(path, headers={**self.people[who].headers, **plain})


async def log_in(site: Site, email: str) -> Person:
    answer = await site.client.post("/v1/auth/login", json={"email": email, "password": PASSWORD})
    tokens = answer.raise_for_status().json()
    return Person("", tokens["access_token"], tokens["refresh_token"])


@pytest.fixture
async def house(
    request: pytest.FixtureRequest, services: DevStack, template_database: str, valkey_url: str
) -> AsyncIterator[House]:
    """Opened as the last release left it; its snapshots of teams may still be in Valkey, or be gone."""
    if getattr(request, "param", "with snapshots") == "with snapshots":
        async with open_valkey(valkey_url) as valkey:
            for key, snapshot in json_of("snapshots.json").items():
                await valkey.set(key, base64.b64decode(snapshot))
    async with opened(services, "foundation_answers") as settings, serving(settings_for(settings, valkey_url)) as site:
        emails = ("ada@example.org", "bob@example.org")
        yield House(site, {email: await log_in(site, email) for email in emails})


def by_status(board: bytes) -> bytes:
    """A board as it was when a column was a status."""
    shown = msgspec.json.decode(board)
    columns = [{"status": column["category"], "tasks": column["tasks"]} for column in shown["columns"]]
    return msgspec.json.encode({**shown, "columns": columns})


def as_before(body: bytes) -> bytes:
    """An answer without what it has got since."""
    return msgspec.json.encode(_without_added(msgspec.json.decode(EVENT_ID.sub(rb'"event_id":"\1:\2"', body))))


def _without_added(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_added(inner) for name, inner in value.items() if name not in ADDED | GONE}
    return (
        [_without_added(inner) for inner in value if not (isinstance(inner, str) and inner in GRANTED)]
        if isinstance(value, list)
        else value
    )


def etag_as_before(etag: str | None) -> str | None:
    """That of a team says what its reader has seen, too."""
    return etag and SEEN.sub('"', etag)


@pytest.mark.parametrize("house", ["with snapshots", "without snapshots"], indirect=True)
async def test_everything_is_answered_as_before_and_history_goes_on(house: House) -> None:
    for team_id, board in json_of("boards.json").items():
        shown = by_status((await house.get(f"/v1/teams/{team_id}/board")).content)
        assert as_before(shown) == board.encode()
    for then in json_of("state.json"):
        now = await house.get(then["path"], then["as"])
        found = {
            "status": now.status_code,
            "etag": etag_as_before(now.headers.get("etag")),
            "body": as_before(now.content),
        }
        wanted = {**then, "body": as_before(then["body"].encode())}
        assert found == {name: wanted[name] for name in found}, then["path"]
    for team_id, board in json_of("boards.json").items():
        await goes_on(house, team_id, msgspec.json.decode(board))


async def goes_on(house: House, team_id: str, board: dict[str, Any]) -> None:
    """A client that was at the end of the feed sees the next change as the next event, and the board has it."""
    head, ada = board["seq"], house.people["ada@example.org"]
    task = next(column["tasks"][0] for column in board["columns"] if column["tasks"])
    async with house.site.stream(team_id, ada, **{"Last-Event-ID": f"{board['epoch']}:{head}"}) as stream:
        assert (await stream.next())["data"]["seq"] == head
        changed = await house.site.client.patch(
            f"/v1/tasks/{task['id']}",
            json={"title": "Changed by the next release"},
            headers={**ada.headers, "If-Match": f'"{task["version"]}"'},
        )
        assert (changed.status_code, changed.headers["etag"]) == (200, f'"{head + 1}"'), changed.text
        assert changed.json()["version"] == head + 1
        event = await stream.next()
    assert (event["event"], event["data"]["seq"]) == ("task.updated", head + 1)
    assert event["data"]["data"]["previous"] == {"title": task["title"]}
    rows = await house.site.services.journal.read(UUID(team_id), head - 1)
    assert [row.seq for row in rows] == [head, head + 1]
    now = (await house.get(f"/v1/tasks/{task['id']}")).json()
    assert now == changed.json()


async def test_a_refused_change_is_still_replayed_to_its_key(house: House) -> None:
    """Bob's stale PATCH was refused under a key; the answer kept then is the answer now."""
    bob = house.people["bob@example.org"]
    task = next(
        msgspec.json.decode(answer["body"])["id"]
        for answer in json_of("state.json")
        if '"Second, x' in answer["body"] and answer["path"].startswith("/v1/tasks/")
    )
    again = await house.site.client.patch(
        f"/v1/tasks/{task}",
        json={"title": "Lost"},
        headers={**bob.headers, "If-Match": '"1"', "Idempotency-Key": "a-change-refused-as-stale"},
    )
    assert (again.status_code, again.headers["idempotent-replayed"]) == (412, "true"), again.text
