"""What users want to be told, one notification per event, and the mails that collect them and leave once."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import uuid_utils.compat as uuids
from msgspec import structs

from core.columns import default_column_id
from core.comment import Comment
from core.events import AnyCommentEvent, CommentAdded, CommentEdited
from core.mail_pace import MOST
from core.notices import DEFAULTS, KINDS
from db.ids import new_id
from db.notices.mails import Mailed, mail_of
from db.notices.notify import OLDEST, Collecting, Notice, notify
from db.notices.preferences import Preferences, choose_in, preferences_of, wants_mail
from db.notices.releasing import PURPOSE, WINDOW, release
from db.notices.tasks import add_commented
from db.people.notifications import list_notifications
from db.pool import Pools
from db.redaction.users import forget_user
from db.transaction import Writing, reading, writing
from tests.db.test_notifications import NOW, SOMEBODY, TEAM, member, task
from tests.support.town import Town
from tests.support.waiting import until_answered

pytestmark = pytest.mark.anyio

QUIET, LONGEST = timedelta(minutes=2), timedelta(minutes=10)
COLLECTING = Collecting(QUIET, LONGEST)
WAITING = (
    "select exists (select from pg_stat_activity where wait_event_type = 'Lock' and query like '%notification_mails%')"
)
REPORT = uuids.uuid7()
TASK = """
insert into tasks (team_id, id, number, title, description, status, priority, assignee_id, label_ids, due_at,
                   blocked_by, rank, comment_count, attachment_count, created_by, created_at, updated_at, version,
                   column_id)
values ($1, $2, (select count(*) + 1 from tasks), 'Feed the cat', '', 'open', 'high', $3, '{}', $4, '{}', 'a0', 0, 0,
        $3, now(), now(), 1, $5)
"""
HOOK = """
insert into webhook_subscriptions (team_id, id, url, description, event_types, statuses, label_ids, assignee_ids,
                                   format, in_order, secret, created_by, start_seq, failing_since)
values ($1, $2, 'https://hooks.example.com/in?secret=1', 'The pager', '{}', '{}', '{}', '{}', 'cloudevents', false,
        'x', $3, 0, now())
"""


@pytest.fixture
async def ada(pools: Pools, superuser: "asyncpg.Connection[Any]") -> UUID:
    user_id = await member(pools, superuser, "ada@example.com")
    await superuser.execute("update users set email_verified_at = now() where id = $1", user_id)
    return user_id


def about(subject_id: UUID, seq: int = 7, **changes: Any) -> Notice:
    notice = Notice(
        team_id=TEAM,
        event_id=f"{TEAM}:1:{seq}",
        subject_id=subject_id,
        at=NOW,
        data={"key": "ENG-42", "title": "Feed the cat"},
        task_id=subject_id,
        actor_id=SOMEBODY,
    )
    return structs.replace(notice, **changes)


async def told(pools: Pools, user_id: UUID, kind: Any, notice: Notice, now: datetime = NOW) -> bool:
    async with writing(pools.worker) as tx:
        return await notify(tx, user_id, kind, notice, now=now, collecting=COLLECTING)


async def wishes(pools: Pools, user_id: UUID) -> Preferences:
    async with reading(pools.worker, None) as tx:
        found = await preferences_of(tx, user_id)
    assert found is not None
    return found


async def choose(pools: Pools, user_id: UUID, switches: Any, **more: Any) -> None:
    async with writing(pools.api, user_id) as tx:
        await choose_in(tx, user_id, switches, **more)


async def released(pools: Pools, now: datetime, limit: int = 100, window: timedelta = WINDOW) -> int:
    async with writing(pools.worker) as tx:
        return await release(tx, now, limit=limit, window=window)


async def given(superuser: "asyncpg.Connection[Any]", user_id: UUID, due_at: datetime | None = None) -> UUID:
    """A task that is the user's."""
    task_id = new_id()
    await superuser.execute(TASK, TEAM, task_id, user_id, due_at, default_column_id(TEAM, "open"))
    return task_id


