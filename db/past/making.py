"""Making snapshots of the past, for a worker: whatever is missing is made, in order, and may be begun again."""

import logging
from collections.abc import AsyncIterator, Collection
from typing import Final
from uuid import UUID

from core.team import TeamState
from db.object_store import ObjectStore
from db.past import snapshots
from db.past.boards import CANDIDATES, stored_state
from db.past.folding import PAGE, folded
from db.pool import Pool
from db.projections import events_after
from db.snapshots import SnapshotCodec
from db.transaction import reading, writing

__all__ = ["EVERY", "EVERY_BYTES", "SnapshotMaker", "SnapshotsDropped"]

logger = logging.getLogger(__name__)

EVERY: Final = 5_000
"""Most events between two snapshots of a team."""
EVERY_BYTES: Final = 4 * 1024**2
"""Most bytes of payloads between two snapshots of a team, but for the event that goes beyond them: what a reader folds
takes time by the byte. So much is what as many events usually have."""
MOST_WALKED: Final = 10_000
"""Teams of which a worker remembers that it has looked through their whole journal."""
LARGEST: Final = 2 * 1024**3
"""Bytes of an object: a bound for a store that would otherwise be filled by a mistake."""


class SnapshotsDropped(Exception):
    """The journal has forgotten something while a snapshot was made of it: that one is not kept, and is made again."""


class SnapshotMaker:
    """Makes and tidies the snapshots of teams. `pool` is the worker's."""

    def __init__(self, pool: Pool, store: ObjectStore, *, every: int = EVERY, every_bytes: int = EVERY_BYTES) -> None:
        self._pool, self._store, self.every, self.every_bytes = pool, store, every, every_bytes
        self._walked: set[UUID] = set()
        self._codec = SnapshotCodec()
        self._form = self._codec.fingerprint.hex()

    async def make_due(self, team_id: UUID, through: int) -> int:
        """Make every snapshot that the team should have up to the seq `through` and has not; how many that were.

        Two workers at once make each once for its readers. Raises SnapshotsDropped, StorageUnavailable and
        ObjectStoreUnavailable.
        """
        async with reading(self._pool, None) as tx:
            if await tx.fetchval(_IS_DELETED, team_id):
                return 0
            made_after = await snapshots.drops(tx, team_id)
            kept = await snapshots.kept(tx, team_id, self._form)
            begin = self._begin(team_id, through, kept)
            places = await tx.fetch(_PLACES, team_id, begin, through, self.every, self.every_bytes)
        missing = [row["seq"] for row in places if row["seq"] not in kept]
        if not missing:
            self._note_walked(team_id)
            return 0
        state = await self._nearest(team_id, missing[0])
        for seq in missing:
            state = await self._advance(team_id, state, seq)
            if state.seq < seq:
                break  # The journal ends before: it was restored, and the event that brought us here is of the past.
            await self._keep(team_id, state, made_after)
        self._note_walked(team_id)
        return len(missing)

    def _note_walked(self, team_id: UUID) -> None:
        """Only once nothing is missing: a walk that failed is begun anew."""
        if len(self._walked) >= MOST_WALKED:
            self._walked.clear()
        self._walked.add(team_id)

    def _begin(self, team_id: UUID, through: int, kept: Collection[int]) -> int:
        """Before which event no snapshot is missing: those of a run of events are made in order, that at its end last.

        The first time all of the journal is looked through: those who kept them before may have gone by other bounds.
        """
        if team_id not in self._walked:
            return 0
        ends = range(self.every, through + 1, self.every)
        return next((end - self.every for end in ends if end not in kept), through - through % self.every)

    async def tidy(self, team_id: UUID) -> None:
        """Forget what is of a history that was taken back, rows and objects alike.

        A restored database may not know of objects that were made after the copy that it is of.
        """
        async with writing(self._pool) as tx:
            await snapshots.expire_stale(tx, team_id, self._form)
        await snapshots.forget_expired(self._pool, self._store, team_id)
        async with reading(self._pool, None) as tx:
            known = {str(row["id"]) for row in await tx.fetch(_ROWS, team_id)}
        prefix = snapshots.path_of(team_id)
        for key in await self._store.keys(prefix):
            snapshot_id = key.removeprefix(prefix).strip("/").partition("/")[0]
            if snapshot_id not in known:
                await self._store.delete_below(f"{prefix}/{snapshot_id}")

    async def _nearest(self, team_id: UUID, seq: int) -> TeamState:
        async with reading(self._pool, None) as tx:
            found = await snapshots.newest(tx, team_id, seq, self._form, CANDIDATES)
        for snapshot in found:
            if (state := await stored_state(self._store, self._codec, snapshot)) is not None:
                return state
        return TeamState()

    async def _advance(self, team_id: UUID, state: TeamState, seq: int) -> TeamState:
        while state.seq < seq:
            async with reading(self._pool, None) as tx:
                rows = await events_after(tx, team_id, state.seq, min(PAGE, seq - state.seq))
            if not rows:
                break
            state = await folded(state, rows)
        return state

    async def _keep(self, team_id: UUID, state: TeamState, made_after: int) -> None:
        """Write the state, as it is now, and have it found from then on."""
        data = await self._codec.freeze(state, team_id)
        async with writing(self._pool) as tx:
            await snapshots.expire_stale(tx, team_id, self._form)
            snapshot_id = await snapshots.reserve(
                tx, team_id, epoch=state.epoch, seq=state.seq, digest=state.digest, form=self._form
            )
        key = f"{snapshots.path_of(team_id, snapshot_id)}/board"
        media_type = "application/octet-stream"
        stored = await self._store.put(key, _whole(data), limit=LARGEST, media_type=media_type, name="board")
        async with writing(self._pool) as tx:
            done = await snapshots.complete(tx, team_id, snapshot_id, stored, made_after=made_after)
        if done:
            logger.info("a snapshot of team %s at seq %d has %d bytes", team_id, state.seq, stored.size)
            return
        await self._give_up(team_id, snapshot_id)
        async with reading(self._pool, None) as tx:
            if await snapshots.drops(tx, team_id) != made_after:
                raise SnapshotsDropped(f"team {team_id} was redacted meanwhile")

    async def _give_up(self, team_id: UUID, snapshot_id: UUID) -> None:
        async with writing(self._pool) as tx:
            await tx.execute(_EXPIRE, team_id, snapshot_id)
        await snapshots.forget_expired(self._pool, self._store, team_id)


async def _whole(data: bytes) -> AsyncIterator[bytes]:
    yield data


# In each run of so many events: at its end, and where its bytes have come to another multiple of the most. So the
# places follow from the journal alone, and two workers find the same.
_PLACES: Final = """
select seq from (
    select e.seq, octet_length(e.payload) as own,
           sum(octet_length(e.payload)) over (partition by (e.seq - 1) / $4 order by e.seq) as total
    from task_events e where e.team_id = $1 and e.seq > $2 and e.seq <= $3
) e
where seq % $4 = 0 or div(total, $5) > div(total - own, $5)
order by seq
"""
_IS_DELETED: Final = "select deleted_at is not null from teams where id = $1"
_ROWS: Final = "select id from board_snapshots where team_id = $1"
_EXPIRE: Final = "update board_snapshots set expires_at = now() where team_id = $1 and id = $2 and key is null"
