"""A team whose history was rewritten: its actor starts over, and nobody else notices."""

import asyncio
from uuid import UUID

import pytest
from msgspec import structs

from core.commands import UpdateTask
from core.errors import NotFound, StorageUnavailable
from core.task import TaskPatch
from tests.support.actor_harness import OWNER, Ports, new_task, new_team, retitle
from tests.support.asking import by

pytestmark = pytest.mark.anyio


def rewrite(ports: Ports, team: UUID, seq: int) -> None:
    """The journal went back to `seq`, as after a restore."""
    del ports.journal.rows[team][seq:]
    ports.journal.epochs[team] = 2


async def test_a_change_after_a_rewrite_is_decided_on_the_history_that_stands() -> None:
    ports = Ports()
    async with ports.system() as system:
        team, calm = await new_team(system), await new_team(system)
        kept = await new_task(system, team)
        lost = await new_task(system, team)
        other = await new_task(system, calm)
        before = system.peek(calm)
        rewrite(ports, team, 4)
        outcome, _ = await asyncio.gather(retitle(system, team, kept, "on"), retitle(system, calm, other, "calm"))
        assert outcome.seq == 5
        assert [event.row.epoch for event in outcome.events] == [2]
        with pytest.raises(NotFound):
            await retitle(system, team, lost, "gone")
        view = await system.view(team)
        assert (view.epoch, view.seq) == (2, 5)
        assert system.peek(calm) is before


async def test_a_refusal_is_not_answered_from_a_history_that_does_not_stand() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        task = await new_task(system, team)
        rewrite(ports, team, 3)
        ports.journal.rows[team].append(structs.replace(ports.journal.rows[team][2], seq=4, epoch=2))
        with pytest.raises(NotFound):
            await system.ask(team, UpdateTask(task, TaskPatch(title="A task")), by(OWNER))


async def test_events_of_another_epoch_are_not_applied_but_looked_up() -> None:
    ports = Ports()
    async with ports.system() as writing, ports.system() as following:
        team = await new_team(writing)
        task = await new_task(writing, team)
        await following.view(team)
        rewrite(ports, team, 4)
        outcome = await retitle(writing, team, task, "on")
        following.absorb(team, outcome.events)
        view = await following.view(team, min_seq=5)
        assert (view.epoch, view.seq) == (2, 5)
        assert ports.journal.loads >= 2


async def test_a_snapshot_of_another_epoch_is_not_used() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        await new_task(system, team)
    assert ports.snapshots.states[team].seq == 4
    rewrite(ports, team, 4)
    async with ports.system() as system:
        assert (await system.view(team)).epoch == 2


async def test_a_journal_that_went_back_begins_a_new_epoch_and_whoever_asked_is_to_ask_again() -> None:
    """Once such a team was asked for ever: each attempt lost its fence to nobody."""
    ports = Ports()
    async with ports.system() as system:
        team, calm = await new_team(system), await new_team(system)
        kept = await new_task(system, team)
        lost = await new_task(system, team)
        other = await new_task(system, calm)
        del ports.journal.rows[team][4:]
        asked = await asyncio.gather(
            retitle(system, team, kept, "on"), retitle(system, calm, other, "calm"), return_exceptions=True
        )
        assert isinstance(asked[0], StorageUnavailable)
        assert not isinstance(asked[1], BaseException)
        again = await retitle(system, team, kept, "on")
        assert [(event.row.epoch, event.row.seq) for event in again.events] == [(2, 6)]
        view = await system.view(team)
        assert (view.epoch, view.seq) == (2, 6)
        assert lost not in view.state.tasks


async def test_a_look_at_the_journal_that_went_back_reloads_the_team() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        lost = await new_task(system, team)
        (seen,) = [seq for found, seq in system.active() if found == team]
        del ports.journal.rows[team][seen - 1 :]
        system.compare(team, seen, (await ports.journal.position([team]))[team])
        view = await system.view(team, epoch=2)
        assert (view.epoch, view.seq) == (2, seen)
        assert lost not in view.state.tasks


async def test_a_position_that_was_asked_for_before_a_commit_is_no_sign_of_a_lost_history() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        before = (await ports.journal.position([team]))[team]
        task = await new_task(system, team)
        system.compare(team, before.seq, before)
        await retitle(system, team, task, "fine")
        assert (await system.view(team)).epoch == 1


async def test_a_snapshot_of_a_history_that_does_not_stand_is_not_used() -> None:
    """The restored journal has reached the snapshot's seq again, with other events."""
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        await new_task(system, team)
    assert ports.snapshots.states[team].seq == (seq := len(ports.journal.rows[team]))
    row = ports.journal.rows[team][-1]
    ports.journal.rows[team][-1] = structs.replace(row, digest=bytes(32))
    loads = ports.journal.loads
    async with ports.system() as system:
        assert (await system.view(team)).seq == seq
    assert ports.journal.loads == loads + 1


async def test_a_team_that_waits_for_its_new_epoch_is_left_after_one_attempt_and_begins_it() -> None:
    """Once each attempt lost its fence to nobody, again and again without a pause, until another process came by."""
    ports = Ports()
    async with ports.system() as system:
        team, calm = await new_team(system), await new_team(system)
        task, other = await new_task(system, team), await new_task(system, calm)
        ports.journal.due.add(team)
        before = len(ports.journal.commits)
        with pytest.raises(StorageUnavailable):
            await retitle(system, team, task, "on")
        assert len(ports.journal.commits) == before + 1
        again = await retitle(system, team, task, "on")
        assert [event.row.epoch for event in again.events] == [2]
        await retitle(system, calm, other, "calm")


async def test_a_refusal_is_not_confirmed_while_the_team_waits_for_its_new_epoch() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        task = await new_task(system, team)
        ports.journal.due.add(team)
        with pytest.raises(StorageUnavailable):
            await system.ask(team, UpdateTask(task, TaskPatch(title="A task")), by(OWNER))
        assert (await system.view(team)).epoch == 2


async def test_a_team_that_is_activated_while_it_waits_begins_its_new_epoch_first() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        task = await new_task(system, team)
    ports.journal.due.add(team)
    async with ports.system() as system:
        assert (await system.view(team)).epoch == 2
        commits = len(ports.journal.commits)
        await retitle(system, team, task, "on")
        assert len(ports.journal.commits) == commits + 1


async def test_a_journal_that_went_back_to_an_earlier_epoch_begins_one_after_that_which_was_lost() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        task = await new_task(system, team)
        ports.journal.epochs[team] = 4
        await retitle(system, team, task, "lost")
        assert (await system.view(team)).epoch == 4
        del ports.journal.rows[team][4:]
        ports.journal.epochs[team] = 3
        again = await retitle(system, team, task, "stands")
        assert [event.row.epoch for event in again.events] == [5]
