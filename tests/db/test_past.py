"""Boards of the past: at every seq the fold of the journal, whatever snapshots there are, and of nothing forgotten."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID, uuid4

import anyio
import asyncpg
import pytest
from msgspec import structs

from core.codec import JournalRow, decode, digest_of
from core.commands import UpdateTask
from core.errors import NotFound, Overloaded, StorageUnavailable
from core.events import AnyEvent
from core.redaction import redacted
from core.task import TaskPatch
from core.team import TeamState, evolve
from db import readmodel
from db.object_store import ObjectStore, open_store
from db.past import boards, folding, snapshots
from db.past.boards import PastBoards
from db.past.making import SnapshotMaker, SnapshotsDropped
from db.past.snapshots import forget_expired, path_of
from db.pool import Pools, open_pools
from db.redaction.boards import drop_boards
from db.redaction.history import redact_history
from db.settings import DatabaseSettings, ObjectSettings
from db.snapshots import SnapshotCodec
from db.transaction import reading, writing
from taskforge.devstack import DevStack
from tests.support import databases
from tests.support.core_team import MEMBER, OWNER, STRANGER, TEAM, every_event
from tests.support.past import board_of, fold_of, lived, stored
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

EVERY = 40


@pytest.fixture
async def pools(database: DatabaseSettings) -> AsyncIterator[Pools]:
    async with open_pools(database) as opened:
        yield opened


@pytest.fixture
async def superuser(services: DevStack, database: DatabaseSettings) -> AsyncIterator["asyncpg.Connection[Any]"]:
    connection = await asyncpg.connect(databases.superuser_url(services, database))
    yield connection
    await connection.close()


@pytest.fixture
def store() -> ObjectStore:
    opened = open_store(ObjectSettings(url="memory:"))
    assert opened is not None
    return opened


@pytest.fixture
async def rows(superuser: "asyncpg.Connection[Any]") -> Sequence[JournalRow]:
    """The journal of a team with some hundred events."""
    return await stored(superuser, lived(5 * EVERY + 3).journal)


async def at(pools: Pools, store: ObjectStore | None, seq: int, user_id: UUID = OWNER) -> TeamState:
    async with PastBoards(pools.api, store).at(user_id, TEAM, seq) as state:
        return state


async def places(pools: Pools) -> list[int]:
    """Where a reader finds snapshots."""
    form = SnapshotCodec().fingerprint.hex()
    async with reading(pools.api, OWNER) as tx:
        return sorted(one.seq for one in await snapshots.newest(tx, TEAM, 2**62, form, 1_000))


def reads_of(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """After which seqs readers read the journal from now on."""
    read, seqs = readmodel.events_after, list[int]()

    async def events_after(pool: Any, user_id: UUID, team_id: UUID, after: int, limit: int) -> list[JournalRow]:
        seqs.append(after)
        return await read(pool, user_id, team_id, after, limit)

    monkeypatch.setattr(readmodel, "events_after", events_after)
    return seqs


async def test_at_every_seq_the_board_is_the_fold_with_and_without_snapshots(
    pools: Pools, store: ObjectStore, rows: Sequence[JournalRow]
) -> None:
    maker = SnapshotMaker(pools.worker, store, every=EVERY)
    assert await maker.make_due(TEAM, len(rows)) == len(rows) // EVERY
    for seq in (0, 1, 7, EVERY - 1, EVERY, EVERY + 1, 3 * EVERY + 11, len(rows)):
        expected = board_of(fold_of(rows[:seq]))
        assert board_of(await at(pools, None, seq)) == expected
        assert board_of(await at(pools, store, seq)) == expected


@pytest.mark.proof
@pytest.mark.timeout(900)
async def test_at_every_seq_of_a_long_history_the_board_is_the_fold(
    pools: Pools, store: ObjectStore, superuser: "asyncpg.Connection[Any]"
) -> None:
    rows = await stored(superuser, lived(2_000, seed=7).journal)
    await SnapshotMaker(pools.worker, store, every=100).make_due(TEAM, len(rows))
    past, expected = PastBoards(pools.api, store), TeamState()
    for row in rows:
        expected = evolve(expected, decode(row)).merge()
        async with past.at(OWNER, TEAM, row.seq) as state:
            assert board_of(state) == board_of(expected), row.seq


async def test_a_reader_folds_only_what_comes_after_the_newest_snapshot(
    pools: Pools, store: ObjectStore, rows: Sequence[JournalRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    await SnapshotMaker(pools.worker, store, every=EVERY).make_due(TEAM, len(rows))
    assert await places(pools) == [number * EVERY for number in range(1, len(rows) // EVERY + 1)]
    seqs = reads_of(monkeypatch)
    await at(pools, store, 3 * EVERY + 5)
    await at(pools, store, 2 * EVERY)
    assert seqs == [3 * EVERY], "and at a snapshot nothing is folded"


def bytes_of(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes of payloads each read of the journal had from now on."""
    read, sizes = readmodel.events_after, list[int]()

    async def events_after(*arguments: Any) -> list[JournalRow]:
        rows = await read(*arguments)
        sizes.append(sum(len(row.payload) for row in rows))
        return rows

    monkeypatch.setattr(readmodel, "events_after", events_after)
    return sizes


