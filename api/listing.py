"""The query string of task lists, checked and turned into a `TaskQuery`."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final, Literal, TypeVar
from unicodedata import normalize
from uuid import UUID

from msgspec import Meta, Struct, convert, structs

from api.binding import read_query, read_uuid
from api.paging import NO_EPOCH, PageQuery, task_place
from core.errors import BadInput
from core.query import SORT_FIELDS, TIMES, SortField, TaskQuery, words_of
from core.seq import ANYWHERE, Position, read_position
from core.task import PRIORITIES, STATUSES, check_due, check_moment
from core.windows import When

__all__ = ["ListRequest", "ListRequests", "read_list_request", "read_when"]

T = TypeVar("T", bound=str)

DATE_LENGTH: Final = len("2026-03-01")
ME, NONE = "me", "none"
SEVERAL: Final = 20
"""Most values of a parameter that takes several."""
KEPT: Final = 4_096
"""Most parsed query strings kept by one `ListRequests`."""
LONGEST: Final = 1_024
"""Longer query strings, in bytes, are parsed each time."""

Text = Annotated[str, Meta(min_length=1, max_length=2_000)]
Time = Text
_LOST_PLUS: Final = re.compile(r"T.+ [0-9]{2}:?[0-9]{2}$")
"""A query string means a blank by `+`."""
External = Annotated[str, Meta(min_length=1, max_length=200)]


class _Parameters(PageQuery, frozen=True, kw_only=True, rename=lambda name: re.sub("_not$", "!", name)):
    """What ends with `_not` is written with `!`: `status!=done` is the parameter `status!` with the value `done`."""

    team_id: UUID | None = None
    status: Text | None = None
    status_not: Text | None = None
    column: Text | None = None
    column_not: Text | None = None
    assignee: Text | None = None
    assignee_not: Text | None = None
    label: Text | None = None
    label_not: Text | None = None
    priority: Text | None = None
    priority_not: Text | None = None
    due_before: Time | None = None
    due_after: Time | None = None
    due_on: Time | None = None
    created_before: Time | None = None
    created_after: Time | None = None
    updated_before: Time | None = None
    updated_after: Time | None = None
    changed_since_seq: Text | None = None
    completed_before: Time | None = None
    completed_after: Time | None = None
    overdue: Literal["true", "false"] | None = None
    external_id: External | None = None
    external_source: External | None = None
    parent: Text | None = None
    parent_not: Text | None = None
    q: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    archived: Literal["true", "false"] = "false"
    sort: Text = "-created_at"


class ListRequest(Struct, frozen=True):
    """What a list was asked for; `mine` and `not_mine` say that the caller is among the assignees, or those left out,
    `zoned` that the answer depends on the team's time zone, or on what time it is.

    `epoch` is that of the page whose cursor was given, `NO_EPOCH` where there is none. `since` is the place after which
    tasks must have changed: the team must have reached it, in that epoch.
    """

    team_id: UUID | None
    query: TaskQuery
    mine: bool
    not_mine: bool = False
    zoned: bool = False
    epoch: int = NO_EPOCH
    since: Position = ANYWHERE

    @property
    def personal(self) -> bool:
        """Whether it is another list for every user."""
        return self.mine or self.not_mine

    def for_user(self, user_id: UUID) -> TaskQuery:
        """The query with "me" resolved."""
        query = self.query
        if self.mine:
            query = structs.replace(query, assignee=(*query.assignee, user_id))
        if self.not_mine:
            query = structs.replace(query, assignee_not=(*query.assignee_not, user_id))
        return query


class ListRequests:
    """Query strings that were parsed before: few clients ask for many different lists."""

    def __init__(self) -> None:
        self._parsed: dict[bytes, ListRequest] = {}

    def read(self, raw: bytes) -> ListRequest:
        """As `read_list_request`, remembered."""
        parsed = self._parsed.get(raw)
        if parsed is None:
            parsed = read_list_request(raw)
            if len(self._parsed) >= KEPT:
                self._parsed.clear()
            if len(raw) <= LONGEST:
                self._parsed[raw] = parsed
        return parsed


def read_list_request(raw: bytes) -> ListRequest:
    """Parse a raw query string. Raises BadInput naming the parameter."""
    given = read_query(raw, _Parameters)
    descending = given.sort.startswith("-")
    sort = _sort(given.sort)
    after, epoch = (None, NO_EPOCH)
    if given.cursor is not None:
        after, epoch = task_place(given.cursor, sort, descending=descending)
    since = _since(given)
    mine, assignee = _people(given.assignee, "assignee")
    not_mine, assignee_not = _people(given.assignee_not, "assignee!")
    query = TaskQuery(
        status=_choices(given.status, STATUSES, "status"),
        status_not=_choices(given.status_not, STATUSES, "status!"),
        column=_columns(given.column, "column"),
        column_not=_columns(given.column_not, "column!"),
        priority=_choices(given.priority, PRIORITIES, "priority"),
        priority_not=_choices(given.priority_not, PRIORITIES, "priority!"),
        assignee=assignee,
        assignee_not=assignee_not,
        parent=_ids(given.parent, "parent"),
        parent_not=_ids(given.parent_not, "parent!"),
        labels=_labels(given.label),
        labels_not=_ids(given.label_not, "label!"),
        changed_since=None if given.changed_since_seq is None else since.seq,
        overdue=None if given.overdue is None else given.overdue == "true",
        external_id=_composed(given.external_id),
        external_source=_composed(given.external_source),
        q=_words(given.q),
        archived=given.archived == "true",
        sort=sort,
        descending=descending,
        limit=given.limit,
        after=after,
        **_times(given),
    )
    return ListRequest(given.team_id, query, mine, not_mine, query.zoned, epoch, since)


def _since(given: _Parameters) -> Position:
    if given.changed_since_seq is None:
        return ANYWHERE
    if given.team_id is None:
        raise BadInput("A seq is a place in one team's history: name the team_id.", parameter="changed_since_seq")
    return read_position(given.changed_since_seq, "changed_since_seq")


def _sort(text: str) -> SortField:
    name = text.removeprefix("-")
    for field in SORT_FIELDS:
        if field == name:
            return field
    raise BadInput(f"Sort by one of {', '.join(SORT_FIELDS)}, with - for descending.", parameter="sort")


def _choices(text: str | None, known: Sequence[T], parameter: str) -> tuple[T, ...]:
    if text is None:
        return ()
    wanted = set(text.split(","))
    chosen = tuple(choice for choice in known if choice in wanted)
    if len(chosen) != len(wanted):
        raise BadInput(f"The parameter {parameter} takes {', '.join(known)}.", parameter=parameter)
    return chosen


def _ids(text: str | None, parameter: str) -> tuple[UUID | None, ...]:
    """Ids, and None for `none`."""
    if text is None:
        return ()
    parts = text.split(",")
    if len(parts) > SEVERAL:
        raise BadInput(f"At most {SEVERAL} of {parameter} at once.", parameter=parameter)
    return tuple(dict.fromkeys(None if part == NONE else read_uuid(part, parameter) for part in parts))


def _people(text: str | None, parameter: str) -> tuple[bool, tuple[UUID | None, ...]]:
    """Whether `me` is among them, and the others."""
    if text is None:
        return False, ()
    others = [part for part in text.split(",") if part != ME]
    return len(others) <= text.count(","), _ids(",".join(others) or None, parameter)


def _columns(text: str | None, parameter: str) -> tuple[UUID | None, ...]:
    wanted = _ids(text, parameter)
    if None in wanted:
        raise BadInput("Every task stands in a column: there is no `none`.", parameter=parameter)
    return wanted


def _labels(text: str | None) -> tuple[UUID | None, ...]:
    wanted = _ids(text, "label")
    if None in wanted and len(wanted) > 1:
        raise BadInput("No task has none of the labels and others: give none alone.", parameter="label")
    return wanted


def _composed(text: str | None) -> str | None:
    """In the form in which texts are kept."""
    return None if text is None else normalize("NFC", text)


def _words(text: str | None) -> str | None:
    words = () if text is None else words_of(text)
    if text is not None and not words:
        raise BadInput("There is nothing in it that could be looked for.", parameter="q")
    if len(words) > SEVERAL:
        raise BadInput(f"At most {SEVERAL} words at once.", parameter="q")
    return text


def _times(given: _Parameters) -> dict[str, Any]:
    return {name: read_when(getattr(given, name), name) for name in TIMES}


def read_when(text: str | None, parameter: str) -> When | None:
    """A date (`2026-03-01`), or an instant in UTC. Raises BadInput naming the parameter."""
    if text is None:
        return None
    try:
        if len(text) == DATE_LENGTH:
            day: date = convert(text, date)
            check_due(None, day)
            return day
        moment: datetime = convert(text, Annotated[datetime, Meta(tz=True)])
        check_moment(parameter, moment)
    except ValueError as error:
        hint = " In an address the + of an offset is written %2B." if _LOST_PLUS.search(text) else ""
        raise BadInput(
            f"The parameter {parameter} takes a date (2026-03-01) or a time with its offset (2026-03-01T12:00:00Z), "
            f"between the years 1900 and 9000.{hint}",
            parameter=parameter,
        ) from error
    return moment.astimezone(UTC)
