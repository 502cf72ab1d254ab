"""The operations kit: every step once, whatever dies in between, back in reverse order when a step is given up."""

import logging
from uuid import UUID

import anyio
import asyncpg
import pytest
import uuid_utils.compat as uuids

from db.operations import StepState, find
from db.pool import Pools
from db.transaction import Writing, reading, writing
from streams.operations import machine
from streams.operations.kinds import Context, Kind, Plan, Refused, Step, nothing_to_undo
from streams.operations.runner import OperationRunner
from tests.support.sagas import TRIP, Killed, Trip
from tests.support.waiting import until, until_answered

pytestmark = pytest.mark.anyio

ONCE = dict.fromkeys(TRIP.steps, 1)
POINTS = ("claimed", "begin", "effect", "committed")
KILLS = [f"{step}.{point}" for step in TRIP.steps for point in POINTS] + ["hotel.outside", "mail.outside"]


@pytest.fixture
async def trip(superuser: "asyncpg.Connection", pools: Pools) -> Trip:
    return await Trip.open(superuser, pools)


def states(operation: object) -> dict[str, str]:
    return {state.name: state.status for state in operation.steps}  # type: ignore[attr-defined]


async def killed(trip: Trip) -> None:
    """Have a runner move what there is until it dies."""
    runner = trip.runner()

    async def dead() -> bool:
        died = False
        try:
            await runner.move()
        except* Killed:
            died = True
        return died

    await until_answered(dead)


async def test_an_operation_goes_through_its_steps_and_ends_with_its_result(trip: Trip) -> None:
    operation_id = await trip.start(to="Oslo")
    waiting = await trip.now(operation_id)
    assert (waiting.status, waiting.progress, waiting.steps[0]) == ("waiting", 0.0, StepState("flight"))
    ended = await trip.ended(operation_id, trip.runner())
    assert (ended.status, ended.progress, ended.result) == ("succeeded", 1.0, {"seat": "7A"})
    assert states(ended) == dict.fromkeys(TRIP.steps, "done")
    assert ended.data == {"to": "Oslo", **ONCE}
    assert await trip.effects(operation_id) == ONCE
    assert [round(heard.progress, 2) for heard in trip.heard] == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("point", KILLS)
async def test_killed_at_any_point_each_effect_happens_once(trip: Trip, point: str) -> None:
    trip.at[point] = Killed
    operation_id = await trip.start()
    await killed(trip)
    ended = await trip.ended(operation_id, trip.runner())
    assert ended.status == "succeeded"
    assert await trip.effects(operation_id) == ONCE
    assert trip.outside["hotel"] <= 2
    assert trip.outside["mail"] <= 2


@pytest.mark.parametrize("point", ["flight.undo", "hotel.undo", "hotel.undo_outside", "flight.claimed"])
async def test_killed_while_it_goes_back_it_still_goes_back_once(trip: Trip, point: str) -> None:
    trip.at |= {"pay.effect": lambda: Refused("no funds"), point: Killed}
    operation_id = await trip.start()
    await killed(trip)
    ended = await trip.ended(operation_id, trip.runner())
    assert (ended.status, ended.error, ended.result) == ("failed", "no funds", None)
    assert await trip.effects(operation_id) == {"flight": 1, "hotel": 1, "-hotel": 1, "-flight": 1}


async def test_what_a_refused_step_may_have_done_is_taken_back_first_and_in_reverse(trip: Trip) -> None:
    trip.at["hotel.effect"] = lambda: Refused("no room")
    operation_id = await trip.start()
    ended = await trip.ended(operation_id, trip.runner())
    assert (ended.status, ended.error) == ("failed", "no room")
    assert states(ended) == {"flight": "undone", "hotel": "undone", "pay": "waiting", "mail": "waiting"}
    rows = await trip.superuser.fetch("select effect from effects")
    assert [row["effect"] for row in rows] == ["flight", "-hotel", "-flight"]
    assert trip.outside["-hotel"] == 1
    assert "compensating" in {heard.status for heard in trip.heard}


async def test_a_failure_is_tried_again_before_anything_is_taken_back(trip: Trip) -> None:
    trip.at["hotel.effect"] = lambda: ValueError("a bad moment")
    operation_id = await trip.start()
    ended = await trip.ended(operation_id, trip.runner())
    assert (ended.status, ended.data["hotel"]) == ("succeeded", 2)
    assert await trip.effects(operation_id) == ONCE


