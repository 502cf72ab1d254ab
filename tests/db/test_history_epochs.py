"""A restored database is noticed once, its teams take no write before their new epoch, and each has its event."""

import asyncio
from uuid import UUID

import asyncpg
import msgspec
import pytest
import uuid_utils.compat as uuids

from core.codec import decode, digest_of
from core.commands import CreateTask
from core.events import TeamRestored
from core.task import TaskFields
from core.writes import Committed, FenceBroken, JournalPosition
from db.journal import epochs
from db.journal.epochs import accept_history, declare_restored, note_lost_history, notice_restore, raise_due_epochs
from db.journal.journal import PostgresJournal
from db.pool import Pools
from tests.streams.conftest import journal
from tests.support.epochs import remembering
from tests.support.journal_writer import JournalWriter
from tests.support.team_writer import add_user, new_team

__all__ = ["journal"]

pytestmark = pytest.mark.anyio


async def pretend_a_restore(superuser: "asyncpg.Connection") -> None:
    await superuser.execute("update installation set database_oid = database_oid + 1")


async def test_the_same_history_is_no_restore(pools: Pools, journal: JournalWriter) -> None:
    await journal.append(await journal.team(), 3)
    assert await notice_restore(pools.writer) == 0
    assert await raise_due_epochs(pools.writer) == []


@pytest.mark.parametrize("column", ["database_oid", "journal_oid", "system_identifier", "timeline"])
async def test_any_other_identity_is_noticed_once_by_one_of_many(
    pools: Pools, journal: JournalWriter, superuser: "asyncpg.Connection", column: str
) -> None:
    teams = [await journal.team() for _ in range(3)]
    readable = "execute on function pg_control_system(), pg_control_checkpoint()"
    await superuser.execute(f"grant {readable} to taskforge_writer")
    try:
        await accept_history(pools.writer)
        await superuser.execute(f"update installation set {column} = {column} + 1")
        found = await asyncio.gather(*(notice_restore(pools.writer) for _ in range(8)))
    finally:
        await superuser.execute(f"revoke {readable} from taskforge_writer")
    assert sorted(found) == [0] * 7 + [len(teams)]
    assert await notice_restore(pools.writer) == 0


