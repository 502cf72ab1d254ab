"""Two hubs as two processes over one real Valkey: what one commits, the other's readers get, whatever Valkey does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import anyio
import msgspec
import pytest
from msgspec import structs
from valkey.asyncio import Valkey
from valkey.exceptions import ValkeyError

from core.codec import Encoded, JournalRow, encode, reread
from core.seq import Position
from db.signed import Signer
from db.valkey import open_valkey
from streams.feeds.hub import Hub, HubTimes
from streams.feeds.remote import COMMITTED_CHANNEL, RemoteFeed, channel_of
from streams.settings import FeedSettings
from taskforge.devstack import DevStack
from tests.support.feed_harness import NOW, FeedSource, running_hub, seqs, take
from tests.support.journal_writer import SALT, SOMEBODY, a_task, created
from tests.support.signing import SIGNER, STRANGER
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

NEVER = HubTimes(check=3600.0, tick=0.01, hole=3600.0, send=30.0)
"""Times with which nothing but Valkey can bring an event."""


@pytest.fixture
async def valkey(valkey_url: str) -> AsyncIterator[Valkey]:
    async with open_valkey(valkey_url) as client:
        yield client


@asynccontextmanager
async def two_hubs(source: FeedSource, valkey: Valkey, times: HubTimes) -> AsyncIterator[tuple[Hub, Hub]]:
    hubs = [
        Hub(source, FeedSettings(), (valkey, SIGNER), times=times, now=lambda: NOW + timedelta(hours=1))
        for _ in range(2)
    ]
    for hub in hubs:
        hub.attach(source)
    async with running_hub(hubs[0]), running_hub(hubs[1]):
        yield hubs[0], hubs[1]


async def heard(valkey: Valkey, team_id: UUID, listeners: int) -> None:
    """Wait until so many processes listen to the team."""
    await until_subscribed(valkey, channel_of(team_id), listeners)


async def until_subscribed(valkey: Valkey, channel: str, listeners: int) -> None:
    with anyio.fail_after(10):
        while (await valkey.pubsub_numsub(channel))[0][1] != listeners:
            await asyncio.sleep(0.01)


async def test_a_commit_of_one_process_reaches_the_readers_of_another_by_pubsub_alone(valkey: Valkey) -> None:
    source = FeedSource()
    team = source.team()
    async with two_hubs(source, valkey, NEVER) as (here, there):
        with await there.subscribe(team, SOMEBODY) as reader:
            await heard(valkey, team, 1)
            for _ in range(20):
                here.publish(team, source.commit(team, 7))
            assert await take(reader, 140) == seqs(1, 140)
    assert [event.row.seq for event in source.absorbed] == seqs(1, 140)
    assert source.absorbed == source.committed[team]


async def test_a_process_does_not_take_its_own_messages(valkey: Valkey) -> None:
    source = FeedSource()
    team = source.team()
    async with two_hubs(source, valkey, NEVER) as (here, there):
        with await here.subscribe(team, SOMEBODY) as mine, await there.subscribe(team, SOMEBODY) as theirs:
            await heard(valkey, team, 2)
            here.publish(team, source.commit(team, 3))
            assert await take(mine, 3) == await take(theirs, 3) == [1, 2, 3]
    assert len(source.absorbed) == 3


async def test_a_team_that_nobody_else_listens_to_is_not_announced(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process alone would read all its own commits again."""
    source = FeedSource()
    lonely, shared = source.team(), source.team()
    monkeypatch.setattr(source, "active", list)  # Who reads a team listens to it, nobody else.
    messages: list[bytes] = []
    receive = RemoteFeed._receive

    def noted(self: RemoteFeed, channel: bytes, data: bytes) -> None:
        messages.append(channel)
        receive(self, channel, data)

    monkeypatch.setattr(RemoteFeed, "_receive", noted)
    async with two_hubs(source, valkey, NEVER) as (here, there):
        mine = await here.subscribe(lonely, SOMEBODY), await here.subscribe(shared, SOMEBODY)
        with mine[0], mine[1], await there.subscribe(shared, SOMEBODY) as reader:
            await heard(valkey, lonely, 1)
            await heard(valkey, shared, 2)
            channels = {channel_of(team).encode() for team in (lonely, shared)}
            remote = here._remote
            assert remote is not None
            await until(lambda: remote._confirmed == channels)
            async with valkey.pubsub() as relay:
                await relay.subscribe(COMMITTED_CHANNEL)
                await until_subscribed(valkey, COMMITTED_CHANNEL, 1)
                for team in (lonely, shared):
                    here.publish(team, source.commit(team))
                nudged: set[str] = set()
                with anyio.fail_after(10):
                    while len(nudged) < 2:
                        message = await relay.get_message(ignore_subscribe_messages=True, timeout=1.0)
                        nudged.update(message["data"].decode().split() if message else ())
            assert await take(reader, 1) == [1]
            await until(lambda: len(messages) == 2)
    assert set(messages) == {channel_of(shared).encode()}