async def mail(pools: Pools, mail_id: UUID) -> Mailed | None:
    async with reading(pools.worker, None) as tx:
        return await mail_of(tx, mail_id)


async def jobs(superuser: "asyncpg.Connection[Any]") -> list[UUID]:
    """The mails whose jobs wait in the outbox."""
    found = await superuser.fetch("select key from outbox where payload like $1 order by position", f'%"{PURPOSE}"%')
    return [UUID(row["key"]) for row in found]


def test_the_table_of_kinds_says_all_that_preferences_know_and_each_kind_has_a_way() -> None:
    assert {kind for kind, _ in DEFAULTS} == set(KINDS)
    assert DEFAULTS["digest.daily", "mail"]
    assert ("digest.daily", "in_app") not in DEFAULTS
    assert not DEFAULTS["task.overdue", "mail"], "the digest says it"
    assert all(one.about for one in KINDS.values())


async def test_nothing_is_stored_until_somebody_chooses_and_a_choice_changes_one_switch_of_one_user(
    pools: Pools, superuser: "asyncpg.Connection[Any]", ada: UUID
) -> None:
    bob = await member(pools, superuser, "bob@example.com")
    assert (await wishes(pools, ada)) == Preferences(DEFAULTS, 7)
    for switch, default in DEFAULTS.items():
        await choose(pools, ada, {switch: not default})
        assert dict((await wishes(pools, ada)).switches) == {**DEFAULTS, switch: not default}
        await choose(pools, ada, {switch: default})
    await choose(pools, ada, {}, digest_hour=6)
    assert (await wishes(pools, ada)).digest_hour == 6
    assert (await wishes(pools, bob)) == Preferences(DEFAULTS, 7)
    async with reading(pools.worker, None) as tx:
        assert await preferences_of(tx, uuids.uuid7()) is None
        assert not await wants_mail(tx, uuids.uuid7(), "task.assigned")


async def test_nobody_chooses_for_somebody_else(pools: Pools, superuser: "asyncpg.Connection[Any]", ada: UUID) -> None:
    bob = await member(pools, superuser, "bob@example.com")
    async with writing(pools.api, bob) as tx:
        await choose_in(tx, ada, {("task.due_soon", "mail"): False, ("task.assigned", "mail"): False}, digest_hour=3)
    assert (await wishes(pools, ada)) == Preferences(DEFAULTS, 7)


async def test_a_channel_that_is_off_gets_nothing_and_the_other_goes_on(
    pools: Pools, superuser: "asyncpg.Connection[Any]", ada: UUID
) -> None:
    task = uuids.uuid7()
    await choose(pools, ada, {("comment.added", "in_app"): False})
    assert await told(pools, ada, "comment.added", about(task, 1))
    await choose(pools, ada, {("comment.added", "mail"): False})
    assert not await told(pools, ada, "comment.added", about(task, 2))
    await choose(pools, ada, {("comment.added", "in_app"): True})
    assert await told(pools, ada, "comment.added", about(task, 3))
    rows = await superuser.fetch(
        "select event_id, in_app, mail_id is not null as mailed from notifications order by id"
    )
    assert [tuple(row) for row in rows] == [(f"{TEAM}:1:1", False, True), (f"{TEAM}:1:3", True, False)]


async def test_the_author_and_strangers_get_nothing(pools: Pools, ada: UUID) -> None:
    assert not await told(pools, ada, "comment.added", about(uuids.uuid7(), actor_id=ada))
    assert not await told(pools, ada, "comment.added", about(uuids.uuid7(), team_id=uuids.uuid7()))
    assert not await told(pools, uuids.uuid7(), "comment.added", about(uuids.uuid7()))


