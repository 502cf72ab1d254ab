"""Faults in the middle: lost locks, unknown outcomes, stuck commits, endings."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import pytest

from actors.committer import Committer
from actors.system import TeamSystem
from core.commands import CreateTask, CreateTeam, UpdateTask
from core.errors import Conflict, DeadlineExceeded, KeyInFlight, NotFound, ShuttingDown, StorageUnavailable
from core.task import TaskFields, TaskPatch
from core.writes import Blocked, CommitOutcome, CommitUnknown, TeamLocked, TeamWrites
from tests.support.actor_harness import (
    MEMBER,
    OWNER,
    Ports,
    failing_once,
    keyed,
    new_task,
    new_team,
    retitle,
    some_turns,
    stored,
    stuck,
)
from tests.support.asking import by
from tests.support.memory_ports import ManualClock, MemoryJournal, MemoryLocked, task_events
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


def expire(system: TeamSystem, now: float) -> None:
    for actor in system._actors.values():
        actor.expire(now)


@pytest.mark.parametrize("after", [False, True])
async def test_an_unknown_outcome_under_the_lock_has_one_effect(after: bool) -> None:
    ports = Ports()
    async with ports.system() as one, ports.system() as other:
        team = await new_team(one)
        task = await new_task(one, team)
        await other.view(team)
        await retitle(one, team, task, "ahead")
        await retitle(other, team, task, "loses its fence, so the next ones lock")
        failing_once(ports, CommitUnknown, after=after)
        result = await retitle(other, team, task, "once")
        assert result.seq == 7
        assert [row.seq for row in ports.journal.rows[team]] == list(range(1, 8))


async def test_an_unknown_outcome_of_a_stored_refusal_replays_it() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        failing_once(ports, CommitUnknown, after=True)
        command = UpdateTask(MEMBER, TaskPatch(title="no such task"))
        answer = await system.ask(team, command, keyed("k" * 16), stored)
        assert answer.replayed is not None
        assert len(ports.journal.rows[team]) == 3


async def test_an_unknown_outcome_of_a_new_team_that_did_not_happen_is_made_again() -> None:
    ports = Ports()
    async with ports.system() as system:
        failing_once(ports, CommitUnknown, after=False)
        team = await new_team(system)
        assert len(ports.journal.rows[team]) == 3
        with pytest.raises(Conflict):
            await system.ask(team, CreateTeam(team, "Again", "ENG", "Ada"), by(OWNER))


async def test_when_the_outcome_cannot_be_learnt_the_state_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = Ports()
    monkeypatch.setattr("actors.slow_path.UNKNOWN_PAUSE", 0.0)
    async with ports.system() as system:
        team = await new_team(system)
        failing_once(ports, CommitUnknown, after=True)
        lock = ports.journal.lock

        def away(team_id: object) -> None:
            raise StorageUnavailable("away")

        monkeypatch.setattr(ports.journal, "lock", away)
        with pytest.raises(StorageUnavailable, match="not known"):
            await system.ask(team, CreateTask(TaskFields(title="t")), by(OWNER))
        monkeypatch.setattr(ports.journal, "lock", lock)
        assert (await system.view(team)).seq == 4


async def test_a_stuck_database_fails_what_waits_at_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.system.SWEEP_SECONDS", 0.0)
    monkeypatch.setattr("actors.system.WEIGH_SECONDS", 0.0)
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        task = await new_task(system, team)
        running = await stuck(ports, retitle(system, team, task, "running"))
        late = asyncio.create_task(retitle(system, team, task, "late"))
        await asyncio.sleep(0)
        ports.clock.seconds += 6
        with pytest.raises(DeadlineExceeded, match="was not made"):
            await late
        with pytest.raises(DeadlineExceeded, match="is not known"):
            await running
        ports.journal.gate.set()
        await until(lambda: system.seq_of(team) == 5)
        assert (await retitle(system, team, task, "afterwards")).seq == 6


async def test_a_key_in_flight_past_its_deadline_is_in_flight_until_its_outcome_is_known() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        task = await new_task(system, team)
        running = await stuck(ports, retitle(system, team, task, "once", keyed("k" * 16)))
        expire(system, ports.clock.seconds + 6)
        with pytest.raises(DeadlineExceeded, match="is not known"):
            await running
        with pytest.raises(KeyInFlight):
            await retitle(system, team, task, "once", keyed("k" * 16))
        ports.journal.gate.set()
        await until(lambda: system.seq_of(team) == 5)
        assert (await retitle(system, team, task, "once", keyed("k" * 16))).replayed is not None
        assert len(ports.journal.rows[team]) == 5


async def test_whoever_has_an_answer_already_is_not_tried_again() -> None:
    """After a lost fence nothing was written, so that a second attempt would make what its caller has given up."""
    ports = Ports()
    async with ports.system() as one, ports.system() as other:
        team = await new_team(one)
        task = await new_task(one, team)
        await other.view(team)
        await retitle(one, team, task, "ahead")
        async with ports.journal.lock(team):
            late = asyncio.create_task(retitle(other, team, task, "late", by(OWNER, deadline=1.0)))
            patient = asyncio.create_task(retitle(other, team, task, "patient", by(OWNER, deadline=60.0)))
            await some_turns()
            expire(other, ports.clock.seconds + 2)
            with pytest.raises(DeadlineExceeded, match="was not made"):
                await late
        assert (await patient).seq == 6
        assert [event.task.title for event in task_events(ports.journal.rows[team])][1:] == ["ahead", "patient"]


async def test_a_locked_team_leaves_the_lane_and_waits_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = Ports()
    async with ports.system() as system:
        held, free = await new_team(system), await new_team(system)
        task, other = await new_task(system, held), await new_task(system, free)
        write, lock, commits = ports.journal._write, ports.journal.lock, list[str]()

        def blocked(writes: TeamWrites) -> CommitOutcome:
            commits.append("held" if writes.team_id == held else "free")
            return Blocked() if writes.team_id == held else write(writes)

        @asynccontextmanager
        async def locked(team_id: UUID) -> AsyncIterator[MemoryLocked]:
            await asyncio.sleep(0)
            if team_id == held:
                raise TeamLocked("held")
            yield MemoryLocked(ports.journal, team_id)

        monkeypatch.setattr(ports.journal, "_write", blocked)
        monkeypatch.setattr(ports.journal, "lock", locked)
        waiting = asyncio.create_task(retitle(system, held, task, "waits"))
        for number in range(5):
            await retitle(system, free, other, f"goes on {number}")
        assert not waiting.done()
        assert commits.count("held") == 1, "only its first attempt may hold up the others"
        monkeypatch.setattr(ports.journal, "_write", write)
        monkeypatch.setattr(ports.journal, "lock", lock)
        await waiting
        assert (await retitle(system, held, task, "as ever")).seq == 6


async def test_a_view_that_cannot_be_had_in_time_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        blocked = asyncio.Event()

        async def hang(team_id: object, after: int, limit: int = 1000) -> Sequence[object]:
            await blocked.wait()
            return []

        monkeypatch.setattr(ports.journal, "read", hang)
        with pytest.raises(DeadlineExceeded):
            await system.view(team, min_seq=99, deadline=0.01)
        blocked.set()


async def test_draining_refuses_what_a_stuck_commit_leaves_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.system.DRAIN_SECONDS", 0.0)
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        task = await new_task(system, team)
        running = await stuck(ports, retitle(system, team, task, "running"))
        waiting = asyncio.create_task(retitle(system, team, task, "waiting"))
        await asyncio.sleep(0)
        await system.drain()
        with pytest.raises(ShuttingDown):
            await waiting
        ports.journal.gate.set()
        await running


async def test_a_team_that_vanished_is_not_found_and_takes_no_memory() -> None:
    ports = Ports()
    async with ports.system() as system:
        with pytest.raises(NotFound):
            await new_task(system, MEMBER)
        assert system.statistics().active == 0


async def test_a_cancelled_committer_leaves_nobody_waiting() -> None:
    journal = MemoryJournal()
    journal.gate.clear()
    committer = Committer(journal, ManualClock())
    serving = asyncio.create_task(committer.run())
    first = asyncio.create_task(committer.commit(TeamWrites(OWNER, 1, 0, (), {}, ())))
    for _ in range(5):
        await asyncio.sleep(0)
    second = asyncio.create_task(committer.commit(TeamWrites(MEMBER, 1, 0, (), {}, ())))
    await asyncio.sleep(0)
    assert committer.statistics().waiting == 1
    serving.cancel()
    answers = await asyncio.gather(first, second, serving, return_exceptions=True)
    assert all(isinstance(answer, asyncio.CancelledError) for answer in answers)