async def test_a_message_that_tells_nothing_new_is_not_taken_apart(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a turn under the row lock: the team has read the journal before the other process announced it."""
    source = FeedSource()
    team, known = source.team(), source.team()
    parsed: list[JournalRow] = []

    def noted(row: JournalRow) -> Encoded:
        parsed.append(row)
        return reread(row)

    monkeypatch.setattr("streams.feeds.remote.reread", noted)
    async with two_hubs(source, valkey, NEVER) as (here, there):
        with await there.subscribe(team, SOMEBODY) as reader:
            there._listen_also_to(known)
            await heard(valkey, known, 1)
            await heard(valkey, team, 1)
            events = source.commit(known, 5)
            source.absorbed += events
            here.publish(known, events)
            here.publish(team, source.commit(team, 2))
            assert await take(reader, 2) == [1, 2]
    assert len(parsed) == 2


async def test_a_team_read_later_is_heard_on_the_same_connection(valkey: Valkey) -> None:
    source = FeedSource()
    teams = [source.team() for _ in range(5)]
    async with two_hubs(source, valkey, NEVER) as (here, there):
        for team in teams:
            with await there.subscribe(team, SOMEBODY) as reader:
                await heard(valkey, team, 1)
                here.publish(team, source.commit(team))
                assert await take(reader, 1) == [1]


async def test_a_batch_too_large_to_send_is_fetched_from_the_journal(valkey: Valkey) -> None:
    source = FeedSource()
    team = source.team()
    times = HubTimes(check=3600.0, tick=0.01, hole=0.01, send=30.0)
    async with two_hubs(source, valkey, times) as (here, there):
        with await there.subscribe(team, SOMEBODY) as reader:
            await heard(valkey, team, 1)
            here.publish(team, source.commit(team, 1, size=600_000))
            assert await take(reader, 1) == [1]
    assert source.behind_calls[-1] == (team, 1)


async def test_the_relay_is_nudged_with_the_bare_team_id(valkey: Valkey) -> None:
    source = FeedSource()
    team = source.team()
    async with valkey.pubsub(ignore_subscribe_messages=True) as nudges:
        await nudges.subscribe(COMMITTED_CHANNEL)
        async with two_hubs(source, valkey, NEVER) as (here, _):
            with anyio.fail_after(10):
                while (await valkey.pubsub_numsub(COMMITTED_CHANNEL))[0][1] != 1:
                    await asyncio.sleep(0.01)
                here.publish(team, source.commit(team))
                message = None
                while message is None:
                    message = await nudges.get_message(timeout=1.0)
    assert message["data"] == str(team).encode()


async def test_dropping_every_second_message_loses_nothing_within_five_seconds(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped = 0
    receive = RemoteFeed._receive

    def lossy(self: RemoteFeed, channel: bytes, data: bytes) -> None:
        nonlocal dropped
        dropped += 1
        if dropped % 2:
            receive(self, channel, data)

    monkeypatch.setattr(RemoteFeed, "_receive", lossy)
    source = FeedSource()
    team = source.team()
    async with two_hubs(source, valkey, HubTimes()) as (here, there):
        with await there.subscribe(team, SOMEBODY) as reader:
            await heard(valkey, team, 1)
            for _ in range(40):
                here.publish(team, source.commit(team, 2))
                await asyncio.sleep(0)
            with anyio.fail_after(5):
                assert await take(reader, 80) == seqs(1, 80)


async def test_valkey_killed_and_restarted_delays_feeds_and_loses_nothing(services: DevStack, valkey: Valkey) -> None:
    source = FeedSource()
    team = source.team()
    async with two_hubs(source, valkey, HubTimes(check=0.2)) as (here, there):
        with await there.subscribe(team, SOMEBODY) as reader:
            await heard(valkey, team, 1)
            await services.valkey.kill()
            for _ in range(5):
                here.publish(team, source.commit(team))
            with anyio.fail_after(5):
                assert await take(reader, 5) == seqs(1, 5)
            await until(lambda: here.statistics().dropped >= 1)
            await services.valkey.start()
            await heard_again(valkey, team)
            here.publish(team, source.commit(team))
            with anyio.fail_after(5):
                assert await take(reader, 1) == [6]


async def heard_again(valkey: Valkey, team_id: UUID) -> None:
    with anyio.fail_after(10):
        while True:
            try:
                return await heard(valkey, team_id, 1)
            except (ValkeyError, OSError):
                await asyncio.sleep(0.01)


async def test_a_flushed_valkey_changes_nothing(valkey: Valkey) -> None:
    source = FeedSource()
    team = source.team()
    async with two_hubs(source, valkey, NEVER) as (here, there):
        with await there.subscribe(team, SOMEBODY) as reader:
            await heard(valkey, team, 1)
            await valkey.flushall()
            here.publish(team, source.commit(team))
            assert await take(reader, 1) == [1]


async def test_a_paused_valkey_delays_feeds_by_at_most_five_seconds(valkey: Valkey) -> None:
    source = FeedSource()
    team = source.team()
    async with two_hubs(source, valkey, HubTimes()) as (here, there):
        with await there.subscribe(team, SOMEBODY) as reader:
            await heard(valkey, team, 1)
            await valkey.execute_command("CLIENT", "PAUSE", 2500, "ALL")
            here.publish(team, source.commit(team))
            with anyio.fail_after(5):
                assert await take(reader, 1) == [1]
            await heard_again(valkey, team)


def signed(team_id: UUID, seq: int, rows: list[Any], signer: Signer = SIGNER) -> bytes:
    """A message as another process of ours would send it."""
    body = msgspec.msgpack.Encoder(uuid_format="bytes").encode([b"o" * 16, rows])
    channel = channel_of(team_id).encode()
    return signer.sign("commits", channel, body, seconds=60, team_id=team_id, epoch=1, seq=seq)


def _newer_row() -> JournalRow:
    """An event of a type that is known here, with data of a version that is not."""
    row = encode(created(a_task(UUID(int=3)), 5), salt=SALT).row
    return structs.replace(row, schema_version=2)


@pytest.mark.parametrize(
    "poison",
    [
        b"",
        b"\xff\xff",
        msgspec.msgpack.encode([1, 2, 3]),
        signed(UUID(int=1), 5, [], STRANGER),
        [b"{}"],
        [[]],
        [[b"t" * 16, 5, "task.exploded", b"s" * 16, b"a" * 16, datetime(2026, 1, 1, tzinfo=UTC), "", b"{}"]],
        [_newer_row()],
        [[b"t" * 16, 5, "task.created", b"s" * 16, b"a" * 16, datetime(2026, 1, 1, tzinfo=UTC), "", b'{"task":1}']],
    ],
    # A signature differs from second to second, and every process of tests must know them by the same names.
    ids=("empty", "bytes", "array", "signed by a stranger", "object", "no fields", "unknown type", "newer", "odd data"),
)
async def test_a_message_that_is_not_ours_is_ignored(valkey: Valkey, poison: Any) -> None:
    source = FeedSource()
    team = source.team()
    async with two_hubs(source, valkey, NEVER) as (here, there):
        with await there.subscribe(team, SOMEBODY) as reader:
            await heard(valkey, team, 1)
            if isinstance(poison, list):  # Rows that are none, in an envelope as it should be.
                poison = signed(team, 5, poison)
            await valkey.publish(channel_of(team), poison)
            here.publish(team, source.commit(team))
            assert await take(reader, 1) == [1]
    assert len(source.absorbed) == 1


async def test_a_message_about_another_team_or_with_a_hole_is_ignored(valkey: Valkey) -> None:
    source = FeedSource()
    team, other = source.team(), source.team()
    first, _, third = source.commit(team, 3)
    async with two_hubs(source, valkey, NEVER) as (here, there):
        with await there.subscribe(other, SOMEBODY) as reader, await there.subscribe(team, SOMEBODY, Position(0)):
            await heard(valkey, team, 1)
            await heard(valkey, other, 1)
            await valkey.publish(channel_of(other), signed(other, 1, [first.row]))
            await valkey.publish(channel_of(team), signed(team, 3, [first.row, third.row]))
            here.publish(other, source.commit(other))
            assert await take(reader, 1) == [1]
    assert [event.row.team_id for event in source.absorbed] == [other]


async def test_a_false_position_is_doubted_once_the_journal_was_asked(valkey: Valkey) -> None:
    source = FeedSource()
    team = source.team(1)
    times = HubTimes(check=3600.0, tick=0.01, hole=0.01, send=30.0)
    async with two_hubs(source, valkey, times) as (_, there):
        with await there.subscribe(team, SOMEBODY):
            await heard(valkey, team, 1)
            asked = source.reads
            await valkey.publish(channel_of(team), signed(team, 10**6, []))
            await until(lambda: source.reads > asked)
            await until(lambda: there.statistics().lag == 0)


async def test_too_much_to_announce_drops_the_oldest_and_counts_it(valkey: Valkey) -> None:
    source = FeedSource()
    team = source.team()
    feed = RemoteFeed(valkey, SIGNER, lambda arrival: None, lambda: None, lambda team, seq: True)
    for _ in range(20):
        feed.send(team, source.commit(team, 1, size=500_000))
    assert feed.dropped >= 3


async def test_a_process_that_ends_has_announced_everything_it_committed(valkey: Valkey) -> None:
    """An import once ended with its last batch still queued, and boards lacked 79 tasks for a while."""
    source = FeedSource()
    team = source.team()
    feed = RemoteFeed(valkey, SIGNER, lambda arrival: None, lambda: None, lambda team, seq: True)
    async with valkey.pubsub(ignore_subscribe_messages=True) as nudges:
        await nudges.subscribe(COMMITTED_CHANNEL)
        await until_subscribed(valkey, COMMITTED_CHANNEL, 1)
        async with anyio.create_task_group() as group:
            group.start_soon(feed.run_sender)
            feed.send(team, source.commit(team, 3))
            with anyio.fail_after(5):
                await feed.flush()
            group.cancel_scope.cancel()
        message = None
        with anyio.fail_after(5):
            while message is None:
                message = await nudges.get_message(timeout=1.0)
    assert message["data"] == str(team).encode()
