"""The digest of the morning: whom it reaches, when, how often, and what it says."""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import anyio
import asyncpg
import pytest

from core.calendar import day_of
from core.secret import Secret
from db.keyset import Keyset
from db.notices.notify import Collecting
from db.people.mail_preferences import UnsubscribeTokens, choose_mails_in
from db.people.mornings import FOLLOWERS, move_morning
from db.pool import Pools
from db.transaction import reading, writing
from streams.consumers.mail import mail
from streams.mail.delivery import Mailbox
from streams.mail.letters import Letters, MailJob
from streams.mail.messages import compose
from streams.mail.senders import sender_address
from streams.scheduler.digest import digest
from streams.scheduler.due import due
from streams.scheduler.scheduler import Scheduler
from tests.support.clocks import DAY, first_showing, pieces
from tests.support.proofs import share
from tests.support.town import Town

pytestmark = pytest.mark.anyio

KEYSET = Keyset([Secret("0123456789abcdef0123456789abcdef")])
SENDER = sender_address("TaskForge <hello@tasks.example>")
LETTERS = Letters(KEYSET, "https://tasks.example")
LONG_AGO = date(2020, 1, 1)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
FEBRUARY = datetime(2026, 2, 2, tzinfo=UTC)


class Mornings:
    """A town, a clock, and schedulers that come and go."""

    def __init__(self, pools: Pools, superuser: "asyncpg.Connection[Any]") -> None:
        self.pools, self.town, self.now = pools, Town(superuser), FEBRUARY

    def scheduler(self) -> Scheduler:
        return Scheduler(self.pools.worker, [digest()], now=lambda: self.now)

    async def move(self, user: UUID, *, zone: str | None = None, hour: int | None = None) -> None:
        """The user chooses another zone, or another hour."""
        async with writing(self.pools.api, user) as tx:
            await move_morning(tx, user, time_zone=zone, digest_hour=hour)

    async def pass_to(self, moment: datetime, step: timedelta = 20 * MINUTE) -> None:
        """Let time pass under one scheduler."""
        scheduler = self.scheduler()
        while self.now < moment:
            self.now = min(moment, self.now + step)
            await scheduler.round()

    async def asked(self) -> list[UUID]:
        """Whose digests were asked for, in order."""
        async with reading(self.pools.worker, None) as tx:
            rows = await tx.fetch("select key, payload::jsonb ->> 'purpose' as purpose from outbox order by position")
        assert {row["purpose"] for row in rows} <= {"digest"}
        return [UUID(row["key"]) for row in rows]

    async def moved(self) -> int:
        """How many moves no schedule of digests has looked at."""
        async with reading(self.pools.worker, None) as tx:
            return int(await tx.fetchval("select count(*) from moved_mornings where schedule = 'digest'"))


@pytest.fixture
async def mornings(pools: Pools, superuser: "asyncpg.Connection[Any]") -> Mornings:
    made = Mornings(pools, superuser)
    await made.scheduler().round()
    return made


async def test_everybody_is_asked_for_at_seven_by_their_own_clock(mornings: Mornings) -> None:
    town = mornings.town
    zones = ["Asia/Tokyo", "Europe/Berlin", "America/New_York"]
    users = [await town.user(zone, zone) for zone in zones]
    team = await town.team(*users)
    for user in users:
        await town.task(team, user, due_on=LONG_AGO)
    # It is midnight in London: seven is at 22:00, 06:00 and 12:00 of UTC.
    expected = [(6, users[1]), (12, users[2]), (22, users[0])]
    for number, (hour, _) in enumerate(expected):
        await mornings.pass_to(FEBRUARY + hour * HOUR - MINUTE)
        assert await mornings.asked() == [user for _, user in expected[:number]]
        await mornings.pass_to(FEBRUARY + hour * HOUR)
        assert await mornings.asked() == [user for _, user in expected[: number + 1]]