async def test_each_team_gets_its_epoch_and_its_event_as_the_next_seq(
    pools: Pools, journal: JournalWriter, superuser: "asyncpg.Connection", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(epochs, "SLICE", 2)
    teams = [await journal.team() for _ in range(5)]
    for number, team_id in enumerate(teams):
        await journal.append(team_id, number + 1)
    await pretend_a_restore(superuser)
    await notice_restore(pools.writer)
    raised: list[UUID] = []
    while slice_ := await raise_due_epochs(pools.writer):
        assert len(slice_) <= 2
        raised += slice_
    assert sorted(raised) == sorted(teams)
    kept = PostgresJournal(pools)
    for number, team_id in enumerate(teams):
        seq = number + 2
        assert (await kept.position([team_id]))[team_id] == JournalPosition(seq, 2)
        *before, last = await kept.read(team_id, 0)
        assert [row.epoch for row in before] == [1] * (number + 1)
        event = decode(last)
        assert isinstance(event, TeamRestored)
        assert (event.seq, event.epoch, event.from_seq, last.epoch, last.actor_kind) == (seq, 2, seq, 2, "system")
        assert last.digest == digest_of(last.salt, last.payload)
        assert msgspec.json.decode(last.payload) == {"epoch": 2, "from_seq": seq}


@pytest.mark.parametrize("known", [0, 4])
async def test_teams_of_one_restore_get_the_same_epoch_whoever_raises_which_of_them_when(
    pools: Pools, journal: JournalWriter, superuser: "asyncpg.Connection", valkey_url: str, known: int
) -> None:
    """Seen under faults: two teams came into epoch 2, and the third, which raised its own a moment later, into 3."""
    teams = [await journal.team() for _ in range(3)]
    await pretend_a_restore(superuser)
    await notice_restore(pools.writer)
    async with remembering(valkey_url) as one, remembering(valkey_url) as other:
        if known:
            await one.give(known)
        await raise_due_epochs(pools.writer, teams[1], highest=one)
        await other.look()
        assert await raise_due_epochs(pools.writer, highest=other) != []
    found = await PostgresJournal(pools).position(teams)
    assert {position.epoch for position in found.values()} == {max(known, 1) + 1}


async def test_a_team_takes_no_write_before_its_epoch_is_raised(
    pools: Pools, journal: JournalWriter, superuser: "asyncpg.Connection"
) -> None:
    kept = PostgresJournal(pools)
    due, free = [await new_team(kept, await add_user(pools)) for _ in range(2)]
    await superuser.execute("insert into epochs_due values ($1)", due.team_id)
    create = CreateTask(TaskFields(title="Too early"))
    outcomes = await kept.commit([due.decided(create), free.decided(create)])
    assert outcomes == {due.team_id: FenceBroken(due.state.seq), free.team_id: Committed()}


async def test_a_team_that_was_further_gets_a_new_epoch_and_no_other_one(pools: Pools, journal: JournalWriter) -> None:
    lost, fine = await journal.team(), await journal.team()
    await journal.append(lost, 4)
    await journal.append(fine, 4)
    assert not await note_lost_history(pools.writer, fine, 1, 4)
    assert not await note_lost_history(pools.writer, uuids.uuid7(), 1, 9)
    assert await note_lost_history(pools.writer, lost, 1, 9)
    assert await raise_due_epochs(pools.writer) == [lost]
    assert not await note_lost_history(pools.writer, lost, 1, 9)


async def test_a_team_that_was_in_a_later_epoch_gets_one_above_it(pools: Pools, journal: JournalWriter) -> None:
    lost = await journal.team()
    await journal.append(lost, 4)
    assert await note_lost_history(pools.writer, lost, 3, 2)
    assert await note_lost_history(pools.writer, lost, 2, 9)
    await raise_due_epochs(pools.writer)
    assert (await PostgresJournal(pools).position([lost]))[lost] == JournalPosition(5, 4)


async def test_a_team_is_raised_by_itself_while_others_wait(pools: Pools, journal: JournalWriter) -> None:
    teams = [await journal.team() for _ in range(3)]
    await declare_restored(pools.writer)
    assert await raise_due_epochs(pools.writer, teams[1]) == [teams[1]]
    assert await raise_due_epochs(pools.writer, teams[1]) == []
    kept = PostgresJournal(pools)
    assert [(await kept.position(teams))[team].due for team in teams] == [True, False, True]
    await kept.lose(teams[2], JournalPosition(0))
    assert (await kept.position(teams))[teams[2]] == JournalPosition(1, 2)


async def test_many_at_once_raise_each_epoch_once(pools: Pools, journal: JournalWriter) -> None:
    teams = [await journal.team() for _ in range(20)]
    await declare_restored(pools.writer)
    found = await asyncio.gather(*(raise_due_epochs(pools.writer) for _ in range(8)))
    assert sorted(team for slice_ in found for team in slice_) == sorted(teams)
    assert {now.epoch for now in (await PostgresJournal(pools).position(teams)).values()} == {2}


async def test_what_stands_since_the_histories_parted_is_of_the_new_epoch(
    pools: Pools, journal: JournalWriter, superuser: "asyncpg.Connection"
) -> None:
    """Written before anybody noticed, under the ids of lost events: as events of the new epoch they have other ids."""
    team = await journal.team()
    await journal.append(team, 4)
    await superuser.execute("insert into epochs_due (team_id, from_seq) values ($1, 3)", team)
    await raise_due_epochs(pools.writer)
    rows = await PostgresJournal(pools).read(team, 0)
    assert [(row.epoch, row.seq) for row in rows] == [(1, 1), (1, 2), (2, 3), (2, 4), (2, 5)]
    assert msgspec.json.decode(rows[-1].payload) == {"epoch": 2, "from_seq": 3}


async def test_a_lossless_switchover_is_accepted_and_a_restore_can_be_declared(
    pools: Pools, journal: JournalWriter, superuser: "asyncpg.Connection"
) -> None:
    team_id = await journal.team()
    await pretend_a_restore(superuser)
    assert await accept_history(pools.writer)
    assert not await accept_history(pools.writer)
    assert await notice_restore(pools.writer) == 0
    assert await declare_restored(pools.writer) == 1
    assert await raise_due_epochs(pools.writer) == [team_id]
