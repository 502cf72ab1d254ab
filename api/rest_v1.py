"""REST v1: how its answers show tasks, lists, boards, members and labels.

Its shapes are its own: a field that the domain gets is not shown before somebody adds it here. As long as a task here
is to the byte the one in the data of events, the event's bytes are the answer.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from actors.ports import ColumnTop
from api.answers import encode
from api.paging import page_json, task_cursor
from core import columns, event_data, events, task
from core.columns import Category
from core.permissions import Role
from core.query import SortKey, TaskQuery
from core.recurrence import Recurrence
from core.shapes import coincide, encoder, picker
from core.task import Priority, Status

__all__ = [
    "REST_V1",
    "Attachment",
    "BoardColumn",
    "Column",
    "Label",
    "Member",
    "RestV1",
    "Task",
    "attachment",
    "column_among",
    "label",
    "member",
]


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
    column_id: UUID
    due_on: date | None = None
    recurrence: Recurrence | None = None


class Member(Struct, frozen=True, kw_only=True, gc=False):
    """Somebody's membership. `name` is the user's, as the team has heard it last."""

    user_id: UUID
    role: Role
    name: str
    joined_at: datetime


class Label(Struct, frozen=True, kw_only=True, gc=False):
    """A label of the team; `color` is `#rrggbb`."""

    id: UUID
    name: str
    color: str


class Attachment(Struct, frozen=True, kw_only=True, gc=False):
    """A file of a task. `size` is in bytes, `digest` its SHA-256 in hexadecimal; the type is what its bytes say."""

    id: UUID
    task_id: UUID
    name: str
    media_type: str
    size: int
    digest: str
    created_by: UUID
    created_at: datetime


attachment: Final = picker(events.Attachment, Attachment)


class BoardColumn(Struct, frozen=True, kw_only=True, gc=False):
    """What a board says of a column beside its tasks."""

    id: UUID
    name: str
    category: Category
    wip_limit: int | None


class Column(BoardColumn, frozen=True, kw_only=True, gc=False):
    """A column of the board. `position` counts the columns from 0; `category` is the status of the tasks in it.

    `closing_into` is there while the column is being deleted: its tasks move to that one, and none may enter.
    """

    position: int
    closing_into: UUID | None = None


def column_among(all_columns: Mapping[UUID, columns.Column], column_id: UUID) -> Column:
    """A column of a team in its place among all of them, which are in their order."""
    column = all_columns[column_id]
    return Column(
        id=column.id,
        name=column.name,
        category=column.category,
        wip_limit=column.wip_limit,
        position=list(all_columns).index(column_id),
        closing_into=column.closing_into,
    )


label: Final = picker(events.Label, Label)
member: Final = picker(events.Member, Member)


class RestV1:
    """The representation of tasks in REST v1 (`actors.ports.Representation`). There is one, `REST_V1`."""

    __slots__ = ()
    reuses_events: Final = coincide(Task, event_data.Task)
    task = staticmethod(encoder(task.Task, Task))

    def page(self, tasks: Sequence[bytes], query: TaskQuery, last: SortKey | None, epoch: int) -> bytes:
        """`{"items": […], "next_cursor": …}`."""
        return page_json(tasks, None if last is None else task_cursor(query, last, epoch))

    def board(self, seq: int, epoch: int, columns: Sequence[tuple[columns.Column, Sequence[bytes]]]) -> bytes:
        """`{"seq", "epoch", "columns": [{"id", "name", "category", "wip_limit", "tasks": […]}]}`."""
        # One join, which lets go of the interpreter: each copy of a board of 50,000 tasks takes some 50 ms.
        pieces, before = [b'{"seq":%d,"epoch":%d,"columns":[' % (seq, epoch)], b""
        for column, tasks in columns:
            pieces.append(b'%b%b,"tasks":[' % (before, _head(column)))
            for encoded in tasks:
                pieces += (encoded, b",")
            if tasks:
                pieces.pop()
            pieces.append(b"]}")
            before = b","
        pieces.append(b"]}")
        return b"".join(pieces)

    def board_top(self, seq: int, epoch: int, columns: Sequence[ColumnTop]) -> bytes:
        """The same, where each column has its `count` and the `next_cursor` of the list of its tasks by rank."""
        shown = b",".join([_column_top(column, epoch) for column in columns])
        return b'{"seq":%d,"epoch":%d,"columns":[%s]}' % (seq, epoch, shown)


def _head(column: columns.Column) -> bytes:
    """A column of the board as an object that has not ended yet."""
    shown = BoardColumn(id=column.id, name=column.name, category=column.category, wip_limit=column.wip_limit)
    return encode(shown)[:-1]


_BY_RANK: Final = TaskQuery(sort="rank", descending=False)


def _column_top(column: ColumnTop, epoch: int) -> bytes:
    cursor = b"null" if column.last is None else b'"%s"' % task_cursor(_BY_RANK, column.last, epoch).encode()
    shown = (_head(column.column), column.count, b",".join(column.tasks), cursor)
    return b'%b,"count":%d,"tasks":[%b],"next_cursor":%b}' % shown


REST_V1: Final = RestV1()
