"""Mails of notifications, from the change that somebody makes to what leaves for the reader."""

import email
import email.policy
from datetime import UTC, datetime, timedelta
from email.headerregistry import Address
from pathlib import Path
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
import uuid_utils.compat as uuids
from msgspec import structs

from core.secret import Secret
from db.keyset import Keyset
from db.notices.notify import Notice, notify
from db.notices.releasing import PURPOSE, release
from db.people.mail_preferences import UnsubscribeTokens
from db.settings import DatabaseSettings
from db.transaction import reading, writing
from streams.mail.delivery import Mailbox
from streams.mail.letters import Letters, MailJob
from streams.mail.messages import compose
from streams.mail.notice_letters import notice_kinds
from taskforge.settings import Settings
from tests.streams.test_comment_notifications import Talk
from tests.support.apache_kafka import kafka_settings
from tests.support.site import Site, removed, serving, settings_for
from tests.support.waiting import until
from tests.support.working import working

pytestmark = pytest.mark.anyio

SITE: Final = "https://tasks.example"
KEYSET: Final = Keyset([Secret("a key of this test's own installation")])
SENDER: Final = Address("TaskForge", addr_spec="taskforge@tasks.example")


@pytest.fixture
async def settings(database: DatabaseSettings, valkey_url: str, kafka_bootstrap: str, tmp_path: Path) -> Settings:
    base = structs.replace(settings_for(database, valkey_url), kafka=kafka_settings(kafka_bootstrap))
    return structs.replace(base, mail=structs.replace(base.mail, mailbox=str(tmp_path / "mail"), quiet_seconds=0))


async def opened(site: Site, *names: str) -> Talk:
    """A team and a task, and people who have proven their addresses."""
    talk = Talk(site)
    await talk.open(*names)
    for person in talk.people.values():
        async with writing(site.services.pools.api, UUID(person.user_id)) as tx:
            assert await site.services.identity.verify_email_in(tx, UUID(person.user_id), None)
    return talk


async def letters_of(site: Site, mails: list[UUID], job_id: UUID | None = None) -> list[Any]:
    """The messages as they would leave now."""
    letters, found = Letters(KEYSET, SITE, notice_kinds(KEYSET, SITE)), list[Any]()
    for mail_id in mails:
        async with reading(site.services.pools.worker, None) as tx:
            letter = await letters.letter(tx, MailJob(job_id or uuids.uuid7(), PURPOSE, mail_id))
        if letter is not None:
            message = compose(letter, SENDER).as_bytes()
            found.append(email.message_from_bytes(message, policy=email.policy.default))
    return found


async def mails_to(site: Site, talk: Talk, who: str) -> list[UUID]:
    rows = await site.services.pools.worker.fetch(
        "select distinct mail_id from notifications where user_id = $1 and mail_id is not null",
        UUID(talk.people[who].user_id),
    )
    return [row["mail_id"] for row in rows]


def body(message: Any, kind: str = "plain") -> str:
    return str(message.get_body((kind,)).get_content())


async def test_what_somebody_does_reaches_the_mailbox_of_whom_it_concerns_once(settings: Settings) -> None:
    mailbox = Mailbox(Path(settings.mail.mailbox))

    def news() -> list[Any]:
        return [one for one in mailbox.read() if "Shed" in one.subject]

    async with serving(settings) as site:
        talk = await opened(site, "Olga", "Ann")
        async with working(settings):
            await talk.ask("PATCH", f"/v1/tasks/{talk.task}", "Olga", {"assignee_id": talk.people["Ann"].user_id})
            await until(lambda: len(news()) == 1)
            await talk.say("Ann", "Thank you, @Olga <b>!")
            await until(lambda: len(news()) == 2)
    mention, assignment = news()
    assert "Olga assigned it to you" in assignment.subject
    assert "Ann mentioned you" in mention.subject
    assert "Thank you, @Olga <b>!" in mention.text
    assert "Thank you, @Olga &lt;b&gt;!" in mention.html