async def test_each_user_is_asked_for_at_the_hour_that_they_have_chosen(mornings: Mornings) -> None:
    town = mornings.town
    users = [await town.user(f"{hour}", "Europe/Berlin", hour=hour) for hour in (6, 7, 18)]
    team = await town.team(*users)
    for user in users:
        await town.task(team, user, due_on=LONG_AGO)
    for number, hour in enumerate((6, 7, 18)):
        await mornings.pass_to(FEBRUARY + (hour - 1) * HOUR - MINUTE)
        assert await mornings.asked() == users[:number]
        await mornings.pass_to(FEBRUARY + (hour - 1) * HOUR)
        assert await mornings.asked() == users[: number + 1]


async def test_only_those_are_asked_for_to_whom_something_is_overdue(mornings: Mornings) -> None:
    town, yesterday = mornings.town, FEBRUARY - DAY
    late, early, done, former, unverified, silent, nobody = [
        await town.user(name, verified=name != "unverified")
        for name in ("late", "early", "done", "former", "unverified", "silent", "nobody")
    ]
    team = await town.team(late, early, done, unverified, silent, nobody)
    async with writing(mornings.pools.api, silent) as tx:
        await choose_mails_in(tx, silent, {"digest": False})
    for user in (late, former, unverified, silent, None):
        await town.task(team, user, due_at=yesterday)
    await town.task(team, early, due_on=FEBRUARY.date())
    await town.task(team, done, due_at=yesterday, status="done")
    await town.task(team, done, due_at=yesterday, status="cancelled")
    await town.task(team, done, due_at=yesterday, archived=True)
    await mornings.pass_to(FEBRUARY + 10 * HOUR)
    assert await mornings.asked() == [late]
    await mornings.pass_to(FEBRUARY + DAY + 10 * HOUR)
    assert await mornings.asked() == [late, *sorted([late, early])], "today's date was over tomorrow"


async def test_a_date_is_judged_in_the_zone_of_the_team(mornings: Mornings) -> None:
    """At seven in Tokyo it is 22:00 of the day before in UTC: in Kiritimati the next day has begun, in Honolulu not."""
    town = mornings.town
    ahead, behind = await town.user("ahead", "Asia/Tokyo"), await town.user("behind", "Asia/Tokyo")
    today = FEBRUARY.date()
    await town.task(await town.team(ahead, zone="Pacific/Kiritimati"), ahead, due_on=today)
    await town.task(await town.team(behind, zone="Pacific/Honolulu"), behind, due_on=today)
    assert day_of(FEBRUARY + 22 * HOUR, ZoneInfo("Pacific/Kiritimati")) == today + DAY
    await mornings.pass_to(FEBRUARY + 22 * HOUR)
    assert await mornings.asked() == [ahead]


async def test_who_changes_their_zone_still_gets_one_a_day(mornings: Mornings) -> None:
    town = mornings.town
    user = await town.user("traveller", "Asia/Tokyo")
    await town.task(await town.team(user), user, due_on=LONG_AGO)
    await mornings.pass_to(FEBRUARY + 23 * HOUR)
    assert len(await mornings.asked()) == 1, "of the third of February"
    await mornings.move(user, zone="America/Los_Angeles")
    await mornings.pass_to(FEBRUARY + DAY + 23 * HOUR)
    assert len(await mornings.asked()) == 1, "seven of the third in Los Angeles came, too"
    await mornings.pass_to(FEBRUARY + 2 * DAY + 23 * HOUR)
    assert len(await mornings.asked()) == 2


MOVES: Mapping[str, tuple[Sequence[tuple[int, int, int]], Sequence[tuple[int, int]]]] = {
    "the morning that the move left out is made up for at once": ([(12, 18, 7)], [(12, 0), (7, 1)]),
    "who has had this morning's has no other one in the evening": ([(12, 7, 18)], [(7, 0), (18, 1)]),
    "nor one an hour later": ([(8, 7, 9)], [(7, 0), (9, 1)]),
    "what is still to come comes by the new clock": ([(5, 7, 6)], [(6, 0), (6, 1)]),
    "of several moves in between the first counts": ([(12, 18, 20), (12, 20, 7)], [(12, 0), (7, 1)]),
    "what was made up for is not repeated": ([(12, 18, 7), (13, 7, 18)], [(12, 0), (18, 1)]),
    "what would be old is left to the next morning, which is near": ([(22, 23, 1)], [(1, 1)]),
}
"""Before which hour of the first day who moves from where to where; and at which hours of which days mails come."""


