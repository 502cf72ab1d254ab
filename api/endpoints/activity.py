"""What happened to a task, for people: every event with names and a sentence."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from blacksheep import Request, Response, Router
from msgspec import UNSET, Struct, UnsetType

from actors.board import TeamView
from api import paths
from api.access import Access
from api.answers import about_team, json
from api.binding import path_value, query_of
from api.calls import Call, call_of
from api.endpoints.task_docs import OF_TEAM
from api.openapi import MIN_SEQ, PAGE, TEAM_HINT, Operation, Reply
from api.paging import ACTIVITY, PageQuery, page_of
from api.paths import pattern
from api.services import Services
from core.codec import JournalRow, decode, event_id
from core.errors import HistoryRewritten
from core.events import AnyEvent, AnyTaskEvent
from core.principal import ActorKind
from core.rights import READ, in_team
from core.sentences import Change, Names, changes_of, doer, references_of, sentence
from core.task_history import UNDOABLE, is_of_series
from core.team import TeamState
from core.upcasts import UnknownEvent
from db import readmodel
from db.pool import Pool
from db.team_names import names_beyond_the_board

__all__ = ["OPERATIONS", "register"]


class Actor(Struct, frozen=True, kw_only=True):
    """Who did it: always a user, in whose name a key (`via`), an agent or the system may have acted."""

    id: UUID
    name: str
    kind: ActorKind
    via: UUID | UnsetType = UNSET


class ActivityItem(Struct, frozen=True, kw_only=True):
    """One event. `id`, `seq` and `epoch` are those of its CloudEvent. With `redacted` there is no more to be said.

    `undoable` says whether it is a person's change of the task itself, which can be taken back as long as nobody has
    changed the same since: not a comment, and not what a series of tasks has done.
    """

    id: str
    seq: int
    epoch: int
    at: datetime
    type: str
    actor: Actor
    changes: list[Change]
    sentence: str
    redacted: bool
    undoable: bool


class ActivityPage(Struct, frozen=True):
    """What happened, newest first."""

    items: list[ActivityItem]
    next_cursor: str | None


_ADA: Final = "019a3b1e-5b00-7000-8000-000000000001"
_EXAMPLE: Final = {
    "id": "019a3b1e-5c00-7000-8000-00000000000a:1:117",
    "seq": 117,
    "epoch": 1,
    "at": "2026-02-02T10:30:00Z",
    "type": "task.moved",
    "actor": {"id": _ADA, "name": "Ada", "kind": "user"},
    "changes": [{"field": "status", "from": "open", "to": "done"}],
    "sentence": "Ada moved it from Open to Done.",
    "redacted": False,
    "undoable": True,
}

OPERATIONS: Final = (
    Operation(
        method="GET",
        path=paths.TASK_ACTIVITY,
        id="getTaskActivity",
        summary="What happened to a task",
        tag="Tasks",
        description=(
            "Newest first, in words: `sentence` says each event in English, `changes` has every field before and "
            "after. Whatever refers to a person, label, column or task has its `id` and the `name` of today, or the "
            "last one it had. The events themselves are in the team's feed, under the same `seq`."
        ),
        parameters=(*PAGE, TEAM_HINT, MIN_SEQ),
        replies={
            200: Reply(
                description="A page.",
                body=ActivityPage,
                headers=OF_TEAM,
                example={"items": [_EXAMPLE], "next_cursor": None},
            )
        },
        problems=("not-found", "ahead-of-history", "history-rewritten"),
        requires=in_team(READ),
    ),
)


class _Activity:
    def __init__(self, services: Services) -> None:
        self._access, self._pool = Access(services), services.pools.api

    async def show(self, request: Request) -> Response:
        """GET /v1/tasks/{task_id}/activity."""
        call, task_id = call_of(request), path_value(request, "task_id")
        call.principal()
        query = query_of(request, PageQuery)
        epoch, before = (None, None) if query.cursor is None else ACTIVITY.read(query.cursor)
        team_id, view = await self._access.task(call, task_id)
        if epoch is not None and epoch < view.epoch:
            raise HistoryRewritten(view.epoch, view.seq)
        rows = await self._rows(call, team_id, task_id, before, query.limit + 1)
        shown, last = page_of(rows, query.limit)
        items = await items_of(self._pool, call.principal().user_id, view, shown)
        page = ActivityPage(items, None if last is None else ACTIVITY.write((view.epoch, last.seq)))
        return json(200, page, about_team(call.team, call.seq, call.epoch))

    async def _rows(
        self, call: Call, team_id: UUID, task_id: UUID, before: int | None, limit: int
    ) -> Sequence[JournalRow]:
        user_id = call.principal().user_id
        return await readmodel.task_activity(self._pool, user_id, team_id, task_id, before=before, limit=limit)


async def items_of(pool: Pool, user_id: UUID, view: TeamView, rows: Iterable[JournalRow]) -> list[ActivityItem]:
    """The events as a member reads them. Raises StorageUnavailable."""
    events = [(row, event_of(row)) for row in rows]
    wanted = {row.actor_id for row, _ in events}
    for _, event in events:
        wanted |= references_of(event) if isinstance(event, AnyTaskEvent) else set()
    names = await names_of(pool, user_id, view, wanted)
    return [_item(row, event, names) for row, event in events]


def event_of(row: JournalRow) -> AnyEvent | None:
    """The event, if it is of a type that this version knows."""
    try:
        return decode(row)
    except UnknownEvent:
        return None


async def names_of(pool: Pool, user_id: UUID, view: TeamView, wanted: set[UUID]) -> Names:
    """What the things are called: on the board as it is, else as they were called last."""
    state = view.state
    known = {one: name for one in wanted if (name := _name_on_board(state, one)) is not None}
    assert state.team is not None, "a member's team exists"
    beyond = await names_beyond_the_board(pool, user_id, state.team.id, wanted - known.keys())
    return Names({**beyond, **known}, ZoneInfo(state.team.time_zone))


def _name_on_board(state: TeamState, thing: UUID) -> str | None:
    if (member := state.members.get(thing)) is not None:
        return member.name
    if (other := state.labels.get(thing) or state.columns.get(thing)) is not None:
        return other.name
    task = state.tasks.get(thing)
    return None if task is None else f"{task.key} {task.title}"


def _item(row: JournalRow, event: AnyEvent | None, names: Names) -> ActivityItem:
    return ActivityItem(
        id=event_id(row),
        seq=row.seq,
        epoch=row.epoch,
        at=row.at,
        type=row.type,
        actor=Actor(id=row.actor_id, name=doer(row, event, names), kind=row.actor_kind, via=row.via or UNSET),
        changes=changes_of(event, names) if isinstance(event, AnyTaskEvent) and not row.redacted else [],
        sentence=sentence(row, event, names),
        redacted=row.redacted,
        undoable=_is_undoable(row, event),
    )


def _is_undoable(row: JournalRow, event: AnyEvent | None) -> bool:
    own = isinstance(event, AnyTaskEvent) and event.type in UNDOABLE and not is_of_series(event)
    return own and not row.redacted and row.actor_kind != "system"


def register(router: Router, services: Services) -> None:
    """Add the endpoint to the router."""
    router.add_get(pattern(paths.TASK_ACTIVITY), _Activity(services).show)
