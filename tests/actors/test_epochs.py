"""A team whose history was rewritten: its actor starts over, and nobody else notices."""

import asyncio
from uuid import UUID

import pytest
from msgspec import structs

from core.commands import UpdateTask
from core.errors import NotFound
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
