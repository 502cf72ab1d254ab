"""Lists come in pages: the query that asks for one, the cursors between them, and how a page is written.

A cursor is base64url (no padding) of the msgpack array [version, list, place]: opaque to clients, of one list, and of
this version of it. It is neither signed nor secret, because it carries no right, only a place in an order; whoever
forges one gets a 400, or a page that they could have asked for anyway. Everything is checked here, once, so that no
value reaches the board's order or SQL that no task could have.
"""

import base64
import math
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Generic, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from core.errors import BadInput
from core.query import SortField, SortKey, TaskQuery
from core.seq import MAX_SEQ
from core.task import LAST_YEAR, check_moment

__all__ = [
    "ACTIVITY",
    "ATTACHMENTS",
    "AUDIT",
    "COMMENTS",
    "COMMENT_EDITS",
    "COLUMNS",
    "DELIVERIES",
    "FORMER_MEMBERS",
    "INVITATIONS",
    "LABELS",
    "LONGEST_CURSOR",
    "MEMBERS",
    "NO_EPOCH",
    "NOTIFICATIONS",
    "OVERDUE",
    "REPORTS",
    "SESSIONS",
    "TEAMS",
    "WEBHOOKS",
    "Cursors",
    "PageQuery",
    "page_json",
    "page_of",
    "task_cursor",
    "task_place",
]

T = TypeVar("T")
P = TypeVar("P")

VERSION: Final = 1
"""Raise it whenever a place changes its shape: cursors of before are then refused as too old."""
LONGEST_CURSOR: Final = 4_000
"""Characters. A title of 500 characters outside the basic plane makes a cursor of 2,750."""

Token = Annotated[str, Meta(min_length=1, max_length=LONGEST_CURSOR)]


class PageQuery(Struct, frozen=True, kw_only=True):
    """`limit` 1 to 100, `cursor` opaque."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 50
    cursor: Token | None = None


class _Cursor(Struct, array_like=True):
    version: int
    name: str
    place: msgspec.Raw


_encode = msgspec.msgpack.Encoder(uuid_format="bytes").encode
_decode = msgspec.msgpack.Decoder(_Cursor).decode


class Cursors(Generic[P]):
    """The cursors of one list. `fits` refuses places of the right type that no item of the list could have."""

    def __init__(self, name: str, place: Any, fits: Callable[[P], bool] = lambda _: True) -> None:
        self._name = name
        self._decode: Callable[[msgspec.Raw], P] = msgspec.msgpack.Decoder(place).decode
        self._fits = fits

    def write(self, place: P) -> str:
        """The cursor after the item at this place."""
        token = _encode(_Cursor(VERSION, self._name, msgspec.Raw(_encode(place))))
        return base64.urlsafe_b64encode(token).rstrip(b"=").decode()

    def read(self, token: str) -> P:
        """The place in a cursor of `write`. Raises BadInput for a forged one, one of another list, or an old one."""
        try:
            raw = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
            cursor = _decode(raw)
            if (cursor.version, cursor.name) == (VERSION, self._name):
                place = self._decode(cursor.place)
                if self._fits(place):
                    return place
        except (ValueError, RecursionError, msgspec.MsgspecError) as error:
            raise _refused() from error
        raise _refused()


def _refused() -> BadInput:
    return BadInput("This cursor is not one of this list's, or too old: begin with the first page.", parameter="cursor")


_Seq = Annotated[int, Meta(ge=1, le=MAX_SEQ)]

ACTIVITY: Final = Cursors[tuple[int, int]]("activity", tuple[_Seq, _Seq])
"""The epoch in which the page was read, and the seq of its last event."""
API_KEYS: Final = Cursors[UUID]("api-keys", UUID)
ATTACHMENTS: Final = Cursors[UUID]("attachments", UUID)
AUDIT: Final = Cursors[tuple[int, int]]("audit", tuple[_Seq, _Seq])
"""The same, of a page of the team's audit."""
COMMENTS: Final = Cursors[tuple[int, bool, datetime, UUID]](
    "comments", tuple[_Seq, bool, Annotated[datetime, Meta(tz=True)], UUID]
)
"""The epoch, whether the newest come first, and when the last one was written."""
COMMENT_EDITS: Final = Cursors[tuple[int, int]]("comment-edits", tuple[_Seq, _Seq])
"""As in a page of activity."""
DELIVERIES: Final = Cursors[UUID]("deliveries", UUID)
FORMER_MEMBERS: Final = Cursors[tuple[datetime, UUID]]("former", tuple[Annotated[datetime, Meta(tz=True)], UUID])
IDENTITIES: Final = Cursors[UUID]("identities", UUID)
INVITATIONS: Final = Cursors[UUID]("invitations", UUID)
COLUMNS: Final = Cursors[tuple[str, UUID]]("columns", tuple[str, UUID])
LABELS: Final = Cursors[tuple[str, UUID]]("labels", tuple[str, UUID])
MEMBERS: Final = Cursors[tuple[datetime, UUID]]("members", tuple[Annotated[datetime, Meta(tz=True)], UUID])
NOTIFICATIONS: Final = Cursors[UUID]("notifications", UUID)
OVERDUE: Final = Cursors[UUID]("overdue", UUID)
REPORTS: Final = Cursors[UUID]("reports", UUID)
SESSIONS: Final = Cursors[UUID]("sessions", UUID)
WEBHOOKS: Final = Cursors[UUID]("webhooks", UUID)
TEAMS: Final = Cursors[UUID]("teams", UUID)


