"""What a webhook says: the event as feeds and topics have it, or a line for a chat. Made anew for each attempt.

It is made of the journal row, so that what was redacted since the first attempt is not in the next one.
"""

from collections.abc import Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from core.codec import JournalRow, decode
from core.events import AnyEvent, AnyTaskEvent, AttachmentEvent, CommentEvent
from core.sentences import Names, references_of, sentence
from core.upcasts import UnknownEvent
from core.webhooks import TEST_TYPE, id_of_test
from db.webhooks.claiming import Claimed
from db.webhooks.naming import Known
from streams import paths
from streams.cloud_events import MEDIA_TYPE, cloud_event

__all__ = ["Body", "body_of", "escaped", "read_event", "test_event", "things_named"]

MOST_SLACK: Final = 2_900
"""Characters of a block's text: Slack takes 3,000."""

_encode: Final = msgspec.json.Encoder().encode


class Body(Struct, frozen=True):
    """The bytes, and their media type."""

    content: bytes
    media_type: bytes


def body_of(claimed: Claimed, known: Known | None) -> Body:
    """What is sent of a delivery whose event is there, or that is a test. `known` has the names for a chat's line."""
    if claimed.endpoint.format == "slack":
        return Body(_slack(claimed, known), b"application/json")
    content = test_event(claimed) if claimed.row is None else cloud_event(claimed.row)
    return Body(content, MEDIA_TYPE.encode())


def test_event(claimed: Claimed) -> bytes:
    """The CloudEvent that tries a subscription out: always the same bytes for the same delivery."""
    return _encode(
        {
            "specversion": "1.0",
            "id": id_of_test(claimed.id),
            "source": paths.TEAM.format(team_id=claimed.endpoint.team_id),
            "type": TEST_TYPE,
            "subject": claimed.endpoint.id,
            "time": claimed.happened_at,
            "datacontenttype": "application/json",
            "teamid": claimed.endpoint.team_id,
            "data": {"subscription_id": claimed.endpoint.id, "message": "This is a test: nothing has happened."},
        }
    )


def read_event(row: JournalRow) -> AnyEvent | None:
    """The event of a row; None for one that this version does not know."""
    try:
        return decode(row)
    except (UnknownEvent, msgspec.MsgspecError):
        return None


def things_named(row: JournalRow, event: AnyEvent | None) -> set[Any]:
    """The ids in the event that a sentence about it names."""
    return references_of(event) if isinstance(event, AnyTaskEvent) else {row.actor_id}


def _slack(claimed: Claimed, known: Known | None) -> bytes:
    text = _TEST_TEXT if claimed.row is None else _said(claimed.row, known)
    block: Mapping[str, Any] = {"type": "section", "text": {"type": "mrkdwn", "text": text}}
    return _encode({"text": text, "blocks": [block]})


def _said(row: JournalRow, known: Known | None) -> str:
    event = read_event(row)
    names = Names({} if known is None else known.names, ZoneInfo("UTC" if known is None else known.time_zone))
    line = escaped(_cut(sentence(row, event, names)))
    if isinstance(event, AnyTaskEvent | CommentEvent | AttachmentEvent) and not row.redacted:
        task = getattr(event, "task", None)
        if task is not None and getattr(task, "title", None) is not None:
            return f"*{escaped(task.key)}* {escaped(_cut(task.title))}\n{line}"
    return line


def escaped(text: str) -> str:
    """Text as mrkdwn shows it as it is: three characters are its own (https://docs.slack.dev/messaging/formatting).

    What would be bold or a link to somebody is broken by an invisible character, as Slack itself does not escape it.
    """
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\N{WORD JOINER}{character}" if character in _MARKS else character for character in text)


def _cut(text: str) -> str:
    return text if len(text) <= MOST_SLACK // 4 else text[: MOST_SLACK // 4 - 1] + "…"


_MARKS: Final = "*_~`"
_TEST_TEXT: Final = "This is a test of TaskForge: nothing has happened."
