"""A reader who came while a team was catching up got 400 `ahead-of-history` for a seq that the journal had."""

import asyncio

import pytest

from tests.support.actor_harness import Ports, new_task, new_team

pytestmark = pytest.mark.anyio


async def test_a_viewer_who_comes_during_a_catch_up_is_caught_up_for() -> None:
    ports = Ports()
    async with ports.system() as here, ports.system() as there:
        team = await new_team(here)
        await there.view(team)
        await new_task(here, team)
        read, reading, go_on = ports.journal.read, asyncio.Event(), asyncio.Event()

        async def slowly(*arguments: object) -> object:
            rows = await read(*arguments)  # type: ignore[arg-type]
            reading.set()
            await go_on.wait()
            return rows

        ports.journal.read = slowly  # type: ignore[method-assign, assignment]
        early = asyncio.create_task(there.view(team, min_seq=4))
        await reading.wait()
        await new_task(here, team)
        late = asyncio.create_task(there.view(team, min_seq=5))
        await asyncio.sleep(0)
        go_on.set()
        assert (await early).seq >= 4
        assert (await late).seq == 5
