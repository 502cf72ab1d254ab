"""The digest of the morning: whom it reaches, when, how often, and what it says."""

import random
from collections import defaultdict
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
from db.people.mail_preferences import UnsubscribeTokens, choose_mails_in
from db.pool import Pools
from db.transaction import reading, writing
from streams.consumers.mail import mail
from streams.mail.delivery import Mailbox
from streams.mail.letters import Letters, MailJob
from streams.mail.messages import compose
from streams.mail.senders import sender_address
from streams.scheduler.digest import AT, digest
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

    def __init__(self, pools: Pools, superuser: "asyncpg.Connection[Any]", at: time = AT) -> None:
        self.pools, self.town, self.at, self.now = pools, Town(superuser), at, FEBRUARY

    def scheduler(self) -> Scheduler:
        return Scheduler(self.pools.worker, [digest(self.at)], now=lambda: self.now)

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


async def test_only_those_are_asked_for_to_whom_something_is_overdue(mornings: Mornings) -> None:
    town, yesterday = mornings.town, FEBRUARY - DAY
    late, early, done, former, unverified, nobody = [
        await town.user(name, verified=name != "unverified")
        for name in ("late", "early", "done", "former", "unverified", "nobody")
    ]
    team = await town.team(late, early, done, unverified, nobody)
    for user in (late, former, unverified, None):
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
    await town.run("update users set time_zone = 'America/Los_Angeles' where id = $1", user)
    await mornings.pass_to(FEBRUARY + DAY + 23 * HOUR)
    assert len(await mornings.asked()) == 1, "seven of the third in Los Angeles came, too"
    await mornings.pass_to(FEBRUARY + 2 * DAY + 23 * HOUR)
    assert len(await mornings.asked()) == 2


async def test_a_scheduler_that_was_away_makes_up_for_one_morning_and_not_for_old_ones(mornings: Mornings) -> None:
    town = mornings.town
    london, tokyo = await town.user("london", "Europe/London"), await town.user("tokyo", "Asia/Tokyo")
    team = await town.team(london, tokyo)
    for user in (london, tokyo):
        await town.task(team, user, due_on=LONG_AGO)
    mornings.now = FEBRUARY + 3 * DAY + 11 * HOUR
    await mornings.scheduler().round()
    assert await mornings.asked() == [london], "Tokyo's seven o'clock was thirteen hours ago"


async def mailed(pools: Pools, user_id: UUID, at: datetime, letters: Letters = LETTERS) -> Any:
    """The digest as it leaves that was asked for at this time; None when none does."""
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
    await town.task(red, ada, "Paint <i>it</i>", due_on=date(2026, 1, 30))
    await town.task(red, ada, "Not yet", due_on=date(2026, 2, 2))
    await town.task(red, bob, "Bob's own", due_on=LONG_AGO)
    await town.task(blue, ada, "Call them", due_at=datetime(2026, 1, 31, 15, 30, tzinfo=UTC))
    message = await mailed(mornings.pools, ada, now)
    assert message["Subject"] == "2 tasks are overdue"
    text, html = bodies(message)
    assert f"Red: https://tasks.example/#{red}" in text
    assert "RED-1  Paint <i>it</i> (due 30 January 2026)" in text
    assert "BLUE-1  Call them (due 31 January 2026, 16:30)" in text
    assert text.index("Blue & <b>") < text.index("Red: ")
    assert "Paint &lt;i&gt;it&lt;/i&gt;" in html
    assert f'href="https://tasks.example/#{blue}"' in html
    assert "Blue &amp; &lt;b&gt;" in html
    for absent in ("Not yet", "Bob's own"):
        assert absent not in text
        assert absent not in html
    token = message["List-Unsubscribe"].strip("<>").partition("=")[2]
    assert UnsubscribeTokens(KEYSET).read(token) == (ada, "digest.daily")
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


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


@pytest.mark.proof
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("at", [AT, time(2, 30)], ids=str)
async def test_twelve_zones_have_sixty_mornings_once_each(
    pools: Pools, superuser: "asyncpg.Connection[Any]", at: time
) -> None:
    """Two schedulers race at every step and are killed at random, through all changes of clocks of the spring."""
    chance, mornings = random.Random(29), Mornings(pools, superuser, at)
    mornings.now, end = MARCH, MARCH + share(60) * DAY
    users = {await mornings.town.user(zone, zone): zone for zone in ZONES}
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
    for user, zone in users.items():
        changes = pieces(zone, 2025, 2028, DAY)
        moments = [first_showing(datetime.combine(MARCH.date() + DAY * n, at), changes) for n in range(-1, 63)]
        due = [moment for moment in moments if MARCH < moment <= mornings.now]
        assert len(fired[user]) == len(due), zone
        assert all(after < moment <= until for moment, (after, until) in zip(due, fired[user], strict=True)), zone
