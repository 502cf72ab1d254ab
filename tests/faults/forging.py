"""Somebody who can read and write all of Valkey, knows this source, and has none of the keys."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

import msgspec
import valkey.asyncio
from msgspec import structs

from core.codec import JournalRow, decode, encode
from core.events import Member, MemberRoleChanged, TaskEvent
from core.team import TeamState
from db.signed import BODY_AT, HEADER, Signed
from db.snapshots import SnapshotCodec, _parts
from streams.feeds.remote import channel_of
from tests.support.waiting import until

__all__ = ["Forger", "messages_mutated", "poison", "values_mutated"]

SNAPSHOTS: Final = b"taskforge:snapshot:*"
REVOKED: Final = b"taskforge:revoked"
CHANNELS: Final = (b"taskforge:committed", REVOKED)
FAR: Final = 2**33
HEARD: Final = 8
FORGED: Final = "forged"

pack = msgspec.msgpack.Encoder(uuid_format="bytes").encode

Forgery = tuple[bytes, bytes]
"""A key or channel, and what goes there."""


async def poison(url: str, teams: Sequence[str]) -> None:
    """Garbage of many kinds in every value and on every channel."""
    noise = random.Random(1)
    async with valkey.asyncio.from_url(url) as client:
        for key in [key async for key in client.scan_iter()]:
            await client.set(key, noise.randbytes(400))
        for team in teams:
            for garbage in (b"", b"\xff" * 60, b"TFS1" + noise.randbytes(200), noise.randbytes(5_000), b"[" * 4_000):
                await client.publish(channel_of(UUID(team)), garbage)
        for channel in CHANNELS:
            for garbage in (b"", b"not-an-id " * 50, noise.randbytes(333), " ".join(teams).encode() + b" \xff"):
                await client.publish(channel, garbage)


class Forger:
    """Collects what is genuine, and says something else instead. It hears everything from `listening` on."""

    def __init__(self, client: Any, teams: Sequence[str], accomplice: str) -> None:
        self.said = 0
        """Forgeries so far."""
        self._client, self._teams = client, [UUID(team) for team in teams]
        self._accomplice = UUID(accomplice)
        self._messages: list[Forgery] = []
        self._newest: dict[bytes, bytes] = {}

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        async with self._client.pubsub() as heard:
            await heard.psubscribe("taskforge:team:*")
            task = asyncio.create_task(self._hear(heard))
            try:
                yield
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _hear(self, heard: Any) -> None:
        while True:
            message = await heard.get_message(ignore_subscribe_messages=True, timeout=1.0)
            if message is not None:
                self._newest[message["channel"]] = message["data"]
                if len(self._messages) < HEARD:
                    self._messages.append((message["channel"], message["data"]))

    async def speak(self) -> None:
        """Say all that can be made of a few messages and of all values that there are."""
        await until(lambda: len(self._messages) == HEARD)
        await self._publish(messages_mutated(self._messages, self._teams))
        values = [(key, await self._client.get(key)) async for key in self._client.scan_iter(SNAPSHOTS)]
        for key, value in (*values_mutated(values), *(another_board(key, value) for key, value in values)):
            await self._client.set(key, value)
            self.said += 1

    async def foretell(self, heads: Mapping[str, tuple[int, int]]) -> None:
        """While nobody writes: what comes next in every team, in events that are sound but for their signature.

        The teams are at these epochs and seqs, as everybody knows who reads their feeds.
        """
        places = {channel_of(UUID(team)).encode(): place for team, place in heads.items()}
        await self._publish(
            next_events(channel, data, places[channel], self._accomplice) for channel, data in self._newest.items()
        )

    async def revoke(self, sessions: Iterable[UUID]) -> None:
        """Say that these have ended: in the clear, under another kind's signature, and with a made-up one."""
        ids = b"".join(session.bytes for session in sessions)
        genuine = self._messages[0][1]
        await self._publish(
            (REVOKED, message) for message in (ids, genuine[:BODY_AT] + ids, genuine[: HEADER.size] + bytes(40) + ids)
        )

    async def _publish(self, messages: Iterable[Forgery]) -> None:
        async with self._client.pipeline(transaction=False) as pipeline:
            for channel, message in messages:
                pipeline.publish(channel, message)
                self.said += 1
            await pipeline.execute()


