"""The journal: group commits behind fences, and history. Satisfies `actors.ports.Journal`."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, Final, TypeAlias
from uuid import UUID

import asyncpg

from core.codec import JournalRow
from core.columns import Column
from core.errors import NotFound
from core.events import Label, Member
from core.loading import PAUSE_SECONDS, SLICE_TASKS, TeamLoader
from core.team import TeamState
from core.writes import (
    Blocked,
    CommitOutcome,
    Committed,
    CommitUnknown,
    FenceBroken,
    JournalPosition,
    KeyRow,
    KeysTaken,
    Rejected,
    TeamLocked,
    TeamWrites,
)
from db.errors import LOCKED, UNREACHABLE, constraint_of, storage_errors, unavailable
from db.highest_epoch import HighestEpoch
from db.journal import sql
from db.journal.epochs import note_lost_history, notice_restore, raise_due_epochs
from db.journal.lookups import Lookups
from db.journal.rows import (
    commit_statement,
    journal_row,
    key_row,
    task_of,
    team_of,
)
from db.journal.sticky import StickyConnection
from db.pool import ACQUIRE_SECONDS, Connection, Pools, connected
from db.transaction import Reading, reading, savepoint, transaction

__all__ = ["LockedTeam", "PostgresJournal"]

logger = logging.getLogger(__name__)

Outcomes: TypeAlias = dict[UUID, CommitOutcome]

PAGE: Final = 250
PORTION: Final = 1_000
"""Tasks of a board that is loaded, by round trip: each waits its turn where much is going on."""
"""Rows that are read, and then applied, in one go."""
ALONE_LOCK_MS: Final = 1000
"""How long a team that goes alone waits for its row before it lets others have its connection."""

# A statement refused for what it says. One team is guilty; the others are committed without it.
GUILTY: Final = (
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.DataError,
    asyncpg.ProgramLimitExceededError,
    ValueError,
)


class PostgresJournal(Lookups):
    """The durable side of the actors, over the committer's own role."""

    def __init__(self, pools: Pools, highest: HighestEpoch | None = None) -> None:
        super().__init__(pools.writer)
        self._highest = highest
        self._sticky = StickyConnection(pools.writer, ACQUIRE_SECONDS)
        # Whoever waits for a row holds a connection: half of them are left to the lane and to those who read.
        self._locks = asyncio.Semaphore(max(1, pools.writer.get_max_size() // 2))

    async def commit(self, batches: Sequence[TeamWrites]) -> Mapping[UUID, CommitOutcome]:
        """Write all batches, at most one per team, in one transaction; see `actors.ports.Journal.commit`.

        One statement and one round trip, unless a constraint refused something (then one transaction with a savepoint
        around each team), or somebody holds rows of some teams: these are Blocked, and the others go on without them.
        """
        if not batches:
            return {}
        with storage_errors():
            async with self._replacing_stale(), self._connection() as connection:
                return await _commit_unlocked(connection, batches)

    def _connection(self) -> AbstractAsyncContextManager[Connection]:
        return connected(self._pool) if self._sticky.busy else self._sticky

    @asynccontextmanager
    async def _replacing_stale(self) -> AsyncIterator[None]:
        """Part with all connections when one knows types that are gone: the database was restored in place.

        Nothing was written then. Whoever connects anew notices the restore.
        """
        try:
            yield
        except asyncpg.InternalServerError as error:  # "cache lookup failed for type …"
            await self._pool.expire_connections()
            raise unavailable(error) from error

    @asynccontextmanager
    async def lock(self, team_id: UUID) -> AsyncIterator["LockedTeam"]:
        """Hold the team's row FOR UPDATE until the block ends; others may hold it for a second.

        Raises NotFound("team"), StorageUnavailable, of which TeamLocked says that others hold it for longer.
        """
        with storage_errors():
            # Everybody else waits for what happens from here on: the lock comes with "begin", in one round trip.
            begin = f"begin; {sql.LOCK_TEAM.format(ALONE_LOCK_MS, UUID(int=team_id.int))}"
            async with (
                self._turn_to_lock(),
                self._replacing_stale(),
                connected(self._pool) as connection,
                transaction(connection, begin, finish=_let_go) as found,
            ):
                if found == "SELECT 0":
                    raise NotFound("team")
                yield LockedTeam(connection, team_id)

    @asynccontextmanager
    async def _turn_to_lock(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(ACQUIRE_SECONDS):
                await self._locks.acquire()
        except TimeoutError:
            raise TeamLocked(LOCKED) from None
        try:
            yield
        finally:
            self._locks.release()

    async def load(self, team_id: UUID) -> TeamState | None:
        """The whole team at one `seq`; None when there is no such team."""
        async with reading(self._pool, None, snapshot=True) as rows:
            return await _load(rows, team_id)

    async def position(self, team_ids: Sequence[UUID]) -> Mapping[UUID, JournalPosition]:
        """The committed `seq` and epoch of each team that exists."""
        with storage_errors():
            async with connected(self._pool) as connection:
                return await _positions(connection, team_ids)

    async def read(self, team_id: UUID, after: int, limit: int = PAGE) -> Sequence[JournalRow]:
        """Rows with `seq > after` in order, at most `limit`."""
        with storage_errors():
            return list(map(journal_row, await self._fetch(sql.READ, team_id, after, limit)))

    async def lose(self, team_id: UUID, position: JournalPosition) -> None:
        """The team was seen at a position that the database no longer has: if so, a new epoch of it begins.

        So does one that was due already, and that of all teams of a database that was restored in place.
        """
        await notice_restore(self._pool)
        await note_lost_history(self._pool, team_id, position.epoch, position.seq)
        await raise_due_epochs(self._pool, team_id, highest=self._highest)

    async def is_redacted_since(self, team_id: UUID, seq: int) -> bool:
        """Whether history was redacted after `seq`."""
        with storage_errors():
            async with connected(self._pool) as connection:
                return bool(await connection.fetchval(sql.REDACTED_SINCE, team_id, seq))


class LockedTeam:
    """A team nobody else can write while this is held."""

    def __init__(self, connection: Connection, team_id: UUID) -> None:
        self._connection = connection
        self._team_id = team_id
        self._spent = False

    async def read(self, after: int) -> Sequence[JournalRow]:
        """All rows with `seq > after`."""
        with storage_errors():
            found = await self._connection.fetch(sql.READ, self._team_id, after, None)
        return list(map(journal_row, found))

    async def commit(self, writes: TeamWrites) -> CommitOutcome:
        """Write and commit, at most once per lock; anything but Committed has rolled the writes back."""
        if self._spent or writes.team_id != self._team_id:
            raise RuntimeError("a lock commits one batch of its own team")
        self._spent = True
        with storage_errors():
            outcome = await self._write(writes)
            await (_end if isinstance(outcome, Committed) else _let_go)(self._connection)
        return outcome

    async def _write(self, writes: TeamWrites) -> CommitOutcome:
        """One statement needs no savepoint: what it refuses has written nothing, and the transaction has no more."""
        try:
            return await _write_one(self._connection, writes)
        except GUILTY as error:
            return Rejected(_reason(error))


async def _commit_unlocked(connection: Connection, batches: Sequence[TeamWrites]) -> Outcomes:
    """Commit what nobody stands in the way of. The server has rolled back whatever waited too long for a row."""
    outcomes: Outcomes = {}
    for _ in range(2):
        try:
            return outcomes | await _commit(connection, batches)
        except asyncpg.LockNotAvailableError:
            locked = await connection.fetch(sql.LOCKED, [writes.team_id for writes in batches])
        outcomes |= {row["id"]: Blocked() for row in locked}
        batches = [writes for writes in batches if writes.team_id not in outcomes]
        logger.warning("%d of %d teams are locked by somebody else", len(outcomes), len(outcomes) + len(batches))
        if not batches:
            return outcomes
    # What is held is no team's own row: whose writes need it will show when each team goes alone.
    return outcomes | {writes.team_id: Blocked() for writes in batches}


async def _commit(connection: Connection, batches: Sequence[TeamWrites]) -> Outcomes:
    try:
        return await _commit_together(connection, batches)
    except GUILTY as error:
        logger.info("commit of %d teams refused (%s): one by one", len(batches), _reason(error))
        return await _commit_apart(connection, batches)


async def _commit_together(connection: Connection, batches: Sequence[TeamWrites]) -> Outcomes:
    """The group commit. The statement is its own transaction: once it was sent, only an ERROR says "not written"."""
    with _unknown_unless_refused():
        outcomes = await _write(connection, batches)
    try:
        return await _located(connection, batches, outcomes)
    except UNREACHABLE as error:  # Whoever held the fence is committed: "nothing was written" would be a lie.
        raise CommitUnknown from error


async def _write(connection: Connection, batches: Sequence[TeamWrites]) -> Outcomes:
    statement, arguments = commit_statement(batches)
    return _outcomes(await connection.fetch(statement, *arguments))


async def _located(connection: Connection, batches: Sequence[TeamWrites], outcomes: Outcomes) -> Outcomes:
    """Say where the teams with broken fences are now. Rare, and it needs a newer snapshot than the statement's own."""
    broken = {writes.team_id: writes.epoch for writes in batches if isinstance(outcomes[writes.team_id], FenceBroken)}
    if broken:
        found = await _positions(connection, broken)
        for team_id, epoch in broken.items():
            now = found.get(team_id, JournalPosition(0, epoch))
            outcomes[team_id] = FenceBroken(now.seq, rewritten=now.epoch != epoch)
    return outcomes


async def _positions(connection: Connection, team_ids: Collection[UUID]) -> dict[UUID, JournalPosition]:
    rows = await connection.fetch(sql.POSITIONS, list(team_ids))
    return {row["id"]: JournalPosition(row["seq"], row["epoch"], row["due"]) for row in rows}


async def _commit_apart(connection: Connection, batches: Sequence[TeamWrites]) -> Outcomes:
    """One transaction in which each team stands behind a savepoint of its own."""
    async with transaction(connection, finish=_end):
        # All locks first and in order, as the single statement takes them: no two committers can deadlock.
        await connection.execute(sql.LOCK_TEAMS, [writes.team_id for writes in batches])
        return {writes.team_id: await _commit_one(connection, writes) for writes in batches}


async def _commit_one(connection: Connection, writes: TeamWrites) -> CommitOutcome:
    """One team inside the running transaction; whatever is not Committed leaves no trace."""
    try:
        async with savepoint(connection):
            return await _write_one(connection, writes)
    except GUILTY as error:
        return Rejected(_reason(error))
    except asyncpg.LockNotAvailableError:
        return Blocked()


async def _write_one(connection: Connection, writes: TeamWrites) -> CommitOutcome:
    return (await _located(connection, [writes], await _write(connection, [writes])))[writes.team_id]


def _outcomes(rows: Sequence[asyncpg.Record]) -> Outcomes:
    """The answer of the commit statement: a row per team, or per taken key of a team."""
    outcomes: Outcomes = {}
    taken: defaultdict[UUID, list[KeyRow]] = defaultdict(list)
    for row in rows:
        team_id: UUID = row["id"]
        if row["held"]:
            outcomes[team_id] = Committed()
        elif row["key"] is not None:
            taken[team_id].append(key_row(row))
        else:
            outcomes[team_id] = FenceBroken(0)
    outcomes.update((team_id, KeysTaken(tuple(hits))) for team_id, hits in taken.items())
    return outcomes


async def _end(connection: Connection) -> None:
    with _unknown_unless_refused():
        await connection.execute("commit")


async def _let_go(connection: Connection) -> None:
    """End a lock that has committed its batch, or has nothing to commit."""
    if connection.is_in_transaction():
        await connection.execute("rollback")


@contextmanager
def _unknown_unless_refused() -> Iterator[None]:
    """Around what may commit: only an ERROR of the server proves that nothing was written.

    A FATAL does not: a backend that is terminated while it waits for a synchronous replica has committed already.
    """
    try:
        yield
    except UNREACHABLE as error:
        if isinstance(error, ValueError) or _severity(error) == "ERROR":
            raise
        logger.warning("the outcome of a commit is unknown: %s: %s", type(error).__name__, error)
        raise CommitUnknown from error


def _severity(error: BaseException) -> str | None:
    """ERROR, FATAL or PANIC as the server said; None when the driver itself noticed the loss."""
    severity = getattr(error, "severity_en", None) or getattr(error, "severity", None)
    return severity if isinstance(severity, str) else None


def _reason(error: Exception) -> str:
    if isinstance(error, asyncpg.IntegrityConstraintViolationError):
        return constraint_of(error)
    return type(error).__name__


async def _load(rows: Reading, team_id: UUID) -> TeamState | None:
    """In slices: a board of 50,000 tasks would hold the event loop, and every other team, for half a second."""
    row = await rows.fetchrow(
        "select id, seq, epoch, name, key, wip, time_zone, top_number, created_by, created_at, updated_at,"
        " version"
        " from teams where id = $1",
        team_id,
    )
    if row is None:
        return None
    members = await rows.fetch("select user_id, role, name, joined_at from memberships where team_id = $1", team_id)
    labels = await rows.fetch("select id, name, color from labels where team_id = $1", team_id)
    columns = await rows.fetch(
        "select id, name, category, wip_limit, rank, closing_into, closing_by from columns where team_id = $1", team_id
    )
    archived = await rows.fetch(
        "select external_source, external_id, id from tasks"
        " where team_id = $1 and archived_at is not null and external_id is not null",
        team_id,
    )
    loader = TeamLoader(
        team=team_of(row),
        seq=row["seq"],
        epoch=row["epoch"],
        top_number=row["top_number"],
        members=[Member(**_dict(member)) for member in members],
        labels=[Label(**_dict(label)) for label in labels],
        columns=[Column(**_dict(column)) for column in columns],
        digest=await rows.fetchval(sql.DIGEST, team_id, row["seq"]) or b"",
    )
    loader.add_archived({(found[0], found[1]): found[2] for found in archived})
    async for tasks in rows.portions(PORTION, sql.BOARD, team_id):
        for start in range(0, len(tasks), SLICE_TASKS):
            loader.add([task_of(task, row["key"]) for task in tasks[start : start + SLICE_TASKS]])
            if len(tasks) > SLICE_TASKS:
                await asyncio.sleep(PAUSE_SECONDS)
    for _ in loader.finish():
        await asyncio.sleep(PAUSE_SECONDS)
    return loader.state


def _dict(row: asyncpg.Record) -> dict[str, Any]:
    return dict(row.items())