async def test_who_moves_their_hour_gets_neither_two_nor_none_a_day(mornings: Mornings) -> None:
    users, step = dict[UUID, str](), 30 * MINUTE
    for why, (moves, _) in MOVES.items():
        user = await mornings.town.user(why, hour=moves[0][1])
        await mornings.town.task(await mornings.town.team(user), user, due_on=LONG_AGO)
        users[user] = why
    came, seen = defaultdict[str, list[datetime]](list), 0
    while mornings.now < FEBRUARY + 2 * DAY:
        for user, why in users.items():
            for before, _, hour in MOVES[why][0]:
                if mornings.now == FEBRUARY + before * HOUR - step:
                    await mornings.move(user, hour=hour)
        await mornings.pass_to(mornings.now + step, step=step)
        asked = await mornings.asked()
        for user in asked[seen:]:
            came[users[user]].append(mornings.now)
        seen = len(asked)
    for why, (_, expected) in MOVES.items():
        assert came[why] == [FEBRUARY + hour * HOUR + day * DAY for hour, day in expected], why
    assert await mornings.moved() == 0


async def test_who_moves_while_no_scheduler_is_there_has_their_morning_made_up_for(mornings: Mornings) -> None:
    """Seven o'clock was while nobody was there, and six when they moved to it, so that neither would have come."""
    user = await mornings.town.user("mover", hour=7)
    await mornings.town.task(await mornings.town.team(user), user, due_on=LONG_AGO)
    mornings.now = FEBRUARY + 6 * HOUR + 30 * MINUTE
    await mornings.scheduler().round()
    await mornings.move(user, hour=6)
    mornings.now = FEBRUARY + 8 * HOUR
    await mornings.scheduler().round()
    assert await mornings.asked() == [user]
    await mornings.pass_to(FEBRUARY + 30 * HOUR - MINUTE)
    assert await mornings.asked() == [user]


async def test_who_flies_east_over_their_morning_has_it_made_up_for_if_it_is_near(mornings: Mornings) -> None:
    """At six in Berlin it is nine in Dubai; at six in Los Angeles it is eleven at night in Tokyo."""
    town, users = mornings.town, list[UUID]()
    for zone in ("Europe/Berlin", "America/Los_Angeles"):
        users.append(await town.user(zone, zone))
        await town.task(await town.team(users[-1]), users[-1], due_on=LONG_AGO)
    await mornings.pass_to(FEBRUARY + 5 * HOUR)
    await mornings.move(users[0], zone="Asia/Dubai")
    await mornings.pass_to(FEBRUARY + 5 * HOUR + MINUTE)
    assert await mornings.asked() == [users[0]]
    await mornings.pass_to(FEBRUARY + 14 * HOUR)
    await mornings.move(users[1], zone="Asia/Tokyo")
    await mornings.pass_to(FEBRUARY + 22 * HOUR - MINUTE)
    assert await mornings.asked() == [users[0]]
    await mornings.pass_to(FEBRUARY + 22 * HOUR)
    assert await mornings.asked() == users


async def test_a_scheduler_that_was_away_makes_up_for_one_morning_and_not_for_old_ones(mornings: Mornings) -> None:
    town = mornings.town
    london, tokyo = await town.user("london", "Europe/London"), await town.user("tokyo", "Asia/Tokyo")
    team = await town.team(london, tokyo)
    for user in (london, tokyo):
        await town.task(team, user, due_on=LONG_AGO)
    mornings.now = FEBRUARY + 3 * DAY + 11 * HOUR
    await mornings.scheduler().round()
    assert await mornings.asked() == [london], "Tokyo's seven o'clock was thirteen hours ago"


