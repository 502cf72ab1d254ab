"""L2 of the team cache: compact team states in Valkey. Losing one costs latency; a wrong one must never be used.

A value is signed (`db/signed.py`), together with its key, which names format, schema and team, and with its epoch and
seq. Inside it has a byte that says whether the rest is compressed, and frames, each a length and msgpack: the head
first, then tasks and external ids a few hundred at a time, so that neither side holds the interpreter for long. With
10,000 tasks: 6.3 MB, 1.7 MB after zlib level 1. The head holds the digest of the event at `seq` too, by which a reader
knows whether it is of the history that stands.
"""

import asyncio
import hashlib
import logging
import struct
import time
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct
from valkey.asyncio import Valkey

from core.columns import Column
from core.events import Label, Member, Team
from core.loading import PAUSE_SECONDS, TeamLoader
from core.task import ExternalKey, Task
from core.team import TeamState
from db.signed import Forged, Signed, Signer
from db.valkey import QuietLog, ValkeyUnavailable, valkey_errors

__all__ = ["SnapshotCodec", "UnusableSnapshot", "ValkeySnapshots", "forget_snapshots"]

logger = logging.getLogger(__name__)

FORMAT: Final = 4
TTL_SECONDS: Final = 7 * 86_400
FRAME_ROWS: Final = 500
COMPRESS_BYTES: Final = 2_048
THREAD_ROWS: Final = 500
SCAN_KEYS: Final = 1_000
"""Keys that one command looks at in search of a team's."""
UNPACK_BYTES: Final = 64 * 1024
"""Packed, at once: some 0.7 ms."""
PLAIN, PACKED = b"\0", b"\1"

_LENGTH: Final = struct.Struct(">I")

# Keeps whichever state is further on; `struct` reads epoch and seq as the signed header claims them (bytes 13 to 24). A
# forged claim keeps genuine values out only until somebody reads it: what is not ours is deleted then.
_PUT_IF_NEWER: Final = """
local old = redis.call('GETRANGE', KEYS[1], 0, 23)
if #old == 24 and string.sub(old, 1, 4) == string.sub(ARGV[1], 1, 4) then
  local epoch, seq = struct.unpack('>I4I8', old, 13)
  local new_epoch, new_seq = struct.unpack('>I4I8', ARGV[1], 13)
  if epoch > new_epoch or (epoch == new_epoch and seq >= new_seq) then return 0 end
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
"""


class UnusableSnapshot(Exception):
    """The bytes are ours, and yet not a snapshot in this format."""


class _Head(Struct):
    team: Team | None
    top_number: int
    members: tuple[Member, ...]
    labels: tuple[Label, ...]
    columns: tuple[Column, ...]
    digest: bytes


class _Rows(Struct):
    """One frame: some of the board's tasks, or some external ids of archived ones."""

    tasks: tuple[Task, ...] = ()
    archived_external: tuple[tuple[str, str, UUID], ...] = ()


class _Parts(Struct):
    """What a state consists of, safe to read later: the values are immutable, the dictionaries are copies."""

    team_id: UUID
    epoch: int
    seq: int
    head: _Head
    tasks: dict[UUID, Task]
    external: dict[ExternalKey, UUID]
    """Of archived tasks and those on the board."""


async def forget_snapshots(client: Valkey, team_id: UUID) -> None:
    """Delete the team's snapshots, those of other releases too. Raises ValkeyUnavailable.

    One that is on its way at this moment may still arrive: whoever reads it finds that history was redacted since.
    """
    with valkey_errors():
        async for key in client.scan_iter(match=f"taskforge:snapshot:*:{team_id}", count=SCAN_KEYS):
            await client.delete(key)


