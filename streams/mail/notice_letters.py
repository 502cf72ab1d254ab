"""Mails of notifications: what happened about one task, or in a team, as one letter that says how to have no more."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from core.mentions import with_names
from core.notices import KINDS, NoticeKind, said
from db.keyset import Keyset
from db.notices.mails import PURPOSE, Mailed, Part, mail_of
from db.people.mail_preferences import UnsubscribeTokens
from db.transaction import Reading
from streams.mail.letters import Kind, MailJob
from streams.mail.messages import Letter
from streams.paths import UNSUBSCRIBE

__all__ = ["notice_kinds"]


def notice_kinds(keyset: Keyset, site: str) -> Mapping[str, Kind]:
    """The kind of mail that carries notifications, for `Letters`; `site` is as there."""
    return {PURPOSE: Kind(_NoticeLetters(keyset, site).write)}


class _NoticeLetters:
    """It asks each user's wishes itself: one mail may have several kinds of notifications in it."""

    def __init__(self, keyset: Keyset, site: str) -> None:
        self._tokens, self._site = UnsubscribeTokens(keyset), site

    async def write(self, tx: Reading, job: MailJob) -> Letter | None:
        """The letter; None when there is nothing to say any more."""
        mailed = await mail_of(tx, job.subject)
        if mailed is None:
            return None
        kinds = [kind for kind in KINDS if any(part.kind == kind for part in mailed.parts)]
        ways_out = {kind: self._way_out(mailed, kind) for kind in kinds}
        facts = {
            "team": mailed.team_name,
            "task": None if mailed.key is None else {"key": mailed.key, "title": mailed.title},
            "parts": [_shown(part, mailed) for part in mailed.parts],
            "more": mailed.total - len(mailed.parts),
            "url": self._url(mailed),
            "ways_out": [{"about": KINDS[kind].about, "url": url} for kind, url in ways_out.items()],
        }
        return Letter(
            job.id,
            PURPOSE,
            mailed.to.email,
            mailed.to.name,
            _subject(mailed, kinds[0]),
            facts,
            user_id=mailed.to.id,
            unsubscribe=ways_out[kinds[0]],
            thread=_thread(mailed),
        )

    def _way_out(self, mailed: Mailed, kind: NoticeKind) -> str:
        return f"{self._site}{UNSUBSCRIBE}?token={self._tokens.token(mailed.to.id, kind)}"

    def _url(self, mailed: Mailed) -> str:
        """The card, or the team's board."""
        path = f"/#/{mailed.team_id}"
        return self._site + (path if mailed.key is None else f"{path}/{mailed.subject_id}")


def _shown(part: Part, mailed: Mailed) -> dict[str, Any]:
    task = {"key": mailed.key or "", "title": mailed.title or ""}
    return {
        "sentence": said(part.kind, part.actor_name, {**part.data, **task}),
        "excerpt": with_names(part.excerpt, part.mentions, mailed.names).strip(),
        "at": _local(part.at, mailed.to.time_zone),
    }


def _subject(mailed: Mailed, strongest: NoticeKind) -> str:
    """What it is about comes first, because that is what a list of mails shows."""
    first = next(part for part in mailed.parts if part.kind == strongest)
    if mailed.key is None:
        return f"{mailed.team_name}: {said(first.kind, first.actor_name, first.data)}".rstrip(".")
    return f"{mailed.key} {mailed.title}: {_HEADLINES[strongest].format(actor=first.actor_name or 'somebody')}"


def _thread(mailed: Mailed) -> str:
    """The same for all mails to one user about one task, by which a mailbox puts them together."""
    return hashlib.sha256(mailed.subject_id.bytes + mailed.to.id.bytes).hexdigest()[:32] if mailed.key else ""


def _local(moment: datetime, zone: str) -> str:
    there = moment.astimezone(ZoneInfo(zone))
    return f"{there.day} {there:%B, %H:%M}"


_HEADLINES: Final[Mapping[NoticeKind, str]] = {
    "comment.mentioned": "{actor} mentioned you",
    "task.assigned": "{actor} assigned it to you",
    "comment.added": "{actor} commented",
    "task.due_soon": "due soon",
    "task.overdue": "overdue",
    "report.ready": "your report is ready",
    "webhook.failing": "a webhook fails",
    "webhook.disabled": "a webhook was switched off",
    "team.invited": "you are invited",
    "digest.daily": "what is overdue",
}
