"""Mails of notifications: what happened about one task, or in a team, as one letter that says how to have no more."""

import hashlib
from collections.abc import Mapping
from datetime import tzinfo
from typing import Any, Final

from core.mentions import with_names
from core.notice_words import SERIES, due_in_words, said
from core.notices import KINDS, NoticeKind
from db.keyset import Keyset
from db.notices.mails import Mailed, Part, Topic, mail_of
from db.notices.releasing import PURPOSE
from db.people.mail_preferences import UnsubscribeTokens
from db.transaction import Reading
from db.zones import zone_named
from streams.mail.letters import Kind, MailJob
from streams.mail.messages import Letter
from streams.pages import board_page, reports_page, task_page, webhooks_page
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
        zone, alone = zone_named(mailed.to.time_zone), _only_task(mailed)
        page, words = _page_of(mailed, alone)
        facts = {
            "team": mailed.team_name,
            "alone": alone is not None,
            "topics": [self._shown(topic, mailed, zone, page) for topic in mailed.topics],
            "more": mailed.total - len(mailed.parts),
            "zone": mailed.to.time_zone,
            "url": f"{self._site}{page}",
            "open": words,
            "ways_out": [{"about": KINDS[kind].about, "url": url} for kind, url in ways_out.items()],
        }
        return Letter(
            job.id,
            PURPOSE,
            mailed.to.email,
            mailed.to.name,
            _subject(mailed, alone, kinds, zone),
            facts,
            user_id=mailed.to.id,
            unsubscribe=ways_out[kinds[0]],
            thread="" if alone is None else _thread(mailed, alone),
        )

    def _way_out(self, mailed: Mailed, kind: NoticeKind) -> str:
        return f"{self._site}{UNSUBSCRIBE}?token={self._tokens.token(mailed.to.id, kind)}"

    def _shown(self, topic: Topic, mailed: Mailed, zone: tzinfo, page: str) -> dict[str, Any]:
        priority = "" if topic.priority == "none" else f"{topic.priority} priority"
        due = "" if topic.due is None else f"due {due_in_words(topic.due, zone)}"
        return {
            "task": None if topic.task_id is None else {"key": topic.key, "title": topic.title},
            "url": "" if topic.task_id is None else f"{self._site}{task_page(mailed.team_id, topic.task_id)}",
            "state": [words for words in (due, priority) if words],
            "parts": [
                {**_shown(part, topic, mailed, zone), "url": self._own(part, mailed, page)} for part in topic.parts
            ],
        }

    def _own(self, part: Part, mailed: Mailed, page: str) -> str:
        """Where a part leads that is about no task, if the button leads elsewhere than to this page; else empty."""
        if part.kind == "report.ready":
            own = reports_page(mailed.team_id)
        elif part.kind in _OF_WEBHOOKS:
            own = webhooks_page(mailed.team_id, str(part.data.get("webhook_id", "")))
        else:
            return ""
        return "" if own == page else f"{self._site}{own}"


def _only_task(mailed: Mailed) -> Topic | None:
    """The task that the mail is about, if it is about one and nothing else."""
    return mailed.topics[0] if len(mailed.topics) == 1 and mailed.topics[0].task_id is not None else None


def _page_of(mailed: Mailed, alone: Topic | None) -> tuple[str, str]:
    """The path that the button opens, and what it says."""
    if alone is not None and alone.task_id is not None:
        return task_page(mailed.team_id, alone.task_id), "Open the task"
    kinds = {part.kind for part in mailed.parts}
    if kinds == {"report.ready"}:
        return reports_page(mailed.team_id), "Open the reports"
    if kinds <= _OF_WEBHOOKS:
        ids = {str(part.data.get("webhook_id", "")) for part in mailed.parts}
        one = len(ids) == 1
        return webhooks_page(mailed.team_id, *(ids if one else ())), "Open the webhook" if one else "Open the webhooks"
    return board_page(mailed.team_id), "Open the board"


def _shown(part: Part, topic: Topic, mailed: Mailed, zone: tzinfo) -> dict[str, Any]:
    there = part.at.astimezone(zone)
    is_of_due_date = part.kind in {"task.due_soon", "task.overdue"}
    return {
        "sentence": _said(part, topic, zone),
        "excerpt": with_names(part.excerpt, part.mentions, mailed.names).strip(),
        # Of a reminder the time that counts is in its sentence.
        "at": "" if is_of_due_date else f"{there.day} {there:%B, %H:%M}",
    }


def _said(part: Part, topic: Topic, zone: tzinfo) -> str:
    return said(part.kind, part.actor_name, {**part.data, "key": topic.key, "title": topic.title}, zone)


def _subject(mailed: Mailed, alone: Topic | None, kinds: list[NoticeKind], zone: tzinfo) -> str:
    """What it is about comes first, because that is what a list of mails shows."""
    strongest = kinds[0]
    if alone is not None:
        first = next(part for part in alone.parts if part.kind == strongest)
        return f"{alone.key} {alone.title}: {_headline(first, zone)}"
    if mailed.total == 1:
        return f"{mailed.team_name}: {_said(mailed.parts[0], mailed.topics[0], zone)}".rstrip(".")
    several = _SEVERAL[strongest] if len(kinds) == 1 else "{number} things that concern you"
    return f"{mailed.team_name}: {several.format(number=mailed.total)}"


def _headline(part: Part, zone: tzinfo) -> str:
    """In few words, behind the key and title of its task."""
    actor = "the series" if part.data.get("by") == SERIES else part.actor_name or "somebody"
    match part.kind:
        case "comment.mentioned":
            return f"{actor} mentioned you"
        case "task.assigned":
            return f"{actor} assigned it to you"
        case "comment.added":
            return f"{actor} commented"
        case "task.due_soon":
            return "due soon"
        case "task.overdue":
            return "overdue"
        case _:
            return said(part.kind, actor, part.data, zone).rstrip(".")


def _thread(mailed: Mailed, task: Topic) -> str:
    """The same for all mails to one user about one task, by which a mailbox puts them together."""
    assert task.task_id is not None, "it is about a task"
    return hashlib.sha256(task.task_id.bytes + mailed.to.id.bytes).hexdigest()[:32]


_OF_WEBHOOKS: Final = frozenset[NoticeKind]({"webhook.failing", "webhook.disabled"})
_SEVERAL: Final[Mapping[NoticeKind, str]] = {
    "comment.mentioned": "you were mentioned {number} times",
    "task.assigned": "{number} tasks were assigned to you",
    "comment.added": "{number} new comments",
    "task.due_soon": "{number} tasks are due soon",
    "task.overdue": "{number} tasks are overdue",
    "report.ready": "{number} reports are ready",
    "webhook.failing": "{number} webhooks fail",
    "webhook.disabled": "{number} webhooks were switched off",
    "team.invited": "{number} invitations",
    "digest.daily": "what is overdue",
}
