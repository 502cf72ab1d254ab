"""The notifications consumer, against the real database and broker."""

from uuid import UUID

import pytest
import uuid_utils.compat as uuids
from msgspec import structs

from core.codec import encode
from core.recurrence import Recurrence
from db.people.notifications import list_notifications
from db.transaction import reading
from streams.cloud_events import cloud_event
from streams.kafka.topics import TASK_EVENTS, dlq_topic, event_headers, retry_topic, team_key
from streams.settings import KafkaSettings
from taskforge.devstack import DevStack
from taskforge.settings import Settings
from tests.support.consuming import producing
from tests.support.journal_writer import NOW, SALT, SOMEBODY, JournalWriter, a_task, created, deleted, updated
from tests.support.topic_reader import read_count
from tests.support.waiting import until
from tests.support.working import consumer_of, handled, working

pytestmark = pytest.mark.anyio


async def told(journal: JournalWriter, user_id: UUID) -> list[str]:
    """The event ids of what the user was told."""
    rows = await journal.pool.fetch("select event_id from notifications where user_id = $1 order by id", user_id)
    return [row["event_id"] for row in rows]


async def test_whoever_gets_a_task_from_somebody_else_is_told_once_and_nobody_for_their_own_doing(
    settings: Settings, journal: JournalWriter, kafka: KafkaSettings
) -> None:
    team_id = await journal.team()
    ann, ben = [await journal.member(team_id, uuids.uuid7()) for _ in range(2)]
    one, two = a_task(team_id, 1, assignee_id=ann), a_task(team_id, 2, assignee_id=ben)
    async with working(settings) as worker:
        await journal.commit(
            [
                created(one, 1),
                created(two, 2, actor_id=ben),
                updated(a_task(team_id, 2, id=two.id, assignee_id=ann), 3, actor_id=ben, assignee_id=ben),
                updated(one, 4, title="another"),
                deleted(one, 5),
            ]
        )
        await until(lambda: handled(worker) == 5)

    assert await told(journal, ann) == [f"{team_id}:1:1", f"{team_id}:1:3"]
    assert await told(journal, ben) == []


async def test_an_event_delivered_twice_is_one_notification(
    settings: Settings, journal: JournalWriter, kafka: KafkaSettings
) -> None:
    team_id = await journal.team()
    ann = await journal.member(team_id, uuids.uuid7())
    event = encode(created(a_task(team_id, assignee_id=ann), 1), salt=SALT)
    async with working(settings, "notifications") as worker, producing(kafka) as producer:
        for _ in range(2):
            await producer.send_and_wait(
                TASK_EVENTS, cloud_event(event.row), key=team_key(team_id), headers=event_headers(event.row, "one")
            )
        await until(lambda: handled(worker) == 2)
        assert consumer_of(worker).applied == 1

    assert await told(journal, ann) == [f"{team_id}:1:1"]


async def test_a_task_that_a_series_made_is_given_by_the_series_and_by_nobody_in_person(
    settings: Settings, journal: JournalWriter, kafka: KafkaSettings
) -> None:
    team_id = await journal.team()
    ann = await journal.member(team_id, uuids.uuid7())
    series = Recurrence(rule="FREQ=DAILY", when="due", start=NOW.date(), on=NOW.date())
    made = created(a_task(team_id, assignee_id=ann, recurrence=series, due_on=NOW.date()), 1)
    event = encode(made, salt=SALT, actor_kind="system")
    async with working(settings, "notifications") as worker, producing(kafka) as producer:
        headers = event_headers(event.row, "one")
        await producer.send_and_wait(TASK_EVENTS, cloud_event(event.row), key=team_key(team_id), headers=headers)
        await until(lambda: handled(worker) == 1)
    async with reading(journal.pool, ann) as tx:
        (shown,) = await list_notifications(tx, ann, unread=False, before=None, limit=9)
    assert shown.sentence == "The series assigned TEAM-1 “Task 1” to you."
    assert (shown.actor_id, shown.actor_name) == (None, "")