async def test_a_burst_about_one_task_is_one_mail_that_leaves_when_it_is_quiet(
    pools: Pools, superuser: "asyncpg.Connection[Any]", ada: UUID
) -> None:
    shed, roof = uuids.uuid7(), uuids.uuid7()
    for minute in range(4):
        assert await told(pools, ada, "comment.added", about(shed, minute), NOW + timedelta(minutes=minute))
    assert await told(pools, ada, "comment.added", about(roof, 100), NOW)
    assert await released(pools, NOW + QUIET - timedelta(seconds=1)) == 0
    assert await released(pools, NOW + QUIET) == 1, "the other task has been quiet"
    assert await released(pools, NOW + timedelta(minutes=3) + QUIET) == 1
    assert await released(pools, NOW + timedelta(days=1)) == 0
    of_roof, of_shed = await jobs(superuser)
    async with reading(pools.worker, None) as tx:
        mailed, other = await mail_of(tx, of_shed), await mail_of(tx, of_roof)
    assert mailed is not None
    assert other is not None
    assert (mailed.to.id, mailed.total, mailed.team_name) == (ada, 4, "Team")
    assert [part.kind for part in mailed.parts] == ["comment.added"] * 4
    assert other.total == 1


async def test_a_burst_without_an_end_leaves_after_the_longest_wait(
    pools: Pools, superuser: "asyncpg.Connection[Any]", ada: UUID
) -> None:
    task = uuids.uuid7()
    for minute in range(10):
        await told(pools, ada, "comment.added", about(task, minute), NOW + timedelta(minutes=minute))
    assert await superuser.fetchval("select leaves_at from notification_mails") == NOW + LONGEST
    assert await released(pools, NOW + LONGEST) == 1
    assert await told(pools, ada, "comment.added", about(task, 11), NOW + timedelta(minutes=11))
    assert await released(pools, NOW + timedelta(minutes=13)) == 1
    assert len(set(await jobs(superuser))) == 2


async def test_workers_that_release_at_once_let_each_mail_leave_once(
    pools: Pools, superuser: "asyncpg.Connection[Any]", ada: UUID
) -> None:
    for seq in range(40):
        await told(pools, ada, "comment.added", about(uuids.uuid7(), seq))
    total = 0
    while total < 40:
        total += sum(await asyncio.gather(*(released(pools, NOW + LONGEST, 7, timedelta()) for _ in range(5))))
    assert total == 40
    assert len(set(await jobs(superuser))) == 40
    assert await superuser.fetchval("select count(distinct mail_id) from notifications") == 40


async def test_what_is_no_task_leaves_at_once_and_the_same_event_notifies_once(
    pools: Pools, superuser: "asyncpg.Connection[Any]", ada: UUID
) -> None:
    failing = about(REPORT, event_id=f"webhook:{REPORT}", task_id=None, actor_id=None, data={"webhook_id": str(REPORT)})
    await superuser.execute(HOOK, TEAM, REPORT, ada)
    await superuser.execute("update memberships set role = 'admin' where user_id = $1", ada)
    answers = await asyncio.gather(*(told(pools, ada, "webhook.failing", failing) for _ in range(8)))
    assert sum(answers) == 1
    assert await released(pools, NOW) == 1
    (mail_id,) = await jobs(superuser)
    mailed = await mail(pools, mail_id)
    assert mailed is not None
    assert ([topic.task_id for topic in mailed.topics], mailed.total) == ([None], 1)