async def test_a_burst_is_one_mail_with_a_way_out_for_each_kind_and_links_to_the_card(settings: Settings) -> None:
    late = structs.replace(settings, mail=structs.replace(settings.mail, quiet_seconds=600))
    async with serving(late) as site:
        talk = await opened(site, "Olga", "Ann", "Ben")
        async with talk.heard(late):
            await talk.ask("PATCH", f"/v1/tasks/{talk.task}", "Olga", {"assignee_id": talk.people["Ann"].user_id})
            await talk.say("Ben", "Is it dry?")
            await talk.say("Ben", "@Ann?")
        (mail_id,) = await mails_to(site, talk, "Ann")
        job_id = uuids.uuid7()
        (message,) = await letters_of(site, [mail_id], job_id)
        (again,) = await letters_of(site, [mail_id], job_id)
        assert again.as_bytes() == message.as_bytes(), "sent twice, it is seen to be the same"
        text, html = body(message), body(message, "html")
        assert message["Subject"].endswith("Shed: Ben mentioned you"), "the strongest reason"
        assert [text.index(words) for words in ("assigned", "commented", "mentioned")] == sorted(
            text.index(words) for words in ("assigned", "commented", "mentioned")
        )
        assert f"{SITE}/#/{talk.team}/{talk.task}" in text
        assert "Is it dry?" in text
        assert "Is it dry?" in html
        tokens, ann = UnsubscribeTokens(KEYSET), UUID(talk.people["Ann"].user_id)
        address = message["List-Unsubscribe"].strip("<>")
        assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert tokens.read(address.partition("=")[2]) == (ann, "comment.mentioned")
        for kind in ("comment.mentioned", "task.assigned", "comment.added"):
            assert f"{SITE}/v1/mail/unsubscribe?token={tokens.token(ann, kind)}" in text
            assert tokens.token(ann, kind) in html


async def test_mails_about_one_task_are_one_conversation_to_one_reader(settings: Settings) -> None:
    async with serving(settings) as site:
        talk = await opened(site, "Olga", "Ann", "Ben")
        async with talk.heard(settings):
            await talk.say("Olga", "@Ann and @Ben?")
        of_ann, of_ben = [(await letters_of(site, await mails_to(site, talk, who)))[0] for who in ("Ann", "Ben")]
        (once_more,) = await letters_of(site, await mails_to(site, talk, "Ann"))
        assert of_ann["References"] == once_more["References"] != of_ben["References"]
        assert of_ann["Message-ID"] != once_more["Message-ID"]


async def test_what_is_read_deleted_or_no_longer_theirs_is_not_mailed(settings: Settings) -> None:
    late = structs.replace(settings, mail=structs.replace(settings.mail, quiet_seconds=600))
    async with serving(late) as site:
        talk = await opened(site, "Olga", "Ann", "Ben", "Cid")
        async with talk.heard(late):
            comment = await talk.say("Olga", "@Ann, @Ben and @Cid: a secret")
        mails = {who: await mails_to(site, talk, who) for who in ("Ann", "Ben", "Cid")}
        assert all([len(await letters_of(site, one)) == 1 for one in mails.values()])
        await talk.ask("POST", "/v1/me/notifications/read", "Ann", {"all": True})
        await removed(site, talk.team, talk.people["Olga"], talk.people["Ben"])
        assert await letters_of(site, mails["Ann"]) == [], "read in the app"
        assert await letters_of(site, mails["Ben"]) == [], "in the team no more"
        await talk.ask("DELETE", f"/v1/comments/{comment}", "Olga")
        assert await letters_of(site, mails["Cid"]) == [], "a comment that is gone says nothing"


async def test_moments_are_said_by_the_readers_clock(settings: Settings) -> None:
    async with serving(settings) as site:
        talk = await opened(site, "Olga", "Ann")
        await talk.ask("PATCH", "/v1/me", "Ann", {"time_zone": "Asia/Tokyo"})
        async with talk.heard(settings):
            await talk.say("Olga", "@Ann?")
        (mail_id,) = await mails_to(site, talk, "Ann")
        (message,) = await letters_of(site, [mail_id])
        at = await site.services.pools.worker.fetchval(
            "select created_at from notifications where mail_id = $1", mail_id
        )
        assert f"{at.astimezone(ZoneInfo('Asia/Tokyo')):%H:%M}" in body(message)