async def mailed(pools: Pools, user_id: UUID, at: datetime, late: timedelta = timedelta()) -> Any:
    """The digest as it leaves, so late, that was asked for at this time; None when none does."""
    letters = Letters(KEYSET, "https://tasks.example", now=lambda: at + late)
    job_id = UUID(int=(int(at.timestamp() * 1000) << 80) | (7 << 76) | (2 << 62) | 5)
    async with reading(pools.worker, None) as tx:
        letter = await letters.letter(tx, MailJob(job_id, "digest", user_id))
    return None if letter is None else compose(letter, SENDER)


def bodies(message: Any) -> list[str]:
    return [message.get_body((kind,)).get_content() for kind in ("plain", "html")]


async def test_the_mail_lists_what_is_overdue_by_team_with_links(mornings: Mornings) -> None:
    town, now = mornings.town, FEBRUARY + 7 * HOUR
    ada, bob = await town.user("Ada", "Europe/Berlin"), await town.user("Bob")
    red, blue = await town.team(ada, bob, name="Red", key="RED"), await town.team(ada, name="Blue & <b>", key="BLUE")
    paint = await town.task(red, ada, "Paint <i>it</i>", due_on=date(2026, 1, 30))
    await town.task(red, ada, "Not yet", due_on=date(2026, 2, 2))
    await town.task(red, bob, "Bob's own", due_on=LONG_AGO)
    await town.task(blue, ada, "Call them", due_at=datetime(2026, 1, 31, 15, 30, tzinfo=UTC))
    message = await mailed(mornings.pools, ada, now)
    assert message["Subject"] == "2 tasks are overdue"
    text, html = bodies(message)
    assert f"Red: https://tasks.example/#/{red}\n" in text
    assert f"RED-1 Paint <i>it</i> (due 30 January 2026)\n  https://tasks.example/#/{red}/{paint}\n" in text
    assert "BLUE-1 Call them (due 31 January 2026, 16:30)" in text
    assert text.count("No more mails in the morning, about what is overdue:") == 1
    assert text.index("Blue & <b>") < text.index("Red: ")
    assert "Paint &lt;i&gt;it&lt;/i&gt;" in html
    assert f'href="https://tasks.example/#/{blue}"' in html
    assert f'href="https://tasks.example/#/{red}/{paint}"' in html
    assert "Blue &amp; &lt;b&gt;" in html
    for absent in ("Not yet", "Bob's own"):
        assert absent not in text
        assert absent not in html
    token = message["List-Unsubscribe"].strip("<>").partition("=")[2]
    assert UnsubscribeTokens(KEYSET).read(token) == (ada, "digest.daily")
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def test_the_schedules_that_follow_mornings_are_those_that_look_at_moves() -> None:
    assert set(FOLLOWERS) == {digest().name, due(Collecting()).name}


async def test_the_mail_is_read_when_it_leaves(mornings: Mornings) -> None:
    town, pools, now = mornings.town, mornings.pools, FEBRUARY + 7 * HOUR
    ada, bob = await town.user("Ada"), await town.user("Bob")
    team = await town.team(ada, bob)
    await town.task(team, ada, due_on=LONG_AGO)
    assert (await mailed(pools, ada, now))["Subject"] == "1 task is overdue"
    await town.run("delete from memberships where user_id = $1", ada)
    assert await mailed(pools, ada, now) is None, "who was removed hears nothing of the team"
    await town.task(team, bob, due_on=LONG_AGO)
    await town.run("update tasks set status = 'done'")
    assert await mailed(pools, bob, now) is None, "meanwhile all is done"
    await town.run("update tasks set status = 'open'")
    async with writing(pools.api, bob) as tx:
        await choose_mails_in(tx, bob, {"digest": False})
    assert await mailed(pools, bob, now) is None, "it is not wanted"


async def test_a_digest_that_could_not_leave_in_the_morning_is_left_to_the_next(mornings: Mornings) -> None:
    ada = await mornings.town.user("Ada")
    await mornings.town.task(await mornings.town.team(ada), ada, due_on=LONG_AGO)
    now, half_a_day = FEBRUARY + 7 * HOUR, 12 * HOUR
    assert await mailed(mornings.pools, ada, now, late=half_a_day - MINUTE) is not None
    assert await mailed(mornings.pools, ada, now, late=half_a_day) is None