def messages_mutated(genuine: Sequence[Forgery], teams: Sequence[UUID]) -> Iterator[Forgery]:
    """Each field of each message changed, old ones again, and all on the channels of other teams."""
    for channel, data in genuine:
        yield channel, data
        for mutant in mutants(data):
            yield channel, mutant
        yield from ((channel_of(team).encode(), data) for team in teams)


def values_mutated(genuine: Sequence[Forgery]) -> Iterator[Forgery]:
    """The same for snapshots: the last one of a key is the one that stays."""
    for key, value in genuine:
        for mutant in mutants(value):
            yield key, mutant
        for _, other in genuine:
            if other != value:
                yield key, other


def mutants(data: bytes) -> Iterator[bytes]:
    """Other claims in the header under the same signature, another signature, another body, less and more of all."""
    magic, until, epoch, seq = HEADER.unpack_from(data)
    rest = data[HEADER.size :]
    for claim in ((until + FAR, epoch, seq), (0, epoch, seq), (until, epoch + 1, seq), (until, 1, seq + 1)):
        yield HEADER.pack(magic, *claim) + rest
    for seq_ahead in (1, 2, 100, FAR):
        yield HEADER.pack(magic, until, epoch, seq + seq_ahead) + rest
    for at in (*range(HEADER.size, BODY_AT, 8), *range(BODY_AT, len(data), max(1, (len(data) - BODY_AT) // 8))):
        yield data[:at] + bytes([data[at] ^ 0x20]) + data[at + 1 :]
    yield from (data[:-1], data + b"\0", data[: HEADER.size], data[:BODY_AT], b"")


def resigned(data: bytes, change: Callable[[bytes, int, int], tuple[bytes, int, int]]) -> bytes:
    """A body that is sound in itself with a header that fits it; only the signature is still that of another one."""
    magic, until, epoch, seq = HEADER.unpack_from(data)
    body, epoch, seq = change(data[BODY_AT:], epoch, seq)
    return HEADER.pack(magic, until, epoch, seq) + data[HEADER.size : BODY_AT] + body


def next_events(channel: bytes, data: bytes, place: tuple[int, int], accomplice: UUID) -> Forgery:
    """A message that the next two events of the team gave a task another title and made somebody its owner."""
    epoch, seq = place

    def change(body: bytes, *_: int) -> tuple[bytes, int, int]:
        origin, rows = msgspec.msgpack.decode(body, type=tuple[bytes, list[JournalRow]])
        if not rows or not isinstance(event := decode(rows[-1]), TaskEvent):
            return body, epoch, seq + 1
        renamed = structs.replace(event, seq=seq + 1, task=structs.replace(event.task, title=FORGED, version=seq + 1))
        member = Member(user_id=accomplice, role="owner", name=FORGED, joined_at=event.at)
        promoted = MemberRoleChanged(
            team_id=event.team_id, seq=seq + 2, actor_id=event.actor_id, at=event.at, member=member
        )
        forged = [encode(one, salt=bytes(16), epoch=epoch).row for one in (renamed, promoted)]
        return pack((bytes(reversed(origin)), forged)), epoch, seq + 2

    return channel, resigned(data, change)


def another_board(key: bytes, value: bytes) -> Forgery:
    """A snapshot in which every title is another one and everybody owns the team."""

    def change(body: bytes, epoch: int, seq: int) -> tuple[bytes, int, int]:
        codec = SnapshotCodec()
        state = corrupted(codec.decode(Signed(epoch, seq, body)))
        return codec.encode(_parts(state, UUID(key.decode().rpartition(":")[2]))), epoch, seq

    return key, resigned(value, change)


def corrupted(state: TeamState) -> TeamState:
    fork = state.fork()
    for task in list(fork.tasks.values()):
        fork.tasks.put(task.id, structs.replace(task, title=FORGED))
    for member in list(fork.members.values()):
        fork.members = {**fork.members, member.user_id: structs.replace(member, role="owner")}
    fork.merge()
    return fork
