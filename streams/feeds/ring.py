"""The newest events of one team in memory, contiguous by `seq`, and who waits for the next."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from streams.feeds.frames import Frame

if TYPE_CHECKING:
    from streams.feeds.subscription import Subscription

__all__ = ["Channel", "EndReason", "Ring", "Tally", "slice_of"]

EndReason = Literal["removed", "revoked", "expired", "slow", "restart", "unavailable", "gone"]
"""`expired`: the token; `restart`: come again at once, elsewhere or later; `gone`: the reader himself left."""

SLICE_EVENTS = 64
SLICE_BYTES = 64 * 1024
PARKED_EVENTS = 4096


class Ring:
    """A run of frames without a hole. Readers keep a place in it, so that an event is stored once for all of them.

    It holds what the slowest reader may leave unread (`max_events`, `max_bytes`) plus the newest batch: a batch larger
    than the limits must not cut off readers who were up to date when it came.
    """

    __slots__ = ("_bytes", "_frames", "_max_bytes", "_max_events", "start")

    def __init__(self, start: int, max_events: int, max_bytes: int) -> None:
        self.start = start
        self._frames: list[Frame] = []
        self._bytes = 0
        self._max_events, self._max_bytes = max_events, max_bytes

    @property
    def head(self) -> int:
        """The `seq` of the newest frame, or the one before `start` when there is none."""
        return self.start + len(self._frames) - 1

    def __len__(self) -> int:
        return len(self._frames)

    def append(self, frames: Sequence[Frame]) -> None:
        """Add the frames that follow the head, after dropping what no reader may still have unread."""
        excess = len(self._frames) - self._max_events
        size = self._bytes
        drop = 0
        while drop < excess or (size > self._max_bytes and drop < len(self._frames)):
            size -= len(self._frames[drop].cloud_event)
            drop += 1
        self._drop(drop)
        self._frames.extend(frames)
        self._bytes += sum(len(frame.cloud_event) for frame in frames)

    def forget(self, seq: int) -> None:
        """Drop the frames up to `seq`: every reader has them."""
        self._drop(min(seq - self.start + 1, len(self._frames)))

    def _drop(self, count: int) -> None:
        if count > 0:
            self._bytes -= sum(len(frame.cloud_event) for frame in self._frames[:count])
            del self._frames[:count]
            self.start += count

    def after(self, seq: int) -> list[Frame] | None:
        """The next frames after `seq`, a slice of bounded size; empty at the head, None when they are gone."""
        first = seq + 1 - self.start
        if first < 0:
            return None
        return slice_of(self._frames, first)


def slice_of(frames: Sequence[Frame], first: int) -> list[Frame]:
    """At least one frame from `first` on, if there is any, and no more than may be sent in one go.

    The server buffers by the message, whatever its size: only small ones let it hold back a reader who does not read.
    """
    part = list(frames[first : first + SLICE_EVENTS])
    size = 0
    for index, frame in enumerate(part):
        size += len(frame.cloud_event)
        if size > SLICE_BYTES:
            return part[: max(index, 1)]
    return part


class Tally:
    """Counts since start, over all feeds of the process."""

    __slots__ = ("cut", "delivered", "gaps", "resets")

    def __init__(self) -> None:
        self.delivered = self.resets = self.gaps = self.cut = 0

    def count(self, reason: EndReason) -> None:
        """Note why a feed ended."""
        self.cut += reason == "slow"


class Channel:
    """One team's feed in this process: its ring, its readers, and what arrived ahead of a hole.

    `target` is the highest committed `seq` heard of; while it is above the head, events are missing here.
    """

    def __init__(self, team_id: UUID, tally: Tally, max_events: int, max_bytes: int) -> None:
        self.team_id = team_id
        self.tally = tally
        self.ring: Ring | None = None
        self.target = 0
        self.readers: set[Subscription] = set()
        self._limits = (max_events, max_bytes)
        self._waiting: dict[Subscription, asyncio.Future[None]] = {}
        self._parked: dict[int, Frame] = {}

    @property
    def head(self) -> int | None:
        """The newest `seq` that readers can have; None before the first is known."""
        return self.ring.head if self.ring is not None else None

    @property
    def behind(self) -> bool:
        """Whether events are known to be committed that have not arrived here."""
        return self.ring is not None and self.target > self.ring.head

    @property
    def lag(self) -> int:
        """How many events the slowest reader is behind."""
        return max((self.target - reader.seq for reader in self.readers), default=0)

    def offer(self, frames: list[Frame]) -> None:
        """Take committed frames, themselves contiguous, from anywhere and in any order; repeats are dropped."""
        ring = self.ring if self.ring is not None else self._begin(frames[0].seq)
        if frames[0].seq != ring.head + 1:
            frames = [frame for frame in frames if frame.seq > ring.head]
            if not frames:
                return
        self.target = max(self.target, frames[-1].seq)
        if frames[0].seq != ring.head + 1:
            self._park(frames)
            return
        ring.append(frames)
        if self._parked:
            self._unpark(ring)
        self.wake()

    def observe(self, seq: int) -> None:
        """Learn that the team stands at `seq` in the journal."""
        if self.ring is None:
            self._begin(seq + 1)
        self.target = max(self.target, seq)

    def doubt(self) -> None:
        """The journal has nothing beyond the head after all: what was heard of it was wrong."""
        self.target = self.head or 0
        self._parked.clear()

    def end_all(self, reason: EndReason) -> None:
        """End the feeds of all readers."""
        for reader in list(self.readers):
            reader.end(reason)

    def _begin(self, start: int) -> Ring:
        self.ring = Ring(start, *self._limits)
        self.target = max(self.target, start - 1)
        return self.ring

    def _park(self, frames: Sequence[Frame]) -> None:
        if len(self._parked) + len(frames) > PARKED_EVENTS:
            self._parked.clear()
        else:
            self._parked.update((frame.seq, frame) for frame in frames)

    def _unpark(self, ring: Ring) -> None:
        run: list[Frame] = []
        while (frame := self._parked.pop(ring.head + 1 + len(run), None)) is not None:
            run.append(frame)
        ring.append(run)
        self._parked = {seq: frame for seq, frame in self._parked.items() if seq > ring.head}

    def trim(self) -> None:
        """Let go of what every reader has."""
        if self.ring is not None and self.readers and len(self.ring):
            self.ring.forget(min(reader.seq for reader in self.readers))

    def wait(self, reader: "Subscription") -> asyncio.Future[None]:
        """A future that is done when there may be something for the reader."""
        future = asyncio.get_running_loop().create_future()
        self._waiting[reader] = future
        return future

    def stop_waiting(self, reader: "Subscription") -> None:
        """Release one reader, if he waits."""
        future = self._waiting.pop(reader, None)
        if future is not None and not future.done():
            future.set_result(None)

    def wake(self) -> None:
        """Release all waiting readers: once per batch, however many events it has."""
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_result(None)