async def test_a_step_that_always_fails_is_given_up_and_says_nothing_of_the_inside(trip: Trip) -> None:
    operation_id = await trip.start()
    for _ in range(trip.kind.attempts):
        trip.at["flight.effect"] = lambda: ValueError("secret detail")
        await trip.superuser.execute("update operations set next_at = now()")
        await trip.runner().move()
    ended = await trip.ended(operation_id, trip.runner())
    assert (ended.status, ended.error) == ("failed", machine.INTERNAL)


async def test_a_step_that_kills_every_process_is_given_up(trip: Trip) -> None:
    operation_id = await trip.start()
    for _ in range(trip.kind.attempts):
        trip.at["flight.effect"] = Killed
        await trip.superuser.execute("update operations set next_at = now()")
        with pytest.raises(Killed):
            await trip.runner().move()
    await trip.superuser.execute("update operations set next_at = now()")
    ended = await trip.ended(operation_id, trip.runner())
    assert (ended.status, await trip.effects(operation_id)) == ("failed", {"-flight": 1})
    assert [heard.status for heard in trip.heard] == ["compensating", "failed"]


async def test_after_the_pivot_a_step_is_tried_for_ever_and_gets_stuck_until_it_works(
    trip: Trip, caplog: pytest.LogCaptureFixture
) -> None:
    operation_id = await trip.start()
    runner = trip.runner()
    for _ in range(3):
        assert await runner.move()
    for _ in range(machine.STUCK_ATTEMPTS):
        trip.at["mail.effect"] = lambda: Refused("not even this takes it back")
        await trip.superuser.execute("update operations set next_at = now()")
        assert await runner.move()
    assert (await trip.now(operation_id)).status == "stuck"
    assert [record.levelno for record in caplog.records if "is stuck" in record.message] == [logging.ERROR]
    await trip.superuser.execute("update operations set next_at = now()")
    ended = await trip.ended(operation_id, runner)
    assert (ended.status, await trip.effects(operation_id)) == ("succeeded", ONCE)


async def test_what_cannot_be_taken_back_now_is_not_dropped(trip: Trip) -> None:
    trip.at["pay.effect"] = lambda: Refused("no funds")
    operation_id = await trip.start()
    runner = trip.runner()
    for _ in range(3):
        assert await runner.move()
    for _ in range(machine.STUCK_ATTEMPTS + 2):
        trip.at["hotel.undo"] = lambda: ValueError("the hotel does not answer")
        await trip.superuser.execute("update operations set next_at = now()")
        assert await runner.move()
    assert (await trip.now(operation_id)).status == "stuck"
    await trip.superuser.execute("update operations set next_at = now()")
    assert (await trip.ended(operation_id, runner)).status == "failed"
    assert await trip.effects(operation_id) == {"flight": 1, "hotel": 1, "-hotel": 1, "-flight": 1}


async def test_two_recoverers_at_once_do_nothing_twice(trip: Trip) -> None:
    started = [await trip.start() for _ in range(25)]
    runners = [trip.runner(), trip.runner()]

    async def all_ended() -> bool:
        return await trip.superuser.fetchval("select count(*) = 25 from operations where status = 'succeeded'")

    async with anyio.create_task_group() as group:
        for runner in runners:
            await group.start(runner.run)
        await until_answered(all_ended)
        for runner in runners:
            runner.stop()
    for operation_id in started:
        assert await trip.effects(operation_id) == ONCE
    assert sum(runner.statistics().steps for runner in runners) == 25 * len(TRIP.steps)
    assert sum(runner.statistics().ended for runner in runners) == 25


async def test_whoever_is_slower_than_its_lease_writes_nothing(trip: Trip) -> None:
    """The row is taken over while the first one is still at it; the first one's effect is rolled back."""
    operation_id = await trip.start()
    go_on, slow = anyio.Event(), anyio.Event()

    class Slow(OperationRunner):
        async def _do(self, operation, task):  # type: ignore[no-untyped-def]
            slow.set()
            await go_on.wait()
            return await super()._do(operation, task)

    late = Slow(trip.pools.worker, [trip.kind], trip.notify, lease_seconds=0.1)
    async with anyio.create_task_group() as group:
        group.start_soon(late.move)
        await slow.wait()
        assert (await trip.ended(operation_id, trip.runner())).status == "succeeded"
        go_on.set()
    assert late.statistics().lost == 1
    assert await trip.effects(operation_id) == ONCE


