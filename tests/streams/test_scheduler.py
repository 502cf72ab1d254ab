"""Schedules through Postgres: each firing once, however many schedulers, whenever one of them dies."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import anyio
import pytest

from core.rhythm import CatchUp, Rhythm, Span
from db import outbox, schedules
from db.ids import NO_ID
from db.pool import Pools
from db.schedules import Mark
from db.transaction import Writing, reading, writing
from streams.scheduler.scheduler import Scheduler
from streams.scheduler.schedules import Schedule
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


class Counted:
    """A schedule whose effect is an outbox row per minute of the span, in slices of `slice_size`."""

    def __init__(self, name: str = "counted", slice_size: int = 1_000) -> None:
        self.name, self.slice_size = name, slice_size
        self.spans = list[Span]()
        self.before_commit: Callable[[], Awaitable[None]] | None = None

    async def fire(self, tx: Writing, span: Span) -> bool:
        self.spans.append(span)
        minutes = [span.after + MINUTE * (number + 1) for number in range((span.until - span.after) // MINUTE)]
        wanted = [Mark(uuid5(NO_ID, f"{minute}"), f"{minute:%H:%M}") for minute in minutes]
        fresh = sorted(await schedules.mark(tx, self.name, wanted), key=lambda mark: mark.occurrence)
        for left_out in fresh[self.slice_size :]:
            await tx.execute("delete from schedule_marks where subject_id = $1", left_out.subject)
        await outbox.put_all(tx, outbox.JOBS, "counted", [mark.subject for mark in fresh[: self.slice_size]])
        if self.before_commit is not None:
            await self.before_commit()
        return len(fresh) <= self.slice_size

    def schedule(self, catch_up: CatchUp = "once") -> Schedule:
        return Schedule(self.name, Rhythm(every=MINUTE, catch_up=catch_up), self.fire)


async def caused(pools: Pools) -> list[UUID]:
    async with reading(pools.worker, None) as tx:
        return [UUID(row["key"]) for row in await tx.fetch("select key from outbox order by position")]


async def fired_until(pools: Pools, name: str = "counted") -> datetime | None:
    async with reading(pools.worker, None) as tx:
        return await schedules.fired_until(tx, name)


async def test_a_new_schedule_begins_now_and_fires_at_its_first_step(pools: Pools) -> None:
    clock, counted = Clock(), Counted()
    scheduler = Scheduler(pools.worker, [counted.schedule()], now=clock)
    assert await scheduler.round() == 0
    clock.now = START + MINUTE
    assert await scheduler.round() == 1
    assert await scheduler.round() == 0
    assert counted.spans == [Span(START, START + MINUTE)]
    assert len(await caused(pools)) == 1
    assert scheduler.statistics().firings == {"counted": 1}


@pytest.mark.parametrize(("catch_up", "firings", "effects"), [("once", 1, 5), ("each", 5, 5), ("skip", 1, 1)])
async def test_a_restart_makes_up_for_what_was_missed_by_the_rule(
    pools: Pools, catch_up: CatchUp, firings: int, effects: int
) -> None:
    clock, counted = Clock(), Counted()
    await Scheduler(pools.worker, [counted.schedule(catch_up)], now=clock).round()
    clock.now = START + 5 * MINUTE
    assert await Scheduler(pools.worker, [counted.schedule(catch_up)], now=clock).round() == firings
    assert len(await caused(pools)) == effects
    assert await fired_until(pools) == clock.now


async def test_a_span_that_is_too_much_at_once_is_done_in_slices(pools: Pools) -> None:
    clock, counted = Clock(), Counted(slice_size=2)
    scheduler = Scheduler(pools.worker, [counted.schedule()], now=clock)
    await scheduler.round()
    clock.now = START + 5 * MINUTE
    assert await scheduler.round() == 3
    assert len(set(counted.spans)) == 1
    assert len(set(await caused(pools))) == len(await caused(pools)) == 5


async def test_one_that_dies_before_its_commit_has_done_nothing_and_another_does_it(pools: Pools) -> None:
    clock, counted = Clock(), Counted()
    scheduler = Scheduler(pools.worker, [counted.schedule()], now=clock)
    await scheduler.round()
    clock.now = START + MINUTE

    async with anyio.create_task_group() as group:

        async def die() -> None:
            group.cancel_scope.cancel()
            await anyio.sleep_forever()

        counted.before_commit = die
        group.start_soon(scheduler.round)
    assert await caused(pools) == []
    assert await fired_until(pools) == START
    counted.before_commit = None
    assert await Scheduler(pools.worker, [counted.schedule()], now=clock).round() == 1
    assert len(await caused(pools)) == 1


async def test_schedulers_that_all_believe_they_lead_cause_each_effect_once(pools: Pools) -> None:
    clock = Clock()
    everybody = [Counted() for _ in range(4)]
    schedulers = [Scheduler(pools.worker, [one.schedule("each")], now=clock) for one in everybody]
    await schedulers[0].round()
    for _ in range(15):
        clock.now += 2 * MINUTE
        async with anyio.create_task_group() as group:
            for scheduler in schedulers:
                group.start_soon(scheduler.round)
    await schedulers[0].round()
    effects = await caused(pools)
    assert len(effects) == len(set(effects)) == 30
    assert sum(len(one.spans) for one in everybody) == 30


async def test_what_one_schedule_raises_delays_no_other_and_loses_nothing(
    pools: Pools, caplog: pytest.LogCaptureFixture
) -> None:
    clock, broken, sound = Clock(), Counted("broken"), Counted("sound")

    async def fail() -> None:
        raise ZeroDivisionError

    def scheduler() -> Scheduler:
        return Scheduler(pools.worker, [broken.schedule(), sound.schedule()], now=clock)

    await scheduler().round()
    clock.now = START + MINUTE
    broken.before_commit = fail
    failing = scheduler()
    assert await failing.round() == 1
    assert await failing.round() == 0
    assert len(broken.spans) == 1, "it rests instead of failing again at once"
    assert failing.statistics().failures == {"broken": 1, "sound": 0}
    assert "the schedule broken failed" in caplog.text
    assert (await fired_until(pools, "broken"), await fired_until(pools, "sound")) == (START, clock.now)
    broken.before_commit = None
    assert await scheduler().round() == 1
    assert await fired_until(pools, "broken") == clock.now


async def test_a_mark_is_made_once_and_forgotten_when_it_is_old(pools: Pools) -> None:
    marks = [Mark(uuid5(NO_ID, str(number)), "2026-03-01") for number in range(3)]
    async with writing(pools.worker) as tx:
        assert await schedules.mark(tx, "digest", marks[:2]) == sorted(marks[:2])
        assert await schedules.mark(tx, "digest", marks) == [marks[2]]
        assert await schedules.mark(tx, "another", marks[:1]) == marks[:1]
    assert await schedules.forget_marks(pools.worker) == 0


async def test_one_of_two_leads_and_the_other_takes_over_when_it_stops(pools: Pools) -> None:
    clock = Clock()
    one, other = (Scheduler(pools.worker, [Counted().schedule()], now=clock) for _ in range(2))

    def leads(scheduler: Scheduler) -> bool:
        return scheduler.statistics().leads

    async with anyio.create_task_group() as group:
        for scheduler in (one, other):
            await group.start(scheduler.run)
        await until(lambda: one.ready and other.ready)
        assert leads(one) != leads(other)
        leader, follower = (one, other) if leads(one) else (other, one)
        leader.stop()
        await until(lambda: leads(follower))
        assert not leads(leader)
        follower.stop()


async def test_a_firing_has_its_statements_planned_for_what_they_are_given(pools: Pools) -> None:
    """With thousands of hours in a list, the plan that Postgres keeps for any list took 14 s instead of 40 ms."""
    clock, modes = Clock(), list[str]()

    async def fire(tx: Writing, span: Span) -> bool:
        modes.append(await tx.fetchval("select current_setting('plan_cache_mode')"))
        return True

    scheduler = Scheduler(pools.worker, [Schedule("planned", Rhythm(every=MINUTE), fire)], now=clock)
    await scheduler.round()
    clock.now = START + MINUTE
    await scheduler.round()
    assert modes == ["force_custom_plan"]
