"""The next transaction is decided on top of the one in flight: what that must never change."""

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from actors.envelope import CommandResult, Render
from actors.system import TeamSystem
from core.commands import AnyCommand, Asking, CreateTask, UpdateTask
from core.decide import decide
from core.errors import DeadlineExceeded, DomainError, StaleVersion, StorageUnavailable, TaskForgeError
from core.events import AnyEvent
from core.task import TaskFields, TaskPatch
from core.team import TeamState
from core.writes import CommitOutcome, CommitUnknown, FenceBroken, Rejected, StoredReply, TeamWrites
from tests.support.actor_harness import OWNER, Ports, keyed, new_task, new_team, retitle, some_turns, stored, stuck
from tests.support.asking import by
from tests.support.memory_ports import task_events

pytestmark = pytest.mark.anyio


def titles(ports: Ports, team: UUID) -> list[str]:
    return [event.task.title for event in task_events(ports.journal.rows[team])]


async def test_what_waits_is_decided_in_flight_and_leaves_as_the_first_lands() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        task = await new_task(system, team)
        first = await stuck(ports, retitle(system, team, task, "first"))
        others = [asyncio.create_task(retitle(system, team, task, f"later {n}")) for n in range(3)]
        await some_turns()
        view = system.peek(team)
        assert view is not None
        assert (view.seq, system.statistics().waiting) == (4, 0)
        ports.journal.gate.set()
        results = [await asking for asking in (first, *others)]
    assert [result.seq for result in results] == [5, 6, 7, 8]
    assert [len(writes.events) for batch in ports.journal.commits[-2:] for writes in batch] == [1, 3]
    assert titles(ports, team)[-4:] == ["first", "later 0", "later 1", "later 2"]


async def test_of_many_that_come_at_once_half_are_decided_in_flight() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        before = len(ports.journal.commits)
        await asyncio.gather(*(new_task(system, team, f"t{n}") for n in range(64)))
    assert [len(writes.events) for batch in ports.journal.commits[before:] for writes in batch] == [32, 32]


async def test_what_is_decided_in_flight_carries_the_time_of_its_decision() -> None:
    """Nothing may be dated back by as long as a transaction can be stuck."""
    ports = Ports()
    pause = timedelta(milliseconds=11)
    async with ports.system() as system:
        teams = [await new_team(system) for _ in range(3)]
        tasks = [await new_task(system, team) for team in teams]
        first = await stuck(ports, retitle(system, teams[0], tasks[0], "first"))
        begun = ports.clock.wall
        second = asyncio.create_task(retitle(system, teams[1], tasks[1], "second"))
        await some_turns()
        ports.clock.wall += pause
        third = asyncio.create_task(retitle(system, teams[2], tasks[2], "third"))
        await some_turns()
        ports.journal.gate.set()
        for asking in (first, second, third):
            await asking
    at = [writes.events[0].row.at for writes in ports.journal.commits[-1]]
    assert len(at) == 2
    assert begun < at[0] < begun + pause < at[1]


