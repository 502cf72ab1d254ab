"""Reading boards of the past: the newest snapshot before a place, and the journal from there, with a member's eyes."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

from core.errors import NotFound, Overloaded
from core.team import TeamState
from db import readmodel
from db.object_store import ObjectMissing, ObjectStore, ObjectStoreUnavailable
from db.past import snapshots
from db.past.folding import PAGE, folded, without
from db.past.snapshots import Snapshot
from db.pool import Pool
from db.redactions_due import tasks_due
from db.snapshots import SnapshotCodec, UnusableSnapshot
from db.transaction import reading

__all__ = ["PastBoards", "stored_state"]

logger = logging.getLogger(__name__)

AT_ONCE: Final = 2
"""Boards that are folded at the same time in one process: each holds a whole team in memory."""
WAITING: Final = 64
OF_A_TEAM: Final = 8
"""Of those that wait, these may be of one team; and of those that are folded, one. So one team delays no other."""
CANDIDATES: Final = 3
"""Snapshots that are tried before the whole journal is folded."""


class _Queue:
    """Those who want boards of one team."""

    def __init__(self) -> None:
        self.turn, self.waiting = asyncio.Lock(), 0


class PastBoards:
    """Boards of teams as they were. `pool` is the API's; without a `store` every one is folded from the first event."""

    def __init__(self, pool: Pool, store: ObjectStore | None) -> None:
        self._pool, self._store = pool, store
        self._codec = SnapshotCodec()
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._teams: dict[UUID, _Queue] = {}
        self._waiting = 0

    @asynccontextmanager
    async def at(self, user_id: UUID, team_id: UUID, seq: int) -> AsyncIterator[TeamState]:
        """The team as it was after its event `seq`, which must have been given out, for a member, in their turn.

        Raises NotFound("team") for everybody else, Overloaded when too many wait (in all, or for this team),
        StorageUnavailable.
        """
        queue = self._teams.get(team_id) or _Queue()
        if self._waiting >= WAITING or queue.waiting >= OF_A_TEAM:
            raise Overloaded("Too many boards of the past are being read at once.")
        self._teams[team_id] = queue
        self._waiting, queue.waiting = self._waiting + 1, queue.waiting + 1
        try:
            async with queue.turn, self._turns:
                yield await self._state(user_id, team_id, seq)
        finally:
            self._waiting, queue.waiting = self._waiting - 1, queue.waiting - 1
            if queue.waiting == 0:
                del self._teams[team_id]

    async def _state(self, user_id: UUID, team_id: UUID, seq: int) -> TeamState:
        async with reading(self._pool, user_id) as tx:
            due = await tasks_due(tx, (team_id,))  # Before the snapshot, which is dropped before this is cleared.
        state = await self._nearest(user_id, team_id, seq)
        while state.seq < seq:
            limit = min(PAGE, seq - state.seq)
            rows = await readmodel.events_after(self._pool, user_id, team_id, state.seq, limit)
            if not rows:
                raise NotFound("team")  # Whoever asks is no member any more.
            state = await folded(state, rows)
        return without(state, due)

    async def _nearest(self, user_id: UUID, team_id: UUID, seq: int) -> TeamState:
        """What the fold begins with: a usable snapshot, or nothing."""
        if self._store is not None:
            async with reading(self._pool, user_id) as tx:
                found = await snapshots.newest(tx, team_id, seq, self._codec.fingerprint.hex(), CANDIDATES)
            for snapshot in found:
                if (state := await stored_state(self._store, self._codec, snapshot)) is not None:
                    return state
        return TeamState()


async def stored_state(store: ObjectStore, codec: SnapshotCodec, snapshot: Snapshot) -> TeamState | None:
    """The state of a snapshot; None when its object is away, gone or damaged, which costs no more than time."""
    try:
        data = b"".join([chunk async for chunk in await store.get(snapshot.key)])
        if await asyncio.to_thread(_digest, data) != snapshot.sha256:
            raise UnusableSnapshot("its bytes are others than those that were written")
        return await codec.thaw(data, epoch=snapshot.epoch, seq=snapshot.seq)
    except (ObjectMissing, ObjectStoreUnavailable, UnusableSnapshot) as error:
        logger.warning("snapshot %s at seq %d is not used: %s", snapshot.id, snapshot.seq, error)
        return None


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
