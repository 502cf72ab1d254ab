"""Between the hubs of all processes: committed events over Valkey pub/sub, at most once.

Channel `taskforge:team:<team id>` carries signed msgpack `[origin, [journal row, …]]`, whose header says the last seq
and its epoch; the list is empty when the rows are too many bytes. What is not signed by one of us is dropped: position
checks bring whatever it announced. Channel `taskforge:committed` carries bare team ids, separated by spaces: a nudge
for the relay, which believes nothing of it but looks. Nothing is sent to a channel whose only listener is the sender.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence, Set
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec
from msgspec import Struct
from valkey.asyncio import Valkey
from valkey.asyncio.client import PubSub

from core.codec import Encoded, JournalRow, reread
from core.upcasts import UnknownEvent
from db.signed import Signer, peek
from db.valkey import QuietLog, ValkeyUnavailable, valkey_errors

__all__ = ["COMMITTED_CHANNEL", "Arrival", "RemoteFeed", "channel_of"]

logger = logging.getLogger(__name__)

COMMITTED_CHANNEL: Final = "taskforge:committed"
MESSAGE_BYTES: Final = 512 * 1024
QUEUE_BYTES: Final = 8 * 1024 * 1024
QUEUE_BATCHES: Final = 4096
FLUSH_BATCHES: Final = 256
FLUSH_SECONDS: Final = 2.0
GATHER_SECONDS: Final = 0.01
"""Between two flushes while commits keep coming: a team's commits travel together, and each message costs a process."""
VALID_SECONDS: Final = 60.0
"""How long a message may be on its way, clocks that differ included."""
READ_SECONDS: Final = 1.0
SILENT_READS: Final = 3
PAUSE_SECONDS: Final = 0.25

# The nudge; then how many listen to each channel: channel, count, channel, count, …
_NUDGE_AND_COUNT: Final = (
    "redis.call('PUBLISH', ARGV[1], ARGV[2]) return redis.call('PUBSUB', 'NUMSUB', unpack(ARGV, 3))"
)
# Channel, message, channel, message, … as one command with one answer, whatever their number.
_PUBLISH_ALL: Final = "for i = 1, #ARGV, 2 do redis.call('PUBLISH', ARGV[i], ARGV[i + 1]) end"


def channel_of(team_id: UUID) -> str:
    """The pub/sub channel of a team's commits."""
    return f"taskforge:team:{team_id}"


class _Message(Struct, array_like=True, frozen=True):
    origin: bytes
    rows: msgspec.Raw
    """Taken apart only when it is news."""


class Arrival(Struct, frozen=True):
    """What another process committed, up to `seq`: contiguous events, or none when they were too many to send."""

    team_id: UUID
    seq: int
    events: Sequence[Encoded]


Batch = tuple[UUID, Sequence[Encoded], int]
"""(team, events, bytes)."""