async def test_what_was_read_is_unwanted_by_now_or_must_not_be_seen_is_not_mailed(
    pools: Pools, superuser: "asyncpg.Connection[Any]", ada: UUID
) -> None:
    task = await given(superuser, ada)
    await told(pools, ada, "comment.added", about(task, 1))
    await told(pools, ada, "task.assigned", about(task, 2))
    await told(pools, ada, "comment.mentioned", about(task, 3))
    assert await released(pools, NOW + LONGEST) == 1
    (mail_id,) = await jobs(superuser)

    async def kinds() -> list[str]:
        mailed = await mail(pools, mail_id)
        return [] if mailed is None else [part.kind for part in mailed.parts]

    assert await kinds() == ["comment.added", "task.assigned", "comment.mentioned"]
    await superuser.execute("update notifications set read_at = now() where kind = 'task.assigned'")
    assert await kinds() == ["comment.added", "comment.mentioned"]
    await choose(pools, ada, {("comment.mentioned", "mail"): False})
    assert await kinds() == ["comment.added"]
    await superuser.execute("update users set email_verified_at = null")
    assert await kinds() == [], "nobody has proven that the address is theirs"
    await superuser.execute("update users set email_verified_at = now()")
    assert await kinds() == ["comment.added"]
    await superuser.execute("delete from memberships where user_id = $1", ada)
    assert await kinds() == []


async def test_what_happened_more_than_two_weeks_ago_is_in_the_inbox_and_no_mail(
    pools: Pools, superuser: "asyncpg.Connection[Any]", ada: UUID
) -> None:
    old = about(uuids.uuid7(), 1, at=NOW - OLDEST - timedelta(seconds=1))
    assert await told(pools, ada, "task.assigned", old)
    assert await told(pools, ada, "task.assigned", structs.replace(old, event_id=f"{TEAM}:1:2", at=NOW - OLDEST))
    rows = await superuser.fetch("select event_id from notifications where mail_id is not null")
    assert [row["event_id"] for row in rows] == [f"{TEAM}:1:2"]


async def test_whoever_adds_to_a_mail_that_is_leaving_begins_the_next_one(
    pools: Pools, superuser: "asyncpg.Connection[Any]", ada: UUID
) -> None:
    task = uuids.uuid7()
    await told(pools, ada, "comment.added", about(task, 1))
    async with writing(pools.worker) as leaving:
        assert await release(leaving, NOW + LONGEST, limit=10) == 1
        adding = asyncio.ensure_future(told(pools, ada, "comment.added", about(task, 2)))
        await until_answered(lambda: superuser.fetchval(WAITING))
    assert await adding
    assert await superuser.fetchval("select count(distinct mail_id) from notifications") == 2
    assert await released(pools, NOW + LONGEST) == 1


async def test_tasks_that_are_given_one_after_another_are_one_mail_with_a_list(
    pools: Pools, superuser: "asyncpg.Connection[Any]", ada: UUID
) -> None:
    tasks = [await given(superuser, ada, NOW + QUIET) for _ in range(12)]
    for number, one in enumerate(tasks):
        await told(pools, ada, "task.assigned", about(one, number), NOW + timedelta(seconds=5 * number))
    assert await released(pools, NOW + QUIET) == 1
    assert await released(pools, NOW + LONGEST) == 0
    (mail_id,) = await jobs(superuser)
    mailed = await mail(pools, mail_id)
    assert mailed is not None
    assert [topic.task_id for topic in mailed.topics] == tasks
    assert {(topic.title, topic.due, topic.priority) for topic in mailed.topics} == {
        ("Feed the cat", NOW + QUIET, "high")
    }


async def test_nobody_gets_more_than_three_mails_within_the_window_and_what_waits_comes_together(
    pools: Pools, superuser: "asyncpg.Connection[Any]", ada: UUID
) -> None:
    for minute in range(3, 12):
        now = NOW + timedelta(minutes=minute)
        await told(pools, ada, "comment.added", about(uuids.uuid7(), minute), now - QUIET)
        await released(pools, now)
    assert len(await jobs(superuser)) == MOST
    first = NOW + timedelta(minutes=3)
    assert await released(pools, first + WINDOW - timedelta(seconds=1)) == 0
    assert await released(pools, first + WINDOW) == 1
    mailed = await mail(pools, (await jobs(superuser))[-1])
    assert mailed is not None
    assert mailed.total == 6
    assert await superuser.fetchval("select count(*) from notification_mails") == 0


