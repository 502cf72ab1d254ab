"""Batches that rest on what was read, by two processes on one journal."""

import asyncio
from uuid import UUID

import pytest
import uuid_utils.compat as uuids

from actors.system import TeamSystem
from core.commands import (
    ArchiveTask,
    Basis,
    Batch,
    CreateLabel,
    CreateTask,
    DeleteLabel,
    DeleteTask,
    UpdateTask,
)
from core.errors import InvalidReference, StaleRead
from core.task import TaskFields, TaskPatch
from tests.support.actor_harness import OWNER, Ports, keyed, new_task, new_team, retitle, stored
from tests.support.asking import by

pytestmark = pytest.mark.anyio

NEW = CreateTask(TaskFields(title="New"))


async def place(system: TeamSystem, team: UUID) -> int:
    return (await system.view(team)).seq


async def test_two_processes_write_only_what_rests_on_the_newest_state() -> None:
    ports = Ports()
    async with ports.system() as one, ports.system() as other:
        team = await new_team(one)
        first, second = await new_task(one, team, "on call"), await new_task(one, team, "on call")
        for turn in range(25):
            seq = (await other.view(team, min_seq=await place(one, team))).seq
            leave = [
                Batch((UpdateTask(task, TaskPatch(title=f"off {turn}")),), Basis(seq, 1, (first, second)))
                for task in (first, second)
            ]
            answers = await asyncio.gather(
                one.ask(team, leave[0], by(OWNER)), other.ask(team, leave[1], by(OWNER)), return_exceptions=True
            )
            assert sorted(type(answer).__name__ for answer in answers) == ["CommandResult", "StaleRead"]


async def test_what_was_deleted_before_the_team_came_into_memory_has_changed() -> None:
    ports = Ports()
    async with ports.system() as one:
        team = await new_team(one)
        task, archived = await new_task(one, team), await new_task(one, team)
        label = (await one.ask(team, CreateLabel("bug", "#ff0000"), by(OWNER))).events[0].event.subject
        seq = await place(one, team)
        await one.ask(team, DeleteTask(task), by(OWNER))
        await one.ask(team, DeleteLabel(label), by(OWNER))
        await one.ask(team, ArchiveTask(archived), by(OWNER))
        now = await place(one, team)
    ports.snapshots.states.clear()
    async with ports.system() as later:
        for subject in (task, label, archived):
            with pytest.raises(StaleRead) as stale:
                await later.ask(team, Batch((NEW,), Basis(seq, 1, (subject,))), by(OWNER))
            assert stale.value.changed == (subject,)
            await later.ask(team, Batch((NEW,), Basis(now, 1, (subject,))), by(OWNER))


async def test_an_id_of_nothing_is_refused_and_leaves_its_neighbours_alone() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        batch = Batch((NEW,), Basis(await place(system, team), 1, (uuids.uuid7(),)))
        refused, made = await asyncio.gather(
            system.ask(team, batch, by(OWNER)), system.ask(team, NEW, by(OWNER)), return_exceptions=True
        )
        assert isinstance(refused, InvalidReference)
        assert not isinstance(made, BaseException)


async def test_a_whole_team_names_what_the_next_events_were_about_also_in_a_preview() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        batch = Batch((NEW,), Basis(await place(system, team), 1, (), whole=True))
        task = await new_task(system, team)
        for asked in (system.ask(team, batch, by(OWNER)), system.preview(team, batch, by(OWNER))):
            with pytest.raises(StaleRead) as stale:
                await asked
            assert stale.value.changed == (task,)


async def test_a_batch_that_was_made_is_replayed_although_its_basis_is_gone() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        task = await new_task(system, team)
        ask, basis = keyed("k" * 16), Basis(await place(system, team), 1, (task,))
        batch = Batch((UpdateTask(task, TaskPatch(title="once")),), basis)
        first = await system.ask(team, batch, ask, stored)
        again = await system.ask(team, batch, ask, stored)
        assert again.replayed is not None
        assert again.replayed.seq == first.seq
        assert await place(system, team) == first.seq


async def test_a_task_that_an_earlier_command_of_the_turn_changed_stops_a_later_one() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        task, other = await new_task(system, team), await new_task(system, team)
        batch = Batch((UpdateTask(other, TaskPatch(title="x")),), Basis(await place(system, team), 1, (task,)))
        answers = await asyncio.gather(
            retitle(system, team, task, "first"), system.ask(team, batch, by(OWNER)), return_exceptions=True
        )
        assert isinstance(answers[1], StaleRead)
