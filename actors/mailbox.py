"""A bounded queue of envelopes that is taken whole: everything that waits becomes one batch."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from uuid import UUID

from msgspec import Struct

from actors.envelope import NOT_MADE, Envelope
from core.errors import DeadlineExceeded, KeyInFlight, Overloaded, TaskForgeError


class MailboxStatistics(Struct, frozen=True):
    """`waiting` envelopes now, `highest` ever; how many were refused as too many or dropped past their deadline."""

    waiting: int
    highest: int
    refused: int
    expired: int


class Mailbox:
    """Holds at most `size` envelopes; knows which idempotency keys are waiting or being worked on."""

    __slots__ = ("_expired", "_highest", "_keys", "_refused", "_size", "waiting")

    def __init__(self, size: int) -> None:
        self._size = size
        self.waiting: deque[Envelope] = deque()
        """The queue, for others to read only."""
        self._keys: set[tuple[UUID, str]] = set()
        self._highest = self._refused = self._expired = 0

    def put(self, envelope: Envelope) -> None:
        """Queue an envelope. Raises Overloaded when full and KeyInFlight when its key is being worked on."""
        waiting = len(self.waiting)
        if waiting >= self._size:
            self._refused += 1
            raise Overloaded("This team has too many changes waiting.")
        if envelope.key is not None:
            if envelope.key.id in self._keys:
                raise KeyInFlight
            self._keys.add(envelope.key.id)
        self.waiting.append(envelope)
        if waiting >= self._highest:
            self._highest = waiting + 1

    def take(self, most: int, now: float) -> list[Envelope]:
        """Up to `most` envelopes that are still wanted: expired and abandoned ones are dropped unexecuted."""
        batch: list[Envelope] = []
        while self.waiting and len(batch) < most:
            envelope = self.waiting.popleft()
            if envelope.deadline < now:
                self._expire(envelope)
            elif envelope.reply.done():
                self.release((envelope,))
            else:
                batch.append(envelope)
        return batch

    def put_back(self, batch: Sequence[Envelope]) -> None:
        """Put envelopes that were taken back in front, in their order; they keep their keys and may exceed the size."""
        self.waiting.extendleft(reversed(batch))

    def release(self, batch: Iterable[Envelope]) -> None:
        """The envelopes have their answers: their keys may be used again."""
        if not self._keys:
            return
        for envelope in batch:
            if envelope.key is not None:
                self._keys.discard(envelope.key.id)

    def expire(self, now: float) -> None:
        """Fail the envelopes that have waited past their deadline, wherever they stand in the queue."""
        late = [envelope for envelope in self.waiting if envelope.deadline < now]
        for envelope in late:
            self.waiting.remove(envelope)
            self._expire(envelope)

    def fail_all(self, error: Callable[[], TaskForgeError]) -> None:
        """Refuse everything that waits; a stopping mailbox never goes silent."""
        while self.waiting:
            envelope = self.waiting.popleft()
            self.release((envelope,))
            envelope.fail(error())

    def _expire(self, envelope: Envelope) -> None:
        self._expired += 1
        self.release((envelope,))
        envelope.fail(DeadlineExceeded(NOT_MADE))

    def statistics(self) -> MailboxStatistics:
        """A frozen picture of the queue."""
        return MailboxStatistics(len(self.waiting), self._highest, self._refused, self._expired)
