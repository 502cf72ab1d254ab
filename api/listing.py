"""The query string of task lists, checked and turned into a `TaskQuery`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, TypeVar
from uuid import UUID

from msgspec import Meta, Struct, structs

from api.binding import read_query, read_uuid
from api.paging import NO_EPOCH, PageQuery, task_place
from core.errors import BadInput
from core.query import SORT_FIELDS, SortField, TaskQuery
from core.task import PRIORITIES, STATUSES, check_moment

__all__ = ["ListRequest", "ListRequests", "read_list_request"]

T = TypeVar("T", bound=str)

SEVERAL: Final = 20
"""Most values of a parameter that takes several."""
KEPT: Final = 4_096
"""Most parsed query strings kept by one `ListRequests`."""
LONGEST: Final = 1_024
"""Longer query strings, in bytes, are parsed each time."""

Text = Annotated[str, Meta(min_length=1, max_length=2_000)]
External = Annotated[str, Meta(min_length=1, max_length=200)]


class _Parameters(PageQuery, frozen=True, kw_only=True):
    team_id: UUID | None = None
    status: Text | None = None
    column: Text | None = None
    assignee: Text | None = None
    label: Text | None = None
    priority: Text | None = None
    due_before: Annotated[datetime, Meta(tz=True)] | None = None
    updated_after: Annotated[datetime, Meta(tz=True)] | None = None
    external_id: External | None = None
    external_source: External | None = None
    parent: Text | None = None
    q: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    archived: Literal["true", "false"] = "false"
    sort: Text = "-created_at"


class ListRequest(Struct, frozen=True):
    """What a list was asked for; `mine` says that the assignee is the caller.

    `epoch` is that of the page whose cursor was given, `NO_EPOCH` where there is none.
    """

    team_id: UUID | None
    query: TaskQuery
    mine: bool
    epoch: int = NO_EPOCH

    def for_user(self, user_id: UUID) -> TaskQuery:
        """The query with "me" resolved."""
        return structs.replace(self.query, assignee=user_id) if self.mine else self.query


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
    query = TaskQuery(
        status=_choices(given.status, STATUSES, "status"),
        columns=_ids(given.column, "column"),
        assignee=_id(given.assignee, "assignee") if given.assignee not in {"me", "none"} else None,
        unassigned=given.assignee == "none",
        labels=_ids(given.label, "label"),
        priority=_choices(given.priority, PRIORITIES, "priority"),
        due_before=_moment(given.due_before, "due_before"),
        updated_after=_moment(given.updated_after, "updated_after"),
        external_id=given.external_id,
        external_source=given.external_source,
        parent=_id(given.parent, "parent") if given.parent != "none" else None,
        no_parent=given.parent == "none",
        q=given.q,
        archived=given.archived == "true",
        sort=sort,
        descending=descending,
        limit=given.limit,
        after=after,
    )
    return ListRequest(given.team_id, query, given.assignee == "me", epoch)


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


def _id(text: str | None, parameter: str) -> UUID | None:
    return None if text is None else read_uuid(text, parameter)


def _ids(text: str | None, parameter: str) -> tuple[UUID, ...]:
    if text is None:
        return ()
    parts = text.split(",")
    if len(parts) > SEVERAL:
        raise BadInput(f"At most {SEVERAL} of {parameter} at once.", parameter=parameter)
    return tuple(dict.fromkeys(read_uuid(part, parameter) for part in parts))


def _moment(moment: datetime | None, parameter: str) -> datetime | None:
    try:
        check_moment(parameter, moment)
    except ValueError as error:
        raise BadInput(str(error), parameter=parameter) from error
    return None if moment is None else moment.astimezone(UTC)