async def test_poison_goes_to_the_dead_letters_with_its_cause_and_the_teams_other_events_go_on(
    settings: Settings, journal: JournalWriter, kafka: KafkaSettings
) -> None:
    team_id = await journal.team()
    ann = await journal.member(team_id, uuids.uuid7())
    after = encode(created(a_task(team_id, assignee_id=ann), 1), salt=SALT)
    other = encode(created(a_task(team_id), 2), salt=SALT)
    misshapen = cloud_event(other.row).replace(b'"number":1', b'"number":"one"')
    newer = cloud_event(structs.replace(other.row, schema_version=2))
    poison = [b"{", b"", b'{"specversion":"1.0"}', b"\xff\xfe", misshapen, newer]
    async with working(settings, "notifications") as worker, producing(kafka) as producer:
        for value in poison:
            await producer.send_and_wait(TASK_EVENTS, value, key=team_key(team_id), headers=[("odd", b"\xff\xfe")])
        await producer.send_and_wait(TASK_EVENTS, cloud_event(after.row), key=team_key(team_id))
        await until(lambda: handled(worker) == len(poison) + 1)

    assert await told(journal, ann) == [f"{team_id}:1:1"]
    dead = await read_count(kafka.bootstrap_servers, dlq_topic("notifications"), len(poison))
    assert [record.value for record in dead] == poison
    for offset, record in enumerate(dead):
        headers = dict(record.headers)
        assert headers["odd"] == b"\xff\xfe"
        assert headers["taskforge-original-topic"].decode() == TASK_EVENTS
        assert int(headers["taskforge-original-offset"]) == offset
        assert headers["taskforge-attempts"] == b"1"
        assert headers["taskforge-error-class"]
        assert headers["taskforge-first-failure"]


async def test_events_of_a_newer_version_are_skipped_and_not_dead_letters(
    settings: Settings, journal: JournalWriter, kafka: KafkaSettings
) -> None:
    team_id = await journal.team()
    newer = cloud_event(encode(created(a_task(team_id), 1), salt=SALT).row).replace(
        b'"type":"task.created"', b'"type":"task.cloned"'
    )
    async with working(settings, "notifications") as worker, producing(kafka) as producer:
        await producer.send_and_wait(TASK_EVENTS, newer, key=team_key(team_id))
        await until(lambda: handled(worker) == 1)
        assert consumer_of(worker).passed == 1


async def test_a_failing_effect_is_tried_again_later_and_succeeds_without_blocking_others(
    settings: Settings, journal: JournalWriter, kafka: KafkaSettings
) -> None:
    team_id = await journal.team()
    ann = await journal.member(team_id, uuids.uuid7())
    await journal.pool.execute(
        "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'not now'; end $$;"
        f" create trigger refuse before insert on notifications for each row when (new.event_id = '{team_id}:1:1')"
        " execute function refuse()"
    )
    async with working(settings) as worker:
        await journal.commit([created(a_task(team_id, n, assignee_id=ann), n) for n in (1, 2)])
        await until(lambda: consumer_of(worker).retried == 1)
        await until(lambda: consumer_of(worker).applied == 1)
        await journal.pool.execute("drop trigger refuse on notifications")
        await until(lambda: consumer_of(worker).applied == 2)

    assert sorted(await told(journal, ann)) == [f"{team_id}:1:1", f"{team_id}:1:2"]
    (retried,) = await read_count(kafka.bootstrap_servers, retry_topic("notifications"), 1)
    assert retried.partition == 0
    assert int(dict(retried.headers)["taskforge-not-before"]) >= retried.timestamp + 900


async def test_a_broker_that_forgets_everything_loses_no_notification_and_repeats_none(
    settings: Settings, journal: JournalWriter, kafka: KafkaSettings, services: DevStack
) -> None:
    team_id = await journal.team()
    ann = await journal.member(team_id, uuids.uuid7())
    async with working(settings) as worker:
        await journal.commit([created(a_task(team_id, n, assignee_id=ann), n) for n in range(1, 31)])
        await until(lambda: consumer_of(worker).applied == 30)
        await services.kafka.kill()
        await journal.commit([created(a_task(team_id, n, assignee_id=ann), n) for n in range(31, 41)])
        await services.kafka.start()
        await until(lambda: consumer_of(worker).applied == 40)
        await until(lambda: worker.broker.statistics().losses == 1)

    assert sorted(await told(journal, ann)) == sorted(f"{team_id}:1:{n}" for n in range(1, 41))


async def test_a_database_that_is_away_holds_the_consumer_and_makes_nothing_fail(
    settings: Settings, journal: JournalWriter, kafka: KafkaSettings, services: DevStack
) -> None:
    team_id = await journal.team()
    ann = await journal.member(team_id, uuids.uuid7())
    events = [encode(created(a_task(team_id, n, assignee_id=ann), n, actor_id=SOMEBODY), salt=SALT) for n in (1, 2)]
    async with working(settings, "notifications") as worker, producing(kafka) as producer:
        await services.postgres.kill()
        try:
            for event in events:
                await producer.send_and_wait(TASK_EVENTS, cloud_event(event.row), key=team_key(team_id))
            await until(lambda: consumer_of(worker).held > 0)
        finally:
            await services.postgres.start()
        await until(lambda: consumer_of(worker).applied == 2)
        statistics = consumer_of(worker)
        assert (statistics.retried, statistics.dead) == (0, 0)

    assert await told(journal, ann) == [f"{team_id}:1:1", f"{team_id}:1:2"]
