"""Parts start in order and stop in the opposite one, within a bounded time, however the block ends."""

import asyncio
import time

import anyio
import pytest
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus
from msgspec import Struct

from taskforge.parts import draining
from taskforge.parts.background import Background, Nothing, at_once
from taskforge.parts.draining import started
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


class Recorded:
    """A part that writes down what happens to it. `stubborn`: it does not stop when it is told to."""

    ready = True

    def __init__(self, name: str, said: list[str], *, stubborn: bool = False, slow: int = 0) -> None:
        self.name, self.said, self.stubborn, self.slow = name, said, stubborn, slow
        self.stopping = anyio.Event()

    def statistics(self) -> Struct:
        return Nothing()

    def stop(self) -> None:
        self.said.append(f"stop {self.name}")
        if not self.stubborn:
            self.stopping.set()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        self.said.append(f"start {self.name}")
        task_status.started()
        try:
            await self.stopping.wait()
            for _ in range(self.slow):
                await asyncio.sleep(0)
            self.said.append(f"end {self.name}")
        except anyio.get_cancelled_exc_class():
            self.said.append(f"cut {self.name}")
            raise


IN_ORDER = [
    *("start base", "start middle", "start one", "start two"),
    *("stop one", "stop two", "end two", "end one", "stop middle", "end middle", "stop base", "end base"),
]


def tiers(said: list[str]) -> list[list[Recorded]]:
    return [
        [Recorded("base", said)],
        [Recorded("middle", said)],
        [Recorded("one", said, slow=20), Recorded("two", said)],
    ]


async def test_each_tier_has_ended_before_what_it_stands_on_is_stopped() -> None:
    said: list[str] = []
    async with started(tiers(said)):
        assert said == IN_ORDER[:4]
    assert said == IN_ORDER


@pytest.mark.parametrize("grouped", [False, True])
async def test_a_block_that_fails_stops_the_parts_in_order_and_its_error_comes_out_as_itself(grouped: bool) -> None:
    """Also from a task group of asyncio, which leaves its task marked as being cancelled: that once hid the failure."""
    said: list[str] = []

    async def fail() -> None:
        await asyncio.sleep(0)
        raise LookupError("the real one")

    with pytest.RaisesGroup(LookupError) if grouped else pytest.raises(LookupError, match="the real one"):
        async with started(tiers(said)):
            if not grouped:
                await fail()
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.Event().wait())
                group.create_task(fail())
    assert said == IN_ORDER


@pytest.mark.parametrize("how", ["scope", "task"])
async def test_a_cancelled_block_still_lets_the_parts_stop_in_order(how: str) -> None:
    said: list[str] = []

    async def live() -> None:
        async with started(tiers(said)):
            await asyncio.Event().wait()

    if how == "task":
        task = asyncio.ensure_future(live())
        await until(lambda: said == IN_ORDER[:4])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    else:
        async with anyio.create_task_group() as group:
            group.start_soon(live)
            await until(lambda: said == IN_ORDER[:4])
            group.cancel_scope.cancel()
    assert said == IN_ORDER


async def test_what_does_not_stop_in_time_is_cut_off_and_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(draining, "PARTS_SECONDS", 0.1)
    said: list[str] = []
    began = time.monotonic()
    async with started([[Recorded("base", said)], [Recorded("stuck", said, stubborn=True)]]):
        pass
    assert time.monotonic() - began < 5
    assert said[-3:-2] == ["stop stuck"]
    assert sorted(said[-2:]) == ["cut base", "cut stuck"]
    assert "stuck" in caplog.text


async def test_to_cancel_while_the_parts_stop_ends_them_at_once() -> None:
    said: list[str] = []
    async with anyio.create_task_group() as group:

        async def live() -> None:
            async with started([[Recorded("stuck", said, stubborn=True)]]):
                pass

        group.start_soon(live)
        await until(lambda: "stop stuck" in said)
        group.cancel_scope.cancel()
    assert said == ["start stuck", "stop stuck", "cut stuck"]


async def test_a_part_that_breaks_ends_the_process_and_the_others_still_stop_in_order() -> None:
    said: list[str] = []

    async def break_down() -> None:
        await until(lambda: len(said) == 4)
        raise ArithmeticError("broken")

    broken = Background("broken", at_once(break_down))
    with pytest.RaisesGroup(ArithmeticError, flatten_subgroups=True):
        async with started([*tiers(said), [broken]]):
            await asyncio.Event().wait()
    assert said == IN_ORDER


async def test_a_part_that_cannot_start_stops_those_before_it() -> None:
    said: list[str] = []

    async def refuse(*, task_status: TaskStatus[None]) -> None:
        raise OSError("the port is taken")

    with pytest.RaisesGroup(pytest.RaisesExc(OSError, match="the port is taken")):
        async with started([*tiers(said), [Background("late", refuse)]]):
            pytest.fail("the block must not run")
    assert said == IN_ORDER


async def test_background_work_may_finish_before_it_is_cancelled() -> None:
    said: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            said.append("cancelled")

    async def finish() -> None:
        said.append("finished")

    part = Background("work", at_once(work), ready=lambda: bool(said), finish=finish)
    assert not part.ready
    async with started([[part]]):
        assert said == []
    assert said == ["finished", "cancelled"]
    assert part.ready


class Late(Recorded):
    """Has `scope` cancelled while it starts, before or after it says that it has started, and ends when it is let."""

    def __init__(self, said: list[str], scope: anyio.CancelScope, *, tell: bool) -> None:
        super().__init__("late", said)
        self.scope, self.tell, self.let = scope, tell, asyncio.Event()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        self.scope.cancel()
        if self.tell:
            task_status.started()
        await self.let.wait()


@pytest.mark.parametrize("tell", [True, False], ids=["as-it-starts", "before-it-has-started"])
async def test_who_is_cancelled_while_a_part_starts_stops_those_before_it_and_ends(tell: bool) -> None:
    """A worker whose supervisor was killed is told so twice, and once waited for ever for the part in between."""
    said: list[str] = []
    scope = anyio.CancelScope()
    late = Late(said, scope, tell=tell)

    async def block() -> None:
        with scope:
            async with started([*tiers(said), [late]]):
                pytest.fail("the block must not run")

    task = asyncio.ensure_future(block())
    ended, _ = await asyncio.wait([task], timeout=5)
    late.let.set()
    await task
    assert ended
    assert [word for word in said if "late" not in word] == IN_ORDER
