"""A task as the domain knows it. Its shapes in events and answers are others: `event_data.py` and those of the edge."""

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from functools import partial
from typing import Annotated, Any, Final, Literal, get_args
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, structs

from core.field_error import FieldError
from core.recurrence import Recurrence, RecurrenceRule
from core.text import LONGEST_TEXT, clean_line, clean_lines

Status = Literal["open", "in_progress", "in_review", "done", "cancelled"]
Priority = Literal["urgent", "high", "medium", "low", "none"]

STATUSES: Final[tuple[Status, ...]] = get_args(Status)
PRIORITIES: Final[tuple[Priority, ...]] = get_args(Priority)
PRIORITY_ORDER: Final[dict[Priority, int]] = {priority: order for order, priority in enumerate(reversed(PRIORITIES))}

DESCRIPTION_BYTES: Final = LONGEST_TEXT
TITLE_LENGTH: Final = 500
EXTERNAL_LENGTH: Final = 200
REFERENCES: Final = 50
FIRST_YEAR: Final = 1900
LAST_YEAR: Final = 9000

Title = Annotated[str, Meta(min_length=1, max_length=TITLE_LENGTH, description="1 to 500 characters, on one line.")]
Description = Annotated[str, Meta(max_length=DESCRIPTION_BYTES, description="Markdown, at most 64 KiB of UTF-8.")]
Estimate = Annotated[float, Meta(ge=0, le=10_000, description="Story points or hours: the team decides.")]
Moment = Annotated[datetime, Meta(tz=True, description="RFC 3339 with an offset; answered in UTC.")]
CalendarDate = Annotated[date, Meta(description="A calendar date, judged in the team's time zone.")]
ExternalName = Annotated[str, Meta(min_length=1, max_length=EXTERNAL_LENGTH)]


_encode: Final = msgspec.json.Encoder().encode

NO_COLUMN: Final = UUID(int=0)
"""In the data of an event from before there were columns, until it is decoded (`codec.decode`). No task has it."""


class Task(Struct, frozen=True, kw_only=True, gc=False):
    """One task after its last change. `version` is the team's `seq` of that change, and its ETag.

    `rank` orders tasks within a column (plain string comparison); only the server writes it. `status` is the category
    of the column. `due_at` (an instant) and `due_on` (a calendar date) are never both there.
    """

    id: UUID
    team_id: UUID
    number: int
    key: str
    title: str
    description: str = ""
    status: Status = "open"
    priority: Priority = "none"
    assignee_id: UUID | None = None
    label_ids: tuple[UUID, ...] = ()
    due_at: datetime | None = None
    estimate: float | None = None
    parent_id: UUID | None = None
    blocked_by: tuple[UUID, ...] = ()
    rank: str
    external_id: str | None = None
    external_source: str | None = None
    comment_count: int = 0
    attachment_count: int = 0
    created_by: UUID
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None = None
    archived_at: datetime | None = None
    version: int
    column_id: UUID = NO_COLUMN
    due_on: date | None = None
    recurrence: Recurrence | None = None

    @property
    def recurrence_json(self) -> str | None:
        """The recurrence as it is stored."""
        return None if self.recurrence is None else _encode(self.recurrence).decode()


