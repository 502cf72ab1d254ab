"""A message for a chat that speaks Slack's: what happened, to which card and in which team, and the way there.

`blocks` hold titles, names and comments as text elements, which no chat reads as markup: nothing in them is escaped,
so that what is copied from them is what was written. `text` is for notifications and for chats that know no blocks.
https://docs.slack.dev/reference/block-kit/blocks/rich-text-block
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from core.codec import JournalRow, decode
from core.events import AnyEvent, AnyTaskEvent, AttachmentEvent, CommentEvent
from core.mentions import with_names
from core.sentences import Names, references_of, sentence
from core.upcasts import UnknownEvent
from db.webhooks.naming import Known
from streams.pages import task_page

__all__ = ["TEST_MESSAGE", "escaped", "message", "read_event", "things_named"]

Block = Mapping[str, Any]

MOST: Final = 700
"""Characters of a title or a sentence: Slack takes 3,000 in a block."""
MOST_EXCERPT: Final = 200
_NOBODY: Final = Known({}, "UTC", "")


class _Card(Struct, frozen=True):
    """The task that it is about, as people call it, and its address; "" while nobody knows where the board is."""

    label: str
    url: str


def read_event(row: JournalRow) -> AnyEvent | None:
    """The event of a row; None for one that this version does not know."""
    try:
        return decode(row)
    except (UnknownEvent, msgspec.MsgspecError):
        return None


def things_named(row: JournalRow, event: AnyEvent | None) -> set[UUID]:
    """The ids in the event that a message about it names."""
    mentioned = event.comment.mentions if isinstance(event, CommentEvent) and not row.redacted else ()
    return {*(references_of(event) if isinstance(event, AnyTaskEvent) else {row.actor_id}), *mentioned}


def message(row: JournalRow, known: Known | None, site: str) -> Mapping[str, Any]:
    """The message about an event. `known` has the names in it, `site` is where the board is."""
    known = known or _NOBODY
    event = read_event(row)
    line = _cut(sentence(row, event, Names(known.names, ZoneInfo(known.time_zone))), MOST)
    return _said(_card(row, event, site), line, _excerpt(row, event, known), _cut(known.team, MOST))


def _said(card: _Card | None, line: str, excerpt: str, team: str) -> Mapping[str, Any]:
    lines = [_linked(card)] if card is not None else []
    lines += [escaped(part) for part in (line, excerpt, team) if part]
    section = {"type": "rich_text_section", "elements": [*_elements(card), {"type": "text", "text": line}]}
    blocks: list[Block] = [{"type": "rich_text", "elements": [section, *_quote(excerpt)]}]
    if team:
        name = {"type": "plain_text", "text": team, "emoji": False}
        blocks.append({"type": "context", "elements": [name]})
    return {"text": "\n".join(lines), "blocks": blocks}


def _elements(card: _Card | None) -> Sequence[Block]:
    if card is None:
        return ()
    title: dict[str, Any] = {"text": card.label, "style": {"bold": True}}
    title |= {"type": "link", "url": card.url} if card.url else {"type": "text"}
    return (title, {"type": "text", "text": "\n"})


def _quote(excerpt: str) -> Sequence[Block]:
    if not excerpt:
        return ()
    return ({"type": "rich_text_quote", "elements": [{"type": "text", "text": excerpt}]},)


def _linked(card: _Card) -> str:
    label = escaped(card.label)
    return f"<{card.url}|{label}>" if card.url else label


def _card(row: JournalRow, event: AnyEvent | None, site: str) -> _Card | None:
    if row.redacted or not isinstance(event, AnyTaskEvent | CommentEvent | AttachmentEvent):
        return None
    task = event.task
    url = f"{site}{task_page(row.team_id, task.id)}" if site else ""
    return _Card(_cut(f"{task.key} {task.title}", MOST), url)


def _excerpt(row: JournalRow, event: AnyEvent | None, known: Known) -> str:
    """How the comment begins, in one line."""
    if row.redacted or not isinstance(event, CommentEvent):
        return ""
    comment = event.comment
    return _cut(" ".join(with_names(comment.body, comment.mentions, known.names).split()), MOST_EXCERPT)


def escaped(text: str) -> str:
    """Text for `text`, in which three characters are Slack's own (https://docs.slack.dev/messaging/formatting)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


TEST_MESSAGE: Final = _said(None, "This is a test of TaskForge: nothing has happened.", "", "")
