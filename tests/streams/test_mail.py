"""Mails: what they say, how they leave over a real SMTP server, and how often."""

import email
import stat
from email.policy import SMTP
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import uuid_utils.compat as uuids
from msgspec import structs

from core.secret import Secret
from db import outbox
from db.keyset import Keyset
from db.people.account_tokens import AccountTokens
from db.people.identity import Identity
from db.people.mail_preferences import UnsubscribeTokens, choose_mails_in
from db.people.recipients import recipient
from db.people.sessions import Client, Lifetimes
from db.pool import Pools
from db.transaction import Reading, reading, writing
from streams.consumers.mail import NoDelivery, mail
from streams.consumers.plan import Permanent
from streams.mail import delivery as delivering
from streams.mail.delivery import Delivery, Mailbox, SmtpServer
from streams.mail.letters import Kind, Letters, MailJob
from streams.mail.messages import Letter, compose
from streams.mail.senders import sender_address
from tests.support.mail_sink import mail_sink

pytestmark = pytest.mark.anyio

SENDER = sender_address("TaskForge <hello@tasks.example>")
KEYSET = Keyset([Secret("0123456789abcdef0123456789abcdef")])
TOKENS = AccountTokens(KEYSET)
LETTERS = Letters(KEYSET, "https://tasks.example")


def a_letter(**changes: Any) -> Letter:
    facts = {"url": "https://tasks.example/verify-email#token=tfm_x"}
    letter = Letter(uuids.uuid7(), "verify-email", "ada@example.com", "Ada", "Confirm your address", facts)
    return structs.replace(letter, **changes)


def parsed(data: bytes) -> Any:
    return email.message_from_bytes(data, policy=SMTP)


async def a_user(pools: Pools, address: str = "ada@example.com") -> UUID:
    identity = Identity(pools.api, Lifetimes(idle=3600, absolute=7200, grace=10))
    grant = await identity.sign_up(address, "Ada <script>", "hash", Client("Firefox", "192.0.2.7"))
    return grant.principal.user_id


async def asked(pools: Pools, user_id: UUID) -> MailJob:
    async with writing(pools.api, user_id) as tx:
        await TOKENS.ask_in(tx, "reset-password", user_id)
    return await newest(pools)


async def newest(pools: Pools) -> MailJob:
    async with reading(pools.worker, None) as tx:
        row = await tx.fetchrow("select payload from outbox order by position desc limit 1")
    assert row is not None
    job: MailJob = mail(pools.worker, LETTERS, None, SENDER).read(row["payload"].encode())
    return job


async def handled(pools: Pools, delivery: Delivery | None, job: MailJob) -> str:
    plan = mail(pools.worker, LETTERS, delivery, SENDER)
    return await plan.handle(plan.name, job)


@pytest.mark.parametrize("tls", ["starttls", "smtps"])
async def test_a_mail_leaves_over_tls_with_a_login_once(pools: Pools, tmp_path: Path, tls: str) -> None:
    user_id = await a_user(pools)
    job = await asked(pools, user_id)
    with mail_sink(tmp_path, tls=tls) as (sink, url, trust):
        server = SmtpServer(url, trust=trust)
        await server.check()
        assert [await handled(pools, server, job) for _ in range(2)] == ["applied", "passed"]
    (data,) = sink.mails
    message = parsed(data)
    assert (message["To"], message["From"]) == ('"Ada <script>" <ada@example.com>', "TaskForge <hello@tasks.example>")
    assert message["Message-ID"] == f"<{job.id}@tasks.example>"
    assert message["Auto-Submitted"] == "auto-generated"
    text, html = (message.get_body((kind,)).get_content() for kind in ("plain", "html"))
    link = next(line for line in text.splitlines() if line.startswith("https://tasks.example/reset-password#token="))
    assert html.count(link) == 2
    assert "Ada &lt;script&gt;" in html
    async with reading(pools.api, None) as tx:
        assert await TOKENS.owner_in(tx, "reset-password", link.partition("=")[2]) == user_id


async def test_a_certificate_that_nobody_trusts_gets_no_mail(tmp_path: Path) -> None:
    with mail_sink(tmp_path, tls="smtps") as (sink, url, _):
        with pytest.raises(Exception, match=r"(?i)certificate"):
            await SmtpServer(url).send(compose(a_letter(), SENDER))
        assert sink.mails == []


@pytest.mark.parametrize("said", ["550 no such user", "554 refused"])
async def test_a_refusal_for_good_is_permanent(pools: Pools, tmp_path: Path, said: str) -> None:
    job = await asked(pools, await a_user(pools))
    with mail_sink(tmp_path) as (sink, url, trust):
        sink.said = said
        with pytest.raises(Permanent, match=said[:3]):
            await handled(pools, SmtpServer(url, trust=trust), job)
        sink.said = None
        assert await handled(pools, SmtpServer(url, trust=trust), job) == "applied", "a replay sends it"
        assert len(sink.mails) == 1