async def test_a_mail_says_only_what_is_so_when_it_is_sent(
    pools: Pools, superuser: "asyncpg.Connection[Any]", ada: UUID
) -> None:
    due = NOW + timedelta(days=1)
    task = await given(superuser, ada, due)
    await told(pools, ada, "task.assigned", about(task, 1))
    for kind in ("task.due_soon", "task.overdue"):
        await choose(pools, ada, {(kind, "mail"): True})
        data = {"key": "ENG-1", "title": "Feed the cat", "due": due.isoformat()}
        await told(pools, ada, kind, about(task, event_id=f"{task}:due", actor_id=None, data=data))
    assert await released(pools, NOW + LONGEST) == 1
    (mail_id,) = await jobs(superuser)

    async def kinds_after(change: str) -> list[str]:
        await superuser.execute(f"update tasks set {change} where id = $1", task)
        mailed = await mail(pools, mail_id)
        return [] if mailed is None else [part.kind for part in mailed.parts]

    everything = ["task.assigned", "task.due_soon", "task.overdue"]
    assert await kinds_after("title = title") == everything
    assert await kinds_after("due_at = due_at + interval '1 minute'") == ["task.assigned"]
    assert await kinds_after("due_at = null, due_on = '2026-01-03'") == ["task.assigned"]
    assert await kinds_after("due_at = '2026-01-03T00:00:00Z', due_on = null, status = 'done'") == ["task.assigned"]
    assert await kinds_after("status = 'open'") == everything
    assert await kinds_after("archived_at = now()") == []
    assert await kinds_after("archived_at = null, assignee_id = null") == []
    assert await kinds_after(f"assignee_id = '{ada}'") == everything
    await superuser.execute("delete from tasks where id = $1", task)
    assert await mail(pools, mail_id) is None


async def test_a_task_that_is_given_taken_and_given_again_is_said_once_and_mailed_once(
    pools: Pools, superuser: "asyncpg.Connection[Any]", ada: UUID
) -> None:
    task, second = await given(superuser, ada), timedelta(seconds=1)
    assert await told(pools, ada, "task.assigned", about(task, 1))
    assert await told(pools, ada, "task.assigned", about(task, 2, at=NOW + second))
    assert await told(pools, ada, "task.assigned", about(task, 3, at=NOW + 2 * second, actor_id=None)), "who, is news"
    rows = await superuser.fetch("select event_id, in_app from notifications order by id")
    assert [tuple(row) for row in rows] == [(f"{TEAM}:1:1", True), (f"{TEAM}:1:2", False), (f"{TEAM}:1:3", True)]
    await superuser.execute("delete from notifications where event_id = $1", f"{TEAM}:1:3")
    assert await released(pools, NOW + LONGEST) == 1
    (mail_id,) = await jobs(superuser)
    mailed = await mail(pools, mail_id)
    assert mailed is not None
    assert mailed.total == 1
    await superuser.execute("update notifications set read_at = now() where in_app")
    assert await mail(pools, mail_id) is None, "whoever has read the one in the inbox knows"
    late = NOW + LONGEST + timedelta(minutes=1)
    assert await told(pools, ada, "task.assigned", about(task, 4, at=late))
    assert await superuser.fetchval("select in_app from notifications where event_id = $1", f"{TEAM}:1:4")


