"""What feeds of tests are made of: teams whose events are committed here or "elsewhere", a hub, and its readers."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import anyio
from msgspec import structs

from core.codec import Encoded, JournalRow, encode
from core.errors import NotFound, StorageUnavailable
from core.events import Member, MemberAdded, MemberRemoved, TeamRestored
from core.permissions import Role
from core.quotas import Quotas
from core.writes import JournalPosition
from streams.feeds.frames import Frame, Notice, Reset
from streams.feeds.hub import Hub, HubTimes
from streams.feeds.subscription import FeedEnded, Subscription
from streams.settings import FeedSettings
from tests.support.journal_writer import SALT, SOMEBODY, a_task, created

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
QUICK = HubTimes(check=0.02, tick=0.01, hole=0.001, send=30.0)


class FeedSource:
    """Journal and active teams in one: `committed` is the truth. Satisfies `History` and `Teams` of the hub."""

    def __init__(self) -> None:
        self.committed: dict[UUID, list[Encoded]] = {}
        self.members: dict[UUID, set[UUID]] = {}
        self.epoch = 1
        self.restored: set[UUID] = set()
        """Teams of a database that was restored, which nobody has noticed."""
        self.absorbed: list[Encoded] = []
        self.behind_calls: list[tuple[UUID, int]] = []
        self.broken: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.reads = self.positions = 0

    def team(self, events: int = 0, *, user: UUID = SOMEBODY) -> UUID:
        team_id = uuid4()
        self.committed[team_id], self.members[team_id] = [], {user}
        self.commit(team_id, events)
        return team_id

    def commit(self, team_id: UUID, count: int = 1, *, size: int = 0, at: datetime = NOW) -> list[Encoded]:
        rows = self.committed[team_id]
        first = len(rows) + 1
        events = []
        for seq in range(first, first + count):
            event = structs.replace(created(a_task(team_id, seq, description="x" * size), seq), at=at)
            events.append(encode(event, salt=SALT, epoch=self.epoch))
        rows.extend(events)
        return events

    def membership(self, team_id: UUID, user: UUID, *, removed: bool) -> list[Encoded]:
        rows = self.committed[team_id]
        kind = MemberRemoved if removed else MemberAdded
        member = Member(user_id=user, role="member", name="Ada", joined_at=NOW)
        event = kind(team_id=team_id, seq=len(rows) + 1, actor_id=SOMEBODY, at=NOW, member=member)
        rows.append(encode(event, salt=SALT, epoch=self.epoch))
        (self.members[team_id].discard if removed else self.members[team_id].add)(user)
        return rows[-1:]

    async def position(self, team_ids: Sequence[UUID]) -> Mapping[UUID, JournalPosition]:
        self.positions += 1
        await self._journal()
        return {
            team_id: JournalPosition(len(self.committed[team_id]), self.epoch)
            for team_id in team_ids
            if team_id in self.committed
        }

    async def read(self, team_id: UUID, after: int, limit: int = 1000) -> Sequence[JournalRow]:
        self.reads += 1
        await self._journal()
        return [event.row for event in self.committed.get(team_id, [])[after : after + limit]]

    async def _journal(self) -> None:
        if self.broken is not None:
            raise self.broken
        await asyncio.sleep(0)
        await self.gate.wait()

    async def lose(self, team_id: UUID, position: JournalPosition) -> None:
        """As the database does: a new epoch begins with an event of its own."""
        rows = self.committed[team_id]
        if team_id in self.restored or (self.epoch, len(rows)) < (position.epoch, position.seq):
            self.restored.discard(team_id)
            self.epoch = max(self.epoch, position.epoch) + 1
            seq = len(rows) + 1
            event = TeamRestored(team_id=team_id, seq=seq, actor_id=SOMEBODY, at=NOW, epoch=self.epoch, from_seq=seq)
            rows.append(encode(event, salt=SALT, epoch=self.epoch))

    def compare(self, team_id: UUID, seen: int, now: JournalPosition) -> None:
        self.catch_up_to(team_id, now.seq)

    async def view(self, team_id: UUID, *, min_seq: int = 0, epoch: int | None = None) -> "SourceView":
        await asyncio.sleep(0)
        if team_id not in self.committed:
            raise NotFound("team")
        assert len(self.committed[team_id]) >= min_seq
        return SourceView(len(self.committed[team_id]), self.epoch, self.members[team_id])

    def absorb(self, team_id: UUID, events: Sequence[Encoded]) -> None:
        self.absorbed.extend(events)

    def catch_up_to(self, team_id: UUID, seq: int) -> None:
        self.behind_calls.append((team_id, seq))

    def active(self) -> Sequence[tuple[UUID, int]]:
        return [(team_id, len(events)) for team_id, events in self.committed.items()]

    def seq_of(self, team_id: UUID) -> int | None:
        """As if every team were active here and learned of other processes' commits only by `absorb`."""
        return max((event.row.seq for event in self.absorbed if event.row.team_id == team_id), default=0)

    def break_down(self) -> None:
        self.broken = StorageUnavailable("Postgres is away.")


class SourceView:
    def __init__(self, seq: int, epoch: int, members: set[UUID]) -> None:
        self.seq, self.epoch, self._members = seq, epoch, set(members)

    def role_of(self, user_id: UUID) -> Role:
        if user_id not in self._members:
            raise NotFound("team")
        return "member"


def a_hub(source: FeedSource, **settings: Any) -> Hub:
    quotas = Quotas(feeds_per_user=100_000)
    hub = Hub(source, FeedSettings(**settings), None, times=QUICK, quotas=quotas, now=lambda: NOW + timedelta(hours=1))
    hub.attach(source)
    return hub


@asynccontextmanager
async def running_hub(hub: Hub) -> AsyncIterator[Hub]:
    async with anyio.create_task_group() as group:
        await group.start(lambda *, task_status: hub.run(task_status=task_status))
        try:
            yield hub
        finally:
            group.cancel_scope.cancel()


async def take(reader: Subscription, count: int) -> list[int | str]:
    """The next things the reader gets: seqs of events, reasons of resets, at least `count` of them."""
    got: list[int | str] = []
    with anyio.fail_after(10):
        while len(got) < count:
            for item in await reader.next():
                assert not isinstance(item, Notice), "nobody was to be notified"
                got.append(item.reason if isinstance(item, Reset) else item.seq)
    return got


async def take_until_end(reader: Subscription) -> tuple[list[int], str]:
    """All seqs up to the end of the feed, and its reason."""
    got: list[int] = []
    with anyio.fail_after(10):
        while True:
            try:
                got += [item.seq for item in await reader.next() if isinstance(item, Frame)]
            except FeedEnded as ended:
                return got, ended.reason


def seqs(first: int, last: int) -> list[int]:
    return list(range(first, last + 1))