async def test_a_name_or_a_title_cannot_write_the_mail(settings: Settings) -> None:
    async with serving(settings) as site:
        talk = await opened(site, "Olga", "Ann")
        await talk.ask("PATCH", f"/v1/tasks/{talk.task}", "Olga", {"title": "{{ 7777 * 7777 }} {actor} <i>Shed"})
        async with talk.heard(settings):
            await talk.say("Olga", "{{ 7777 * 7777 }} @Ann <script>")
        (message,) = await letters_of(site, await mails_to(site, talk, "Ann"))
        assert "{{ 7777 * 7777 }} {actor} <i>Shed" in body(message)
        assert "60481729" not in body(message)
        assert "<script>" not in body(message, "html")
        assert "<i>" not in body(message, "html")


async def test_tasks_that_are_given_at_once_are_one_mail_with_a_list_of_cards(settings: Settings) -> None:
    mailbox = Mailbox(Path(settings.mail.mailbox))
    quiet = structs.replace(settings, mail=structs.replace(settings.mail, quiet_seconds=2))

    def news() -> list[Any]:
        return [one for one in mailbox.read() if "assigned" in one.subject]

    async with serving(quiet) as site:
        talk = await opened(site, "Olga", "Ann")
        await talk.ask("PATCH", "/v1/me", "Ann", {"time_zone": "Asia/Tokyo"})
        async with working(quiet):
            body = {"team_id": talk.team, "assignee_id": talk.people["Ann"].user_id, "due_at": "2036-03-01T20:00:00Z"}
            made = [
                await talk.ask("POST", "/v1/tasks", "Olga", {**body, "title": f"Number {n}", "priority": "high"})
                for n in range(12)
            ]
            await until(lambda: "Number 11" in "".join(one.text for one in news()))
    texts = "".join(one.text for one in news())
    assert len(news()) <= 2, "whatever came after the first had left"
    assert any(one.subject.endswith("tasks were assigned to you") for one in news())
    for task in made:
        assert texts.count(f"/#/{talk.team}/{task['id']}\n") == 1
    assert texts.count("due 2 March 2036, 05:00 · high priority") == 12
    assert "Times are those of Asia/Tokyo." in texts


async def test_a_mail_of_one_task_says_when_it_is_due_and_how_it_matters(settings: Settings) -> None:
    async with serving(settings) as site:
        talk = await opened(site, "Olga", "Ann")
        change = {"assignee_id": talk.people["Ann"].user_id, "due_on": "2036-03-01", "priority": "urgent"}
        async with talk.heard(settings):
            await talk.ask("PATCH", f"/v1/tasks/{talk.task}", "Olga", change)
        (mail_id,) = await mails_to(site, talk, "Ann")
        (message,) = await letters_of(site, [mail_id])
        assert "due 1 March 2036 · urgent priority" in body(message)
        assert "due 1 March 2036 · urgent priority" in body(message, "html")
        assert "No more mails when a task becomes yours" in body(message)
        await talk.ask("PATCH", f"/v1/tasks/{talk.task}", "Olga", {"assignee_id": None})
        assert await letters_of(site, [mail_id]) == [], "it is Ann's no more"


async def test_reports_are_one_mail_that_says_which_and_leads_to_them(settings: Settings) -> None:
    async with serving(settings) as site:
        talk = await opened(site, "Olga")
        olga, team = UUID(talk.people["Olga"].user_id), UUID(talk.team)
        now = datetime.now(UTC)
        async with writing(site.services.pools.worker) as tx:
            for kind, period in (("board", "3 May 2026"), ("overdue", "until 28 November 2026")):
                report_id = uuids.uuid7()
                data = {"report_id": str(report_id), "report": kind, "period": period}
                notice = Notice(team_id=team, event_id=f"report:{report_id}", subject_id=report_id, at=now, data=data)
                assert await notify(tx, olga, "report.ready", notice, now=now)
            assert await release(tx, now + timedelta(hours=1), limit=9) == 1
        (mail_id,) = await mails_to(site, talk, "Olga")
        (message,) = await letters_of(site, [mail_id])
        assert message["Subject"].endswith(": 2 reports are ready")
        text = body(message)
        assert "Your report of the board, 3 May 2026, is ready." in text
        assert "Your report of what is overdue, until 28 November 2026, is ready." in text
        assert f"Open the reports: {SITE}/#/{talk.team}/reports" in text
