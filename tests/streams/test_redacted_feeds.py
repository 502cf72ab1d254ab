"""After `history.redacted` no feed sends an older event as it was: what a reader has not got yet is read anew."""

from collections.abc import Sequence
from uuid import UUID

import anyio
import pytest
from msgspec import structs

from core.codec import Encoded, JournalRow, encode
from core.events import HistoryRedacted
from core.seq import Position
from streams.feeds.frames import Frame
from streams.feeds.hub import Hub
from streams.feeds.subscription import Subscription
from tests.support.feed_harness import NOW, FeedSource, a_hub, running_hub
from tests.support.journal_writer import SALT, SOMEBODY
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

FORGOTTEN = b'{"task":{"title":"Deleted task"},"previous":{}}'


def redact(source: FeedSource, team: UUID) -> list[Encoded]:
    """The journal forgets every event so far; the event that says so is committed."""
    rows = source.committed[team]
    rows[:] = [structs.replace(one, row=structs.replace(one.row, payload=FORGOTTEN, salt=b"")) for one in rows]
    seq = len(rows) + 1
    event = HistoryRedacted(
        team_id=team, seq=seq, actor_id=SOMEBODY, at=NOW, subjects=(UUID(int=9),), through_seq=seq - 1
    )
    rows.append(encode(event, salt=SALT))
    return rows[-1:]


async def bodies(reader: Subscription, last: int) -> dict[int, bytes]:
    """The events up to a seq, as the reader gets them."""
    got: dict[int, bytes] = {}
    with anyio.fail_after(10):
        while last not in got:
            got |= {item.seq: item.cloud_event for item in await reader.next() if isinstance(item, Frame)}
    return got


def check(got: dict[int, bytes], first: int, last: int) -> None:
    assert list(got) == list(range(first, last + 1))
    for seq in range(first, last):
        assert b"Deleted task" in got[seq]
        assert b'"redacted":true' in got[seq]
        assert b'"salt"' not in got[seq]
    assert b"history.redacted" in got[last]
    assert b'"redacted"' not in got[last]


async def test_what_waits_in_the_buffer_is_sent_as_it_is_now() -> None:
    source = FeedSource()
    team, hub = source.team(1), a_hub(source)
    with await hub.subscribe(team, SOMEBODY) as reader:
        hub.publish(team, source.commit(team, 3))
        hub.publish(team, redact(source, team))
        check(await bodies(reader, 5), 2, 5)
        hub.publish(team, source.commit(team, 1))
        assert list(await bodies(reader, 6)) == [6], "the reader goes on live"


async def test_a_page_that_was_fetched_before_is_fetched_anew() -> None:
    source = FeedSource()
    team, hub = source.team(200), a_hub(source)
    with await hub.subscribe(team, SOMEBODY, Position(0, 1)) as reader:
        first = await reader.next()
        assert 0 < len(first) <= 64
        hub.publish(team, redact(source, team))
        check(await bodies(reader, 201), len(first) + 1, 201)


class SlowPages(FeedSource):
    """Pages are read at once, and arrive once they are let through."""

    def __init__(self) -> None:
        super().__init__()
        self.through = anyio.Event()

    async def read(self, team_id: UUID, after: int, limit: int = 1000) -> Sequence[JournalRow]:
        rows = await super().read(team_id, after, limit)
        await self.through.wait()
        return rows


async def test_a_page_that_is_on_its_way_is_fetched_anew() -> None:
    source = SlowPages()
    team, hub = source.team(200), a_hub(source)
    with await hub.subscribe(team, SOMEBODY, Position(0, 1)) as reader:
        got: dict[int, bytes] = {}

        async def read() -> None:
            got.update(await bodies(reader, 201))

        async with anyio.create_task_group() as group:
            group.start_soon(read)
            await until(lambda: source.reads == 1)
            await anyio.wait_all_tasks_blocked()
            hub.publish(team, redact(source, team))
            source.through.set()
        check(got, 1, 201)


async def test_events_that_arrived_ahead_of_a_hole_are_forgotten_too() -> None:
    source = FeedSource()
    team, hub = source.team(1), a_hub(source)
    async with running_hub(hub):
        with await hub.subscribe(team, SOMEBODY) as reader:
            lost = source.commit(team, 1)
            parked = source.commit(team, 2)
            hub.publish(team, parked)
            hub.publish(team, redact(source, team))
            hub.publish(team, lost)
            got = await bodies(reader, 5)
    check(got, 2, 5)


async def test_other_events_leave_the_buffer_as_it_is() -> None:
    source = FeedSource()
    team, hub = source.team(1), a_hub(source)
    with await hub.subscribe(team, SOMEBODY) as reader:
        hub.publish(team, source.commit(team, 3))
        reads = source.reads
        await bodies(reader, 4)
        assert source.reads == reads


async def test_a_late_reader_is_backfilled_with_the_redacted_events() -> None:
    source = FeedSource()
    team, hub = source.team(5), a_hub(source)
    await _redacted_with_a_reader(source, team, hub)
    with await hub.subscribe(team, SOMEBODY, Position(0, 1)) as reader:
        check(await bodies(reader, 6), 1, 6)


async def _redacted_with_a_reader(source: FeedSource, team: UUID, hub: Hub) -> None:
    with await hub.subscribe(team, SOMEBODY) as other:
        hub.publish(team, redact(source, team))
        await bodies(other, 6)