class SnapshotCodec:
    """Team states as bytes and back, between processes of the same schema."""

    def __init__(self) -> None:
        self.fingerprint = _schema_fingerprint()
        self._encode = msgspec.msgpack.Encoder(uuid_format="bytes").encode
        self._head = msgspec.msgpack.Decoder(_Head)
        self._rows = msgspec.msgpack.Decoder(_Rows)

    def encode(self, parts: _Parts) -> bytes:
        """A state without its place, which its signature says."""
        return _packed(list(self._frames(parts)))

    async def encode_in_slices(self, parts: _Parts) -> bytes:
        """The same, a frame at a time; what compresses them lets go of the interpreter."""
        frames: list[bytes] = []
        for frame in self._frames(parts):
            frames.append(frame)
            await asyncio.sleep(PAUSE_SECONDS)
        return await asyncio.to_thread(_packed, frames, PAUSE_SECONDS)

    def decode(self, data: Signed) -> TeamState:
        """The state that `encode` was given. Raises UnusableSnapshot for anything else."""
        for state in self.loading(unpacked(data)):
            if state is not None:
                return state
        raise UnusableSnapshot("no end")

    def loading(self, data: Signed) -> Iterator[TeamState | None]:
        """The state of what was unpacked, after a None for each slice of the work. Raises UnusableSnapshot."""
        try:
            frames = _split(data.body)
            head = self._head.decode(next(frames))
            loader = TeamLoader(
                team=head.team,
                seq=data.seq,
                epoch=data.epoch,
                top_number=head.top_number,
                members=head.members,
                labels=head.labels,
                columns=head.columns,
                digest=head.digest,
            )
            for number, frame in enumerate(frames):
                if number:
                    yield None
                rows = self._rows.decode(frame)
                loader.add(rows.tasks)
                if rows.archived_external:
                    loader.add_archived({(source, key): task for source, key, task in rows.archived_external})
        except (msgspec.MsgspecError, StopIteration, struct.error) as error:
            raise UnusableSnapshot(str(error)) from error
        yield from loader.finish()
        yield loader.state

    async def freeze(self, state: TeamState, team_id: UUID) -> bytes:
        """A state as bytes that stand alone, in slices; it may go on changing once this has begun."""
        return await self.encode_in_slices(_parts(state, team_id))

    async def thaw(self, data: bytes, *, epoch: int, seq: int) -> TeamState:
        """The state that `freeze` was given, in slices. Raises UnusableSnapshot for anything else."""
        return await _in_slices(self.loading(await asyncio.to_thread(unpacked, Signed(epoch, seq, data))))

    def _frames(self, parts: _Parts) -> Iterator[bytes]:
        yield _framed(self._encode(parts.head))
        for tasks in _slices(list(parts.tasks.values())):
            yield _framed(self._encode(_Rows(tasks=tasks)))
        for some in _slices(list(parts.external.items())):
            external = tuple((key[0], key[1], task) for key, task in some if task not in parts.tasks)
            yield _framed(self._encode(_Rows(archived_external=external))) if external else b""


class ValkeySnapshots:
    """`actors.ports.Snapshots` on Valkey. Every failure is a miss, logged at most once per minute."""

    def __init__(self, client: Valkey, signer: Signer, *, ttl_seconds: int = TTL_SECONDS) -> None:
        self._client = client
        self._signer = signer
        self._ttl = ttl_seconds
        self._codec = SnapshotCodec()
        self._put_if_newer = client.register_script(_PUT_IF_NEWER)
        self._log = QuietLog(logger)

    async def get(self, team_id: UUID) -> TeamState | None:
        """The newest stored state, or None (absent, unreachable, corrupt or of another format)."""
        try:
            with valkey_errors():
                data: bytes | None = await self._client.get(self._key(team_id))
        except ValkeyUnavailable as error:
            self._log.warning("no snapshots: %s", error)
            return None
        if data is None:
            return None
        try:
            if len(data) < COMPRESS_BYTES:
                return self._codec.decode(self._verified(team_id, data))
            # What takes long of this lets go of the interpreter; the rest would hold it, in whichever thread.
            return await _in_slices(self._codec.loading(await asyncio.to_thread(self._unpacked, team_id, data)))
        except (Forged, UnusableSnapshot) as error:
            self._log.warning("snapshot of team %s ignored: %s", team_id, error)
            await self._drop(team_id)
            return None

    async def put(self, state: TeamState) -> None:
        """Store a committed state; keeps whichever is further on; failures are logged, never raised.

        The state is read before the first `await`: the owner may go on changing it.
        """
        if state.team is None:
            return
        parts = _parts(state, state.team.id)
        if len(parts.tasks) + len(parts.external) < THREAD_ROWS:
            data = self._close(parts)
        else:
            data = await asyncio.to_thread(self._sign, parts, await self._codec.encode_in_slices(parts))
        try:
            with valkey_errors():
                await self._put_if_newer(keys=[self._key(parts.team_id)], args=[data, self._ttl])
        except ValkeyUnavailable as error:
            self._log.warning("snapshot of team %s not stored: %s", parts.team_id, error)

    def _close(self, parts: _Parts) -> bytes:
        return self._sign(parts, self._codec.encode(parts))

    def _sign(self, parts: _Parts, body: bytes) -> bytes:
        key = self._key(parts.team_id)
        return self._signer.sign(
            "snapshot", key, body, seconds=self._ttl, team_id=parts.team_id, epoch=parts.epoch, seq=parts.seq
        )

    def _verified(self, team_id: UUID, data: bytes) -> Signed:
        return self._signer.verify("snapshot", self._key(team_id), data, team_id=team_id)

    def _unpacked(self, team_id: UUID, data: bytes) -> Signed:
        return unpacked(self._verified(team_id, data))

    async def _drop(self, team_id: UUID) -> None:
        """A damaged value whose header claims a high seq would otherwise keep good ones out until it expires."""
        try:
            with valkey_errors():
                await self._client.delete(self._key(team_id))
        except ValkeyUnavailable as error:
            self._log.warning("unusable snapshot of team %s stays: %s", team_id, error)

    def _key(self, team_id: UUID) -> bytes:
        """Schemas have keys of their own, so that two releases side by side do not overwrite each other."""
        return f"taskforge:snapshot:{FORMAT}:{self._codec.fingerprint.hex()}:{team_id}".encode()