async def test_a_webhook_is_named_to_those_who_manage_it_and_to_nobody_else(
    pools: Pools, superuser: "asyncpg.Connection[Any]", ada: UUID
) -> None:
    await superuser.execute(HOOK, TEAM, REPORT, ada)
    await superuser.execute("update webhook_subscriptions set disabled_at = now(), disabled_reason = 'gone'")
    data = {"webhook_id": str(REPORT), "reason": "gone"}
    off = about(REPORT, event_id="off", task_id=None, actor_id=None, data=data)
    await told(pools, ada, "webhook.disabled", off)
    assert await released(pools, NOW) == 1
    (mail_id,) = await jobs(superuser)

    async def sentence() -> str:
        async with reading(pools.api, ada) as tx:
            (shown,) = await list_notifications(tx, ada, unread=False, before=None, limit=9)
        assert shown.data == data
        return shown.sentence

    assert "hooks.example.com" not in await sentence(), "a member does not manage webhooks"
    assert await mail(pools, mail_id) is None
    await superuser.execute("update memberships set role = 'admin' where user_id = $1", ada)
    assert await sentence() == (
        "The webhook to hooks.example.com (“The pager”) was switched off: its endpoint said that it is gone (410)."
    )
    mailed = await mail(pools, mail_id)
    assert mailed is not None
    assert (mailed.parts[0].data["host"], mailed.parts[0].data["description"]) == ("hooks.example.com", "The pager")
    await superuser.execute("update webhook_subscriptions set disabled_at = null, disabled_reason = null")
    assert await mail(pools, mail_id) is None, "it was switched on again"


async def test_two_events_of_one_comment_that_are_at_hand_at_once_tell_of_it_once(
    pools: Pools, superuser: "asyncpg.Connection[Any]", ada: UUID
) -> None:
    """One of them is tried again: neither transaction sees whom the other one tells."""
    asked = structs.replace(task(ada), id=await Town(superuser).task(TEAM, ada))
    said_of: dict[str, Any] = {
        "id": uuids.uuid7(),
        "task_id": asked.id,
        "author_id": SOMEBODY,
        "body": "Is it dry?",
        "version": 8,
    }
    await superuser.execute(
        "insert into comments (team_id, id, task_id, author_id, body, version, created_at, updated_at)"
        " values ($1, $2, $3, $4, $5, $6, now(), now())",
        TEAM,
        *said_of.values(),
    )
    comment = Comment(**said_of, created_at=NOW, updated_at=NOW)
    event: dict[str, Any] = {"team_id": TEAM, "actor_id": SOMEBODY, "at": NOW, "task": asked}
    added = CommentAdded(seq=7, comment=comment, **event)
    mentioning = structs.replace(comment, mentions=(ada,))
    edited = CommentEdited(seq=8, comment=mentioning, previous={"mentions": ()}, **event)

    async def tell(tx: Writing, one: AnyCommentEvent) -> bool:
        return await add_commented(tx, one, f"{TEAM}:1:{one.seq}", now=NOW, collecting=COLLECTING)

    async def tell_of_the_edit() -> bool:
        async with writing(pools.worker) as tx:
            return await tell(tx, edited)

    async with writing(pools.worker) as tx:
        assert await tell(tx, added)
        second = asyncio.ensure_future(tell_of_the_edit())
        waiting = "select exists (select from pg_locks where locktype = 'advisory' and not granted)"
        await until_answered(lambda: superuser.fetchval(waiting))
    assert not await second
    kinds = await superuser.fetch("select kind from notifications where user_id = $1", ada)
    assert [row["kind"] for row in kinds] == ["comment.added"]


async def test_an_erased_user_leaves_no_choice_no_mail_and_no_name(
    pools: Pools, superuser: "asyncpg.Connection[Any]", ada: UUID
) -> None:
    bob = await member(pools, superuser, "bob@example.com")
    await choose(pools, bob, {("task.due_soon", "mail"): False}, digest_hour=5)
    await told(pools, bob, "comment.added", about(uuids.uuid7(), 1))
    await told(pools, ada, "comment.added", about(uuids.uuid7(), 2, actor_id=bob))
    assert await superuser.fetchval("select actor_name from notifications where user_id = $1", ada) == "Name"
    async with writing(pools.worker) as tx:
        await forget_user(tx, bob)
    assert await superuser.fetchval("select actor_name from notifications where user_id = $1", ada) == "Deleted user"
    for table in ("notification_preferences", "notification_mails", "notifications"):
        assert await superuser.fetchval(f"select count(*) from {table} where user_id = $1", bob) == 0
    assert await superuser.fetchval("select digest_hour from users where id = $1", bob) == 7