@pytest.mark.parametrize(
    ("loss", "kept"),
    [
        ("fence", ["first", "second", "third"]),
        ("constraint", ["second", "third"]),
        ("unknown, not written", ["first", "second", "third"]),
        ("unknown, written", ["first", "second", "third"]),
        ("away", ["second", "third"]),
    ],
)
async def test_when_the_first_does_not_commit_nothing_that_rests_on_it_is_sent(
    loss: str, kept: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        task = await new_task(system, team)
        fences: list[tuple[int, int]] = []
        write = ports.journal._write

        def failing_first(writes: TeamWrites) -> CommitOutcome:
            fences.append((writes.expected_seq, len(ports.journal.rows[team])))
            if len(fences) > 1:
                return write(writes)
            if loss == "unknown, written":
                write(writes)
            match loss:
                case "fence":
                    return FenceBroken(writes.expected_seq + 1)
                case "constraint":
                    return Rejected("tasks_title_check")
                case "away":
                    raise StorageUnavailable("away")
                case _:
                    raise CommitUnknown

        monkeypatch.setattr(ports.journal, "_write", failing_first)
        first = await stuck(ports, retitle(system, team, task, "first"))
        second = asyncio.create_task(retitle(system, team, task, "second", keyed("a")))
        third = asyncio.create_task(retitle(system, team, task, "third"))
        await some_turns()
        ports.journal.gate.set()
        answers = await asyncio.gather(first, second, third, return_exceptions=True)
    assert titles(ports, team)[1:] == kept
    assert [isinstance(answer, BaseException) for answer in answers] == ["first" not in kept, False, False]
    assert all(expected == there for expected, there in fences), "a fence that could not hold was sent"


async def test_a_refusal_that_rests_on_what_is_in_flight_waits_until_it_is_true() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        task = await new_task(system, team)
        first = await stuck(ports, retitle(system, team, task, "first"))
        stale = asyncio.create_task(system.ask(team, UpdateTask(task, TaskPatch(title="stale"), if_match=4), by(OWNER)))
        same = asyncio.create_task(retitle(system, team, task, "first"))
        await some_turns()
        assert not stale.done()
        assert not same.done()
        ports.journal.gate.set()
        await first
        with pytest.raises(StaleVersion) as refused:
            await stale
        assert refused.value.current == 5
        assert (await same).seq == 5


async def test_the_holder_of_the_row_lock_takes_all_that_waits_by_then() -> None:
    ports = Ports()
    async with ports.system() as one, ports.system() as other:
        team = await new_team(one)
        task = await new_task(one, team)
        await other.view(team)
        await retitle(one, team, task, "unheard")
        async with ports.journal.lock(team):
            first = asyncio.create_task(retitle(other, team, task, "first"))
            await some_turns()
            later = [asyncio.create_task(retitle(other, team, task, f"later {n}")) for n in range(5)]
            await some_turns()
            assert not first.done()
        await asyncio.gather(first, *later)
    assert [len(writes.events) for batch in ports.journal.commits[-1:] for writes in batch] == [6]
    assert titles(ports, team)[-6:] == ["first", *(f"later {n}" for n in range(5))]


async def test_what_was_decided_ahead_still_has_its_deadline() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        task = await new_task(system, team)
        first = await stuck(ports, retitle(system, team, task, "first"))
        late = asyncio.create_task(retitle(system, team, task, "late", by(OWNER, deadline=1.0)))
        patient = asyncio.create_task(retitle(system, team, task, "patient", by(OWNER, deadline=60.0)))
        await some_turns()
        ports.clock.seconds += 2
        for actor in system._actors.values():
            actor.expire(ports.clock.seconds)
        with pytest.raises(DeadlineExceeded):
            await late
        ports.journal.gate.set()
        await asyncio.gather(first, patient)
    assert titles(ports, team)[1:] == ["first", "patient"]


@pytest.mark.parametrize("where", ["decide", "render"])
async def test_a_bug_in_one_batch_fails_that_batch_and_nobody_else(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ports = Ports()
    async with ports.system() as system:
        broken, healthy = await new_team(system), await new_team(system)
        task, other = await new_task(system, broken), await new_task(system, healthy)
        render: Render = stored
        if where == "decide":

            def bug(state: TeamState, command: AnyCommand, asking: Asking) -> list[AnyEvent]:
                if isinstance(command, UpdateTask) and command.patch.title == "boom":
                    raise ZeroDivisionError
                return decide(state, command, asking)

            monkeypatch.setattr("actors.prepared_batch.decide", bug)
        else:

            def unrenderable(_: CommandResult | DomainError) -> StoredReply:
                raise ZeroDivisionError

            render = unrenderable
        first = await stuck(ports, retitle(system, healthy, other, "in flight"))
        boom = asyncio.create_task(retitle(system, broken, task, "boom", keyed("bug"), render))
        fine = asyncio.create_task(retitle(system, healthy, other, "fine"))
        await some_turns()
        ports.journal.gate.set()
        answers = await asyncio.gather(first, boom, fine, return_exceptions=True)
        assert [isinstance(answer, StorageUnavailable) for answer in answers] == [False, True, False]
        monkeypatch.undo()
        await retitle(system, broken, task, "again", keyed("bug"))
    assert titles(ports, healthy)[1:] == ["in flight", "fine"]
    assert titles(ports, broken)[1:] == ["again"]


@pytest.mark.parametrize("seed", range(40))
async def test_whatever_fails_and_whatever_else_writes_each_change_is_made_once_or_refused(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes, three teams, commits that are slow, refused, lost before or after they were written."""
    monkeypatch.setattr("actors.slow_path.UNKNOWN_PAUSE", 0.0)
    ports, dice = Ports(), random.Random(seed)
    commit = ports.journal.commit

    async def unreliable(batches: Sequence[TeamWrites]) -> object:
        for _ in range(dice.randrange(6)):
            await asyncio.sleep(0)
        fate = dice.random()
        if fate < 0.05:
            raise StorageUnavailable("away")
        if fate < 0.1:
            raise CommitUnknown
        outcomes = await commit(batches)
        if fate < 0.15:
            raise CommitUnknown
        return outcomes

    async with ports.system() as one, ports.system() as other:
        teams = [await new_team(one) for _ in range(3)]
        monkeypatch.setattr(ports.journal, "commit", unreliable)
        made: list[tuple[UUID, str, int]] = []
        unsure: set[str] = set()

        async def client(system: TeamSystem, number: int) -> None:
            for step in range(12):
                team, title = dice.choice(teams), f"{seed}/{number}/{step}"
                try:
                    result = await system.ask(team, CreateTask(TaskFields(title=title)), by(OWNER))
                except TaskForgeError:
                    unsure.add(title)
                else:
                    made.append((team, title, result.seq))
                if dice.random() < 0.3:
                    await asyncio.sleep(0)

        await asyncio.gather(*(client(dice.choice((one, one, other)), number) for number in range(24)))
        for team in teams:
            rows = ports.journal.rows[team]
            assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
            events = {event.task.title: event.seq for event in task_events(rows)}
            assert len(events) == len(task_events(rows)), "a change was made twice"
            assert {title: seq for where, title, seq in made if where == team}.items() <= events.items()
            assert set(events) <= {title for _, title, _ in made} | unsure
            view = await one.view(team, min_seq=len(rows))
            assert {task.title for task in view.state.tasks.values()} == set(events)
