"""What a feed sends: events, resets and notices, in two forms, each made once and shared by all readers."""

from collections.abc import Iterable
from typing import Final, Literal
from uuid import UUID

import msgspec

from core.codec import Encoded, JournalRow
from core.events import CommentDeleted, HistoryRedacted, TaskDeleted, event_class
from streams import paths
from streams.cloud_events import cloud_event

__all__ = ["Frame", "Notice", "Reset", "ResetReason", "Sendable", "frames_of", "frames_of_rows"]

ResetReason = Literal["expired", "epoch", "ahead", "broken"]
"""Why a reader must reload the snapshot: its place is too old, of another epoch, not reached yet, or before a hole."""


_REDACTING: Final = frozenset({HistoryRedacted.type, TaskDeleted.type, CommentDeleted.type})


class Frame:
    """One event on its way to readers. `removes` is the user whose membership it ends, if it does."""

    __slots__ = ("_sse", "_ws", "cloud_event", "redacts", "removes", "seq", "type")

    def __init__(self, row: JournalRow, body: bytes) -> None:
        self.seq = row.seq
        self.type = row.type
        self.cloud_event = body
        self.redacts = row.type in _REDACTING
        """Whether the events before it may say what is to be forgotten: none of them is sent as it was any more."""
        self.removes: UUID | None = row.subject if event_class(row.type).ends_membership else None
        self._sse: bytes | None = None
        self._ws: str | None = None

    def sse(self, epoch: int) -> bytes:
        """The event as a Server-Sent Event; the same object every time, a team's epoch being fixed while it is read."""
        if self._sse is None:
            head = f"id: {epoch}:{self.seq}\nevent: {self.type}\ndata: "
            self._sse = b"".join((head.encode(), self.cloud_event, b"\n\n"))
        return self._sse

    def ws(self, epoch: int) -> str:  # noqa: ARG002 (one signature for everything sendable)
        """The event as the text of a WebSocket frame; the same object every time."""
        if self._ws is None:
            self._ws = f'{{"type":"event","seq":{self.seq},"event":{self.cloud_event.decode()}}}'
        return self._ws


class Reset:
    """Tells a reader once that replay is impossible: load `snapshot`, then go on with the events after `seq`."""

    __slots__ = ("reason", "seq", "team_id")

    def __init__(self, team_id: UUID, reason: ResetReason, seq: int) -> None:
        self.team_id, self.reason, self.seq = team_id, reason, seq

    def sse(self, epoch: int) -> bytes:
        """The reset as a Server-Sent Event; its id lets the browser resume after it."""
        return f"id: {epoch}:{self.seq}\nevent: reset\ndata: ".encode() + self._body(epoch) + b"\n\n"

    def ws(self, epoch: int) -> str:
        """The reset as the text of a WebSocket frame."""
        return self._body(epoch).decode()

    def _body(self, epoch: int) -> bytes:
        return msgspec.json.encode(
            {
                "type": "reset",
                "reason": self.reason,
                "seq": self.seq,
                "epoch": epoch,
                "snapshot": paths.TEAM_BOARD.format(team_id=self.team_id),
            }
        )


class Notice:
    """Something for one user, beside the team's events: without a `seq`, and never sent again. `body` is JSON."""

    __slots__ = ("body",)

    def __init__(self, body: bytes) -> None:
        self.body = body

    def sse(self, epoch: int) -> bytes:  # noqa: ARG002 (one signature for everything sendable)
        """The notice as a Server-Sent Event; without an id, so that a reader's place stays what it is."""
        return b"".join((b"event: notice\ndata: ", self._body(), b"\n\n"))

    def ws(self, epoch: int) -> str:  # noqa: ARG002
        """The notice as the text of a WebSocket frame."""
        return self._body().decode()

    def _body(self) -> bytes:
        return b'{"type":"notice","operation":' + self.body + b"}"


Sendable = Frame | Reset | Notice


def frames_of(events: Iterable[Encoded]) -> list[Frame]:
    """Frames of events that were just committed."""
    return frames_of_rows(event.row for event in events)


def frames_of_rows(rows: Iterable[JournalRow]) -> list[Frame]:
    """Frames of journal rows: here each becomes the bytes that all its readers share."""
    return [Frame(row, cloud_event(row)) for row in rows]