async def test_a_server_that_is_full_slow_or_down_gets_the_same_bytes_later(
    pools: Pools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await asked(pools, await a_user(pools))
    monkeypatch.setattr(delivering, "SEND_SECONDS", 0.5)
    with pytest.raises(OSError, match=r"(?i)connect"):
        await handled(pools, SmtpServer("smtp://127.0.0.1:9"), job)
    with mail_sink(tmp_path) as (sink, url, trust):
        server = SmtpServer(url, trust=trust)
        sink.said = "451 try again"
        with pytest.raises(Exception, match="try again") as refused:
            await handled(pools, server, job)
        assert not isinstance(refused.value, Permanent)
        sink.said, sink.hanging = None, True
        with pytest.raises(TimeoutError):
            await handled(pools, server, job)
        sink.hanging = False
        assert await handled(pools, server, job) == "applied"
        await server.send(compose(await letter_of(pools, job), SENDER))
        # The one that hung may have been taken, too: at least once, and to be recognised.
        assert len(set(sink.mails)) == 1


async def letter_of(pools: Pools, job: MailJob) -> Letter:
    async with reading(pools.worker, None) as tx:
        letter = await LETTERS.letter(tx, job)
    assert letter is not None
    return letter


async def test_the_login_that_is_refused_says_nothing_about_the_mail(pools: Pools, tmp_path: Path) -> None:
    job = await asked(pools, await a_user(pools))
    with mail_sink(tmp_path) as (_, url, trust):
        with pytest.raises(Exception, match="535") as refused:
            await handled(pools, SmtpServer(url.replace("mailer", "stranger"), trust=trust), job)
        assert not isinstance(refused.value, Permanent)


async def test_what_was_used_or_is_gone_is_not_sent(pools: Pools, tmp_path: Path) -> None:
    user_id = await a_user(pools)
    job = await asked(pools, user_id)
    mailbox = Mailbox(tmp_path / "mail")
    async with writing(pools.api, user_id) as tx:
        await TOKENS.void_in(tx, "reset-password", user_id)
    assert await handled(pools, mailbox, job) == "passed"
    nobody = MailJob(uuids.uuid7(), "password-changed", uuids.uuid7())
    assert await handled(pools, mailbox, nobody) == "passed"
    old = structs.replace(nobody, id=UUID(int=(1_000 << 80) | (nobody.id.int & ((1 << 80) - 1))), subject=user_id)
    assert await handled(pools, mailbox, old) == "expired"
    assert mailbox.read() == []
    with pytest.raises(Permanent):
        await handled(pools, mailbox, MailJob(uuids.uuid7(), "something-else", user_id))
    with pytest.raises(NoDelivery):
        await handled(pools, None, MailJob(uuids.uuid7(), "password-changed", user_id))


async def test_a_new_sign_in_names_when_where_and_with_what(pools: Pools, tmp_path: Path) -> None:
    user_id, mailbox = await a_user(pools), Mailbox(tmp_path / "mail")
    async with writing(pools.api, user_id) as tx:
        session = await tx.fetchval("select id from sessions")
        await tx.execute("update users set time_zone = 'Asia/Kathmandu'")
        await outbox.put(tx, outbox.MAIL, "new-sign-in", session)
    assert await handled(pools, mailbox, await newest(pools)) == "applied"
    (found,) = mailbox.read()
    assert "192.0.2.7" in found.text
    assert "Firefox" in found.text
    assert "(Asia/Kathmandu)" in found.text
    assert stat.S_IMODE((tmp_path / "mail").stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "mail").iterdir()} == {0o600}


async def test_the_mailbox_keeps_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivering, "KEPT", 3)
    mailbox = Mailbox(tmp_path)
    for number in range(5):
        await mailbox.send(compose(a_letter(subject=f"Mail {number}"), SENDER))
    assert [found.subject for found in mailbox.read()] == ["Mail 4", "Mail 3", "Mail 2"]


@pytest.mark.parametrize(
    "name",
    [
        "Ada\r\nBcc: everybody@example.com",
        "Ada\nBcc: everybody@example.com",
        "Ada\rBcc: everybody@example.com",
        "Ada\x0bBcc: everybody@example.com",
        "Ada\x85Bcc: everybody@example.com",
        "Ada\u2028Bcc: everybody@example.com",
        '"Ada", everybody@example.com, "',
        "Ada <everybody@example.com>",
        "=?utf-8?q?Ada=0D=0ABcc=3A_everybody=40example=2Ecom?=",
        "Ada\x00",
        "Ádá 日本語 🙂",
    ],
)
def test_no_name_adds_a_header_or_a_recipient(name: str) -> None:
    for letter in (a_letter(name=name), a_letter(subject=f"Join {name}")):
        message = parsed(compose(letter, SENDER).as_bytes())
        assert [header.lower() for header in message] == [
            "from", "to", "subject", "date", "message-id", "auto-submitted", "mime-version", "content-type",
        ]  # fmt: skip
        assert [address.addr_spec for address in message["To"].addresses] == ["ada@example.com"]


