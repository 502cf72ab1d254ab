"""The newest events of one team in memory, contiguous by `seq`."""

from collections.abc import Sequence

from streams.feeds.frames import Frame

__all__ = ["ReplayBuffer", "slice_of"]

SLICE_EVENTS = 64
SLICE_BYTES = 64 * 1024


class ReplayBuffer:
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
