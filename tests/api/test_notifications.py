"""The inbox and what somebody wants to be told: read, counted, ticked off and chosen by its reader and nobody else."""

from typing import Any
from uuid import UUID

import pytest
import uuid_utils.compat as uuids

from core.notices import DEFAULTS, KINDS
from db.people.notifications import MOST_COUNTED
from tests.support.desk import Desk, new_key, problem
from tests.support.site import joined

pytestmark = pytest.mark.anyio

INBOX, UNREAD, READ = "/v1/me/notifications", "/v1/me/notifications/unread", "/v1/me/notifications/read"
PREFERENCES = "/v1/me/notification-preferences"


async def told(desk: Desk, person: Any, count: int, *, in_app: bool = True, team: str | None = None) -> list[UUID]:
    """So many notifications of the person's, oldest first."""
    ids = [uuids.uuid7() for _ in range(count)]
    await desk.site.services.pools.worker.executemany(
        "insert into notifications (user_id, id, team_id, kind, event_id, created_at, data, in_app, actor_name)"
        ' values ($1, $2, $3, \'task.assigned\', $4, now(), \'{"key": "ENG-1", "title": "Shed"}\', $5, \'Grace\')',
        [(UUID(person.user_id), one, UUID(team or desk.team), str(one), in_app) for one in ids],
    )
    return ids


async def somebody(desk: Desk) -> Any:
    """Somebody new in the team, of whom nobody has heard."""
    person = await desk.site.person()
    await joined(desk.site, desk.team, desk["owner"], person)
    return person


