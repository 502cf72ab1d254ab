"""Two ways to show one board. `LISTS` is like REST v1; `PAGES` is another one that shares nothing with events."""

from collections.abc import Sequence
from typing import Final

import msgspec

from actors.ports import ColumnTop, Representation
from core.columns import Column
from core.event_data import encode_task
from core.query import SortKey, TaskQuery
from core.task import Task

_encode = msgspec.json.Encoder().encode
Columns = Sequence[tuple[Column, Sequence[bytes]]]


class Lists:
    """`{"items": […], "last": …}`, with tasks as events have them."""

    reuses_events = True
    task = staticmethod(encode_task)

    def page(self, tasks: Sequence[bytes], query: TaskQuery, last: SortKey | None, epoch: int) -> bytes:
        return b'{"items":[%s],"last":%s}' % (b",".join(tasks), _encode(last))

    def board(self, seq: int, epoch: int, columns: Columns) -> bytes:
        return b'{"seq":%d,"epoch":%d,"columns":{%s}}' % (seq, epoch, _by_status(columns))

    def board_top(self, seq: int, epoch: int, columns: Sequence[ColumnTop]) -> bytes:
        return _encode({"seq": seq, "epoch": epoch, "columns": _tops(columns)})


class Pages:
    """As a next version could have it: several assignees, lists that say whether there is more."""

    reuses_events = False

    def task(self, task: Task) -> bytes:
        assignees = [] if task.assignee_id is None else [task.assignee_id]
        return _encode({"id": task.id, "title": task.title, "assignee_ids": assignees, "version": task.version})

    def page(self, tasks: Sequence[bytes], query: TaskQuery, last: SortKey | None, epoch: int) -> bytes:
        return b'{"data":[%s],"page":%s}' % (b",".join(tasks), _encode({"last": last, "has_more": last is not None}))

    def board(self, seq: int, epoch: int, columns: Columns) -> bytes:
        return b'{"data":{%s},"at":"%d:%d"}' % (_by_status(columns), epoch, seq)

    def board_top(self, seq: int, epoch: int, columns: Sequence[ColumnTop]) -> bytes:
        return _encode({"data": _tops(columns), "at": f"{epoch}:{seq}"})


def _tops(columns: Sequence[ColumnTop]) -> list[object]:
    return [(top.column.category, top.count, [msgspec.Raw(task) for task in top.tasks], top.last) for top in columns]


def _by_status(columns: Columns) -> bytes:
    return b",".join(b'"%s":[%s]' % (column.category.encode(), b",".join(tasks)) for column, tasks in columns)


LISTS: Final[Representation] = Lists()
PAGES: Final[Representation] = Pages()
