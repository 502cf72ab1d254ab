"""What a webhook says, made anew for each attempt: the event as feeds and topics have it, or a message for a chat.

It is made of the journal row, so that what was redacted since the first attempt is not in the next one.
"""

from typing import Final

import msgspec
from msgspec import Struct

from core.webhooks import TEST_TYPE, id_of_test
from db.webhooks.claiming import Claimed
from db.webhooks.naming import Known
from streams import paths
from streams.cloud_events import MEDIA_TYPE, cloud_event
from streams.webhooks.chat import TEST_MESSAGE, message

__all__ = ["Body", "body_of", "test_event"]

_encode: Final = msgspec.json.Encoder().encode


class Body(Struct, frozen=True):
    """The bytes, and their media type."""

    content: bytes
    media_type: bytes


def body_of(claimed: Claimed, known: Known | None, site: str = "") -> Body:
    """What is sent of a delivery whose event is there, or that is a test.

    `known` has the names for a chat's message, `site` is the address of the board that it leads to.
    """
    if claimed.endpoint.format == "slack":
        said = TEST_MESSAGE if claimed.row is None else message(claimed.row, known, site)
        return Body(_encode(said), b"application/json")
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