@pytest.mark.parametrize(
    "address", ["ada@example.com\r\nBcc: x@example.com", "ada", "a@b@c", "ada@example.com, b@c.de"]
)
def test_an_address_that_cannot_stand_in_a_header_is_refused(address: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (of the library, in words that change)
        compose(a_letter(email=address), SENDER)


def test_the_same_job_is_the_same_bytes() -> None:
    letter = a_letter()
    assert compose(letter, SENDER).as_bytes() == compose(letter, SENDER).as_bytes()


@pytest.mark.parametrize(
    ("kept", "sent"),
    [
        ("ada@b\u00fccher.example", "ada@xn--bcher-kva.example"),
        ("ada@example.com", "ada@example.com"),
        ("ada@xn--i-7iq.example", "ada@xn--i-7iq.example"),
    ],
)
async def test_a_domain_leaves_in_letters_that_every_server_takes(kept: str, sent: str) -> None:
    message = parsed(compose(a_letter(email=kept), SENDER).as_bytes())
    assert message["To"].addresses[0].addr_spec == sent


DIGEST = "https://tasks.example/v1/mail/unsubscribe?token=tfu_"


async def a_digest(tx: Reading, job: MailJob) -> Letter | None:
    """A kind of mail as later ones will be: it names whose wish counts."""
    found = await recipient(tx, job.subject)
    facts = {"url": "https://tasks.example/", "at": "now"}
    return (
        None
        if found is None
        else Letter(job.id, "password-changed", found.email, found.name, "Your week", facts, user_id=found.id)
    )


def with_digest(site: str = "https://tasks.example") -> Letters:
    return Letters(KEYSET, site, {"digest": Kind(a_digest, "digest.daily")})


async def digest_of(pools: Pools, user_id: UUID, letters: Letters | None = None) -> Any:
    """The mail as it left, or None when none did."""
    async with reading(pools.worker, None) as tx:
        letter = await (letters or with_digest()).letter(tx, MailJob(uuids.uuid7(), "digest", user_id))
    return None if letter is None else parsed(compose(letter, SENDER).as_bytes())


async def test_a_mail_that_can_be_switched_off_says_how_in_its_head_and_at_its_foot(pools: Pools) -> None:
    user_id = await a_user(pools)
    message = await digest_of(pools, user_id)
    address = message["List-Unsubscribe"].strip("<>")
    assert address.startswith(DIGEST)
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert UnsubscribeTokens(KEYSET).read(address.partition("=")[2]) == (user_id, "digest.daily")
    text, html = (message.get_body((kind,)).get_content() for kind in ("plain", "html"))
    assert address in text
    assert address in html
    assert "cannot be switched off" not in html
    plain = await digest_of(pools, user_id, with_digest("http://localhost:8000"))
    assert "List-Unsubscribe" in plain
    assert "List-Unsubscribe-Post" not in plain, "RFC 8058 knows https only"


async def test_a_mail_that_is_not_wanted_does_not_leave(pools: Pools, tmp_path: Path) -> None:
    user_id, other, mailbox = await a_user(pools), await a_user(pools, "bob@example.com"), Mailbox(tmp_path / "mail")
    async with writing(pools.api, user_id) as tx:
        await choose_mails_in(tx, user_id, {"digest": False})
    plan = mail(pools.worker, with_digest(), mailbox, SENDER)
    jobs = [MailJob(uuids.uuid7(), "digest", asked_for) for asked_for in (user_id, other)]
    assert [await plan.handle(plan.name, job) for job in jobs] == ["passed", "applied"]
    assert [found.to for found in mailbox.read()] == ['"Ada <script>" <bob@example.com>']
    async with writing(pools.api, user_id) as tx:
        await choose_mails_in(tx, user_id, {"digest": True, "mentions": False})
    assert await digest_of(pools, user_id) is not None, "another wish does not stop it"


async def test_mails_about_the_account_always_come_and_offer_no_way_out(pools: Pools) -> None:
    user_id = await a_user(pools)
    async with writing(pools.api, user_id) as tx:
        await choose_mails_in(tx, user_id, {"digest": False, "mentions": False, "assignments": False})
    message = parsed(compose(await letter_of(pools, await asked(pools, user_id)), SENDER).as_bytes())
    assert "List-Unsubscribe" not in message
    assert "cannot be switched off" in message.get_body(("html",)).get_content()


async def test_a_kind_that_can_be_switched_off_must_say_whose_wish_counts(pools: Pools) -> None:
    async def nobodys(tx: Reading, job: MailJob) -> Letter | None:
        letter = await a_digest(tx, job)
        return None if letter is None else structs.replace(letter, user_id=None)

    letters = Letters(KEYSET, "https://tasks.example", {"digest": Kind(nobodys, "digest.daily")})
    with pytest.raises(ValueError, match="names its user"):
        await digest_of(pools, await a_user(pools), letters)
