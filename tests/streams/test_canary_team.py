"""The canary of a team: it is deleted, forgotten 30 days later, and then every place is searched for what was in it.

First the same search finds it, so that it can be believed when it finds nothing.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from msgspec import structs

from core.ended import DELETED_TEAM
from db.offboarding import KEPT
from db.settings import DatabaseSettings
from streams.kafka.topics import CHECKPOINTS
from streams.scheduler.forgetting import forgetting
from streams.scheduler.scheduler import Scheduler
from taskforge.devstack import DevStack
from taskforge.settings import Settings
from tests.streams.test_canary import (
    EXTERNAL,
    FILE,
    LAST_SAID,
    LAST_TITLE,
    ON_TASK,
    SAID,
    TEXT,
    TITLE,
    Place,
    folder_of,
    opened,
    succeeded,
)
from tests.support.apache_kafka import empty, kafka_settings
from tests.support.site import settings_for
from tests.support.topic_reader import TASKS, read_all
from tests.support.waiting import until_answered
from tests.support.working import working

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

TEAM, LABEL, COLUMN, HOOK, ANSWERED = "canary-team", "canary-label", "canary-column", "canary-hook", "canary-answer"
CANARIES = (TITLE, TEXT, LAST_TITLE, EXTERNAL, FILE, ON_TASK, SAID, LAST_SAID, TEAM, LABEL, COLUMN, HOOK, ANSWERED)
MERGE = {"Content-Type": "application/merge-patch+json"}


@pytest.fixture
async def settings(database: DatabaseSettings, valkey_url: str, kafka_bootstrap: str, tmp_path: Path) -> Settings:
    made = settings_for(database, valkey_url)
    kafka = structs.replace(kafka_settings(kafka_bootstrap), checkpoint_minutes=0.001)
    return structs.replace(
        made,
        kafka=kafka,
        mail=structs.replace(made.mail, mailbox=str(tmp_path / "mails")),
        objects=structs.replace(made.objects, url=(tmp_path / "objects").as_uri()),
    )


async def furnish(place: Place) -> None:
    """What a team has beside tasks: a name, labels, columns, webhooks that were answered, reports."""
    team = f"/v1/teams/{place.team}"
    await place.ask("PATCH", team, place.keeper, {"name": TEAM}, **MERGE)
    await place.ask("POST", f"{team}/labels", place.keeper, {"name": LABEL, "color": "#aa0000"})
    await place.ask("POST", f"{team}/columns", place.keeper, {"name": COLUMN, "category": "open"})
    hook = {"team_id": place.team, "url": f"https://{HOOK}.example.com/in", "description": HOOK, "event_types": []}
    made = await place.ask("POST", "/v1/webhooks/subscriptions", place.keeper, hook)
    tried = await place.ask("POST", f"/v1/webhooks/subscriptions/{made.json()['id']}/test", place.keeper)
    await place.superuser.execute(
        "insert into webhook_attempts (team_id, delivery_id, number, at, response) values ($1, $2, 99, now(), $3)",
        UUID(place.team),
        UUID(tried.json()["id"]),
        ANSWERED,
    )
    await place.ask("POST", f"{team}/reports", place.keeper, {"kind": "board"})
    await succeeded(place, "report")


async def test_nothing_of_a_deleted_team_is_left_anywhere(
    settings: Settings, superuser: Any, services: DevStack
) -> None:
    async with opened(settings, superuser) as place:
        async with working(settings) as worker:
            await place.live()
            await furnish(place)
            await place.save_snapshots()
            await check_that_the_search_finds_it(place)

            await place.ask("DELETE", f"/v1/teams/{place.team}", place.keeper)
            await succeeded(place, "off-boarding")
            await check_that_only_the_history_knows(place)
            await thirty_days_later(place, Scheduler(worker.pools.worker, [forgetting()], now=a_month_from_now))
            await place.save_snapshots()
        assert await place.in_tables(CANARIES) == set()
        assert await place.in_valkey(CANARIES) == set()
        await check_the_end(place)
        await empty(services.kafka)
        async with working(settings, "relay"):
            topics = await place.topics()
        assert not [canary for canary in CANARIES if canary in topics], "the broker was filled anew"
        assert DELETED_TEAM in topics
        assert await tasks_in_the_topic(place) == set()


def a_month_from_now() -> datetime:
    return datetime.now(UTC) + KEPT + timedelta(hours=1)


async def check_that_the_search_finds_it(place: Place) -> None:
    wanted = {
        "teams.name", "labels.name", "columns.name", "tasks.title", "tasks.description", "comments.body",
        "attachments.name", "objects.name", "search_documents.text", "task_events.payload", "idempotency_keys.body",
        "webhook_subscriptions.url", "webhook_subscriptions.description", "webhook_attempts.response",
        "notifications.data",
    }  # fmt: skip

    async def found() -> bool:
        return await place.in_tables(CANARIES) >= wanted  # Consumers write in their own time.

    await until_answered(found)
    assert f":{place.team}" in "".join(await place.in_valkey(CANARIES))
    assert TEAM in await place.topics()
    assert await tasks_in_the_topic(place) != set()
    assert {path.parent.parent.name for path in files(place)} == {"attachment", "reports"}

    async def has_checkpoint() -> bool:
        return place.team in await checkpoints(place)

    await until_answered(has_checkpoint)


async def check_that_only_the_history_knows(place: Place) -> None:
    assert await place.in_tables(CANARIES) == {"task_events.payload", "teams.name"}
    assert await place.in_valkey(CANARIES) == set()
    assert files(place) == []
    assert await tasks_in_the_topic(place) == set()
    assert place.team not in await checkpoints(place)
    for person in (place.keeper, place.canary):
        answer = await place.site.client.get(f"/v1/teams/{place.team}/events?after=0", headers=person.headers)
        assert answer.status_code == 404


async def thirty_days_later(place: Place, scheduler: Scheduler) -> None:
    await scheduler.round()
    await succeeded(place, "team-redaction")


async def check_the_end(place: Place) -> None:
    rows = await place.superuser.fetch("select * from task_events where team_id = $1 order by seq", UUID(place.team))
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    assert [row["type"] for row in rows][-2:] == ["team.deleted", "history.redacted"]
    assert await place.superuser.fetchval("select name from teams where id = $1", UUID(place.team)) == DELETED_TEAM
    query = "select count(*) from former_members where team_id = $1"
    assert await place.superuser.fetchval(query, UUID(place.team)) == 0


def files(place: Place) -> list[Path]:
    """What the object store has; nobody but the team has put anything there."""
    return [path for path in folder_of(place.settings).rglob("*") if path.is_file()]


async def checkpoints(place: Place) -> set[str]:
    """Teams that have a checkpoint in the compacted topic."""
    return await keys_of(place, CHECKPOINTS)


async def tasks_in_the_topic(place: Place) -> set[str]:
    """Tasks of the team that are there by the compacted topic."""
    rows = await place.superuser.fetch(
        "select subject_id::text as id from task_events where team_id = $1 and type = 'task.created'", UUID(place.team)
    )
    return await keys_of(place, TASKS) & {row["id"] for row in rows}


async def keys_of(place: Place, topic: str) -> set[str]:
    """The keys whose last record is no tombstone."""
    last = {
        record.key.decode(): record.value for record in await read_all(place.settings.kafka.bootstrap_servers, topic)
    }
    return {key for key, value in last.items() if value is not None}
