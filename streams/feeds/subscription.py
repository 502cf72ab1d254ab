"""One reader of a team's feed: the reader's place, what may still be sent, and why the feed ended."""

import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Self
from uuid import UUID

from core.codec import JournalRow
from core.errors import Unavailable
from streams.feeds.channel import Channel, EndReason
from streams.feeds.frames import Frame, Notice, Reset, Sendable, frames_of_rows
from streams.feeds.replay_buffer import slice_of

__all__ = ["EndReason", "FeedEnded", "Subscription"]

logger = logging.getLogger(__name__)

MOST_NOTICES: Final = 50

ReadPage = Callable[[UUID, int], Awaitable[Sequence[JournalRow]]]
"""(team, after): the next rows of the journal, ordered and contiguous; empty only at its end."""


class FeedEnded(Exception):
    """There is nothing more for this reader; `reason` decides how the connection is closed."""

    def __init__(self, reason: EndReason) -> None:
        super().__init__(reason)
        self.reason = reason


class Subscription:
    """Made by `Hub.subscribe`, read by one task with `next`; leaving its `with` block releases it.

    Events come in `seq` order, without hole or repeat.
    `seq` is the reader's place (everything up to it was sent), `head` the team's seq at the time of joining. `user_id`
    was a member at `member_at`: the removal after that is the last event that is sent.
    The connection may set: `guard`, asked every second whether and why to end (monotonic seconds in); `wake_at`, when
    `next` shall return empty-handed; `on_cut`, called when the reader is cut off while its connection hangs in a send.
    """

    def __init__(
        self, channel: Channel, user_id: UUID, read_page: ReadPage, closed: Callable[["Subscription"], None]
    ) -> None:
        self.user_id = user_id
        self.team_id = channel.team_id
        self.seq = self.head = self.member_at = 0
        self.epoch = 0
        self.ended: EndReason | None = None
        self.guard: Callable[[float], EndReason | None] | None = None
        self.on_cut: Callable[[], None] | None = None
        self.wake_at = math.inf
        self._channel = channel
        self._read_page = read_page
        self._closed = closed
        self._reset: Reset | None = None
        self._notices: list[Notice] = []
        self._rereads = 0
        self._page: Sequence[Frame] = ()
        self._live = False
        self._woken = False
        self._busy_since: float | None = time.monotonic()

    @property
    def resetting(self) -> bool:
        """Whether the next thing to send is a reset."""
        return self._reset is not None

    def place(self, *, head: int, seq: int, epoch: int, member_at: int) -> None:
        """Start after `seq`, in a team that stands at `head`."""
        self.head, self.seq, self.epoch, self.member_at = head, seq, epoch, member_at

    def rewrite(self, epoch: int, seq: int) -> None:
        """Start again at `seq` of a new epoch, and tell the reader so."""
        self.epoch, self.head, self.member_at = epoch, seq, seq
        self._page, self._live = (), False
        self.reset(Reset(self.team_id, "epoch", seq))
        self._channel.stop_waiting(self)

    def read_again(self) -> None:
        """Read what was not sent yet from the journal, where the buffer does not reach back to it any more."""
        self._page, self._live = (), False
        self._rereads += 1

    def reset(self, reset: Reset) -> None:
        """Start at the head instead, and tell the reader so before anything else."""
        self._reset, self.seq = reset, reset.seq
        self._channel.tally.resets += 1

    async def next(self) -> Sequence[Sendable]:
        """The next things to send, in order; empty when woken by `wake` or `wake_at`. Raises FeedEnded at the end."""
        self._busy_since = None
        try:
            return await self._next()
        finally:
            self._busy_since = time.monotonic()

    async def _next(self) -> Sequence[Sendable]:
        while True:
            if self.ended is not None:
                raise FeedEnded(self.ended)
            if self._reset is not None:
                reset, self._reset = self._reset, None
                return (reset,)
            if self._notices:
                notices, self._notices = self._notices, []
                return notices
            if self._woken:
                self._woken = False
                return ()
            frames = self._in_memory()
            if frames is None:
                frames = await self._backfill()
            elif not frames and self.ended is None:
                await self._channel.wait(self)
            if frames:
                return self._take(frames)

    def _in_memory(self) -> Sequence[Frame] | None:
        """What is at hand for this reader; None when the buffer does not reach back so far, but the journal may."""
        if self._page and self._page[-1].seq > self.seq:
            return slice_of(self._page, self.seq - self._page[0].seq + 1)
        self._page = ()
        buffer = self._channel.buffer
        frames = buffer.after(self.seq) if buffer is not None else ()
        if frames is not None:
            self._live = True
        elif self._live:
            self.end("slow")
            return ()
        return frames

    async def _backfill(self) -> Sequence[Frame]:
        """A page from the journal; the buffer does not reach back to this reader's place."""
        rereads = self._rereads
        try:
            rows = await self._read_page(self.team_id, self.seq)
        except (Unavailable, OSError, TimeoutError) as error:
            logger.warning("a feed cannot be backfilled: %s", error)
            self.end("unavailable")
            return ()
        if self.ended is not None or self._reset is not None or rereads != self._rereads:
            return ()  # What was on its way may say what is forgotten by now.
        if [row.seq for row in rows] != list(range(self.seq + 1, self.seq + 1 + len(rows))) or not rows:
            # Never a partial recovery: a reader that meets a hole starts over from the snapshot.
            found = f"{len(rows)} rows from {rows[0].seq} to {rows[-1].seq}" if rows else "no rows"
            logger.error("the journal of team %s does not go on after seq %d: %s", self.team_id, self.seq, found)
            self._live = True
            self.reset(Reset(self.team_id, "broken", self._channel.head or 0))
            return ()
        self._page = frames_of_rows(rows)
        return slice_of(self._page, 0)

    def _take(self, frames: Sequence[Frame]) -> Sequence[Frame]:
        for index, frame in enumerate(frames):
            if frame.removes == self.user_id and frame.seq > self.member_at:
                frames = frames[: index + 1]
                self.end("removed")
                break
        self.seq = frames[-1].seq
        self._channel.tally.delivered += len(frames)
        return frames

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def notice(self, notice: Notice) -> None:
        """Send this soon, between events; of many that a slow reader has not taken, the oldest are left out."""
        if self.ended is None:
            self._notices = [*self._notices[1 - MOST_NOTICES :], notice]
            self._channel.stop_waiting(self)

    def wake(self) -> None:
        """Make `next` return soon, empty-handed if need be."""
        self._woken = True
        self._channel.stop_waiting(self)

    def end(self, reason: EndReason) -> None:
        """End the feed; the first reason stays. `next` raises FeedEnded from now on."""
        if self.ended is None:
            self.ended = reason
            self._channel.tally.count(reason)
            self._channel.readers.discard(self)
            self._channel.stop_waiting(self)

    def close(self) -> None:
        """The connection is over: let go of everything."""
        self.end("gone")
        self._closed(self)

    def cut(self, reason: EndReason) -> None:
        """End the feed although its connection hangs in a send."""
        self.end(reason)
        self._closed(self)
        if self.on_cut is not None:
            self.on_cut()

    def tick(self, now: float, patience: float) -> None:
        """Look after this reader: `now` in monotonic seconds, `patience` how long one send may take."""
        if self._busy_since is not None and now - self._busy_since > patience:
            self.cut("slow")
        elif self.ended is not None:
            return
        elif self.guard is not None and (reason := self.guard(now)) is not None:
            self.end(reason)
        elif now >= self.wake_at:
            self.wake_at = math.inf
            self.wake()
