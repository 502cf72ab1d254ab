"""The query string of task lists, checked and turned into a `TaskQuery`."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeVar
from uuid import UUID

from msgspec import Meta, Struct, structs

from api.binding import read_query, read_uuid
from core.errors import BadInput
from core.query import SORT_FIELDS, SortField, SortKey, TaskQuery, read_cursor
from core.task import PRIORITIES, STATUSES, check_moment

__all__ = ["ListRequest", "read_list_request"]

T = TypeVar("T", bound=str)

SEVERAL: Final = 20
_LARGEST: Final = 2**63 - 1

Text = Annotated[str, Meta(min_length=1, max_length=2_000)]


class _Parameters(Struct, frozen=True, kw_only=True):
    team_id: UUID | None = None
    status: Text | None = None
    assignee: Text | None = None
    label: Text | None = None
    priority: Text | None = None
    due_before: Annotated[datetime, Meta(tz=True)] | None = None
    updated_after: Annotated[datetime, Meta(tz=True)] | None = None
    parent: Text | None = None
    q: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    archived: Literal["true", "false"] = "false"
    sort: Text = "-created_at"
    limit: Annotated[int, Meta(ge=1, le=100)] = 50
    cursor: Text | None = None


class ListRequest(Struct, frozen=True):
    """What a list was asked for. `mine`: the assignee is whoever asks; `tag` tells its answers from other queries'."""

    team_id: UUID | None
    query: TaskQuery
    mine: bool

    def for_user(self, user_id: UUID) -> TaskQuery:
        """The query with "me" resolved."""
        return structs.replace(self.query, assignee=user_id) if self.mine else self.query


def read_list_request(raw: bytes) -> ListRequest:
    """Parse a raw query string. Raises BadInput naming the parameter."""
    given = read_query(raw, _Parameters)
    descending = given.sort.startswith("-")
    sort = _sort(given.sort)
    query = TaskQuery(
        status=_choices(given.status, STATUSES, "status"),
        assignee=_id(given.assignee, "assignee") if given.assignee not in {"me", "none"} else None,
        unassigned=given.assignee == "none",
        labels=_ids(given.label, "label"),
        priority=_choices(given.priority, PRIORITIES, "priority"),
        due_before=_moment(given.due_before, "due_before"),
        updated_after=_moment(given.updated_after, "updated_after"),
        parent=_id(given.parent, "parent") if given.parent != "none" else None,
        no_parent=given.parent == "none",
        q=given.q,
        archived=given.archived == "true",
        sort=sort,
        descending=descending,
        limit=given.limit,
        after=None if given.cursor is None else _cursor(given.cursor, sort, descending),
    )
    return ListRequest(given.team_id, query, given.assignee == "me")


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
        check_moment(moment)
    except ValueError as error:
        raise BadInput(str(error), parameter=parameter) from error
    return None if moment is None else moment.astimezone(UTC)


def _cursor(token: str, sort: SortField, descending: bool) -> SortKey:
    """The cursor's place; a forged one must not reach SQL with a value that no column can hold."""
    key = read_cursor(token, sort, descending=descending)
    if not _holdable(key[1]):
        raise BadInput("This cursor is not one of ours.", parameter="cursor")
    return key


def _holdable(value: Any) -> bool:
    match value:
        case str():
            return "\0" not in value and len(value) <= 1_000
        case int():
            return abs(value) <= _LARGEST
        case float():
            return math.isfinite(value)
        case datetime():
            return value.tzinfo is not None and 1900 <= value.year <= 9000
        case _:
            return False