async def get(desk: Desk, path: str, person: Any) -> Any:
    answer = await desk.client.get(path, headers=person.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def patch(desk: Desk, person: Any, body: Any, **headers: str) -> Any:
    return await desk.client.patch(PREFERENCES, json=body, headers={**person.headers, **headers})


def shown(preferences: Any) -> dict[tuple[str, str], bool]:
    return {
        (one["kind"], channel): one[channel]
        for one in preferences["kinds"]
        for channel in ("in_app", "mail")
        if one[channel] is not None
    }


async def test_a_notification_says_what_happened_where_and_who_did_it(desk: Desk) -> None:
    reader = await somebody(desk)
    await told(desk, reader, 1)
    await told(desk, reader, 1, in_app=False)
    (item,) = (await get(desk, INBOX, reader))["items"]
    assert item["sentence"] == "Grace assigned ENG-1 “Shed” to you."
    assert item["actor_name"] == "Grace"
    assert item["team_name"] == (await get(desk, f"/v1/teams/{desk.team}", reader))["name"]


async def test_the_count_is_of_the_inbox_and_ends_where_nobody_counts(desk: Desk) -> None:
    reader = await somebody(desk)
    assert await get(desk, UNREAD, reader) == {"unread": 0, "more": False}
    await told(desk, reader, 3)
    await told(desk, reader, 2, in_app=False)
    assert await get(desk, UNREAD, reader) == {"unread": 3, "more": False}
    await told(desk, reader, MOST_COUNTED - 3)
    assert await get(desk, UNREAD, reader) == {"unread": MOST_COUNTED, "more": False}
    await told(desk, reader, 1)
    assert await get(desk, UNREAD, reader) == {"unread": MOST_COUNTED, "more": True}
    assert await get(desk, UNREAD, desk["member"]) == {"unread": 0, "more": False}


async def test_all_up_to_one_are_ticked_off_and_what_came_later_is_not(desk: Desk) -> None:
    reader = await somebody(desk)
    ids = await told(desk, reader, 5)
    answer = await desk.client.post(READ, json={"up_to": str(ids[2])}, headers=reader.headers)
    assert answer.json() == {"marked": 3}
    unread = (await get(desk, f"{INBOX}?unread=true", reader))["items"]
    assert [one["id"] for one in unread] == [str(one) for one in reversed(ids[3:])]


@pytest.mark.parametrize(
    "body",
    [{}, {"all": True, "up_to": str(uuids.uuid7())}, {"ids": [str(uuids.uuid7())], "all": True}, {"up_to": None}],
)
async def test_what_was_read_is_said_in_one_way(desk: Desk, body: Any) -> None:
    problem(await desk.client.post(READ, json=body, headers=desk["owner"].headers), 400, "bad-input")


async def test_everything_is_as_the_table_says_until_it_is_chosen(desk: Desk) -> None:
    reader = await somebody(desk)
    found = await get(desk, PREFERENCES, reader)
    assert shown(found) == DEFAULTS
    assert found["digest_hour"] == 7
    assert [(one["kind"], one["about"]) for one in found["kinds"]] == [
        (name, kind.about) for name, kind in KINDS.items()
    ]
    wanted: dict[Any, bool] = dict(DEFAULTS)
    for kind, channel in DEFAULTS:
        wanted[kind, channel] = not wanted[kind, channel]
        answer = await patch(desk, reader, {"kinds": {kind: {channel: wanted[kind, channel]}}})
        assert shown(answer.json()) == wanted == shown(await get(desk, PREFERENCES, reader))
    answer = await patch(desk, reader, {"digest_hour": 23})
    assert (answer.json()["digest_hour"], shown(answer.json())) == (23, wanted)
    assert shown(await get(desk, PREFERENCES, desk["member"])) == DEFAULTS, "nobody else's"


async def test_three_switches_are_those_of_the_account(desk: Desk) -> None:
    reader = await somebody(desk)
    await patch(desk, reader, {"kinds": {"digest.daily": {"mail": False}, "comment.mentioned": {"mail": False}}})
    assert (await get(desk, "/v1/me", reader))["mail"] == {"digest": False, "mentions": False, "assignments": True}
    await desk.client.patch("/v1/me", json={"mail": {"mentions": True, "assignments": False}}, headers=reader.headers)
    found = shown(await get(desk, PREFERENCES, reader))
    assert (found["comment.mentioned", "mail"], found["task.assigned", "mail"]) == (True, False)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"kinds": {"digest.daily": {"in_app": True}}}, "/kinds/digest.daily/in_app"),
        ({"kinds": {"team.invited": {"in_app": False}}}, "/kinds/team.invited/in_app"),
        ({"kinds": {"task.cloned": {"mail": False}}}, "/kinds/task.cloned"),
        ({"kinds": {"a/b~'c": {"mail": False}}}, "/kinds/a~1b~0'c"),
        ({"kinds": {"task.assigned": {"sms": True}}}, None),
        ({"kinds": {"task.assigned": {"mail": None}}}, None),
        ({"digest_hour": 24}, "/digest_hour"),
        ({"digest_hour": -1}, "/digest_hour"),
        ({"hour": 8}, "/hour"),
    ],
)
async def test_what_is_no_preference_is_refused_and_changes_nothing(desk: Desk, body: Any, pointer: str | None) -> None:
    reader = await somebody(desk)
    refused = problem(await patch(desk, reader, body), 400, "bad-input")
    assert pointer is None or refused["errors"][0]["pointer"] == pointer
    assert shown(await get(desk, PREFERENCES, reader)) == DEFAULTS


async def test_a_choice_under_a_key_is_made_once(desk: Desk) -> None:
    reader, key = await somebody(desk), new_key()
    off, on = {"kinds": {"comment.added": {"mail": False}}}, {"kinds": {"comment.added": {"mail": True}}}
    first = await patch(desk, reader, off, **{"Idempotency-Key": key})
    await patch(desk, reader, on)
    again = await patch(desk, reader, off, **{"Idempotency-Key": key})
    assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
    assert shown(await get(desk, PREFERENCES, reader)) == DEFAULTS


async def test_somebody_who_has_left_no_longer_sees_what_they_were_told(desk: Desk) -> None:
    member = await somebody(desk)
    await told(desk, member, 2)
    await desk.client.delete(f"/v1/teams/{desk.team}/members/{member.user_id}", headers=desk["owner"].headers)
    assert (await get(desk, INBOX, member))["items"] == []
    assert await get(desk, UNREAD, member) == {"unread": 0, "more": False}
    answer = await desk.client.post(READ, json={"all": True}, headers=member.headers)
    assert answer.json() == {"marked": 0}