async def test_a_long_list_is_cut_and_says_so(mornings: Mornings) -> None:
    town = mornings.town
    user = await town.user("Busy")
    team = await town.team(user)
    for _ in range(53):
        await town.task(team, user, due_on=LONG_AGO)
    message = await mailed(mornings.pools, user, FEBRUARY)
    assert message["Subject"] == "53 tasks are overdue"
    for body in bodies(message):
        assert body.count("A task") == 50
        assert "And 3 more." in body


async def test_a_job_that_is_delivered_64_times_is_one_mail(mornings: Mornings, tmp_path: Path) -> None:
    town, mailbox = mornings.town, Mailbox(tmp_path / "mail")
    user = await town.user("Ada")
    await town.task(await town.team(user), user, due_on=LONG_AGO)
    await mornings.pass_to(FEBRUARY + 7 * HOUR)
    async with reading(mornings.pools.worker, None) as tx:
        payload = await tx.fetchval("select payload from outbox")
    plan = mail(mornings.pools.worker, LETTERS, mailbox, SENDER)
    job = plan.read(payload.encode())
    outcomes = [await plan.handle(plan.name, job) for _ in range(64)]
    assert outcomes == ["applied"] + ["passed"] * 63
    assert [found.subject for found in mailbox.read()] == ["1 task is overdue"]


ZONES = (
    *("UTC", "Europe/Berlin", "Europe/London", "America/New_York", "America/Santiago", "America/St_Johns"),
    *("Australia/Lord_Howe", "Pacific/Auckland", "Asia/Kathmandu", "Asia/Jerusalem", "Africa/Casablanca", "Asia/Tokyo"),
)
MARCH = datetime(2026, 3, 1, 12, tzinfo=UTC)


HOURS = (0, 2, 7)
"""Midnight and two are skipped or doubled in some of the zones, seven in none."""


@pytest.mark.proof
@pytest.mark.timeout(1200)
async def test_twelve_zones_have_sixty_mornings_once_each(pools: Pools, superuser: "asyncpg.Connection[Any]") -> None:
    """Two schedulers race at every step and are killed at random, through all changes of clocks of the spring."""
    chance, mornings = random.Random(29), Mornings(pools, superuser)
    mornings.now, end = MARCH, MARCH + share(60) * DAY
    users = {await mornings.town.user(zone, zone, hour=hour): (zone, hour) for zone in ZONES for hour in HOURS}
    team = await mornings.town.team(*users)
    for user in users:
        await mornings.town.task(team, user, due_on=LONG_AGO)
    schedulers = [mornings.scheduler(), mornings.scheduler()]
    await schedulers[0].round()
    seen, fired, before = 0, defaultdict[UUID, list[tuple[datetime, datetime]]](list), mornings.now
    while mornings.now < end:
        mornings.now += MINUTE * chance.choice([1, 7, 30, 30, 60, 180])
        killed = chance.random() < 0.1
        async with anyio.create_task_group() as group:
            for scheduler in schedulers:
                group.start_soon(scheduler.round)
            if killed:
                await anyio.sleep(chance.random() * 0.01)
                group.cancel_scope.cancel()
        if killed:
            schedulers = [mornings.scheduler(), mornings.scheduler()]
            await schedulers[0].round()
        new = (await mornings.asked())[seen:]
        seen += len(new)
        for user in new:
            fired[user].append((before, mornings.now))
        before = mornings.now
    for user, (zone, hour) in users.items():
        changes = pieces(zone, 2025, 2028, DAY)
        moments = [first_showing(datetime.combine(MARCH.date() + DAY * n, time(hour)), changes) for n in range(-1, 63)]
        due = [moment for moment in moments if MARCH < moment <= mornings.now]
        assert len(fired[user]) == len(due), (zone, hour)
        assert all(after < moment <= until for moment, (after, until) in zip(due, fired[user], strict=True)), zone