class RemoteFeed:
    """Sends local commits in the background and hears those of other processes on one connection.

    `arrived` gets each message that is news by `is_news` (team, seq): who reads the journal under a team's row lock is
    often faster, and taking a message apart costs more than all the rest. `look` is called when messages may have been
    missed, after every new connection.
    """

    def __init__(
        self,
        client: Valkey,
        signer: Signer,
        arrived: Callable[[Arrival], None],
        look: Callable[[], None],
        is_news: Callable[[UUID, int], bool],
    ) -> None:
        self.dropped = 0
        self._client = client
        self._signer = signer
        self._nudge_and_count = client.register_script(_NUDGE_AND_COUNT)
        self._publish_all = client.register_script(_PUBLISH_ALL)
        self._arrived = arrived
        self._is_news = is_news
        self._look = look
        self._origin = uuid4().bytes
        self._encode = msgspec.msgpack.Encoder(uuid_format="bytes").encode
        self._decode = msgspec.msgpack.Decoder(_Message).decode
        self._decode_rows = msgspec.msgpack.Decoder(list[JournalRow]).decode
        self._queue: deque[Batch] = deque()
        self._queued_bytes = 0
        self._queued = asyncio.Event()
        self._sent = asyncio.Event()
        self._sent.set()
        self._wanted: frozenset[UUID] = frozenset()
        self._wanted_changed = asyncio.Event()
        self._confirmed = set[bytes]()
        """Channels among whose listeners Valkey counts this process."""
        self._quiet = QuietLog(logger)

    def send(self, team_id: UUID, events: Sequence[Encoded]) -> None:
        """Queue a commit for the other processes; the oldest waiting one is dropped when too much waits."""
        size = sum([len(event.row.payload) for event in events])
        self._queue.append((team_id, events, size))
        self._queued_bytes += size
        while self._queued_bytes > QUEUE_BYTES or len(self._queue) > QUEUE_BATCHES:
            self._queued_bytes -= self._queue.popleft()[2]
            self.dropped += 1
        self._queued.set()
        self._sent.clear()

    async def flush(self) -> None:
        """Return when everything queued so far was sent or dropped; `run_sender` must be running."""
        await self._sent.wait()

    def want(self, team_ids: Set[UUID]) -> None:
        """Hear these teams and no others."""
        if team_ids != self._wanted:
            self._wanted = frozenset(team_ids)
            self._wanted_changed.set()

    def want_also(self, team_id: UUID) -> None:
        """Hear this team too."""
        if team_id not in self._wanted:
            self.want(self._wanted | {team_id})

    async def run_sender(self) -> None:
        """Send what is queued, many commits in one round trip; while Valkey is away they are dropped."""
        while True:
            await self._queued.wait()
            self._queued.clear()
            while self._queue:
                batches = self._take()
                try:
                    with valkey_errors():
                        async with asyncio.timeout(FLUSH_SECONDS):
                            await self._flush(batches)
                except ValkeyUnavailable as error:
                    self.dropped += len(batches)
                    self._quiet.warning("commits are not announced to other processes: %s", error)
                    await asyncio.sleep(PAUSE_SECONDS)
                await asyncio.sleep(GATHER_SECONDS)
            self._sent.set()

    def _take(self) -> list[Batch]:
        batches = [self._queue.popleft() for _ in range(min(len(self._queue), FLUSH_BATCHES))]
        self._queued_bytes -= sum(size for _, _, size in batches)
        return batches

    async def _flush(self, batches: Sequence[Batch]) -> None:
        """One message per team and half megabyte: consecutive commits of a team travel together.

        A team that nobody else listens to needs no message, which this process would only send to itself.
        """
        teams: dict[UUID, list[Encoded]] = {}
        for team_id, events, _ in batches:
            teams.setdefault(team_id, []).extend(events)
        nudge = " ".join(map(str, teams))
        counted: list[Any] = await self._nudge_and_count(args=[COMMITTED_CHANNEL, nudge, *map(channel_of, teams)])
        arguments: list[bytes] = []
        for merged, channel, listeners in zip(teams.values(), counted[::2], counted[1::2], strict=True):
            if listeners > (channel in self._confirmed):
                for part in _parts(merged):
                    arguments += (channel, self._message(channel, part))
        if arguments:
            await self._publish_all(args=arguments)

    def _message(self, channel: bytes, events: Sequence[Encoded]) -> bytes:
        rows = [event.row for event in events]
        last = rows[-1]
        if len(rows[0].payload) > MESSAGE_BYTES:  # Then it is the only one of its part.
            rows = []
        body = self._encode(_Message(self._origin, msgspec.Raw(self._encode(rows))))
        return self._signer.sign(
            "commits",
            channel,
            body,
            seconds=VALID_SECONDS,
            team_id=last.team_id,
            epoch=last.epoch,
            seq=last.seq,
        )

    async def run_listener(self) -> None:
        """Hear the wanted teams, on a new connection whenever the old one fails."""
        while True:
            await self._until_wanted()
            try:
                with valkey_errors():
                    await self._listen()
            except ValkeyUnavailable as error:
                self._quiet.warning("commits of other processes are not heard: %s", error)
                await asyncio.sleep(PAUSE_SECONDS)

    async def _until_wanted(self) -> None:
        while not self._wanted:
            self._wanted_changed.clear()
            await self._wanted_changed.wait()

    async def _listen(self) -> None:
        """One connection's life. Subscribing writes from its own task, so that a new team need not wait for a read."""
        async with self._client.pubsub() as pubsub:
            heard = self._wanted
            await pubsub.subscribe(*map(channel_of, heard))
            self._look()
            works = {asyncio.create_task(self._follow(pubsub, heard)), asyncio.create_task(self._read(pubsub))}
            try:
                await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._confirmed.clear()
                for work in works:
                    work.cancel()
                endings = await asyncio.gather(*works, return_exceptions=True)
            for ending in endings:
                if isinstance(ending, Exception):
                    raise ending

    async def _follow(self, pubsub: PubSub, heard: frozenset[UUID]) -> None:
        while True:
            self._wanted_changed.clear()
            wanted = self._wanted
            if new := wanted - heard:
                await pubsub.subscribe(*map(channel_of, new))
            if old := heard - wanted:
                self._confirmed.difference_update([channel_of(team_id).encode() for team_id in old])
                await pubsub.unsubscribe(*map(channel_of, old))
            heard = wanted
            await self._wanted_changed.wait()

    async def _read(self, pubsub: PubSub) -> None:
        """Read until the connection fails; a silent one is pinged, and given up when it does not answer."""
        silent = 0
        while True:
            message: dict[str, Any] | None = await pubsub.get_message(timeout=READ_SECONDS)
            if message is not None:
                silent = 0
                self._take_in(message)
                continue
            silent += 1
            if silent > 2 * SILENT_READS:
                raise TimeoutError("no answer to a ping")
            if silent == SILENT_READS:
                await pubsub.ping()

    def _take_in(self, message: dict[str, Any]) -> None:
        channel = message["channel"]
        match message["type"]:
            case "message":
                self._receive(channel, message["data"])
            case "subscribe":
                self._confirmed.add(channel)
            case "unsubscribe":
                self._confirmed.discard(channel)
            case _:  # The answer to a ping.
                pass

    def _receive(self, channel: bytes, data: bytes) -> None:
        """Take one message apart; whatever is not a whole, contiguous message of ours is left to position checks."""
        try:
            team_id = UUID(channel.decode().rpartition(":")[2])
            if not self._is_news(team_id, peek(data)[1]):
                return
            signed = self._signer.verify("commits", channel, data, team_id=team_id)
            message = self._decode(signed.body)
            if message.origin == self._origin:
                return
            events = [reread(row) for row in self._decode_rows(message.rows)]
        except (UnknownEvent, msgspec.MsgspecError, ValueError) as error:
            self._quiet.warning("a message on %s is not one of ours: %s", channel, error)
            return
        numbers = [event.row.seq for event in events]
        whole = not numbers or numbers == list(range(signed.seq - len(numbers) + 1, signed.seq + 1))
        if whole and all(event.row.team_id == team_id for event in events):
            self._arrived(Arrival(team_id, signed.seq, events))


def _parts(events: Sequence[Encoded]) -> list[list[Encoded]]:
    """Runs of contiguous events, each at most `MESSAGE_BYTES` unless a single event is larger."""
    parts: list[list[Encoded]] = []
    size = 0
    for event in events:
        length = len(event.row.payload)
        follows = bool(parts) and parts[-1][-1].row.seq + 1 == event.row.seq
        if follows and size + length <= MESSAGE_BYTES:
            parts[-1].append(event)
            size += length
        else:
            parts.append([event])
            size = length
    return parts