async def test_long_work_outside_keeps_its_lease_and_shows_how_far_it_is(trip: Trip) -> None:
    done = anyio.Event()
    times = 0

    async def long(context: Context) -> str:
        nonlocal times
        times += 1
        context.report(0.5)
        await done.wait()
        return "all of it"

    async def record(context: Context, _: Writing) -> dict[str, str]:
        return {"outcome": context.outcome}

    plan = Plan("long", ("only",))
    kind = Kind(plan, (Step(name="only", role="pivot", outside=long, effect=record),))
    runners = [OperationRunner(trip.pools.worker, [kind], trip.notify, lease_seconds=0.4) for _ in range(2)]
    async with writing(trip.pools.api, trip.user_id) as tx:
        operation_id = (await plan.start(tx, trip.user_id)).id
    async with anyio.create_task_group() as group:
        for runner in runners:
            await group.start(runner.run)
        await until(lambda: len([heard for heard in trip.heard if heard.progress == 0.5]) >= 8)  # Twice its lease.
        done.set()

        async def ended() -> bool:
            return (await trip.now(operation_id)).ended_at is not None

        await until_answered(ended)
        for runner in runners:
            runner.stop()
    assert ((await trip.now(operation_id)).data, times) == ({"outcome": "all of it"}, 1)


async def test_a_stopped_runner_leaves_its_step_to_the_next_one_at_once(trip: Trip) -> None:
    begun, never = anyio.Event(), anyio.Event()

    async def hang(_: Context) -> None:
        begun.set()
        await never.wait()

    plan = Plan("hangs", ("only",))
    kind = Kind(plan, (Step(name="only", role="pivot", outside=hang),))
    runner = OperationRunner(trip.pools.worker, [kind], trip.notify, lease_seconds=600.0)
    async with writing(trip.pools.api, trip.user_id) as tx:
        operation_id = (await plan.start(tx, trip.user_id)).id
    async with anyio.create_task_group() as group:
        group.start_soon(runner.move)
        await begun.wait()
        group.cancel_scope.cancel()
    kind = Kind(plan, (Step(name="only", role="pivot"),))
    heir = OperationRunner(trip.pools.worker, [kind], trip.notify)
    assert (await trip.ended(operation_id, heir)).status == "succeeded"


async def test_operations_of_a_kind_or_with_a_step_nobody_knows_wait_for_a_newer_program(trip: Trip) -> None:
    operation_id = await trip.start()
    other = Kind(Plan("other", ("only",)), (Step(name="only", role="pivot"),))
    assert not await OperationRunner(trip.pools.worker, [other], trip.notify).move()
    renamed = Kind(Plan("trip", ("only",)), (Step(name="only", role="pivot"),))
    assert await OperationRunner(trip.pools.worker, [renamed], trip.notify, lease_seconds=0.0).move()
    assert (await trip.now(operation_id)).status == "waiting"
    assert (await trip.ended(operation_id, trip.runner())).status == "succeeded"


async def test_an_operation_is_its_users_alone(trip: Trip) -> None:
    operation_id = await trip.start()
    stranger: UUID = uuids.uuid7()
    async with reading(trip.pools.api, stranger) as tx:
        assert await find(tx, stranger, operation_id) is None
        assert await find(tx, trip.user_id, operation_id) is None
        assert await tx.fetchval("select count(*) from operations") == 0


@pytest.mark.parametrize(
    "steps",
    [
        (Step(name="b", role="pivot"), Step(name="a", undo=nothing_to_undo)),
        (Step(name="a"), Step(name="b", role="pivot")),
        (Step(name="a", role="pivot"), Step(name="b", role="pivot")),
        (Step(name="a", role="pivot"), Step(name="b", undo=nothing_to_undo)),
        (Step(name="a", undo=nothing_to_undo), Step(name="b", role="retry")),
        (Step(name="a", role="pivot", undo=nothing_to_undo), Step(name="b", role="retry")),
    ],
    ids=["other names", "no undo", "two pivots", "undo after the pivot", "no pivot", "pivot undone"],
)
def test_a_kind_that_could_not_be_taken_back_is_no_kind(steps: tuple[Step, ...]) -> None:
    with pytest.raises(ValueError, match="saga"):
        Kind(Plan("saga", ("a", "b")), steps)
