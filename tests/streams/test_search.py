"""The consumer that writes documents of search, against the real database and broker."""

from uuid import UUID

import anyio
import pytest
import uuid_utils.compat as uuids

from core.codec import Encoded, encode
from core.events import AnyEvent, HistoryRedacted
from db.pool import open_pools
from db.settings import DatabaseSettings
from streams.search_filling import SearchFiller
from streams.settings import KafkaSettings
from taskforge.settings import Settings
from tests.support.consuming import producing, publish
from tests.support.journal_writer import NOW, SALT, SOMEBODY, JournalWriter, a_task, created, deleted, updated
from tests.support.waiting import until, until_answered
from tests.support.working import consumer_of, working

pytestmark = pytest.mark.anyio


async def documents(journal: JournalWriter, team_id: UUID) -> dict[UUID, tuple[int, str]]:
    rows = await journal.pool.fetch("select task_id, seq, text from search_documents where team_id = $1", team_id)
    return {row["task_id"]: (row["seq"], row["text"]) for row in rows}


def encoded(event: AnyEvent) -> Encoded:
    return encode(event, salt=SALT)


async def test_a_change_writes_the_documents_of_all_tasks_that_it_touched_as_they_are_now(
    settings: Settings, journal: JournalWriter, kafka: KafkaSettings
) -> None:
    team_id = await journal.team()
    one, two = (
        a_task(team_id, 1, title="Stra\u00dfe", version=3),
        a_task(team_id, 2, description="\u00c4PFEL", version=3),
    )
    await journal.store([one, two])
    async with working(settings, "search") as worker, producing(kafka) as producer:
        await until_answered(lambda: has(journal, team_id, {one.id, two.id}))  # What was there before is filled in.
        await journal.pool.execute("delete from search_documents")
        for event in (
            created(one, 1),
            created(two, 2),
            updated(one, 3, ranks={two.id: "a1"}),
            deleted(a_task(team_id), 4),
        ):
            await publish(producer, encoded(event).row)
        await until(lambda: consumer_of(worker, "search").applied == 2)
        await until(lambda: consumer_of(worker, "search").passed == 2)
    assert await documents(journal, team_id) == {one.id: (3, "strasse\x1f"), two.id: (3, "task 2\x1fapfel")}


async def has(journal: JournalWriter, team_id: UUID, wanted: set[UUID]) -> bool:
    return (await documents(journal, team_id)).keys() == wanted


async def test_a_redaction_has_documents_written_anew_from_what_is_left(
    settings: Settings, journal: JournalWriter, kafka: KafkaSettings
) -> None:
    team_id, author = await journal.team(), uuids.uuid7()
    task, other = a_task(team_id, 1, title="Kept"), a_task(team_id, 2, title="Other")
    await journal.store([task, other])
    await journal.pool.execute(
        "insert into comments (team_id, id, task_id, author_id, body, created_at, updated_at, version)"
        " values ($1, $2, $3, $4, 'canary', now(), now(), 1)",
        team_id, uuids.uuid7(), task.id, author,
    )  # fmt: skip
    async with working(settings, "search") as worker, producing(kafka) as producer:
        await until_answered(lambda: has(journal, team_id, {task.id, other.id}))
        assert (await documents(journal, team_id))[task.id][1] == "kept\x1f\x1fcanary"
        await journal.pool.execute("update comments set body = 'forgotten' where author_id = $1", author)
        event = HistoryRedacted(team_id=team_id, seq=3, actor_id=SOMEBODY, at=NOW, subjects=(author,), through_seq=2)
        await publish(producer, encoded(event).row)
        await until(lambda: consumer_of(worker, "search").applied == 1)
    assert (await documents(journal, team_id))[task.id][1] == "kept\x1f\x1fforgotten"


async def test_what_is_missing_is_filled_in_a_slice_at_a_time(
    database: DatabaseSettings, journal: JournalWriter
) -> None:
    teams = [await journal.team() for _ in range(3)]
    for team_id in teams[1:]:
        await journal.store([a_task(team_id, number) for number in range(1, 103)])
    async with open_pools(database) as pools:
        filler = SearchFiller(pools.worker)
        async with anyio.create_task_group() as group:
            group.start_soon(filler.run)
            await until(lambda: filler.statistics().written == 204)
            group.cancel_scope.cancel()
    assert [len(await documents(journal, team_id)) for team_id in teams] == [0, 102, 102]
