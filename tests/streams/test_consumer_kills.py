"""kill -9 of a worker between the effect of a consumer and its offset, and between an effect elsewhere and its record.

The first leaves exactly one effect. So does the second, as those see it to whom it went: a mail or a webhook may come
once more, under the same id and the same to the byte; of what is written elsewhere, one copy is kept and shown.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from taskforge.parts import work
from taskforge.settings import Settings
from tests.support.consuming import caught_up
from tests.support.dying_worker import CAUSED, COMMITTED, OUTSIDE
from tests.support.effect_stage import Stage, environment_of, staging
from tests.support.effects import EFFECTS, frequent, once_each
from tests.support.source import ROOT
from tests.support.waiting import until_answered
from tests.support.working import consumer_of, working

pytestmark = [pytest.mark.anyio, pytest.mark.proof, pytest.mark.timeout(300)]

CAUSES = 3
SECONDS = 90.0
WAKING = frozenset({"operations", "reports", "webhooks"})
"""Consumers that wake a part of the same process, which may be in the middle of something when that ends."""
KILLS = [(name, COMMITTED) for name in EFFECTS] + [(name, CAUSED) for name in OUTSIDE]
WOULD_HAVE_RUN_OUT = """
update inbox set claimed_until = now() where claimed_until is not null;
update operations set next_at = now() where ended_at is null;
"""
"""What a worker that died had claimed, as it is a minute later. Leases of webhooks are waited for."""


async def die(stage: Stage, name: str, point: str) -> None:
    """Run a worker that ends at the point, and see that it came there."""
    environment = {**os.environ, **environment_of(stage.settings), "PYTHONPATH": str(ROOT)}
    command = (sys.executable, "-m", "tests.support.dying_worker", name, point)
    process = await asyncio.create_subprocess_exec(*command, env=environment)
    try:
        code = await asyncio.wait_for(process.wait(), SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert code == -signal.SIGKILL


@pytest.mark.parametrize(("name", "point"), KILLS)
async def test_a_kill_leaves_one_effect_of_each_cause(
    settings: Settings,
    superuser: "asyncpg.Connection[Any]",
    tmp_path: Path,
    no_taskforge_environment: pytest.MonkeyPatch,
    name: str,
    point: str,
) -> None:
    no_taskforge_environment.setattr(work, "CONSUMERS", frequent())
    async with staging(settings, superuser, tmp_path) as stage:
        planted = await EFFECTS[name].plant(stage, CAUSES)
        await die(stage, name, point)
        await superuser.execute(WOULD_HAVE_RUN_OUT)
        async with working(stage.settings, "relay", name) as worker:
            await until_answered(planted.complete, SECONDS)
            await caught_up(stage.settings.kafka, f"taskforge.{name}", EFFECTS[name].topic, SECONDS)
            handled = consumer_of(worker, name)
            assert (handled.dead, handled.retried) == (0, 0)
            if point == COMMITTED or name not in WAKING:  # What was woken may be at work long after the offset.
                assert handled.applied + handled.passed > 0, "what was not committed comes again"
        cut_off = point == CAUSED or name in WAKING
        once_each(planted, await planted.seen(), copies=2 if cut_off else 1)