async def test_what_a_reader_folds_is_bounded_by_bytes(
    pools: Pools, store: ObjectStore, superuser: "asyncpg.Connection[Any]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few events may be much: with long descriptions a reader would fold megabytes, however few the events are."""
    team, most = lived(60), 128 * 1024
    task = next(iter(team.state.tasks.values()))
    for number in range(150):
        team.ask(UpdateTask(task.id, TaskPatch(description=f"{number} " * (8_000 if number % 50 == 0 else 1_000))))
    rows = await stored(superuser, team.journal)
    largest = max(len(row.payload) for row in rows)
    maker = SnapshotMaker(pools.worker, store, every=5_000, every_bytes=most)
    made = await maker.make_due(TEAM, len(rows))
    assert made == len(await places(pools)) >= sum(len(row.payload) for row in rows) // (most + largest)
    sizes = bytes_of(monkeypatch)
    for seq in range(1, len(rows) + 1, 7):
        sizes.clear()
        assert board_of(await at(pools, store, seq)) == board_of(fold_of(rows[:seq])), seq
        assert sum(sizes) < most + largest
    await at(pools, None, len(rows))
    assert sum(sizes) > 8 * most, "which is what there is without them"


async def test_snapshots_by_bytes_are_made_as_the_events_come_and_again_when_they_went(
    pools: Pools, store: ObjectStore, rows: Sequence[JournalRow]
) -> None:
    most = 4 * max(len(row.payload) for row in rows)
    at_once, one_by_one = [SnapshotMaker(pools.worker, store, every=EVERY, every_bytes=most) for _ in range(2)]
    for row in rows:
        await one_by_one.make_due(TEAM, row.seq)
    found = await places(pools)
    assert set(all_places(rows)) < set(found)
    assert await at_once.make_due(TEAM, len(rows)) == 0, "the places follow from the journal alone"
    await drop_boards(pools.worker, TEAM, {rows[EVERY + 10].subject})
    assert len(await places(pools)) < len(found)
    await one_by_one.make_due(TEAM, len(rows))
    assert await places(pools) == found


async def test_who_kept_fewer_snapshots_before_gets_those_between(
    pools: Pools, store: ObjectStore, rows: Sequence[JournalRow]
) -> None:
    await SnapshotMaker(pools.worker, store, every=EVERY).make_due(TEAM, len(rows))
    before = await places(pools)
    maker = SnapshotMaker(pools.worker, store, every=EVERY, every_bytes=8_192)
    assert await maker.make_due(TEAM, len(rows)) > 0
    assert set(before) < set(await places(pools))
    assert await maker.make_due(TEAM, len(rows)) == 0


async def test_every_kind_of_event_has_its_place_in_the_past(
    pools: Pools, store: ObjectStore, superuser: "asyncpg.Connection[Any]"
) -> None:
    """Redactions, a new epoch, comments and files among them; snapshots at every tenth."""
    rows = await stored(superuser, every_event(ended=True).journal)
    await SnapshotMaker(pools.worker, store, every=10).make_due(TEAM, len(rows))
    expected = TeamState()
    for row in rows:
        expected = evolve(expected, decode(row)).merge()
        assert board_of(await at(pools, store, row.seq)) == board_of(expected), row.type


async def test_nothing_is_folded_on_the_event_loop(
    pools: Pools, rows: Sequence[JournalRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = list[int]()

    def noting(state: TeamState, event: AnyEvent) -> TeamState:
        threads.append(threading.get_ident())
        return evolve(state, event)

    monkeypatch.setattr(folding, "evolve", noting)
    await at(pools, None, len(rows))
    assert len(threads) == len(rows)
    assert threading.get_ident() not in threads


async def test_making_is_begun_again_where_it_stopped_and_repeats_nothing(
    pools: Pools, store: ObjectStore, rows: Sequence[JournalRow]
) -> None:
    maker = SnapshotMaker(pools.worker, store, every=EVERY)
    assert [await maker.make_due(TEAM, seq) for seq in (EVERY - 1, EVERY, EVERY, 3 * EVERY)] == [0, 1, 0, 2]
    keys = await store.keys(path_of(TEAM))
    assert await maker.make_due(TEAM, 3 * EVERY) == 0
    assert await store.keys(path_of(TEAM)) == keys
    assert len(keys) == 3
    assert board_of(await at(pools, store, 3 * EVERY)) == board_of(fold_of(rows[: 3 * EVERY]))


async def test_two_workers_at_once_leave_one_snapshot_at_each_place(
    pools: Pools, store: ObjectStore, rows: Sequence[JournalRow]
) -> None:
    makers = [SnapshotMaker(pools.worker, store, every=EVERY) for _ in range(2)]
    await asyncio.gather(*[maker.make_due(TEAM, len(rows)) for maker in makers])
    assert len(await places(pools)) == len(rows) // EVERY == len(await store.keys(path_of(TEAM)))


async def test_an_object_that_is_gone_or_damaged_costs_time_and_no_answer(
    pools: Pools, store: ObjectStore, rows: Sequence[JournalRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    await SnapshotMaker(pools.worker, store, every=EVERY).make_due(TEAM, 3 * EVERY)
    form = SnapshotCodec().fingerprint.hex()
    async with reading(pools.api, OWNER) as tx:
        third, second, _ = await snapshots.newest(tx, TEAM, 3 * EVERY, form, 3)
    await store.delete_below(path_of(TEAM, third.id))
    async with writing(pools.worker) as tx:
        await tx.execute("update board_snapshots set sha256 = $2 where id = $1", second.id, bytes(32))
    seqs = reads_of(monkeypatch)
    assert board_of(await at(pools, store, 3 * EVERY + 1)) == board_of(fold_of(rows[: 3 * EVERY + 1]))
    assert seqs[0] == EVERY


async def test_a_snapshot_of_another_history_is_never_used_and_tidied_away(
    pools: Pools, store: ObjectStore, rows: Sequence[JournalRow], superuser: "asyncpg.Connection[Any]"
) -> None:
    maker = SnapshotMaker(pools.worker, store, every=EVERY)
    await maker.make_due(TEAM, 2 * EVERY)
    other = bytes(reversed(range(16)))
    async with superuser.transaction():
        await superuser.execute("set local session_replication_role = replica")
        for row in rows[2 * EVERY - 5 : 2 * EVERY]:
            digest = digest_of(other, row.payload)
            await superuser.execute(
                "update task_events set salt = $3, digest = $4 where team_id = $1 and seq = $2",
                TEAM, row.seq, other, digest,
            )  # fmt: skip
    assert await places(pools) == [EVERY]
    orphan = f"{path_of(TEAM, UUID(int=77))}/board"

    async def nothing() -> AsyncIterator[bytes]:
        yield b"of a lost history"

    await store.put(orphan, nothing(), limit=100, media_type="application/octet-stream", name="board")
    assert len(await store.keys(path_of(TEAM))) == 3
    await maker.tidy(TEAM)
    assert len(await store.keys(path_of(TEAM))) == 1
    assert await maker.make_due(TEAM, 2 * EVERY) == 1
    assert await places(pools) == [EVERY, 2 * EVERY]


async def test_no_snapshot_holds_what_the_journal_has_forgotten(
    pools: Pools, store: ObjectStore, rows: Sequence[JournalRow]
) -> None:
    maker = SnapshotMaker(pools.worker, store, every=EVERY)
    await maker.make_due(TEAM, len(rows))
    board = fold_of(rows[: 3 * EVERY])
    task = max(board.tasks.values(), key=lambda one: one.number)
    first = next(row.seq for row in rows if row.subject == task.id)
    await redact_history(pools.worker, TEAM, {task.id})
    assert await drop_boards(pools.worker, TEAM, {task.id}) == len([s for s in all_places(rows) if s >= first])
    await forget_expired(pools.worker, store, TEAM)
    assert await places(pools) == [seq for seq in all_places(rows) if seq < first]
    assert len(await store.keys(path_of(TEAM))) == len(await places(pools))
    await maker.make_due(TEAM, len(rows))
    assert await places(pools) == all_places(rows)
    assert task.title not in repr(board_of(await at(pools, store, 3 * EVERY)))
    left = [structs.replace(row, payload=redacted(row.type, row.payload, {task.id}) or row.payload) for row in rows]
    assert board_of(await at(pools, store, 3 * EVERY)) == board_of(fold_of(left[: 3 * EVERY]))


def all_places(rows: Sequence[JournalRow]) -> list[int]:
    """The places at which a team with these rows has snapshots."""
    return list(range(EVERY, len(rows) + 1, EVERY))


async def test_what_is_being_made_while_something_is_forgotten_is_not_kept(
    pools: Pools, store: ObjectStore, rows: Sequence[JournalRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    maker, put = SnapshotMaker(pools.worker, store, every=EVERY), store.put

    async def put_late(*arguments: Any, **options: Any) -> Any:
        stored = await put(*arguments, **options)
        await drop_boards(pools.worker, TEAM, {MEMBER})
        return stored

    monkeypatch.setattr(store, "put", put_late)
    with pytest.raises(SnapshotsDropped):
        await maker.make_due(TEAM, 2 * EVERY)
    assert await places(pools) == []
    assert await store.keys(path_of(TEAM)) == []
    monkeypatch.setattr(store, "put", put)
    assert await maker.make_due(TEAM, 2 * EVERY) == 2


async def test_nobody_else_reads_a_board_of_the_past(
    pools: Pools, store: ObjectStore, rows: Sequence[JournalRow]
) -> None:
    await SnapshotMaker(pools.worker, store, every=EVERY).make_due(TEAM, len(rows))
    for seq in (1, EVERY + 1):
        with pytest.raises(NotFound):
            await at(pools, store, seq, STRANGER)
    async with reading(pools.api, STRANGER) as tx:
        assert await tx.fetchval("select count(*) from board_snapshots") == 0


async def test_only_so_many_wait_for_their_turn(
    pools: Pools, rows: Sequence[JournalRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boards, "WAITING", 1)
    past = PastBoards(pools.api, None)
    async with past.at(OWNER, TEAM, 1):
        with pytest.raises(Overloaded):
            async with past.at(OWNER, TEAM, 3):
                pytest.fail("one is being read already")
    async with past.at(OWNER, TEAM, 3) as state:
        assert state.seq == 3


async def test_a_team_has_one_turn_at_a_time_and_takes_nobody_elses(
    pools: Pools, rows: Sequence[JournalRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boards, "OF_A_TEAM", 3)
    past, read = PastBoards(pools.api, None), list[int]()

    async def ask(seq: int) -> None:
        async with past.at(OWNER, TEAM, seq):
            read.append(seq)

    async with anyio.create_task_group() as group, past.at(OWNER, TEAM, 1):
        for seq in (2, 3):
            group.start_soon(ask, seq)
        await until(lambda: past._waiting == 3)
        with pytest.raises(Overloaded):
            await ask(4)
        with pytest.raises(NotFound):  # It gets as far as to see that there is no such team.
            async with past.at(STRANGER, uuid4(), 1):
                pytest.fail("there is no such team")
        assert read == []
    assert read == [2, 3]
    assert past._teams == {}


async def test_what_a_newer_program_wrote_is_left_to_it(
    pools: Pools, rows: Sequence[JournalRow], superuser: "asyncpg.Connection[Any]"
) -> None:
    async with superuser.transaction():
        await superuser.execute("set local session_replication_role = replica")
        await superuser.execute("update task_events set type = 'task.frozen' where team_id = $1 and seq = 9", TEAM)
    assert (await at(pools, None, 8)).seq == 8
    with pytest.raises(StorageUnavailable):
        await at(pools, None, 9)


async def test_snapshots_of_other_programs_are_theirs_for_a_day(
    pools: Pools, store: ObjectStore, rows: Sequence[JournalRow]
) -> None:
    maker = SnapshotMaker(pools.worker, store, every=EVERY)
    await maker.make_due(TEAM, EVERY)
    async with writing(pools.worker) as tx:
        await tx.execute("update board_snapshots set format = 'another'")
    assert await places(pools) == []
    await maker.make_due(TEAM, EVERY)
    assert len(await store.keys(path_of(TEAM))) == 2, "two programs side by side have their own"
    async with writing(pools.worker) as tx:
        await tx.execute("update board_snapshots set made_at = now() - interval '2 days' where format = 'another'")
    await maker.tidy(TEAM)
    assert len(await store.keys(path_of(TEAM))) == 1
    assert await places(pools) == [EVERY]
