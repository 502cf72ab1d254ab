"""Live feeds: what was committed, here or by another worker, to everybody who reads a team's feed in this process.

A reader joins first, is backfilled from the journal, then drains live, deduplicated by `seq`. What other processes
commit arrives over Valkey, at most once and therefore never relied on: a hole, or the regular look at the teams'
positions, has it fetched from the journal.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import anyio
from anyio.abc import TaskStatus
from msgspec import Struct
from valkey.asyncio import Valkey

from core.codec import Encoded
from core.errors import NotFound, ShuttingDown, Unavailable
from core.quotas import Quotas
from core.seq import Position
from core.writes import JournalPosition
from db.signed import Signer
from streams.feeds.channel import Channel, Tally
from streams.feeds.frames import Notice, Reset, frames_of, frames_of_rows
from streams.feeds.open_feeds import OpenFeeds
from streams.feeds.places import Places
from streams.feeds.ports import History, Teams
from streams.feeds.remote import Arrival, RemoteFeed
from streams.feeds.replays import Replays
from streams.feeds.subscription import Subscription
from streams.settings import FeedSettings

__all__ = ["Hub", "HubStatistics", "HubTimes"]

logger = logging.getLogger(__name__)

REPAIR_ROWS: Final = 200
POSITION_SECONDS: Final = 3.0
POSITION_TEAMS: Final = 500
"""Teams per query, so that no look at all of them holds the event loop for long."""
DRAIN_SECONDS: Final = 1.5
RESTART_SECONDS: Final = 1.0
FLUSH_SECONDS: Final = 1.0


class HubTimes(Struct, frozen=True, kw_only=True):
    """Seconds: between two looks at the teams' positions, between two looks after each reader, how long a hole may
    stay before the journal is asked (pub/sub is usually faster), and how long one send to a reader may take."""

    check: float = 1.5
    tick: float = 1.0
    hole: float = 0.05
    send: float = 8.0


class HubStatistics(Struct, frozen=True):
    """Now: `subscribers`, `teams` with readers, `lag` (most events any reader is behind). Since start: the rest.

    `dropped` are batches that Valkey did not take."""

    subscribers: int
    teams: int
    lag: int
    delivered: int
    dropped: int
    resets: int
    gaps_repaired: int
    slow_readers: int


class Hub:
    """The feeds of one process; satisfies `actors.ports.Feed`. `attach` the teams, then keep `run` running."""

    def __init__(
        self,
        history: History,
        settings: FeedSettings,
        others: tuple[Valkey, Signer] | None,
        *,
        times: HubTimes | None = None,
        quotas: Quotas | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.settings = settings
        self.times = times or HubTimes()
        self._history = history
        self._places = Places(history, settings, now)
        self._remote = None if others is None else RemoteFeed(*others, self._arrived, self._look, self._is_news)
        self._teams: Teams | None = None
        self._channels: dict[UUID, Channel] = {}
        self._open = OpenFeeds(quotas or Quotas())
        self._holes: set[UUID] = set()
        self._hole_seen = asyncio.Event()
        self._look_now = asyncio.Event()
        self._replays = Replays(history)
        self._draining = False
        self._tally = Tally()

    def attach(self, teams: Teams) -> None:
        """Introduce the active teams: they learn of other workers' commits, and say who is a member."""
        self._teams = teams

    def publish(self, team_id: UUID, events: Sequence[Encoded]) -> None:
        """Give a local commit to local readers and queue it for the other processes. Never blocks, never raises."""
        try:
            self._deliver(team_id, events)
            if self._remote is not None:
                self._remote.send(team_id, events)
        except Exception:
            # A broken feed must not fail a commit that has happened; position checks repair what is missing.
            logger.exception("events of team %s could not be published", team_id)

    def _deliver(self, team_id: UUID, events: Sequence[Encoded]) -> None:
        channel = self._channels.get(team_id)
        if channel is None or not events:
            return
        if events[0].row.epoch == channel.epoch:
            channel.offer(frames_of(events))
            self._notice(channel)
        elif channel.epoch is not None:
            self._look()

    def _notice(self, channel: Channel) -> None:
        if channel.is_behind:
            self._holes.add(channel.team_id)
            self._hole_seen.set()

    async def subscribe(
        self, team_id: UUID, user_id: UUID, after: Position | None = None, *, address: str = ""
    ) -> Subscription:
        """Join a team's feed after a position, or at its head. Leave the Subscription's `with` block to release it.

        `address` is the client's. Raises NotFound("team") for unknown teams and strangers, TooManyAtOnce, ShuttingDown
        while draining, or another Unavailable.
        """
        if self._draining:
            raise ShuttingDown("This server is shutting down.")
        channel = self._channels.get(team_id)
        if channel is None:
            channel = self._channels[team_id] = Channel(
                team_id, self._tally, self.settings.queue_events, self.settings.queue_bytes
            )
        reader = Subscription(channel, user_id, self._replays.page, self._open.discard)
        self._open.admit(reader, address)
        channel.readers.add(reader)
        try:
            await self._place(reader, channel, after)
        except BaseException:
            reader.close()
            raise
        return reader

    async def _place(self, reader: Subscription, channel: Channel, after: Position | None) -> None:
        """Everything committed after `head` was read reaches the channel, for the reader has joined it already."""
        team_id = channel.team_id
        self._listen_also_to(team_id)
        if self._teams is None:
            raise NotFound("team")
        head, view = await self._places.stand(self._teams, team_id, after)
        view.role_of(reader.user_id)
        reader.place(head=head, seq=head if after is None else after.seq, epoch=view.epoch, member_at=view.seq)
        if after is not None and (reason := await self._places.obstacle(team_id, after, head, view.epoch)) is not None:
            reader.reset(Reset(team_id, reason, head))
        if channel.epoch is None:
            channel.epoch = view.epoch
        channel.observe(head)
        self._notice(channel)
        if self._draining:
            raise ShuttingDown("This server is shutting down.")

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled. Ready at once: Valkey may come later or never, and is not needed for correctness."""
        works: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("repair", self._repair),
            ("positions", self._watch_positions),
            ("ticks", self._tick),
        ]
        if self._remote is not None:
            works += [("sender", self._remote.run_sender), ("listener", self._remote.run_listener)]
        async with anyio.create_task_group() as group:
            for name, work in works:
                group.start_soon(_keep, name, work)
            task_status.started()

    def notify(self, user_id: UUID, notice: Notice) -> None:
        """Send the notice in every feed that the user has open here."""
        for reader in self._open:
            if reader.user_id == user_id:
                reader.notice(notice)

    def _arrived(self, arrival: Arrival) -> None:
        """Events from another process; `arrival.events` may be empty when they were too many to send."""
        if arrival.events:
            if self._teams is not None:
                self._teams.absorb(arrival.team_id, arrival.events)
            self._deliver(arrival.team_id, arrival.events)
            return
        if self._teams is not None:
            self._teams.catch_up_to(arrival.team_id, arrival.seq)
        channel = self._channels.get(arrival.team_id)
        if channel is not None:
            channel.observe(arrival.seq)
            self._notice(channel)

    def _is_news(self, team_id: UUID, seq: int) -> bool:
        """Whether the team's readers here, or the team itself while it is active here, are not at `seq` yet."""
        channel = self._channels.get(team_id)
        if channel is not None and (channel.head is None or channel.head < seq):
            return True
        here = None if self._teams is None else self._teams.seq_of(team_id)
        return here is not None and here < seq

    def _listen_also_to(self, team_id: UUID) -> None:
        if self._remote is not None:
            self._remote.want_also(team_id)

    async def _repair(self) -> None:
        """Fetch what is missing, after leaving pub/sub a moment to bring it."""
        while True:
            await self._hole_seen.wait()
            self._hole_seen.clear()
            await asyncio.sleep(self.times.hole)
            holes, self._holes = self._holes, set()
            for team_id in holes:
                channel = self._channels.get(team_id)
                if channel is not None and channel.is_behind:
                    await self._fill(channel)

    async def _fill(self, channel: Channel) -> None:
        try:
            while channel.is_behind and channel.head is not None and channel.readers:
                async with asyncio.timeout(POSITION_SECONDS):
                    rows = await self._history.read(channel.team_id, channel.head, REPAIR_ROWS)
                if not rows:
                    channel.doubt()
                    return
                if rows[-1].epoch != channel.epoch:
                    self._look()
                    return
                self._tally.gaps += channel.is_behind
                channel.offer(frames_of_rows(rows))
                await asyncio.sleep(0)
        except (Unavailable, OSError, TimeoutError) as error:
            logger.warning("a hole in a feed stays for now: %s", error)

    def _look(self) -> None:
        self._look_now.set()

    async def _watch_positions(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self.times.check):
                    await self._look_now.wait()
            except TimeoutError:
                pass
            self._look_now.clear()
            try:
                await self.check_positions()
            except (Unavailable, OSError, TimeoutError) as error:
                logger.warning("the teams' positions cannot be checked: %s", error)

    async def check_positions(self) -> None:
        """Compare every team that is read or active here with the journal, and have what is missing fetched.

        Raises an Unavailable, OSError or TimeoutError when the journal cannot be asked.
        """
        active = dict(self._teams.active()) if self._teams is not None else {}
        watched = active.keys() | self._channels.keys()
        if self._remote is not None:
            self._remote.want(watched)
        teams = list(watched)
        for start in range(0, len(teams), POSITION_TEAMS):
            await self._check(teams[start : start + POSITION_TEAMS], active)

    async def _check(self, teams: Sequence[UUID], active: Mapping[UUID, int]) -> None:
        before = {team_id: channel.head for team_id in teams if (channel := self._channels.get(team_id)) is not None}
        async with asyncio.timeout(POSITION_SECONDS):
            found = await self._history.position(teams)
        for team_id in teams:
            if self._teams is not None and team_id in active and team_id in found:
                self._teams.compare(team_id, active[team_id], found[team_id])
        for team_id, head in before.items():
            await self._compare(team_id, head, found.get(team_id))

    async def _compare(self, team_id: UUID, before: int | None, now: JournalPosition | None) -> None:
        """`before` was our head when the journal was asked, so that the journal cannot be behind it."""
        channel = self._channels.get(team_id)
        if channel is None or before is None or channel.epoch is None:
            return
        if now is None:
            channel.end_all("removed")
        elif (now.epoch, now.seq) < (channel.epoch, before):
            logger.error("team %s went back from seq %d to %d: its history was rewritten", team_id, before, now.seq)
            await self._history.lose(team_id, JournalPosition(before, channel.epoch))
            self._look()
        elif now.epoch != channel.epoch:
            await self._rewrite(channel, now)
        else:
            channel.observe(now.seq)
            self._notice(channel)

    async def _rewrite(self, channel: Channel, now: JournalPosition) -> None:
        """Every reader gets one reset; who is no member in the new epoch gets nothing."""
        assert self._teams is not None, "feeds have teams"
        view = await self._teams.view(channel.team_id, min_seq=now.seq, epoch=now.epoch)
        channel.rewrite(now.epoch, now.seq)
        for reader in (reader for reader in self._open if reader.team_id == channel.team_id):
            try:
                view.role_of(reader.user_id)
            except NotFound:
                reader.end("removed")
            else:
                if reader.epoch == now.epoch:  # It came later, and has been reset when it joined.
                    channel.stop_waiting(reader)
                else:
                    reader.rewrite(now.epoch, now.seq)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self.times.tick)
            now = time.monotonic()
            for reader in self._open:
                reader.tick(now, self.times.send)
            for team_id, channel in list(self._channels.items()):
                channel.trim()
                if not channel.readers:
                    del self._channels[team_id]

    async def drain(self) -> None:
        """Refuse new readers and end all feeds, so that their clients come again elsewhere; at most two seconds."""
        self._draining = True
        for reader in self._open:
            reader.end("restart")
        end = time.monotonic() + DRAIN_SECONDS
        while self._open and time.monotonic() < end:  # noqa: ASYNC110 (many connections, one short wait at the end)
            await asyncio.sleep(0.02)
        for reader in self._open:
            reader.cut("restart")

    async def flush(self) -> None:
        """Give other processes what was committed here, at most for a moment: call it before `run` is cancelled."""
        if self._remote is not None:
            with anyio.move_on_after(FLUSH_SECONDS):
                await self._remote.flush()

    def statistics(self) -> HubStatistics:
        """A frozen picture of all feeds of this process."""
        read = [channel for channel in self._channels.values() if channel.readers]
        return HubStatistics(
            subscribers=sum(len(channel.readers) for channel in read),
            teams=len(read),
            lag=max((channel.lag for channel in read), default=0),
            delivered=self._tally.delivered,
            dropped=self._remote.dropped if self._remote is not None else 0,
            resets=self._tally.resets,
            gaps_repaired=self._tally.gaps,
            slow_readers=self._tally.cut,
        )


async def _keep(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Run one of the hub's endless loops, again when it breaks: one bad moment must not end all feeds for good."""
    while True:
        try:
            await work()
        except Exception:
            logger.exception("the hub's %s stopped and starts again", name)
            await asyncio.sleep(RESTART_SECONDS)
