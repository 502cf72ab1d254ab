"""One team's feed in this process: what is at hand, who subscribes, and who waits for the next event."""

import asyncio
from collections.abc import Sequence
from typing import Literal, Protocol
from uuid import UUID

from streams.feeds.frames import Frame
from streams.feeds.replay_buffer import ReplayBuffer

__all__ = ["Channel", "EndReason", "Subscriber", "Tally"]

EndReason = Literal["removed", "revoked", "expired", "slow", "restart", "unavailable", "gone"]
"""`expired`: the token; `restart`: come again at once, elsewhere or later; `gone`: the reader himself left."""

PARKED_EVENTS = 4096


class Subscriber(Protocol):
    """What a channel knows of who reads it: the position it has reached, and how to end it."""

    seq: int

    def end(self, reason: EndReason) -> None:
        """Give it nothing more, for this reason."""
        ...

    def read_again(self) -> None:
        """Let go of events that were fetched and not sent: the journal says something else of them by now."""
        ...


class Tally:
    """Counts since start, over all feeds of the process."""

    __slots__ = ("cut", "delivered", "gaps", "resets")

    def __init__(self) -> None:
        self.delivered = self.resets = self.gaps = self.cut = 0

    def count(self, reason: EndReason) -> None:
        """Note why a feed ended."""
        self.cut += reason == "slow"


class Channel:
    """One team's feed in this process: its buffer, its readers, and what arrived ahead of a hole.

    `target` is the highest committed `seq` heard of; while it is above the head, events are missing here.
    """

    def __init__(self, team_id: UUID, tally: Tally, max_events: int, max_bytes: int) -> None:
        self.team_id = team_id
        self.tally = tally
        self.buffer: ReplayBuffer | None = None
        self.target = 0
        self.epoch: int | None = None
        """The epoch that head and buffer are of; None before the first is known."""
        self.readers: set[Subscriber] = set()
        self._limits = (max_events, max_bytes)
        self._waiting: dict[Subscriber, asyncio.Future[None]] = {}
        self._parked: dict[int, Frame] = {}

    @property
    def head(self) -> int | None:
        """The newest `seq` that readers can have; None before the first is known."""
        return self.buffer.head if self.buffer is not None else None

    @property
    def is_behind(self) -> bool:
        """Whether events are known to be committed that have not arrived here."""
        return self.buffer is not None and self.target > self.buffer.head

    @property
    def lag(self) -> int:
        """How many events the slowest reader is behind."""
        return max((self.target - reader.seq for reader in self.readers), default=0)

    def offer(self, frames: list[Frame]) -> None:
        """Take committed frames, themselves contiguous, from anywhere and in any order; repeats are dropped."""
        buffer = self.buffer if self.buffer is not None else self._begin(frames[0].seq)
        if frames[0].seq != buffer.head + 1:
            frames = [frame for frame in frames if frame.seq > buffer.head]
            if not frames:
                return
        self.target = max(self.target, frames[-1].seq)
        if frames[0].seq != buffer.head + 1:
            self._park(frames)
            return
        buffer.append(frames)
        if self._parked:
            frames = [*frames, *self._unpark(buffer)]
        if any(frame.redacts for frame in frames):
            self._redact(buffer, max(frame.seq for frame in frames if frame.redacts))
        self.wake()

    def _redact(self, buffer: ReplayBuffer, seq: int) -> None:
        """Forget the events before `seq`: whoever has not got them yet reads them from the journal, as they are now."""
        buffer.forget(seq - 1)
        for reader in self.readers:
            reader.read_again()

    def observe(self, seq: int) -> None:
        """Learn that the team stands at `seq` in the journal."""
        if self.buffer is None:
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

    def rewrite(self, epoch: int, seq: int) -> None:
        """The team's history was rewritten and stands at `seq` of a new epoch: nothing here holds any more."""
        self.epoch, self.buffer = epoch, None
        self._parked.clear()
        self.target = 0
        self._begin(seq + 1)

    def _begin(self, start: int) -> ReplayBuffer:
        self.buffer = ReplayBuffer(start, *self._limits)
        self.target = max(self.target, start - 1)
        return self.buffer

    def _park(self, frames: Sequence[Frame]) -> None:
        if len(self._parked) + len(frames) > PARKED_EVENTS:
            self._parked.clear()
        else:
            self._parked.update((frame.seq, frame) for frame in frames)

    def _unpark(self, buffer: ReplayBuffer) -> list[Frame]:
        run: list[Frame] = []
        while (frame := self._parked.pop(buffer.head + 1 + len(run), None)) is not None:
            run.append(frame)
        buffer.append(run)
        self._parked = {seq: frame for seq, frame in self._parked.items() if seq > buffer.head}
        return run

    def trim(self) -> None:
        """Let go of what every reader has."""
        if self.buffer is not None and self.readers and len(self.buffer):
            self.buffer.forget(min(reader.seq for reader in self.readers))

    def wait(self, reader: Subscriber) -> asyncio.Future[None]:
        """A future that is done when there may be something for the reader."""
        future = asyncio.get_running_loop().create_future()
        self._waiting[reader] = future
        return future

    def stop_waiting(self, reader: Subscriber) -> None:
        """Release one reader, if it waits."""
        future = self._waiting.pop(reader, None)
        if future is not None and not future.done():
            future.set_result(None)

    def wake(self) -> None:
        """Release all waiting readers: once per batch, however many events it has."""
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_result(None)
