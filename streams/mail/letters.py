"""From a mail job to the letter: what the database knows of its subject, at the moment of sending."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import Struct, structs

from core.notices import KINDS, NoticeKind
from db.ids import made_at
from db.keyset import Keyset
from db.notices.preferences import wants_mail
from db.people import invitations
from db.people.account_tokens import AccountTokens, Purpose
from db.people.invitations import MAIL_PURPOSE
from db.people.mail_preferences import UnsubscribeTokens
from db.people.recipients import Recipient, account_of, leaver, recipient, sign_in
from db.transaction import Reading
from streams.mail.digest import PURPOSE, digest_letter
from streams.mail.messages import Letter
from streams.paths import UNSUBSCRIBE

__all__ = ["Kind", "Letters", "MailJob", "UnknownPurpose"]


class UnknownPurpose(Exception):
    """A job of a later version, or none of ours."""


class MailJob(Struct, frozen=True):
    """A record of the topic: `subject` is a user; of `new-sign-in` a session, of `invitation` that."""

    id: UUID
    purpose: str
    subject: UUID


class Kind(Struct, frozen=True):
    """A kind of mail: how it is written, and what switches it off.

    Without a `preference` it cannot be switched off, because it is about the account or was asked for. With one, the
    letter names the user whose wish counts.
    """

    write: Callable[[Reading, MailJob], Awaitable[Letter | None]]
    preference: NoticeKind | None = None


class Letters:
    """Writes the letters. `site` is the address that people see, without a slash at its end.

    `more` are kinds beside those that are written here, `now` is the time in UTC.
    """

    def __init__(
        self,
        keyset: Keyset,
        site: str,
        more: Mapping[str, Kind] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._tokens, self._keyset, self._site, self._now = AccountTokens(keyset), keyset, site, now
        self._unsubscribe = UnsubscribeTokens(keyset)
        self._kinds: Final[Mapping[str, Kind]] = {
            "verify-email": Kind(self._verify_email),
            "reset-password": Kind(self._reset_password),
            "password-changed": Kind(self._password_changed),
            "new-sign-in": Kind(self._new_sign_in),
            "account-deleted": Kind(self._account_deleted),
            MAIL_PURPOSE: Kind(self._invitation),
            PURPOSE: Kind(self._digest, "digest.daily"),
            **(more or {}),
        }

    async def letter(self, tx: Reading, job: MailJob) -> Letter | None:
        """The letter, or None when there is nothing to say any more, or the user does not want it.

        Raises UnknownPurpose for one that this version does not know.
        """
        kind = self._kinds.get(job.purpose)
        if kind is None:
            raise UnknownPurpose(f"no mail for the purpose {job.purpose}")
        letter = await kind.write(tx, job)
        if letter is None or kind.preference is None:
            return letter
        return await self._if_wanted(tx, letter, kind.preference)

    async def _if_wanted(self, tx: Reading, letter: Letter, preference: NoticeKind) -> Letter | None:
        """The letter with a link that switches its sort off, unless it is off. Raises ValueError if it is nobody's."""
        if letter.user_id is None:
            raise ValueError(f"a mail that can be switched off names its user: {letter.template}")
        if not await wants_mail(tx, letter.user_id, preference):
            return None
        token = self._unsubscribe.token(letter.user_id, preference)
        url = f"{self._site}{UNSUBSCRIBE}?token={token}"
        return structs.replace(letter, unsubscribe=url, about=KINDS[preference].about)

    async def _verify_email(self, tx: Reading, job: MailJob) -> Letter | None:
        return await self._with_token(tx, job, "verify-email", "Confirm your address", "/verify-email")

    async def _reset_password(self, tx: Reading, job: MailJob) -> Letter | None:
        return await self._with_token(tx, job, "reset-password", "Choose a new password", "/reset-password")

    async def _with_token(self, tx: Reading, job: MailJob, purpose: Purpose, subject: str, page: str) -> Letter | None:
        found, asked = await recipient(tx, job.subject), await self._tokens.for_mail(tx, purpose, job.id)
        if found is None or asked is None:
            return None
        # Behind #, so that no server and no log sees it, and no scanner that only fetches the page uses it up.
        facts = {"url": f"{self._site}{page}#token={asked.token}"}
        return Letter(job.id, purpose, asked.email or found.email, found.name, subject, facts)

    async def _invitation(self, tx: Reading, job: MailJob) -> Letter | None:
        found = await invitations.for_mail(tx, self._keyset, job.subject, job.id)
        if found is None:
            return None
        facts = {
            "team": found.team_name,
            "inviter": found.inviter_name,
            "role": f"{'an' if found.role[0] in 'aeiou' else 'a'} {found.role}",
            "until": f"{found.expires_at.day} {found.expires_at:%B %Y}",
            "url": f"{self._site}/invitation#token={found.token}",
        }
        subject = f"{found.inviter_name} invites you to {found.team_name}"
        letter = Letter(job.id, job.purpose, found.email, "", subject, facts)
        # Whoever has an account may want no invitations; anybody else is asked nothing, and can say nothing.
        invited = await account_of(tx, found.email)
        if invited is None:
            return letter
        return await self._if_wanted(tx, structs.replace(letter, user_id=invited), "team.invited")

    async def _password_changed(self, tx: Reading, job: MailJob) -> Letter | None:
        found = await recipient(tx, job.subject)
        if found is None:
            return None
        facts = {"at": _local(made_at(job.id), found), "url": f"{self._site}/forgot-password"}
        return Letter(job.id, job.purpose, found.email, found.name, "Your password was changed", facts)

    async def _account_deleted(self, tx: Reading, job: MailJob) -> Letter | None:
        found = await leaver(tx, job.subject)
        if found is None:
            return None
        facts = {"at": _local(made_at(job.id), found)}
        return Letter(job.id, job.purpose, found.email, found.name, "Your account was deleted", facts)

    async def _digest(self, tx: Reading, job: MailJob) -> Letter | None:
        return await digest_letter(tx, job.id, job.subject, self._site, self._now())

    async def _new_sign_in(self, tx: Reading, job: MailJob) -> Letter | None:
        session = await sign_in(tx, job.subject)
        found = None if session is None else await recipient(tx, session.user_id)
        if session is None or found is None:
            return None
        facts = {
            "at": _local(session.created_at, found),
            "address": session.ip or "an unknown address",
            "client": session.user_agent[:200] or "an unknown program",
            "url": f"{self._site}/account",
        }
        return Letter(job.id, job.purpose, found.email, found.name, "A new sign-in to your account", facts)


def _local(moment: datetime, found: Recipient) -> str:
    """The moment by the clock of whoever reads it."""
    local = moment.astimezone(ZoneInfo(found.time_zone))
    return f"{local.day} {local:%B %Y, %H:%M} ({found.time_zone})"