def _parts(state: TeamState, team_id: UUID) -> _Parts:
    return _Parts(
        team_id=team_id,
        epoch=state.epoch,
        seq=state.seq,
        head=_Head(
            state.team,
            state.top_number,
            tuple(state.members.values()),
            tuple(state.labels.values()),
            tuple(state.columns.values()),
            state.digest,
        ),
        tasks=state.tasks.as_dict(),
        external=state.external.as_dict(),
    )


async def _in_slices(loading: Iterator[TeamState | None]) -> TeamState:
    """The state in the end, with a pause, in which the event loop may be idle, between the slices."""
    for state in loading:
        if state is not None:
            return state
        await asyncio.sleep(PAUSE_SECONDS)
    raise UnusableSnapshot("no end")


def _packed(frames: Sequence[bytes], pause: float = 0.0) -> bytes:
    """In a thread with a pause after each frame: one that never waits would keep the core from the event loop."""
    if sum(map(len, frames)) < COMPRESS_BYTES:
        return PLAIN + b"".join(frames)
    packer, packed = zlib.compressobj(1), [PACKED]
    for frame in frames:
        packed.append(packer.compress(frame))
        time.sleep(pause)
    return b"".join([*packed, packer.flush()])


def unpacked(data: Signed) -> Signed:
    """The same with its frames as they were before they were compressed. Raises UnusableSnapshot."""
    body = memoryview(data.body)
    try:
        frames = b"".join(_decompressed(body[1:])) if body[:1] == PACKED else bytes(body[1:])
    except zlib.error as error:
        raise UnusableSnapshot(str(error)) from error
    return Signed(data.epoch, data.seq, frames)


def _decompressed(packed: memoryview) -> Iterator[bytes]:
    """Piece by piece; as in `_packed`, with pauses where it takes long. Raises zlib.error."""
    unpacker = zlib.decompressobj()
    for start in range(0, len(packed), UNPACK_BYTES):
        if start:
            time.sleep(PAUSE_SECONDS)
        yield unpacker.decompress(packed[start : start + UNPACK_BYTES])
    if not unpacker.eof or unpacker.unused_data:
        raise zlib.error("the end is missing, or not the end")


def _slices(rows: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    return (tuple(rows[start : start + FRAME_ROWS]) for start in range(0, len(rows), FRAME_ROWS))


def _framed(data: bytes) -> bytes:
    return _LENGTH.pack(len(data)) + data


def _split(body: bytes) -> Iterator[memoryview]:
    """The frames of a body. Raises struct.error when the last length is cut, UnusableSnapshot when a frame is."""
    view, at = memoryview(body), 0
    while at < len(view):
        (length,) = _LENGTH.unpack_from(view, at)
        at += _LENGTH.size
        if at + length > len(view):
            raise UnusableSnapshot("a frame is cut")
        yield view[at : at + length]
        at += length


def _schema_fingerprint() -> bytes:
    """Eight bytes that change with any field of what is stored."""
    schemas = msgspec.json.schema_components([_Head, _Rows])
    return hashlib.sha256(msgspec.json.encode(schemas, order="sorted")).digest()[:8]