NO_EPOCH: Final = 0
"""In a cursor of several teams' tasks, which have no epoch in common, and of programs before there were any."""


class _TaskPlace(Struct, array_like=True):
    sort: SortField
    descending: bool
    missing: bool
    value: Any
    id: UUID
    epoch: Annotated[int, Meta(ge=0, le=MAX_SEQ)] = NO_EPOCH


def task_cursor(query: TaskQuery, last: SortKey, epoch: int = NO_EPOCH) -> str:
    """The cursor after the task with this sort key, in the query's order, of a page of a team in this epoch."""
    return _TASKS.write(_TaskPlace(query.sort, query.descending, *last, epoch))


def task_place(token: str, sort: SortField, *, descending: bool) -> tuple[SortKey, int]:
    """The sort key and the epoch in a cursor of `task_cursor`. Raises BadInput, also for a cursor of another order."""
    place = _TASKS.read(token)
    if (place.sort, place.descending) != (sort, descending):
        raise BadInput("This cursor belongs to another sort order.", parameter="cursor")
    return (place.missing, place.value, place.id), place.epoch


def _fits(place: _TaskPlace) -> bool:
    """Whether the value compares with those of tasks in memory, and can be sent to Postgres as the column's type."""
    sort, value = place.sort, place.value
    if place.missing:
        return type(value) is int and value == 0
    match sort:
        case "due_at":
            # The last day ends in the year after, west of Greenwich.
            return isinstance(value, datetime) and _is_a_moment(value.replace(year=min(value.year, LAST_YEAR), day=1))
        case "created_at" | "updated_at":
            return isinstance(value, datetime) and _is_a_moment(value)
        case "title" | "rank":
            return isinstance(value, str) and "\0" not in value
        case "estimate":
            return type(value) in {int, float} and math.isfinite(value)
        case "number":
            return type(value) is int and 0 <= value <= MAX_SEQ
        case "priority":
            return type(value) is int and 0 <= value < 2**31


def _is_a_moment(value: datetime) -> bool:
    check_moment("cursor", value)  # Raises a ValueError, which `read` takes for what it is.
    return value.tzinfo is not None


_TASKS: Final = Cursors[_TaskPlace]("tasks", _TaskPlace, _fits)


def page_of(found: Sequence[T], limit: int) -> tuple[Sequence[T], T | None]:
    """What a page shows of `limit + 1` items that were asked for, and the last one shown when there are more."""
    return (found, None) if len(found) <= limit else (found[:limit], found[limit - 1])


def page_json(items: Iterable[bytes], cursor: str | None) -> bytes:
    """A page of items that are JSON already."""
    return b'{"items":[%s],"next_cursor":%s}' % (
        b",".join(items),
        b"null" if cursor is None else b'"%s"' % cursor.encode(),
    )