class TaskFields(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """What a client may say of a new task. Unknown fields are refused, so that nothing server-owned can be set."""

    title: Title
    description: Description = ""
    status: Status | UnsetType = UNSET
    priority: Priority = "none"
    assignee_id: UUID | None = None
    label_ids: Annotated[tuple[UUID, ...], Meta(max_length=REFERENCES)] = ()
    due_at: Moment | None = None
    estimate: Estimate | None = None
    parent_id: UUID | None = None
    blocked_by: Annotated[tuple[UUID, ...], Meta(max_length=REFERENCES)] = ()
    external_id: ExternalName | None = None
    external_source: ExternalName | None = None
    column_id: UUID | None = None
    due_on: CalendarDate | None = None
    recurrence: RecurrenceRule | None = None

    def __post_init__(self) -> None:
        tidy(
            self,
            title=clean_title,
            description=clean_lines,
            external_id=clean_external_name,
            external_source=clean_external_name,
        )
        check_due(self.due_at, self.due_on)
        if (self.external_id is None) != (self.external_source is None):
            missing = "external_id" if self.external_id is None else "external_source"
            raise FieldError(missing, "external_id and external_source go together")


class TaskPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """A JSON merge patch (RFC 7396) of a task: absent means unchanged, null clears what can be cleared."""

    title: Title | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    status: Status | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    assignee_id: UUID | UnsetType | None = UNSET
    label_ids: Annotated[tuple[UUID, ...], Meta(max_length=REFERENCES)] | UnsetType | None = UNSET
    due_at: Moment | UnsetType | None = UNSET
    estimate: Estimate | UnsetType | None = UNSET
    parent_id: UUID | UnsetType | None = UNSET
    blocked_by: Annotated[tuple[UUID, ...], Meta(max_length=REFERENCES)] | UnsetType | None = UNSET
    column_id: UUID | UnsetType = UNSET
    due_on: CalendarDate | UnsetType | None = UNSET
    recurrence: RecurrenceRule | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        tidy(self, title=clean_title, description=clean_lines)
        check_due(self.due_at, self.due_on)

    def changes(self) -> dict[str, Any]:
        """The fields that were given, null already turned into the empty value of its field."""
        given = dict[str, Any]()
        for name, value in zip(self.__struct_fields__, structs.astuple(self), strict=True):
            if value is not UNSET:
                given[name] = _EMPTY.get(name) if value is None else value
        return given


_EMPTY: Final[dict[str, Any]] = {"description": "", "label_ids": (), "blocked_by": ()}


def tidy(struct: Struct, **cleaners: Callable[[str], str]) -> None:
    """Put the texts of a new Struct into the form in which they are kept, by the cleaner of each field.

    Values that are no text stay as they are. Raises FieldError for what a cleaner refuses.
    """
    for field, clean in cleaners.items():
        text = getattr(struct, field)
        if isinstance(text, str):
            try:
                cleaned = clean(text)
            except ValueError as error:
                raise FieldError(field, str(error)) from error
            if cleaned is not text:
                structs.force_setattr(struct, field, cleaned)


clean_title: Final = partial(clean_line, most=TITLE_LENGTH)
clean_external_name: Final = partial(clean_line, most=EXTERNAL_LENGTH)


def check_moment(field: str, moment: datetime | UnsetType | None) -> None:
    """Raise FieldError for a time that cannot be carried over to UTC and into Postgres."""
    if isinstance(moment, datetime) and not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise FieldError(field, "times must lie between the years 1900 and 9000")


def check_due(due_at: datetime | UnsetType | None, due_on: date | UnsetType | None) -> None:
    """Raise FieldError for times and dates that cannot be kept, and for a task that would be due twice."""
    check_moment("due_at", due_at)
    if isinstance(due_on, date) and not FIRST_YEAR <= due_on.year <= LAST_YEAR:
        raise FieldError("due_on", "dates must lie between the years 1900 and 9000")
    if isinstance(due_at, datetime) and isinstance(due_on, date):
        raise FieldError("due_on", "a task is due at an instant (due_at) or on a date (due_on), not both")


def unique(ids: Iterable[UUID]) -> tuple[UUID, ...]:
    """The ids without repeats, in their first order."""
    return tuple(dict.fromkeys(ids))


def in_utc(moment: datetime | None) -> datetime | None:
    """The same moment with offset zero, as it is stored and answered."""
    return None if moment is None else moment.astimezone(UTC)


def differences(before: Task, after: Task, names: Iterable[str] | None = None) -> dict[str, Any]:
    """The fields of `before` (among `names`, if given) that `after` changed, with their old values.

    The bookkeeping fields `version` and `updated_at` are left out.
    """
    return {
        name: old
        for name in (_COMPARED if names is None else names)
        if (old := getattr(before, name)) is not (new := getattr(after, name)) and old != new
    }


_COMPARED: Final = tuple(name for name in Task.__struct_fields__ if name not in {"version", "updated_at"})


ExternalKey = tuple[str, str]
"""(external_source, external_id): unique in a team, archived tasks included."""


def external_key(task: Task) -> ExternalKey | None:
    """The task's key in the external index, if it came from outside."""
    if task.external_id is None or task.external_source is None:
        return None
    return (task.external_source, task.external_id)
