"""A column that was left closing is looked at now and then, and goes on only when nobody else moves its tasks."""

import asyncio

import pytest

from actors.closing import ClosingWatch
from core.commands import CloseColumn, CreateColumn, DeleteColumn, MoveTask
from tests.support.core_team import OWNER, CoreTeam

pytestmark = pytest.mark.anyio


async def test_the_next_step_is_taken_once_nothing_has_moved_since_the_last_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("core.decide_columns.MOVED_AT_ONCE", 1)
    team, watch = CoreTeam(), ClosingWatch()
    assert watch.step(team.state, 0.0) is None
    assert watch.step(team.state, 0.0) is None, "nothing is closing"
    column = team.ask(CreateColumn(name="From", category="open"))[0].subject
    tasks = [team.task(f"t{n}", column_id=column) for n in range(4)]
    team.ask(DeleteColumn(column_id=column, move_to=team.state.firsts["done"].id))
    assert watch.step(team.state, 0.0) is None, "the first look"
    team.ask(MoveTask(task_id=tasks[3].id, status="done"))
    assert watch.step(team.state, 0.0) is None, "somebody moves its tasks"
    step = watch.step(team.state, 5.0)
    assert step is not None
    assert (step.command, step.ask.principal.kind, step.ask.principal.user_id) == (CloseColumn(column), "system", OWNER)
    assert step.deadline > 5.0
    step.reply.cancel()
    await asyncio.sleep(0)
    assert watch.step(team.state, 6.0) is None, "the step that was just asked for may be on its way"
