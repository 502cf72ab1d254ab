"""Who hears that a task is due soon or overdue: when, how often, and who does not."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from db.notices.notify import Collecting
from db.people.mornings import move_morning
from db.pool import Pools
from db.transaction import reading, writing
from streams.scheduler import due as module
from streams.scheduler.due import due
from streams.scheduler.scheduler import Scheduler
from tests.support.town import Town

pytestmark = pytest.mark.anyio

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SOON, LATE = "task.due_soon", "task.overdue"


class Days:
    """A town, a clock, and schedulers that come and go."""

    def __init__(self, pools: Pools, superuser: "asyncpg.Connection[Any]") -> None:
        self.pools, self.town, self.now = pools, Town(superuser), START

    def scheduler(self) -> Scheduler:
        return Scheduler(self.pools.worker, [due(Collecting())], now=lambda: self.now)

    async def pass_to(self, moment: datetime, step: timedelta = HOUR) -> None:
        """Let time pass under two schedulers that both believe they lead."""
        one, other = self.scheduler(), self.scheduler()
        while self.now < moment:
            self.now = min(moment, self.now + step)
            await one.round()
            await other.round()

    async def told(self, user_id: UUID) -> list[tuple[str, datetime]]:
        async with reading(self.pools.worker, None) as tx:
            rows = await tx.fetch("select kind, created_at from notifications where user_id = $1 order by id", user_id)
        return [(row["kind"], row["created_at"]) for row in rows]


@pytest.fixture
async def days(pools: Pools, superuser: "asyncpg.Connection[Any]") -> Days:
    made = Days(pools, superuser)
    await made.scheduler().round()
    return made


async def test_an_instant_is_told_of_a_day_before_and_when_it_has_passed(days: Days) -> None:
    ann = await days.town.user("Ann", "Asia/Tokyo")
    team = await days.town.team(ann)
    at = START + 2 * DAY
    await days.town.task(team, ann, due_at=at)
    await days.pass_to(at - DAY - MINUTE)
    assert await days.told(ann) == []
    await days.pass_to(START + 5 * DAY)
    assert await days.told(ann) == [(SOON, at - DAY), (LATE, at)]


async def test_a_date_is_told_of_on_the_readers_morning_before_and_after_its_end_in_the_teams_zone(days: Days) -> None:
    ann, ben = await days.town.user("Ann", "America/New_York"), await days.town.user("Ben", "Asia/Tokyo")
    team = await days.town.team(ann, ben, zone="Europe/Berlin")
    await days.town.run("update users set digest_hour = 6 where id = $1", ben)
    for who in (ann, ben):
        await days.town.task(team, who, due_on=date(2026, 3, 5))
    await days.pass_to(START + 5 * DAY)
    over = datetime(2026, 3, 5, 23, tzinfo=UTC)
    assert await days.told(ann) == [(SOON, datetime(2026, 3, 4, 12, tzinfo=UTC)), (LATE, over)]
    assert await days.told(ben) == [(SOON, datetime(2026, 3, 3, 21, tzinfo=UTC)), (LATE, over)]


async def test_a_due_date_is_told_of_once_and_one_that_moves_counts_anew(days: Days) -> None:
    ann = await days.town.user("Ann")
    team = await days.town.team(ann)
    first, second = START + 2 * DAY, START + 4 * DAY
    task = await days.town.task(team, ann, due_at=first)
    await days.pass_to(first - HOUR)
    await days.town.run("update tasks set due_at = $2 where id = $1", task, second)
    await days.pass_to(second - 2 * HOUR)
    await days.town.run("update tasks set due_at = $2 where id = $1", task, second + DAY)
    await days.town.run("update tasks set due_at = $2 where id = $1", task, second)
    await days.pass_to(second + 2 * DAY)
    assert await days.told(ann) == [(SOON, first - DAY), (SOON, second - DAY), (LATE, second)]


async def test_nobody_hears_of_what_is_done_put_away_unassigned_or_in_a_team_they_left(days: Days) -> None:
    ann, ben = await days.town.user("Ann"), await days.town.user("Ben")
    team = await days.town.team(ann, ben)
    at = START + 2 * DAY
    await days.town.task(team, ann, due_at=at, status="done")
    await days.town.task(team, ann, due_at=at, status="cancelled")
    await days.town.task(team, ann, due_on=date(2026, 3, 4), archived=True)
    await days.town.task(team, None, due_at=at)
    await days.town.task(team, ben, due_at=at)
    await days.town.run("delete from memberships where user_id = $1", ben)
    await days.pass_to(at + DAY)
    assert await days.told(ann) == await days.told(ben) == []


async def test_a_scheduler_that_was_away_says_what_is_overdue_and_not_that_it_will_be(days: Days) -> None:
    ann = await days.town.user("Ann")
    team = await days.town.team(ann)
    await days.town.task(team, ann, due_at=START + 30 * HOUR)
    await days.pass_to(START + 40 * HOUR, step=40 * HOUR)
    assert await days.told(ann) == [(LATE, START + 30 * HOUR)]
    await days.town.task(team, ann, due_at=START + 50 * HOUR)
    await days.pass_to(START + 10 * DAY, step=9 * DAY)
    assert len(await days.told(ann)) == 1, "what lapsed long ago is in the digest"


async def test_who_moves_their_morning_hears_once_of_what_is_due_tomorrow(days: Days) -> None:
    """At noon from six in the evening to seven in the morning, and the other way round."""
    early, late = await days.town.user("Early", hour=18), await days.town.user("Late", hour=7)
    team = await days.town.team(early, late)
    for who in (early, late):
        await days.town.task(team, who, due_on=date(2026, 3, 4))
    await days.pass_to(START + DAY)
    for who, hour in ((early, 7), (late, 18)):
        async with writing(days.pools.api, who) as tx:
            await move_morning(tx, who, digest_hour=hour)
    await days.pass_to(START + 2 * DAY - HOUR)
    morning = datetime(2026, 3, 3, 7, tzinfo=UTC)
    assert await days.told(early) == await days.told(late) == [(SOON, morning)]
    async with reading(days.pools.worker, None) as tx:
        assert await tx.fetchval("select count(*) from moved_mornings where schedule = 'due'") == 0


async def test_many_at_once_are_told_in_slices_each_once(days: Days, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLICE", 4)
    ann = await days.town.user("Ann")
    team = await days.town.team(ann)
    for number in range(13):
        await days.town.task(team, ann, due_at=START + 2 * DAY + number * MINUTE)
    await days.pass_to(START + 3 * DAY, step=6 * HOUR)
    told = await days.told(ann)
    assert [kind for kind, _ in told].count(SOON) == 13
    assert [kind for kind, _ in told].count(LATE) == 13
